//! What of a file is in memory, and calls that may wait for its disk: a helper of the event queue makes them, while the thread is parked.

use super::transfer::insist;
use crate::cancel;
use crate::label::Label;
use crate::machine::ThreadRef;
use crate::operation;
use crate::request::as_number;
use raddle_event::is_cached;
use rustix::fs::{Advice, SeekFrom};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Where a call that reads a file shall be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Here: it waits for nothing.
    Here,
    ByHelper,
}

/// Makes a call that may wait for the disk of `file`. A plain kernel thread waits itself.
///
/// The call may be made by another kernel thread, on a small stack, and must not panic.
#[track_caller]
pub(super) fn by_helper(
    file: BorrowedFd<'_>,
    call: impl Fn() -> rustix::io::Result<usize> + Sync,
) -> io::Result<usize> {
    if ThreadRef::running().is_none() {
        // As the wait would.
        cancel::checkpoint();
        return insist(call);
    }
    operation::call(|| as_number(&insist(&call)), Label::DISK.on(file.as_raw_fd()))
}

/// How much is left of a file behind its position. 0 may also say that the file can't tell (`/proc`).
pub(super) fn left(file: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(size(file)?.saturating_sub(position(file)?))
}

fn size(file: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::fs::fstat(file)?.st_size.try_into().unwrap_or(0))
}

fn position(file: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::fs::seek(file, SeekFrom::Current(0))?)
}

/// Brings the next `len` bytes of a file into memory, if they are not there. Where a call shall be made that reads them.
#[track_caller]
pub(super) fn bring_in(file: BorrowedFd<'_>, len: u64) -> io::Result<Place> {
    if ThreadRef::running().is_none() {
        cancel::checkpoint();
        return Ok(Place::Here);
    }
    let offset = position(file)?;
    let len = len.min(size(file)?.saturating_sub(offset));
    if is_cached(file, offset, len) {
        return Ok(Place::Here);
    }
    by_helper(file, || fetch(file, offset, len))?;
    // Not where the kernel can't say it, or does not keep the file in memory.
    Ok(if is_cached(file, offset, len) { Place::Here } else { Place::ByHelper })
}

/// Reads a part of a file into memory, and has the disk begin with what comes behind it.
fn fetch(file: BorrowedFd<'_>, offset: u64, len: u64) -> rustix::io::Result<usize> {
    const AHEAD: u64 = 4;
    /// A disk delivers in larger pieces.
    const PIECE: u64 = 64 * 1024;
    // If it can't, the reads do it.
    let _ = rustix::fs::fadvise(file, offset, NonZeroU64::new(len * AHEAD), Advice::WillNeed);
    let end = offset + len;
    let mut at = offset;
    while at < end {
        at = (at + PIECE).min(end);
        rustix::io::pread(file, &mut [0], at - 1)?;
    }
    Ok(0)
}
