//! The slots: one for each registration, operation and watch, found by index, known by number.
//!
//! A name that a caller holds is an index with the slot's *sequence number*, which changes as the slot is freed: a name that
//! has outlived its slot finds nothing. The same pair goes to the kernel and comes back with its answers. Free slots form a list
//! through their own links, so taking one and giving it back take constant time, and nothing is allocated.
//!
//! Sequence numbers have 32 bits, and the slot freed last is used first. A name would be mistaken for another only after
//! being kept while its slot is used four billion times.

#![allow(unsafe_code, reason = "a promise about the layout of a slot")]

use crate::op::RawOp;
use crate::table::{Table, Zeroed};
use std::io;

/// So many at once, in one queue.
pub(crate) const SLOTS_MAX: usize = 1 << 20;

/// In links: nobody. Indices are stored plus one, so that zeroed memory is an empty list.
pub(crate) const NONE: u32 = 0;

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Free,
    Registration,
    Operation,
    Signals,
    Child,
    /// A watched file.
    File,
    /// The one descriptor that reports all watched files.
    Files,
}

/// Where an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    /// Nowhere: it has a result, or is no operation.
    Rest,
    /// In the kernel's hands: a request in the ring.
    Ring,
    /// In the ring as a poll, which comes before the operation itself.
    RingPoll,
    /// About to be given to the ring again.
    Again,
    /// In its descriptor's list of those who wait.
    Waits,
    /// With the helpers.
    Helper,
    /// A close, until helpers have let go of its descriptor's number.
    Held,
}

/// In which of its descriptor's lists an operation waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Lane {
    Readers,
    Writers,
    /// Polls for both.
    Either,
}

/// Two lines of the processor's cache: what is read when an operation has ended stands in the first.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Slot {
    pub(crate) key: u64,
    /// Of this use. Part of the name.
    pub(crate) seq: u32,
    /// In the list of free slots, or of those that have something to report.
    pub(crate) next: u32,
    /// Among those who wait on the same descriptor.
    pub(crate) lane_next: u32,
    pub(crate) lane_prev: u32,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) lane: Lane,
    /// It stands in the list of those that have something to report.
    pub(crate) is_reported: bool,
    /// Its owner wants no report any more: free it as soon as it stands nowhere.
    pub(crate) is_dropped: bool,
    /// Cancelling was asked for.
    pub(crate) is_cancelled: bool,
    /// A connect that was given to the ring before.
    pub(crate) is_repeated: bool,
    /// A connect that has begun: what is left is to wait, and to fetch the result.
    pub(crate) is_begun: bool,
    /// Given to the ring again, it begins with a poll.
    pub(crate) polls_next: bool,
    /// A registration's interest, as bits; 0 when a one-shot has been spent.
    pub(crate) interest: u8,
    /// A registration's mode: 0 level, 1 edge, 2 one-shot.
    pub(crate) mode: u8,
    /// Readiness that is to be reported.
    pub(crate) ready: u8,
    /// How often a cancellation has missed.
    pub(crate) misses: u8,
    /// A registration's descriptor.
    pub(crate) fd: i32,
    /// An operation's; of `SendFile` also what has been sent so far.
    pub(crate) result: i64,
    pub(crate) op: RawOp,
}

// SAFETY: each enum has a variant 0, false is 0, `RawOp` is `Zeroed`, the rest are integers.
unsafe impl Zeroed for Slot {}

// SAFETY: a slot's pointers belong to operations, whose submitter has promised that they may be used from any kernel thread.
unsafe impl Send for Slot {}

pub(crate) struct Slots {
    table: Table<Slot>,
    free: u32,
    /// Slots from here on were never used.
    fresh: u32,
    pub(crate) live: u32,
}

impl Slots {
    pub(crate) fn new() -> io::Result<Slots> {
        Ok(Slots { table: Table::new(SLOTS_MAX)?, free: NONE, fresh: 0, live: 0 })
    }

    /// A slot for `kind`, otherwise as if new. `ENOBUFS` if all are taken.
    pub(crate) fn take(&mut self, kind: Kind, key: u64) -> io::Result<u32> {
        self.take_for(kind, key, RawOp::default())
    }

