//! The lock that callers take turns with: of kernel threads, not of raddle's.
//!
//! Its holder has its signals blocked, so it stays on its kernel thread and needs no core; whoever waits blocks its kernel
//! thread. It holds the id of the process whose it is: a forked child inherits it locked by a thread that the child does not
//! have, and takes it for free. A child that shares its parent's memory must not come here.

use crate::sys::futex;
use std::sync::atomic::{AtomicU32, Ordering};

/// A lock of kernel threads: the id of the process whose it is, and whether others wait. 0: free.
pub(super) struct Lock(AtomicU32);

const WAITED_FOR: u32 = 1 << 31;

impl Lock {
    pub(super) const fn new() -> Lock {
        Lock(AtomicU32::new(0))
    }

    /// The caller has its signals blocked.
    pub(super) fn take(&self, process: u32) {
        let mut own = process;
        loop {
            let now = self.0.load(Ordering::Relaxed);
            // Locked in another process: by a thread of the parent's that this child does not have.
            if now & !WAITED_FOR != process {
                match self.0.compare_exchange(now, own, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return,
                    Err(_) => continue,
                }
            }
            // Perhaps others wait besides, whom this one will have to wake.
            own = process | WAITED_FOR;
            let is_marked = now == own
                || self.0.compare_exchange(now, own, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            if is_marked {
                futex::wait(&self.0, own, None);
            }
        }
    }

    pub(super) fn release(&self) {
        if self.0.swap(0, Ordering::Release) & WAITED_FOR != 0 {
            futex::wake(&self.0, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

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
        assert_eq!(TRIED.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_lock_that_a_child_inherited_is_free() {
        let parents = 1234 | WAITED_FOR;
        let lock = Lock(AtomicU32::new(parents));
        lock.take(77);
        assert_eq!(lock.0.load(Ordering::Relaxed), 77);
        lock.release();
        assert_eq!(lock.0.load(Ordering::Relaxed), 0);
    }
}
