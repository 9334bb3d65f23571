//! The stock of recruits: bodies and memory for new workers, made where it may wait for libc: by whoever starts the runtime, and by
//! workers that have no core. See `recruit` for what they are for.

#![allow(unsafe_code, reason = "takes back a leaked box")]

use crate::machine::{Orders, Recruit, Recruits, Runtime};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Fills the stock. Calls libc, and may wait for its locks: not for the monitor, nor for a thread inside the runtime.
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
        if let Some(free) = runtime.recruits.lock().ready.iter_mut().find(|place| place.is_none()) {
            *free = unused.take();
        }
        if let Some(Recruit { body, orders }) = unused {
            // A launch that failed has given one back meanwhile.
            runtime.workers_arena.give(body.into_body());
            // SAFETY: from a Box, a moment ago.
            drop(unsafe { Box::from_raw(orders) });
        }
    }
    Ok(())
}

/// Whether fewer than `below` are left.
pub(crate) fn is_low(runtime: &Runtime, below: usize) -> bool {
    runtime.recruits.lock().count() < below
}

/// What a worker without a core does before it parks, if the stock is low, another spare is parked and none does it already.
pub(crate) fn refill_if_spare(runtime: &'static Runtime, was_coming: &mut bool) {
    if !is_low(runtime, Recruits::LOW) {
        return;
    }
    {
        let mut spares = runtime.spares.lock();
        if spares.parked == 0 || spares.refills {
            return;
        }
        spares.refills = true;
        // Should it wait for a lock of libc's, nobody is to count on it.
        spares.coming -= usize::from(std::mem::take(was_coming));
    }
    // Without memory for it the stock stays low; the next one tries again.
    let _ = refill(runtime);
    runtime.spares.lock().refills = false;
}
