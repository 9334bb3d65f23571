//! Static TLS made as new without the loader's lock, while the modules are those that the program started with.
//!
//! The lock guards two things: that an image is not unmapped while it is copied, and that no module is missed. Neither needs it where
//!
//! - every image to copy is of a *lasting* module: one that the loader loaded for the program's start. `dlclose` never unloads these
//!   (`elf/dl-close.c`: only maps of type `lt_loaded`), and their offsets are settled before the program runs. They are recognised by
//!   their place: the program comes first, and the loader appends what is opened later to the end of its list, behind itself (`elf/dl-object.c`,
//!   `_dl_add_to_namespace_list`), so what stands between the two came before it was done;
//! - every other module with TLS is dynamic for good (freed by the DTV's walk), and since that was found no module with TLS
//!   has come or gone. That is seen in the loader's own table of such modules, whose form its descriptors for debuggers give
//!   (`_thread_db_dtv_slotinfo_*`): a slot is written, with a new generation, whenever one comes or goes (`_dl_add_to_slotinfo`,
//!   `remove_slotinfo`), before its image is put into any thread's block and before any code of it runs. So code that has left
//!   something in its thread-locals on this block came after a change that the next user of the block sees.
//!
//! Which slots: a new module gets the lowest free one, or the one behind the highest that is used (`elf/dl-tls.c`,
//! `_dl_assign_tls_modid`). Those are compared: all up to the highest in use, and one more. Several that come at once are all entered
//! before the first image is copied. A table that has grown a second part is left to the lock, and so is a library that a
//! program opens with static TLS, or with TLS of which it is not decided yet what it will be.
//!
//! A module that comes while the images are copied is no concern: the loader puts its image into this block itself, at an
//! offset that no lasting module has.
//!
//! What was found is kept under a sequence number: whoever reads while it is replaced takes the lock instead.
//!
//! Rejected: the counters that `dl_iterate_phdr` shows (where they are kept is not described anywhere); `_dl_tls_generation` (the same).

#![allow(unsafe_code, reason = "reads the loader's table of modules, writes thread-local storage")]

use super::Glibc;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// A lasting module's part of every static TLS block: `bytes` at `tp - below`, of which the first `image_bytes` are a copy of
/// `image` and the rest are zero.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Part {
    pub(super) below: usize,
    pub(super) image: *const u8,
    pub(super) image_bytes: usize,
    pub(super) bytes: usize,
}

/// As many modules with TLS as a program starts with, and has, without the lock.
const PARTS: usize = 16;
const SLOTS: usize = 64;

/// The lasting modules' parts. They never change.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    list: [Part; PARTS],
    length: usize,
}

// SAFETY: addresses of images that are read only, and stay mapped as long as the process.
unsafe impl Send for Parts {}
// SAFETY: as above.
unsafe impl Sync for Parts {}

static LASTING: OnceLock<Parts> = OnceLock::new();

impl Parts {
    pub(super) fn new() -> Parts {
        let none = Part { below: 0, image: ptr::null(), image_bytes: 0, bytes: 0 };
        Parts { list: [none; PARTS], length: 0 }
    }

    /// `false` if there is no room for one more.
    #[must_use]
    pub(super) fn push(&mut self, part: Part) -> bool {
        let Some(free) = self.list.get_mut(self.length) else { return false };
        *free = part;
        self.length += 1;
        true
    }

    fn as_slice(&self) -> &[Part] {
        &self.list[..self.length]
    }
}

/// The first slots of the loader's table as they were when the lasting parts were all that there was to reset.
struct Slots {
    /// 0: nothing was found yet; odd: it is being replaced.
    sequence: AtomicUsize,
    length: AtomicUsize,
    /// Generation and map of each.
    slots: [[AtomicUsize; 2]; SLOTS],
}

static SEEN: Slots = Slots {
    sequence: AtomicUsize::new(0),
    length: AtomicUsize::new(0),
    slots: [const { [AtomicUsize::new(0), AtomicUsize::new(0)] }; SLOTS],
};

