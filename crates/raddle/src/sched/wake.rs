//! The one door to waking: ends sleeps, makes threads ready, and wakes whoever shall run them.

#![allow(unsafe_code, reason = "cells of a thread that is in the caller's hands")]

use crate::counters::Counters;
use crate::machine::{Blocks, Core, Runtime, ThreadRef, Worker};
use crate::newborns;
use crate::sleeper::{Foreign, Kind, Reason, Sleep};
use crate::sys::futex;
use crate::trace;
use raddle_core::bell::Sleeps;
use raddle_core::run_queue::{Array, End};
use raddle_core::slice::{self, Charge, may_preempt};
use raddle_core::state::Woke;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// How soon a thread that waits behind a running one must be seen to, at the latest: the monitor's step while anybody
/// runs.
pub(crate) const STEP_NS: u64 = 1_000_000;

/// The step while no thread has a core for long.
pub(crate) const QUICK_STEP_NS: u64 = 3_000_000;

/// How soon the monitor is asked to look, for who is in no hurry: a step of it, as it is at present, and what the asking core's clock may be behind
/// its own where threads come and go. Else it would be woken from one step to begin the next.
#[inline]
pub(crate) fn step_ns(runtime: &Runtime) -> u64 {
    let is_at_ease = runtime.monitor.is_at_ease.load(Ordering::Relaxed);
    if is_at_ease { QUICK_STEP_NS + STEP_NS } else { STEP_NS }
}

/// Ends `sleep`, unless it is over. Whether this call was what ended it.
///
/// `here` is the core that the caller holds, with preemption forbidden; `None` on a kernel thread that holds none.
pub(crate) fn wake(sleep: Sleep, reason: Reason, here: Option<&'static Core>) -> bool {
    match sleep.state().wake(sleep.ticket, reason.0) {
        Woke::TooLate => false,
        Woke::OnItsWay => true,
        Woke::Asleep => {
            match sleep.kind() {
                Kind::Thread => ready(ThreadRef::of_sleeper(sleep.sleeper), here),
                Kind::KernelThread => wake_kernel_thread(Foreign::of(sleep.sleeper)),
            }
            true
        }
    }
}

fn wake_kernel_thread(foreign: &Foreign) {
    // Also if it rang already: whoever rang for an earlier sleep may take long to wake for this one.
    let _ = foreign.bell.ring();
    futex::wake(foreign.bell.word(), 1);
}

/// As [`wake`], but the thread, if it is one of raddle's that nobody else needs to run before, is given to the caller, which runs it
/// at once: on the core `here`, where no thread waits.
pub(crate) fn wake_to_run(sleep: Sleep, reason: Reason, here: &'static Core) -> Option<ThreadRef> {
    match sleep.state().wake(sleep.ticket, reason.0) {
        Woke::TooLate | Woke::OnItsWay => None,
        Woke::Asleep if sleep.kind() == Kind::KernelThread => {
            wake_kernel_thread(Foreign::of(sleep.sleeper));
            None
        }
        Woke::Asleep => {
            let thread = ThreadRef::of_sleeper(sleep.sleeper);
            // SAFETY: a thread that sleeps has run, so it has a core.
            let home = unsafe { &*thread.block().core.get() };
            let is_free = here.waiting.load(Ordering::Relaxed) == 0;
            let is_bound_elsewhere = thread.block().link.is_bound() && !ptr::eq(home, here);
            if is_free && !is_bound_elsewhere && ptr::eq(home.runtime(), here.runtime()) {
                let now = here.now_ns.load(Ordering::Relaxed);
                let charge = rested(thread, 0, now);
                thread.block().charge.set(charge);
                trace::woken(Some(here), thread, here);
                return Some(thread);
            }
            ready(thread, Some(here));
            None
        }
    }
}

/// The account of a thread that has slept until `now_ns`.
fn rested(thread: ThreadRef, sharers: usize, now_ns: u64) -> Charge {
    let block = thread.block();
    let mut charge = block.charge.get();
    let slept = now_ns.saturating_sub(block.since_ns.get());
    charge.refill_after_sleep(slept, sharers, block.slice_ns.get());
    charge
}

