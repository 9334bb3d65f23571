//! Giving memory back after a burst.
//!
//! A free body's stack is worth nothing to its next user, but its TLS block holds what libc keeps for a thread: malloc's
//! cache of freed memory above all, which must be neither lost nor duplicated, and which glibc offers no way to drop. So a slot
//! whose TLS block holds nothing else is stripped whole, and libc's few hundred bytes of thread-locals are set
//! aside as a *husk* that the next new body puts on. A block that holds more, a resolver's state for instance, stays, and only
//! its stack is given back.

#![allow(unsafe_code, reason = "madvise on stacks that nothing runs on")]

use super::Shared;
use super::region::REGION_SLOTS;

/// What [`Arena::trim`](crate::Arena::trim) gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Bodies of which nothing is resident any more.
    pub whole: usize,
    /// Bodies that keep their TLS block.
    pub stacks: usize,
}

impl Shared {
    pub(super) fn trim(&self, keep: usize) -> Trimmed {
        let mut trimmed = Trimmed::default();
        if self.check_generation().is_err() {
            return trimmed;
        }
        // The top of the list was used last. What is kept is out of the list meanwhile: a core that asks just then builds a
        // body, which costs time and nothing else.
        let kept: Vec<u32> = std::iter::from_fn(|| self.warm.pop(self)).take(keep).collect();
        while let Some(index) = self.warm.pop(self) {
            // SAFETY: out of its list, so this is its owner, and a free body's code has ended.
            unsafe {
                if self.strip_to_husk(index) {
                    self.bare.push(self, index);
                    trimmed.whole += 1;
                } else {
                    self.discard_stack(index);
                    self.cold.push(self, index);
                    trimmed.stacks += 1;
                }
            }
        }
        self.warm.push_chain(self, &kept);
        self.renew_regions();
        trimmed
    }

    /// Maps regions anew of which every slot is bare: their page tables and guards go back to the kernel too.
    fn renew_regions(&self) {
        // Owned by this call while they are out of the list; a core that asks meanwhile numbers a new slot.
        let mut bare: Vec<u32> = std::iter::from_fn(|| self.bare.pop(self)).collect();
        bare.sort_unstable();
        for of_region in bare.chunk_by(|a, b| a / REGION_SLOTS == b / REGION_SLOTS) {
            let region = self.region(of_region[0] / REGION_SLOTS);
            let whole = region.filter(|region| region.slots.len() == of_region.len());
            // SAFETY: as many different slots of the region as it has are owned by this call, and bare.
            if whole.is_none_or(|region| unsafe { region.renew() }) {
                self.bare.push_chain(self, of_region);
            }
        }
    }

    /// Strips a slot if its TLS block holds only what a husk can carry.
    ///
    /// # Safety
    ///
    /// The slot is built, in no list, and nothing runs on it.
    unsafe fn strip_to_husk(&self, index: u32) -> bool {
        let slot = self.slot(index);
        let parts = self.geometry().parts(slot, index);
        let own = slot.addr()..slot.addr() + self.geometry().slot_bytes;
        // SAFETY: by contract nothing runs on the block.
        match unsafe { self.glibc.take_off(parts.tp, own) } {
            Some(husk) => {
                // SAFETY: by contract; what libc keeps of it is in the husk.
                unsafe { self.strip(index) };
                self.husks.lock().unwrap_or_else(|e| e.into_inner()).push(husk);
                true
            }
            None => false,
        }
    }

    /// # Safety
    ///
    /// As [`strip_to_husk`](Self::strip_to_husk).
    unsafe fn discard_stack(&self, index: u32) {
        const PAGE: usize = 4096;
        let parts = self.geometry().parts(self.slot(index), index);
        // The page in which stack and TLS block meet stays.
        let high = parts.stack_high.addr() / PAGE * PAGE;
        // SAFETY: page-aligned, inside the slot, below its TLS block; nothing lives on the stack by contract.
        unsafe {
            libc::madvise(
                parts.stack_low.cast(),
                high - parts.stack_low.addr(),
                libc::MADV_DONTNEED,
            )
        };
    }
}
