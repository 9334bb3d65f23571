//! Every interleaving of a producer and a reader on a tiny trace ring, by loom: no reader gets a mixture of two records.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test ring_loom`.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use raddle_core::ring::{Batch, Record, Ring, Slot};
use std::collections::HashSet;

/// A record whose words all follow from how many were written with it. None is 0, as an empty slot is.
fn record(count: u64) -> Record {
    let small = count as u32;
    Record { time_ns: count, kind: small, core: small, thread: count, argument: count }
}

fn ring(slots: usize) -> Ring<Vec<Slot>> {
    Ring::new((0..slots).map(|_| Slot::new()).collect())
}

fn read(ring: &Ring<Vec<Slot>>, from: u64, buffer: usize, written: u64) -> Batch {
    let mut records = vec![Record::default(); buffer];
    let batch = ring.read(from, &mut records);
    assert_eq!(batch.first, from + batch.lost);
    assert!(batch.next() <= written);
    for (got, number) in records[..batch.len].iter().zip(batch.first..) {
        assert_eq!(*got, record(number + 1));
    }
    batch
}

/// Tells loom to try the reader at every place between pushes.
///
/// Loom 0.7 remembers the last access of each atomic only (its issues 166 and 392): a load of the head by the producer
/// itself, just before its store, hides the reader's load from it, so that it never tries a store that comes first. This
/// word is stored and never loaded by the producer. Relaxed: it must not order what the ring itself has to.
#[derive(Default)]
struct Mark(AtomicU64);

impl Mark {
    fn pushed(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    fn look(&self) {
        self.0.load(Ordering::Relaxed);
    }
}

/// The slot that is read is overwritten at the same time, perhaps twice.
#[test]
fn a_record_that_is_overwritten_is_discarded() {
    let got = std::sync::Arc::new(std::sync::Mutex::new(HashSet::new()));
    let all = got.clone();
    loom::model(move || {
        let shared = Arc::new((ring(2), Mark::default()));
        let producer = {
            let shared = shared.clone();
            thread::spawn(move || {
                let (ring, mark) = &*shared;
                for number in 1..=3 {
                    ring.push(&record(number));
                    mark.pushed(number);
                }
            })
        };
        let (ring, mark) = &*shared;
        mark.look();
        let batch = read(ring, 0, 1, 3);
        got.lock().unwrap().insert((batch.len, batch.first));
        producer.join().unwrap();
        assert_eq!(read(ring, 2, 1, 3), Batch { len: 1, first: 2, lost: 0 });
    });
    // Nothing yet; each of the three; each of the two that come too late.
    let wanted = [(0, 0), (1, 0), (1, 1), (1, 2), (0, 1), (0, 2)];
    assert_eq!(*all.lock().unwrap(), HashSet::from(wanted));
}

/// The producer's place is handed to another thread; the reader sees one sequence.
#[test]
fn the_producers_place_may_change_hands() {
    loom::model(|| {
        let shared = Arc::new((ring(2), Mark::default()));
        let push = |shared: &Arc<(Ring<Vec<Slot>>, Mark)>, count| {
            shared.0.push(&record(count));
            shared.1.pushed(count);
        };
        let first = {
            let shared = shared.clone();
            thread::spawn(move || push(&shared, 1))
        };
        let second = {
            let shared = shared.clone();
            thread::spawn(move || {
                first.join().unwrap();
                push(&shared, 2);
            })
        };
        shared.1.look();
        read(&shared.0, 0, 2, 2);
        second.join().unwrap();
        assert_eq!(read(&shared.0, 1, 2, 2).len, 1);
    });
}
