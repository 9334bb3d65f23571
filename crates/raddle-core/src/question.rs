//! A question to whoever comes by, answered by one or taken back: how a list of threads asks a running thread where it is.
//!
//! ```text
//!   whoever asks                          whoever comes by: the handler of a signal, which may come never, or twice
//!   put the question  ──────────────────▶ take it: from here on it is answered for certain
//!   take it back?                         write the answer
//!     it was there: nobody has seen it    say so
//!     it was not: the answer comes
//! ```
//!
//! The question is whoever asks', and lives until it is answered or was taken back. One asks at a time.

use crate::sync::{AtomicBool, AtomicPtr, Ordering};
use std::ptr::{self, NonNull};

/// Where questions of type `Q` are put.
///
/// ```
/// use raddle_core::question::Asked;
/// use std::ptr::NonNull;
/// let (asked, question) = (Asked::new(), NonNull::from(&7));
/// asked.put(question);
/// assert_eq!((asked.take(), asked.take()), (Some(question), None));
/// assert!(!asked.take_back(question), "somebody has it: the answer comes");
/// ```
#[derive(Debug)]
pub struct Asked<Q>(AtomicPtr<Q>);

impl<Q> Asked<Q> {
    /// Nothing is asked.
    pub fn new() -> Asked<Q> {
        Asked(AtomicPtr::new(ptr::null_mut()))
    }

    /// Asks.
    pub fn put(&self, question: NonNull<Q>) {
        // Release: whoever takes it sees it whole.
        self.0.store(question.as_ptr(), Ordering::Release);
    }

    /// Takes the question, if there is one: the caller answers it. One load if there is none.
    #[inline]
    #[must_use = "whoever asks waits for the answer"]
    pub fn take(&self) -> Option<NonNull<Q>> {
        if self.0.load(Ordering::Relaxed).is_null() {
            return None;
        }
        NonNull::new(self.0.swap(ptr::null_mut(), Ordering::Acquire))
    }

    /// Takes a question back that was put. False: somebody has it, and it must stay until it is answered.
    #[must_use = "a question that somebody has must stay"]
    pub fn take_back(&self, question: NonNull<Q>) -> bool {
        self.0
            .compare_exchange(
                question.as_ptr(),
                ptr::null_mut(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

impl<Q> Default for Asked<Q> {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a question is answered.
///
/// ```
/// let answered = raddle_core::question::Answered::new();
/// answered.say();
/// assert!(answered.is_said());
/// ```
#[derive(Debug)]
pub struct Answered(AtomicBool);

impl Answered {
    /// Not yet.
    pub fn new() -> Answered {
        Answered(AtomicBool::new(false))
    }

    /// The answer is in place. Nothing of the question may be touched after this.
    pub fn say(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the answer is in place. Then it is seen.
    pub fn is_said(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Default for Answered {
    fn default() -> Self {
        Self::new()
    }
}
