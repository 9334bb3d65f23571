//! What many threads that sleep for a long time take, and how long it took to make them.

use crate::memory::Memory;
use crate::subject::Said;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any measurement.
pub const NIGHT: Duration = Duration::from_secs(3600);

/// Shared by the sleepers, the one who makes them, and the kernel thread that watches.
#[derive(Clone)]
pub struct Sleepers {
    wanted: usize,
    asleep: Arc<AtomicUsize>,
    failed: Arc<Mutex<Option<String>>>,
}

impl Sleepers {
    /// So many are wanted.
    pub fn of(wanted: usize) -> Sleepers {
        Sleepers { wanted, asleep: Arc::default(), failed: Arc::default() }
    }

    /// How many are wanted.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// One is about to sleep.
    pub fn falls_asleep(&self) {
        self.asleep.fetch_add(1, Ordering::Relaxed);
    }

    /// There can't be more.
    pub fn fail(&self, why: String) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Waits on this kernel thread until all sleep; what is wrong if they can't.
    ///
    /// # Errors
    ///
    /// If there can't be as many.
    pub fn wait(&self) -> Result<(), String> {
        loop {
            let asleep = self.asleep.load(Ordering::Relaxed);
            if asleep == self.wanted {
                return Ok(());
            }
            let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(why) = &*failed {
                return Err(format!("{asleep} of {}, then: {why}", self.wanted));
            }
            drop(failed);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has them made by `make`, and measures what they take.
    ///
    /// # Errors
    ///
    /// If there can't be as many, or /proc does not say.
    pub fn measure(&self, make: impl FnOnce()) -> Result<Said, String> {
        let now = || Memory::now().map_err(|error| error.to_string());
        let before = now()?;
        let start = Instant::now();
        make();
        self.wait()?;
        let took = start.elapsed();
        // The last ones said that they would sleep, and may not yet.
        thread::sleep(Duration::from_millis(300));
        let crowd = now()?.of_crowd_since(&before, self.wanted);
        Ok(Said::figures([
            ("bytes", crowd.bytes as f64 / crowd.bodies as f64),
            ("mappings", crowd.mappings as f64),
            ("spawn_s", took.as_secs_f64()),
        ]))
    }
}
