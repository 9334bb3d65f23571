//! The signals that were sent to a thread and have not reached it yet: one word of bits, and the mask beside it.
//!
//! ```text
//!   whoever sends                               the thread
//!   set the bit; is it masked?                  unmask; look at the bits
//!
//!   set the bit                                 CLOSING
//!   membarrier                                  (compiler fence)
//!   open, CLOSING, CLOSED, ALL_TAKEN?           never a bit: CLOSED; else take all bits for ever: ALL_TAKEN
//! ```
//!
//! There is no lock: a child that was forked while somebody held one would wait for ever.
//!
//! *Closed* is a thread that takes no more: its function has returned. Every thread closes, and few are ever sent a signal; so that costs
//! the thread no exchange, and who sends a system call. After it either the sender sees that the thread closes, or the thread sees the bit.
//! Who finds it closing waits for the few instructions that it takes.
//!
//! If the thread never saw a bit it has refused all whose senders found it closed: those who found it open it would have seen. If it has
//! taken one, then or earlier, it sets all bits, for ever: whoever finds its own set already was too late, and whoever was the first to set
//! it is among those that were taken. So a signal that was accepted has been seen by the thread, or will be, and one that was refused is not.

use crate::sync::{AtomicU8, AtomicU64, Ordering, light_barrier};

/// All signals: bit `n - 1` stands for number `n`.
const ALL: u64 = u64::MAX;

/// The thread takes signals, and has taken none yet.
const OPEN: u8 = 0;
/// It takes signals.
const USED: u8 = 1;
/// It is about to look for the last time.
const CLOSING: u8 = 2;
/// It takes no more, and never took one.
const CLOSED: u8 = 3;
/// It takes no more, and has taken all bits.
const ALL_TAKEN: u8 = 4;

/// What is left to do about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the thread may have to be called"]
pub enum Sent {
    /// The thread looks when it unmasks it.
    Masked,
    /// The thread is to look: see [`attention`](crate::attention).
    Look,
    /// The thread takes no more.
    Ended,
}

/// The bits and the mask.
///
/// ```
/// use raddle_core::pending::{Pending, Sent};
/// let pending = Pending::new(2);
/// # fn membarrier() {}
/// let send = |bit| pending.send(bit, membarrier, std::thread::yield_now);
/// assert_eq!((send(1), send(2)), (Sent::Look, Sent::Masked));
/// assert_eq!(pending.take(), Some(1));
/// assert_eq!(pending.take(), None);
/// ```
#[derive(Debug)]
pub struct Pending {
    sent: AtomicU64,
    /// Written by the thread itself.
    mask: AtomicU64,
    course: AtomicU8,
}

impl Pending {
    /// Nothing was sent.
    #[inline]
    pub fn new(mask: u64) -> Pending {
        Pending { sent: AtomicU64::new(0), mask: AtomicU64::new(mask), course: AtomicU8::new(OPEN) }
    }

    /// Sends a signal. Anybody. `barrier` makes a `membarrier(2)`; `wait` lets others run, of which the thread may be one.
    pub fn send(&self, bit: u64, barrier: impl FnOnce(), mut wait: impl FnMut()) -> Sent {
        // With `set_mask`: either this sees the new mask, or the thread sees the bit.
        let before = self.sent.fetch_or(bit, Ordering::SeqCst);
        barrier();
        loop {
            match self.course.load(Ordering::SeqCst) {
                OPEN | USED => break,
                CLOSING => wait(),
                // If the bit was set by another sender, that one was accepted, and this one might as well have come later.
                ALL_TAKEN if before & bit == 0 => break,
                _ => return Sent::Ended,
            }
        }
        if self.mask.load(Ordering::SeqCst) & bit != 0 {
            return Sent::Masked;
        }
        Sent::Look
    }

    fn is_open(&self) -> bool {
        matches!(self.course.load(Ordering::Relaxed), OPEN | USED)
    }

