//! The monitor: a kernel thread that watches the others.
//!
//! Whoever computes does not look at clocks, and whoever blocks in the kernel does not look at anything. So the monitor sees to
//! it that slices end, that timers of busy cores fire, that threads that wait behind a computing one get an idle core,
//! and that a core whose worker has blocked gets another worker. While nobody runs, it sleeps without a deadline.
//!
//! # Taking a core away
//!
//! When a worker is *blocked*, [`raddle_core::pool`] says. Then the monitor casts doubt on the worker's core, makes a `membarrier(2)`, and
//! takes it if the thread is outside the runtime. The protocol is in `raddle_core::notes`. A thread that may hold a runtime lock is inside,
//! so no core is ever taken from under one.

#![allow(unsafe_code, reason = "pointers to workers and cores, which are never freed")]

use crate::dump;
use crate::machine::{Core, Runtime, Worker};
use crate::sched::{census, events, handover, staffing, timers, wake};
use crate::sys::kernel_threads::{self, WaitsFor};
use crate::sys::{clock, futex, task};
use crate::trace;
use raddle_core::bell::Bell;
use raddle_core::pool::{self, KernelState, Seat};
use raddle_core::slice;
use raddle_core::timekeeper::Timekeeper;
use std::ptr;
use std::sync::atomic::{Ordering, fence};

/// After so many steps in which nothing moved they become longer, up to [`LONGEST_NS`].
const CALM: u32 = 8;
const LONGEST_NS: u64 = 8_000_000;
/// So many dispatches since the last look show that nobody has the core for long. Where that is so of all that are busy, the steps are
/// longer, too, and nobody wakes the monitor for the end of a slice: most that run are gone long before, and each wake-up would take 14 us
/// from them. Who begins to compute then is seen to at the next step.
const QUICK: u64 = 16;
/// Between the two looks that show a worker blocked.
const SECOND_LOOK_NS: u64 = 200_000;
/// No look is sooner after the one before, for the end of a slice: the shortest slices end every few microseconds.
const LEAST_NS: u64 = SECOND_LOOK_NS / 4;
/// From a signal to the dispatch that follows it, at most: whoever looks sooner finds the next slice not quite over, and waits awake.
const ON_ITS_WAY_NS: u64 = 15_000;
/// With all cores idle for so long it goes to sleep without a deadline.
const DROWSY_NS: u64 = 20_000_000;
/// How often workers without a core are looked at when nobody else asks for it.
const HOMELESS_NS: u64 = 1_000_000_000;

/// What the monitor remembers of a core.
#[derive(Clone, Copy, Default)]
struct Look {
    dispatches: u64,
    slice_end_ns: u64,
    /// The first of two looks that show its worker blocked.
    first: Option<pool::Look>,
    /// When this run was signalled last, and for the end of which slice; 0: it was not.
    signalled_ns: u64,
    signalled_for_ns: u64,
    /// How often it was signalled since the last look.
    signals: u64,
    /// How often a thread was found blocked here.
    found_blocked: u32,
    /// How often in a row threads waited here and no help was sent.
    passed_over: u32,
    /// How often the holder had looked at its event queue.
    event_looks: u64,
    /// So many threads have run since the look before that none has had the core for long.
    is_quick: bool,
}

impl Look {
    /// What the worker, which policy calls blocked, may wait for if it shall rather step back than be replaced.
    fn shall_step_back(&mut self, runtime: &Runtime, is_exhausted: bool) -> Option<WaitsFor> {
        self.found_blocked = self.found_blocked.wrapping_add(1);
        let counts = census::count(runtime);
        let is_one_of_many = pool::is_one_of_a_crowd(&counts, self.found_blocked);
        if is_exhausted {
            Some(WaitsFor::LockOrInput)
        } else {
            (pool::run_short(&counts) || is_one_of_many).then_some(WaitsFor::Lock)
        }
    }

    /// Whether an idle core is to help, as threads wait. So many dispatches since the last look show that none waits for long: then only
    /// now and then.
    fn shall_send_help(&mut self, moved: u64, patience: u32) -> bool {
        self.passed_over += 1;
        let shall_send = moved < QUICK || self.passed_over >= patience;
        if shall_send {
            self.passed_over = 0;
        }
        shall_send
    }

