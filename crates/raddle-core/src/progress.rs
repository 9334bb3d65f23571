//! The word between a thread and its handle: how far the thread's function is, and so whose its result is.
//!
//! ```text
//!            the handle is polled
//!   RUNNING ─────────────────────▶ AWAITED          the waker is in place
//!     │ │                            │ │
//!     │ └─ settle ───▶ SETTLED ◀─────┘ │            the second of the two finds the first one here,
//!     └─── dropped ──▶ ABANDONED ◀─────┘            and nobody looks any more
//! ```
//!
//! The result is the thread's until it is settled; then the handle's, or, if that is gone, still the thread's. Both sides end with an
//! exchange ([`settle`](Progress::settle), [`abandon`](Progress::abandon)), and the second of them drops what nobody has taken.
//!
//! Whoever awaits puts its waker in place and then [says so](Progress::is_awaited). Either the thread finds that as it settles, and
//! wakes, or the caller learns that the thread has settled. The place of the waker is under a lock of its own: a handle may be polled
//! with another waker each time.

use crate::sync::{AtomicU8, Ordering};

/// The thread's function runs.
const RUNNING: u8 = 0;
/// It runs, and somebody awaits it: the waker is in place.
const AWAITED: u8 = 1;
/// It has returned, and the result is the handle's.
const SETTLED: u8 = 2;
/// The handle is gone: the result is the thread's to drop.
const ABANDONED: u8 = 3;

/// What the thread finds as it settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "whoever awaits the handle would wait for ever; what nobody drops is lost"]
pub enum Settled {
    /// The result is the handle's from now on.
    Left,
    /// The same, and a waker is in place: it is to be woken.
    Awaited,
    /// The handle is gone: the result is the thread's to drop.
    Abandoned,
}

/// The word.
///
/// ```
/// use raddle_core::progress::{Progress, Settled};
/// let progress = Progress::new();
/// assert!(progress.is_awaited());
/// assert_eq!(progress.settle(), Settled::Awaited);
/// assert!(progress.is_settled());
/// ```
#[derive(Debug)]
pub struct Progress(AtomicU8);

impl Progress {
    /// The word of a thread that is about to begin.
    #[inline]
    pub fn new() -> Progress {
        Progress(AtomicU8::new(RUNNING))
    }

    /// The thread's function has returned, and its result is in place. Once, by the thread.
    #[inline]
    pub fn settle(&self) -> Settled {
        // Release: the handle sees the result.
        match self.0.swap(SETTLED, Ordering::AcqRel) {
            AWAITED => Settled::Awaited,
            ABANDONED => Settled::Abandoned,
            _ => Settled::Left,
        }
    }

    /// Whether the thread has settled. Then the handle sees its result. For the handle.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.0.load(Ordering::Acquire) == SETTLED
    }

    /// Says that a waker is in place. True: the thread will wake it. False: it has settled. For the handle.
    #[must_use = "a thread that has settled wakes nobody"]
    pub fn is_awaited(&self) -> bool {
        let said = self.0.compare_exchange(RUNNING, AWAITED, Ordering::AcqRel, Ordering::Acquire);
        said != Err(SETTLED)
    }

    /// The handle is dropped. True: the thread has settled, and the result is the caller's to drop.
    #[inline]
    #[must_use = "what nobody drops is lost"]
    pub fn abandon(&self) -> bool {
        self.0.swap(ABANDONED, Ordering::AcqRel) == SETTLED
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_the_two_has_the_result() {
        let left = Progress::new();
        assert_eq!(left.settle(), Settled::Left);
        assert!(left.abandon());
        let gone = Progress::new();
        assert!(!gone.abandon());
        assert_eq!(gone.settle(), Settled::Abandoned);
    }

    #[test]
    fn one_that_was_awaited_may_be_abandoned() {
        let progress = Progress::new();
        assert!(progress.is_awaited() && progress.is_awaited() && !progress.abandon());
        assert_eq!(progress.settle(), Settled::Abandoned);
    }

    #[test]
    fn whoever_awaits_too_late_is_told() {
        let progress = Progress::new();
        assert_eq!(progress.settle(), Settled::Left);
        assert!(!progress.is_awaited() && progress.is_settled());
    }
}
