//! Reads and writes of a descriptor, whatever it leads to: without waiting where that is possible, else in the event queue.
//!
//! Each call says itself that it must not wait (`RWF_NOWAIT`): the descriptor's own mode is shared with whoever else has the open file, a child
//! process or a terminal's other users, and stays as it is.
//!
//! | it leads to | a read | a write |
//! |---|---|---|
//! | a file | from the page cache; else the queue fetches the page, and the read is tried again | into the page cache |
//! | a pipe, a FIFO | what is there; else by the queue | what there is room for; else by the queue |
//! | a terminal, and what can't say in advance | when it is ready | when it is ready, a little at a time |
//! | a file that can't say (`/proc`, FUSE) | as it is, announced as blocking | into the page cache |
//!
//! A file's position is the kernel's, under its lock: two who read one open file get different parts. So the queue, which would not take that
//! lock, only brings in what the read then finds. A call moves 1 MiB at most: the kernel copies without being preempted.

#![allow(unsafe_code, reason = "operations on a caller's buffer, which waits for them")]

use crate::blocking;
use crate::host;
use crate::label::Label;
use crate::machine::ThreadRef;
use crate::operation;
use raddle_event::{Interest, Op};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::SeekFrom;
use rustix::io::{Errno, ReadWriteFlags};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd};

/// What one call moves at most.
const MOST: usize = 1 << 20;
/// What a terminal or the like is given in one call when it says that it has room.
const LITTLE: usize = 4096;
/// As an offset: at the file's position.
const POSITION: u64 = u64::MAX;

/// What a call without waiting has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    Done(usize),
    WouldWait,
    /// This file, or this kernel, can't say whether a call would wait.
    CanNotSay,
}

fn tried(mut call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<Tried> {
    loop {
        return match call() {
            Ok(count) => Ok(Tried::Done(count)),
            Err(Errno::AGAIN) => Ok(Tried::WouldWait),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => Ok(Tried::CanNotSay),
            Err(Errno::INTR) => continue,
            Err(error) => Err(error.into()),
        };
    }
}

/// A call that may wait, again if a signal has cut it short.
pub(super) fn insist<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

fn at_most(buffer: &mut [u8]) -> &mut [u8] {
    let len = buffer.len().min(MOST);
    &mut buffer[..len]
}

/// How many of these lengths one call takes.
fn count_at_most(lengths: impl Iterator<Item = usize>) -> usize {
    const SLICES: usize = 1024;
    let mut sum = 0;
    let fits = |len: &usize| {
        let before = sum;
        sum += len;
        before < MOST
    };
    lengths.take(SLICES).take_while(fits).count()
}

/// Reads at the file's position, or what a stream has.
#[track_caller]
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    read_and_settle(fd, buffer, || ())
}

/// As [`read`], of what may still be in non-blocking mode: `settle` ends that, and is called before anything heeds it, so not if the bytes are there.
#[track_caller]
pub(crate) fn read_and_settle(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    settle: impl FnOnce(),
) -> io::Result<usize> {
    let buffer = at_most(buffer);
    match read_at_once(fd, &mut [IoSliceMut::new(buffer)], POSITION)? {
        Tried::Done(count) => Ok(count),
        other => {
            settle();
            read_later(fd, buffer, other)
        }
    }
}

