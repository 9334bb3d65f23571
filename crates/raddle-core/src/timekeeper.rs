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
//! The kernel is late, too: always by about as much as it takes to wake a processor. That is learned, and the keeper asks to be
//! woken so much before.
//!
//! Rejected: the kernel's own slack for timers (it delays a timer that comes alone just as well); a sleep of fixed length (the same, and wakes
//! for nothing); each core by itself, with slack (as many wake-ups again for each core).

use crate::sync::{AtomicU64, Ordering};

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
}

impl Timekeeper {
    /// The kernel is never supposed to be later than this: it was busy with something else.
    pub const LAG_AT_MOST_NS: u64 = 60_000;
    /// A core that is busy for less is back before anybody else could be woken.
    pub const SHORT_NS: u64 = 200_000;

    /// Nobody keeps time.
    pub fn new() -> Timekeeper {
        Timekeeper {
            until_ns: AtomicU64::new(NOBODY),
            woke_ns: AtomicU64::new(0),
            lag_ns: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
        }
    }

    /// When to wake for timers of which the first is due at `deadline_ns`: then, but not within `slack_ns` of the last time.
    ///
    /// ```
    /// use raddle_core::timekeeper::Timekeeper;
    /// let keeper = Timekeeper::new();
    /// assert_eq!(keeper.when(1_000_000, 100_000), 1_000_000);
    /// keeper.woke_for_timers(1_000_000, 1_020_000);
    /// assert_eq!(keeper.when(1_030_000, 100_000), 1_120_000);
    /// assert_eq!(keeper.when(5_000_000, 100_000), 5_000_000);
    /// ```
    pub fn when(&self, deadline_ns: u64, slack_ns: u64) -> u64 {
        let woke = self.woke_ns.load(Ordering::Relaxed);
        let latest = deadline_ns.saturating_add(slack_ns);
        deadline_ns.max(woke.saturating_add(slack_ns)).min(latest)
    }

    /// A core that is about to sleep must wake at `at_ns`, or somebody in its place. True: it keeps time from now on, until then. False: another
    /// one wakes as early.
    pub fn take_office(&self, at_ns: u64) -> bool {
        let mut until = self.until_ns.load(Ordering::SeqCst);
        while at_ns < until {
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

    /// How long before its time a core is to ask the kernel to wake it.
    pub fn lag_ns(&self) -> u64 {
        self.lag_ns.load(Ordering::Relaxed)
    }

    /// A core that had asked the kernel to be woken at `asked_ns` was awake at `now_ns`.
    ///
    /// Most are later than the rest by chance. What is kept is about what nine of ten exceed: it falls fast and rises slowly.
    pub fn woke_for_timers(&self, asked_ns: u64, now_ns: u64) {
        self.woke_ns.store(now_ns, Ordering::Relaxed);
        let lag = self.lag_ns();
        let late = now_ns.saturating_sub(asked_ns).min(Self::LAG_AT_MOST_NS);
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

    /// Whether one that has just laid the office down will most likely take it again at once.
    pub fn is_back_soon(&self) -> bool {
        self.busy_ns.load(Ordering::Relaxed) < Self::SHORT_NS
    }
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
        assert!(keeper.take_office(500));
        assert!(!keeper.take_office(500) && !keeper.take_office(600));
        assert!(keeper.take_office(400));
        assert!(!keeper.lay_down(500), "another one has it");
        assert_eq!(keeper.until_ns(), Some(400));
        assert!(keeper.lay_down(400));
        assert_eq!(keeper.until_ns(), None);
    }

    #[test]
    fn no_timer_is_late_by_more_than_the_slack() {
        let keeper = Timekeeper::new();
        // A clock that went back, or wheels of two runtimes: the last time lies ahead.
        keeper.woke_for_timers(9_000_000, 9_000_000);
        assert_eq!(keeper.when(1_000_000, 100_000), 1_100_000);
    }

    #[test]
    fn the_lag_is_what_most_exceed() {
        let keeper = Timekeeper::new();
        for round in 0..2_000 {
            let late = if round % 10 == 0 { 20_000 } else { 40_000 + round % 7 * 10_000 };
            keeper.woke_for_timers(0, late);
        }
        let lag = keeper.lag_ns();
        assert!((20_000..45_000).contains(&lag), "{lag}");
        (0..100).for_each(|_| keeper.woke_for_timers(0, 3_000));
        assert!(keeper.lag_ns() < 4_000);
        (0..1_000).for_each(|_| keeper.woke_for_timers(0, 70_000_000));
        assert!(keeper.lag_ns() <= Timekeeper::LAG_AT_MOST_NS);
    }

    #[test]
    fn who_was_busy_for_long_is_not_awaited() {
        let keeper = Timekeeper::new();
        assert!(keeper.is_back_soon());
        keeper.was_busy(u64::MAX);
        assert!(!keeper.is_back_soon());
        (0..20).for_each(|_| keeper.was_busy(10_000));
        assert!(keeper.is_back_soon());
    }
}
