//! The fake host's network, as the runtime sees it.

use super::Settings;
use super::address;
use super::endpoint::FakeEndpoint;
use super::wire::{Event, Seen};
use super::world::World;
use raddle::host::{Endpoint, Family, Kind, LookUp, Network};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// A handle of it.
#[derive(Clone)]
pub(super) struct FakeNetwork {
    now_ns: Arc<AtomicU64>,
    world: Arc<Mutex<World>>,
}

impl FakeNetwork {
    pub(super) fn new(settings: &Settings, now_ns: Arc<AtomicU64>) -> FakeNetwork {
        FakeNetwork { now_ns, world: Arc::new(Mutex::new(World::new(settings))) }
    }

    /// Does something to the world; what follows from it at once has happened when this returns.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut World) -> R) -> R {
        let (result, woken) = {
            let mut world = self.world.lock().unwrap();
            world.now_ns = self.now_ns.load(Relaxed);
            let result = act(&mut world);
            world.deliver();
            (result, std::mem::take(&mut world.woken))
        };
        // They ask the host for the time.
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// When something happens by itself.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.world.lock().unwrap().wire.next_ns()
    }

    /// Lets happen what is due.
    pub(super) fn deliver(&self) {
        self.with(|_| ());
    }

    pub(super) fn wakers(&self) -> usize {
        self.world.lock().unwrap().wakers()
    }

    pub(super) fn take_packets(&self) -> Vec<Seen> {
        self.world.lock().unwrap().wire.take_seen()
    }
}

impl Network for FakeNetwork {
    fn socket(&self, family: Family, kind: Kind) -> io::Result<Arc<dyn Endpoint>> {
        let id = self.with(|world| world.socket(family, kind))?;
        Ok(FakeEndpoint::open(self.clone(), id))
    }

    /// An answer comes from as far as any packet; who does not answer is given up after five seconds.
    fn look_up(&self, name: &str) -> LookUp {
        const PATIENCE_NS: u64 = 5_000_000_000;
        let (answer, time_ns) = match address::of_name(name) {
            Some(addresses) => (Ok(addresses), self.with(|world| world.wire.latency_ns())),
            None if name == address::UNANSWERED => (Err(ErrorKind::TimedOut), PATIENCE_NS),
            None => (Err(ErrorKind::NotFound), self.with(|world| world.wire.latency_ns())),
        };
        let at_ns = self.now_ns.load(Relaxed) + time_ns;
        Box::pin(Asked { network: self.clone(), at_ns, answer })
    }
}

/// A question that is under way.
struct Asked {
    network: FakeNetwork,
    at_ns: u64,
    answer: Result<Vec<IpAddr>, ErrorKind>,
}

impl Future for Asked {
    type Output = io::Result<Vec<IpAddr>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.network.now_ns.load(Relaxed) >= self.at_ns {
            return Poll::Ready(self.answer.clone().map_err(io::Error::from));
        }
        let waker = context.waker().clone();
        self.network.with(|world| world.wire.schedule(self.at_ns, Event::Rings(waker)));
        Poll::Pending
    }
}
