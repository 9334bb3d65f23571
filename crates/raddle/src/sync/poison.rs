//! Poison: what a lock guards may be half changed if a thread unwound while it held the lock.
//!
//! As in `std`: a guard that is dropped while its thread unwinds, and wasn't taken while it unwound already, poisons its lock.
//! A cancelled thread unwinds like one that panics, so this is the rule for cancellation as well: *the locks that a
//! thread holds when its cancellation is heard are poisoned*, those that it has not got, or has given up to wait, are not.
//! What is cancelled while it waits for a `Mutex`, or in `Condvar::wait`, does not poison that mutex.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

/// Whether a lock is poisoned.
#[derive(Debug)]
pub(super) struct Flag(AtomicBool);

/// Whether the thread unwound already when it took the lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unwinding(bool);

impl Flag {
    pub(super) const fn new() -> Flag {
        Flag(AtomicBool::new(false))
    }

    /// The lock was taken.
    #[inline]
    pub(super) fn taken(&self) -> Unwinding {
        Unwinding(thread::panicking())
    }

    /// The lock, taken so, is about to be released.
    #[inline]
    pub(super) fn released(&self, before: Unwinding) {
        if !before.0 && thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    // Relaxed: whoever holds the lock is ordered by it.
    #[inline]
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// `value`, as an error if the lock is poisoned.
    #[inline]
    pub(super) fn check<T>(&self, value: T) -> LockResult<T> {
        if self.get() { Err(PoisonError::new(value)) } else { Ok(value) }
    }
}

/// The value within, changed by `map`, poisoned or not.
pub(super) fn map<T, U>(result: LockResult<T>, map: impl FnOnce(T) -> U) -> LockResult<U> {
    match result {
        Ok(value) => Ok(map(value)),
        Err(error) => Err(PoisonError::new(map(error.into_inner()))),
    }
}
