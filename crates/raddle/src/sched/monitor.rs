//! The monitor: a kernel thread that watches the others.
//!
//! Whoever computes does not look at clocks, and whoever blocks in the kernel does not look at anything. So the monitor sees to
//! it that slices end, that timers of busy cores fire, that threads that wait behind a computing one get an idle core,
//! and that a core whose worker has blocked gets another worker. While nobody runs, it sleeps without a deadline.
//!
//! # Taking a core away
//!
//! *Blocked* means: the same dispatch number at two looks, and the kernel says S or D at both. Then:
//!
//! ```text
//!   monitor                                   the worker's thread, on its way into the runtime
//!   flags |= DOUBT                            count = 1
//!   membarrier                                (compiler fence)
//!   count == 0, same dispatch, blocked?       flags & (DOUBT | LOST) ?
//!     yes: the core goes to the spare;          DOUBT: wait for the decision
//!          DOUBT becomes LOST                   LOST:  go to the worker's own context, be queued elsewhere
//!     no:  DOUBT is cleared
//! ```
//!
//! After the barrier either the monitor sees the count, or the thread sees the doubt. A thread that may hold a runtime lock
//! has its count up, so no core is ever taken from under one.

#![allow(unsafe_code, reason = "pointers to workers and cores, which are never freed")]

use crate::dump;
use crate::flag;
use crate::machine::{Core, Recruits, Runtime, Worker};
use crate::sched::{handover, recruit, stock, timers, wake};
use crate::sys::{clock, futex, kernel_threads, task};
use crate::trace;
use raddle_core::slice;
use raddle_core::timekeeper::Timekeeper;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// After so many steps in which nothing moved they become longer, up to [`LONGEST_NS`].
const CALM: u32 = 8;
const LONGEST_NS: u64 = 8_000_000;
/// Between the two looks that show a worker blocked.
const SECOND_LOOK_NS: u64 = 200_000;
/// With all cores idle for so long it goes to sleep without a deadline.
const DROWSY_NS: u64 = 20_000_000;
/// How often workers without a core are looked at when nobody else asks for it.
const HOMELESS_NS: u64 = 1_000_000_000;

/// What the monitor remembers of a core.
#[derive(Clone, Copy, Default)]
struct Look {
    dispatches: u64,
    seen_blocked: bool,
    /// When this run was signalled last, and for the end of which slice; 0: it was not.
    signalled_ns: u64,
    signalled_for_ns: u64,
    /// How often it was signalled since the last look.
    signals: u64,
    /// How often a thread was blocked here when many were.
    crowded: u32,
    /// How often in a row threads waited here and no help was sent.
    passed_over: u32,
}

impl Look {
    /// Whether so many are blocked already that who waits for a lock shall rather go to the queue: most likely they all wait for somebody
    /// who is queued. Whoever waits for long is not to be tried in every round, so some get a worker all the same.
    fn is_one_of_a_crowd(&mut self, runtime: &Runtime) -> bool {
        const CROWD: usize = 64;
        const SOME: u32 = 8;
        if runtime.homeless.load(Ordering::Relaxed) < CROWD {
            return false;
        }
        self.crowded = self.crowded.wrapping_add(1);
        !self.crowded.is_multiple_of(SOME)
    }

    /// Whether an idle core is to help, as threads wait. So many dispatches since the last look show that none waits for long: then only
    /// now and then.
    fn shall_send_help(&mut self, moved: u64, patience: u32) -> bool {
        const QUICK: u64 = 16;
        self.passed_over += 1;
        let shall_send = moved < QUICK || self.passed_over >= patience;
        if shall_send {
            self.passed_over = 0;
        }
        shall_send
    }

