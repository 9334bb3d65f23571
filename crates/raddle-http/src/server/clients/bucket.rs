//! A token bucket in one number: arithmetic without a clock.
//!
//! A bucket holds `burst` tokens, one comes each `interval`, and each request takes one. Instead of tokens and the time at which they were
//! counted it keeps *when the bucket will be full again*: that says both, needs no timer, and changes by one exchange. It is
//! the generic cell rate algorithm of ATM networks (ITU-T I.371), whose theoretical arrival time this is.
//!
//! ```text
//!          now                      full again
//!   ────────┼───────────────────────────┼──────▶      tokens that are missing: (full again - now) / interval
//!           ├─ interval ─┤              │             one more may be taken as long as burst of them suffice
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How fast tokens come, and how many there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Rate {
    interval_ns: u64,
    /// From empty to full.
    whole_ns: u64,
}

impl Rate {
    /// A second is a whole number of ns, and an interval is rounded down: at a million a second that is exact, in between it is a
    /// thousandth more than was asked for, at most.
    pub(in crate::server) const PER_S_MAX: u32 = 1_000_000;

    /// From 1 to [`PER_S_MAX`](Self::PER_S_MAX) tokens a second, and one at least in a full bucket: what is outside counts as the nearest.
    pub(in crate::server) fn new(per_s: u32, burst: u32) -> Rate {
        let interval_ns = 1_000_000_000 / u64::from(per_s.clamp(1, Rate::PER_S_MAX));
        Rate { interval_ns, whole_ns: interval_ns * u64::from(burst.max(1)) }
    }

    /// Takes a token at `now_ns` out of a bucket that is full again at `full_ns`: when it will be full then.
    ///
    /// # Errors
    ///
    /// If there is none: in how many ns there will be one.
    fn take(self, full_ns: u64, now_ns: u64) -> Result<u64, u64> {
        let full_ns = full_ns.max(now_ns).saturating_add(self.interval_ns);
        match (full_ns - now_ns).checked_sub(self.whole_ns) {
            None | Some(0) => Ok(full_ns),
            Some(missing_ns) => Err(missing_ns),
        }
    }
}

/// A bucket that several threads take from. It is full at first.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    full_ns: AtomicU64,
}

impl Bucket {
    /// Takes a token.
    ///
    /// # Errors
    ///
    /// If there is none: how long until there is one. Who is refused has taken nothing.
    pub(super) fn take(&self, rate: Rate, now_ns: u64) -> Result<(), Duration> {
        let take = |full_ns| rate.take(full_ns, now_ns).ok();
        // The number alone is what is shared: nothing is published by it.
        let taken = self.full_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        match taken {
            Ok(_) => Ok(()),
            Err(full_ns) => {
                Err(Duration::from_nanos(rate.take(full_ns, now_ns).err().unwrap_or(1)))
            }
        }
    }

    /// Whether nothing is missing at `now_ns`: it says as much as a new one.
    pub(super) fn is_full(&self, now_ns: u64) -> bool {
        self.full_ns.load(Ordering::Relaxed) <= now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_burst_and_then_the_rate() {
        let (rate, bucket) = (Rate::new(10, 3), Bucket::default());
        let now = 50 * MS;
        assert!((0..3).all(|_| bucket.take(rate, now).is_ok()));
        assert_eq!(bucket.take(rate, now), Err(Duration::from_millis(100)));
        // To ask in vain costs nothing.
        assert_eq!(bucket.take(rate, now + 99 * MS), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(rate, now + 100 * MS), Ok(()));
        assert!(bucket.take(rate, now + 100 * MS).is_err());
        assert!(!bucket.is_full(now + 399 * MS) && bucket.is_full(now + 400 * MS));
        assert!((0..3).all(|_| bucket.take(rate, now + 1000 * MS).is_ok()));
        assert!(bucket.take(rate, now + 1000 * MS).is_err(), "no more than a burst is saved up");
    }

    #[test]
    fn what_is_out_of_bounds_counts_as_the_nearest() {
        assert_eq!(Rate::new(0, 0), Rate::new(1, 1));
        assert_eq!(Rate::new(u32::MAX, 5), Rate::new(Rate::PER_S_MAX, 5));
        let (slow, bucket) = (Rate::new(1, u32::MAX), Bucket::default());
        assert_eq!(bucket.take(slow, u64::MAX), Ok(()), "the end of time is no overflow");
    }

    #[test]
    fn many_threads_take_no_more_than_there_are() {
        let (rate, bucket) = (Rate::new(1, 1000), Bucket::default());
        let taken = || (0..1000).filter(|_| bucket.take(rate, 7).is_ok()).count();
        let all: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4).map(|_| scope.spawn(taken)).collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(all, 1000);
    }

    /// Tokens that are counted, in ns of their coming.
    struct Counted {
        rate: Rate,
        ns: u128,
        at_ns: u64,
    }

    impl Counted {
        fn take(&mut self, now_ns: u64) -> bool {
            let come = u128::from(now_ns - self.at_ns);
            (self.ns, self.at_ns) = ((self.ns + come).min(self.rate.whole_ns.into()), now_ns);
            let rest = self.ns.checked_sub(self.rate.interval_ns.into());
            self.ns = rest.unwrap_or(self.ns);
            rest.is_some()
        }
    }

    proptest! {
        #[test]
        fn it_is_a_bucket_of_tokens(per_s in 1_u32..2_000_000, burst in 1_u32..50, gaps in prop::collection::vec(0_u64..3, 1..200), scale in 1_u64..400_000_000) {
            let rate = Rate::new(per_s, burst);
            let bucket = Bucket::default();
            let mut counted = Counted { rate, ns: rate.whole_ns.into(), at_ns: 0 };
            let mut now = 0;
            let mut taken = Vec::new();
            for gap in gaps {
                now += gap * scale;
                let result = bucket.take(rate, now);
                prop_assert_eq!(result.is_ok(), counted.take(now));
                match result {
                    Ok(()) => taken.push(now),
                    // It says exactly when to come again.
                    Err(wait) => {
                        let wait = wait.as_nanos() as u64;
                        let full = bucket.full_ns.load(Ordering::Relaxed);
                        prop_assert!(rate.take(full, now + wait).is_ok() && rate.take(full, now + wait - 1).is_err());
                    }
                }
                prop_assert_eq!(bucket.is_full(now), counted.ns == u128::from(rate.whole_ns));
            }
            // In no span of time are there more than the burst and what has come meanwhile.
            for (first, begin) in taken.iter().enumerate() {
                for (count, end) in taken[first..].iter().enumerate() {
                    prop_assert!((count as u64 + 1) * rate.interval_ns <= rate.whole_ns + (end - begin));
                }
            }
        }
    }
}
