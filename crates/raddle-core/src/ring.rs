//! A trace ring: fixed-size records that one producer writes without ever waiting, the oldest overwritten by the newest;
//! a reader on another thread copies them out and tells which of its copies are whole.
//!
//! ```text
//!            head = 13 records written so far
//!              v
//!   | 8 | 9 | 10 | 11 | 12 | 5 | 6 | 7 |      record n stands in slot n mod 8
//!                            ^
//!                            being overwritten with 13, perhaps: so a reader gets 6 to 12, one less than there are slots
//! ```
//!
//! A tracer must not change what it watches: the producer takes no lock, has no loop and knows of no reader. A
//! reader takes the head, copies, and takes the head again: whatever the producer may have begun to overwrite meanwhile
//! it discards. This is a sequence lock turned inside out, with one sequence number for all slots.
//!
//! The words of a record are atomics, so that copying one that is being written is no data race but yields a mixture,
//! which is discarded. Two fences order them: the producer's release fence stands between the head of the record before
//! and the words of the new one, the reader's acquire fence between its copies and the second look at the head. So a
//! reader that has seen a single word of record n also sees that n records were complete, and gives up slot n.
//! (H.-J. Boehm, "Can Seqlocks Get Along with Programming Language Memory Models?", 2012.) On x86 neither costs an
//! instruction.
//!
//! Rejected: a queue that drops the newest when it is full (what leads up to a failure is the newest); a sequence number in
//! each record (a fifth word, for a loss of one slot); a lock that the reader takes (the producer would have to try it).

use crate::sync::{AtomicU64, Ordering, fence};

/// What a ring holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub time_ns: u64,
    /// What happened, in numbers that the caller gives out.
    pub kind: u32,
    /// On which core.
    pub core: u32,
    /// To which thread.
    pub thread: u64,
    /// What else there is to say; its meaning hangs on the kind.
    pub argument: u64,
}

impl Record {
    fn words(&self) -> [u64; 4] {
        let kind_and_core = u64::from(self.kind) << 32 | u64::from(self.core);
        [self.time_ns, kind_and_core, self.thread, self.argument]
    }

    fn from_words([time_ns, kind_and_core, thread, argument]: [u64; 4]) -> Record {
        let (kind, core) = ((kind_and_core >> 32) as u32, kind_and_core as u32);
        Record { time_ns, kind, core, thread, argument }
    }
}

/// The place of one record.
#[derive(Debug)]
pub struct Slot([AtomicU64; 4]);

