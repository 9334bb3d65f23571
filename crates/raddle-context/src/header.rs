//! The top of a slot: where a body's parts lie, and what this crate keeps of it there.
//!
//! ```text
//!   slot + slot_bytes  +-----------------------------+
//!                      | colour: 0 to 15 cache lines |  so that not all headers share one cache set
//!                      +-----------------------------+
//!                      | control block, the user's   |
//!                      | Header                      |  saved context, bounds, the slot's number
//!                      +-----------------------------+ 64-aligned
//!                      | TCB                         |
//!                  tp  +-----------------------------+ <- FS while it runs
//!                      | static TLS, surplus         |
//!          stack_high  +-----------------------------+
//!                      | stack, grows down           |
//!                      |                             |
//!           stack_low  +-----------------------------+
//!                      | guard                       |
//!                slot  +-----------------------------+
//! ```
//!
//! The colour: slots start at multiples of their size, and a thousand headers at the same offset of a page would compete for
//! the twelve ways of one set of the first-level cache, and for a sixty-fourth of the second level's.

#![allow(unsafe_code, reason = "reads words of the running TCB")]

use crate::arch;
use crate::context::Context;
use crate::glibc::Glibc;

/// What this crate keeps of a body, above its TCB. The user's control block follows it.
#[repr(C, align(64))]
pub(crate) struct Header {
    // Read and written at each switch.
    pub(crate) context: Context,
    // Set when the slot gets its TLS block, constant after that.
    pub(crate) tp: *mut u8,
    pub(crate) stack_low: *mut u8,
    pub(crate) stack_high: *mut u8,
    pub(crate) slot: *mut u8,
    /// Which arena's, unlike that of any other arena there ever was in this process.
    pub(crate) arena: u64,
    pub(crate) index: u32,
    // The body's own: whether its next use is the first on this TLS block.
    pub(crate) is_fresh: bool,
    // A launched kernel thread's own: whether it is inside a `KernelThread`. A thread-local might have to be allocated first.
    pub(crate) is_entered: bool,
}

/// Cache lines by which a slot's top may be shifted.
pub(crate) const COLOURS: usize = 16;
pub(crate) const LINE: usize = 64;
/// By how many of them the tops of two neighbours differ.
pub(crate) const COLOUR_STEP: usize = 7;

/// Where the parts of every slot of one arena lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) slot_bytes: usize,
    pub(crate) guard_bytes: usize,
    pub(crate) header_and_control: usize,
    tcb_bytes: usize,
    tls_below: usize,
    tls_align: usize,
}

/// The parts of one slot.
pub(crate) struct Parts {
    pub(crate) header: *mut Header,
    pub(crate) tp: *mut u8,
    pub(crate) stack_high: *mut u8,
    pub(crate) stack_low: *mut u8,
}

impl Geometry {
    pub(crate) fn new(
        glibc: &Glibc,
        slot_bytes: usize,
        guard_bytes: usize,
        control_bytes: usize,
    ) -> Geometry {
        Geometry {
            slot_bytes,
            guard_bytes,
            header_and_control: (size_of::<Header>() + control_bytes).next_multiple_of(LINE),
            tcb_bytes: glibc.tcb_size(),
            tls_below: glibc.tls_below(),
            tls_align: glibc.tls_align().max(LINE),
        }
    }

    /// The parts of the slot at `slot`, number `index` of its arena.
    pub(crate) fn parts(&self, slot: *mut u8, index: u32) -> Parts {
        // Neighbours in number are neighbours in time as well; an odd factor spreads them.
        let colour = (index as usize).wrapping_mul(COLOUR_STEP) % COLOURS;
        let top = slot.wrapping_add(self.slot_bytes - colour * LINE);
        let header = top.wrapping_sub(self.header_and_control);
        let tp = align_down(header.wrapping_sub(self.tcb_bytes), self.tls_align);
        Parts {
            header: header.cast(),
            tp,
            stack_high: align_down(tp.wrapping_sub(self.tls_below), LINE),
            stack_low: slot.wrapping_add(self.guard_bytes),
        }
    }

    /// The least that a slot's stack can have, whatever its colour: what is left between guard and TLS.
    pub(crate) fn stack_bytes(&self) -> usize {
        let above = COLOURS * LINE
            + self.header_and_control
            + self.tcb_bytes
            + self.tls_align
            + self.tls_below
            + LINE;
        (self.slot_bytes - self.guard_bytes).saturating_sub(above)
    }
}

fn align_down(at: *mut u8, align: usize) -> *mut u8 {
    at.wrapping_sub(at.addr() % align)
}

/// The header of the body that runs on this kernel thread, or null: one load.
#[inline(always)]
pub(crate) fn running_header() -> *mut Header {
    // SAFETY: every thread of a process with glibc has a TCB of glibc's or of this crate's under FS; both have the word.
    let tag = unsafe { arch::tcb_word::<{ arch::TAG_OFFSET }>() };
    std::ptr::with_exposed_provenance_mut(tag)
}

/// The header of the body that a launched kernel thread has for its own stack and TLS, while it runs there; else null: one load.
#[inline(always)]
pub(crate) fn launched_header() -> *mut Header {
    // SAFETY: as above; the word is checked at start to be unused on glibc's own.
    let word = unsafe { arch::tcb_word::<{ arch::LAUNCHED_OFFSET }>() };
    std::ptr::with_exposed_provenance_mut(word)
}
