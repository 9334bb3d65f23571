//! A region: one mapping with many slots, and a word for each of them beside it.

#![allow(unsafe_code, reason = "mmap")]

use super::exhausted::Exhausted;
use super::notes::Note;
use crate::glibc::FIRST_THREAD_ID;
use crate::header::Geometry;
use raddle_core::lifo::Link;
use std::io;
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Slots in a region, if address space allows. Fixed, so that a slot's number says where it is.
pub(super) const REGION_SLOTS: u32 = 4096;
/// Regions that an arena can have.
pub(super) const REGIONS: u32 = 4096;

/// What is kept of a slot outside it, where giving its pages back does not lose it.
#[derive(Debug, Default)]
pub(super) struct SlotState {
    /// Of the free list that the slot is in, if it is.
    pub(super) link: Link,
    /// Its guard is in place.
    pub(super) guarded: AtomicBool,
    /// It has a TLS block.
    pub(super) built: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Region {
    base: *mut u8,
    mapping: (*mut u8, usize),
    /// Thread id of its first slot's body; the others follow.
    pub(super) first_thread_id: u32,
    pub(super) slots: Box<[SlotState]>,
    note: &'static Note,
}

impl Region {
    /// Maps up to `REGION_SLOTS` slots; fewer, down to one, where address space is short.
    pub(super) fn map(geometry: &Geometry) -> io::Result<Region> {
        let slot_bytes = geometry.slot_bytes;
        let first_thread_id = claim_thread_ids()?;
        let mut slots = REGION_SLOTS as usize;
        loop {
            match map_aligned(slots * slot_bytes, slot_bytes) {
                Ok((base, mapping)) => {
                    let slots: Box<[SlotState]> =
                        (0..slots).map(|_| SlotState::default()).collect();
                    let note = Note::publish(base, &slots, offset_of!(SlotState, built), geometry);
                    return Ok(Region { base, mapping, first_thread_id, slots, note });
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                    if slots == 1 {
                        return Err(Exhausted::AddressSpace { bytes: 2 * slot_bytes }.into());
                    }
                    slots /= 2;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn slot(&self, number: usize, slot_bytes: usize) -> *mut u8 {
        debug_assert!(number < self.slots.len());
        self.base.wrapping_add(number * slot_bytes)
    }

    /// Gives everything back that the kernel keeps for the region: pages, page tables, guards. If the answer is `false`, the
    /// kernel refused half-way, and the region's slots must not be used again.
    ///
    /// # Safety
    ///
    /// Every slot is bare, and the caller owns them all.
    #[must_use]
    pub(super) unsafe fn renew(&self) -> bool {
        let (start, bytes) = self.mapping;
        // SAFETY: a new mapping in place of one in which by contract nothing lives.
        unsafe {
            let renewed = libc::mmap(
                start.cast(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
                -1,
                0,
            );
            if renewed == libc::MAP_FAILED {
                return false;
            }
            libc::madvise(start.cast(), bytes, libc::MADV_NOHUGEPAGE);
        }
        for slot in &self.slots {
            slot.guarded.store(false, Ordering::Relaxed);
        }
        true
    }

    pub(super) fn bytes(&self) -> usize {
        self.mapping.1
    }

    /// # Safety
    ///
    /// Nothing in the region is in use, and nothing will be.
    pub(super) unsafe fn unmap(&self) {
        self.note.withdraw();
        // SAFETY: the mapping is this region's, and by contract unused.
        unsafe { libc::munmap(self.mapping.0.cast(), self.mapping.1) };
    }
}

/// The first of as many thread ids as a region has slots, unlike every other region's of this process.
fn claim_thread_ids() -> Result<u32, Exhausted> {
    static NEXT: AtomicU32 = AtomicU32::new(FIRST_THREAD_ID);
    /// Locks keep the owner's id in 30 bits (`FUTEX_TID_MASK`): room for 261,120 regions in a process's life.
    const END: u32 = 1 << 30;
    NEXT.try_update(Ordering::Relaxed, Ordering::Relaxed, |first| {
        (first < END).then_some(first + REGION_SLOTS)
    })
    .map_err(|_| Exhausted::Slots)
}

/// Maps `bytes` at a multiple of `align`: the aligned start, and the mapping to unmap some day.
fn map_aligned(bytes: usize, align: usize) -> io::Result<(*mut u8, (*mut u8, usize))> {
    // The kernel aligns to pages; mapping more and cutting it back aligns to anything.
    let wide = bytes + align;
    // SAFETY: a new mapping at an address of the kernel's choice; then parts of that mapping are unmapped, and the rest is
    // told never to become huge pages.
    unsafe {
        let start = libc::mmap(
            ptr::null_mut(),
            wide,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        );
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = start.cast::<u8>();
        let before = start.addr().next_multiple_of(align) - start.addr();
        let base = start.wrapping_add(before);
        if before > 0 {
            libc::munmap(start.cast(), before);
        }
        let after = wide - before - bytes;
        if after > 0 {
            libc::munmap(base.wrapping_add(bytes).cast(), after);
        }
        // EINVAL on a kernel without huge pages: all the better.
        libc::madvise(base.cast(), bytes, libc::MADV_NOHUGEPAGE);
        Ok((base, (base, bytes)))
    }
}
