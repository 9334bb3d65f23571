//! The lock that callers take turns with: of kernel threads, not of raddle's.
//!
//! Its holder has its signals blocked, so it stays on its kernel thread and needs no core; whoever waits blocks its kernel
//! thread. A forked child inherits it locked by a thread that the child does not have, and takes it for free
//! (`raddle_core::process_lock`). A child that shares its parent's memory must not come here.

use crate::sys::futex;
use raddle_core::process_lock::{Attempt, ProcessLock};

/// A lock of kernel threads.
pub(super) struct Lock(ProcessLock);

impl Lock {
    pub(super) const fn new() -> Lock {
        Lock(ProcessLock::new())
    }

    /// The caller has its signals blocked.
    pub(super) fn take(&self, process: u32) {
        let mut has_waited = false;
        loop {
            match self.0.attempt(process, has_waited) {
                Attempt::Taken => return,
                Attempt::Again => {}
                Attempt::Sleep(word) => {
                    has_waited = true;
                    futex::wait(self.0.word(), word, None);
                }
            }
        }
    }

    pub(super) fn release(&self) {
        if self.0.release() {
            futex::wake(self.0.word(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn the_lock_is_one_threads_at_a_time() {
        static TRIED: Lock = Lock::new();
        static IS_TAKEN: AtomicBool = AtomicBool::new(false);
        let process = std::process::id();
        let work = || {
            for turn in 0..2000 {
                TRIED.take(process);
                assert!(!IS_TAKEN.swap(true, Ordering::Relaxed), "two hold the lock");
                if turn % 100 == 0 {
                    std::thread::yield_now();
                }
                IS_TAKEN.store(false, Ordering::Relaxed);
                TRIED.release();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(work);
            }
        });
        assert!(TRIED.0.is_free());
    }

    #[test]
    fn a_lock_that_a_child_inherited_is_free() {
        let lock = Lock::new();
        let parents = 1234;
        lock.take(parents);
        assert!(matches!(lock.0.attempt(parents, false), Attempt::Sleep(_)));
        lock.take(77);
        assert!(matches!(lock.0.attempt(77, false), Attempt::Sleep(_)));
        lock.release();
        assert!(lock.0.is_free());
    }
}
