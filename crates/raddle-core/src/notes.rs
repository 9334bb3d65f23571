//! The word that a worker's thread looks at when it enters the runtime and when it leaves it.
//!
//! | bit | who sets it | who clears it |
//! |---|---|---|
//! | `PREEMPT` | the handler of the preemption signal; a thread that wakes a better one | the thread, as it gives way |
//! | `DOUBT` | the monitor | the monitor |
//! | `LOST` | whoever takes the core away | the worker, as it parks |
//! | `STEP_BACK` | the monitor | the thread, as it gives way |
//! | `LOOKED_AT` | who prints lists of threads | the same |
//! | `END` | the monitor, which has taken the spare off the list | the next worker with this record, as it begins |
//!
//! # Taking a core away
//!
//! ```text
//!   monitor                                   the worker's thread, on its way into the runtime
//!   doubt                                     depth = 1
//!   membarrier                                (compiler fence)
//!   depth == 0, same dispatch?                DOUBT or LOST?
//!     yes: the core goes to a spare; lose       DOUBT: wait for the decision
//!     no:  keep                                 LOST:  be queued elsewhere
//! ```
//!
//! After the barrier either the monitor sees the [depth](crate::depth), or the thread sees the doubt. So while the monitor decides the
//! thread is outside, or waits at the door; and a thread that may hold a lock of the runtime's is inside.
//!
//! The depth alone is not enough: the thread may have come in before the doubt, given the core away or gone to sleep, and what is
//! outside now is another one. Each of these is a dispatch, counted before anybody can be seen outside because of it.

use crate::sync::{AtomicU32, Ordering};

/// A signal came at a bad moment: give way as soon as may be.
const PREEMPT: u32 = 1;
/// The monitor is thinking about taking the core: whoever enters the runtime waits until it has decided.
const DOUBT: u32 = 2;
/// The core is gone. Set until the worker has parked as a spare.
const LOST: u32 = 4;
/// The thread waits in the kernel for a lock, and workers are few: it is to be queued, so that whoever holds the lock can run.
const STEP_BACK: u32 = 8;
/// Who prints lists of threads looks at the thread: whoever enters the runtime waits for a moment.
const LOOKED_AT: u32 = 16;
/// Nobody needs the worker any more: it is to end. Never set while it has a core or a thread.
const END: u32 = 32;

/// What a thread that has come in does about its worker's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a thread must not go on without a core, nor before it is decided"]
pub enum Verdict {
    /// The worker has its core.
    GoOn,
    /// Somebody is about to decide, or looks at the thread: ask again.
    Wait,
    /// The core is gone.
    Lost,
}

/// What a thread that gives way is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To let another one run.
    Preempt,
    /// To go to the end of the queue.
    StepBack,
}

/// The word.
///
/// ```
/// use raddle_core::notes::{Notes, Request, Verdict};
/// let notes = Notes::new();
/// notes.doubt();
/// assert_eq!(notes.verdict(), Verdict::Wait);
/// notes.keep();
/// notes.preempt();
/// assert_eq!((notes.verdict(), notes.take_request()), (Verdict::GoOn, Some(Request::Preempt)));
/// assert!(!notes.is_any());
/// ```
#[derive(Debug)]
#[repr(transparent)]
pub struct Notes(AtomicU32);

impl Notes {
    /// The bit that says that the core is gone: for debuggers.
    pub const LOST: u32 = LOST;

    /// None.
    pub fn new() -> Notes {
        Notes(AtomicU32::new(0))
    }

