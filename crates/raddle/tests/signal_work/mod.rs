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

    /// The calling thread counts `signal` here from now on.
    pub fn listen(self: &Arc<Self>, signal: Signal) {
        let own = self.clone();
        let count = Handler::new(move |_| _ = own.count.fetch_add(1, Relaxed));
        signal::set_handler(signal, Some(count));
    }

    /// A thread that listens to the usual signal; it does so when this returns.
    pub fn listener<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&Arc<Heard>) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let (own, has_begun) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let begins = has_begun.clone();
        let thread = thread::spawn(move || {
            own.listen(Signal::USR1);
            begins.store(true, Release);
            body(&own)
        });
        while !has_begun.load(Acquire) {
            std::thread::sleep(Duration::from_micros(50));
        }
        thread
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
