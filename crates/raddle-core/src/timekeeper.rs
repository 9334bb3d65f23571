//! Which idle core wakes when, for the timers of all idle cores.
//!
//! To wake a processor from its idle state takes tens of microseconds of it, on virtual machines above all, whatever is done then. If each
//! idle core woke for each of its own timers, a hundred thousand threads that sleep would cost a processor or two only in waking up. So
//! one idle core keeps time for all of them, and where timers come thick and fast it lets some come together.
//!
//! ```text
//!   deadlines of all idle cores   | |  ||   | |||  |                |
//!   the keeper wakes              ^         ^      ^                ^
//!                                 |<-slack->|<-..->|  at least      | a timer that comes alone: at once
//! ```
//!
//! The word says until when the keeper sleeps. Who is about to sleep and knows of an earlier deadline takes the office over; the old keeper
//! wakes for nothing, once. Who wakes before its time, because there is something else to do, lays the office down, and the monitor looks
//! at idle cores' timers until the next one sleeps. So there is never a deadline that nobody wakes for, as long as everybody who goes
//! to sleep looks at the timers of *all* cores.
//!
//! A deadline that is far away is left to the monitor while that looks often anyway: the kernel's timer, set and taken back at each of ten
//! thousand short sleeps a second, is a part of what each costs. When the monitor looks seldom again it gives the timers back.
//!
//! The kernel is late, too: always by about as much as it takes to wake a processor. That is learned, and the keeper asks to be
//! woken so much before.
//!
//! Rejected: the kernel's own slack for timers (it delays a timer that comes alone just as well); a sleep of fixed length (the same, and wakes
//! for nothing); each core by itself, with slack (as many wake-ups again for each core).

use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// Nobody keeps time.
const NOBODY: u64 = u64::MAX;

/// What is known of the past, and who keeps time. Only the word is exact: updates of the others may be lost.
#[derive(Debug)]
pub struct Timekeeper {
    /// Until when the keeper sleeps; `u64::MAX`: there is none.
    until_ns: AtomicU64,
    /// When a core was last woken for timers.
    woke_ns: AtomicU64,
    /// By how much the kernel is late at least, most times.
    lag_ns: AtomicU64,
    /// For how long a core that kept time is busy before it is idle again, on an average.
    busy_ns: AtomicU64,
    /// Until then the last keeper is awaited back.
    awaited_until_ns: AtomicU64,
    /// Timers were left to the monitor, and not given back.
    is_left: AtomicBool,
}

impl Timekeeper {
    /// The kernel is never supposed to be later than this: it was busy with something else.
    pub const LAG_AT_MOST_NS: u64 = 60_000;
    /// A core that is busy for less is back before it matters.
    pub const SHORT_NS: u64 = 200_000;
    /// A keeper that is later than this has no processor: its office is anybody's.
    pub const OVERDUE_NS: u64 = 1_000_000;
    /// A deadline that is further away can wait for looks of the monitor's.
    pub const FAR_NS: u64 = 10_000_000;

    /// Nobody keeps time.
    pub fn new() -> Timekeeper {
        Timekeeper {
            until_ns: AtomicU64::new(NOBODY),
            woke_ns: AtomicU64::new(0),
            lag_ns: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            awaited_until_ns: AtomicU64::new(0),
            is_left: AtomicBool::new(false),
        }
    }

    /// When to wake for timers of which the first is due at `deadline_ns`: then, but not within `slack_ns` of the last time.
    ///
    /// ```
    /// use raddle_core::timekeeper::Timekeeper;
    /// let keeper = Timekeeper::new();
    /// assert_eq!(keeper.when(1_000_000, 100_000), 1_000_000);
    /// keeper.woke_for_timers(1_020_000);
    /// assert_eq!(keeper.when(1_030_000, 100_000), 1_120_000);
    /// assert_eq!(keeper.when(5_000_000, 100_000), 5_000_000);
    /// ```
    pub fn when(&self, deadline_ns: u64, slack_ns: u64) -> u64 {
        let woke = self.woke_ns.load(Ordering::Relaxed);
        let latest = deadline_ns.saturating_add(slack_ns);
        deadline_ns.max(woke.saturating_add(slack_ns)).min(latest)
    }

