//! The signals that were sent to a thread and have not reached it yet: one word of bits, and the mask beside it.
//!
//! ```text
//!   whoever sends                               the thread
//!   set the bit; is it masked, or               unmask; look at the bits
//!   is the thread closed?                       close: take all bits for ever, run the last handlers
//! ```
//!
//! There is no lock: a child that was forked while somebody held one would wait for ever.
//!
//! *Closed* is a thread that takes no more: its function has returned. Then all bits are set, and stay so. Whoever finds its bit set
//! already asks whether that is the reason. A signal that was accepted has therefore been seen by the thread, or will be.

use crate::sleeper::Sleeper;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// All signals: bit `n - 1` stands for number `n`.
const ALL: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Pending {
    sent: AtomicU64,
    /// Written by the thread itself.
    mask: AtomicU64,
    is_closed: AtomicBool,
    /// Where the thread sleeps. `None` for a kernel thread that is not raddle's.
    home: Option<NonNull<Sleeper>>,
}

/// What is left to do about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a thread may have to be woken"]
pub(crate) enum Sent {
    /// The thread looks when it unmasks it.
    Masked,
    /// The thread that sleeps there, or runs, is to look.
    Look(NonNull<Sleeper>),
    Ended,
    /// The kernel's threads have the kernel's signals.
    NotRaddles,
}

impl Pending {
    #[inline]
    pub(crate) fn new(home: Option<NonNull<Sleeper>>, mask: u64) -> Pending {
        Pending {
            sent: AtomicU64::new(0),
            mask: AtomicU64::new(mask),
            is_closed: AtomicBool::new(false),
            home,
        }
    }

    pub(crate) fn send(&self, bit: u64) -> Sent {
        let Some(home) = self.home else { return Sent::NotRaddles };
        // With `set_mask`: either this sees the new mask, or the thread sees the bit.
        let before = self.sent.fetch_or(bit, Ordering::SeqCst);
        // The mark was set before all bits were: whoever meets those sees it. If the bit was set by another sender, and the thread has
        // closed since, it has taken the bit with the last ones, or will: no harm is done by saying that it has ended.
        if before & bit != 0 && self.is_closed.load(Ordering::SeqCst) {
            return Sent::Ended;
        }
        if self.mask.load(Ordering::SeqCst) & bit != 0 {
            return Sent::Masked;
        }
        Sent::Look(home)
    }

    /// Bits that are set and not masked.
    fn ready(&self) -> u64 {
        if self.is_closed.load(Ordering::SeqCst) {
            return 0;
        }
        self.sent.load(Ordering::SeqCst) & !self.mask.load(Ordering::Relaxed)
    }

    pub(crate) fn is_any_ready(&self) -> bool {
        self.ready() != 0
    }

    /// All bits that are set, masked or not.
    pub(crate) fn all(&self) -> u64 {
        if self.is_closed.load(Ordering::SeqCst) {
            return 0;
        }
        self.sent.load(Ordering::SeqCst)
    }

    /// Takes the lowest bit that is ready. The thread itself.
    pub(crate) fn take(&self) -> Option<u64> {
        let ready = self.ready();
        let first = ready & ready.wrapping_neg();
        (first != 0).then(|| {
            // Nobody else clears bits.
            self.sent.fetch_and(!first, Ordering::SeqCst);
            first
        })
    }

    /// From here on this is the mask. The thread itself.
    pub(crate) fn set_mask(&self, mask: u64) {
        self.mask.store(mask, Ordering::SeqCst);
    }

    /// From here on the thread takes nothing: the last bits that are ready.
    pub(crate) fn close(&self) -> u64 {
        // Whoever meets the bits of the swap sees this as well: no fence of its own.
        self.is_closed.store(true, Ordering::Release);
        self.sent.swap(ALL, Ordering::SeqCst) & !self.mask.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> Pending {
        Pending::new(Some(NonNull::dangling()), 0)
    }

    #[test]
    fn bits_are_taken_from_the_lowest_and_once() {
        let pending = pending();
        for bit in [4, 1, 4] {
            assert_eq!(pending.send(bit), Sent::Look(NonNull::dangling()));
        }
        assert_eq!(pending.all(), 5);
        assert_eq!([pending.take(), pending.take(), pending.take()], [Some(1), Some(4), None]);
    }

    #[test]
    fn what_is_masked_waits() {
        let pending = pending();
        pending.set_mask(2);
        assert_eq!(pending.send(2), Sent::Masked);
        assert!(!pending.is_any_ready() && pending.take().is_none());
        pending.set_mask(0);
        assert_eq!(pending.take(), Some(2));
    }

    #[test]
    fn a_closed_thread_takes_nothing_and_says_so() {
        let pending = pending();
        let _ = pending.send(8);
        pending.set_mask(1);
        let _ = pending.send(1);
        assert_eq!(pending.close(), 8);
        assert_eq!(pending.send(16), Sent::Ended);
        assert!(!pending.is_any_ready() && pending.take().is_none() && pending.all() == 0);
    }

    #[test]
    fn all_signals_at_once_are_not_mistaken_for_the_end() {
        let pending = pending();
        let _ = pending.send(ALL);
        assert_eq!(pending.send(1), Sent::Look(NonNull::dangling()));
        assert_eq!(pending.close(), ALL);
    }

    #[test]
    fn kernel_threads_take_none() {
        assert_eq!(Pending::new(None, 0).send(1), Sent::NotRaddles);
    }
}
