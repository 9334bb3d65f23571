//! Switches to the next thread, and parts with the one before.
//!
//! A switch goes straight from one thread's stack to the next one's. What is to be done about the old thread (queue it, let
//! its wakers see that it sleeps, give its body back) is done on the new side, by [`part`], when nothing of the old
//! one is in registers any more:
//!
//! ```text
//!   thread A: pick B, note the parting ── switch ──▶ part(A) on B's stack, then B goes on where it was
//!                                                    │ Queued: release the queue's lock (Newborn: leave the nursery)
//!                                                    │ Sleeps: say so; if a waker came meanwhile, queue A
//!                                                    │ Ended:  give the body back, wake the joiner
//! ```
//!
//! A yield keeps the queue's lock over the switch: A is in the queue before it is saved, and nobody can take it until
//! then. One lock for the push, the pop and the publication.
//!
//! With nothing to run the worker's own context is next: nobody idles on a parked thread's stack.

#![allow(unsafe_code, reason = "switches; cells of the threads in hand")]

use crate::counters::Counters;
use crate::gang::Gang;
use crate::machine::{Block, Blocks, Core, Parting, Place, ThreadRef, Worker};
use crate::newborns;
use crate::record::{Ended, RecordRef};
use crate::sched::pick::{choose, pick, pop, steal};
use crate::sched::{core_clock, events, timers, wake};
use crate::sleeper::{Reason, Sleep};
use crate::stolen::Mark;
use crate::sys::clock;
use crate::trace;
use raddle_context::{After, Body, Context, Departure};
use raddle_core::run_queue::{Array, End};
use raddle_core::slice::{Charge, Verdict};
use raddle_core::state::Woke;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

/// Puts the calling thread, whose sleep is prepared, to sleep. Returns when the sleep is over; at once if it is over already.
pub(crate) fn sleep(place: Place, sleep: Sleep, at: &'static Location<'static>) {
    let now = core_clock::glance(place.core());
    let _ = charge(place.core(), place.thread, now);
    let gang = Gang::of(&place.thread.block().gang);
    let relief = gang.and_then(|gang| relieve(gang, place.core()));
    let next = relief.or_else(|| pick(place.core(), now));
    // Timers that `pick` looked at, or another core, may have ended it: then nobody else needs to run first.
    if sleep.reason().is_none() || next.is_some() {
        trace::sleeps(place.core(), place.thread, at);
        // SAFETY: the thread is saved by the switch; `part` says that it sleeps.
        unsafe { leave(&place, next, Parting::Sleeps(sleep.ticket, place.thread), now) };
    }
    if let Some(gang) = gang {
        gang.gauge.one_runs();
    }
}

/// A worker's item is about to sleep on `core`: whoever is to take the next item, if that is to run at once.
#[cold]
fn relieve(gang: &Gang, core: &'static Core) -> Option<ThreadRef> {
    wake::wake_to_run(gang.one_sleeps()?, Reason::READY, core)
}

/// Goes on on `core`: queued there as if it had run there.
pub(crate) fn move_to(place: Place, core: &'static Core) {
    let now = core_clock::read(place.core());
    let _ = charge(place.core(), place.thread, now);
    let next = pick(place.core(), now);
    trace::preempted(place.core(), place.thread, false);
    place.thread.block().core.set(core);
    // SAFETY: the thread is saved by the switch; `part` queues it then.
    unsafe { leave(&place, next, Parting::Evicted(place.thread), now) };
}

/// Lets every other thread of this round run before the calling one.
pub(crate) fn give_way(place: Place) {
    let core = place.core();
    let now = core_clock::glance(core);
    if now >= core.next_deadline_ns.load(Ordering::Relaxed) {
        timers::expire(core, Some(core));
    }
    events::look(core, true);
    if core.waiting.load(Ordering::Relaxed) == 0 {
        return;
    }
    let (_, charged) = charge(core, place.thread, now);
    if !charged.is_used_up() {
        let level = place.thread.block().level(&charged);
        let next = newborns::first_before(core, place.thread, level)
            .or_else(|| yield_among_alike(place, level, now));
        if next.is_some() {
            // SAFETY: the thread is in the nursery, which `part` leaves when it is saved.
            return unsafe { leave(&place, next, Parting::Newborn, now) };
        }
    }
    requeue(&place, charged, Array::Expired, End::Back, now);
}

