//! What a queue knows of each descriptor: its registration, who waits on it, and what the kernel was told.
//!
//! A place for every number that a descriptor can have, in a [`Table`]: found by number, no hashing.
//!
//! Those who wait stand in three *lanes*, in the order in which they came: readers, writers, and polls for either. Lanes are
//! doubly linked through the slots, so that one who is cancelled leaves in constant time.

#![allow(unsafe_code, reason = "a promise about the layout of a descriptor's place")]

use crate::interest::Interest;
use crate::op::Code;
use crate::slots::{Lane, NONE, Place, Slots};
use crate::sys;
use crate::table::{Table, Zeroed};
use std::io;

/// The ends of a lane; indices plus one.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Ends {
    head: u32,
    tail: u32,
}

/// All that is known of one descriptor.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Descriptor {
    /// epoll: which time it was added. Comes back with events, and tells old ones.
    pub(crate) seq: u32,
    /// What the kernel is to tell of it at present, with its flags; 0 if nothing.
    pub(crate) armed: u32,
    /// epoll: it is in the set, perhaps silenced. poll: its place in the array, plus one.
    pub(crate) place: u32,
    /// Its registration's slot, plus one.
    pub(crate) registration: u32,
    /// poll: what was there when it was registered.
    pub(crate) identity: (u64, u64),
    /// poll, edge: what has been reported, and is not to be reported again before it was seen to have gone.
    pub(crate) muted: u32,
    readers: Ends,
    writers: Ends,
    either: Ends,
}

// SAFETY: integers only.
unsafe impl Zeroed for Descriptor {}

impl Descriptor {
    fn ends(&mut self, lane: Lane) -> &mut Ends {
        match lane {
            Lane::Readers => &mut self.readers,
            Lane::Writers => &mut self.writers,
            Lane::Either => &mut self.either,
        }
    }

    /// What those who wait need to hear of.
    pub(crate) fn waited_for(&self) -> u8 {
        let reads = u8::from(self.readers.head != NONE) * Interest::READ.bits();
        let writes = u8::from(self.writers.head != NONE) * Interest::WRITE.bits();
        let either = u8::from(self.either.head != NONE) * (Interest::READ | Interest::WRITE).bits();
        reads | writes | either
    }
}

/// The places of all descriptors.
pub(crate) struct Descriptors {
    table: Table<Descriptor>,
    /// Operations in flight on each, wherever they are. Apart, as this is all that most operations look at: of a thousand sockets it takes 64 cache
    /// lines, not a thousand.
    operations: Table<u32>,
    /// No number from here on was ever used.
    pub(crate) end: usize,
}

impl Descriptors {
    pub(crate) fn new() -> io::Result<Descriptors> {
        let places = sys::descriptors_max();
        Ok(Descriptors { table: Table::new(places)?, operations: Table::new(places)?, end: 0 })
    }

    /// So many operations more, or less, use `fd`. A number that no descriptor can have is passed over.
    #[inline]
    pub(crate) fn count(&mut self, fd: i32, change: i32) {
        let index = fd as u32 as usize;
        if let Some(operations) = self.operations.get_mut(index) {
            *operations = operations.wrapping_add_signed(change);
            self.end = self.end.max(index + 1);
        }
    }

    /// How many operations in flight use `fd`.
    pub(crate) fn operations(&self, fd: i32) -> u32 {
        self.operations.get(fd as u32 as usize).copied().unwrap_or(0)
    }

    /// The place of `fd`; `EBADF` for a number that no descriptor can have.
    pub(crate) fn get(&mut self, fd: i32) -> io::Result<&mut Descriptor> {
        let index = usize::try_from(fd).ok().filter(|index| *index < self.table.len());
        let index = index.ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
        self.end = self.end.max(index + 1);
        Ok(&mut self.table[index])
    }

    /// The place of a descriptor that has been seen by [`get`](Descriptors::get).
    pub(crate) fn at(&mut self, fd: i32) -> &mut Descriptor {
        &mut self.table[fd as usize]
    }

    /// The first in a lane, as an index.
    pub(crate) fn first(&mut self, fd: i32, lane: Lane) -> Option<u32> {
        self.at(fd).ends(lane).head.checked_sub(1)
    }

    /// Puts an operation at the end of its lane.
    pub(crate) fn enqueue(&mut self, slots: &mut Slots, index: u32) {
        let slot = &mut slots[index];
        slot.lane = match slot.op.direction() {
            Some(interest) if interest.reads() && interest.writes() => Lane::Either,
            Some(Interest::WRITE) => Lane::Writers,
            _ => Lane::Readers,
        };
        debug_assert!(slot.place == Place::Rest && slot.op.code != Code::Nothing);
        slot.place = Place::Waits;
        let (fd, lane) = (slot.op.fd, slot.lane);
        let ends = self.at(fd).ends(lane);
        let last = ends.tail;
        ends.tail = index + 1;
        if last == NONE {
            ends.head = index + 1;
        } else {
            slots[last - 1].lane_next = index + 1;
        }
        (slots[index].lane_prev, slots[index].lane_next) = (last, NONE);
    }

    /// Puts back an operation that was just taken from the head of its lane.
    pub(crate) fn enqueue_first(&mut self, slots: &mut Slots, index: u32) {
        let slot = &mut slots[index];
        slot.place = Place::Waits;
        let (fd, lane) = (slot.op.fd, slot.lane);
        let ends = self.at(fd).ends(lane);
        let next = ends.head;
        ends.head = index + 1;
        if next == NONE {
            ends.tail = index + 1;
        } else {
            slots[next - 1].lane_prev = index + 1;
        }
        (slots[index].lane_prev, slots[index].lane_next) = (NONE, next);
    }

    /// Takes an operation out of its lane.
    pub(crate) fn dequeue(&mut self, slots: &mut Slots, index: u32) {
        let slot = &mut slots[index];
        debug_assert!(slot.place == Place::Waits);
        slot.place = Place::Rest;
        let (fd, lane, prev, next) = (slot.op.fd, slot.lane, slot.lane_prev, slot.lane_next);
        (slot.lane_prev, slot.lane_next) = (NONE, NONE);
        match prev {
            NONE => self.at(fd).ends(lane).head = next,
            prev => slots[prev - 1].lane_next = next,
        }
        match next {
            NONE => self.at(fd).ends(lane).tail = prev,
            next => slots[next - 1].lane_prev = prev,
        }
    }
}
