//! The word of a lock that is held for tens of nanoseconds: whoever waits looks again and again, as it sees fit.
//!
//! It may be released by somebody else than who took it, on the other side of a switch, say.

use crate::sync::{AtomicBool, Ordering, const_but_for_loom};

/// Whether it is held.
///
/// ```
/// use raddle_core::spin_word::SpinWord;
/// let word = SpinWord::new();
/// assert!(word.try_take() && !word.try_take() && word.is_taken());
/// word.release();
/// assert!(word.try_take());
/// ```
#[derive(Debug)]
#[repr(transparent)]
pub struct SpinWord(AtomicBool);

impl SpinWord {
    const_but_for_loom! {
        /// Free.
        pub fn new() -> SpinWord {
            SpinWord(AtomicBool::new(false))
        }
    }

    /// Takes the lock if it is free. What its last holder wrote is seen then.
    #[inline]
    pub fn try_take(&self) -> bool {
        !self.0.swap(true, Ordering::Acquire)
    }

    /// Whether somebody holds it, a moment ago.
    #[inline]
    pub fn is_taken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Releases it, for its holder.
    #[inline]
    pub fn release(&self) {
        #[cfg(not(loom))]
        self.0.store(false, Ordering::Release);
        // To loom an exchange: a plain store it would put between an attempt's load and the attempt's store, where none can be.
        #[cfg(loom)]
        self.0.swap(false, Ordering::Release);
    }
}

impl Default for SpinWord {
    fn default() -> Self {
        Self::new()
    }
}
