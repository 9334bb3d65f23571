//! Opening a FIFO: whoever comes first waits for the other side.
//!
//! The kernel only lets a system call wait for that, which would take a kernel thread for as long, and can't be cut short. So an end is opened without
//! waiting, and the other side is looked for: after pauses that grow to 10 ms, and at once when it has written something.

#![allow(unsafe_code, reason = "an operation that points to nothing")]

use crate::host;
use crate::label::Label;
use crate::operation;
use crate::pauses::Pauses;
use raddle_event::{Interest, Op};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(10);

/// The reading end is open, so that a writer finds it. Waits until one has come, even if it has gone again.
#[track_caller]
pub(super) fn wait_for_writer(reader: BorrowedFd<'_>) -> io::Result<()> {
    let (_read_by_nobody, scratch) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let mut pause = SHORTEST;
    loop {
        // Takes nothing out. It says whether there is a writer, where `poll(2)` keeps silent until that has written.
        match rustix::pipe::tee(reader, &scratch, 1, SpliceFlags::NONBLOCK) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) | Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if comes_within(pause, reader)? {
            return Ok(());
        }
        pause = (pause * 2).min(LONGEST);
    }
}

/// Whether a writer has written something, or gone, after so long at most.
#[track_caller]
fn comes_within(pause: Duration, reader: BorrowedFd<'_>) -> io::Result<bool> {
    let file = reader.as_raw_fd();
    let deadline_ns = host::now_ns() + pause.as_nanos() as u64;
    let op = Op::Poll { file, interest: Interest::READ };
    // SAFETY: it points to nothing; the descriptor is open until this returns.
    match unsafe { operation::perform(op, Label::OPEN.at(0), Some(deadline_ns)) } {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
        Err(error) => Err(error),
    }
}

/// What could not be opened as `error` says, `ENXIO`: if it is a FIFO, waits for a reader.
#[track_caller]
pub(super) fn open_to_write(path: &CStr, flags: OFlags, error: io::Error) -> io::Result<OwnedFd> {
    let stat = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
        return Err(error);
    }
    let mut pauses = Pauses::short(None);
    loop {
        let attempt = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, path, attempt, Mode::empty()) {
            Ok(fd) => {
                rustix::fs::fcntl_setfl(&fd, flags)?;
                return Ok(fd);
            }
            Err(Errno::NXIO) => pauses.pause(Label::OPEN.at(0))?,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
