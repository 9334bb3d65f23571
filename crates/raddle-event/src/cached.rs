//! What of a file is in memory: what can be said before a call that would wait for a disk.
//!
//! The kernel is asked twice. `cachestat(2)` says how many pages of a part are there, in one call; but those that are being read count as well.
//! Whether they hold what the disk has is found by reading a byte that must not wait (`RWF_NOWAIT`): one for each piece in which disks deliver.

#![allow(unsafe_code, reason = "system calls")]

use crate::sys::errno;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// How much of a part of a file is in memory. By [`cached`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// So many bytes, from the part's beginning, can be read without waiting for a disk.
    pub arrived: u64,
    /// The rest was asked for, by whomever, and the disk is at it.
    pub is_coming: bool,
}

const PAGE: u64 = 4096;

/// How much of a part of a file can be read without waiting for a disk, as far as can be told beforehand: from its beginning, in pieces of `piece`
/// bytes, of each of which the last is looked at. What is read from a disk arrives in such pieces, mostly of 64 KiB or more.
///
/// Nothing, to be on the safe side, if the kernel doesn't say (before Linux 6.5; of files that the caller may not write to, later ones may not
/// either).
///
/// `seen`: so many bytes were found there before. It spares a call for each piece of them: whether they are still there is asked in one.
///
/// ```
/// let path = std::env::temp_dir().join(format!("raddle-event-cached-part-{}", std::process::id()));
/// std::fs::write(&path, "just written")?;
/// let file = std::fs::File::open(&path)?;
/// let cached = raddle_event::cached(&file, 0..12, 0, 65_536);
/// // All, on a kernel that says so.
/// println!("in memory: {} of 12 bytes", cached.arrived);
/// # std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Panics
///
/// If `piece` is 0.
pub fn cached(file: impl AsFd, part: Range<u64>, seen: u64, piece: u64) -> Cached {
    assert!(piece > 0, "a piece is a byte or more");
    let len = part.end.saturating_sub(part.start);
    look(file.as_fd().as_raw_fd(), part.start, len, seen.min(len), piece)
}

/// How many pages of a part of a file are in memory or on their way from the disk. `None` if the kernel doesn't say, as with [`cached`].
///
/// ```
/// let path = std::env::temp_dir().join(format!("raddle-event-pages-{}", std::process::id()));
/// std::fs::write(&path, "just written")?;
/// let file = std::fs::File::open(&path)?;
/// let pages = raddle_event::pages_in_memory(&file, 0, 12);
/// assert!(pages.is_none_or(|pages| pages <= 1));
/// # std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
pub fn pages_in_memory(file: impl AsFd, offset: u64, len: u64) -> Option<u64> {
    // The kernel takes no bytes for all that follow.
    if len == 0 { Some(0) } else { count_pages(file.as_fd().as_raw_fd(), offset, len) }
}

/// Whether all of a part of a file can be read without waiting for a disk, as [`cached`] says it.
///
/// ```
/// let path = std::env::temp_dir().join(format!("raddle-event-cached-{}", std::process::id()));
/// std::fs::write(&path, "just written")?;
/// let file = std::fs::File::open(&path)?;
/// // True, on a kernel that says so.
/// println!("in memory: {}", raddle_event::is_cached(&file, 0, 12));
/// # std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
pub fn is_cached(file: impl AsFd, offset: u64, len: u64) -> bool {
    has_all(file.as_fd().as_raw_fd(), offset, len)
}

pub(crate) fn has_all(file: RawFd, offset: u64, len: u64) -> bool {
    const PIECE: u64 = 64 * 1024;
    look(file, offset, len, 0, PIECE).arrived == len
}

fn look(file: RawFd, offset: u64, len: u64, seen: u64, piece: u64) -> Cached {
    let is_coming = has_pages(file, offset, len);
    // If some are missing, nobody says which: piece by piece. Pages are read only if they are there, as the kernel would begin to fetch a
    // few, and that is for others to decide.
    let is_there = |at, len| is_coming || has_pages(file, at, len);
    let mut arrived = if is_coming { seen } else { 0 };
    while arrived < len {
        let (at, piece) = (offset + arrived, piece.min(len - arrived));
        if !is_there(at, piece) || !has_arrived(file, at + piece - 1) {
            break;
        }
        arrived += piece;
    }
    Cached { arrived, is_coming }
}

/// Whether there is a page for each byte of a part; it may be waiting for its disk.
fn has_pages(file: RawFd, offset: u64, len: u64) -> bool {
    let wanted = offset.saturating_add(len).div_ceil(PAGE) - offset / PAGE;
    len == 0 || count_pages(file, offset, len).is_some_and(|pages| pages >= wanted)
}

fn count_pages(file: RawFd, offset: u64, len: u64) -> Option<u64> {
    /// `cachestat(2)`; not in libc yet.
    const SYS_CACHESTAT: libc::c_long = 451;
    let range = [offset, len];
    // Cached, dirty, under write-back, evicted, recently evicted.
    let mut pages = [0u64; 5];
    // SAFETY: reads a `cachestat_range` (two u64) and writes a `cachestat` (five).
    let result =
        unsafe { libc::syscall(SYS_CACHESTAT, file, range.as_ptr(), pages.as_mut_ptr(), 0) };
    (result == 0).then_some(pages[0])
}

/// Whether a byte can be read without waiting, or can't be read at all.
fn has_arrived(file: RawFd, at: u64) -> bool {
    let mut byte = 0u8;
    let one = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: writes one byte, which is there.
    let count =
        unsafe { libc::preadv2(file, &raw const one, 1, at as libc::off_t, libc::RWF_NOWAIT) };
    count >= 0 || errno() != -i64::from(libc::EAGAIN)
}
