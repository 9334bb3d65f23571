//! A file on its way to a socket: a machine of several steps, for which its thread parks once.
//!
//! ```text
//!   the thread, at once:   open (cached names) ─▶ length ─▶ header ─▶ sendfile ⟲ as long as it is in memory and there is room
//!   what is left, in the event queue, while the thread sleeps:
//!                          open ─▶ length ─▶ header ─▶ sendfile ⟲ ─▶ the thread goes on, and closes
//!                                                       │    ▲
//!                               there is no room: poll ◀┤    ├─▶ until there is
//!      it is not in memory: ask the disk, by a helper  ◀┤    │
//!                  it is coming: read a byte of it     ◀┘    ├─▶ when that has arrived
//! ```
//!
//! *The disk is asked for much, and waited for in small parts.* What is not in memory is asked for as soon as it is found missing: all of a file of 2 MiB.
//! So a hundred files are on their way from the disk at once. A helper asks, because whoever does may have to wait for the disk's queue or for where the file
//! stands on the disk. To wait for what comes needs no helper with io_uring: a read of one byte is parked at its page.
//!
//! *No call reads what is not in memory*: each part is looked for before it is sent, and again after 2 ms. What leaves in between is not
//! noticed: then the worker waits for the disk, and is replaced. Nor is, where nothing was found missing, what
//! others have asked for and arrives later than the end of its 256 KiB.

#![allow(
    unsafe_code,
    reason = "operations on a header, a path and the machine itself, that wait with their thread"
)]

use super::demand::{self, Demand};
use super::open;
use super::warm::{PIECE, TRUST_NS, Warm};
use crate::io::ends::Direct;
use crate::label::Label;
use crate::mode_word;
use crate::operation;
use crate::request::{Machine, Next};
use crate::sys::clock;
use raddle_event::{Cached, Interest, Op, cached};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::ffi::CStr;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// So much goes in one call: enough that the call itself does not count, and over in a third of a millisecond.
const CHUNK: u64 = 1 << 20;
/// So much the disk is asked for at once; again when less than a chunk of it is left.
const AHEAD: u64 = 2 << 20;
/// So much of what is coming is waited for, and sent then, while the rest comes.
const PART: u64 = 256 * 1024;
/// If that has come and its beginning has not: so much.
const LITTLE: u64 = 64 * 1024;
/// After so many waits for nothing a helper sends: this file, or this kernel, can't say what is in memory.
const VAIN_MAX: u32 = 2;

/// The file that is sent.
#[derive(Debug)]
enum Sent {
    Own(OwnedFd),
    Callers(RawFd),
}

impl Sent {
    fn number(&self) -> RawFd {
        match self {
            Sent::Own(fd) => fd.as_raw_fd(),
            Sent::Callers(number) => *number,
        }
    }
}

/// What is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Open,
    Header,
    /// Until the socket has room.
    Room,
    /// The disk is asked.
    Ask,
    /// Until some of what it was asked for has arrived.
    Arrival,
    /// A helper sends, and waits for the disk.
    ByHelper,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// To send more, perhaps after others.
    More,
    /// One of these steps first.
    Step(Step),
    /// Nothing.
    End,
}

/// A file on its way to a socket.
pub(super) struct Sending<'a> {
    socket: RawFd,
    header: &'a [u8],
    path: Option<(&'a CStr, OFlags)>,
    /// What is known of a file that others may send as well.
    warm: Option<&'a Warm>,
    /// None: to be opened.
    file: Option<Sent>,
    offset: u64,
    /// Of the file. None: not known yet.
    left: Option<u64>,
    sent: u64,
    step: Step,
    /// The socket has said that it has no room.
    is_full: bool,
    is_no_file: bool,
    /// Where in the file ends what was found in memory.
    found: u64,
    /// Something was not in memory: all is looked at closely.
    is_late: bool,
    /// Until when that is taken to be still there.
    trusted_until_ns: u64,
    /// Where in the file ends what the disk was asked for; 0 if it was not.
    asked: u64,
    /// So many waits for the disk have come to nothing.
    vain: u32,
    demand: Demand,
    /// What arrives is read into this.
    byte: u8,
}

