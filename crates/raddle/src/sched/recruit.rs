//! New workers: made beforehand as far as libc is needed for it, and launched without.
//!
//! The monitor makes a worker when another has blocked, perhaps on a lock of libc's whose holder was preempted. Whatever
//! it does for that must not need the lock. So a stock of bodies with their TLS in order is kept, and a worker is a body from the
//! stock and one system call (`KernelThread::launch`). The stock is filled by threads that may wait: whoever starts the runtime,
//! whoever spawns a thread, a second spare.

#![allow(unsafe_code, reason = "launches kernel threads")]

use crate::machine::{Core, Orders, Recruit, Recruits, Runtime};
use crate::sched::worker;
use crate::sys::task;
use raddle_context::KernelThread;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering;

/// Fills the stock. Calls libc, and may wait for its locks: not for the monitor, nor inside the runtime.
///
/// # Errors
///
/// When there is no memory for another body.
pub(crate) fn refill(runtime: &'static Runtime) -> io::Result<()> {
    while is_low(runtime, Recruits::STOCK) {
        let body = runtime.workers_arena.make()?.prepare();
        let orders = Box::leak(Box::new(Orders {
            runtime,
            core: ptr::null(),
            worker: MaybeUninit::uninit(),
        }));
        let mut unused = Some(Recruit { body, orders });
        {
            let mut recruits = runtime.recruits.lock();
            if let Some(free) = recruits.ready.iter_mut().find(|place| place.is_none()) {
                *free = unused.take();
            }
        }
        if let Some(Recruit { body, orders }) = unused {
            // Somebody else was filling it at the same time.
            runtime.workers_arena.give(body.into_body());
            // SAFETY: from a Box, a moment ago.
            drop(unsafe { Box::from_raw(orders) });
        }
        runtime.recruits_low.store(false, Ordering::Relaxed);
    }
    Ok(())
}

fn is_low(runtime: &Runtime, below: usize) -> bool {
    let recruits = runtime.recruits.lock();
    recruits.ready.iter().filter(|place| place.is_some()).count() < below
}

/// Makes a worker for `core`, or a spare. Takes no lock of libc's and does not allocate. False if the stock is empty, or the kernel has
/// no room for another thread.
pub(crate) fn launch(runtime: &'static Runtime, core: Option<&'static Core>) -> bool {
    let recruit = runtime.recruits.lock().ready.iter_mut().find_map(Option::take);
    runtime.recruits_low.store(true, Ordering::Relaxed);
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

/// What a worker without a core does before it parks, if another spare is parked already.
pub(crate) fn refill_if_spare(runtime: &'static Runtime) {
    let is_needed = runtime.spares.lock().parked > 0 && is_low(runtime, Recruits::STOCK / 2);
    if is_needed {
        // Without memory for it the stock stays low; the next one tries again.
        let _ = refill(runtime);
    }
}