    /// As [`take`](Slots::take), with an operation in it.
    #[inline(always)]
    pub(crate) fn take_for(&mut self, kind: Kind, key: u64, op: RawOp) -> io::Result<u32> {
        let index = if self.free != NONE {
            let index = self.free - 1;
            self.free = self.table[index as usize].next;
            index
        } else if (self.fresh as usize) < SLOTS_MAX {
            self.fresh += 1;
            self.fresh - 1
        } else {
            return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
        };
        self.live += 1;
        let slot = &mut self.table[index as usize];
        *slot = Slot {
            key,
            // 0 is no number, so that no name is 0.
            seq: slot.seq.max(1),
            next: NONE,
            lane_next: NONE,
            lane_prev: NONE,
            kind,
            place: Place::Rest,
            lane: Lane::Readers,
            is_reported: false,
            is_dropped: false,
            is_cancelled: false,
            is_repeated: false,
            is_begun: false,
            polls_next: false,
            interest: 0,
            mode: 0,
            ready: 0,
            misses: 0,
            fd: -1,
            result: 0,
            op,
        };
        Ok(index)
    }

    /// Ends a slot's use. Nobody may refer to it by index any more; names that are held find nothing from here on.
    #[inline]
    pub(crate) fn free(&mut self, index: u32) {
        let slot = &mut self.table[index as usize];
        debug_assert!(slot.kind != Kind::Free && slot.place == Place::Rest && !slot.is_reported);
        slot.kind = Kind::Free;
        slot.seq = slot.seq.wrapping_add(1);
        slot.next = self.free;
        self.free = index + 1;
        self.live -= 1;
    }

    /// The name of a slot in use.
    #[inline]
    pub(crate) fn name(&self, index: u32) -> u64 {
        u64::from(self.table[index as usize].seq) << 32 | u64::from(index)
    }

    /// Which slot `name` names, if it is still in use for that, and was not dropped.
    #[inline]
    pub(crate) fn find(&self, name: u64) -> Option<u32> {
        let slot = self.table.get(name as u32 as usize)?;
        let is_it = slot.kind != Kind::Free && slot.seq == (name >> 32) as u32 && !slot.is_dropped;
        is_it.then_some(name as u32)
    }

    /// Every index that was ever used.
    pub(crate) fn indices(&self) -> std::ops::Range<u32> {
        0..self.fresh
    }
}

impl std::ops::Index<u32> for Slots {
    type Output = Slot;

    #[inline]
    fn index(&self, index: u32) -> &Slot {
        &self.table[index as usize]
    }
}

impl std::ops::IndexMut<u32> for Slots {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.table[index as usize]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_name_outlives_its_slot_and_finds_nothing() {
        let mut slots = Slots::new().expect("a table");
        let first = slots.take(Kind::Operation, 1).expect("a slot");
        let name = slots.name(first);
        assert_eq!(slots.find(name), Some(first));
        slots.free(first);
        assert_eq!(slots.find(name), None);
        let second = slots.take(Kind::Operation, 2).expect("a slot");
        assert_eq!(second, first, "the slot freed last is used first");
        assert_eq!(slots.find(name), None);
        assert_ne!(slots.name(second), name);
        assert_eq!(slots.find(0), None);
        assert_eq!(slots.find(u64::MAX), None);
    }

    #[test]
    fn what_an_end_reads_stands_in_the_first_line() {
        assert_eq!(size_of::<Slot>(), 128);
        let op = std::mem::offset_of!(Slot, op);
        assert_eq!(op + std::mem::offset_of!(RawOp, fd) + size_of::<i32>(), 64);
    }

    #[test]
    fn when_all_slots_are_taken_that_is_an_error_and_not_the_end() {
        let mut slots = Slots::new().expect("a table");
        for _ in 0..SLOTS_MAX {
            slots.take(Kind::Operation, 0).expect("a slot");
        }
        let error = slots.take(Kind::Operation, 0).expect_err("no more");
        assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS));
        slots.free(17);
        assert_eq!(slots.take(Kind::Operation, 0).expect("the freed one"), 17);
    }
}