    /// Looks at the event queue of `core`, if its holder has not since the last time.
    fn look_after_events(&mut self, core: &'static Core) {
        let looks = core.events.looks.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.event_looks, looks) == looks {
            events::look_after(core);
        }
    }

    /// Whether threads of `core` have slept, woken or ended since the last look. Those that only compute change when they are told to.
    fn sees_movement(&mut self, core: &Core) -> bool {
        let dispatches = core.dispatches.load(Ordering::Relaxed).wrapping_sub(self.dispatches);
        self.is_quick = dispatches >= QUICK;
        dispatches > std::mem::take(&mut self.signals)
    }

    /// The core is idle: what happened since the last look is over. Whether it was much, and short.
    fn sees_idle(&mut self, core: &Core) -> bool {
        self.sees_movement(core);
        (self.dispatches, self.first) = (core.dispatches.load(Ordering::Acquire), None);
        self.is_quick
    }

    /// How long to leave the core alone.
    fn step_ns(&self) -> u64 {
        if self.is_quick { wake::QUICK_STEP_NS } else { wake::STEP_NS }
    }

    /// Whether the same run is to be signalled for the end of this slice. Not for as long as the last signal may still be on its way: under
    /// a debugger each takes longer than this loop, and each would find the thread at its handler's first instruction.
    fn shall_signal(&mut self, is_same: bool, slice_end: u64, now: u64) -> bool {
        let is_on_its_way = is_same
            && self.signalled_for_ns == slice_end
            && now < self.signalled_ns.saturating_add(wake::STEP_NS);
        if !is_on_its_way {
            (self.signalled_ns, self.signalled_for_ns) = (now, slice_end);
            self.signals += 1;
        }
        !is_on_its_way
    }

    /// Whether the look could not know of the slice that ends then, of that run: the run has begun since, or who was signalled has put off
    /// to give way.
    fn has_missed(&self, dispatches: u64, slice_end: u64) -> bool {
        self.dispatches != dispatches || self.slice_end_ns != slice_end
    }
}

/// Watches `runtime` for ever, on the calling kernel thread.
pub(crate) fn watch(runtime: &'static Runtime) -> ! {
    task::want_exact_timers();
    task::want_short_slice();
    let mut looks = vec![Look::default(); runtime.cores.len()];
    let mut calm = 0;
    let mut busy_at = clock::now_ns();
    let mut fixed_at = busy_at;
    let mut evicted_at = busy_at;
    let mut is_exhausted = false;
    let mut idleness = pool::Idleness::new(runtime.settings.keep_alive_ns, busy_at);
    loop {
        runtime.monitor.wakes_at_ns.store(0, Ordering::Relaxed);
        let was_poked = runtime.monitor.poked.silence();
        fence(Ordering::SeqCst);
        let now = clock::now_ns();
        if now - fixed_at > LONGEST_NS {
            clock::renew();
            fixed_at = now;
        }
        let mut next = u64::MAX;
        if dump::is_asked() {
            dump::serve(runtime);
            next = now + wake::STEP_NS;
        }
        let mut is_busy = false;
        let mut has_moved = false;
        let mut is_quick = true;
        let mut was_quick = false;
        let anyone_waits = runtime.anyone_waits();
        let kept_until = runtime.timekeeper.until_ns();
        let idle_cores = runtime.idle_cores.load(Ordering::Relaxed);
        for (core, look) in runtime.cores.iter().zip(&mut looks) {
            if core.current.load(Ordering::Relaxed).is_null() {
                // Perhaps it was just given work.
                was_quick |= look.sees_idle(core);
                if !is_kept(core, kept_until, now) {
                    next = next.min(keep_time(core, now));
                }
                continue;
            }
            is_busy = true;
            core.now_ns.store(now, Ordering::Relaxed);
            has_moved |= look.sees_movement(core);
            is_quick &= look.is_quick;
            if core.events.is_armed() {
                look.look_after_events(core);
                next = next.min(now + look.step_ns());
            }
            next = next.min(examine(core, look, anyone_waits, is_exhausted, now));
        }
        is_exhausted = staffing::keep_spare(runtime);
        if now >= evicted_at + wake::STEP_NS {
            evict_homeless(runtime, anyone_waits && is_exhausted);
            evicted_at = now;
        }
        let surplus_at = staffing::end_surplus(runtime, &mut idleness, now);
        next = next.min(surplus_at);
        let is_at_ease = if is_busy { is_quick } else { was_quick };
        if is_busy {
            busy_at = now;
            calm = if has_moved || was_poked { 0 } else { calm + 1 };
            let step = if is_quick {
                wake::QUICK_STEP_NS
            } else if calm < CALM {
                wake::STEP_NS
            } else {
                (wake::STEP_NS << (calm - CALM).min(8)).min(LONGEST_NS)
            };
            next = next.min(now + step);
        } else if is_at_ease {
            busy_at = now;
            next = next.min(now + wake::QUICK_STEP_NS);
        } else if now < busy_at + DROWSY_NS {
            // It goes on looking for a while: a core that wakes need not poke it then. Where timers come thick and fast every core wakes
            // for each.
            next = next.min(now + wake::STEP_NS);
        } else if runtime.homeless.load(Ordering::Relaxed) > 0 {
            next = next.min(now + HOMELESS_NS);
        }
        runtime.monitor.is_at_ease.store(is_at_ease, Ordering::Relaxed);
        if !is_at_ease && runtime.timekeeper.gives_back() {
            wake::wake_to_keep_time(runtime);
        }
        runtime.monitor.wakes_at_ns.store(next, Ordering::Relaxed);
        // A core that woke up before this line, or a spare that parked, is seen by the second look; one that does so after it sees when the
        // monitor wakes.
        fence(Ordering::SeqCst);
        let idle_now = runtime.idle_cores.load(Ordering::Relaxed);
        let has_changed = surplus_at == u64::MAX && staffing::has_surplus(runtime)
            || runtime.timekeeper.until_ns() != kept_until
            || idle_now != idle_cores
            || !is_busy && idle_now < runtime.cores.len();
        if has_changed {
            next = next.min(now + Timekeeper::SHORT_NS);
        }
        if is_busy && runtime.anyone_waits() {
            let missed = look_for_missed(runtime, &looks, anyone_waits);
            next = next.min(missed.max(now + LEAST_NS));
        }
        runtime.monitor.wakes_at_ns.store(next, Ordering::Relaxed);
        wait_until(&runtime.monitor.poked, next);
    }
}

