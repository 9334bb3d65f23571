//! The stock of recruits: bodies and memory for new workers, made by threads that may wait: whoever starts the runtime, whoever
//! spawns a thread, a second spare. See `recruit` for what they are for.

#![allow(unsafe_code, reason = "takes back a leaked box")]

use crate::machine::{Orders, Recruit, Recruits, Runtime};
use crate::sched::enter::Here;
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
            // A thread that was preempted with the lock in its hands would stop the monitor, which alone could bring it back.
            let _here = Here::enter();
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
    let _here = Here::enter();
    let recruits = runtime.recruits.lock();
    recruits.ready.iter().filter(|place| place.is_some()).count() < below
}

/// What a worker without a core does before it parks, if another spare is parked already.
pub(crate) fn refill_if_spare(runtime: &'static Runtime) {
    let is_needed = runtime.spares.lock().parked > 0 && is_low(runtime, Recruits::STOCK / 2);
    if is_needed {
        // Without memory for it the stock stays low; the next one tries again.
        let _ = refill(runtime);
    }
}
