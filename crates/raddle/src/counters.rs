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
}

impl Counters {
    /// Adds to a counter. The holder only: no exchange.
    #[inline]
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }
}
