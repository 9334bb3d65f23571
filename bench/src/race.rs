//! A start and a finish for threads that do the same: making them and joining them is not timed.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Shared by those who run and the one who lets them.
pub struct Race {
    made: Instant,
    is_open: AtomicBool,
    /// Nanoseconds after `made`.
    opened: AtomicU64,
    running: AtomicUsize,
    /// Nanoseconds after `made`.
    finished: AtomicU64,
}

impl Race {
    /// A race of so many threads.
    pub fn of(threads: usize) -> Race {
        Race {
            made: Instant::now(),
            is_open: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            running: AtomicUsize::new(threads),
            finished: AtomicU64::new(0),
        }
    }

    /// Starts it.
    pub fn open(&self) {
        self.opened.store(self.now(), Ordering::Relaxed);
        self.is_open.store(true, Ordering::Release);
    }

    /// Whether it has been started. Who waits for it yields.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// One thread is done.
    pub fn finish(&self) {
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finished.store(self.now(), Ordering::Release);
        }
    }

    /// From the start until the last was done; to be asked when all have finished.
    pub fn took(&self) -> Duration {
        let finished = self.finished.load(Ordering::Acquire);
        Duration::from_nanos(finished.saturating_sub(self.opened.load(Ordering::Relaxed)))
    }

    fn now(&self) -> u64 {
        self.made.elapsed().as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_race_takes_from_its_start_until_the_last_is_done() {
        let race = Race::of(2);
        let nap = Duration::from_millis(5);
        std::thread::sleep(nap);
        assert!(!race.is_open());
        race.open();
        assert!(race.is_open());
        race.finish();
        std::thread::sleep(nap);
        race.finish();
        assert!(race.took() >= nap && race.took() <= race.made.elapsed() - nap);
    }
}