/// Whether somebody who sleeps until `kept_until` sees to the timers of `core`, which is idle.
fn is_kept(core: &Core, kept_until: Option<u64>, now: u64) -> bool {
    let deadline = core.next_deadline_ns.load(Ordering::Relaxed);
    let slack = core.runtime().settings.timer_slack_ns;
    Timekeeper::is_kept(kept_until, deadline, slack, now)
}

/// Sees to the timers of a core that is idle, while none that is keeps time. Says when to look again.
fn keep_time(core: &'static Core, now: u64) -> u64 {
    let deadline = core.next_deadline_ns.load(Ordering::Relaxed);
    // Whoever kept time until now may be looking at the same timers, and keep time again in a moment.
    let awaited_until = core.runtime().timekeeper.awaited_until_ns();
    if now < deadline.max(awaited_until) {
        return deadline.max(awaited_until);
    }
    timers::expire(core, None)
}

/// Sleeps until `at_ns` or until somebody pokes.
///
/// A short wait is spent awake. The kernel lets a thread that wakes up run at once only if it has had less than its share of late
/// (EEVDF, Linux 6.6): one that slept for a moment has not, and next to threads that compute it would stand until the next tick,
/// up to 4 ms.
fn wait_until(poked: &Bell, at_ns: u64) {
    const SHORT_NS: u64 = 20_000;
    let now = clock::now_ns();
    let stay_awake = at_ns > now && at_ns - now < SHORT_NS;
    while stay_awake && clock::now_ns() < at_ns && !poked.is_rung() {
        std::hint::spin_loop();
    }
    if !stay_awake {
        futex::wait(poked.word(), 0, (at_ns != u64::MAX).then_some(at_ns));
    }
}

