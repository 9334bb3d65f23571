//! A core goes from one worker to another: because its worker has blocked (the monitor decides, see there), or because its
//! thread says beforehand that it will.

#![allow(unsafe_code, reason = "pointers to workers, which are never freed")]

use crate::gang::Gang;
use crate::machine::{Core, Place, Runtime, Worker};
use crate::sched::wake;
use crate::sleeper::Reason;
use crate::trace;
use std::ptr;
use std::sync::atomic::Ordering;

/// A spare that is parked, for the caller alone.
pub(crate) fn take_spare(runtime: &'static Runtime) -> Option<&'static Worker> {
    runtime.spares.lock().pop()
}

/// Puts a spare back that was not needed.
pub(crate) fn give_spare(runtime: &'static Runtime, spare: &'static Worker) {
    runtime.spares.lock().push(spare);
}

/// Whether items of a workqueue wait behind the thread that runs on `core`: if that blocks, somebody has to take them.
pub(crate) fn has_items_behind(core: &Core) -> bool {
    // SAFETY: blocks are never freed.
    let running = unsafe { core.current.load(Ordering::Relaxed).as_ref() };
    running.and_then(|block| Gang::of(&block.gang)).is_some_and(|gang| gang.gauge.pending() > 0)
}

/// Gives `core` to `spare`. When all is done `worker`, which has it, is told that it has lost it: `was_in_doubt` as in
/// [`Notes::lose`](raddle_core::notes::Notes::lose).
///
/// The caller has made sure that the worker's thread does not touch the core meanwhile: it is that thread, or it has shut it out.
pub(crate) fn transfer(
    core: &'static Core,
    worker: &Worker,
    spare: &'static Worker,
    was_in_doubt: bool,
) {
    worker.runtime.homeless.fetch_add(1, Ordering::Relaxed);
    core.counters.handovers.fetch_add(1, Ordering::Relaxed);
    trace::handed_over(core, worker, spare);
    worker.lost_at_ns.store(worker.runtime.coarse_ns(), Ordering::Relaxed);
    worker.core.store(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: blocks are never freed.
    let running = unsafe { core.current.load(Ordering::Relaxed).as_ref() };
    // As if it slept, until it is queued again.
    let relief = running.and_then(|block| Gang::of(&block.gang)).and_then(Gang::one_sleeps);
    core.current.store(ptr::null_mut(), Ordering::Relaxed);
    core.dispatches.fetch_add(1, Ordering::Relaxed);
    core.worker.store(ptr::from_ref(spare).cast_mut(), Ordering::Release);
    spare.core.store(ptr::from_ref(core).cast_mut(), Ordering::Release);
    // From here on the worker's thread may go on.
    worker.notes.lose(was_in_doubt);
    wake::wake_worker(spare);
    if let Some(relief) = relief {
        wake::wake(relief, Reason::READY, None);
    }
}

/// Gives the core of the calling thread away, if somebody waits for it and a spare is there. The thread runs on without; when it
/// leaves the runtime it may block, and when it comes back it is queued.
pub(crate) fn hand_over(place: &Place) -> bool {
    let core = place.core();
    let is_wanted = core.waiting.load(Ordering::Relaxed) > 0
        || core.next_deadline_ns.load(Ordering::Relaxed) != u64::MAX
        || core.events.is_armed()
        || has_items_behind(core);
    if !is_wanted || place.runtime().host.is_some() {
        return false;
    }
    let Some(spare) = take_spare(place.runtime()) else { return false };
    transfer(core, place.worker, spare, false);
    // The monitor makes the next spare.
    wake::ensure_watched(place.runtime(), 0);
    true
}