    /// A core that is about to sleep, at `now_ns`, must wake at `at_ns`, or somebody in its place. True: it keeps time from now on, until then.
    /// False: another one wakes as early.
    pub fn take_office(&self, at_ns: u64, now_ns: u64) -> bool {
        let mut until = self.until_ns.load(Ordering::SeqCst);
        while at_ns < until || is_overdue(until, now_ns) {
            let taken = self.until_ns.compare_exchange_weak(
                until,
                at_ns,
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            match taken {
                Ok(_) => return true,
                Err(now) => until = now,
            }
        }
        false
    }

    /// Whoever took the office until `at_ns` is awake. False if somebody else has it by now.
    pub fn lay_down(&self, at_ns: u64) -> bool {
        self.until_ns.compare_exchange(at_ns, NOBODY, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Until when the keeper sleeps, if there is one. For the monitor, which sees to the timers of idle cores if not.
    pub fn until_ns(&self) -> Option<u64> {
        Some(self.until_ns.load(Ordering::SeqCst)).filter(|&until| until != NOBODY)
    }

    /// Whether somebody keeps time for a deadline, give or take the slack, by what [`until_ns`](Self::until_ns) said. One that was left to the
    /// monitor may come before the keeper wakes.
    pub fn is_kept(until_ns: Option<u64>, deadline_ns: u64, slack_ns: u64, now_ns: u64) -> bool {
        until_ns.is_some_and(|until| {
            !is_overdue(until, now_ns) && until <= deadline_ns.saturating_add(slack_ns)
        })
    }

    /// A core that is about to sleep, at `now_ns`, asks whether it may leave the timers of all that are idle, of which the first is due at `first_ns`,
    /// to the monitor, which looks by itself at `looks_at_ns` (0: it is looking) and often before that. The caller's deadline was stored, and the
    /// monitor's plan read behind it, with a full barrier in between.
    ///
    /// Whoever takes the office at the same moment may not have seen the caller's deadline: [`is_kept`](Self::is_kept) tells.
    pub fn may_leave_to_monitor(&self, first_ns: u64, looks_at_ns: u64, now_ns: u64) -> bool {
        let is_left = first_ns.saturating_sub(now_ns) >= Self::FAR_NS
            && looks_at_ns != 0
            && looks_at_ns < first_ns
            && self.until_ns().is_none();
        if is_left && !self.is_left.load(Ordering::Relaxed) {
            self.is_left.store(true, Ordering::Relaxed);
        }
        is_left
    }

    /// The monitor will look seldom. Whether timers were left to it: then it wakes a core, which keeps time.
    pub fn gives_back(&self) -> bool {
        self.is_left.load(Ordering::Relaxed) && self.is_left.swap(false, Ordering::Relaxed)
    }

    /// How long before its time a core is to ask the kernel to wake it.
    pub fn lag_ns(&self) -> u64 {
        self.lag_ns.load(Ordering::Relaxed)
    }

    /// A core woke for timers.
    pub fn woke_for_timers(&self, now_ns: u64) {
        self.woke_ns.store(now_ns, Ordering::Relaxed);
    }

    /// The kernel woke a core, which had slept, so long after it was to.
    ///
    /// Most are later than the rest by chance. What is kept is about what nine of ten exceed: it falls fast and rises slowly.
    pub fn kernel_was_late(&self, late_ns: u64) {
        let lag = self.lag_ns();
        let late = late_ns.min(Self::LAG_AT_MOST_NS);
        let learned =
            if late < lag { lag - (lag - late) / 4 } else { lag + (late - lag).div_ceil(32) };
        self.lag_ns.store(learned, Ordering::Relaxed);
    }

    /// A core that kept time was busy for so long.
    pub fn was_busy(&self, busy_ns: u64) {
        const AT_MOST_NS: u64 = 2_000_000;
        let mean = self.busy_ns.load(Ordering::Relaxed);
        let learned = mean - mean / 4 + busy_ns.min(AT_MOST_NS) / 4;
        self.busy_ns.store(learned, Ordering::Relaxed);
    }

    /// Whether a core that woke for timers, and for nothing else, will most likely be idle again before it matters.
    pub fn is_mostly_brief(&self) -> bool {
        self.busy_ns.load(Ordering::Relaxed) < Self::SHORT_NS
    }

    /// Whoever lays the office down is awaited back until then; 0: it is not.
    pub fn await_back(&self, until_ns: u64) {
        self.awaited_until_ns.store(until_ns, Ordering::Relaxed);
    }

    /// Until when others leave timers of idle cores to whoever laid the office down last.
    pub fn awaited_until_ns(&self) -> u64 {
        self.awaited_until_ns.load(Ordering::Relaxed)
    }
}

fn is_overdue(until_ns: u64, now_ns: u64) -> bool {
    now_ns > until_ns.saturating_add(Timekeeper::OVERDUE_NS)
}

impl Default for Timekeeper {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_keeps_time() {
        let keeper = Timekeeper::new();
        assert_eq!(keeper.until_ns(), None);
        assert!(keeper.take_office(500, 0));
        assert!(!keeper.take_office(500, 0) && !keeper.take_office(600, 0));
        assert!(keeper.take_office(400, 0));
        assert!(!keeper.lay_down(500), "another one has it");
        assert_eq!(keeper.until_ns(), Some(400));
        assert!(keeper.lay_down(400));
        assert_eq!(keeper.until_ns(), None);
    }

    #[test]
    fn a_keeper_without_a_processor_is_replaced() {
        let keeper = Timekeeper::new();
        assert!(keeper.take_office(500, 0));
        let late = 500 + Timekeeper::OVERDUE_NS;
        assert!(Timekeeper::is_kept(keeper.until_ns(), 500, 0, late));
        assert!(!Timekeeper::is_kept(keeper.until_ns(), 500, 0, late + 1));
        assert!(!keeper.take_office(late + 9, late) && keeper.take_office(late + 9, late + 1));
        assert!(!keeper.lay_down(500));
    }

    #[test]
    fn what_is_far_away_is_left_to_a_monitor_that_looks_before() {
        const FAR: u64 = Timekeeper::FAR_NS;
        let keeper = Timekeeper::new();
        assert!(!keeper.gives_back());
        assert!(!keeper.may_leave_to_monitor(FAR - 1, 5, 0), "too soon");
        assert!(!keeper.may_leave_to_monitor(FAR, 0, 0), "the monitor has no plan yet");
        assert!(!keeper.may_leave_to_monitor(FAR, FAR, 0), "the monitor looks no sooner");
        assert!(!keeper.gives_back());
        assert!(keeper.may_leave_to_monitor(FAR, FAR - 1, 0));
        assert!(keeper.gives_back() && !keeper.gives_back());
        assert!(keeper.take_office(FAR + 100, 0));
        assert!(!keeper.may_leave_to_monitor(FAR, FAR - 1, 0), "somebody keeps time");
        assert!(Timekeeper::is_kept(keeper.until_ns(), FAR, 100, 0));
        assert!(!Timekeeper::is_kept(keeper.until_ns(), FAR, 99, 0), "who keeps it wakes too late");
    }

    #[test]
    fn no_timer_is_late_by_more_than_the_slack() {
        let keeper = Timekeeper::new();
        // A clock that went back, or wheels of two runtimes: the last time lies ahead.
        keeper.woke_for_timers(9_000_000);
        assert_eq!(keeper.when(1_000_000, 100_000), 1_100_000);
    }

    #[test]
    fn the_lag_is_what_most_exceed() {
        let keeper = Timekeeper::new();
        for round in 0..2_000 {
            let late = if round % 10 == 0 { 20_000 } else { 40_000 + round % 7 * 10_000 };
            keeper.kernel_was_late(late);
        }
        let lag = keeper.lag_ns();
        assert!((20_000..45_000).contains(&lag), "{lag}");
        (0..100).for_each(|_| keeper.kernel_was_late(3_000));
        assert!(keeper.lag_ns() < 4_000);
        (0..1_000).for_each(|_| keeper.kernel_was_late(70_000_000));
        assert!(keeper.lag_ns() <= Timekeeper::LAG_AT_MOST_NS);
    }

    #[test]
    fn who_was_busy_for_long_is_not_awaited() {
        let keeper = Timekeeper::new();
        assert!(keeper.is_mostly_brief());
        keeper.was_busy(u64::MAX);
        assert!(!keeper.is_mostly_brief());
        (0..20).for_each(|_| keeper.was_busy(10_000));
        assert!(keeper.is_mostly_brief());
    }
}
