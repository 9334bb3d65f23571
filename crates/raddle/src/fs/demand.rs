//! What a disk is asked for, before somebody waits for it.
//!
//! The kernel reads ahead by itself, in *windows* that grow, each of them asked for when a page of the one before is read: so whoever reads only what it has
//! waits for the disk several times a megabyte. Here each window's beginning is read as soon as it was asked for, which is not waited for
//! (`RWF_NOWAIT`): the next window is asked for all the same, and a megabyte is on its way after four of these reads.
//!
//! ```text
//!   pages   0    4                20                            80
//!           ├────┼────────────────┼──────── ... ────────────────┼──────── ...
//!   reads   ▲▲   ▲                ▲                             ▲
//! ```
//!
//! *Why not `posix_fadvise(2)`*, which says the same in one call: it fills memory page by page, where the windows get larger and larger *folios*
//! (Linux 6.18, ext4). For a megabyte it takes 180 us of a processor, the windows 32; the disk, which is given fewer and longer pieces, is done in half of the time;
//! and sending and freeing cost less. It does what the windows leave.

#![allow(unsafe_code, reason = "what a helper is given by pointer")]

use raddle_event::pages_in_memory;
use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::ffi::c_void;
use std::io::IoSliceMut;
use std::num::NonZeroU64;
use std::os::fd::{BorrowedFd, RawFd};

const PAGE: u64 = 4096;

/// So many windows are asked for at once. More have no end: where the kernel does not read ahead each is a page.
const WINDOWS_MAX: u32 = 24;

/// Of a file that is read from its beginning to its end: how far it was asked for, and where that goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    file: RawFd,
    /// What is read next: it has the next window asked for.
    mark: u64,
    /// Where the last window ends, as far as it was looked at.
    known: u64,
    end: u64,
}

impl Demand {
    pub(super) const fn new() -> Demand {
        Demand { file: -1, mark: 0, known: 0, end: 0 }
    }

    /// [`make`] shall ask for what is missing between `offset` and `end`, and goes on where it has stopped before, if that is not behind.
    pub(super) fn prepare(&mut self, file: RawFd, offset: u64, end: u64) {
        let offset = offset - offset % PAGE;
        if self.known < offset {
            (self.mark, self.known) = (offset, offset);
        }
        (self.file, self.end) = (file, end);
    }

    /// How far the file was asked for, once that was made.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    fn make(&mut self) {
        // SAFETY: whoever makes it says that the file is open.
        let file = unsafe { BorrowedFd::borrow_raw(self.file) };
        self.look(file);
        for _ in 0..WINDOWS_MAX {
            if self.known >= self.end {
                return;
            }
            let window = self.known;
            let is_missing = self.mark == window;
            if !begin_to_read(file, self.mark) {
                break;
            }
            self.look(file);
            self.mark = match (self.known > window, is_missing) {
                // The mark of the first one is behind the page that was wanted.
                (true, true) => window + PAGE,
                (true, false) => window,
                // There was none: somebody else has read that, or nobody lately.
                (false, false) => window,
                (false, true) => break,
            };
        }
        let len = self.end.saturating_sub(self.known);
        // If it can't be asked, whoever waits for it has it read.
        let _ = fadvise(file, self.known, NonZeroU64::new(len), Advice::WillNeed);
    }

    /// Goes over what is there or on its way.
    fn look(&mut self, file: BorrowedFd<'_>) {
        let len = self.end.saturating_sub(self.known);
        self.known += pages_in_memory(file, self.known, len).unwrap_or(0) * PAGE;
    }
}

/// Reads a byte, without waiting for it. False if this file can't be read so.
fn begin_to_read(file: BorrowedFd<'_>, at: u64) -> bool {
    let result = preadv2(file, &mut [IoSliceMut::new(&mut [0])], at, ReadWriteFlags::NOWAIT);
    matches!(result, Ok(_) | Err(Errno::AGAIN | Errno::INTR))
}

/// Asks for what a [`Demand`] was prepared for. 0.
///
/// # Safety
///
/// `demand` is one, the caller's for the moment, and its file is open.
pub(super) unsafe extern "C" fn make(demand: *mut c_void) -> i64 {
    // SAFETY: the caller's.
    unsafe { &mut *demand.cast::<Demand>() }.make();
    0
}
