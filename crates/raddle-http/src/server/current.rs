//! What a server serves with, exchanged while connections stay.
//!
//! ```text
//!   Running::replace ─▶ Current: the service, and its edition's number
//!                          ▲ before each request: still my edition?
//!                       Serving: a connection's own reference ─▶ answers this request to its end
//! ```
//!
//! So a request costs one load of a word that is written when something is exchanged, and else stands in every core's cache. What was
//! replaced is freed when the last connection that had it asks for something else or ends: `Times::idle` later at most, or when
//! its response is finished.
//!
//! Rejected: a reference taken anew for each request (all cores would write one count); `arc-swap` (it has a list of debts for each thread that
//! ever read, and whoever exchanges goes through all of them: here that is one for each connection).

use super::plugin::Plugin;
use super::service::Service;
use raddle::sync::{PoisonError, RwLock};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The service that new requests get.
pub(super) struct Current {
    service: RwLock<Arc<Service>>,
    /// Written under the lock: who sees a number gets its service, or a later one.
    edition: AtomicU64,
    connections_max: AtomicUsize,
}

impl Current {
    pub(super) fn new(service: Service, connections_max: usize) -> Current {
        Current {
            service: RwLock::new(Arc::new(service)),
            edition: AtomicU64::new(0),
            connections_max: AtomicUsize::new(connections_max.max(1)),
        }
    }

    /// From now on that.
    pub(super) fn replace(&self, mut service: Service, connections_max: usize) {
        let mut current = self.service.write().unwrap_or_else(PoisonError::into_inner);
        if let (Some(clients), Some(before)) = (&mut service.clients, &current.clients) {
            *clients = clients.or(before);
        }
        let old = std::mem::replace(&mut *current, Arc::new(service));
        self.connections_max.store(connections_max.max(1), Ordering::Relaxed);
        self.edition.fetch_add(1, Ordering::Release);
        drop(current);
        // What plugins and handlers do at their end, nobody waits for.
        drop(old);
    }

    pub(super) fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }

    pub(super) fn service(&self) -> Arc<Service> {
        self.get().0
    }

    fn get(&self) -> (Arc<Service>, u64) {
        let service = self.service.read().unwrap_or_else(PoisonError::into_inner);
        (service.clone(), self.edition.load(Ordering::Acquire))
    }
}

/// What one connection is served with.
pub(super) enum Serving<'a> {
    /// This, to the end.
    Always(&'a Service),
    /// What was current when the request began.
    Edition { current: &'a Current, service: Arc<Service>, edition: u64 },
}

impl<'a> Serving<'a> {
    pub(super) fn of(current: &'a Current) -> Serving<'a> {
        let (service, edition) = current.get();
        Serving::Edition { current, service, edition }
    }

    /// Before a request: takes what is current, and says whether that is something else than it was.
    pub(super) fn refresh(&mut self) -> bool {
        let Serving::Edition { current, service, edition } = self else { return false };
        if current.edition.load(Ordering::Acquire) == *edition {
            return false;
        }
        (*service, *edition) = current.get();
        true
    }

    /// Those that a connection begins and ends with, whatever is exchanged meanwhile.
    pub(super) fn plugins(&self) -> Arc<Vec<Box<dyn Plugin>>> {
        self.plugins.clone()
    }
}

impl Deref for Serving<'_> {
    type Target = Service;

    fn deref(&self) -> &Service {
        match self {
            Serving::Always(service) => service,
            Serving::Edition { service, .. } => service,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_is_freed_with_its_last_request() {
        struct Tell;
        impl Plugin for Tell {}
        let served_with = |plugins| {
            let mut service = Service::new();
            let all = Arc::get_mut(&mut service.plugins).unwrap();
            all.extend((0..plugins).map(|_| Box::new(Tell) as Box<dyn Plugin>));
            service
        };
        let current = Current::new(served_with(0), 1);
        let (mut asks, mut is_idle) = (Serving::of(&current), Serving::of(&current));
        assert!(!asks.refresh());
        let first = Arc::downgrade(&current.get().0);
        current.replace(served_with(1), 2);
        assert!(current.connections_max() == 2 && asks.plugins.is_empty());
        assert!(asks.refresh() && asks.plugins.len() == 1 && !asks.refresh());
        assert!(first.upgrade().is_some() && is_idle.plugins.is_empty());
        current.replace(served_with(2), 3);
        assert!(is_idle.refresh() && is_idle.plugins.len() == 2 && first.upgrade().is_none());
        let service = Service::new();
        assert!(!Serving::Always(&service).refresh());
    }
}
