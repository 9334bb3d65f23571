//! How long something took, counted in steps: eight for each doubling, from a microsecond to a minute, and eight below.
//!
//! *Fixed steps, not `hdrhistogram`'s*: that crate counts through a mutable borrow, so that each core would need a lock or a recorder and a
//! merge; here a count is one addition to a number that other cores rarely touch. Nor the decimal bounds that Prometheus' libraries
//! suggest: eight steps a doubling give percentiles to an eighth, and each doubling's end is a bound that Prometheus gets, exactly.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Steps for each doubling.
const STEPS: usize = 8;
/// The last one ends at 2^26 us, 67 s.
const DOUBLINGS: usize = 26;
/// Of the first microsecond, an eighth.
const LEAST_NS: u64 = 1000 / STEPS as u64;
/// The last one is for what took longer.
const COUNTS: usize = STEPS * (DOUBLINGS + 1) + 1;

/// Counts that many threads add to.
#[derive(Debug)]
pub(super) struct Latencies {
    counts: [AtomicU64; COUNTS],
    sum_ns: AtomicU64,
}

impl Latencies {
    pub(super) fn new() -> Latencies {
        Latencies { counts: [const { AtomicU64::new(0) }; COUNTS], sum_ns: AtomicU64::new(0) }
    }

    #[inline]
    pub(super) fn add(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[step_of(ns)].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    pub(super) fn add_to(&self, sum: &mut Latency) {
        sum.counts.resize(COUNTS, 0);
        for (sum, count) in sum.counts.iter_mut().zip(&self.counts) {
            *sum += count.load(Relaxed);
        }
        sum.sum_ns += self.sum_ns.load(Relaxed);
    }
}

/// Bounds belong to what is below them, as in Prometheus.
fn step_of(ns: u64) -> usize {
    let least = (ns.saturating_sub(1) / LEAST_NS) as usize;
    if least < STEPS {
        return least;
    }
    let doubling = least.ilog2() as usize - STEPS.ilog2() as usize;
    let step = (least >> doubling) - STEPS;
    (STEPS * (doubling + 1) + step).min(COUNTS - 1)
}

/// The most that belongs to a step.
fn bound_ns(step: usize) -> u64 {
    let least = match step / STEPS {
        0 => step as u64 + 1,
        doubling => ((STEPS + step % STEPS + 1) as u64) << (doubling - 1),
    };
    least * LEAST_NS
}

/// How long things took, as it was at some moment.
///
/// ```
/// use raddle_http::metrics::Latency;
/// assert_eq!(Latency::default().quantile(0.99), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    counts: Vec<u64>,
    sum_ns: u64,
}

impl Latency {
    /// How many there were.
    ///
    /// ```
    /// assert_eq!(raddle_http::metrics::Latency::default().count(), 0);
    /// ```
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all took together.
    ///
    /// ```
    /// assert!(raddle_http::metrics::Latency::default().sum().is_zero());
    /// ```
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// The time within which that part of them was done, an eighth too long at most; `None` if there were none.
    ///
    /// ```
    /// assert_eq!(raddle_http::metrics::Latency::default().quantile(0.5), None);
    /// ```
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        let wanted = ((count as f64 * part.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let step = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(Duration::from_nanos(bound_ns(step)))
    }

    /// Those that came since `earlier`.
    ///
    /// ```
    /// use raddle_http::metrics::Latency;
    /// assert_eq!(Latency::default().since(&Latency::default()).count(), 0);
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Latency) -> Latency {
        let before = earlier.counts.iter().chain(std::iter::repeat(&0));
        let counts = self.counts.iter().zip(before).map(|(now, then)| now.saturating_sub(*then));
        Latency { counts: counts.collect(), sum_ns: self.sum_ns.saturating_sub(earlier.sum_ns) }
    }

    /// Bounds in microseconds, one for each doubling from 1 us on, and how many were done within each.
    pub(super) fn doublings(&self) -> Vec<(u64, u64)> {
        let mut seen = 0;
        let mut doublings = Vec::with_capacity(DOUBLINGS + 1);
        for doubling in self.counts.chunks_exact(STEPS) {
            seen += doubling.iter().sum::<u64>();
            let last = doublings.len() * STEPS + STEPS - 1;
            doublings.push((bound_ns(last) / 1000, seen));
        }
        doublings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_ends_where_the_next_one_begins() {
        assert_eq!(step_of(0), 0);
        for step in 0..COUNTS - 1 {
            let end_ns = bound_ns(step);
            assert_eq!((step_of(end_ns), step_of(end_ns + 1)), (step, step + 1), "{end_ns}");
        }
        assert_eq!(bound_ns(STEPS - 1), 1000);
        assert_eq!(bound_ns(COUNTS - 2), 1000 << 26);
        assert_eq!(step_of(u64::MAX), COUNTS - 1);
    }

    #[test]
    fn quantiles_are_an_eighth_too_long_at_most() {
        let latencies = Latencies::new();
        (1..=1000).for_each(|ms| latencies.add(Duration::from_millis(ms)));
        let mut latency = Latency::default();
        latencies.add_to(&mut latency);
        for (part, exact_ms) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let shown = latency.quantile(part).unwrap().as_secs_f64() * 1e3;
            assert!((exact_ms..=exact_ms * 1.125).contains(&shown), "{part}: {shown}");
        }
        assert_eq!((latency.count(), latency.sum()), (1000, Duration::from_millis(500_500)));
        let doublings = latency.doublings();
        assert_eq!((doublings[0], doublings.last()), ((1, 0), Some(&(1 << 26, 1000))));
        // 2^19 us is half a second, and a bit.
        assert!(doublings.contains(&(1 << 19, 524)), "{doublings:?}");
        let before = latency.clone();
        latencies.add(Duration::from_secs(100));
        let mut now = Latency::default();
        latencies.add_to(&mut now);
        assert_eq!(now.since(&before).count(), 1);
        assert_eq!(now.doublings().last(), Some(&(1 << 26, 1000)), "it took longer than any");
    }
}