/// As [`read`], into several slices.
#[track_caller]
pub(crate) fn read_vectored(
    fd: BorrowedFd<'_>,
    slices: &mut [IoSliceMut<'_>],
) -> io::Result<usize> {
    read_vectored_and_settle(fd, slices, || ())
}

/// As [`read_and_settle`], into several slices.
#[track_caller]
pub(crate) fn read_vectored_and_settle(
    fd: BorrowedFd<'_>,
    slices: &mut [IoSliceMut<'_>],
    settle: impl FnOnce(),
) -> io::Result<usize> {
    let count = count_at_most(slices.iter().map(|slice| slice.len()));
    let slices = &mut slices[..count];
    match read_at_once(fd, slices, POSITION)? {
        Tried::Done(count) => Ok(count),
        other => match slices.iter_mut().find(|slice| !slice.is_empty()) {
            Some(slice) => {
                settle();
                read_later(fd, at_most(slice), other)
            }
            None => Ok(0),
        },
    }
}

/// As [`read_and_settle`], at `offset`; leaves the position as it is.
#[track_caller]
pub(crate) fn read_at(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    offset: u64,
    settle: impl FnOnce(),
) -> io::Result<usize> {
    let buffer = at_most(buffer);
    // What the kernel takes for "at the position" is no offset.
    if offset > i64::MAX as u64 {
        return Err(Errno::INVAL.into());
    }
    let tried = read_at_once(fd, &mut [IoSliceMut::new(buffer)], offset)?;
    if let Tried::Done(count) = tried {
        return Ok(count);
    }
    settle();
    if tried == Tried::WouldWait && is_raddles() {
        return fetch(fd, buffer, offset);
    }
    blocking(|| insist(|| rustix::io::pread(fd, &mut *buffer, offset)))
}

fn read_at_once(
    fd: BorrowedFd<'_>,
    slices: &mut [IoSliceMut<'_>],
    offset: u64,
) -> io::Result<Tried> {
    tried(|| rustix::io::preadv2(fd, slices, offset, ReadWriteFlags::NOWAIT))
}

/// Whether a raddle thread runs here. A plain kernel thread may wait for a disk.
fn is_raddles() -> bool {
    ThreadRef::running().is_some()
}

/// Reads at `offset` by the event queue.
#[track_caller]
fn fetch(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let file = fd.as_raw_fd();
    let (buffer, len) = (buffer.as_mut_ptr(), buffer.len());
    let op = Op::Read { file, buffer, len, offset: Some(offset) };
    // SAFETY: the buffer is borrowed, and the file open, until this returns.
    unsafe { operation::perform(op, Label::DISK.on(file), None) }
}

/// A read that would wait.
#[cold]
#[track_caller]
fn read_later(fd: BorrowedFd<'_>, buffer: &mut [u8], first: Tried) -> io::Result<usize> {
    /// What was fetched may be gone before it is read; not again and again.
    const TRIES: u32 = 3;
    let Ok(mut position) = rustix::fs::seek(fd, SeekFrom::Current(0)) else {
        return read_stream_later(fd, buffer, first);
    };
    if first == Tried::WouldWait && is_raddles() {
        for _ in 0..TRIES {
            fetch(fd, buffer, position)?;
            let again = read_at_once(fd, &mut [IoSliceMut::new(buffer)], POSITION)?;
            if let Tried::Done(count) = again {
                return Ok(count);
            }
            // Perhaps another one has read meanwhile.
            position = rustix::fs::seek(fd, SeekFrom::Current(0))?;
        }
    }
    blocking(|| insist(|| rustix::io::read(fd, &mut *buffer)))
}

#[track_caller]
fn read_stream_later(fd: BorrowedFd<'_>, buffer: &mut [u8], first: Tried) -> io::Result<usize> {
    let file = fd.as_raw_fd();
    if first == Tried::WouldWait {
        let (buffer, len) = (buffer.as_mut_ptr(), buffer.len());
        let op = Op::Read { file, buffer, len, offset: None };
        // SAFETY: as in `fetch`.
        return unsafe { operation::perform(op, Label::INPUT.on(file), None) };
    }
    loop {
        if is_ready(fd, PollFlags::IN)? {
            // Unless somebody else takes it just now, this does not wait.
            match insist(|| rustix::io::read(fd, &mut *buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
        wait_until_ready(fd, Interest::READ, Label::INPUT, None)?;
    }
}

/// Writes to a stream: all or a part.
#[track_caller]
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let bytes = &bytes[..bytes.len().min(MOST)];
    match write_at_once(fd, &[IoSlice::new(bytes)])? {
        Tried::Done(count) => Ok(count),
        other => write_later(fd, bytes, other),
    }
}

/// As [`write`], from several slices.
#[track_caller]
pub(crate) fn write_vectored(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let slices = &slices[..count_at_most(slices.iter().map(|slice| slice.len()))];
    match write_at_once(fd, slices)? {
        Tried::Done(count) => Ok(count),
        other => match slices.iter().find(|slice| !slice.is_empty()) {
            Some(slice) => write_later(fd, &slice[..slice.len().min(MOST)], other),
            None => Ok(0),
        },
    }
}

fn write_at_once(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<Tried> {
    tried(|| rustix::io::pwritev2(fd, slices, POSITION, ReadWriteFlags::NOWAIT))
}

#[cold]
#[track_caller]
fn write_later(fd: BorrowedFd<'_>, bytes: &[u8], first: Tried) -> io::Result<usize> {
    let file = fd.as_raw_fd();
    if first == Tried::WouldWait {
        let op = Op::Write { file, buffer: bytes.as_ptr(), len: bytes.len(), offset: None };
        // SAFETY: the bytes are borrowed, and the file open, until this returns.
        return unsafe { operation::perform(op, Label::OUTPUT.on(file), None) };
    }
    if rustix::fs::seek(fd, SeekFrom::Current(0)).is_ok() {
        return write_file(fd, bytes, None, false);
    }
    loop {
        if is_ready(fd, PollFlags::OUT)? {
            let bytes = &bytes[..bytes.len().min(LITTLE)];
            match insist(|| rustix::io::write(fd, bytes)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
        wait_until_ready(fd, Interest::WRITE, Label::OUTPUT, None)?;
    }
}

/// Writes to a file, at the position or at an offset. `waits`: for the disk, as it was opened; else it goes to the page cache. There a call
/// waits only if the disk is far behind, and then the worker is replaced.
pub(crate) fn write_file(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    offset: Option<u64>,
    waits: bool,
) -> io::Result<usize> {
    let bytes = &bytes[..bytes.len().min(MOST)];
    let write = || {
        insist(|| match offset {
            None => rustix::io::write(fd, bytes),
            Some(offset) => rustix::io::pwrite(fd, bytes, offset),
        })
    };
    if waits { blocking(write) } else { write() }
}

/// As [`write_file`], from several slices, at the position.
pub(crate) fn write_file_vectored(
    fd: BorrowedFd<'_>,
    slices: &[IoSlice<'_>],
    waits: bool,
) -> io::Result<usize> {
    let slices = &slices[..count_at_most(slices.iter().map(|slice| slice.len()))];
    let write = || insist(|| rustix::io::writev(fd, slices));
    if waits { blocking(write) } else { write() }
}

/// Whether reads and writes of it have no position: of a pipe, a socket, a terminal and the like.
pub(crate) fn is_stream(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| {
        !matches!(stat.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR)
    })
}

/// Writes to what may be a stream or a file, and another one tomorrow: a standard stream.
#[track_caller]
pub(crate) fn write_to_either(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    if is_stream(fd) { write(fd, bytes) } else { write_file(fd, bytes, None, false) }
}

/// Waits until a write of a little would not.
#[track_caller]
pub(crate) fn wait_for_room(fd: BorrowedFd<'_>) -> io::Result<()> {
    while !is_ready(fd, PollFlags::OUT)? {
        wait_until_ready(fd, Interest::WRITE, Label::OUTPUT, None)?;
    }
    Ok(())
}

pub(super) fn is_ready(fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<bool> {
    let mut one = [PollFd::from_borrowed_fd(fd, flags)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(insist(|| rustix::event::poll(&mut one, Some(&now)))? > 0)
}

/// Waits until a call would not, for `patience_ns` at most. What std's sockets say after that is `WouldBlock`.
#[track_caller]
pub(super) fn wait_until_ready(
    fd: BorrowedFd<'_>,
    interest: Interest,
    label: Label,
    patience_ns: Option<u64>,
) -> io::Result<()> {
    let op = Op::Poll { file: fd.as_raw_fd(), interest };
    let deadline_ns = patience_ns.map(|patience| host::now_ns().saturating_add(patience));
    // SAFETY: it points to nothing; the descriptor is open until this returns.
    match unsafe { operation::perform(op, label.on(fd.as_raw_fd()), deadline_ns) } {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Errno::AGAIN.into()),
        result => result.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn a_mode_is_settled_before_a_wait_and_not_without_one() {
        let settled = Cell::new(0);
        let (reader, writer) = io::pipe().unwrap();
        // What is waited for comes by that.
        let settle = || {
            settled.set(settled.get() + 1);
            (&writer).write_all(b"abc").unwrap();
        };
        let mut one = [0];
        assert_eq!(read_and_settle(reader.as_fd(), &mut one, settle).unwrap(), 1);
        assert_eq!((settled.get(), &one), (1, b"a"));
        assert_eq!(read_and_settle(reader.as_fd(), &mut one, settle).unwrap(), 1);
        let mut read_vectored = || {
            let slices = &mut [IoSliceMut::new(&mut one)];
            read_vectored_and_settle(reader.as_fd(), slices, settle).unwrap()
        };
        assert_eq!(read_vectored(), 1);
        assert_eq!(settled.get(), 1);
        assert_eq!(read_vectored(), 1);
        assert_eq!(settled.get(), 2);
        // A pipe has no offsets; that is found out at once.
        assert!(read_at(reader.as_fd(), &mut one, 0, settle).is_err());
        assert_eq!(settled.get(), 2);
    }
}
