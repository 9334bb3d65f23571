//! Where events go: a ring for each core, one more for whoever has no core, and the names of threads.
//!
//! A core's ring has one producer at a time: the holder of the core, with preemption forbidden; a core changes hands in an
//! order that both sides see. The ring outside is shared by the monitor, by plain kernel threads and by workers that
//! have lost their core, under a lock. Nobody who records allocates or waits.
//!
//! Time is the processor's counter where the kernel trusts it: read on any core it never goes back, which the estimate that
//! the scheduler lives by may do when the monitor corrects it. It becomes nanoseconds when the trace is written, between two
//! readings of both clocks.
//!
//! A record holds a thread's id, not its name: threads that have ended are in the trace, their names are not in
//! memory any more. So names are kept aside when threads are spawned, where allocation is allowed: the first thousand, which are
//! those that live long as a rule, and as many of the newest as a ring has events.

use super::event::Event;
use crate::spin::Spin;
use crate::sys::clock;
use raddle_core::ring::{Record, Ring, Slot};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// How many names are kept for good.
const FIRST_NAMES: usize = 1000;

/// A ring on cache lines of its own.
#[repr(align(128))]
struct OwnRing(Ring<Box<[Slot]>>);

impl OwnRing {
    fn new(slots: usize) -> OwnRing {
        OwnRing(Ring::new((0..slots).map(|_| Slot::new()).collect()))
    }
}

/// A moment, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) ticks: u64,
    pub(super) ns: u64,
}

impl Moment {
    fn now() -> Moment {
        Moment { ticks: clock::ticks(), ns: clock::now_ns() }
    }
}

#[derive(Default)]
struct Names {
    first: Vec<(u64, Box<str>)>,
    newest: VecDeque<(u64, Box<str>)>,
}

/// All that is recorded of one runtime.
pub(super) struct Recorder {
    pub(super) start: Moment,
    slots: usize,
    cores: Box<[OwnRing]>,
    outside: OwnRing,
    /// Held by whoever writes into `outside`.
    outsiders: Spin<()>,
    names: Mutex<Names>,
}

/// What the rings held at one moment.
pub(super) struct Snapshot {
    /// In the order of time, and in nanoseconds.
    pub(super) records: Vec<Record>,
    /// By core; last from outside.
    pub(super) lost: Vec<u64>,
    /// From here on nothing is missing.
    pub(super) complete_from_ns: u64,
    pub(super) end_ns: u64,
    pub(super) names: BTreeMap<u64, Box<str>>,
}

impl Recorder {
    /// `slots` is a power of two above 1.
    pub(super) fn new(cores: usize, slots: usize) -> Recorder {
        Recorder {
            start: Moment::now(),
            slots,
            cores: (0..cores).map(|_| OwnRing::new(slots)).collect(),
            outside: OwnRing::new(slots),
            outsiders: Spin::new(()),
            names: Mutex::new(Names::default()),
        }
    }

    /// What each ring holds at most.
    pub(super) fn capacity(&self) -> usize {
        self.slots - 1
    }

    pub(super) fn cores(&self) -> usize {
        self.cores.len()
    }

    /// By the holder of core `holder`, with preemption forbidden. The event concerns core `core`.
    pub(super) fn push(&self, holder: usize, core: usize, thread: u64, event: Event) {
        if let Some(ring) = self.cores.get(holder) {
            ring.0.push(&event.record(clock::ticks(), core as u32, thread));
        }
    }

    /// By anybody else: with preemption forbidden, or on a kernel thread that is no worker.
    pub(super) fn push_outside(&self, core: usize, thread: u64, event: Event) {
        let _one_at_a_time = self.outsiders.lock();
        self.outside.0.push(&event.record(clock::ticks(), core as u32, thread));
    }

    /// A thread was made. Allocates.
    pub(super) fn name(&self, thread: u64, name: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.first.len() < FIRST_NAMES {
            names.first.push((thread, name.into()));
            return;
        }
        if names.newest.len() >= self.slots {
            names.newest.pop_front();
        }
        names.newest.push_back((thread, name.into()));
    }

