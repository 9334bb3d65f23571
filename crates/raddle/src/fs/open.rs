//! Opening a file without waiting for a disk.
//!
//! A path whose names are all in the kernel's cache is opened at once (`RESOLVE_CACHED`, Linux 5.12); others, and what makes or empties a file,
//! by the event queue.
//!
//! Either way with `O_NONBLOCK`, which is taken back from what was opened: a [FIFO](super::fifo) is waited for otherwise, neither in the kernel nor by a
//! thread of the queue's, and a terminal's carrier not at all.
//!
//! Of what is opened only to be read, nothing has to be known but whether it is a pipe. To ask that takes half as long as `fstat(2)`, and asks no file system. And
//! `O_NONBLOCK` stays until somebody minds it ([`Opened::owes_mode`]), as most such files are read from memory and closed. With `fstat` and `fcntl` each
//! time, these two were a quarter of what opening and closing a file takes whose name is cached.
//!
//! Rejected: to look at the path before it is opened (dearer than both calls, and another file may have that name by then); to leave `O_NONBLOCK` to files for good
//! (some that the kernel makes up heed it, so does io_uring where a file system can't say whether it would wait, and children would inherit it).

#![allow(unsafe_code, reason = "an operation on a path that its caller waits with")]

use super::fifo;
use crate::host;
use crate::label::Label;
use crate::machine::ThreadRef;
use crate::operation;
use raddle_event::Op;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as the kernel takes it.
///
/// # Errors
///
/// `InvalidInput` if there is a NUL byte in it.
pub(super) fn path_to_c(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "file name contained an unexpected NUL byte")
    })
}

/// A file that was just opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) fd: OwnedFd,
    /// Whether it is no regular file, block device or directory, if that was asked.
    pub(super) is_stream: Option<bool>,
    /// Its mode is `O_NONBLOCK`, which is still to be taken back: before anybody gets the descriptor, and before any call but one that says itself that it must not
    /// wait.
    pub(super) owes_mode: bool,
}

impl From<OwnedFd> for Opened {
    fn from(fd: OwnedFd) -> Opened {
        Opened { fd, is_stream: None, owes_mode: false }
    }
}

/// Opens a file; the descriptor is closed on exec.
#[track_caller]
pub(super) fn open(path: &CStr, flags: OFlags, mode: u32) -> io::Result<Opened> {
    host::check_live()?;
    if ThreadRef::running().is_none() {
        return open_and_wait(path, flags, mode).map(Opened::from);
    }
    if flags.intersects(OFlags::NONBLOCK | OFlags::PATH) {
        return open_soon(path, flags, mode).map(Opened::from);
    }
    match open_soon(path, flags | OFlags::NONBLOCK, mode) {
        Ok(fd) => settle(fd, flags),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENXIO) => fifo::open_to_write(path, flags, error).map(Opened::from),
            // Somebody has a lease of it, and is given the time to end that.
            Some(libc::EAGAIN) => open_by_queue(path, flags, mode).map(Opened::from),
            _ => Err(error),
        },
    }
}

#[track_caller]
fn open_soon(path: &CStr, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
    match open_cached(path, flags)? {
        Some(fd) => Ok(fd),
        None => open_by_queue(path, flags, mode),
    }
}

#[track_caller]
fn open_by_queue(path: &CStr, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
    let op = op(path, flags, mode);
    // SAFETY: the path is borrowed until this returns.
    let fd = unsafe { operation::perform(op, Label::OPEN.at(0), None) }?;
    // SAFETY: the operation has made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// What was opened with `O_NONBLOCK` becomes what it would be without.
#[track_caller]
fn settle(fd: OwnedFd, flags: OFlags) -> io::Result<Opened> {
    let is_stream = if flags & OFlags::ACCMODE == OFlags::RDONLY {
        if is_pipe(&fd)? {
            fifo::wait_for_writer(fd.as_fd())?;
        } else if !flags.intersects(MODES) {
            return Ok(Opened { fd, is_stream: None, owes_mode: true });
        }
        None
    } else {
        let kind = kind(&fd)?;
        Some(!matches!(kind, libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR))
    };
    rustix::fs::fcntl_setfl(&fd, flags)?;
    Ok(Opened { fd, is_stream, owes_mode: false })
}

/// What else belongs to a file's mode, and would be taken away with `O_NONBLOCK`.
const MODES: OFlags = OFlags::APPEND
    .union(OFlags::from_bits_retain(libc::O_ASYNC as u32))
    .union(OFlags::DIRECT)
    .union(OFlags::NOATIME);

fn kind(fd: &OwnedFd) -> rustix::io::Result<u32> {
    Ok(rustix::fs::fstat(fd)?.st_mode & libc::S_IFMT)
}

fn is_pipe(fd: &OwnedFd) -> rustix::io::Result<bool> {
    match rustix::pipe::fcntl_getpipe_size(fd) {
        Ok(_) => Ok(true),
        // That is its answer for all else.
        Err(Errno::BADF) => Ok(false),
        Err(_) => Ok(kind(fd)? == libc::S_IFIFO),
    }
}

/// As an operation, whose caller keeps the path.
pub(super) fn op(path: &CStr, flags: OFlags, mode: u32) -> Op {
    let flags = (flags | OFlags::CLOEXEC).bits() as i32;
    Op::Open { directory: libc::AT_FDCWD, path: path.as_ptr(), flags, mode }
}

/// On a plain kernel thread.
fn open_and_wait(path: &CStr, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
    loop {
        let mode = Mode::from_raw_mode(mode);
        match rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, mode) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Opens a file if that asks nothing of a disk. `None` if it would, or if the kernel can't say.
pub(super) fn open_cached(path: &CStr, flags: OFlags) -> io::Result<Option<OwnedFd>> {
    if flags.intersects(OFlags::CREATE | OFlags::TRUNC | OFlags::TMPFILE) {
        return Ok(None);
    }
    let flags = flags | OFlags::CLOEXEC;
    match rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED) {
        Ok(fd) => Ok(Some(fd)),
        Err(
            Errno::AGAIN | Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::TOOBIG | Errno::INTR,
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An open file's kind and length. Its inode is in memory: this waits for no disk.
pub(super) fn kind_and_len(fd: impl AsFd) -> rustix::io::Result<(u32, u64)> {
    match rustix::fs::statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE | StatxFlags::SIZE) {
        Ok(stat) => Ok((u32::from(stat.stx_mode) & libc::S_IFMT, stat.stx_size)),
        Err(Errno::NOSYS) => {
            let stat = rustix::fs::fstat(fd)?;
            Ok((stat.st_mode & libc::S_IFMT, stat.st_size as u64))
        }
        Err(error) => Err(error),
    }
}
