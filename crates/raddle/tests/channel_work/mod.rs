//! What the tests of channels share: threads of both kinds, channels of all flavours, and an end to waiting.
#![allow(dead_code, reason = "each test file uses its part")]

use raddle::sync::channel::{Receiver, Sender, bounded, unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// On what a thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Raddle,
    Kernel,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Raddle, Kind::Kernel];

/// A thread of either kind.
pub(crate) enum Thread<T> {
    Raddle(raddle::thread::JoinHandle<T>),
    Kernel(std::thread::JoinHandle<T>),
}

pub(crate) fn spawn<T: Send + 'static>(
    kind: Kind,
    body: impl FnOnce() -> T + Send + 'static,
) -> Thread<T> {
    match kind {
        Kind::Raddle => Thread::Raddle(raddle::thread::spawn(body)),
        Kind::Kernel => Thread::Kernel(std::thread::spawn(body)),
    }
}

impl<T> Thread<T> {
    pub(crate) fn join(self) -> T {
        let result = match self {
            Thread::Raddle(thread) => thread.join(),
            Thread::Kernel(thread) => thread.join(),
        };
        result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }
}

/// Runs `body` on both kinds of thread, with peers of both kinds. A run that hangs ends the process and says which it was.
pub(crate) fn everywhere(body: impl Fn(Kind) + Copy + Send + 'static) {
    for own in KINDS {
        for peers in KINDS {
            watched(&format!("on {own:?} with {peers:?} peers"), || {
                spawn(own, move || body(peers)).join();
            });
        }
    }
}

/// Runs `body`, which must not hang.
pub(crate) fn watched<T>(what: &str, body: impl FnOnce() -> T) -> T {
    let is_over = Arc::new(AtomicBool::new(false));
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let (seen, what) = (is_over.clone(), what.to_owned());
    let watcher = std::thread::spawn(move || {
        let start = Instant::now();
        while !seen.load(Ordering::Acquire) {
            if start.elapsed() > Duration::from_secs(90) {
                eprintln!("{name}: hangs, {what}");
                std::process::abort();
            }
            std::thread::park_timeout(Duration::from_millis(500));
        }
    });
    let result = body();
    is_over.store(true, Ordering::Release);
    watcher.thread().unpark();
    watcher.join().unwrap();
    result
}

/// All flavours: rendezvous, one place, some, any number.
pub(crate) const CAPACITIES: [Option<usize>; 4] = [Some(0), Some(1), Some(3), None];

pub(crate) fn make<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    match capacity {
        Some(capacity) => bounded(capacity),
        None => unbounded(),
    }
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Lets a thread that was just spawned come to where it waits. A test must be right without it, too.
pub(crate) fn a_moment() {
    raddle::time::sleep(ms(10));
}

/// Counts how many of it were made and dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn counter() -> Arc<AtomicUsize> {
        Arc::new(AtomicUsize::new(0))
    }

    pub(crate) fn new(alive: &Arc<AtomicUsize>) -> Counted {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted(alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
