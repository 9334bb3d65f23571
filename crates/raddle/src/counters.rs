//! What happened on a core, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What happened, for statistics. Written by the holder or the monitor.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) preemptions: AtomicU64,
    pub(crate) steals: AtomicU64,
    pub(crate) handovers: AtomicU64,
    /// Threads that ended here.
    pub(crate) ended: AtomicU64,
    /// Threads that were made ready for the first time here, by threads that ran here; of others the runtime keeps count.
    pub(crate) started: AtomicU64,
    pub(crate) idle: Idle,
}

/// For how long the core's worker has slept because there was nothing to run: one word, so that whoever reads it never sees the time go back.
#[derive(Debug, Default)]
pub(crate) struct Idle(AtomicU64);

impl Idle {
    /// It sleeps: the word's other bits are the moment from which it would have had to sleep without a break.
    const SLEEPS: u64 = 1 << 63;

    /// The worker is about to sleep. The holder only.
    pub(crate) fn begins(&self, now_ns: u64) {
        let total = self.0.load(Ordering::Relaxed);
        self.0.store(Idle::SLEEPS | now_ns.saturating_sub(total), Ordering::Relaxed);
    }

    /// It is awake. The holder only.
    pub(crate) fn ends(&self, now_ns: u64) {
        self.0.store(self.total_ns(now_ns), Ordering::Relaxed);
    }

    pub(crate) fn total_ns(&self, now_ns: u64) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            word if word & Idle::SLEEPS != 0 => now_ns.saturating_sub(word & !Idle::SLEEPS),
            total => total,
        }
    }
}

impl Counters {
    /// Adds to a counter. The holder only: no exchange.
    #[inline]
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_asleep_adds_up_also_while_it_lasts() {
        let idle = Idle::default();
        assert_eq!(idle.total_ns(1000), 0);
        idle.begins(1000);
        assert_eq!((idle.total_ns(1000), idle.total_ns(1600)), (0, 600));
        idle.ends(1700);
        assert_eq!(idle.total_ns(5000), 700);
        idle.begins(5000);
        assert_eq!(idle.total_ns(5001), 701);
        idle.ends(5300);
        assert_eq!(idle.total_ns(9000), 1000);
    }
}