/// The calling thread yields where others are queued: now and then, whether these are to be kept past the queue from now on. Then who runs
/// next.
fn yield_among_alike(place: Place, level: u8, now: u64) -> Option<ThreadRef> {
    let core = place.core();
    let yields = core.yields.load(Ordering::Relaxed) + 1;
    let is_round = yields >= core.waiting.queued();
    core.yields.store(if is_round { 0 } else { yields }, Ordering::Relaxed);
    let tries = is_round && core.runtime().host.is_none();
    tries.then(|| newborns::first_of_queue(core, place.thread, level, now)).flatten()
}

/// The calling thread waits in the kernel for a lock, and shall let others run: if nobody is queued here, somebody from another core.
pub(crate) fn step_back(place: Place) {
    let core = place.core();
    if core.waiting.load(Ordering::Relaxed) == 0 {
        core.is_to_help.store(true, Ordering::Relaxed);
        let stolen = steal(core, core_clock::read(core));
        core.is_to_help.store(false, Ordering::Relaxed);
        stolen.into_iter().for_each(|first| wake::ready_first(core, first));
    }
    give_way(place);
}

/// The calling thread has spawned one more. If some wait by now it lets them run first: their bodies come back, warm, for those that
/// it spawns next. Otherwise a burst of a hundred thousand short threads would touch as many stacks, most of them cold.
///
/// It does not know that they are short. If it had to wait for long it spawns for much longer before it tries again. A wait of a few
/// milliseconds may be the kernel's doing, which ran others in the worker's place: that must happen twice in a row. Else one such
/// moment would make the rest of a burst cold.
pub(crate) fn after_spawn(place: Place) {
    /// So many stacks stay in the processor's nearer caches.
    const BACKLOG: usize = 16;
    /// It waits for this part of its time, at most.
    const PART: u64 = 32;
    /// Short, for one of them: mostly the first touch of its stack.
    const SHORT_NS: u64 = 5_000;
    /// More than the kernel lets others run at a time.
    const SURELY_LONG_NS: u64 = 10_000_000;
    let (core, block) = (place.core(), place.thread.block());
    let backlog = core.waiting.load(Ordering::Relaxed);
    if backlog < BACKLOG || !place.runtime().settings.preempts {
        return;
    }
    let now = core_clock::read(core);
    if now < block.spawns_on_until_ns.get() {
        return;
    }
    let (verdict, charged) = charge(core, place.thread, now);
    let runtime = place.runtime();
    let stays_active = verdict == Verdict::GoesOn && !charged.is_used_up();
    let level = block.level(&charged);
    let next = stays_active.then(|| newborns::first_before(core, place.thread, level)).flatten();
    match next {
        // SAFETY: the thread is in the nursery, which `part` leaves when it is saved.
        Some(_) => unsafe { leave(&place, next, Parting::Newborn, now) },
        None => requeue(&place, charged, Array::Active, End::Back, now),
    }
    let back_at = runtime.coarse_ns();
    let away = back_at.saturating_sub(now);
    let was_long = away > SHORT_NS * backlog as u64;
    if block.waited_long.replace(was_long) && was_long || away > SURELY_LONG_NS {
        block.spawns_on_until_ns.set(back_at + away * PART);
    }
}

/// Another thread is to run in place of the calling one, which has not asked for it: its slice is over, or somebody who waited
/// long has woken.
pub(crate) fn preempt(place: Place) {
    let core = place.core();
    let now = core_clock::read(core);
    if now >= core.next_deadline_ns.load(Ordering::Relaxed) {
        timers::expire(core, Some(core));
    }
    if core.events.is_armed() {
        events::look_now(core, true);
    }
    let cpu_now = clock::thread_cpu_ns();
    let (verdict, mut charged) = charge_without_stolen(place, cpu_now, now);
    let number = core.dispatches.load(Ordering::Relaxed) + 1;
    place.worker.mark.set(Mark::new(cpu_now, core.index, number));
    let goes_on = core.waiting.load(Ordering::Relaxed) == 0
        && (verdict == Verdict::GoesOn || !place.runtime().anyone_waits());
    if goes_on {
        // Nobody waits: it starts another slice.
        charged.run_on();
        place.thread.block().charge.set(charged);
        note_dispatch(core, place.thread, now);
        return;
    }
    Counters::add(&core.counters.preemptions, 1);
    trace::preempted(core, place.thread, matches!(verdict, Verdict::Expired));
    match verdict {
        Verdict::GoesOn => requeue(&place, charged, Array::Active, End::Front, now),
        Verdict::Expired => {
            note_slice_used(core, place.thread);
            requeue(&place, charged, Array::Expired, End::Back, now);
        }
    }
}

