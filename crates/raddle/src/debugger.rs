//! What debuggers are told, so that a script (`gdb/raddle.py`) lists raddle's threads without type information.
//!
//! `raddle_debugger_table` is an array of words, in the order below; the script has the same list. Bodies are found through
//! `raddle_context_regions` (raddle-context's `arena/notes.rs`), a suspended stack is drawn in its `arch/x86_64.rs`.

#![allow(unsafe_code, reason = "a symbol that debuggers look for")]

use crate::label::{Label, SAID};
use crate::machine::{Block, Core, Worker};
use crate::record::Record;
use crate::sleeper::Sleeper;
use raddle_context::DEBUGGER_OFFSETS;
use raddle_core::notes::Notes;
use raddle_core::run_queue::Link;
use std::mem::offset_of;

/// Words of the table, before the labels.
const WORDS: usize = 24;

#[repr(C)]
struct Table {
    words: [usize; WORDS],
    /// Two words: where the labels are, each two words again, and how many.
    labels: &'static [&'static str],
}

const HEADER: [usize; 6] = DEBUGGER_OFFSETS;

/// Version 2.
#[unsafe(no_mangle)]
static raddle_debugger_table: Table = Table {
    words: [
        2,
        // A body: bytes from its header to its control block, the saved stack pointer in the header, how slots are coloured
        // (step, count, bytes), the stack's lowest address in the header.
        HEADER[0],
        HEADER[1],
        HEADER[2],
        HEADER[3],
        HEADER[4],
        HEADER[5],
        // A control block.
        size_of::<Block>(),
        offset_of!(Block, sleeper) + offset_of!(Sleeper, state),
        offset_of!(Block, worker),
        offset_of!(Block, record),
        offset_of!(Block, is_live),
        offset_of!(Block, waits_for),
        offset_of!(Block, link) + Link::<crate::machine::ThreadRef>::PLACE_OFFSET,
        // A worker.
        offset_of!(Worker, core),
        offset_of!(Worker, kernel_id),
        offset_of!(Worker, notes),
        Notes::LOST as usize,
        // A core.
        offset_of!(Core, current),
        offset_of!(Core, index),
        // A record: the id, and the name, a pointer and a length.
        offset_of!(Record, id),
        offset_of!(Record, name),
        // The label that has a thread's id beside it, not an address.
        Label::JOIN.number(),
        // The first label that has a descriptor beside it.
        Label::INPUT.number(),
    ],
    labels: &SAID,
};

/// Keeps the table in the program: the linker throws out what nobody refers to.
pub(crate) fn publish() {
    std::hint::black_box(&raddle_debugger_table.words);
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_a_pointer_and_a_length() {
        let words = |name: &Option<Box<str>>| {
            // SAFETY: two words, as large as the value.
            unsafe { std::ptr::from_ref(name).cast::<[usize; 2]>().read() }
        };
        let name: Option<Box<str>> = Some("worker".into());
        let at = name.as_deref().map_or(0, |name| name.as_ptr().addr());
        assert_eq!(words(&name), [at, 6]);
        assert_eq!(words(&None)[0], 0);
    }
}