impl Glibc {
    /// Resets the block at `tp` if that can be done without the loader's lock.
    ///
    /// # Safety
    ///
    /// As [`reset_static_tls`](Self::reset_static_tls).
    #[must_use]
    pub(super) unsafe fn reset_lasting(&self, tp: *mut u8) -> bool {
        let Some(parts) = LASTING.get() else { return false };
        if !self.slots_are_as_seen() {
            return false;
        }
        for part in parts.as_slice() {
            // SAFETY: a lasting module's image, which is never unmapped, and its part of a static block that is the caller's.
            unsafe {
                let block = tp.wrapping_sub(part.below);
                ptr::copy_nonoverlapping(part.image, block, part.image_bytes);
                block.add(part.image_bytes).write_bytes(0, part.bytes - part.image_bytes);
            }
        }
        true
    }

    /// Says that at present `parts` are all that is to be reset in a static TLS block. The next resets go without the lock, until
    /// the loader's table of modules changes.
    ///
    /// The caller holds the loader's write lock, so nobody else is here, and holds forks off.
    pub(super) fn only_lasting(&self, parts: Parts) {
        if LASTING.get_or_init(|| parts).as_slice() != parts.as_slice() {
            return;
        }
        let Some(first) = self.first_slots() else { return };
        let in_use = (0..first.length).rev().find(|&slot| first.read(self, slot)[1] != 0);
        // The one behind the highest in use, too.
        let length = in_use.map_or(0, |highest| highest + 1) + 1;
        if length > first.length.min(SLOTS) {
            return;
        }
        let sequence = SEEN.sequence.load(Ordering::Relaxed);
        SEEN.sequence.store(sequence + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        SEEN.length.store(length, Ordering::Relaxed);
        for (slot, seen) in SEEN.slots[..length].iter().enumerate() {
            let [generation, map] = first.read(self, slot);
            seen[0].store(generation, Ordering::Relaxed);
            seen[1].store(map, Ordering::Relaxed);
        }
        SEEN.sequence.store(sequence + 2, Ordering::Release);
    }

    #[inline]
    fn slots_are_as_seen(&self) -> bool {
        let sequence = SEEN.sequence.load(Ordering::Acquire);
        if sequence == 0 || !sequence.is_multiple_of(2) {
            return false;
        }
        let Some(first) = self.first_slots() else { return false };
        let length = SEEN.length.load(Ordering::Relaxed).min(first.length).min(SLOTS);
        let same = SEEN.slots[..length].iter().enumerate().all(|(slot, seen)| {
            first.read(self, slot) == [&seen[0], &seen[1]].map(|word| word.load(Ordering::Relaxed))
        });
        fence(Ordering::Acquire);
        same && SEEN.sequence.load(Ordering::Relaxed) == sequence
    }

    /// The loader's table of modules, if it has one part only and its generations are described.
    #[inline]
    fn first_slots(&self) -> Option<FirstSlots> {
        let dtv = &self.dtv;
        let generation = dtv.slot_generation?;
        // SAFETY: as in `offset_of`: tables are added at the end of the list and never freed.
        unsafe {
            let table = dtv.slots.read_volatile();
            let next = table.add(dtv.list_next).cast::<*const u8>().read_volatile();
            let length = table.add(dtv.list_length).cast::<usize>().read();
            let slots = table.add(dtv.list_slots);
            next.is_null().then_some(FirstSlots { slots, length, generation })
        }
    }
}

/// The first part of the loader's table of modules with TLS.
struct FirstSlots {
    slots: *const u8,
    length: usize,
    /// Where in a slot its generation is.
    generation: usize,
}

impl FirstSlots {
    /// Generation and map of a slot below `length`.
    #[inline]
    fn read(&self, glibc: &Glibc, slot: usize) -> [usize; 2] {
        debug_assert!(slot < self.length);
        let at = self.slots.wrapping_add(slot * glibc.dtv.slot_size).cast_mut();
        // SAFETY: two aligned words of a slot, which the loader writes whole under its own lock; what they lead to is not looked at.
        [self.generation, glibc.dtv.slot_map].map(|offset| unsafe {
            AtomicUsize::from_ptr(at.add(offset).cast()).load(Ordering::Relaxed)
        })
    }
}