/// Queues the calling thread and runs the first of the queue, which may be the same.
#[inline]
fn requeue(place: &Place, mut charged: Charge, array: Array, end: End, now: u64) {
    let (core, thread) = (place.core(), place.thread);
    let block = thread.block();
    let level = block.level(&charged);
    let array = charged.array_for(array);
    block.charge.set(charged);
    let mut queue = core.queue.lock();
    newborns::queue_own(core, &mut queue, now);
    queue.ready.threads.push(&Blocks, thread, level, array, end);
    if let Some(host) = &place.runtime().host {
        let next =
            choose(core, &mut queue, host.as_ref()).expect("a thread was queued a moment ago");
        if next == thread {
            return;
        }
        queue.keep();
        // SAFETY: as below.
        return unsafe { leave(place, Some(next), Parting::Queued, now) };
    }
    let next = pop(core, &mut queue, now).expect("a thread was queued a moment ago");
    if next == thread {
        drop(queue);
        note_dispatch(core, thread, now);
        return;
    }
    queue.keep();
    // SAFETY: the thread is in the queue, whose lock `part` releases when it is saved.
    unsafe { leave(place, Some(next), Parting::Queued, now) };
}

/// Leaves the worker that has lost its core, for a core's queue.
pub(crate) fn evict(place: Place) {
    // SAFETY: it ran, so it has a core, and cores are never freed.
    let home = unsafe { &*place.thread.block().core.get() };
    // As if it had begun to sleep when the core went. What it ran without one, a millisecond at most, is nobody's.
    let _ = charge(home, place.thread, place.worker.lost_at_ns.load(Ordering::Relaxed));
    trace::evicted(place.thread);
    place.worker.parting.set(Parting::Evicted(place.thread));
    // SAFETY: the worker's own context is suspended: a thread runs in its place.
    unsafe { switch(place.thread.body().context(), own_context(place.worker), place.worker) };
    if let Some(gang) = Gang::of(&place.thread.block().gang) {
        gang.gauge.one_runs();
    }
}

/// Where a thread that has ended goes: the last thing that it says.
pub(crate) fn departure(place: Place) -> Departure {
    let core = place.core();
    let now = core_clock::glance(core);
    timers::forget(place.thread);
    // The joiner is woken before the body is given back, so that it can be the one that goes on here. From its end on the thread has no
    // record: whoever has joined it may free that.
    let joiner = match end(place) {
        Ended::Seen(joiner) => joiner.and_then(|it| wake::wake_to_run(it, Reason::READY, core)),
        Ended::Unseen(dead) => {
            // SAFETY: the reference ends here, and nothing else is called meanwhile.
            unsafe { place.own() }.graveyard.bury(dead);
            None
        }
    };
    let next = joiner.or_else(|| pick(core, now));
    trace::ends(core, place.thread);
    place.worker.parting.set(Parting::Ended(place.thread));
    let to = match next {
        Some(next) => {
            note_dispatch(core, next, now);
            next.block().worker.store(ptr::from_ref(place.worker).cast_mut(), Ordering::Relaxed);
            next.body().context()
        }
        None => {
            note_idle(core);
            own_context(place.worker)
        }
    };
    Departure { to, after: After::run(part, ptr::from_ref(place.worker).cast_mut().cast()) }
}

/// Says that the calling thread is over, and gives up its record.
fn end(place: Place) -> Ended {
    let block = place.thread.block();
    // Before the record goes: who lists threads, or a debugger, looks for one in a live thread.
    block.is_live.store(0, Ordering::Relaxed);
    // Nobody else writes it, so it needs no exchange.
    let record = NonNull::new(block.record.load(Ordering::Relaxed));
    block.record.store(ptr::null_mut(), Ordering::Release);
    // SAFETY: the block had a reference of its own, which is taken up here once.
    unsafe { RecordRef::from_raw(record.expect("a live thread has its record")) }.end()
}