impl Slot {
    /// An empty place.
    pub fn new() -> Slot {
        Slot(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Ring::read`] has copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many records stand at the front of the reader's buffer.
    pub len: usize,
    /// The number of the first of them, counted from the ring's first record on.
    pub first: u64,
    /// How many were overwritten before they could be read: those between the one that was asked for and `first`.
    pub lost: u64,
}

impl Batch {
    /// The number to ask for next.
    pub fn next(&self) -> u64 {
        self.first + self.len as u64
    }
}

/// The ring. The slots are the caller's: an array, a boxed slice, a mapping.
///
/// ```
/// use raddle_core::ring::{Record, Ring, Slot};
///
/// let ring = Ring::new(std::array::from_fn::<Slot, 4, _>(|_| Slot::new()));
/// for n in 0..6 {
///     ring.push(&Record { time_ns: n, ..Record::default() });
/// }
/// let mut records = [Record::default(); 8];
/// let batch = ring.read(0, &mut records);
/// assert_eq!((batch.first, batch.len, batch.lost), (3, 3, 3));
/// assert_eq!(records[0].time_ns, 3);
/// assert_eq!(ring.read(batch.next(), &mut records).len, 0);
/// ```
#[derive(Debug)]
pub struct Ring<S> {
    slots: S,
    /// How many records have been written.
    head: AtomicU64,
}

impl<S: AsRef<[Slot]>> Ring<S> {
    /// An empty ring over `slots`, which keeps one record less than there are slots.
    ///
    /// # Panics
    ///
    /// If their number isn't a power of two, or below 2.
    pub fn new(slots: S) -> Ring<S> {
        let count = slots.as_ref().len();
        assert!(
            count.is_power_of_two() && count >= 2,
            "Ring::new: {count} slots are no power of two above 1"
        );
        Ring { slots, head: AtomicU64::new(0) }
    }

    fn slot(&self, number: u64) -> &Slot {
        let slots = self.slots.as_ref();
        &slots[number as usize & (slots.len() - 1)]
    }

    /// Writes a record over the oldest.
    ///
    /// One at a time: two that push at once spoil each other's records. If the producer's place goes to another thread,
    /// what hands it over must order the two, as a lock does.
    pub fn push(&self, record: &Record) {
        let number = self.head.load(Ordering::Relaxed);
        // Whoever sees a word of this record sees that those before it are complete, so that this slot is given up.
        fence(Ordering::Release);
        for (word, value) in self.slot(number).0.iter().zip(record.words()) {
            word.store(value, Ordering::Relaxed);
        }
        self.head.store(number + 1, Ordering::Release);
    }

    /// How many records have been written so far.
    pub fn written(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Copies records to `into`, from number `from` on or from the oldest that is still there; as many as there are and
    /// fit.
    ///
    /// It doesn't wait and may be called by any number of readers. Each copy is whole. While the producer overtakes it, it
    /// gives what is left; to follow a ring, ask again with [`Batch::next`].
    pub fn read(&self, from: u64, into: &mut [Record]) -> Batch {
        let kept = self.slots.as_ref().len() as u64 - 1;
        let head = self.head.load(Ordering::Acquire);
        let first = from.min(head).max(head.saturating_sub(kept));
        let copied = usize::try_from(head - first).map_or(into.len(), |n| n.min(into.len()));
        for (number, record) in (first..).zip(&mut into[..copied]) {
            let words = &self.slot(number).0;
            *record =
                Record::from_words(std::array::from_fn(|at| words[at].load(Ordering::Relaxed)));
        }
        fence(Ordering::Acquire);
        let head = self.head.load(Ordering::Relaxed);
        // The slot of the one before these may be half overwritten by now.
        let whole = head.saturating_sub(kept).max(first);
        let spoilt = usize::try_from(whole - first).map_or(copied, |n| n.min(copied));
        into.copy_within(spoilt..copied, 0);
        Batch { len: copied - spoilt, first: whole, lost: whole.saturating_sub(from) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    fn ring(slots: usize) -> Ring<Box<[Slot]>> {
        Ring::new((0..slots).map(|_| Slot::new()).collect())
    }

    /// A record whose words all follow from its number.
    fn record(number: u64) -> Record {
        Record {
            time_ns: number,
            kind: number as u32,
            core: !number as u32,
            thread: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            argument: !number,
        }
    }

    proptest! {
        /// Without a producer at the same time: what was written last, in order, and the count of the rest.
        #[test]
        fn a_reader_gets_the_newest(
            size in 1u32..5,
            buffer in 0usize..20,
            pushes in proptest::collection::vec(0u64..20, 1..20),
        ) {
            let ring = ring(1 << size);
            let kept = (1 << size) - 1;
            let mut records = vec![Record::default(); buffer];
            let (mut written, mut next) = (0, 0);
            for count in pushes {
                for _ in 0..count {
                    ring.push(&record(written));
                    written += 1;
                }
                let batch = ring.read(next, &mut records);
                let first = next.max(written.saturating_sub(kept));
                let len = (written - first).min(buffer as u64) as usize;
                prop_assert_eq!(batch, Batch { len, first, lost: first - next });
                for (record_read, number) in records[..len].iter().zip(first..) {
                    prop_assert_eq!(*record_read, record(number));
                }
                next = batch.next();
                prop_assert_eq!(ring.written(), written);
            }
        }
    }

    #[test]
    fn a_reader_that_asks_for_what_is_not_there_yet_gets_nothing() {
        let ring = ring(4);
        ring.push(&record(0));
        let batch = ring.read(9, &mut [Record::default(); 4]);
        assert_eq!(batch, Batch { len: 0, first: 1, lost: 0 });
    }

    /// A producer that never pauses and a reader that follows it: every record is whole and has its number, and those read
    /// and those lost add up.
    #[test]
    fn a_reader_beside_a_producer_gets_whole_records() {
        let (ring, stop) = (ring(64), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let producer = scope.spawn(|| {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    ring.push(&record(number));
                    number += 1;
                }
                number
            });
            let mut records = [Record::default(); 16];
            let (mut read, mut lost, mut next) = (0, 0, 0);
            let mut follow = || {
                let batch = ring.read(next, &mut records);
                assert_eq!(batch.first, next + batch.lost);
                for (record_read, number) in records[..batch.len].iter().zip(batch.first..) {
                    assert_eq!(*record_read, record(number));
                }
                (read, lost, next) = (read + batch.len as u64, lost + batch.lost, batch.next());
                batch.len + batch.lost as usize > 0
            };
            let end = Instant::now() + Duration::from_millis(300);
            while Instant::now() < end {
                follow();
            }
            stop.store(true, Ordering::Relaxed);
            let written = producer.join().unwrap();
            while follow() {}
            assert_eq!(read + lost, written);
            assert!(read > 0);
        });
    }

    #[test]
    #[should_panic(expected = "3 slots are no power of two")]
    fn an_odd_number_of_slots_is_refused() {
        ring(3);
    }
}