/// Makes a thread ready that slept until now and is in the caller's hands.
#[inline]
fn ready(thread: ThreadRef, here: Option<&'static Core>) {
    let block = thread.block();
    // SAFETY: a thread that sleeps has run, so it has a core.
    let home = unsafe { &*block.core.get() };
    let runtime = home.runtime();
    let here = here.filter(|core| ptr::eq(core.runtime(), runtime));
    let (target, now) = match here {
        // The core's clock will do, which may be a millisecond late: what is asked is how long the thread slept.
        Some(core) => (choose(core), core.now_ns.load(Ordering::Relaxed)),
        None => (choose_from_outside(home), runtime.coarse_ns()),
    };
    // Where a bound thread ran last, it is bound to.
    let target = if block.link.is_bound() { home } else { target };
    trace::woken(here, thread, target);
    if let Some(core) = here.filter(|&core| ptr::eq(core, target))
        && let Some(level) = keep_woken(core, thread, now)
    {
        return see_to_own(core, level, Array::Active, now);
    }
    submit(target, thread, From::Sleep, now, here);
}

/// Makes a new thread ready, on the creator's core or, from outside, on any.
pub(crate) fn ready_new(thread: ThreadRef, runtime: &'static Runtime, here: Option<&'static Core>) {
    if runtime.host.is_some() {
        let number = runtime.simulated.fetch_add(1, Ordering::Relaxed) + 1;
        thread.block().number.set(number);
    }
    let here = here.filter(|core| ptr::eq(core.runtime(), runtime));
    let (target, now) = match here {
        Some(core) => {
            Counters::add(&core.counters.started, 1);
            if keep_newborn(core, thread) {
                return;
            }
            (choose(core), core.now_ns.load(Ordering::Relaxed))
        }
        None => {
            let turn = runtime.turn.fetch_add(1, Ordering::Relaxed);
            let home = &runtime.cores[turn % runtime.cores.len()];
            (choose_from_outside(home), runtime.coarse_ns())
        }
    };
    trace::begun(here, thread, target);
    submit(target, thread, From::Nowhere, now, here);
}

/// Leaves a new thread in the nursery of `core`, the caller's, if no other core is to be woken for it. False: it is to be queued.
#[inline]
fn keep_newborn(core: &'static Core, thread: ThreadRef) -> bool {
    let waiting = core.waiting.movable(Ordering::Relaxed) + 1;
    if shall_wake_core(core, waiting) || !newborns::keep(core, thread) {
        return false;
    }
    trace::begun(Some(core), thread, core);
    let runtime = core.runtime();
    ensure_watched(runtime, core.now_ns.load(Ordering::Relaxed) + step_ns(runtime));
    true
}

/// Makes a new thread ready on the core `placed`, whoever is idle.
///
/// That core runs, most likely, threads that are gone soon, and looks at its queue after each: the monitor is not called for this one, but
/// weighs it against a thread that computes with its next step.
pub(crate) fn ready_new_on(placed: &'static Core, thread: ThreadRef, here: Option<&'static Core>) {
    let runtime = placed.runtime();
    if runtime.host.is_some() {
        let number = runtime.simulated.fetch_add(1, Ordering::Relaxed) + 1;
        thread.block().number.set(number);
    }
    let here = here.filter(|core| ptr::eq(core.runtime(), runtime));
    let now = match here {
        Some(core) => {
            Counters::add(&core.counters.started, 1);
            // Thieves empty nurseries: who is bound stands in the queue, where they see that.
            let is_free = !thread.block().link.is_bound();
            if is_free && ptr::eq(core, placed) && keep_newborn(core, thread) {
                return;
            }
            core.now_ns.load(Ordering::Relaxed)
        }
        None => {
            runtime.turn.fetch_add(1, Ordering::Relaxed);
            runtime.coarse_ns()
        }
    };
    trace::begun(here, thread, placed);
    submit(placed, thread, From::Placed, now, here);
}

