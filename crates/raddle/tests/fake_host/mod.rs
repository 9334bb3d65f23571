//! A fake host: virtual time, a seeded choice, a network of its own, and a trace of who ran when.
//!
//! ```text
//!   mod        the host: clock, choice, trace
//!   network    its network, as the runtime sees it: sockets, names
//!   endpoint   a socket, as the runtime sees it
//!   world      what is behind all of them: which sockets there are, and what the program does with them
//!   arrivals   what packets do where they arrive
//!   wire       packets on their way
//!   socket     one socket: what it is at present, and who waits for it
//!   stream     one end of a connection            datagrams    what a socket of datagrams holds
//!   options    what is set on a socket            address      which addresses there are
//! ```

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

mod address;
mod arrivals;
mod datagrams;
mod endpoint;
mod network;
mod options;
mod socket;
mod stream;
mod wire;
mod world;

#[allow(unused_imports, reason = "as above")]
pub use address::NOBODY;
use network::FakeNetwork;
use raddle::host::{Host, Network};
use raddle_core::random::Random;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
#[allow(unused_imports, reason = "as above")]
pub use wire::Seen;

/// When, and which thread.
pub type Trace = Vec<(u64, u64)>;

struct FakeHost {
    now_ns: Arc<AtomicU64>,
    random: Mutex<Random>,
    trace: Arc<Mutex<Trace>>,
    network: FakeNetwork,
}

impl Host for FakeHost {
    fn now_ns(&self) -> u64 {
        self.now_ns.load(Relaxed)
    }

    fn choose(&self, ready: usize) -> usize {
        self.random.lock().unwrap().below(ready as u64) as usize
    }

    fn wait_until(&self, deadline_ns: Option<u64>) -> bool {
        let Some(next_ns) = self.network.next_ns().into_iter().chain(deadline_ns).min() else {
            return false;
        };
        assert!(next_ns >= self.now_ns.load(Relaxed), "virtual time would go back");
        self.now_ns.store(next_ns, Relaxed);
        self.network.deliver();
        true
    }

    fn dispatched(&self, number: u64) {
        self.trace.lock().unwrap().push((self.now_ns.load(Relaxed), number));
    }

    fn network(&self) -> Option<&dyn Network> {
        Some(&self.network)
    }
}

/// What a fake host is like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who runs next, and how long each packet takes, is drawn from this.
    pub seed: u64,
    /// How long packets take: in any case they come in order. Nothing: they are there at once, as over a loopback interface.
    pub latency: Range<Duration>,
    /// How many sockets the program may have.
    pub sockets_max: usize,
}

/// What has come of a run.
#[derive(Debug)]
pub struct Outcome<T> {
    pub result: std::io::Result<T>,
    pub trace: Trace,
    /// All packets that have arrived somewhere.
    pub packets: Vec<Seen>,
    /// How many wakers its sockets still had at the end.
    pub wakers: usize,
}

impl Settings {
    /// Packets take no time.
    pub fn new(seed: u64) -> Settings {
        Settings { seed, latency: Duration::ZERO..Duration::ZERO, sockets_max: usize::MAX }
    }

    /// Packets take between 50 us and 2 ms.
    pub fn with_distance(seed: u64) -> Settings {
        let latency = Duration::from_micros(50)..Duration::from_millis(2);
        Settings { latency, ..Settings::new(seed) }
    }

    /// Runs `main` on such a host.
    pub fn run<T: Send + 'static>(&self, main: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
        let now_ns = Arc::new(AtomicU64::new(1_000_000));
        let trace = Arc::new(Mutex::new(Vec::new()));
        let network = FakeNetwork::new(self, now_ns.clone());
        let host = FakeHost {
            now_ns,
            random: Mutex::new(Random::from_seed(self.seed)),
            trace: trace.clone(),
            network: network.clone(),
        };
        let result = raddle::runtime::simulate(Box::new(host), main);
        let trace = std::mem::take(&mut *trace.lock().unwrap());
        Outcome { result, trace, packets: network.take_packets(), wakers: network.wakers() }
    }
}

/// Runs `main` with `seed`: its value, and the trace.
pub fn run<T: Send + 'static>(
    seed: u64,
    main: impl FnOnce() -> T + Send + 'static,
) -> (std::io::Result<T>, Trace) {
    let outcome = Settings::new(seed).run(main);
    (outcome.result, outcome.trace)
}
