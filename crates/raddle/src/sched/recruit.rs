//! New workers: made beforehand as far as libc is needed for it, and launched without.
//!
//! The monitor makes a worker when another has blocked, perhaps on a lock of libc's whose holder was preempted. Whatever
//! it does for that must not need the lock. So a stock of bodies with their TLS in order is kept, and a worker is a body from the
//! stock (`stock`) and one system call (`KernelThread::launch`).

#![allow(unsafe_code, reason = "launches kernel threads")]

use crate::machine::{Core, Orders, Recruit, Runtime};
use crate::sched::worker;
use crate::sys::task;
use raddle_context::KernelThread;
use std::ptr;

/// Makes a worker for `core`, or a spare. Takes no lock of libc's and does not allocate. False if the stock is empty, or the kernel has
/// no room for another thread.
pub(crate) fn launch(runtime: &'static Runtime, core: Option<&'static Core>) -> bool {
    let recruit = runtime.recruits.lock().ready.iter_mut().find_map(Option::take);
    let Some(Recruit { body, orders }) = recruit else { return false };
    orders.core = core.map_or(ptr::null(), ptr::from_ref);
    if core.is_none() {
        runtime.spares.lock().coming += 1;
    }
    let argument = ptr::from_mut(orders).cast::<u8>();
    // SAFETY: the orders are leaked, and the worker's own from now on; the arena is the runtime's, which is never dropped; a worker
    // never returns.
    match unsafe { KernelThread::launch(body, main_of_worker, argument, None) } {
        Ok(_) => true,
        Err((_, body)) => {
            // SAFETY: no worker came to be, so the orders are this function's again.
            let orders = unsafe { &mut *argument.cast::<Orders>() };
            if core.is_none() {
                runtime.spares.lock().coming -= 1;
            }
            let mut recruits = runtime.recruits.lock();
            if let Some(free) = recruits.ready.iter_mut().find(|place| place.is_none()) {
                *free = Some(Recruit { body, orders });
            }
            false
        }
    }
}

/// # Safety
///
/// `orders` leads to leaked [`Orders`], nobody else's.
unsafe fn main_of_worker(orders: *mut u8) {
    // SAFETY: the caller's.
    let orders: &'static mut Orders = unsafe { &mut *orders.cast::<Orders>() };
    task::want_exact_timers();
    task::set_name(c"raddle-worker");
    match KernelThread::enter() {
        Ok(kernel_thread) => worker::work(worker::report(orders, kernel_thread)),
        Err(error) => {
            eprintln!("raddle: a worker can't run threads: {error}");
            std::process::abort();
        }
    }
}