/// A thread goes to its waker's core, which has its data at hand, unless a core is idle that is worth waking.
#[inline]
fn choose(core: &'static Core) -> &'static Core {
    let waiting = core.waiting.movable(Ordering::Relaxed) + 1;
    if shall_wake_core(core, waiting) { choose_idle(core) } else { core }
}

#[cold]
fn choose_idle(core: &'static Core) -> &'static Core {
    let Some(idle) = idle_core(core.runtime(), Some(core)) else { return core };
    idle.is_to_help.store(true, Ordering::Relaxed);
    idle
}

/// Whether a core is idle, and is to be woken, now that so many threads wait on `core`, which is the caller's. The running one may be about
/// to make room for them. If it is not, the monitor sees to it.
#[inline]
fn shall_wake_core(core: &Core, waiting: usize) -> bool {
    let runtime = core.runtime();
    runtime.idle_cores.load(Ordering::Relaxed) > 0 && runtime.eagerness.shall_help(waiting)
}

/// From outside, a thread goes where it ran last unless only another core is idle.
#[inline(never)]
fn choose_from_outside(home: &'static Core) -> &'static Core {
    let is_busy = !home.current.load(Ordering::Relaxed).is_null();
    let runtime = home.runtime();
    if is_busy && runtime.idle_cores.load(Ordering::Relaxed) > 0 {
        idle_core(runtime, None).unwrap_or(home)
    } else {
        home
    }
}

/// A core whose worker seems to have nothing to do, but for `here`: a core that looks for work seems so, too.
fn idle_core(runtime: &'static Runtime, here: Option<&Core>) -> Option<&'static Core> {
    runtime.cores.iter().filter(|core| !here.is_some_and(|here| ptr::eq(*core, here))).find(
        |core| {
            core.current.load(Ordering::Relaxed).is_null()
                && core.waiting.load(Ordering::Relaxed) == 0
        },
    )
}

/// Where a thread comes from that is to be queued.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// It is new.
    Nowhere,
    /// It is new, and its spawner has chosen the core.
    Placed,
    Sleep,
}

/// Queues a thread that is in the caller's hands, behind its equals, and sees to it that somebody looks.
#[inline(never)]
fn submit(
    target: &'static Core,
    thread: ThreadRef,
    from: From,
    now_ns: u64,
    here: Option<&'static Core>,
) {
    let block = thread.block();
    let runtime = target.runtime();
    let mut queue = target.queue.lock();
    if here.is_some_and(|here| ptr::eq(here, target)) {
        newborns::queue_own(target, &mut queue, now_ns);
    } else {
        newborns::begin_round(target, &mut queue, now_ns);
    }
    let mut charge = match from {
        From::Nowhere | From::Placed => block.charge.get(),
        From::Sleep => {
            let queued = queue.ready.threads.len();
            rested(thread, queue.ready.round.sharers(queued, now_ns), now_ns)
        }
    };
    let level = block.level(&charge);
    let array = queue.ready.round.array_for_woken(now_ns, runtime.settings.slice_ns);
    let array = charge.array_for(array);
    block.charge.set(charge);
    queue.ready.threads.push(&Blocks, thread, level, array, End::Back);
    target.waiting.publish(&queue.ready.threads);
    let was_idle = std::mem::take(&mut queue.is_idle);
    drop(queue);
    if was_idle {
        wake_core(target);
        return;
    }
    match here {
        Some(core) if ptr::eq(core, target) => see_to_own(core, level, array, now_ns),
        _ if from == From::Placed => ensure_watched(runtime, now_ns + step_ns(runtime)),
        // Somebody runs there: the monitor weighs the two.
        _ => ensure_watched(runtime, 0),
    }
}

/// Keeps a thread that has slept until now from the queue of `core`, the caller's, if nobody is there: its level.
#[inline]
fn keep_woken(core: &Core, thread: ThreadRef, now_ns: u64) -> Option<u8> {
    let block = thread.block();
    let is_chosen = core.runtime().host.is_some();
    if is_chosen || core.waiting.queued() > 0 || block.link.is_bound() {
        return None;
    }
    let mut charge = rested(thread, core.waiting.newborn(), now_ns);
    if charge.array_for(Array::Active) == Array::Expired {
        return None;
    }
    let level = block.level(&charge);
    newborns::push(core, thread, charge, level).then_some(level)
}

/// A thread was made ready on `core`, the caller's: sees to it that it runs in time.
#[inline(always)]
fn see_to_own(core: &'static Core, level: u8, array: Array, now_ns: u64) {
    let runtime = core.runtime();
    let preempts = runtime.settings.preempts && array == Array::Active;
    if preempts && has_computed(core) && may_preempt(level, level_at_dispatch(core)) {
        // The caller itself is the one to give way, when it leaves the runtime.
        // SAFETY: the core has a worker: the caller's.
        let worker = unsafe { &*core.worker.load(Ordering::Relaxed) };
        worker.notes.preempt();
    }
    if shall_wake_core(core, core.waiting.movable(Ordering::Relaxed)) {
        wake_idle_core(runtime);
    }
    ensure_watched(runtime, now_ns + step_ns(runtime));
}

/// Whether the running thread has been at it for a while, by the core's clock. One that was dispatched a moment ago is most often about to
/// sleep, as those do that talk to one another; if not, the monitor weighs the two within a millisecond.
fn has_computed(core: &Core) -> bool {
    const WHILE_NS: u64 = 100_000;
    let since = core.dispatched_at_ns.load(Ordering::Relaxed);
    core.now_ns.load(Ordering::Relaxed).saturating_sub(since) >= WHILE_NS
}

/// The running thread's level when it was dispatched.
fn level_at_dispatch(core: &Core) -> u8 {
    let priority = slice::Priority::new(core.nice.load(Ordering::Relaxed));
    let slice = slice::slice_ns(core.runtime().settings.slice_ns, priority);
    slice::level(priority, core.earned_ns.load(Ordering::Relaxed), slice)
}

/// Wakes a core that sleeps, if there is one, so that it steals.
pub(crate) fn wake_idle_core(runtime: &'static Runtime) -> bool {
    let idle = take_idle_core(runtime);
    if let Some(core) = idle {
        core.is_to_help.store(true, Ordering::Relaxed);
        wake_core(core);
    }
    idle.is_some()
}

/// Wakes a core that sleeps, if there is one: when it sleeps again it keeps time for all that are idle.
#[cold]
pub(crate) fn wake_to_keep_time(runtime: &'static Runtime) {
    take_idle_core(runtime).into_iter().for_each(wake_core);
}

/// A core that sleeps: the mark that says so is taken down, and the caller wakes it.
fn take_idle_core(runtime: &'static Runtime) -> Option<&'static Core> {
    runtime.cores.iter().find(|core| {
        let seems_idle = core.current.load(Ordering::Relaxed).is_null();
        seems_idle
            && core.queue.try_lock().is_some_and(|mut queue| std::mem::take(&mut queue.is_idle))
    })
}

/// The worker of `core` was idle, and the caller has cleared the mark that said so.
pub(crate) fn wake_core(core: &'static Core) {
    // SAFETY: workers are never freed. An idle core keeps its worker.
    if let Some(worker) = unsafe { core.worker.load(Ordering::Acquire).as_ref() } {
        wake_worker(worker);
    }
}

/// Wakes a worker that sleeps, or is about to, idle or as a spare.
pub(crate) fn wake_worker(worker: &Worker) {
    match worker.woken.ring_anywhere() {
        Sleeps::SeenTo => {}
        Sleeps::Here => {
            futex::wake(worker.woken.word(), 1);
        }
        // In its core's event queue, which it does not leave before somebody wakes it there.
        Sleeps::Elsewhere => {
            if let Some(waker) = core_of(&worker.core).and_then(|core| core.events.waker.get()) {
                waker.wake();
            }
        }
    }
}

/// Sees to it that the monitor looks at `at_ns`, or soon after; 0 for at once.
#[inline]
pub(crate) fn ensure_watched(runtime: &Runtime, at_ns: u64) {
    /// What it may be late, rather than be woken for it.
    const TOLERANCE_NS: u64 = 20_000;
    let planned = runtime.monitor.wakes_at_ns.load(Ordering::Relaxed);
    if planned > at_ns.saturating_add(TOLERANCE_NS) {
        poke_monitor(runtime);
    }
}

#[cold]
fn poke_monitor(runtime: &Runtime) {
    if runtime.monitor.poked.ring() {
        futex::wake(runtime.monitor.poked.word(), 1);
    }
}

/// Queues a thread that has come back from the kernel without a core, and is in the caller's hands: where it ran last. What it was away
/// counts as a sleep.
pub(crate) fn ready_returned(thread: ThreadRef) {
    // SAFETY: it ran, so it has a core.
    let home = unsafe { &*thread.block().core.get() };
    let now = home.runtime().coarse_ns();
    submit(home, thread, From::Sleep, now, None);
}

/// Queues a thread that is in the caller's hands on `core`, before its equals if some of its slice is left: one that was about to sleep and
/// was woken before, or that was taken from another core to run next.
pub(crate) fn ready_first(core: &'static Core, thread: ThreadRef) {
    let block = thread.block();
    let mut charge = block.charge.get();
    let level = block.level(&charge);
    let array = charge.array_for(Array::Active);
    block.charge.set(charge);
    let end = if array == Array::Active { End::Front } else { End::Back };
    let mut queue = core.queue.lock();
    queue.ready.threads.push(&Blocks, thread, level, array, end);
    core.waiting.publish(&queue.ready.threads);
    let was_idle = std::mem::take(&mut queue.is_idle);
    drop(queue);
    if was_idle {
        wake_core(core);
    }
}

/// The core that a worker sits on.
pub(crate) fn core_of(core: &AtomicPtr<Core>) -> Option<&'static Core> {
    // SAFETY: cores are never freed.
    unsafe { core.load(Ordering::Acquire).as_ref() }
}
