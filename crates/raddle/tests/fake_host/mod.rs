//! A fake host: virtual time, a seeded choice, and a trace of who ran when.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use raddle::host::Host;
use raddle_core::random::Random;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// When, and which thread.
pub type Trace = Vec<(u64, u64)>;

struct FakeHost {
    now_ns: AtomicU64,
    random: Mutex<Random>,
    trace: Arc<Mutex<Trace>>,
}

impl Host for FakeHost {
    fn now_ns(&self) -> u64 {
        self.now_ns.load(Relaxed)
    }

    fn choose(&self, ready: usize) -> usize {
        self.random.lock().unwrap().below(ready as u64) as usize
    }

    fn wait_until(&self, deadline_ns: Option<u64>) -> bool {
        let Some(deadline_ns) = deadline_ns else { return false };
        assert!(deadline_ns >= self.now_ns.load(Relaxed), "virtual time would go back");
        self.now_ns.store(deadline_ns, Relaxed);
        true
    }

    fn dispatched(&self, number: u64) {
        self.trace.lock().unwrap().push((self.now_ns.load(Relaxed), number));
    }
}

/// Runs `main` with `seed`: its value, and the trace.
pub fn run<T: Send + 'static>(
    seed: u64,
    main: impl FnOnce() -> T + Send + 'static,
) -> (std::io::Result<T>, Trace) {
    let trace = Arc::new(Mutex::new(Vec::new()));
    let host = FakeHost {
        now_ns: AtomicU64::new(1_000_000),
        random: Mutex::new(Random::from_seed(seed)),
        trace: trace.clone(),
    };
    let result = raddle::runtime::simulate(Box::new(host), main);
    let trace = std::mem::take(&mut *trace.lock().unwrap());
    (result, trace)
}
