//! Waiting for several descriptors at once.

#![allow(unsafe_code, reason = "operations that point to nothing")]

use crate::host;
use crate::label::Label;
use crate::operation;
use raddle_event::Op;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

pub use raddle_event::Interest;

/// One of the sources that [`poll`] was asked about, and what it is ready for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    index: usize,
    asked: Interest,
    found: PollFlags,
}

impl Ready {
    /// Which one: its place in the list.
    pub fn index(&self) -> usize {
        self.index
    }

    /// A read would not wait: there is data, an end, an error or a connection to accept. Only if that was asked.
    pub fn is_readable(&self) -> bool {
        let ends = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        self.asked.reads() && self.found.intersects(PollFlags::IN | ends)
    }

    /// A write would not wait: there is room or an error. Only if that was asked.
    pub fn is_writable(&self) -> bool {
        let ends = PollFlags::HUP | PollFlags::ERR;
        self.asked.writes() && self.found.intersects(PollFlags::OUT | ends)
    }

    /// The other end is closed, both ways.
    pub fn is_hangup(&self) -> bool {
        self.found.contains(PollFlags::HUP)
    }

    /// There is an error, which the next call tells; of a pipe's writing end: nobody reads.
    pub fn is_error(&self) -> bool {
        self.found.contains(PollFlags::ERR)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Ready")
            .field("index", &self.index)
            .field("is_readable", &self.is_readable())
            .field("is_writable", &self.is_writable())
            .field("is_hangup", &self.is_hangup())
            .field("is_error", &self.is_error())
            .finish()
    }
}

fn asked(interest: Interest) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN | PollFlags::RDHUP, interest.reads());
    flags.set(PollFlags::OUT, interest.writes());
    flags
}

/// Waits until one of `sources` is ready, and says which are: in the order of the list, none after a time-out. The thread parks meanwhile.
///
/// A file on a disk is always ready. `poll(2)` without its `EINTR`.
///
/// # Errors
///
/// `EBADF` for a descriptor that is not open; `InvalidInput` for more than 65,519 sources, and, from `poll(2)`, for more than the process may have
/// descriptors (`RLIMIT_NOFILE`), however often one is named; `Unsupported` on a simulated host.
///
/// ```
/// use raddle::io::{self, Interest, Write};
/// use std::os::fd::AsFd;
/// use std::time::Duration;
///
/// # fn main() -> io::Result<()> {
/// let (mut a, mut b) = (io::pipe()?, io::pipe()?);
/// b.1.write_all(b"x")?;
/// let sources = [(a.0.as_fd(), Interest::READ), (b.0.as_fd(), Interest::READ)];
/// let ready = io::poll(&sources, Some(Duration::from_secs(1)))?;
/// assert_eq!((ready.len(), ready[0].index()), (1, 1));
/// # a.1.flush()
/// # }
/// ```
#[track_caller]
pub fn poll<F: AsFd>(
    sources: &[(F, Interest)],
    timeout: Option<Duration>,
) -> io::Result<Vec<Ready>> {
    host::check_live()?;
    let deadline_ns = timeout.map(|timeout| {
        let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        host::now_ns().saturating_add(ns)
    });
    let ready = look(sources)?;
    if !ready.is_empty() || timeout == Some(Duration::ZERO) {
        return Ok(ready);
    }
    let ops: Vec<Op> = sources
        .iter()
        .map(|(source, interest)| Op::Poll {
            file: source.as_fd().as_raw_fd(),
            interest: *interest,
        })
        .collect();
    // A list has no number of its own: the first one's stands for it.
    let waits_for = sources
        .first()
        .map_or(Label::TIME.at(0), |(first, _)| Label::POLL.on(first.as_fd().as_raw_fd()));
    // SAFETY: they point to nothing; the descriptors are borrowed until this returns.
    let results = unsafe { operation::perform_any(&ops, waits_for, deadline_ns) }?;
    let mut ready = Vec::new();
    for (index, result) in results.into_iter().enumerate() {
        match result {
            Ok(bits) => {
                let found = PollFlags::from_bits_truncate(bits as u16);
                ready.push(Ready { index, asked: sources[index].1, found });
            }
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ready)
}

/// Which are ready now.
fn look<F: AsFd>(sources: &[(F, Interest)]) -> io::Result<Vec<Ready>> {
    let mut asked: Vec<PollFd<'_>> =
        sources.iter().map(|(source, interest)| PollFd::new(source, asked(*interest))).collect();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    while let Err(error) = rustix::event::poll(&mut asked, Some(&now)) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    let mut ready = Vec::new();
    for (index, one) in asked.iter().enumerate() {
        let found = one.revents();
        if found.contains(PollFlags::NVAL) {
            return Err(Errno::BADF.into());
        }
        if !found.is_empty() {
            ready.push(Ready { index, asked: sources[index].1, found });
        }
    }
    Ok(ready)
}
