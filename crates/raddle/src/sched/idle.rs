//! A core that has nothing to run: it sleeps until there is something, and one of those that sleep keeps time for all.

use crate::machine::{Core, Runtime, Worker};
use crate::sched::{core_clock, events, pick, timers, wake};
use crate::sys::{clock, futex};
use raddle_core::timekeeper::Timekeeper;
use std::hint::spin_loop;
use std::sync::atomic::{Ordering, fence};

/// What a worker remembers of how its core came to its present work.
#[derive(Default)]
pub(super) struct Stint {
    /// Since when it has been helping another core.
    pub(super) helps_since_ns: Option<u64>,
    /// Since when it has been at timers, for which alone it woke.
    at_timers_since_ns: Option<u64>,
}

impl Stint {
    /// The core has nothing to do again.
    pub(super) fn is_over(&mut self, runtime: &Runtime, now_ns: u64) {
        if let Some(since) = self.helps_since_ns.take() {
            let lag = runtime.timekeeper.lag_ns();
            runtime.eagerness.helper_is_idle_again(now_ns.saturating_sub(since), lag);
        }
        if let Some(since) = self.at_timers_since_ns.take() {
            runtime.timekeeper.was_busy(now_ns.saturating_sub(since));
        }
    }
}

/// Sleeps, unless `core` is needed: until somebody wakes the worker, or a timer is due. The queue's mark `is_idle` is set.
pub(super) fn sleep(worker: &Worker, core: &'static Core, stint: &mut Stint) {
    let runtime = core.runtime();
    runtime.idle_cores.fetch_add(1, Ordering::SeqCst);
    // Whoever queued a thread elsewhere just before has not seen that this core is idle.
    let is_needed = runtime
        .cores
        .iter()
        .any(|other| pick::shall_help(core, other.waiting.movable(Ordering::SeqCst)));
    let office = if is_needed { None } else { sleep_until_needed(worker, core) };
    let now = core_clock::read(core);
    let was_woken = worker.woken.is_rung();
    let woke_for_timers_ns = (!was_woken && office.is_some()).then_some(now);
    let look_at = office.map_or(u64::MAX, |until| leave_office(core, until, woke_for_timers_ns));
    runtime.idle_cores.fetch_sub(1, Ordering::SeqCst);
    // Either the monitor, which is about to sleep, sees that, or this core sees until when it sleeps.
    fence(Ordering::SeqCst);
    core.queue.lock().is_idle = false;
    if office.is_some() {
        timers::expire_idle(runtime, core);
        stint.at_timers_since_ns = woke_for_timers_ns;
    }
    wake::ensure_watched(runtime, look_at.min(now + wake::step_ns(runtime)));
}

/// The core, which took over to keep time until `until_ns`, is awake; since when, if for nothing but timers. Says when the monitor must look at
/// the timers of idle cores.
fn leave_office(core: &Core, until_ns: u64, woke_for_timers_ns: Option<u64>) -> u64 {
    let runtime = core.runtime();
    let keeper = &runtime.timekeeper;
    let brief_from = woke_for_timers_ns.filter(|_| keeper.is_mostly_brief());
    keeper.await_back(brief_from.map_or(0, |now| now + wake::STEP_NS));
    core.brief_until_ns
        .store(brief_from.map_or(0, |now| now + Timekeeper::SHORT_NS), Ordering::Relaxed);
    let was_keeper = keeper.lay_down(until_ns);
    if was_keeper && brief_from.is_none() { timers::first_of_idle(runtime, core) } else { u64::MAX }
}

/// Until when the core took over to keep time, if it did.
fn sleep_until_needed(worker: &Worker, core: &'static Core) -> Option<u64> {
    let runtime = core.runtime();
    let keeper = &runtime.timekeeper;
    let first = timers::first_of_idle(runtime, core);
    let until = keeper.when(first, runtime.settings.timer_slack_ns);
    let now = clock::now_ns();
    core.counters.idle.begins(now);
    let is_keeper = first != u64::MAX
        && !is_left_to_monitor(runtime, first, now)
        && keeper.take_office(until, now);
    let mut ask = is_keeper.then(|| until.saturating_sub(keeper.lag_ns()));
    let mut sleeps = ask.is_some_and(|asked| asked > now);
    while !worker.woken.is_rung() {
        if core.events.is_armed() {
            if events::wait(worker, core, ask) {
                break;
            }
        } else {
            futex::wait(worker.woken.word(), 0, ask);
        }
        let Some(asked) = ask else { continue };
        let now = clock::now_ns();
        if now < asked {
            continue;
        }
        if sleeps {
            keeper.kernel_was_late(now - asked);
        }
        if now.saturating_add(AWAKE_AT_MOST_NS) >= first {
            keeper.woke_for_timers(now);
            stay_awake(worker, first);
            break;
        }
        // Much quicker than it is most times, or asked too early.
        ask = Some(first);
        sleeps = true;
    }
    core.counters.idle.ends(clock::now_ns());
    is_keeper.then_some(until)
}

/// Whether the timers of idle cores, of which the first is due at `first`, are the monitor's, which looks often while cores wake and sleep all
/// the time.
fn is_left_to_monitor(runtime: &Runtime, first: u64, now: u64) -> bool {
    let monitor = &runtime.monitor;
    if !monitor.is_at_ease.load(Ordering::Relaxed) {
        return false;
    }
    // Either the monitor, which begins to look, sees the deadline, or this core sees that it has begun.
    fence(Ordering::SeqCst);
    let looks_at = monitor.wakes_at_ns.load(Ordering::Relaxed);
    runtime.timekeeper.may_leave_to_monitor(first, looks_at, now)
}

/// For so long a core that woke early stays awake.
const AWAKE_AT_MOST_NS: u64 = 10_000;

fn stay_awake(worker: &Worker, until_ns: u64) {
    while !worker.woken.is_rung() && clock::now_ns() < until_ns {
        spin_loop();
    }
}
