//! Who runs next on a core: the policy's questions, put to the queues.

use crate::ahead;
use crate::counters::Counters;
use crate::host_contract::Host;
use crate::machine::{Blocks, Core, Queue, ThreadRef};
use crate::newborns;
use crate::sched::{events, timers};
use crate::trace;
use std::sync::atomic::Ordering;

/// The next thread for `core`, in the order: due timers, its own queue, others' queues.
#[inline(always)]
pub(crate) fn pick(core: &'static Core, now: u64) -> Option<ThreadRef> {
    if now >= core.next_deadline_ns.load(Ordering::Relaxed) {
        timers::expire(core, Some(core));
    }
    events::look(core, false);
    newborns::first(core).or_else(|| pick_queued(core, now)).or_else(|| pick_others(core, now))
}

#[inline(never)]
fn pick_others(core: &'static Core, now: u64) -> Option<ThreadRef> {
    let stolen = steal(core, now);
    if stolen.is_some() && core.events.is_armed() {
        // It may compute for long.
        events::look_now(core, true);
    }
    stolen
}

#[inline(never)]
fn pick_queued(core: &'static Core, now: u64) -> Option<ThreadRef> {
    if core.waiting.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let mut queue = core.queue.lock();
    newborns::queue_own(core, &mut queue, now);
    if let Some(host) = &core.runtime().host {
        return choose(core, &mut queue, host.as_ref());
    }
    pop(core, &mut queue, now)
}

/// The first of `core`'s queue, whose lock is held.
#[inline(always)]
pub(super) fn pop(core: &'static Core, queue: &mut Queue, now: u64) -> Option<ThreadRef> {
    if queue.ready.shall_help() {
        help_others(core, queue, now);
    }
    let popped = queue.ready.pop(&Blocks, now)?;
    core.waiting.publish(&queue.ready.threads);
    ahead::ask_for_those_that_follow(queue);
    Some(popped.key)
}

/// The other cores, in the order in which `core` asks them for work.
fn others(core: &'static Core) -> impl Iterator<Item = &'static Core> {
    let cores = &core.runtime().cores;
    (1..cores.len()).map(|step| &cores[(core.index + step) % cores.len()])
}

/// Most that is taken from another core at once: both locks are held so long.
const STOLEN_AT_MOST: usize = 64;
/// Most that are taken from another core's nursery, half of which are then stolen.
const KEPT_AT_MOST: usize = 2 * STOLEN_AT_MOST;

/// `core` has finished its round: it takes over some that wait for their turn in another's, so that all get as much.
#[cold]
fn help_others(core: &'static Core, queue: &mut Queue, now: u64) {
    for other in others(core).filter(|other| other.waiting.movable(Ordering::Relaxed) > 0) {
        // The lock of the own queue is held: whoever waits here for the other's might be waited for.
        let Some(mut theirs) = other.queue.try_lock() else { continue };
        newborns::queue_theirs(other, &mut theirs, now, KEPT_AT_MOST);
        let taken = queue.ready.help(&Blocks, &mut theirs.ready, STOLEN_AT_MOST);
        other.waiting.publish(&theirs.ready.threads);
        if taken > 0 {
            Counters::add(&core.counters.steals, taken as u64);
            return;
        }
    }
}

/// The thread that a simulated host chooses.
#[cold]
pub(super) fn choose(core: &Core, queue: &mut Queue, host: &dyn Host) -> Option<ThreadRef> {
    let threads = &mut queue.ready.threads;
    let chosen = threads.iter(&Blocks).nth(host.choose(threads.len()))?.key;
    threads.remove(&Blocks, chosen);
    core.waiting.publish(threads);
    Some(chosen)
}

/// Whether `core`, which has nothing to do, takes over threads where so many wait.
pub(crate) fn shall_help(core: &Core, waiting: usize) -> bool {
    let is_sent = core.is_to_help.load(Ordering::Relaxed);
    waiting > 0 && (is_sent || core.runtime().eagerness.shall_help(waiting))
}

/// Takes half of what waits on another core, if it is worth it: the first to run, the others to this core's queue.
pub(super) fn steal(core: &'static Core, now: u64) -> Option<ThreadRef> {
    for victim in others(core) {
        if !shall_help(core, victim.waiting.movable(Ordering::Relaxed)) {
            continue;
        }
        // Two thieves that steal from each other would wait for ever; whoever comes second tries elsewhere.
        let mut own = core.queue.lock();
        let Some(mut theirs) = victim.queue.try_lock() else { continue };
        newborns::queue_theirs(victim, &mut theirs, now, KEPT_AT_MOST);
        let stolen = own.ready.steal(&Blocks, &mut theirs.ready, STOLEN_AT_MOST);
        victim.waiting.publish(&theirs.ready.threads);
        drop(theirs);
        let popped = own.ready.pop(&Blocks, now);
        core.waiting.publish(&own.ready.threads);
        if let Some(popped) = popped {
            Counters::add(&core.counters.steals, stolen as u64);
            trace::stolen(core, popped.key, victim, stolen);
            return Some(popped.key);
        }
    }
    None
}
