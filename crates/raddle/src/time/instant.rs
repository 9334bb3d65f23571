//! Moments.
//!
//! `std`'s type would do for the live clock. It would not for virtual time: nobody can make one that says what a simulated clock
//! shows. So raddle has its own, a number of nanoseconds, and all of its own deadlines are of this type.
//!
//! Rejected: conversion from and to `std::time::Instant`. What that holds can't be read, only compared with another reading,
//! so every conversion would be wrong by the time between two readings; and under virtual time it would mean nothing.

use crate::host;
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A moment. As `std::time::Instant`: later ones are greater, and the clock never goes back.
///
/// ```
/// use raddle::time::{Duration, Instant, sleep};
/// let start = Instant::now();
/// sleep(Duration::from_millis(2));
/// assert!(start.elapsed() >= Duration::from_millis(2));
/// assert!(Instant::now() > start);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// Nanoseconds on the host's clock: `CLOCK_MONOTONIC`, or a simulated one.
    ns: u64,
}

impl Instant {
    /// This moment.
    #[must_use]
    pub fn now() -> Instant {
        Instant { ns: host::now_ns() }
    }

    /// How long ago this was. Zero if it is still to come.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(*self)
    }

    /// The time from `earlier` to this moment. Zero if `earlier` is the later one, as in `std`.
    #[must_use]
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// The time from `earlier` to this moment; `None` if `earlier` is the later one.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.ns.checked_sub(earlier.ns).map(Duration::from_nanos)
    }

    /// The time from `earlier` to this moment. Zero if `earlier` is the later one.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.ns.saturating_sub(earlier.ns))
    }

    /// `duration` later; `None` if that is more than 584 years after the machine started.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        let ns = self.ns.checked_add(u64::try_from(duration.as_nanos()).ok()?)?;
        Some(Instant { ns })
    }

    /// `duration` earlier; `None` if that is before the machine started.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        let ns = self.ns.checked_sub(u64::try_from(duration.as_nanos()).ok()?)?;
        Some(Instant { ns })
    }

    /// The moment as others of this crate count.
    pub(crate) fn as_ns(self) -> u64 {
        self.ns
    }

    pub(crate) fn from_ns(ns: u64) -> Instant {
        Instant { ns }
    }

    /// `duration` from now, or `None` for never: that is what a time-out of centuries means.
    pub(crate) fn after(duration: Duration) -> Option<Instant> {
        Instant::now().checked_add(duration)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instant").field(&Duration::from_nanos(self.ns)).finish()
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// # Panics
    ///
    /// If there is no such moment: [`checked_add`](Instant::checked_add) says so instead.
    fn add(self, duration: Duration) -> Instant {
        self.checked_add(duration).expect("a moment too late to be told")
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    /// # Panics
    ///
    /// If there is no such moment: [`checked_sub`](Instant::checked_sub) says so instead.
    fn sub(self, duration: Duration) -> Instant {
        self.checked_sub(duration).expect("a moment too early to be told")
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}
