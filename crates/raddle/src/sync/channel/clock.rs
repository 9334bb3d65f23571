//! Channels whose only sender is the clock: one moment, or one again and again.
//!
//! They need no thread, no timer and no queue. A receiver computes when the next message is due and sleeps until then; whoever is
//! first after that takes it. Beside other operations in a select, the moment is the select's deadline.

use super::buffer::Dearth;
use super::claim::{Attempt, Claim, Enlisting, commits};
use super::wait::Patience;
use crate::time::{Duration, Instant, sleep_until};
use std::sync::atomic::{AtomicU64, Ordering};

/// A channel that the clock sends to.
pub(super) struct Clock<T> {
    /// When the next message is due; `NEVER`: there is none.
    next_ns: AtomicU64,
    /// The distance of two messages; 0 if there is only one.
    period_ns: u64,
    /// What a moment is as a message: such channels carry `Instant`s, but a receiver doesn't know that by its type.
    message: fn(Instant) -> T,
}

const NEVER: u64 = u64::MAX;

fn due(duration: Duration) -> u64 {
    Instant::after(duration).map_or(NEVER, Instant::as_ns)
}

impl<T> Clock<T> {
    pub(super) fn after(duration: Duration, message: fn(Instant) -> T) -> Clock<T> {
        Clock { next_ns: AtomicU64::new(due(duration)), period_ns: 0, message }
    }

    pub(super) fn tick(period: Duration, message: fn(Instant) -> T) -> Clock<T> {
        // A period of 0 would be a channel that is never empty; 1 ns is as good, and tells it from a single message.
        let period_ns = u64::try_from(period.as_nanos()).unwrap_or(NEVER).max(1);
        Clock { next_ns: AtomicU64::new(due(period)), period_ns, message }
    }

    pub(super) fn at(deadline: Instant, message: fn(Instant) -> T) -> Clock<T> {
        Clock { next_ns: AtomicU64::new(deadline.as_ns()), period_ns: 0, message }
    }

    pub(super) fn message(&self, ns: u64) -> T {
        (self.message)(Instant::from_ns(ns))
    }

    fn take(&self) -> Option<u64> {
        let mut next = self.next_ns.load(Ordering::Relaxed);
        loop {
            let now = Instant::now().as_ns();
            if next == NEVER || next > now {
                return None;
            }
            // A tick that nobody took is not made up for: the next one is a period from now.
            let after =
                if self.period_ns == 0 { NEVER } else { now.saturating_add(self.period_ns) };
            match self.next_ns.compare_exchange_weak(
                next,
                after,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(next),
                Err(changed) => next = changed,
            }
        }
    }

    pub(super) fn receive(&self, patience: Patience) -> Result<T, Dearth> {
        loop {
            if let Some(ns) = self.take() {
                return Ok(self.message(ns));
            }
            let next = self.next_ns.load(Ordering::Relaxed);
            match patience {
                Patience::None => return Err(Dearth::Empty),
                Patience::Until(Some(deadline_ns)) if deadline_ns < next => {
                    sleep_until(Instant::from_ns(deadline_ns));
                    return self.take().map(|ns| self.message(ns)).ok_or(Dearth::TimedOut);
                }
                Patience::Until(_) => sleep_until(Instant::from_ns(next)),
            }
        }
    }

    pub(super) fn claim(&self, mut select: Option<Enlisting<'_>>) -> Attempt {
        let next = self.next_ns.load(Ordering::Relaxed);
        if next > Instant::now().as_ns() {
            return Attempt::Waits;
        }
        if !commits(&mut select) {
            return Attempt::Over;
        }
        match self.take() {
            Some(ns) => Attempt::Claimed(Claim::Moment(ns)),
            None if select.is_some() => Attempt::Over,
            None => Attempt::Waits,
        }
    }

    /// When a select should look again.
    pub(super) fn deadline_ns(&self) -> Option<u64> {
        let next = self.next_ns.load(Ordering::Relaxed);
        (next != NEVER).then_some(next)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next_ns.load(Ordering::Relaxed) > Instant::now().as_ns()
    }
}
