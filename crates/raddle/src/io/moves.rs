//! Calls that move bytes from one descriptor to another: how they wait, and what they come to.

use super::ends::Direct;
use super::transfer::{insist, is_ready, wait_until_ready};
use crate::label::Label;
use raddle_event::Interest;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;
use std::io;
use std::os::fd::BorrowedFd;

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes have left the source.
    Moved(u64),
    /// All are where they should be.
    Over,
    /// Not in this way, or no further.
    Refused,
}

/// Between two descriptors of which one is a pipe. It waits for neither pipe.
pub(super) fn splice(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    len: u64,
) -> rustix::io::Result<usize> {
    /// What the largest pipe holds, mostly.
    const MOST: u64 = 1 << 20;
    rustix::pipe::splice(from, None, to, None, len.min(MOST) as usize, SpliceFlags::NONBLOCK)
}

/// What a call has come to that takes from a stream.
pub(super) fn of_stream(result: io::Result<usize>) -> io::Result<Step> {
    match result {
        Ok(0) => Ok(Step::Over),
        Ok(count) => Ok(Step::Moved(count as u64)),
        Err(error) if is_refusal(&error) => Ok(Step::Refused),
        Err(error) => Err(error),
    }
}

/// What a call has come to that takes from a file. Where that seems to end, a read may know better.
pub(super) fn of_file(result: io::Result<usize>) -> io::Result<Step> {
    Ok(match of_stream(result)? {
        Step::Over => Step::Refused,
        step => step,
    })
}

/// Whether an error says that another way may do. The last way finds the true error, if there is one.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::XDEV
                | Errno::INVAL
                | Errno::NOSYS
                | Errno::OPNOTSUPP
                | Errno::PERM
                // To a file that was opened to append.
                | Errno::BADF
                | Errno::OVERFLOW
                | Errno::TXTBSY
                // On a socket that connects with the first write.
                | Errno::INPROGRESS
        )
    )
}

/// A call that says `EAGAIN` where it would wait: again, whenever `wait` has waited.
#[track_caller]
pub(super) fn patiently(
    mut call: impl FnMut() -> io::Result<usize>,
    mut wait: impl FnMut() -> io::Result<()>,
) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait()?,
            result => return result,
        }
    }
}

/// Waits until there is something to be read, as long as that end waits.
#[track_caller]
pub(super) fn wait_to_read(from: &Direct<'_>) -> io::Result<()> {
    wait_until_ready(from.fd(), Interest::READ, Label::INPUT, from.patience_ns())
}

/// Waits until there is room, as long as that end waits.
#[track_caller]
pub(super) fn wait_to_write(to: &Direct<'_>) -> io::Result<()> {
    wait_until_ready(to.fd(), Interest::WRITE, Label::OUTPUT, to.patience_ns())
}

/// Splices from what may be empty to what may be full.
#[track_caller]
pub(super) fn between(from: &Direct<'_>, to: &Direct<'_>, limit: u64) -> io::Result<usize> {
    let call = || insist(|| splice(from.fd(), to.fd(), limit));
    patiently(call, || match is_ready(from.fd(), PollFlags::IN)? {
        true => wait_to_write(to),
        false => wait_to_read(from),
    })
}
