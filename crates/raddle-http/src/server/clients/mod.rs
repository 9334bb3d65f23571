//! Limits for each client, by its address: how many connections, and requests a second.
//!
//! | module | what it is |
//! |---|---|
//! | `bucket` | a token bucket: its arithmetic, without a clock |
//! | `key` | which addresses are one client |
//! | `network` | addresses by their first bits: whom no limit holds for |
//! | `table` | who is known, and who is forgotten |

mod bucket;
mod key;
mod network;
mod table;

use bucket::{Bucket, Rate};
use key::Key;
pub use network::{InvalidNetwork, Network};
use raddle::sync::{Mutex, MutexGuard, PoisonError};
use raddle::time::Instant;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use table::Table;
pub(super) use table::TooMany;

/// What one client may have: an IPv4 address, or an IPv6 network of 64 bits.
///
/// *Connections* above the limit are closed at once, or told 429 where the server [says](super::OverCapacity::Busy) that it is busy.
/// *Requests* above the rate are answered 429 with `Retry-After`, on a connection that stays. A client saves up `burst` of them, and asks for
/// them as fast as it likes; each second `requests_per_s` come to it again.
///
/// *Memory.* Who is connected is known; who was, as long as it has not its whole burst again; and of those no more than
/// [`remembered_max`](ClientLimits::remembered_max), some 150 bytes each. Beyond that the one who has been gone for longest is forgotten, and has a
/// whole burst again if it comes back: that is logged, once a second at most.
///
/// Behind a proxy all clients have the proxy's address: there the limits are the proxy's to keep, and it is to be
/// [exempt](ClientLimits::exempt).
///
/// ```
/// use raddle_http::{Response, server::{ClientLimits, Server}};
///
/// let limits = ClientLimits::new().connections(20).requests(10, 50);
/// let server = Server::new().client_limits(limits).otherwise(|_| Response::text("welcome"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "limits hold in a server that was given them"]
pub struct ClientLimits {
    connections: usize,
    rate: Option<Rate>,
    remembered_max: usize,
    exempt: Vec<Network>,
}

impl Default for ClientLimits {
    fn default() -> ClientLimits {
        ClientLimits::new()
    }
}

impl ClientLimits {
    /// Without any.
    ///
    /// ```
    /// use raddle_http::server::ClientLimits;
    /// assert_ne!(ClientLimits::new(), ClientLimits::new().connections(1));
    /// ```
    pub fn new() -> ClientLimits {
        let exempt = Vec::new();
        ClientLimits { connections: usize::MAX, rate: None, remembered_max: 1 << 16, exempt }
    }

    /// So many connections at once.
    ///
    /// ```
    /// let limits = raddle_http::server::ClientLimits::new().connections(100);
    /// ```
    pub fn connections(mut self, most: usize) -> ClientLimits {
        self.connections = most;
        self
    }

    /// So many requests a second, from 1 to a million, and so many at once when it has asked for nothing for a while, 1 at least: what is
    /// outside counts as the nearest.
    ///
    /// ```
    /// let limits = raddle_http::server::ClientLimits::new().requests(5, 20);
    /// ```
    pub fn requests(mut self, requests_per_s: u32, burst: u32) -> ClientLimits {
        self.rate = Some(Rate::new(requests_per_s, burst));
        self
    }

    /// Of how many clients that are not connected it is remembered how much they have asked for: 65,536 by default.
    ///
    /// ```
    /// let limits = raddle_http::server::ClientLimits::new().requests(5, 20).remembered_max(1_000_000);
    /// ```
    pub fn remembered_max(mut self, most: usize) -> ClientLimits {
        self.remembered_max = most;
        self
    }

    /// For these addresses no limit holds: proxies, which keep limits of their own, and whoever looks whether the server is well.
    ///
    /// ```
    /// use raddle_http::server::{ClientLimits, InvalidNetwork};
    /// let limits = ClientLimits::new().connections(20).exempt("10.0.0.0/8".parse()?);
    /// # Ok::<(), InvalidNetwork>(())
    /// ```
    pub fn exempt(mut self, network: Network) -> ClientLimits {
        self.exempt.push(network);
        self
    }
}

/// The clients of a server.
#[derive(Debug)]
pub(super) struct Clients {
    limits: ClientLimits,
    begun: Instant,
    table: Mutex<Table>,
    forgotten: AtomicU64,
    /// When that may be said again, in seconds since it has begun.
    says_at_s: AtomicU64,
}

impl Clients {
    pub(super) fn new(limits: ClientLimits) -> Arc<Clients> {
        Arc::new(Clients {
            begun: Instant::now(),
            table: Mutex::new(Table::new(limits.remembered_max)),
            limits,
            forgotten: AtomicU64::new(0),
            says_at_s: AtomicU64::new(0),
        })
    }

    /// These, or those that were there before, if they have the same limits: then nobody is forgotten.
    pub(super) fn or(self: &Arc<Self>, before: &Arc<Clients>) -> Arc<Clients> {
        if self.limits == before.limits { before.clone() } else { self.clone() }
    }

    /// A connection from there. No visitor: no limit holds for it.
    ///
    /// # Errors
    ///
    /// [`TooMany`] if its client has as many as it may have.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Option<Visitor>, TooMany> {
        if self.limits.exempt.iter().any(|network| network.contains(address)) {
            return Ok(None);
        }
        let key = Key::of(address);
        let entered = self.table().enter(key, self.limits.connections);
        match entered {
            Ok(bucket) => Ok(Some(Visitor { clients: self.clone(), key, bucket })),
            Err(TooMany) => {
                log::debug!("{key} has {} connections, the most", self.limits.connections);
                Err(TooMany)
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ns(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    fn forget(&self, key: Key) {
        let count = self.forgotten.fetch_add(1, Ordering::Relaxed) + 1;
        let (now, at) = (self.begun.elapsed().as_secs(), self.says_at_s.load(Ordering::Relaxed));
        let is_mine = now >= at
            && self
                .says_at_s
                .compare_exchange(at, now + 1, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_mine {
            log::warn!(
                "more than {} clients are to be remembered: what {key} has asked for is forgotten, {count} so far",
                self.limits.remembered_max,
            );
        }
    }
}

/// A connection's client, until it is dropped.
#[derive(Debug)]
pub(super) struct Visitor {
    clients: Arc<Clients>,
    key: Key,
    bucket: Arc<Bucket>,
}

impl Visitor {
    /// It asks for something.
    ///
    /// # Errors
    ///
    /// If that is too much: how long it is to wait.
    pub(super) fn ask(&self) -> Result<(), Duration> {
        match self.clients.limits.rate {
            Some(rate) => self.bucket.take(rate, self.clients.now_ns()),
            None => Ok(()),
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let now_ns = self.clients.now_ns();
        let forgotten = self.clients.table().leave(self.key, now_ns);
        if let Some(key) = forgotten {
            self.clients.forget(key);
        }
    }
}