/// From the worker's own context to a thread.
pub(crate) fn run(worker: &'static Worker, core: &'static Core, next: ThreadRef) {
    note_dispatch(core, next, core.now_ns.load(Ordering::Relaxed));
    next.block().worker.store(ptr::from_ref(worker).cast_mut(), Ordering::Relaxed);
    worker.parting.set(Parting::Nothing);
    // SAFETY: `next` came from a queue, so it is saved and nobody else's; this is the worker's own context.
    unsafe { switch(own_context(worker), next.body().context(), worker) };
}

/// Charges a running thread for the time since it was dispatched. Says whether its slice is over, and what it has now. A slice that is
/// used up is noted in the round of `core`.
#[inline]
fn charge(core: &Core, thread: ThreadRef, now: u64) -> (Verdict, Charge) {
    let (verdict, charged) = charge_alone(thread, now);
    if verdict == Verdict::Expired {
        note_slice_used(core, thread);
    }
    (verdict, charged)
}

#[cold]
fn note_slice_used(core: &Core, thread: ThreadRef) {
    core.queue.lock().ready.round.slice_used(thread.block().slice_ns.get());
}

#[inline]
fn charge_alone(thread: ThreadRef, now: u64) -> (Verdict, Charge) {
    let block = thread.block();
    let ran = now.saturating_sub(block.since_ns.replace(now));
    let mut charge = block.charge.get();
    let verdict = charge.charge(ran, block.slice_ns.get());
    block.charge.set(charge);
    (verdict, charge)
}

/// As [`charge_alone`], for a thread that is preempted at `now`, when its worker's clock says `cpu_now`.
fn charge_without_stolen(place: Place, cpu_now: u64, now: u64) -> (Verdict, Charge) {
    let block = place.thread.block();
    let ran = now.saturating_sub(block.since_ns.replace(now));
    let core = place.core();
    let number = core.dispatches.load(Ordering::Relaxed);
    let stolen = place.worker.mark.get().stolen_ns(core.index, number, cpu_now, ran);
    let mut charge = block.charge.get();
    let verdict = charge.charge_without(ran, stolen, block.slice_ns.get());
    block.charge.set(charge);
    (verdict, charge)
}

/// About what it takes to wake the monitor.
const SOON_NS: u64 = 50_000;

/// `thread` runs on `core` from now on.
#[inline]
fn note_dispatch(core: &'static Core, thread: ThreadRef, now: u64) {
    let block = thread.block();
    let charge = block.charge.get();
    block.since_ns.set(now);
    block.core.set(core);
    core.dispatched_at_ns.store(now, Ordering::Relaxed);
    core.earned_ns.store(charge.earned_ns(), Ordering::Relaxed);
    core.nice.store(block.priority.get().nice(), Ordering::Relaxed);
    core.current.store(thread.as_ptr(), Ordering::Relaxed);
    core.slice_end_ns.store(now.saturating_add(charge.left_ns()), Ordering::Relaxed);
    let number = core.dispatches.load(Ordering::Relaxed) + 1;
    core.dispatches.store(number, Ordering::Release);
    trace::dispatched(core, thread);
    let runtime = core.runtime();
    if let Some(host) = &runtime.host {
        host.dispatched(block.number.get());
    }
    let deadline = core.next_deadline_ns.load(Ordering::Relaxed);
    let someone_waits = core.waiting.load(Ordering::Relaxed) > 0;
    let look_at = if someone_waits { deadline.min(now + charge.left_ns()) } else { deadline };
    if look_at != u64::MAX && !runtime.monitor.is_at_ease.load(Ordering::Relaxed) {
        // What is due so soon the core most likely sees itself, before the monitor were awake. Else that comes a step later.
        let soon = now.saturating_add(SOON_NS).max(core.brief_until_ns.load(Ordering::Relaxed));
        let is_soon = look_at < soon;
        wake::ensure_watched(runtime, if is_soon { now + wake::STEP_NS } else { look_at });
    }
}

