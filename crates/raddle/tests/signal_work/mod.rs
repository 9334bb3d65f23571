//! What the cases about signals have in common, and the longer of them.

#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

pub mod races;
pub mod waits;

use raddle::thread::signal::{self, Handler, Signal};
use raddle::thread::{self, JoinHandle};
use raddle::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

/// How often a signal was handled.
#[derive(Debug, Default)]
pub struct Heard {
    count: AtomicU64,
}

impl Heard {
    pub fn new() -> Arc<Heard> {
        Arc::default()
    }

    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    pub fn count_one(&self) {
        self.count.fetch_add(1, Relaxed);
    }

    /// The calling thread counts `signal` here from now on.
    pub fn listen(self: &Arc<Self>, signal: Signal) {
        let own = self.clone();
        let count = Handler::new(move |_| own.count_one());
        signal::set_handler(signal, Some(count));
    }

    /// A thread that listens to the usual signal; it does so when this returns.
    pub fn listener<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&Arc<Heard>) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let own = self.clone();
        ready(move |is_ready| {
            own.listen(Signal::USR1);
            is_ready();
            body(&own)
        })
    }

    /// Waits until it was heard so often.
    pub fn wait_for(&self, count: u64, what: &str) {
        let begun = std::time::Instant::now();
        while self.count() < count {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: a signal was slept over");
            thread::sleep(Duration::from_micros(100));
        }
    }
}

/// A thread that says when it is ready, which it is when this returns. Saying so is no safe point.
pub fn ready<T: Send + 'static>(
    body: impl FnOnce(&dyn Fn()) -> T + Send + 'static,
) -> JoinHandle<T> {
    let has_said_so = Arc::new(AtomicBool::new(false));
    let says = has_said_so.clone();
    let thread = thread::spawn(move || body(&|| says.store(true, Release)));
    wait_until(|| has_said_so.load(Acquire));
    thread
}

pub fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_micros(50));
    }
}

pub fn send<T>(target: &JoinHandle<T>, signal: Signal) {
    target.thread().send_signal(signal).expect("the thread lives");
}

/// Time for others to come where they are to wait. Too short, a test only tests something else.
pub fn a_moment() {
    thread::sleep(Duration::from_millis(10));
}

pub fn spin(rounds: u64) {
    (0..rounds).for_each(|_| std::hint::spin_loop());
}

/// Without a message on standard error.
pub fn panic_quietly(payload: i32) {
    std::panic::resume_unwind(Box::new(payload));
}