    /// Whether there are any. For the thread, when it has gone out.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.bits() != 0
    }

    /// Whether a thread that has just come in must ask for the [verdict](Self::verdict).
    #[inline]
    #[must_use = "the core may be gone"]
    pub fn concern_core(&self) -> bool {
        // Acquire: if somebody has decided already, or looked, that is over.
        self.0.load(Ordering::Acquire) & (DOUBT | LOST | LOOKED_AT) != 0
    }

    /// What is decided about the core, for a thread that has come in.
    pub fn verdict(&self) -> Verdict {
        // Acquire: what was done meanwhile is over.
        let notes = self.0.load(Ordering::Acquire);
        if notes & (DOUBT | LOOKED_AT) != 0 {
            Verdict::Wait
        } else if notes & LOST != 0 {
            Verdict::Lost
        } else {
            Verdict::GoOn
        }
    }

    /// Whether the core is gone.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.bits() & LOST != 0
    }

    /// Before a core is taken: whoever comes in waits. A barrier is to follow, then a look at the depth.
    pub fn doubt(&self) {
        self.0.fetch_or(DOUBT, Ordering::SeqCst);
    }

    /// After a [doubt](Self::doubt): the core stays.
    pub fn keep(&self) {
        self.0.fetch_and(!DOUBT, Ordering::Release);
    }

    /// The core has gone to another worker. `was_in_doubt`: the monitor has taken it; else the thread itself has given it away. From
    /// here on the thread may go on.
    pub fn lose(&self, was_in_doubt: bool) {
        let flips = if was_in_doubt { DOUBT | LOST } else { LOST };
        self.0.fetch_xor(flips, Ordering::Release);
    }

    /// The worker parks without a core, or begins. What was noted for its last thread, or for the last worker with this record, is void.
    ///
    /// But who decides or looks has not finished: the thread that is looked at may run here again before that.
    pub fn forget(&self) {
        self.0.fetch_and(DOUBT | LOOKED_AT, Ordering::Relaxed);
    }

    /// Before a thread is looked at: whoever comes in waits. A barrier is to follow, then a look at the depth.
    pub fn look_at(&self) {
        self.0.fetch_or(LOOKED_AT, Ordering::SeqCst);
    }

    /// After [`look_at`](Self::look_at): it is over.
    pub fn looked_at(&self) {
        self.0.fetch_and(!LOOKED_AT, Ordering::Release);
    }

    /// Tells a spare, which is the caller's alone, that it is to end. It is to be woken after that.
    pub fn end(&self) {
        self.0.fetch_or(END, Ordering::Release);
    }

    /// Whether the worker is to end. For itself, as a spare.
    pub fn is_to_end(&self) -> bool {
        // Acquire: it is off the list.
        self.0.load(Ordering::Acquire) & END != 0
    }

    /// Asks the thread to give way when it goes out.
    #[inline]
    pub fn preempt(&self) {
        self.0.fetch_or(PREEMPT, Ordering::Relaxed);
    }

    /// Asks the thread, which waits in the kernel, to go to the queue. A signal is to follow.
    pub fn step_back(&self) {
        self.0.fetch_or(STEP_BACK, Ordering::Relaxed);
    }

    /// Whether the thread was asked to step back.
    pub fn is_to_step_back(&self) -> bool {
        self.bits() & STEP_BACK != 0
    }

    /// Takes what the thread is asked to do, if it is.
    pub fn take_request(&self) -> Option<Request> {
        let requests = PREEMPT | STEP_BACK;
        if self.bits() & requests == 0 {
            return None;
        }
        let asked = self.0.fetch_and(!requests, Ordering::Relaxed);
        Some(if asked & STEP_BACK != 0 { Request::StepBack } else { Request::Preempt })
    }

    /// The bits, for those who print them.
    #[inline]
    pub fn bits(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Notes {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_is_taken_in_doubt_is_lost_and_doubted_no_more() {
        let notes = Notes::new();
        notes.doubt();
        notes.lose(true);
        assert_eq!(notes.verdict(), Verdict::Lost);
        notes.forget();
        assert!(!notes.concern_core());
    }

    #[test]
    fn a_core_that_was_given_away_leaves_the_doubt_to_the_monitor() {
        let notes = Notes::new();
        notes.doubt();
        notes.lose(false);
        assert_eq!(notes.verdict(), Verdict::Wait);
        notes.keep();
        assert!(notes.is_lost() && notes.verdict() == Verdict::Lost);
    }

    #[test]
    fn a_worker_that_parks_forgets_what_is_its_own_to_clear() {
        let notes = Notes::new();
        notes.look_at();
        notes.doubt();
        notes.lose(false);
        notes.preempt();
        notes.forget();
        assert_eq!(notes.verdict(), Verdict::Wait);
        assert!(!notes.is_lost() && notes.take_request().is_none());
        notes.keep();
        assert_eq!(notes.verdict(), Verdict::Wait, "it is still looked at");
        notes.looked_at();
        notes.end();
        notes.forget();
        assert!(!notes.is_any());
    }

    #[test]
    fn stepping_back_is_giving_way() {
        let notes = Notes::new();
        notes.preempt();
        notes.step_back();
        assert!(notes.is_to_step_back() && !notes.concern_core());
        assert_eq!((notes.take_request(), notes.take_request()), (Some(Request::StepBack), None));
    }

    #[test]
    fn whoever_is_looked_at_waits_whatever_else_is_noted() {
        let notes = Notes::new();
        notes.look_at();
        notes.lose(false);
        assert_eq!(notes.verdict(), Verdict::Wait);
        notes.looked_at();
        assert_eq!(notes.verdict(), Verdict::Lost);
    }
}
