//! The word of a lock that one side takes all the time and others hardly ever: a *biased* lock. The holder pays two plain stores, with no
//! exchange and no fence; whoever else wants it pays a `membarrier(2)`.
//!
//! ```text
//!   holder                                    somebody else, one at a time
//!   is_in = true                              is_claimed = true
//!   (compiler fence)                          membarrier
//!   is_claimed?                               is_in?
//!     no:  is inside                            no:  has it
//!     yes: is_in = false, goes another way      yes: waits until the holder is out
//! ```
//!
//! After the barrier either the claimer sees the holder inside, or the holder sees the claim. The holder never waits here: what it does
//! in place of it is its caller's business. Who the holder is may change, outside, if the former one's uses come before the new one's.
//!
//! Biased locks are Kawachiya, Koseki and Onodera's (Lock Reservation, OOPSLA 2002); the barrier in the place of a safe point is Dice,
//! Moir and Scherer's (Quickly Reacquirable Locks, 2003).

use crate::sync::{AtomicBool, Ordering, const_but_for_loom, light_barrier};

/// The word.
///
/// ```
/// use raddle_core::biased_word::BiasedWord;
/// # fn membarrier() {}
/// let word = BiasedWord::new();
/// assert!(word.try_enter());
/// word.leave();
/// word.claim(membarrier, std::thread::yield_now);
/// assert!(!word.try_enter());
/// word.give_back();
/// assert!(word.try_enter());
/// ```
#[derive(Debug)]
pub struct BiasedWord {
    /// Written by the holder.
    is_in: AtomicBool,
    /// Written by whoever claims.
    is_claimed: AtomicBool,
}

impl BiasedWord {
    const_but_for_loom! {
        /// The holder is outside, and nobody claims.
        pub fn new() -> BiasedWord {
            BiasedWord { is_in: AtomicBool::new(false), is_claimed: AtomicBool::new(false) }
        }
    }

    /// The holder goes inside. False: somebody else has it, or is about to. What the last claimer wrote is seen inside.
    #[inline]
    #[must_use = "outside nothing is the caller's"]
    pub fn try_enter(&self) -> bool {
        self.is_in.store(true, Ordering::Relaxed);
        light_barrier();
        if !self.is_claimed.load(Ordering::Acquire) {
            return true;
        }
        self.leave();
        false
    }

    /// The holder goes outside.
    #[inline]
    pub fn leave(&self) {
        // Release: the claimer sees what was written inside.
        self.is_in.store(false, Ordering::Release);
    }

    /// Keeps the holder outside; returns when it is. One claimer at a time: they have a lock among them. `barrier` makes a `membarrier(2)`,
    /// `wait` passes a moment.
    pub fn claim(&self, barrier: impl FnOnce(), mut wait: impl FnMut()) {
        self.is_claimed.store(true, Ordering::Relaxed);
        barrier();
        while self.is_in.load(Ordering::Acquire) {
            wait();
        }
    }

    /// The claim is over.
    pub fn give_back(&self) {
        // Release: the holder sees what the claimer wrote.
        self.is_claimed.store(false, Ordering::Release);
    }
}

impl Default for BiasedWord {
    fn default() -> Self {
        Self::new()
    }
}