    /// Copies what there is, while it may grow.
    pub(super) fn snapshot(&self) -> Snapshot {
        let end = Moment::now();
        let mut lost = Vec::new();
        let mut begins = Vec::new();
        let mut records = Vec::new();
        let mut buffer = vec![Record::default(); self.slots];
        for ring in self.cores.iter().chain([&self.outside]) {
            let batch = ring.0.read(0, &mut buffer);
            lost.push(batch.lost);
            let first = buffer[..batch.len].first().filter(|_| batch.lost > 0);
            begins.push(first.map_or(0, |first| nanoseconds(self.start, end, first.time_ns)));
            let from = records.len();
            let mut latest = 0;
            // Rings are copied one after the other: what came while the first was copied is left out of the others as well.
            let in_time = buffer[..batch.len].iter().filter(|record| record.time_ns <= end.ticks);
            records.extend(in_time.map(|record| {
                // Within a ring the order is certain, whatever the clock says.
                latest = latest.max(nanoseconds(self.start, end, record.time_ns));
                Record { time_ns: latest, ..*record }
            }));
            if begins.len() > self.cores.len() {
                // A wake from outside says nothing when no core remembers what came of it.
                let cores = begins[..self.cores.len()].iter().copied().min().unwrap_or(0);
                let known = records.split_off(from).into_iter();
                records.extend(known.filter(|record| record.time_ns >= cores));
            }
        }
        // Stable: those of one ring stay in order.
        records.sort_by_key(|record| record.time_ns);
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = names.first.iter().chain(&names.newest);
        Snapshot {
            records,
            lost,
            complete_from_ns: begins.into_iter().max().unwrap_or(0).max(self.start.ns),
            end_ns: end.ns,
            names: kept.cloned().collect(),
        }
    }
}

/// The moment of `ticks`, by the straight line through two moments.
fn nanoseconds(start: Moment, end: Moment, ticks: u64) -> u64 {
    let counted = u128::from(end.ticks.saturating_sub(start.ticks)).max(1);
    let passed = u128::from(end.ns.saturating_sub(start.ns));
    let since = u128::from(ticks.saturating_sub(start.ticks));
    start.ns + (since * passed / counted) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds_between_two_moments() {
        let (start, end) = (Moment { ticks: 100, ns: 5000 }, Moment { ticks: 300, ns: 5100 });
        assert_eq!([100, 200, 300].map(|ticks| nanoseconds(start, end, ticks)), [5000, 5050, 5100]);
        assert_eq!(nanoseconds(start, end, 0), 5000);
        assert_eq!(nanoseconds(start, start, 100), 5000);
    }

    #[test]
    fn a_snapshot_has_the_newest_of_each_ring_in_order_and_counts_the_rest() {
        let recorder = Recorder::new(2, 8);
        for thread in 0..20 {
            recorder.push(thread as usize % 2, 0, thread, Event::Ends);
        }
        recorder.push_outside(1, 99, Event::Evicted);
        let snapshot = recorder.snapshot();
        assert_eq!(snapshot.lost, [3, 3, 0]);
        let threads: Vec<u64> = snapshot.records.iter().map(|record| record.thread).collect();
        assert_eq!(threads.len(), 15);
        assert_eq!(threads.last(), Some(&99));
        let of_core_1 = snapshot.records.iter().find(|record| record.thread == 7);
        assert_eq!(Some(snapshot.complete_from_ns), of_core_1.map(|record| record.time_ns));
        assert!(snapshot.records.is_sorted_by_key(|record| record.time_ns));
        assert!(snapshot.records.iter().all(|record| record.time_ns <= snapshot.end_ns));
    }

    #[test]
    fn the_first_names_and_the_newest_are_kept() {
        let recorder = Recorder::new(1, 4);
        for thread in 1..=1010 {
            recorder.name(thread, &format!("n{thread}"));
        }
        let names = recorder.snapshot().names;
        assert_eq!(names.len(), FIRST_NAMES + 4);
        assert_eq!(names.get(&1).map(|name| &**name), Some("n1"));
        assert_eq!(names.get(&1010).map(|name| &**name), Some("n1010"));
        assert!(!names.contains_key(&1001));
    }
}
