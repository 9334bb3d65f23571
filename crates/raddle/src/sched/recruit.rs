//! New workers: made beforehand as far as libc is needed for it, and launched without.
//!
//! The monitor makes a worker when another has blocked, perhaps on a lock of libc's whose holder was preempted. Whatever
//! it does for that must not need the lock. So a stock of bodies with their TLS in order is kept, and a worker is a body from the
//! stock (`stock`) and one system call (`KernelThread::launch`).

#![allow(unsafe_code, reason = "launches kernel threads")]

use crate::crew::Recruit;
use crate::machine::{Core, Runtime, Worker};
use crate::sched::worker;
use crate::sys::task;
use raddle_context::KernelThread;
use std::ptr;
use std::sync::atomic::Ordering;

/// Makes a worker for `core`, or a spare. Takes no lock of libc's and does not allocate. False if the stock is empty, or the kernel has
/// no room for another thread.
///
/// Called by the monitor alone, and by the starter before there is one.
pub(crate) fn launch(runtime: &'static Runtime, core: Option<&'static Core>) -> bool {
    let recruit = runtime.recruits.lock().take();
    let Some(Recruit { body, worker }) = recruit else { return false };
    let core_or_null = core.map_or(ptr::null_mut(), |core| ptr::from_ref(core).cast_mut());
    worker.core.store(core_or_null, Ordering::Relaxed);
    if core.is_none() {
        runtime.spares.lock().coming += 1;
    }
    let argument = ptr::from_ref(worker).cast_mut().cast::<u8>();
    // SAFETY: the record is never freed, and from now on this worker's; the arena is the runtime's, which is never dropped. When a worker
    // returns, it has come back from its last thread, and gives `KernelThread` up before.
    match unsafe { KernelThread::launch(body, main_of_worker, argument, None) } {
        Ok(launched) => {
            worker.launched.set(Some(launched));
            true
        }
        Err((_, body)) => {
            if core.is_none() {
                runtime.spares.lock().coming -= 1;
            }
            runtime.recruits.lock().put(Recruit { body, worker });
            false
        }
    }
}

/// # Safety
///
/// `worker` leads to a record of a [`Worker`] that is nobody else's.
unsafe fn main_of_worker(worker: *mut u8) {
    // SAFETY: the caller's; records are never freed.
    let worker: &'static Worker = unsafe { &*worker.cast::<Worker>() };
    task::want_exact_timers();
    task::set_name(c"raddle-worker");
    match KernelThread::enter() {
        Ok(kernel_thread) => worker::live(worker, kernel_thread),
        Err(error) => {
            eprintln!("raddle: a worker can't run threads: {error}");
            std::process::abort();
        }
    }
}
