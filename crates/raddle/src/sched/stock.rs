//! The stock of recruits: bodies and records for new workers, made where it may wait for libc: by whoever starts the runtime, and by
//! workers that have no core. See `recruit` for what they are for.
//!
//! What workers that have ended leave behind is used first.

use crate::crew::Recruit;
use crate::machine::{Runtime, Worker};
use crate::sched::census;
use raddle_context::Body;
use raddle_core::pool;
use std::io;
use std::ptr;
use std::sync::atomic::Ordering;

/// Fills the stock. Calls libc, and may wait for its locks: not for the monitor, nor for a thread inside the runtime. One at a time
/// does it: the starter, and later whoever has set `is_filling`.
///
/// # Errors
///
/// When there is no memory for another body.
pub(crate) fn fill(runtime: &'static Runtime) -> io::Result<()> {
    while runtime.recruits.lock().count() < pool::STOCK {
        let (worker, body) = match take_ended(runtime) {
            Some(ended) => ended,
            None => {
                let body = runtime.workers_arena.make()?;
                (publish(Box::leak(Box::new(Worker::new(runtime)))), body)
            }
        };
        let recruit = Recruit { body: body.prepare(), worker };
        runtime.recruits.lock().put(recruit);
    }
    Ok(())
}

/// Puts a new record on the list of all.
pub(crate) fn publish(worker: &'static Worker) -> &'static Worker {
    let workers = &worker.runtime.workers;
    let this = ptr::from_ref(worker).cast_mut();
    let mut first = workers.load(Ordering::Relaxed);
    loop {
        worker.next_worker.set(first);
        match workers.compare_exchange_weak(first, this, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return worker,
            Err(now) => first = now,
        }
    }
}

/// What a worker without a core does before it parks, if policy wants it.
pub(crate) fn fill_if_spare(runtime: &'static Runtime, was_coming: &mut bool) {
    if !pool::may_fill(&census::count(runtime)) {
        return;
    }
    {
        let mut spares = runtime.spares.lock();
        if spares.is_filling {
            return;
        }
        spares.is_filling = true;
        // Should it wait for a lock of libc's, nobody is to count on it.
        spares.coming -= u32::from(std::mem::take(was_coming));
    }
    // Without memory for it the stock stays low; the next one tries again.
    let _ = fill(runtime);
    runtime.spares.lock().is_filling = false;
}

/// Takes in a worker that was told to end.
pub(crate) fn keep_ended(worker: &'static Worker) {
    worker.runtime.recruits.lock().put_ended(worker);
}

/// A worker's record, and its body, whose kernel thread is gone. One that is still on its way out, held up by a lock of libc's
/// perhaps, is passed over.
fn take_ended(runtime: &Runtime) -> Option<(&'static Worker, Body)> {
    runtime.recruits.lock().take_ended(|worker| {
        let body = worker.launched.take()?.into_body();
        // A handle that comes back goes back: not ended.
        body.map_err(|launched| worker.launched.set(Some(launched))).ok()
    })
}
