//! How many wait in a queue, so that who would wake somebody needs no lock to see that there is nobody.
//!
//! ```text
//!   wait: come                                            wake: change the word (the caller's)
//!         lock the queue                                        full barrier
//!         is there still a reason to wait? enter it             is there anybody? (`is_empty`)
//!         unlock, sleep                                         lock the queue, take the first, unlock, wake it
//! ```
//!
//! *No wake is lost.* The count goes up before the word is read, and the word changes before the count is read, with full barriers in
//! between on both sides: either the waker sees the count, or the waiter sees the new word. This is the argument of Linux's futexes.
//! Under the queue's lock the rest is plain: who entered before the waker is found.

use crate::sync::{AtomicU32, Ordering, const_but_for_loom, fence};

/// The count.
///
/// ```
/// use raddle_core::crowd::Crowd;
/// let crowd = Crowd::new();
/// crowd.come();
/// assert!(!crowd.is_empty());
/// crowd.go();
/// assert!(crowd.is_empty());
/// ```
#[derive(Debug)]
pub struct Crowd(AtomicU32);

impl Crowd {
    const_but_for_loom! {
        /// Nobody.
        pub fn new() -> Crowd {
            Crowd(AtomicU32::new(0))
        }
    }

    /// One comes, and looks afterwards whether it must wait.
    #[inline]
    pub fn come(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// One goes: it need not wait, or was taken from the queue.
    #[inline]
    pub fn go(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// One comes that was moved here from another queue. Under the locks of both: no barrier is needed.
    #[inline]
    pub fn join(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether nobody is here whom a change of the word would concern. The change was made before the call.
    #[inline]
    #[must_use = "if somebody is here, nobody else wakes it"]
    pub fn is_empty(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Whether it looks as if somebody were here: for those on whom nothing depends.
    #[inline]
    pub fn seems_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// In a forked child: whoever waited is not here.
    pub fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Default for Crowd {
    fn default() -> Self {
        Self::new()
    }
}
