//! A ticker: work at a fixed rate, which does not drift by the time that the work takes.
//!
//! The next tick is computed from the one before, not from when the caller came back. What is to happen when the caller came back
//! too late is a policy, since none suits all: a meter wants every tick counted, a screen wants none twice.

use super::{Instant, sleep_until};
use std::time::Duration;

/// What a [`Ticker`] does about ticks that nobody waited for, because the caller was busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedTicks {
    /// They come at once, one after the other, until the ticker has caught up.
    #[default]
    Burst,
    /// One comes at once, the others are left out; later ones keep to the first schedule.
    Skip,
    /// One comes at once, and a new schedule begins with it.
    Delay,
}

/// Blocks until the next of many moments at a fixed distance.
///
/// ```
/// use raddle::time::{Duration, Instant, Ticker};
/// let start = Instant::now();
/// let mut ticker = Ticker::new(Duration::from_millis(2));
/// for _ in 0..3 {
///     ticker.tick();
/// }
/// assert!(start.elapsed() >= Duration::from_millis(6));
/// ```
#[derive(Debug)]
pub struct Ticker {
    period: Duration,
    next: Option<Instant>,
    missed: MissedTicks,
}

impl Ticker {
    /// Ticks every `period` from now on, the first time after one period.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    #[must_use]
    pub fn new(period: Duration) -> Ticker {
        assert!(!period.is_zero(), "Ticker::new(0): a ticker needs a period");
        Ticker { period, next: Instant::after(period), missed: MissedTicks::default() }
    }

    /// The same ticker with a policy for ticks that are missed.
    #[must_use]
    pub fn missed_ticks(mut self, policy: MissedTicks) -> Ticker {
        self.missed = policy;
        self
    }

    /// The distance of two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Begins the schedule anew: the next tick is one period from now.
    pub fn reset(&mut self) {
        self.next = Instant::after(self.period);
    }

    /// Waits until the next tick, if it isn't due already, and says for which moment it was planned.
    pub fn tick(&mut self) -> Instant {
        let Some(planned) = self.next else {
            // A period of centuries: its first tick never comes.
            loop {
                super::sleep(Duration::MAX);
            }
        };
        sleep_until(planned);
        self.next = self.after(planned, Instant::now());
        planned
    }

    /// The tick after the one that was planned for `planned` and delivered at `now`.
    fn after(&self, planned: Instant, now: Instant) -> Option<Instant> {
        let next = planned.checked_add(self.period)?;
        if next >= now {
            return Some(next);
        }
        match self.missed {
            MissedTicks::Burst => Some(next),
            MissedTicks::Delay => now.checked_add(self.period),
            MissedTicks::Skip => {
                let late = (now - planned).as_nanos() % self.period.as_nanos();
                // The remainder is below the period, and that below 2^64 ns, or `planned + period` would not be.
                now.checked_add(self.period - Duration::from_nanos(late as u64))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_comes_at_once_or_not_at_all_or_shifts_the_rest() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let next = |policy, now| {
            let ticker = Ticker::new(Duration::from_millis(10)).missed_ticks(policy);
            ticker.after(at(10), at(now))
        };
        for policy in [MissedTicks::Burst, MissedTicks::Skip, MissedTicks::Delay] {
            assert_eq!(next(policy, 10), Some(at(20)), "in time: {policy:?}");
            assert_eq!(next(policy, 19), Some(at(20)), "late, but none missed: {policy:?}");
        }
        assert_eq!(next(MissedTicks::Burst, 45), Some(at(20)));
        assert_eq!(next(MissedTicks::Skip, 45), Some(at(50)));
        assert_eq!(next(MissedTicks::Delay, 45), Some(at(55)));
    }
}