/// When to look for the sake of what has happened since the cores were looked at, as nobody pokes the monitor while it is awake: when the
/// first slice ends that it does not know of; at once if a thread waits behind one that nobody waited for then.
fn look_for_missed(runtime: &Runtime, looks: &[Look], anyone_waited: bool) -> u64 {
    let running = |(core, _): &(&Core, &Look)| !core.current.load(Ordering::Relaxed).is_null();
    let missed = runtime.cores.iter().zip(looks).filter(running).filter_map(|(core, look)| {
        let dispatches = core.dispatches.load(Ordering::Acquire);
        let slice_end = core.slice_end_ns.load(Ordering::Relaxed);
        if look.is_quick {
            return None;
        }
        if look.has_missed(dispatches, slice_end) {
            return Some(slice_end);
        }
        (!anyone_waited && core.waiting.load(Ordering::Relaxed) > 0).then_some(0)
    });
    missed.min().unwrap_or(u64::MAX)
}

/// Looks at a core on which a thread runs. `is_exhausted`: no more workers could be had a moment ago. Says when to look again.
fn examine(
    core: &'static Core,
    look: &mut Look,
    anyone_waits: bool,
    is_exhausted: bool,
    now: u64,
) -> u64 {
    let dispatches = core.dispatches.load(Ordering::Acquire);
    let moved = dispatches.wrapping_sub(std::mem::replace(&mut look.dispatches, dispatches));
    let is_same = moved == 0;
    let slice_end = core.slice_end_ns.load(Ordering::Relaxed);
    look.slice_end_ns = slice_end;
    let first = look.first.take().filter(|_| is_same);
    let mut again = core.next_deadline_ns.load(Ordering::Relaxed);
    let is_due = now >= again;
    if is_due {
        again = timers::expire(core, None);
    }
    // Who waits elsewhere could come here, if this one is blocked, or has had its slice.
    let has_queue = core.waiting.load(Ordering::Relaxed) > 0;
    let threads_wait = has_queue || anyone_waits;
    if !threads_wait && !handover::has_items_behind(core) {
        return again;
    }
    let runtime = core.runtime();
    if runtime.idle_cores.load(Ordering::Relaxed) > 0
        && anyone_may_move(runtime)
        && look.shall_send_help(moved, runtime.eagerness.patience())
    {
        wake::wake_idle_core(runtime);
    }
    if threads_wait {
        let least_ns = if look.is_quick { wake::QUICK_STEP_NS } else { LEAST_NS };
        again = again.min(slice_end.max(now + least_ns));
    }
    let shall_preempt = core.runtime().settings.preempts
        && threads_wait
        && (now >= slice_end || (has_queue && better_waits(core, now)));
    let ran_ns = now.saturating_sub(core.dispatched_at_ns.load(Ordering::Relaxed));
    let may_be_blocked = is_same && ran_ns >= wake::STEP_NS;
    if !shall_preempt && !may_be_blocked {
        return again;
    }
    // SAFETY: workers are never freed; a core has one.
    let Some(worker) = (unsafe { core.worker.load(Ordering::Acquire).as_ref() }) else {
        return again;
    };
    let state = worker.watch.look();
    if let KernelState::Waits | KernelState::Unknown = state {
        let cpu_ns = worker.watch.ran_ns().unwrap_or(0);
        let dispatch = core.dispatches.load(Ordering::Acquire);
        let second = pool::Look { state, cpu_ns, dispatch, at_ns: now };
        if first.is_some_and(|first| pool::is_blocked(&first, &second)) {
            let may_wait_for = look.shall_step_back(runtime, is_exhausted);
            if may_wait_for.is_some_and(|what| ask_to_step_back(worker, what)) {
                return again.min(now + SECOND_LOOK_NS);
            }
            if take_core(core, worker, dispatch) {
                return now + wake::STEP_NS;
            }
        }
        look.first = first.filter(|first| pool::stood_still(first, &second)).or(Some(second));
        again = again.min(now + SECOND_LOOK_NS);
        if state == KernelState::Waits {
            // A signal would only cut its system call short.
            return again;
        }
    }
    if shall_preempt && look.shall_signal(is_same, slice_end, now) {
        trace::signalled(core, worker);
        task::send_signal(worker.kernel_id(), core.runtime().settings.signal);
        // Whoever runs next most likely has as long a slice; if it is shorter, its dispatch wakes this thread. To look a moment later
        // when its slice ends would take as much time from the workers as the signal does.
        let next_ends = now + ON_ITS_WAY_NS + slice_of_running(core).clamp(LEAST_NS, wake::STEP_NS);
        again = next_ends.min(core.next_deadline_ns.load(Ordering::Relaxed));
    }
    again
}

