//! The one door to waking: ends sleeps, makes threads ready, and wakes whoever shall run them.

#![allow(unsafe_code, reason = "cells of a thread that is in the caller's hands")]

use crate::counters::Counters;
use crate::flag;
use crate::machine::{Blocks, Core, Runtime, ThreadRef, Worker};
use crate::sleeper::{Foreign, Kind, Reason, Sleep};
use crate::sys::futex;
use crate::trace;
use raddle_core::run_queue::{Array, End};
use raddle_core::slice::{self, may_preempt};
use raddle_core::state::Woke;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// How soon a thread that waits behind a running one must be seen to, at the latest: the monitor's step while anybody
/// runs.
pub(crate) const STEP_NS: u64 = 1_000_000;

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
    foreign.word.store(1, Ordering::Release);
    futex::wake(&foreign.word, 1);
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
            if is_free && ptr::eq(home.runtime(), here.runtime()) {
                credit_sleep(thread, here, here.now_ns.load(Ordering::Relaxed));
                trace::woken(Some(here), thread, here);
                return Some(thread);
            }
            ready(thread, Some(here));
            None
        }
    }
}

/// Gives a thread what it has earned by sleeping until `now_ns`.
fn credit_sleep(thread: ThreadRef, core: &Core, now_ns: u64) {
    let block = thread.block();
    let mut charge = block.charge.get();
    let slept = now_ns.saturating_sub(block.since_ns.get());
    charge.refill_after_sleep(slept, core.waiting.load(Ordering::Relaxed), block.slice_ns.get());
    block.charge.set(charge);
}

/// Makes a thread ready that slept until now and is in the caller's hands.
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
    credit_sleep(thread, target, now);
    trace::woken(here, thread, target);
    submit(target, thread, now, here);
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
            (choose(core), core.now_ns.load(Ordering::Relaxed))
        }
        None => {
            let turn = runtime.turn.fetch_add(1, Ordering::Relaxed);
            let home = &runtime.cores[turn % runtime.cores.len()];
            (choose_from_outside(home), runtime.coarse_ns())
        }
    };
    trace::begun(here, thread, target);
    submit(target, thread, now, here);
}

/// A thread goes to its waker's core, which has its data at hand, unless a core is idle that is worth waking.
fn choose(core: &'static Core) -> &'static Core {
    let waiting = core.waiting.load(Ordering::Relaxed) + 1;
    if !shall_wake_core(core, waiting) {
        return core;
    }
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

/// Queues a thread that is in the caller's hands, behind its equals, and sees to it that somebody looks.
fn submit(target: &'static Core, thread: ThreadRef, now_ns: u64, here: Option<&'static Core>) {
    let block = thread.block();
    let runtime = target.runtime();
    let mut charge = block.charge.get();
    let level = block.level(&charge);
    let mut queue = target.queue.lock();
    let array = queue.ready.round.array_for_woken(now_ns, runtime.settings.slice_ns);
    let array = charge.array_for(array);
    block.charge.set(charge);
    queue.ready.threads.push(&Blocks, thread, level, array, End::Back);
    let waiting = queue.ready.threads.len();
    target.waiting.store(waiting, Ordering::Relaxed);
    let was_idle = std::mem::take(&mut queue.is_idle);
    drop(queue);
    if was_idle {
        wake_core(target);
        return;
    }
    match here {
        Some(core) if ptr::eq(core, target) => {
            let preempts = runtime.settings.preempts && array == Array::Active;
            if preempts && has_computed(core) && may_preempt(level, level_at_dispatch(core)) {
                // The caller itself is the one to give way, when it leaves the runtime.
                // SAFETY: the core has a worker: the caller's.
                let worker = unsafe { &*core.worker.load(Ordering::Relaxed) };
                worker.flags.fetch_or(flag::PREEMPT, Ordering::Relaxed);
            }
            if shall_wake_core(target, waiting) {
                wake_idle_core(runtime);
            }
            ensure_watched(runtime, now_ns + STEP_NS);
        }
        // Somebody runs there: the monitor weighs the two.
        _ => ensure_watched(runtime, 0),
    }
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
    runtime.cores.iter().any(|core| {
        let seems_idle = core.current.load(Ordering::Relaxed).is_null();
        let was_idle = seems_idle
            && core.queue.try_lock().is_some_and(|mut queue| std::mem::take(&mut queue.is_idle));
        if was_idle {
            core.is_to_help.store(true, Ordering::Relaxed);
            wake_core(core);
        }
        was_idle
    })
}

/// The worker of `core` was idle, and the caller has cleared the mark that said so.
fn wake_core(core: &'static Core) {
    // SAFETY: workers are never freed. An idle core keeps its worker.
    if let Some(worker) = unsafe { core.worker.load(Ordering::Acquire).as_ref() } {
        wake_worker(worker);
    }
}

/// Wakes a worker that sleeps, or is about to, idle or as a spare.
pub(crate) fn wake_worker(worker: &Worker) {
    if worker.woken.swap(1, Ordering::AcqRel) == 0 {
        futex::wake(&worker.woken, 1);
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
    if runtime.monitor.poked.swap(1, Ordering::AcqRel) == 0 {
        futex::wake(&runtime.monitor.poked, 1);
    }
}

/// Queues a thread that has come back from the kernel without a core, and is in the caller's hands: where it ran last. What it was away
/// counts as a sleep.
pub(crate) fn ready_returned(thread: ThreadRef) {
    // SAFETY: it ran, so it has a core.
    let home = unsafe { &*thread.block().core.get() };
    let now = home.runtime().coarse_ns();
    credit_sleep(thread, home, now);
    submit(home, thread, now, None);
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
    core.waiting.store(queue.ready.threads.len(), Ordering::Relaxed);
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
