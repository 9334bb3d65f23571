//! Notes for debuggers: where regions lie, so that a script finds bodies without type information.
//!
//! ```text
//!   raddle_context_regions ──▶ Note ──▶ Note ──▶ 0      a word each: next, base, slots, slot_bytes, header_and_control,
//!                                                       slot states, bytes of one, where in it the byte "built" is
//!   body of slot i, if its byte "built" is 1:
//!     top    = base + (i + 1) * slot_bytes - (number * 7 % 16) * 64      number: slots are counted over all regions, 4,096 each,
//!     header = top - header_and_control                                  so that i will do in its place
//! ```

#![allow(unsafe_code, reason = "a symbol that debuggers look for")]

use crate::header::{COLOUR_STEP, COLOURS, Geometry, Header, LINE};
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What a debugger is told of one region. Never freed: debuggers stop a process at any moment.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Note {
    next: *const Note,
    /// Null when the region is gone.
    base: AtomicPtr<u8>,
    slots: usize,
    slot_bytes: usize,
    header_and_control: usize,
    states: *const u8,
    state_bytes: usize,
    built: usize,
}

// SAFETY: constant once published, but for the atomic.
unsafe impl Sync for Note {}
// SAFETY: as above; what it points to it never reads.
unsafe impl Send for Note {}

/// The last note that was published.
#[unsafe(no_mangle)]
static raddle_context_regions: AtomicPtr<Note> = AtomicPtr::new(ptr::null_mut());

impl Note {
    /// Of a region whose slots start at `base`, each with a state of type `T`, in which the byte at `built` says that it is built.
    pub(super) fn publish<T>(
        base: *mut u8,
        states: &[T],
        built: usize,
        geometry: &Geometry,
    ) -> &'static Note {
        let note = Box::leak(Box::new(Note {
            next: ptr::null(),
            base: AtomicPtr::new(base),
            slots: states.len(),
            slot_bytes: geometry.slot_bytes,
            header_and_control: geometry.header_and_control,
            states: states.as_ptr().cast(),
            state_bytes: size_of::<T>(),
            built,
        }));
        let mut first = raddle_context_regions.load(Ordering::Relaxed);
        loop {
            note.next = first;
            match raddle_context_regions.compare_exchange_weak(
                first,
                note,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return note,
                Err(now) => first = now,
            }
        }
    }

    pub(super) fn withdraw(&self) {
        self.base.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// What else a debugger must know: bytes of a header (the control block follows), where in it the saved stack pointer stands, how
/// slots are coloured (step, count, bytes), and where the stack's lowest address stands.
#[doc(hidden)]
pub const DEBUGGER_OFFSETS: [usize; 6] = [
    size_of::<Header>(),
    offset_of!(Header, context),
    COLOUR_STEP,
    COLOURS,
    LINE,
    offset_of!(Header, stack_low),
];
