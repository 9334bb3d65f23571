//! A core goes from one worker to another: because its worker has blocked (the monitor decides, see there), or because its
//! thread says beforehand that it will.

#![allow(unsafe_code, reason = "pointers to workers, which are never freed")]

use crate::flag;
use crate::machine::{Core, Place, Runtime, Worker};
use crate::sched::wake;
use crate::trace;
use std::ptr;
use std::sync::atomic::Ordering;

/// A spare that is parked, for the caller alone.
pub(crate) fn take_spare(runtime: &'static Runtime) -> Option<&'static Worker> {
    let mut spares = runtime.spares.lock();
    // SAFETY: workers are never freed.
    let spare = unsafe { spares.first.as_ref() }?;
    spares.first = spare.next_spare.get();
    spares.parked -= 1;
    Some(spare)
}

/// Puts a spare back that was not needed.
pub(crate) fn give_spare(runtime: &'static Runtime, spare: &'static Worker) {
    let mut spares = runtime.spares.lock();
    spare.next_spare.set(spares.first);
    spares.first = spare;
    spares.parked += 1;
}

/// Gives `core` to `spare`. `worker`, which has it, finds `flips` of its flags changed when all is done, and `LOST` among them.
///
/// The caller has made sure that the worker's thread does not touch the core meanwhile: it is that thread, or it has shut it out.
pub(crate) fn transfer(core: &'static Core, worker: &Worker, spare: &'static Worker, flips: u32) {
    worker.runtime.homeless.fetch_add(1, Ordering::Relaxed);
    core.counters.handovers.fetch_add(1, Ordering::Relaxed);
    trace::handed_over(core, worker, spare);
    worker.lost_at_ns.store(worker.runtime.coarse_ns(), Ordering::Relaxed);
    worker.core.store(ptr::null_mut(), Ordering::Relaxed);
    core.current.store(ptr::null_mut(), Ordering::Relaxed);
    core.dispatches.fetch_add(1, Ordering::Relaxed);
    core.worker.store(ptr::from_ref(spare).cast_mut(), Ordering::Release);
    spare.core.store(ptr::from_ref(core).cast_mut(), Ordering::Release);
    // From here on the worker's thread may go on.
    worker.flags.fetch_xor(flips, Ordering::Release);
    wake::wake_worker(spare);
}

/// Gives the core of the calling thread away, if somebody waits for it and a spare is there. The thread runs on without; when it
/// leaves the runtime it may block, and when it comes back it is queued.
pub(crate) fn hand_over(place: &Place) -> bool {
    let core = place.core();
    let is_wanted = core.waiting.load(Ordering::Relaxed) > 0
        || core.next_deadline_ns.load(Ordering::Relaxed) != u64::MAX;
    if !is_wanted || place.runtime().host.is_some() {
        return false;
    }
    let Some(spare) = take_spare(place.runtime()) else { return false };
    transfer(core, place.worker, spare, flag::LOST);
    // The monitor makes the next spare.
    wake::ensure_watched(place.runtime(), 0);
    true
}