    /// Whether threads of `core` have slept, woken or ended since the last look. Those that only compute change when they are told to.
    fn sees_movement(&mut self, core: &Core) -> bool {
        let dispatches = core.dispatches.load(Ordering::Relaxed).wrapping_sub(self.dispatches);
        dispatches > std::mem::take(&mut self.signals)
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
    loop {
        runtime.monitor.wakes_at_ns.store(0, Ordering::Relaxed);
        let was_poked = runtime.monitor.poked.swap(0, Ordering::Relaxed) != 0;
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
        let anyone_waits = runtime.anyone_waits();
        let kept_until = runtime.timekeeper.until_ns();
        let is_kept = Timekeeper::is_kept(kept_until, now);
        let idle_cores = runtime.idle_cores.load(Ordering::Relaxed);
        for (core, look) in runtime.cores.iter().zip(&mut looks) {
            if core.current.load(Ordering::Relaxed).is_null() {
                // Perhaps it was just given work.
                if !is_kept {
                    next = next.min(keep_time(core, now));
                }
                continue;
            }
            is_busy = true;
            core.now_ns.store(now, Ordering::Relaxed);
            has_moved |= look.sees_movement(core);
            next = next.min(examine(core, look, anyone_waits, now));
        }
        if now >= evicted_at + wake::STEP_NS {
            evict_homeless(runtime);
            evicted_at = now;
        }
        keep_spare(runtime);
        if is_busy {
            busy_at = now;
            calm = if has_moved || was_poked { 0 } else { calm + 1 };
            let step = if calm < CALM {
                wake::STEP_NS
            } else {
                (wake::STEP_NS << (calm - CALM).min(8)).min(LONGEST_NS)
            };
            next = next.min(now + step);
        } else if now < busy_at + DROWSY_NS {
            // It goes on looking for a while: a core that wakes need not poke it then. Where timers come thick and fast every core wakes
            // for each.
            next = next.min(now + wake::STEP_NS);
        } else if runtime.homeless.load(Ordering::Relaxed) > 0 {
            next = next.min(now + HOMELESS_NS);
        }
        runtime.monitor.wakes_at_ns.store(next, Ordering::Relaxed);
        // A core that woke up before this line is seen by the second look; one that does so after it sees when the monitor wakes.
        fence(Ordering::SeqCst);
        let idle_now = runtime.idle_cores.load(Ordering::Relaxed);
        let has_changed = runtime.timekeeper.until_ns() != kept_until
            || idle_now != idle_cores
            || !is_busy && idle_now < runtime.cores.len();
        if has_changed {
            next = next.min(now + Timekeeper::SHORT_NS);
            runtime.monitor.wakes_at_ns.store(next, Ordering::Relaxed);
        }
        wait_until(&runtime.monitor.poked, next);
    }
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
fn wait_until(poked: &AtomicU32, at_ns: u64) {
    const SHORT_NS: u64 = 20_000;
    let now = clock::now_ns();
    let stay_awake = at_ns > now && at_ns - now < SHORT_NS;
    while stay_awake && clock::now_ns() < at_ns && poked.load(Ordering::Relaxed) == 0 {
        std::hint::spin_loop();
    }
    if !stay_awake {
        futex::wait(poked, 0, (at_ns != u64::MAX).then_some(at_ns));
    }
}

/// Looks at a core on which a thread runs. Says when to look again.
fn examine(core: &'static Core, look: &mut Look, anyone_waits: bool, now: u64) -> u64 {
    let dispatches = core.dispatches.load(Ordering::Acquire);
    let moved = dispatches.wrapping_sub(std::mem::replace(&mut look.dispatches, dispatches));
    let is_same = moved == 0;
    let was_blocked = is_same && std::mem::take(&mut look.seen_blocked);
    look.seen_blocked = false;
    let mut again = core.next_deadline_ns.load(Ordering::Relaxed);
    let is_due = now >= again;
    if is_due {
        again = timers::expire(core, None);
    }
    // Who waits elsewhere could come here, if this one is blocked, or has had its slice.
    let has_queue = core.waiting.load(Ordering::Relaxed) > 0;
    if !has_queue && !anyone_waits {
        return again;
    }
    let runtime = core.runtime();
    if runtime.idle_cores.load(Ordering::Relaxed) > 0
        && look.shall_send_help(moved, runtime.eagerness.patience())
    {
        wake::wake_idle_core(runtime);
    }
    let slice_end = core.slice_end_ns.load(Ordering::Relaxed);
    again = again.min(slice_end.max(now + SECOND_LOOK_NS / 4));
    let shall_preempt = core.runtime().settings.preempts
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
    if worker.watch.look() == task::Seen::Blocked {
        // A signal would only cut its system call short.
        if was_blocked {
            let is_crowd = look.is_one_of_a_crowd(worker.runtime);
            if (is_crowd || workers_run_short(worker.runtime)) && ask_to_step_back(worker) {
                return again.min(now + SECOND_LOOK_NS);
            }
            if take_core(core, worker, dispatches) {
                return now + wake::STEP_NS;
            }
        }
        look.seen_blocked = true;
        return again.min(now + SECOND_LOOK_NS);
    }
    if shall_preempt && look.shall_signal(is_same, slice_end, now) {
        trace::signalled(core, worker);
        task::send_signal(worker.kernel_id, core.runtime().settings.signal);
    }
    again
}

/// Whether a thread waits on `core` that should run before the one that does, after what that has computed.
fn better_waits(core: &Core, now: u64) -> bool {
    let Some(queue) = core.queue.try_lock() else { return false };
    let Some(level) = queue.ready.threads.peek_level() else { return false };
    drop(queue);
    let priority = slice::Priority::new(core.nice.load(Ordering::Relaxed));
    let slice = slice::slice_ns(core.runtime().settings.slice_ns, priority);
    let ran = now.saturating_sub(core.dispatched_at_ns.load(Ordering::Relaxed));
    let earned = core.earned_ns.load(Ordering::Relaxed).saturating_sub(ran);
    slice::may_preempt(level, slice::level(priority, earned, slice))
}

/// Gives the core of a blocked worker to a spare. False if it turned out otherwise, or there is no spare yet.
fn take_core(core: &'static Core, worker: &'static Worker, dispatches: u64) -> bool {
    let runtime = core.runtime();
    let Some(spare) = handover::take_spare(runtime) else { return false };
    worker.flags.fetch_or(flag::DOUBT, Ordering::SeqCst);
    task::barrier();
    let current = core.current.load(Ordering::Relaxed);
    // SAFETY: blocks are never freed.
    let is_outside =
        unsafe { current.as_ref() }.is_some_and(|block| block.count.load(Ordering::Relaxed) == 0);
    let is_same = core.dispatches.load(Ordering::Relaxed) == dispatches
        && ptr::eq(core.worker.load(Ordering::Relaxed), worker);
    if !(is_outside && is_same) {
        worker.flags.fetch_and(!flag::DOUBT, Ordering::Release);
        handover::give_spare(runtime, spare);
        return false;
    }
    handover::transfer(core, worker, spare, flag::DOUBT | flag::LOST);
    true
}

/// Whether the stock is down to its reserve, or no worker could be made for want of room in the kernel.
fn workers_run_short(runtime: &Runtime) -> bool {
    let spares = runtime.spares.lock();
    let is_none_in_sight = spares.parked + spares.coming == 0;
    drop(spares);
    is_none_in_sight || stock::is_low(runtime, Recruits::RESERVE)
}

/// When workers run short: whoever waits for a lock in the kernel goes to the queue, and tries again when its turn comes. The holder may
/// be queued, too; and those who make new workers may wait for the same lock, if it is malloc's. False if the thread waits for something
/// else.
///
/// Locks wait in `futex` in a loop. Other calls are left alone: a handler cuts some of them short.
#[cold]
fn ask_to_step_back(worker: &Worker) -> bool {
    let waits_for_lock = kernel_threads::waits_for_futex(worker.kernel_id);
    if waits_for_lock {
        worker.flags.fetch_or(flag::STEP_BACK, Ordering::Relaxed);
        task::send_signal(worker.kernel_id, worker.runtime.settings.signal);
    }
    waits_for_lock
}

/// Workers that lost their core and run again, outside the runtime, are to make room: a signal sends their thread to a queue.
fn evict_homeless(runtime: &'static Runtime) {
    if runtime.homeless.load(Ordering::Relaxed) == 0 {
        return;
    }
    for worker in runtime.workers() {
        let is_homeless = worker.flags.load(Ordering::Relaxed) & flag::LOST != 0;
        if is_homeless && worker.watch.look() == task::Seen::Runnable {
            task::send_signal(worker.kernel_id, runtime.settings.signal);
        }
    }
}

/// One spare is always parked, made beforehand, and a second fills the stock when that is low. If neither can be had now, the next look
/// tries again.
fn keep_spare(runtime: &'static Runtime) {
    let is_short = {
        let spares = runtime.spares.lock();
        let may_refill = spares.parked == 1 && !spares.refills;
        match spares.parked + spares.coming {
            0 => true,
            1 => may_refill && stock::is_low(runtime, Recruits::LOW),
            _ => false,
        }
    };
    if is_short {
        recruit::launch(runtime, None);
    }
}
