//! The word of a lock of kernel threads that a forked child may inherit locked, by a thread that the child does not have.
//!
//! ```text
//!   31           30            0
//!   +------------+-------------+
//!   | WAITED_FOR | process     |   whose it is; 0: free
//!   +------------+-------------+
//! ```
//!
//! It holds the id of the process whose thread has it. Locked in another process is free in this one.
//!
//! Whoever waits sets the bit and sleeps as long as the word is so. One that has waited takes the lock with the bit: others may
//! wait besides, whom it will have to wake.

use crate::sync::{AtomicU32, Ordering, const_but_for_loom};

const WAITED_FOR: u32 = 1 << 31;

/// What has come of an attempt to take the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the lock may not have been taken"]
pub enum Attempt {
    /// The caller has it.
    Taken,
    /// Somebody else has changed the word meanwhile.
    Again,
    /// To sleep while the word is this one; the next attempt is that of one who has waited.
    Sleep(u32),
}

/// The word.
///
/// ```
/// use raddle_core::process_lock::{Attempt, ProcessLock};
/// let lock = ProcessLock::new();
/// assert_eq!(lock.attempt(77, false), Attempt::Taken);
/// assert!(matches!(lock.attempt(77, false), Attempt::Sleep(_)));
/// assert!(lock.release(), "one waits");
/// assert_eq!(lock.attempt(77, true), Attempt::Taken);
/// // In a child it is free.
/// assert_eq!(lock.attempt(78, false), Attempt::Taken);
/// ```
#[derive(Debug)]
#[repr(transparent)]
pub struct ProcessLock(AtomicU32);

impl ProcessLock {
    const_but_for_loom! {
        /// A lock that is free.
        pub fn new() -> ProcessLock {
            ProcessLock(AtomicU32::new(0))
        }
    }

    /// Tries to take the lock, for a thread of this process.
    pub fn attempt(&self, process: u32, has_waited: bool) -> Attempt {
        let waited_for = process | WAITED_FOR;
        let now = self.0.load(Ordering::Relaxed);
        if now & !WAITED_FOR != process {
            let own = if has_waited { waited_for } else { process };
            return match self.0.compare_exchange(now, own, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => Attempt::Taken,
                Err(_) => Attempt::Again,
            };
        }
        let is_marked = now == waited_for
            || self
                .0
                .compare_exchange(now, waited_for, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_marked { Attempt::Sleep(waited_for) } else { Attempt::Again }
    }

    /// Releases the lock. Whether one who waits is to be woken.
    #[must_use = "those who wait would wait for ever"]
    pub fn release(&self) -> bool {
        self.0.swap(0, Ordering::Release) & WAITED_FOR != 0
    }

    /// Whether nobody has it, a moment ago.
    pub fn is_free(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// The word, for `futex(2)`.
    #[cfg(not(loom))]
    pub fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// Whether the word is still this one, for models of `futex(2)`.
    #[cfg(loom)]
    pub fn is_still(&self, word: u32) -> bool {
        self.0.load(Ordering::Relaxed) == word
    }
}

impl Default for ProcessLock {
    fn default() -> Self {
        Self::new()
    }
}
