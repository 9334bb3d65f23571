//! Open files by path: what was asked for a moment ago need not be looked up again.
//!
//! An entry is believed for a moment, a second by default. Then the file is opened anew and compared: if it is the same, and that is known by
//! more than its date, the entry stays. So a change is seen after a second at the latest, and a page that is asked for ten thousand times in
//! that second is opened once.

use super::resource::Resource;
use raddle::sync::{PoisonError, RwLock};
use raddle::time::Instant;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Each has a lock of its own.
const SHARDS: usize = 16;
/// Descriptors and memory that all entries together may take.
const ENTRIES_MAX: usize = 2048;
const BYTES_MAX: usize = 32 << 20;

#[derive(Debug)]
pub(super) struct Cache {
    shards: [RwLock<Shard>; SHARDS],
    hasher: RandomState,
    begun: Instant,
    fresh: Duration,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Box<[u8]>, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    resource: Arc<Resource>,
    /// Believed until then, in nanoseconds since the cache's beginning.
    until_ns: AtomicU64,
}

/// What the cache knows of a path.
pub(super) enum Known {
    /// This is it.
    Fresh(Arc<Resource>),
    /// This it was: to be compared.
    Stale(Arc<Resource>),
    Nothing,
}

impl Cache {
    pub(super) fn new(fresh: Duration) -> Cache {
        Cache {
            shards: Default::default(),
            hasher: RandomState::new(),
            begun: Instant::now(),
            fresh,
        }
    }

    /// One that knows nothing yet, and believes for as long.
    pub(super) fn emptied(&self) -> Cache {
        Cache::new(self.fresh)
    }

    pub(super) fn find(&self, path: &[u8]) -> Known {
        let now = self.now_ns();
        let shard = self.shard(path).read().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = shard.entries.get(path) else { return Known::Nothing };
        let until = entry.until_ns.load(Ordering::Relaxed);
        if now < until {
            return Known::Fresh(entry.resource.clone());
        }
        // Whoever finds it stale first looks; the others believe it meanwhile.
        let later = now + self.fresh_ns();
        match entry.until_ns.compare_exchange(until, later, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Known::Stale(entry.resource.clone()),
            Err(_) => Known::Fresh(entry.resource.clone()),
        }
    }

    pub(super) fn insert(&self, path: &[u8], resource: Arc<Resource>) {
        if self.fresh.is_zero() {
            return;
        }
        let now = self.now_ns();
        let until_ns = AtomicU64::new(now + self.fresh_ns());
        let mut guard = self.shard(path).write().unwrap_or_else(PoisonError::into_inner);
        let shard = &mut *guard;
        shard.remove(path);
        let weight = resource.weight() + path.len();
        if shard.entries.len() >= ENTRIES_MAX / SHARDS || shard.bytes + weight > BYTES_MAX / SHARDS
        {
            shard.make_room(now);
        }
        shard.bytes += weight;
        shard.entries.insert(path.into(), Entry { resource, until_ns });
    }

    pub(super) fn remove(&self, path: &[u8]) {
        self.shard(path).write().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    /// Closes all that nobody sends just now.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            *shard.write().unwrap_or_else(PoisonError::into_inner) = Shard::default();
        }
    }

    fn shard(&self, path: &[u8]) -> &RwLock<Shard> {
        &self.shards[self.hasher.hash_one(path) as usize % SHARDS]
    }

    fn fresh_ns(&self) -> u64 {
        u64::try_from(self.fresh.as_nanos()).unwrap_or(u64::MAX / 2)
    }

    fn now_ns(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }
}

impl Shard {
    fn remove(&mut self, path: &[u8]) {
        if let Some(gone) = self.entries.remove(path) {
            self.bytes -= gone.resource.weight() + path.len();
        }
    }

    /// Drops what was not asked for lately; if that is less than half, all of it.
    fn make_room(&mut self, now_ns: u64) {
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.until_ns.load(Ordering::Relaxed) > now_ns);
        if self.entries.len() > before / 2 {
            self.entries.clear();
        }
        self.bytes =
            self.entries.iter().map(|(path, entry)| entry.resource.weight() + path.len()).sum();
    }
}