/// Nobody runs on `core` from now on.
fn note_idle(core: &Core) {
    trace::idle(core);
    core.current.store(ptr::null_mut(), Ordering::Relaxed);
    let number = core.dispatches.load(Ordering::Relaxed) + 1;
    core.dispatches.store(number, Ordering::Release);
}

/// Where the calling kernel thread's worker itself goes on.
fn own_context(worker: &Worker) -> *mut Context {
    // SAFETY: whoever switches runs on its worker, and the context stays where it is until that ends.
    unsafe { worker.kernel_thread() }.context()
}

/// From the calling thread to `next`, or to the worker's own context.
///
/// # Safety
///
/// As [`raddle_context::switch`]; `parting` tells what becomes of the calling thread.
#[inline(always)]
unsafe fn leave(place: &Place, next: Option<ThreadRef>, parting: Parting, now: u64) {
    let (core, worker) = (place.core(), place.worker);
    worker.parting.set(parting);
    let to = match next {
        Some(next) => {
            note_dispatch(core, next, now);
            next.block().worker.store(ptr::from_ref(worker).cast_mut(), Ordering::Relaxed);
            next.body().context()
        }
        None => {
            note_idle(core);
            own_context(worker)
        }
    };
    // SAFETY: `next` came from a queue or is the worker's own suspended context; the rest is the caller's.
    unsafe { switch(place.thread.body().context(), to, worker) };
}

/// # Safety
///
/// As [`raddle_context::switch`].
#[inline(always)]
unsafe fn switch(from: *mut Context, to: *const Context, worker: &'static Worker) {
    let after = After::run(part, ptr::from_ref(worker).cast_mut().cast());
    // SAFETY: the caller's; workers are never freed.
    unsafe { raddle_context::switch(from, to, after) };
}

/// Runs on the new side of every switch: now the old side is saved.
unsafe extern "C" fn part(worker: *mut u8) {
    // SAFETY: `switch` was given a worker.
    let worker = unsafe { &*worker.cast::<Worker>() };
    match worker.parting.replace(Parting::Nothing) {
        Parting::Nothing => {}
        Parting::Queued => {
            let core = wake::core_of(&worker.core).expect("a worker that yields has a core");
            // SAFETY: `requeue` kept the lock for this moment, on this worker, which still has its core.
            unsafe { core.queue.release() };
        }
        Parting::Newborn => {
            newborns::leave(wake::core_of(&worker.core).expect("a worker that yields has a core"));
        }
        Parting::Sleeps(ticket, thread) => {
            if thread.block().sleeper.state.fall_asleep(ticket).is_err() {
                let core = wake::core_of(&worker.core).expect("a worker that switches has a core");
                trace::woken_on_its_way(core, thread);
                wake::ready_first(core, thread);
            } else if thread.block().attention.forbids_sleep() {
                signal(worker, Sleep { sleeper: thread.sleeper(), ticket });
            }
        }
        Parting::Evicted(thread) => {
            wake::ready_returned(thread);
            wake::ensure_watched(worker.runtime, 0);
        }
        Parting::Ended(thread) => part_for_ever(worker, thread),
    }
}

/// A thread that has fallen asleep is to look at its signals. Whoever sent them may not have seen that it was about to sleep; and
/// the thread may be awake by now, or another one: the ticket tells.
#[cold]
fn signal(worker: &Worker, sleep: Sleep) {
    let core = wake::core_of(&worker.core).expect("a worker that switches has a core");
    if sleep.state().wake(sleep.ticket, Reason::SIGNALLED.0) == Woke::Asleep {
        let thread = ThreadRef::of_sleeper(sleep.sleeper);
        trace::woken_on_its_way(core, thread);
        wake::ready_first(core, thread);
    }
}

/// The thread has left its stack for the last time.
fn part_for_ever(worker: &Worker, thread: ThreadRef) {
    let core = wake::core_of(&worker.core).expect("a worker that switches has a core");
    let block: &Block = thread.block();
    block.id.set(0);
    // SAFETY: this is the holder, with preemption forbidden; the reference ends before anything else is called.
    // The body's last thread is gone, and nobody else owns it.
    unsafe {
        let body = Body::from_ref(thread.body());
        match block.arena.get().as_ref() {
            None => (*core.own.get()).cache.give(body),
            Some(large) => large.give(body),
        }
    }
    Counters::add(&core.counters.ended, 1);
}