/// Whether an idle core would find somebody to take over.
fn anyone_may_move(runtime: &Runtime) -> bool {
    runtime.cores.iter().any(|core| core.waiting.movable(Ordering::Relaxed) > 0)
}

/// The length of the slices of the thread that runs on `core`.
fn slice_of_running(core: &Core) -> u64 {
    let priority = slice::Priority::new(core.nice.load(Ordering::Relaxed));
    slice::slice_ns(core.runtime().settings.slice_ns, priority)
}

/// Whether a thread waits on `core` that should run before the one that does, after what that has computed.
fn better_waits(core: &Core, now: u64) -> bool {
    let Some(queue) = core.queue.try_lock() else { return false };
    let queued = queue.ready.threads.peek_active_level();
    drop(queue);
    let newborn = (core.waiting.newborn() > 0).then(|| core.nursery.best_level());
    let Some(level) = queued.into_iter().chain(newborn).min() else { return false };
    let priority = slice::Priority::new(core.nice.load(Ordering::Relaxed));
    let slice = slice_of_running(core);
    let ran = now.saturating_sub(core.dispatched_at_ns.load(Ordering::Relaxed));
    let earned = core.earned_ns.load(Ordering::Relaxed).saturating_sub(ran);
    slice::may_preempt(level, slice::level(priority, earned, slice))
}

/// Gives the core of a blocked worker to a spare. False if it turned out otherwise, or there is no spare yet.
fn take_core(core: &'static Core, worker: &'static Worker, dispatches: u64) -> bool {
    let runtime = core.runtime();
    let Some(spare) = handover::take_spare(runtime) else { return false };
    worker.notes.doubt();
    task::barrier();
    let current = core.current.load(Ordering::Relaxed);
    // SAFETY: blocks are never freed.
    let current = unsafe { current.as_ref() };
    let seat = Seat {
        // Before the dispatch: who is outside by now as another one has been dispatched first.
        is_outside: current.is_some_and(|block| block.depth.is_outside()),
        runs_same_thread: current.is_some()
            && core.dispatches.load(Ordering::Relaxed) == dispatches
            && ptr::eq(core.worker.load(Ordering::Relaxed), worker),
    };
    if !pool::may_take_core(&seat) {
        worker.notes.keep();
        handover::give_spare(runtime, spare);
        return false;
    }
    handover::transfer(core, worker, spare, true);
    true
}

/// When workers run short: whoever waits in the kernel goes to the queue, and tries again when its turn comes. The holder of the lock may
/// be queued, too; and those who make new workers may wait for the same lock, if it is malloc's. False if the thread waits for something
/// else.
///
/// Locks wait in `futex` in a loop, and the kernel begins a call that reads anew. Other calls are left alone: a handler cuts some of them
/// short.
#[cold]
fn ask_to_step_back(worker: &Worker, may_wait_for: WaitsFor) -> bool {
    let may_step_back = kernel_threads::waits_for(worker.kernel_id(), may_wait_for);
    if may_step_back {
        worker.notes.step_back();
        task::send_signal(worker.kernel_id(), worker.runtime.settings.signal);
    }
    may_step_back
}

/// Workers that lost their core and run again, outside the runtime, are to make room: a signal sends their thread to a queue.
///
/// If threads wait and no more workers can be had, so is one that is still blocked: the cores' own may all be in calls that can't be
/// left. It is a spare then, and the next look gives it a core.
fn evict_homeless(runtime: &'static Runtime, mut wants_spare: bool) {
    if runtime.homeless.load(Ordering::Relaxed) == 0 {
        return;
    }
    for worker in runtime.workers().filter(|worker| worker.notes.is_lost()) {
        match worker.watch.look() {
            KernelState::Runs => task::send_signal(worker.kernel_id(), runtime.settings.signal),
            KernelState::Waits | KernelState::Unknown if wants_spare => {
                wants_spare = !ask_to_step_back(worker, WaitsFor::LockOrInput);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_end_of_a_new_run_or_one_that_was_put_off_was_missed() {
        let look = Look { dispatches: 5, slice_end_ns: 900, ..Look::default() };
        assert!(!look.has_missed(5, 900));
        assert!(look.has_missed(6, 900) && look.has_missed(5, 21_000));
    }
}
