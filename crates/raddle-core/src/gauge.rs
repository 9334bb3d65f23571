//! How many of a pool's workers run, and how many items wait for them: the two words between a workqueue and the scheduler.
//!
//! ```text
//!   an item comes (the list is locked):  pending += 1      a worker's item sleeps:  running -= 1
//!                                        who runs?                                  is anything pending?
//! ```
//!
//! *No item is left while nobody runs.* Each side writes its own word, with a full barrier, and then looks at the other's: one of them
//! sees that a worker is needed, perhaps both. Whoever does looks again under the lock of the idle ones, takes one of them and counts it
//! as running there, so that two never wake two for one item. A worker that becomes idle is one that sleeps, and may be the one who sees it:
//! then it stays.
//!
//! What to do about the numbers is said in [`work_pool`](crate::work_pool).

use crate::sync::{AtomicUsize, Ordering, const_but_for_loom};
use crate::work_pool::{Counts, keep_working, need_more_workers};

/// The two words.
///
/// ```
/// use raddle_core::gauge::Gauge;
/// let gauge = Gauge::new(1);
/// assert!(gauge.item_comes(), "nobody runs");
/// gauge.one_runs();
/// assert!(!gauge.item_comes(), "one runs, and computes as far as anybody knows");
/// gauge.item_goes();
/// assert!(gauge.one_stops(), "it sleeps, and an item is left");
/// ```
#[derive(Debug)]
pub struct Gauge {
    width: usize,
    pending: AtomicUsize,
    running: AtomicUsize,
}

impl Gauge {
    const_but_for_loom! {
        /// No items, and nobody who runs; `width` may at a time.
        pub fn new(width: usize) -> Gauge {
            Gauge { width, pending: AtomicUsize::new(0), running: AtomicUsize::new(0) }
        }
    }

    /// An item is in the list. Whether a worker is to be woken.
    #[inline]
    #[must_use = "nobody else may see that a worker is needed"]
    pub fn item_comes(&self) -> bool {
        let pending = self.pending.fetch_add(1, Ordering::SeqCst) + 1;
        let running = self.running.load(Ordering::SeqCst);
        need_more_workers(&self.counts(pending, running))
    }

    /// An item was taken from the list.
    #[inline]
    pub fn item_goes(&self) {
        self.pending.fetch_sub(1, Ordering::Relaxed);
    }

    /// A worker runs, or goes on after its item has slept.
    #[inline]
    pub fn one_runs(&self) {
        self.running.fetch_add(1, Ordering::SeqCst);
    }

    /// A worker runs no longer: its item sleeps, or it is about to be idle. Whether another is to be woken.
    #[inline]
    #[must_use = "nobody else may see that a worker is needed"]
    pub fn one_stops(&self) -> bool {
        let running = self.running.fetch_sub(1, Ordering::SeqCst) - 1;
        let pending = self.pending.load(Ordering::SeqCst);
        need_more_workers(&self.counts(pending, running))
    }

    /// Whether a worker is needed: to be asked again under the lock of the idle ones.
    #[inline]
    pub fn needs_more(&self) -> bool {
        let running = self.running.load(Ordering::SeqCst);
        need_more_workers(&self.counts(self.pending.load(Ordering::SeqCst), running))
    }

    /// Whether the calling worker, which runs, is to take one more item.
    #[inline]
    pub fn keeps_working(&self) -> bool {
        keep_working(&self.counts(self.pending(), self.running.load(Ordering::Relaxed)))
    }

    /// Items in the list, for those who only look.
    #[inline]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    fn counts(&self, pending: usize, running: usize) -> Counts {
        Counts { width: self.width, pending, running, ..Counts::default() }
    }
}
