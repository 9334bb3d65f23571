//! Threads of either kind, so that each test of a primitive runs among raddle's threads, among kernel threads, and among both.
#![allow(dead_code, reason = "each test uses some of it")]

use std::any::Any;
use std::time::{Duration, Instant};

/// A cast of threads: which kind the `n`th is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    Raddle,
    Kernel,
    Mixed,
}

pub(crate) const CASTS: [Cast; 3] = [Cast::Raddle, Cast::Kernel, Cast::Mixed];

pub(crate) enum Handle<T> {
    Raddle(raddle::thread::JoinHandle<T>),
    Kernel(std::thread::JoinHandle<T>),
}

impl Cast {
    /// Starts the `n`th thread.
    pub(crate) fn spawn<T: Send + 'static>(
        self,
        n: usize,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Handle<T> {
        let is_raddle = match self {
            Cast::Raddle => true,
            Cast::Kernel => false,
            Cast::Mixed => n.is_multiple_of(2),
        };
        if is_raddle {
            Handle::Raddle(raddle::thread::spawn(f))
        } else {
            Handle::Kernel(std::thread::spawn(f))
        }
    }

    /// As `spawn`, of the other kind where there are two.
    pub(crate) fn spawn_other<T: Send + 'static>(
        self,
        n: usize,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Handle<T> {
        self.spawn(n + 1, f)
    }
}

impl<T> Handle<T> {
    pub(crate) fn join(self) -> Result<T, Box<dyn Any + Send>> {
        match self {
            Handle::Raddle(thread) => thread.join(),
            Handle::Kernel(thread) => thread.join(),
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Handle::Raddle(thread) => thread.is_finished(),
            Handle::Kernel(thread) => thread.is_finished(),
        }
    }
}

/// Runs a test with each cast. A test that hangs is ended, and says which.
pub(crate) fn each_cast(test: impl Fn(Cast) + Send + Sync + 'static) {
    let test = std::sync::Arc::new(test);
    for cast in CASTS {
        within(60, &format!("{cast:?}"), {
            let test = test.clone();
            move || test(cast)
        });
    }
}

/// Runs `test` on a kernel thread; aborts with a message if it takes longer than `seconds`.
pub(crate) fn within(seconds: u64, what: &str, test: impl FnOnce() + Send + 'static) {
    let (done, is_done) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new()
        .spawn(move || {
            test();
            let _ = done.send(());
        })
        .unwrap();
    if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) =
        is_done.recv_timeout(Duration::from_secs(seconds))
    {
        eprintln!("hangs: {what}");
        std::process::abort();
    }
    if let Err(payload) = thread.join() {
        eprintln!("fails: {what}");
        std::panic::resume_unwind(payload);
    }
}

/// Long enough for another thread to have begun to wait, mostly.
pub(crate) fn a_moment() {
    std::thread::sleep(Duration::from_millis(10));
}

/// Waits until `is_so`.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "it does not happen");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Whether it is over after `seconds`.
pub(crate) fn for_seconds(seconds: f64) -> impl Fn() -> bool {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    move || Instant::now() >= end
}