impl<'a> Sending<'a> {
    fn new(header: &'a [u8], socket: BorrowedFd<'_>) -> Sending<'a> {
        Sending {
            socket: socket.as_raw_fd(),
            header,
            path: None,
            warm: None,
            file: None,
            offset: 0,
            left: None,
            sent: 0,
            step: Step::Open,
            is_full: false,
            is_no_file: false,
            found: 0,
            is_late: false,
            trusted_until_ns: 0,
            asked: 0,
            vain: 0,
            demand: Demand::new(),
            byte: 0,
        }
    }

    /// All of the file at `path`, which is opened at once if that can be done without waiting.
    pub(super) fn of_path(
        header: &'a [u8],
        path: &'a CStr,
        flags: OFlags,
        socket: BorrowedFd<'_>,
    ) -> io::Result<Sending<'a>> {
        let file = open::open_cached(path, flags)?.map(Sent::Own);
        Ok(Sending { path: Some((path, flags)), file, ..Sending::new(header, socket) })
    }

    /// A part of a file that stays open, as far as it has it.
    pub(super) fn of_file(
        header: &'a [u8],
        file: BorrowedFd<'_>,
        warm: &'a Warm,
        part: Range<u64>,
        socket: BorrowedFd<'_>,
    ) -> Sending<'a> {
        Sending {
            file: Some(Sent::Callers(file.as_raw_fd())),
            warm: Some(warm),
            offset: part.start,
            left: Some(part.end.saturating_sub(part.start)),
            ..Sending::new(header, socket)
        }
    }

    /// Sends all of it. `direct` is the socket.
    #[track_caller]
    pub(super) fn run(mut self, direct: Direct<'_>) -> io::Result<u64> {
        if self.file.is_some() {
            self.send_here(direct)?;
        }
        if self.header.is_empty() && self.left == Some(0) {
            return Ok(self.sent);
        }
        // What is left is done under the lock of a core's event queue, which must not wait: what is only believed of the mode will not do.
        mode_word::make_nonblocking(direct.fd())?;
        let waits_for = Label::SEND_FILE.on(self.socket);
        // SAFETY: the header, the path and the socket are borrowed, the file is open, and this stays here, until this returns.
        let result = unsafe { operation::run(&mut self, waits_for, direct.patience_ns()) };
        match result {
            Err(_) if self.is_no_file => Err(no_file()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                // As std's sockets say it.
                Err(Errno::AGAIN.into())
            }
            result => result.map(|sent| sent as u64),
        }
    }

    /// Does on the calling thread what needs no waiting, as far as that goes. It may be preempted between two calls.
    fn send_here(&mut self, direct: Direct<'_>) -> io::Result<()> {
        if let Err(error) = self.measure() {
            return Err(if self.is_no_file { no_file() } else { error.into() });
        }
        direct.make_nonblocking()?;
        self.send_header()?;
        if self.header.is_empty() {
            while self.send_some()? == Want::More {}
        }
        Ok(())
    }

    /// Finds out how much there is to send.
    fn measure(&mut self) -> rustix::io::Result<()> {
        if let (None, Some(Sent::Own(fd))) = (self.left, &self.file) {
            let (kind, len) = open::kind_and_len(fd)?;
            if kind == libc::S_IFDIR {
                return Err(Errno::ISDIR);
            }
            if kind != libc::S_IFREG {
                self.is_no_file = true;
                return Err(Errno::INVAL);
            }
            self.left = Some(len);
        }
        Ok(())
    }

    /// Sends as much of the header as there is room for.
    fn send_header(&mut self) -> rustix::io::Result<()> {
        // SAFETY: the socket is the caller's, who waits.
        let socket = unsafe { BorrowedFd::borrow_raw(self.socket) };
        while !self.header.is_empty() && !self.is_full {
            let flags = self.header_flags() | SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(socket, self.header, flags) {
                Ok(count) => self.header_moved(count),
                Err(Errno::AGAIN) => self.is_full = true,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The header shares its packet with the file's beginning.
    fn header_flags(&self) -> SendFlags {
        if self.left == Some(0) { SendFlags::empty() } else { SendFlags::MORE }
    }

    fn header_moved(&mut self, count: usize) {
        self.header = &self.header[count..];
        self.sent += count as u64;
    }

    /// Sends what is in memory and what there is room for, a chunk at most. The header is gone, and the file is open.
    fn send_some(&mut self) -> rustix::io::Result<Want> {
        let (Some(left), Some(file)) = (self.left, self.file.as_ref().map(Sent::number)) else {
            return Err(Errno::BADF);
        };
        if left == 0 {
            return Ok(Want::End);
        }
        if self.is_full {
            return Ok(Want::Step(Step::Room));
        }
        // SAFETY: the file is open as long as `self` is there; the socket is the caller's, who waits.
        let (file, socket) =
            unsafe { (BorrowedFd::borrow_raw(file), BorrowedFd::borrow_raw(self.socket)) };
        let chunk = left.min(CHUNK);
        let look = self.look(file, chunk);
        let is_missing = look.arrived < chunk && !look.is_coming;
        if (is_missing || self.asked > 0) && self.asked < self.offset + chunk {
            return Ok(Want::Step(Step::Ask));
        }
        if look.arrived == 0 {
            let comes = self.vain < VAIN_MAX;
            return Ok(Want::Step(if comes { Step::Arrival } else { Step::ByHelper }));
        }
        self.vain = 0;
        let mut offset = self.offset;
        match rustix::fs::sendfile(socket, file, Some(&mut offset), look.arrived as usize) {
            Ok(count) => {
                self.moved(count as u64);
                // It has taken what there was room for, or the file has become shorter, which the next look will tell.
                self.is_full = count > 0 && (count as u64) < look.arrived;
            }
            Err(Errno::AGAIN) => self.is_full = true,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(Want::More)
    }

    /// How much of the next `chunk` bytes is in memory.
    fn look(&mut self, file: BorrowedFd<'_>, chunk: u64) -> Cached {
        let end = self.offset + chunk;
        let is_warm = |warm: &Warm| warm.reaches(file, end);
        if !self.is_late && self.warm.is_some_and(is_warm) {
            return Cached { arrived: chunk, is_coming: true };
        }
        let now_ns = clock::now_ns();
        if self.found >= end && now_ns < self.trusted_until_ns {
            return Cached { arrived: chunk, is_coming: true };
        }
        // Of what is on its way the parts may come in any order.
        let piece = if self.is_late { LITTLE } else { PIECE };
        let seen = self.found.saturating_sub(self.offset);
        let look = cached(file, self.offset..end, seen, piece);
        self.found = self.offset + look.arrived;
        self.is_late |= look.arrived < chunk;
        self.trusted_until_ns = now_ns + TRUST_NS;
        look
    }

    /// So many of the file's bytes are sent.
    fn moved(&mut self, count: u64) {
        // None: the file has become shorter.
        self.left = if count == 0 { Some(0) } else { self.left.map(|left| left - count) };
        self.offset += count;
        self.sent += count;
    }

    /// The last step has ended so. Whether all is over.
    fn account(&mut self, last: i64) -> Option<Next> {
        match (self.step, u64::try_from(last)) {
            (_, Err(_)) if last == -i64::from(libc::ECANCELED) => {}
            (_, Err(_)) => return Some(Next::End(last)),
            (Step::Open, Ok(fd)) => {
                // SAFETY: the operation has made it, and nobody else knows of it.
                self.file = Some(Sent::Own(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }));
            }
            (Step::Header, Ok(count)) => self.header_moved(count as usize),
            (Step::Room, Ok(_)) => {}
            (Step::Ask, Ok(_)) => self.asked = self.demand.end(),
            // The file has become shorter: a call that waits finds out how much.
            (Step::Arrival, Ok(0)) => self.vain = VAIN_MAX,
            (Step::Arrival, Ok(_)) => self.vain += 1,
            (Step::ByHelper, Ok(count)) => self.moved(count),
        }
        None
    }

    fn submit(&mut self, step: Step) -> Next {
        let file = self.file.as_ref().map_or(-1, Sent::number);
        let left = self.left.unwrap_or(0);
        self.step = step;
        self.is_full = false;
        Next::Submit(match step {
            Step::Open => {
                let Some((path, flags)) = self.path else { return failed(Errno::BADF) };
                open::op(path, flags, 0)
            }
            Step::Header => Op::Send {
                socket: self.socket,
                buffer: self.header.as_ptr(),
                len: self.header.len(),
                flags: self.header_flags().bits() as i32,
            },
            Step::Room => Op::Poll { file: self.socket, interest: Interest::WRITE },
            Step::Ask => {
                self.demand.prepare(file, self.offset, self.offset + left.min(AHEAD));
                Op::Call { function: demand::make, argument: (&raw mut self.demand).cast() }
            }
            Step::Arrival => {
                let part = left.min(if self.vain == 0 { PART } else { LITTLE });
                let offset = Some(self.offset + part - 1);
                Op::Read { file, buffer: &raw mut self.byte, len: 1, offset }
            }
            Step::ByHelper => {
                let len = left.min(CHUNK);
                Op::SendFile { to: self.socket, file, offset: self.offset, len }
            }
        })
    }
}

impl Machine for Sending<'_> {
    fn next(&mut self, last: Option<i64>) -> Next {
        if let Some(end) = last.and_then(|last| self.account(last)) {
            return end;
        }
        if self.file.is_none() {
            return self.submit(Step::Open);
        }
        if let Err(error) = self.measure().and_then(|()| self.send_header()) {
            return failed(error);
        }
        if !self.header.is_empty() {
            return self.submit(Step::Header);
        }
        match self.send_some() {
            Ok(Want::End) => Next::End(self.sent as i64),
            Ok(Want::More) if self.left == Some(0) => Next::End(self.sent as i64),
            // Others who wait for the same queue come first.
            Ok(Want::More) => self.submit(Step::Room),
            Ok(Want::Step(step)) => self.submit(step),
            Err(error) => failed(error),
        }
    }
}

fn failed(error: Errno) -> Next {
    Next::End(-i64::from(error.raw_os_error()))
}

pub(super) fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}
