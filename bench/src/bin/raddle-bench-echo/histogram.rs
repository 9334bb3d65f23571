//! Latencies, within a hundredth.

/// Steps for each power of two.
const FINE: u64 = 64;
const STEPS: usize = 59 * FINE as usize;

/// How often which latency was seen.
pub(crate) struct Histogram {
    counts: Box<[u64; STEPS]>,
    total: u64,
}

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram { counts: Box::new([0; STEPS]), total: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    #[inline]
    pub(crate) fn record(&mut self, ns: u64) {
        self.counts[step(ns)] += 1;
        self.total += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The latency that so many of a hundred don't exceed.
    pub(crate) fn percentile(&self, percent: u64) -> u64 {
        let wanted = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        at.map_or(0, middle)
    }
}

#[inline]
fn step(ns: u64) -> usize {
    if ns < FINE {
        return ns as usize;
    }
    let shift = ns.ilog2() - FINE.ilog2();
    (u64::from(shift) * FINE + (ns >> shift)) as usize
}

fn middle(step: usize) -> u64 {
    let step = step as u64;
    if step < 2 * FINE {
        return step;
    }
    let shift = step / FINE - 1;
    ((step % FINE + FINE) << shift) + (1 << (shift - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_found_again_within_a_hundredth() {
        for ns in [0, 1, 63, 64, 127, 128, 1_000, 123_456, 7_000_000_000, u64::MAX] {
            let mut histogram = Histogram::new();
            histogram.record(ns);
            let found = histogram.percentile(50);
            assert!(found.abs_diff(ns) as f64 <= ns as f64 / 100.0, "{ns} is found as {found}");
        }
    }

    #[test]
    fn percentiles_count() {
        let mut histogram = Histogram::new();
        (1..=100).for_each(|ns| histogram.record(ns));
        assert_eq!([50, 99, 100].map(|percent| histogram.percentile(percent)), [50, 99, 100]);
        histogram.clear();
        assert_eq!((histogram.total(), histogram.percentile(99)), (0, 0));
    }
}
