//! Who is known, and who is forgotten: without a clock and without a lock.
//!
//! ```text
//!               first connection                      last one ends
//!   nobody ───────────────────────▶ connected ──────────────────────────▶ idle, if something of its bucket is missing
//!      ▲                                ▲                                   │ │
//!      │                                └─────────── connects again ────────┘ │
//!      └── its bucket is full again, or too many are idle: the first of them ─┘
//! ```
//!
//! Of those who are connected there are no more than connections. Of the others there are as many as the table may keep: so
//! it can't grow without a limit, however many addresses somebody has.

use super::bucket::Bucket;
use super::key::Key;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// More than one, so that those who have come to nothing go faster than others come.
const LOOKED_AT: usize = 4;

#[derive(Debug)]
pub(super) struct Table {
    known: HashMap<Key, Known>,
    /// Those without connections, in the order in which they became so.
    idle: BTreeMap<u64, Key>,
    next: u64,
    idle_max: usize,
}

#[derive(Debug)]
struct Known {
    connections: usize,
    bucket: Arc<Bucket>,
    /// Its place among the idle ones.
    place: u64,
}

/// It has as many connections as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct TooMany;

impl Table {
    /// Nobody is known, and so many are to be remembered who are not connected.
    pub(super) fn new(idle_max: usize) -> Table {
        Table { known: HashMap::new(), idle: BTreeMap::new(), next: 0, idle_max }
    }

    /// A connection of that client comes; its bucket.
    pub(super) fn enter(&mut self, key: Key, most: usize) -> Result<Arc<Bucket>, TooMany> {
        let new = || Known { connections: 0, bucket: Arc::default(), place: 0 };
        let known = self.known.entry(key).or_insert_with(new);
        if known.connections == 0 {
            self.idle.remove(&known.place);
        }
        if known.connections >= most {
            if known.connections == 0 {
                self.known.remove(&key);
            }
            return Err(TooMany);
        }
        known.connections += 1;
        Ok(known.bucket.clone())
    }

    /// One goes, at `now_ns`. Who was forgotten for it, though something was missing of that one's bucket.
    pub(super) fn leave(&mut self, key: Key, now_ns: u64) -> Option<Key> {
        let known = self.known.get_mut(&key).expect("who is connected is known");
        known.connections -= 1;
        if known.connections > 0 {
            return None;
        }
        if known.bucket.is_full(now_ns) {
            self.known.remove(&key);
        } else {
            self.next += 1;
            known.place = self.next;
            self.idle.insert(self.next, key);
        }
        self.let_go(now_ns)
    }

    /// The first of the idle ones: who is full again, and one if there are too many. All fill up at the same rate, so those who became idle first are
    /// about the first to be full.
    fn let_go(&mut self, now_ns: u64) -> Option<Key> {
        for _ in 0..LOOKED_AT {
            let (_, &key) = self.idle.first_key_value()?;
            let is_full = self.known.get(&key).is_none_or(|known| known.bucket.is_full(now_ns));
            if !is_full && self.idle.len() <= self.idle_max {
                return None;
            }
            self.idle.pop_first();
            self.known.remove(&key);
            if !is_full {
                return Some(key);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::bucket::Rate;
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_client_has_so_many_connections() {
        let mut table = Table::new(10);
        let [one, other] = [Key::V4(1), Key::V4(2)];
        assert!(table.enter(one, 2).is_ok() && table.enter(one, 2).is_ok());
        assert_eq!(table.enter(one, 2).err(), Some(TooMany));
        assert!(table.enter(other, 2).is_ok());
        assert_eq!(table.leave(one, 0), None);
        assert!(table.enter(one, 2).is_ok() && table.enter(one, 2).is_err());
        assert_eq!(table.enter(Key::V4(3), 0).err(), Some(TooMany));
        assert_eq!(table.known.len(), 2, "nobody is known for having been refused");
    }

    #[test]
    fn who_comes_again_is_remembered_until_nothing_is_missing() {
        let (mut table, rate) = (Table::new(10), Rate::new(1, 2));
        let key = Key::V6(7);
        let bucket = table.enter(key, 9).unwrap();
        assert!(bucket.take(rate, 0).is_ok() && bucket.take(rate, 0).is_ok());
        table.leave(key, 0);
        let again = table.enter(key, 9).unwrap();
        assert!(again.take(rate, 0).is_err(), "to connect anew helps nobody");
        table.leave(key, SECOND);
        assert_eq!((table.known.len(), table.idle.len()), (1, 1));
        table.enter(key, 9).unwrap();
        table.leave(key, 2 * SECOND);
        assert_eq!((table.known.len(), table.idle.len()), (0, 0));
    }

    #[test]
    fn the_first_who_became_idle_is_forgotten() {
        let (mut table, rate) = (Table::new(2), Rate::new(1, 100));
        let mut forgotten = Vec::new();
        for number in 0..5 {
            let key = Key::V4(number);
            assert!(table.enter(key, 1).unwrap().take(rate, 0).is_ok());
            forgotten.extend(table.leave(key, 0));
        }
        assert_eq!(forgotten, [Key::V4(0), Key::V4(1), Key::V4(2)]);
        // Who is forgotten begins anew; who is there has it as it was.
        assert!(table.enter(Key::V4(0), 1).unwrap().is_full(0));
        assert!(!table.enter(Key::V4(4), 1).unwrap().is_full(0));
    }

    proptest! {
        #[test]
        fn it_does_not_grow_and_never_forgets_who_is_connected(steps in prop::collection::vec((0_u32..12, 0_u8..4, 0_u64..2 * SECOND), 1..300), idle_max in 0_usize..5) {
            let (mut table, rate) = (Table::new(idle_max), Rate::new(2, 3));
            let mut connected: HashMap<u32, Vec<Arc<Bucket>>> = HashMap::new();
            let mut now = 0;
            for (number, what, later) in steps {
                let (key, own) = (Key::V4(number), connected.entry(number).or_default());
                now += later;
                match what {
                    0 | 1 => match table.enter(key, 3) {
                        Ok(bucket) => {
                            prop_assert!(own.iter().all(|other| Arc::ptr_eq(other, &bucket)));
                            own.push(bucket);
                        }
                        Err(TooMany) => prop_assert_eq!(own.len(), 3),
                    },
                    2 => own.iter().for_each(|bucket| _ = bucket.take(rate, now)),
                    _ => if own.pop().is_some() {
                        let forgotten = table.leave(key, now);
                        prop_assert!(forgotten.is_none_or(|key| !table.known.contains_key(&key)));
                    }
                }
                let live: Vec<_> = connected.iter().filter(|(_, own)| !own.is_empty()).collect();
                prop_assert!(live.iter().all(|(number, own)| table.known[&Key::V4(**number)].connections == own.len()));
                prop_assert_eq!(table.known.len(), live.len() + table.idle.len());
                prop_assert!(table.idle.len() <= idle_max);
                prop_assert!(table.idle.iter().all(|(place, key)| table.known[key].place == *place && table.known[key].connections == 0));
            }
        }
    }
}