    /// Bits that are set and not masked.
    fn ready(&self) -> u64 {
        if !self.is_open() {
            return 0;
        }
        self.sent.load(Ordering::SeqCst) & !self.mask.load(Ordering::Relaxed)
    }

    /// Whether a signal has come that is not masked. The thread itself.
    pub fn is_any_ready(&self) -> bool {
        self.ready() != 0
    }

    /// All bits that are set, masked or not. The thread itself.
    pub fn all(&self) -> u64 {
        if self.is_open() { self.sent.load(Ordering::SeqCst) } else { 0 }
    }

    /// Takes the lowest bit that is ready. The thread itself.
    pub fn take(&self) -> Option<u64> {
        let ready = self.ready();
        let first = ready & ready.wrapping_neg();
        (first != 0).then(|| {
            self.course.store(USED, Ordering::Relaxed);
            // Nobody else clears bits.
            self.sent.fetch_and(!first, Ordering::SeqCst);
            first
        })
    }

    /// From here on this is the mask; what it no longer masks may have come already. The thread itself.
    pub fn set_mask(&self, mask: u64) {
        self.mask.store(mask, Ordering::SeqCst);
    }

    /// From here on the thread takes nothing: the last bits that are ready. The thread itself, once.
    #[inline]
    pub fn close(&self) -> u64 {
        let was_used = self.course.load(Ordering::Relaxed) == USED;
        self.course.store(CLOSING, Ordering::Relaxed);
        light_barrier();
        let mask = self.mask.load(Ordering::Relaxed);
        if !was_used && self.sent.load(Ordering::Relaxed) & !mask == 0 {
            self.course.store(CLOSED, Ordering::Release);
            return 0;
        }
        let last = self.sent.swap(ALL, Ordering::SeqCst) & !mask;
        // Release: whoever sees this set its bit before the swap, or finds it set.
        self.course.store(ALL_TAKEN, Ordering::Release);
        last
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn send(pending: &Pending, bit: u64) -> Sent {
        pending.send(bit, || (), || unreachable!("nobody is closing it"))
    }

    #[test]
    fn bits_are_taken_from_the_lowest_and_once() {
        let pending = Pending::new(0);
        for bit in [4, 1, 4] {
            assert_eq!(send(&pending, bit), Sent::Look);
        }
        assert_eq!(pending.all(), 5);
        assert_eq!([pending.take(), pending.take(), pending.take()], [Some(1), Some(4), None]);
    }

    #[test]
    fn what_is_masked_waits() {
        let pending = Pending::new(0);
        pending.set_mask(2);
        assert_eq!(send(&pending, 2), Sent::Masked);
        assert!(!pending.is_any_ready() && pending.take().is_none());
        pending.set_mask(0);
        assert_eq!(pending.take(), Some(2));
    }

    #[test]
    fn a_closed_thread_takes_nothing_and_says_so() {
        let pending = Pending::new(0);
        let _ = send(&pending, 8);
        pending.set_mask(1);
        let _ = send(&pending, 1);
        assert_eq!(pending.close(), 8);
        assert_eq!((send(&pending, 16), send(&pending, 8)), (Sent::Ended, Sent::Ended));
        assert!(!pending.is_any_ready() && pending.take().is_none() && pending.all() == 0);
    }

    #[test]
    fn one_that_was_sent_nothing_refuses_whatever_comes_and_however_often() {
        let pending = Pending::new(1);
        let _ = send(&pending, 1);
        assert_eq!(pending.close(), 0);
        assert_eq!([16, 16, 1].map(|bit| send(&pending, bit)), [Sent::Ended; 3]);
        assert!(!pending.is_any_ready() && pending.take().is_none() && pending.all() == 0);
    }

    #[test]
    fn all_signals_at_once_are_not_mistaken_for_the_end() {
        let pending = Pending::new(0);
        let _ = send(&pending, ALL);
        assert_eq!(send(&pending, 1), Sent::Look);
        assert_eq!(pending.close(), ALL);
    }
}
