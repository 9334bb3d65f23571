//! The state word of something that is done once.
//!
//! ```text
//!   INCOMPLETE ──▶ RUNNING ──▶ COMPLETE            all but COMPLETE may have a bit besides: SOMEBODY_WAITS
//!        ▲            │
//!   POISONED ◀────────┘ it panicked, or was cancelled
//! ```
//!
//! Those who wait do so at the word: they sleep as long as it is what they saw, with the bit that says so. Whoever [ends](OnceWord::end)
//! a run changes the word, and if it finds the bit wakes all. They look again: after a panic the first of them runs next. A run that
//! begins keeps the bit, as some may have been waiting since an earlier one; an end clears it, as it wakes all of them.

use crate::sync::{AtomicU32, Ordering, const_but_for_loom};

/// Nothing has been done.
const INCOMPLETE: u32 = 0;
/// A run has panicked; nothing has been done.
const POISONED: u32 = 1;
/// Somebody is at it.
const RUNNING: u32 = 2;
/// It has been done.
const COMPLETE: u32 = 3;
const PHASE: u32 = 3;
/// Somebody waits, or is about to.
const SOMEBODY_WAITS: u32 = 4;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has been done.
    Incomplete,
    /// A run has panicked; nothing has been done.
    Poisoned,
    /// Somebody is at it.
    Running,
    /// It has been done.
    Complete,
}

/// The word at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen(u32);

impl Seen {
    /// How far it was.
    pub fn phase(self) -> Phase {
        match self.0 & PHASE {
            INCOMPLETE => Phase::Incomplete,
            POISONED => Phase::Poisoned,
            RUNNING => Phase::Running,
            _ => Phase::Complete,
        }
    }
}

/// The state word.
///
/// ```
/// use raddle_core::once_word::{OnceWord, Phase};
/// let word = OnceWord::new();
/// assert!(word.begin(word.look()));
/// assert_eq!(word.look().phase(), Phase::Running);
/// let wakes_all = word.end(true);
/// assert!(word.is_complete() && !wakes_all);
/// ```
#[derive(Debug)]
pub struct OnceWord(AtomicU32);

impl OnceWord {
    const_but_for_loom! {
        /// Nothing has been done.
        pub fn new() -> OnceWord {
            OnceWord(AtomicU32::new(INCOMPLETE))
        }
    }

    /// Whether it has been done.
    #[inline]
    pub fn is_complete(&self) -> bool {
        // Acquire: what was done is seen.
        self.0.load(Ordering::Acquire) == COMPLETE
    }

    /// The word now. What was done before it is seen.
    pub fn look(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Begins a run, if nobody is at it and the word is still what was seen. May fail for nothing.
    #[must_use = "a run that has begun is to be ended"]
    pub fn begin(&self, seen: Seen) -> bool {
        debug_assert!(matches!(seen.phase(), Phase::Incomplete | Phase::Poisoned));
        // Those who wait already stay counted.
        let running = RUNNING | seen.0 & SOMEBODY_WAITS;
        self.0.compare_exchange_weak(seen.0, running, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Ends a run: it has been done, or has panicked. Whether to wake all who wait.
    #[must_use = "those who wait would wait for ever"]
    pub fn end(&self, is_done: bool) -> bool {
        let becomes = if is_done { COMPLETE } else { POISONED };
        self.0.swap(becomes, Ordering::AcqRel) & SOMEBODY_WAITS != 0
    }

    /// Says that the caller is going to wait, as it saw that it must. `None` if the word has changed, or for nothing: look again.
    #[must_use = "nobody wakes who sleeps without having said so"]
    pub fn announce(&self, seen: Seen) -> Option<Seen> {
        let waits = seen.0 | SOMEBODY_WAITS;
        let is_said = seen.0 == waits
            || self
                .0
                .compare_exchange_weak(seen.0, waits, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        is_said.then_some(Seen(waits))
    }

    /// Whether one who has announced itself may sleep. Asked when a waker would find it.
    #[must_use = "nobody wakes who sleeps against this answer"]
    pub fn is_still(&self, seen: Seen) -> bool {
        self.0.load(Ordering::SeqCst) == seen.0
    }
}

impl Default for OnceWord {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_are_woken_by_the_end_of_the_run_that_follows() {
        let word = OnceWord::new();
        let seen = word.announce(word.look()).expect("nobody else is here");
        assert!(word.is_still(seen) && word.begin(seen) && !word.is_still(seen));
        assert!(word.end(false), "somebody waits");
        assert_eq!(word.look().phase(), Phase::Poisoned);
        assert!(word.begin(word.look()) && !word.end(true));
    }

    #[test]
    fn one_at_a_time_is_at_it() {
        let word = OnceWord::new();
        let seen = word.look();
        assert!(word.begin(seen) && !word.begin(seen));
        assert_eq!(word.announce(seen), None);
    }
}
