//! How many threads wait on a core: what its lock guards, copied for those who only look.

use raddle_core::run_queue::RunQueue;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The numbers, perhaps of a moment ago.
#[derive(Debug)]
pub(crate) struct Backlog {
    queued: AtomicUsize,
    movable: AtomicUsize,
    /// Those that the core's holder keeps by itself: see [`nursery`](crate::nursery). All of them may go elsewhere.
    newborn: AtomicUsize,
}

impl Backlog {
    pub(crate) const fn none() -> Backlog {
        Backlog {
            queued: AtomicUsize::new(0),
            movable: AtomicUsize::new(0),
            newborn: AtomicUsize::new(0),
        }
    }

    /// What the core itself asks: how many wait here.
    #[inline]
    pub(crate) fn load(&self, order: Ordering) -> usize {
        self.queued.load(order) + self.newborn.load(order)
    }

    /// What others ask: how many of them could go elsewhere.
    #[inline]
    pub(crate) fn movable(&self, order: Ordering) -> usize {
        self.movable.load(order) + self.newborn.load(order)
    }

    /// How many of them are in the queue.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// How many of them the holder keeps.
    #[inline]
    pub(crate) fn newborn(&self) -> usize {
        self.newborn.load(Ordering::Relaxed)
    }

    /// The queue has changed; its lock is held.
    #[inline]
    pub(crate) fn publish<K: Copy + Eq>(&self, threads: &RunQueue<K>) {
        self.queued.store(threads.len(), Ordering::Relaxed);
        self.movable.store(threads.movable(), Ordering::Relaxed);
    }

    /// The nursery has changed, in which the caller is.
    #[inline]
    pub(crate) fn publish_newborn(&self, count: usize) {
        self.newborn.store(count, Ordering::Relaxed);
    }
}
