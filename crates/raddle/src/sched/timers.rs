//! Deadlines of sleeping threads: a wheel for each core, looked at by its worker when it switches, by the monitor while that
//! computes, and by whoever keeps time for idle cores while it sleeps (`raddle_core::timekeeper`).

#![allow(unsafe_code, reason = "pointers to cores, which are never freed")]

use crate::machine::{Core, Place, Runtime, ThreadRef};
use crate::sched::wake::{STEP_NS, wake};
use crate::sleeper::{Reason, Sleep};
use crate::timer::Due;
use std::ptr;
use std::sync::atomic::Ordering;

/// Arms the calling thread's timer: at `deadline_ns`, until which it says that it waits, the sleep ends, timed out.
pub(crate) fn arm(place: &Place, sleep: Sleep, deadline_ns: u64) {
    let (core, block) = (place.core(), place.thread.block());
    let former = block.timer.get();
    if former.is_some() && !ptr::eq(block.timer_core.get(), core) {
        disarm(place.thread);
    }
    let mut timers = core.timers.lock();
    if block.timer.get().is_some_and(|timer| timers.rearm(timer, sleep, deadline_ns)) {
        return;
    }
    block.timer.set(Some(timers.arm(sleep, deadline_ns)));
    block.timer_core.set(core);
    publish(core, timers.next_deadline_ns());
}

/// A sleep of the calling thread's has ended before its deadline: the timer stays where it is, for the next one. A simulated clock would stop at
/// it, so there it is taken back.
#[inline]
pub(crate) fn keep(place: &Place) {
    if place.runtime().host.is_some() {
        disarm(place.thread);
    }
}

/// The calling thread is about to end: it leaves no timer behind.
#[inline]
pub(crate) fn forget(thread: ThreadRef) {
    if thread.block().timer.get().is_some() {
        disarm(thread);
    }
}

/// Takes back the calling thread's timer, if it still runs.
#[cold]
fn disarm(thread: ThreadRef) {
    let block = thread.block();
    let Some(timer) = block.timer.take() else { return };
    // SAFETY: cores are never freed; `arm` has set it.
    let core = unsafe { &*block.timer_core.get() };
    // One that has run out is no longer this thread's; whoever took it out may be about to end a sleep of it, and will be too late.
    core.timers.lock().disarm(timer, thread.sleeper());
}

/// Until when a thread sleeps, for which an earlier timer was kept; 0 if it does so no more. The lock is held under which it was kept.
fn until_ns(sleep: Sleep) -> u64 {
    if sleep.state().under_way() != Some(sleep.ticket) {
        return 0;
    }
    ThreadRef::of_sleeper(sleep.sleeper).block().waits_until_ns.load(Ordering::Relaxed)
}

/// Ends the sleeps of `core` whose time has come. `here` as for [`wake`]. Says when to look again.
///
/// Whoever holds no core does not wait while others are at it, but comes again: a kernel thread that yields to them would take the processor
/// that they need.
///
/// Who has slept is no longer in any cache. So several are taken at once: while one is woken the others' memory is on its way.
pub(crate) fn expire(core: &'static Core, here: Option<&'static Core>) -> u64 {
    const BATCH: usize = 16;
    /// What waking a thread touches of its block.
    const LINES: usize = 3;
    let now = core.runtime().now_ns();
    loop {
        let mut due = [None; BATCH];
        let mut count = 0;
        let next = {
            let timers =
                if here.is_some() { Some(core.timers.lock()) } else { core.timers.try_lock() };
            let Some(mut timers) = timers else { return now + STEP_NS };
            while let Some(one) = (count < BATCH).then(|| timers.pop_due(now, until_ns)).flatten() {
                if let Due::Now(sleep) = one {
                    ThreadRef::of_sleeper_unseen(sleep.sleeper).body().prefetch_control(LINES);
                    due[count] = Some(sleep);
                }
                count += 1;
            }
            publish(core, timers.next_deadline_ns())
        };
        for sleep in due.into_iter().flatten() {
            ThreadRef::of_sleeper_unseen(sleep.sleeper).prefetch();
            wake(sleep, Reason::TIMED_OUT, here);
        }
        if count < BATCH {
            return next;
        }
    }
}

/// The timers' lock is held.
fn publish(core: &Core, next: u64) -> u64 {
    core.next_deadline_ns.store(next, Ordering::Relaxed);
    next
}

/// The first deadline of `here` and of all cores that are idle. The others look at their own.
pub(super) fn first_of_idle(runtime: &Runtime, here: &Core) -> u64 {
    let deadline = |core: &Core| core.next_deadline_ns.load(Ordering::Relaxed);
    idle_and(runtime, here).map(deadline).min().unwrap_or(u64::MAX)
}

/// Ends the sleeps whose time has come on `here`, which the caller holds, and on all cores that are idle.
pub(super) fn expire_idle(runtime: &'static Runtime, here: &'static Core) {
    let now = runtime.now_ns();
    let is_due = |core: &&'static Core| now >= core.next_deadline_ns.load(Ordering::Relaxed);
    idle_and(runtime, here).filter(is_due).for_each(|core| {
        expire(core, Some(here));
    });
}

fn idle_and<'a>(runtime: &'a Runtime, here: &'a Core) -> impl Iterator<Item = &'a Core> {
    let is_idle = |core: &Core| core.current.load(Ordering::Relaxed).is_null();
    runtime.cores.iter().filter(move |core| ptr::eq(*core, here) || is_idle(core))
}
