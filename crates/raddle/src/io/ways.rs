//! The kernel's ways from one descriptor to another.
//!
//! | from, to | file | stream socket | pipe |
//! |---|---|---|---|
//! | file | `copy_file_range`, else `sendfile` | `sendfile` | `splice` |
//! | stream socket | `splice`, through a [relay](Relay) | `splice`, through a relay | `splice` |
//! | pipe | `splice`, through a relay | `splice` | `splice` |
//!
//! *A raddle thread waits in none of these calls.* Those that write to a file are made by a helper of the event queue. What is read from a file is
//! brought into memory first, by a helper, if it is not there. Sockets are in non-blocking mode from here on; pipes, whose mode is
//! other people's business, are told each time. Where a call would wait the thread parks, until the end that is not ready is.
//!
//! *Why a pipe has a relay to a file*: a pipe that is spliced to a file is locked as long as the disk takes, and who writes to it waits in the kernel.
//!
//! *Each step leaves both positions true.* All calls move the descriptors' own positions by what they have done. So what a kernel or a file system
//! refuses, at once or halfway, the next way takes up at the same place.

use super::disk::{self, Place, by_helper};
use super::ends::Direct;
use super::moves::{Step, between, of_file, of_stream, patiently, splice, wait_to_write};
use super::relay::Relay;
use super::transfer::insist;
use crate::host;
use rustix::fs::FileType;
use rustix::net::{SocketType, sockopt};
use std::io;
use std::os::fd::BorrowedFd;

/// So much of a file goes in one call: enough that the call itself does not count.
const CHUNK: u64 = 256 * 1024;

/// What a descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// A stream, in non-blocking mode.
    Socket,
    Pipe,
}

impl Kind {
    /// None if the kernel has no way for it, as far as is known.
    pub(super) fn of(direct: &Direct<'_>) -> Option<Kind> {
        let fd = direct.fd();
        match FileType::from_raw_mode(rustix::fs::fstat(fd).ok()?.st_mode) {
            FileType::RegularFile => Some(Kind::File),
            FileType::Fifo => Some(Kind::Pipe),
            FileType::Socket if direct.is_socket() => {
                let is_stream = sockopt::socket_type(fd) == Ok(SocketType::STREAM);
                (is_stream && rustix::io::ioctl_fionbio(fd, true).is_ok()).then_some(Kind::Socket)
            }
            _ => None,
        }
    }
}

/// A way from one descriptor to another.
#[derive(Debug)]
pub(super) enum Way {
    /// Between files, so much at a time.
    CopyFileRange(u64),
    /// Between files.
    SendFile,
    /// From a file to a socket.
    SendFileToSocket,
    /// From a file to a pipe.
    SpliceFile,
    /// Between pipes and sockets.
    Splice,
    Relay(Relay),
}

impl Way {
    /// The ways between two ends, the cheapest first.
    pub(super) fn all(from: Kind, to: Kind) -> Vec<Way> {
        match (from, to) {
            (Kind::File, Kind::File) => vec![Way::CopyFileRange(CHUNK), Way::SendFile],
            (Kind::File, Kind::Socket) => vec![Way::SendFileToSocket],
            (Kind::File, Kind::Pipe) => vec![Way::SpliceFile],
            (Kind::Pipe, Kind::Pipe | Kind::Socket) | (Kind::Socket, Kind::Pipe) => {
                vec![Way::Splice]
            }
            // Who has no descriptors left for a pipe has memory.
            (Kind::Socket, Kind::Socket) | (Kind::Socket | Kind::Pipe, Kind::File) => {
                Relay::new(to == Kind::File).map(Way::Relay).into_iter().collect()
            }
        }
    }

    /// Moves some bytes, `limit` at most, and waits until it can. While it waits nothing is on its way, except in a relay.
    #[track_caller]
    pub(super) fn step(
        &mut self,
        from: &Direct<'_>,
        to: &Direct<'_>,
        limit: u64,
    ) -> io::Result<Step> {
        let (source, target) = (from.fd(), to.fd());
        match self {
            Way::Relay(relay) => relay.step(from, to, limit),
            _ if limit == 0 => Ok(Step::Over),
            Way::Splice => of_stream(between(from, to, limit)),
            // Where a file seems to end, or can't say, a read may know better.
            _ if disk::left(source)? == 0 => Ok(Step::Refused),
            Way::CopyFileRange(chunk) => copy_file_range(source, target, limit, chunk),
            Way::SendFile => {
                let call = || rustix::fs::sendfile(target, source, None, chunk_of(limit));
                of_file(by_helper(target, call))
            }
            Way::SendFileToSocket => {
                let call = || rustix::fs::sendfile(target, source, None, chunk_of(limit));
                from_file(source, to, call)
            }
            Way::SpliceFile => from_file(source, to, || splice(source, target, limit.min(CHUNK))),
        }
    }
}

fn chunk_of(limit: u64) -> usize {
    limit.min(CHUNK) as usize
}

/// From file to file. Where a file system copies by reference a call's length does not matter, and calls are dear; where it moves bytes nobody
/// shall wait long behind one. So `chunk` follows the time that a call takes.
#[track_caller]
fn copy_file_range(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    limit: u64,
    chunk: &mut u64,
) -> io::Result<Step> {
    const QUICK_NS: u64 = 1_000_000;
    const SLOW_NS: u64 = 4_000_000;
    const MOST: u64 = 1 << 30;
    let len = limit.min(*chunk) as usize;
    let begin_ns = host::now_ns();
    let step = by_helper(to, || rustix::fs::copy_file_range(from, None, to, None, len));
    match host::now_ns().saturating_sub(begin_ns) {
        ..QUICK_NS => *chunk = (*chunk * 2).min(MOST),
        SLOW_NS.. => *chunk = (*chunk / 2).max(CHUNK),
        _ => {}
    }
    of_file(step)
}

/// From a file to what may be full.
#[track_caller]
fn from_file(
    file: BorrowedFd<'_>,
    to: &Direct<'_>,
    call: impl Fn() -> rustix::io::Result<usize> + Sync,
) -> io::Result<Step> {
    let try_it = || match disk::bring_in(file, CHUNK)? {
        Place::Here => insist(&call),
        Place::ByHelper => by_helper(file, &call),
    };
    of_file(patiently(try_it, || wait_to_write(to)))
}
