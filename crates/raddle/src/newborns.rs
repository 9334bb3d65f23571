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
//! rounds decide; those that only yield come back when they are among themselves. Everybody who looks how many wait on a core counts them
//! ([`Backlog`](crate::backlog::Backlog)), so idle cores, the monitor and hand-over do for them what they do for others.
//!
//! Two threads that talk to one another save two exchanges a message so, a sixth of its time.

#![allow(unsafe_code, reason = "what is the core's holder's")]

use crate::ahead;
use crate::machine::{Blocks, Core, Queue, ThreadRef};
use crate::nursery;
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
    if inside.len() > 0 && !core.nursery.is_all_of(level) {
        return false;
    }
    core.nursery.note_level(level, inside.len() == 0);
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

/// As [`first`], and `thread`, which runs there and is of `level`, stands behind the others from now on, whatever their levels: it lets them run
/// before. `None` also for one that is bound: thieves empty nurseries. The core stays in its nursery until it [leaves](leave): then the thread is saved.
#[inline]
pub(crate) fn first_before(core: &Core, thread: ThreadRef, level: u8) -> Option<ThreadRef> {
    let are_not_all_kept = core.waiting.queued() > 0 || core.waiting.newborn() == 0;
    if are_not_all_kept || thread.block().link.is_bound() {
        return None;
    }
    // SAFETY: as in `push`.
    let mut inside = unsafe { core.nursery.enter() }?;
    if inside.len() == 0 || !inside.push(thread) {
        return None;
    }
    core.nursery.note_level(level, false);
    let first = inside.pop();
    core.waiting.publish_newborn(inside.len());
    ahead::ask_for_kept(&inside);
    inside.keep();
    first
}

/// As [`first_before`], where all others are in the queue: takes them over first, in their order. `None`: there are more than there is room for,
/// some are bound to the core, or a round ends here that other cores keep step with.
///
/// Threads that only yield would go through the queue for ever once a slice's end has put them there. What it costs to take them over
/// [`Core::yields`] spreads over as many yields.
#[cold]
pub(crate) fn first_of_queue(
    core: &Core,
    thread: ThreadRef,
    level: u8,
    now: u64,
) -> Option<ThreadRef> {
    let mut queue = core.queue.lock();
    let ready = &mut queue.ready;
    let is_fit = !thread.block().link.is_bound()
        && ready.threads.movable() == ready.threads.len()
        && ready.threads.len() < nursery::MOST
        && !ready.round.is_full();
    if !is_fit || core.waiting.newborn() > 0 {
        return None;
    }
    // SAFETY: as in `push`.
    let inside = unsafe { core.nursery.enter() };
    let mut inside = inside.expect("who claims a nursery has the lock of its queue");
    core.nursery.note_level(level, true);
    let first = ready.threads.pop(&Blocks)?.key;
    while let Some(popped) = ready.threads.pop(&Blocks) {
        core.nursery.note_level(popped.level, false);
        let has_room = inside.push(popped.key);
        debug_assert!(has_room, "it is empty, and they were counted");
    }
    inside.push(thread);
    core.waiting.publish_newborn(inside.len());
    core.waiting.publish(&ready.threads);
    ready.round.begin(now);
    inside.keep();
    Some(first)
}

/// The thread that gave way by [`first_before`] or [`first_of_queue`] is saved.
#[inline]
pub(crate) fn leave(core: &Core) {
    // SAFETY: either stayed inside for this moment, on this worker, which still has its core.
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
    queue_all(core, queue, now, std::iter::from_fn(|| inside.pop()));
    core.waiting.publish_newborn(0);
}

/// Puts the first `at_most` that the holder of `core` keeps into its queue, whose lock is held. Anybody but the holder inside its nursery.
#[inline]
pub(crate) fn queue_theirs(core: &Core, queue: &mut Queue, now: u64, at_most: usize) {
    if core.waiting.newborn() == 0 {
        return;
    }
    // SAFETY: `queue` is the core's, whose lock the caller holds as long as it has the reference.
    let mut claimed = unsafe { core.nursery.claim() };
    let first = std::iter::from_fn(|| claimed.pop()).take(at_most);
    queue_all(core, queue, now, first);
    core.waiting.publish_newborn(claimed.len());
}

/// Begins a round where nobody is queued but the holder of `core` keeps some: whoever was in the round has run. The queue's lock is held.
#[inline]
pub(crate) fn begin_round(core: &Core, queue: &mut Queue, now: u64) {
    if core.waiting.newborn() > 0 && queue.ready.threads.is_empty() {
        queue.ready.round.begin(now);
    }
}

#[cold]
fn queue_all(core: &Core, queue: &mut Queue, now: u64, threads: impl Iterator<Item = ThreadRef>) {
    begin_round(core, queue, now);
    let slice = core.runtime().settings.slice_ns;
    let array: Array = queue.ready.round.array_for_woken(now, slice);
    for thread in threads {
        let block = thread.block();
        let level = block.level(&block.charge.get());
        queue.ready.threads.push(&Blocks, thread, level, array, End::Back);
    }
    core.waiting.publish(&queue.ready.threads);
}
