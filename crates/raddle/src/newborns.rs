//! Threads on their way to run, past the queue of their core and its lock: those that were just made, and those that wake on their waker's core.
//!
//! ```text
//!   spawn, wake ──▶ nursery ── nobody is queued ──▶ runs            no lock
//!                      │
//!                      └── somebody is, a thief comes, threads are listed ──▶ queue
//! ```
//!
//! While nobody is queued on the core, those in the nursery run in their order, and so do a spawner and whoever yields, which let them run before:
//! behind them, as they would stand in the queue. As soon as anybody else is ready, or one of another level, all go to the queue, where levels and
//! rounds decide. Everybody who looks how many wait on a core counts them ([`Backlog`](crate::backlog::Backlog)), so idle cores, the monitor and
//! hand-over do for them what they do for others.
//!
//! Two threads that talk to one another save two exchanges a message so, a sixth of its time.

#![allow(unsafe_code, reason = "what is the core's holder's")]

use crate::ahead;
use crate::machine::{Blocks, Core, Queue, ThreadRef};
use raddle_core::run_queue::{Array, End};
use raddle_core::slice::Charge;
use std::sync::atomic::Ordering;

/// Keeps a thread that was just made by the one that runs on `core`, the caller's, if both have the same standing. False: it is to be queued.
#[inline]
pub(crate) fn keep(core: &Core, thread: ThreadRef) -> bool {
    let block = thread.block();
    let charge = block.charge.get();
    let stands_as_spawner = charge.earned_ns() == core.earned_ns.load(Ordering::Relaxed)
        && block.priority.get().nice() == core.nice.load(Ordering::Relaxed);
    // A simulated host chooses among all.
    stands_as_spawner
        && core.runtime().host.is_none()
        && push(core, thread, charge, block.level(&charge))
}

/// Keeps a thread with this account and level, if it has the standing of those that are kept on `core`, whose holder the caller is. False: it is to
/// be queued.
#[inline]
pub(crate) fn push(core: &Core, thread: ThreadRef, charge: Charge, level: u8) -> bool {
    // SAFETY: the caller is the core's holder, in the runtime, and nothing here is called inside.
    let Some(mut inside) = (unsafe { core.nursery.enter() }) else { return false };
    match inside.len() {
        0 => core.nursery.set_level(level),
        _ if core.nursery.level() != level => return false,
        _ => {}
    }
    let is_kept = inside.push(thread);
    if is_kept {
        // Inside: a thief that takes it sees this.
        thread.block().charge.set(charge);
        core.waiting.publish_newborn(inside.len());
    }
    is_kept
}

/// The first of those that `core`, the caller's, keeps, if they are all who wait there. `None` says nothing about the queue.
#[inline]
pub(crate) fn first(core: &Core) -> Option<ThreadRef> {
    if core.waiting.queued() > 0 || core.waiting.newborn() == 0 {
        return None;
    }
    // SAFETY: as in `push`.
    let mut inside = unsafe { core.nursery.enter() }?;
    let first = inside.pop();
    core.waiting.publish_newborn(inside.len());
    ahead::ask_for_kept(&inside);
    first
}

/// As [`first`], and `thread`, which runs there, stands behind the others from now on. It must be on their level. The core stays in its
/// nursery until it [leaves](leave): then the thread is saved.
#[inline]
pub(crate) fn first_before(core: &Core, thread: ThreadRef, level: u8) -> Option<ThreadRef> {
    if core.waiting.queued() > 0 || core.waiting.newborn() == 0 || core.nursery.level() != level {
        return None;
    }
    // SAFETY: as in `push`.
    let mut inside = unsafe { core.nursery.enter() }?;
    if inside.len() == 0 || !inside.push(thread) {
        return None;
    }
    let first = inside.pop();
    core.waiting.publish_newborn(inside.len());
    inside.keep();
    first
}

/// The thread that gave way by [`first_before`] is saved.
#[inline]
pub(crate) fn leave(core: &Core) {
    // SAFETY: `first_before` stayed inside for this moment, on this worker, which still has its core.
    unsafe { core.nursery.release() };
}

/// Puts all that `core`, the caller's, keeps into its queue, whose lock is held.
#[inline]
pub(crate) fn queue_own(core: &Core, queue: &mut Queue, now: u64) {
    if core.waiting.newborn() == 0 {
        return;
    }
    // SAFETY: as in `push`.
    let inside = unsafe { core.nursery.enter() };
    let mut inside = inside.expect("who claims a nursery has the lock of its queue");
    queue_all(core, queue, now, || inside.pop());
}

/// Puts all that the holder of `core` keeps into its queue, whose lock is held. Anybody but the holder inside its nursery.
#[inline]
pub(crate) fn queue_theirs(core: &Core, queue: &mut Queue, now: u64) {
    if core.waiting.newborn() == 0 {
        return;
    }
    // SAFETY: `queue` is the core's, whose lock the caller holds as long as it has the reference.
    let mut claimed = unsafe { core.nursery.claim() };
    queue_all(core, queue, now, || claimed.pop());
}

#[cold]
fn queue_all(
    core: &Core,
    queue: &mut Queue,
    now: u64,
    mut next: impl FnMut() -> Option<ThreadRef>,
) {
    let level = core.nursery.level();
    let slice = core.runtime().settings.slice_ns;
    if queue.ready.threads.is_empty() {
        // Whoever was in the round has run.
        queue.ready.round.begin(now);
    }
    let array: Array = queue.ready.round.array_for_woken(now, slice);
    while let Some(thread) = next() {
        queue.ready.threads.push(&Blocks, thread, level, array, End::Back);
    }
    core.waiting.publish_newborn(0);
    core.waiting.publish(&queue.ready.threads);
}
