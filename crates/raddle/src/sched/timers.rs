//! Deadlines of sleeping threads: a wheel for each core, looked at by its worker when it switches or wakes, and by the monitor
//! while that computes.

#![allow(unsafe_code, reason = "timers are cells in blocks, guarded by their wheel's lock")]

use crate::machine::{Blocks, Core, Place, ThreadRef};
use crate::sched::wake::wake;
use crate::sleeper::{Reason, Sleep};
use raddle_core::state::Ticket;
use std::sync::atomic::Ordering;

/// Arms the calling thread's timer: at `deadline_ns` the sleep ends, timed out.
pub(crate) fn arm(place: &Place, sleep: Sleep, deadline_ns: u64) {
    let (core, block) = (place.core(), place.thread.block());
    block.timer_ticket.set(sleep.ticket.to_bits());
    block.timer_core.set(core);
    let mut wheel = core.timers.lock();
    wheel.insert(&Blocks, place.thread, deadline_ns);
    publish(core, wheel.next_deadline_ns());
}

/// Takes the calling thread's timer back, if it still runs.
pub(crate) fn disarm(thread: ThreadRef) {
    let block = thread.block();
    // SAFETY: cores are never freed; `arm` has set it.
    let core = unsafe { &*block.timer_core.get() };
    // A timer that has run out did so under this lock: it is in nobody's hands any more.
    let mut wheel = core.timers.lock();
    wheel.remove(&Blocks, thread);
}

/// Ends the sleeps of `core` whose time has come. `here` as for [`wake`]. Says when to look again.
pub(crate) fn expire(core: &'static Core, here: Option<&'static Core>) -> u64 {
    let now = core.runtime().now_ns();
    let mut wheel = core.timers.lock();
    wheel.expire(&Blocks, now, &mut |thread: ThreadRef| {
        let ticket = Ticket::from_bits(thread.block().timer_ticket.get());
        wake(Sleep { sleeper: thread.sleeper(), ticket }, Reason::TIMED_OUT, here);
    });
    publish(core, wheel.next_deadline_ns())
}

/// The wheel's lock is held.
fn publish(core: &Core, next: Option<u64>) -> u64 {
    let next = next.unwrap_or(u64::MAX);
    core.next_deadline_ns.store(next, Ordering::Relaxed);
    next
}
