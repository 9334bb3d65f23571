//! A file's bytes to a socket, behind a header: one call, and one park.
//!
//! ```text
//!   the thread, at once:   open (cached names) ─▶ length ─▶ header ─▶ sendfile, as long as it is cached and there is room
//!   what is left, in the event queue, while the thread sleeps:
//!                          open ─▶ length ─▶ header ─▶ sendfile ⟲ ─▶ the thread goes on, and closes
//! ```
//!
//! What waits for the disk is done by the queue's helpers; where the socket is full the queue waits until it is not. The thread is woken once, at
//! the end.

#![allow(unsafe_code, reason = "operations on a header and a path that wait with their thread")]

use super::File;
use super::open;
use crate::host;
use crate::io::Completion;
use crate::io::ends::{Direct, Source, Target};
use crate::label::Label;
use crate::operation;
use crate::request::{Machine, Next};
use raddle_event::{Interest, Op, is_cached};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketType, sockopt};
use std::ffi::CStr;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// So much goes in one call: enough that the call itself does not count.
const CHUNK: u64 = 256 * 1024;

/// Sends `header` and then the file at `path`, as long as it is when it is opened. How many bytes that were, the header's included.
///
/// To one of raddle's stream sockets the file's bytes do not come through user space (`sendfile(2)`), and the thread parks once, whatever it
/// has to wait for: the disk, or the other end. A [write time-out](crate::net::TcpStream::set_write_timeout) ends it when
/// nothing has moved for so long. The socket is in non-blocking mode afterwards, which makes no difference to raddle's calls. To any other
/// target the bytes are written.
///
/// # Errors
///
/// From opening the file; `IsADirectory`, or `InvalidInput` if it is no regular file: then nothing was sent. From sending: some of it may
/// have been sent, and nobody knows how much.
///
/// ```
/// use raddle::{fs, io::Read, net::{TcpListener, TcpStream}, thread};
/// # fn main() -> raddle::io::Result<()> {
/// let path = std::env::temp_dir().join(format!("raddle-doc-send-{}", std::process::id()));
/// fs::write(&path, "the file")?;
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let server = thread::spawn({
///     let path = path.clone();
///     move || fs::send_path(b"8 bytes: ", path, &mut listener.accept()?.0)
/// });
/// let mut text = String::new();
/// TcpStream::connect(address)?.read_to_string(&mut text)?;
/// assert_eq!(text, "8 bytes: the file");
/// assert_eq!(server.join().unwrap()?, 17);
/// # fs::remove_file(path)
/// # }
/// ```
#[track_caller]
pub fn send_path<T: Target + ?Sized>(
    header: &[u8],
    path: impl AsRef<Path>,
    target: &mut T,
) -> io::Result<u64> {
    send_path_to(header, path.as_ref(), target)
}

#[track_caller]
fn send_path_to<T: Target + ?Sized>(header: &[u8], path: &Path, target: &mut T) -> io::Result<u64> {
    /// What is no file, like a FIFO, is not waited for.
    const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
    host::check_live()?;
    let path = open::path_to_c(path)?;
    if let Some(direct) = stream_socket(target)? {
        let mut sending = Sending::new(header, direct.fd());
        sending.path = Some(&path);
        match open::open_cached(&path, FLAGS)? {
            Some(fd) => sending.opened(fd),
            None => sending.flags = FLAGS,
        }
        return sending.run(direct);
    }
    let opened = open::open(&path, FLAGS, 0)?;
    let len = regular_len(open::kind_and_len(&opened.fd)?)?;
    write_file(header, &File::opened(opened, FLAGS), 0..len, target)
}

/// As [`send_path`], and returns at once: a thread sends. How many bytes, and the target, come with the [`Completion`].
///
/// ```
/// use raddle::{fs, io::Read, net::UnixStream};
/// # fn main() -> raddle::io::Result<()> {
/// let path = std::env::temp_dir().join(format!("raddle-doc-start-send-{}", std::process::id()));
/// fs::write(&path, "the file")?;
/// let (here, mut there) = UnixStream::pair()?;
/// let sending = fs::start_send_path(b"8 bytes: ", &path, here);
/// let mut bytes = [0; 17];
/// there.read_exact(&mut bytes)?;
/// let (count, _here) = sending.wait()?;
/// assert_eq!((count, &bytes), (17, b"8 bytes: the file"));
/// # fs::remove_file(path)
/// # }
/// ```
pub fn start_send_path<T: Target + Send + 'static>(
    header: impl Into<Vec<u8>>,
    path: impl AsRef<Path>,
    target: T,
) -> Completion<(u64, T)> {
    let (header, path, mut target) = (header.into(), path.as_ref().to_owned(), target);
    Completion::start("send_path", move || {
        let count = send_path_to(&header, &path, &mut target)?;
        Ok((count, target))
    })
}

/// As [`send_path`], of a part of an open file: as far as it has it. The file's position stays as it is.
///
/// # Errors
///
/// `InvalidInput` if it is no regular file; from sending, as [`send_path`].
///
/// ```
/// use raddle::{fs::{self, File}, io::Read, net::{TcpListener, TcpStream}, thread};
/// # fn main() -> raddle::io::Result<()> {
/// let path = std::env::temp_dir().join(format!("raddle-doc-send-file-{}", std::process::id()));
/// fs::write(&path, "0123456789")?;
/// let file = File::open(&path)?;
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let server = thread::spawn(move || fs::send_file(b"> ", &file, 3..6, &mut listener.accept()?.0));
/// let mut text = String::new();
/// TcpStream::connect(address)?.read_to_string(&mut text)?;
/// assert_eq!(text, "> 345");
/// assert_eq!(server.join().unwrap()?, 5);
/// # fs::remove_file(path)
/// # }
/// ```
#[track_caller]
pub fn send_file<T: Target + ?Sized>(
    header: &[u8],
    file: &File,
    range: Range<u64>,
    target: &mut T,
) -> io::Result<u64> {
    host::check_live()?;
    let len = regular_len(open::kind_and_len(file.as_fd())?)?;
    let range = range.start.min(len)..range.end.min(len);
    let Some(direct) = stream_socket(target)? else {
        return write_file(header, file, range, target);
    };
    let mut sending = Sending::new(header, direct.fd());
    sending.file = Some(Sent::Callers(file.as_raw_fd()));
    sending.offset = range.start;
    sending.left = Some(range.end.saturating_sub(range.start));
    sending.run(direct)
}

fn regular_len((kind, len): (u32, u64)) -> io::Result<u64> {
    match kind {
        libc::S_IFREG => Ok(len),
        libc::S_IFDIR => Err(Errno::ISDIR.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// The descriptor behind `target`, if the kernel can send files to it.
fn stream_socket<T: Target + ?Sized>(target: &mut T) -> io::Result<Option<Direct<'_>>> {
    let direct = target.direct()?;
    let is_stream =
        |direct: &Direct<'_>| sockopt::socket_type(direct.fd()) == Ok(SocketType::STREAM);
    Ok(direct.filter(is_stream))
}

/// The long way: through a buffer, or as [`copy`](crate::io::copy) finds it.
#[track_caller]
fn write_file<T: Target + ?Sized>(
    header: &[u8],
    file: &File,
    range: Range<u64>,
    target: &mut T,
) -> io::Result<u64> {
    target.write_all(header)?;
    let mut part = Part { file, range };
    Ok(header.len() as u64 + crate::io::copy(&mut part, target)?)
}

/// A part of a file, without its position.
struct Part<'a> {
    file: &'a File,
    range: Range<u64>,
}

impl Read for Part<'_> {
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.range.end.saturating_sub(self.range.start);
        let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..len], self.range.start)?;
        self.range.start += count as u64;
        Ok(count)
    }
}

impl Source for Part<'_> {}

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
    Body,
}

/// A file on its way to a socket.
struct Sending<'a> {
    socket: RawFd,
    header: &'a [u8],
    path: Option<&'a CStr>,
    flags: OFlags,
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
}

impl<'a> Sending<'a> {
    fn new(header: &'a [u8], socket: BorrowedFd<'_>) -> Sending<'a> {
        Sending {
            socket: socket.as_raw_fd(),
            header,
            path: None,
            flags: OFlags::empty(),
            file: None,
            offset: 0,
            left: None,
            sent: 0,
            step: Step::Open,
            is_full: false,
            is_no_file: false,
        }
    }

    fn opened(&mut self, fd: OwnedFd) {
        self.file = Some(Sent::Own(fd));
    }

    /// Sends all of it. `direct` is the socket.
    #[track_caller]
    fn run(mut self, direct: Direct<'_>) -> io::Result<u64> {
        if self.file.is_some() {
            self.send_here(direct.fd())?;
        }
        let waits_for = Label::SEND_FILE.on(self.socket);
        // SAFETY: the header, the path and the socket are borrowed, and the file is open, until this returns.
        let result = unsafe { operation::run(&mut self, waits_for, direct.patience_ns()) };
        match result {
            Err(_) if self.is_no_file => regular_len((0, 0)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                // As std's sockets say it.
                Err(Errno::AGAIN.into())
            }
            result => result.map(|sent| sent as u64),
        }
    }

    /// Does on the calling thread what needs no waiting, as far as that goes. It may be preempted between two calls.
    fn send_here(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        if let Err(error) = self.measure() {
            return if self.is_no_file { regular_len((0, 0)).map(drop) } else { Err(error.into()) };
        }
        let flags = fcntl_getfl(socket)?;
        if !flags.contains(OFlags::NONBLOCK) {
            fcntl_setfl(socket, flags | OFlags::NONBLOCK)?;
        }
        self.send_header()?;
        let Some(Sent::Own(_) | Sent::Callers(_)) = &self.file else { return Ok(()) };
        while self.header.is_empty() && !self.is_full {
            let (Some(left), Some(file)) = (self.left, &self.file) else { break };
            let chunk = left.min(CHUNK);
            // SAFETY: the file is open as long as `self` has it.
            let file = unsafe { BorrowedFd::borrow_raw(file.number()) };
            if chunk == 0 || !is_cached(file, self.offset, chunk) {
                break;
            }
            let mut offset = self.offset;
            match rustix::fs::sendfile(socket, file, Some(&mut offset), chunk as usize) {
                Ok(count) => self.moved(count as u64),
                Err(Errno::AGAIN) => self.is_full = true,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
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
            // SAFETY: the operation has made it, and nobody else knows of it.
            (Step::Open, Ok(fd)) => self.opened(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }),
            (Step::Header, Ok(count)) => self.header_moved(count as usize),
            (Step::Room, Ok(_)) => {}
            (Step::Body, Ok(count)) => self.moved(count),
        }
        None
    }

    fn submit(&mut self, step: Step, op: Op) -> Next {
        self.step = step;
        Next::Submit(op)
    }
}

impl Machine for Sending<'_> {
    fn next(&mut self, last: Option<i64>) -> Next {
        let failed = |error: Errno| Next::End(-i64::from(error.raw_os_error()));
        if let Some(end) = last.and_then(|last| self.account(last)) {
            return end;
        }
        let Some(file) = self.file.as_ref().map(Sent::number) else {
            let Some(path) = self.path else { return failed(Errno::BADF) };
            return self.submit(Step::Open, open::op(path, self.flags, 0));
        };
        if let Err(error) = self.measure() {
            return failed(error);
        }
        if let Err(error) = self.send_header() {
            return failed(error);
        }
        if !self.header.is_empty() {
            self.is_full = false;
            let op = Op::Send {
                socket: self.socket,
                buffer: self.header.as_ptr(),
                len: self.header.len(),
                flags: self.header_flags().bits() as i32,
            };
            return self.submit(Step::Header, op);
        }
        let left = self.left.unwrap_or(0);
        if left == 0 {
            return Next::End(self.sent as i64);
        }
        if std::mem::take(&mut self.is_full) {
            let op = Op::Poll { file: self.socket, interest: Interest::WRITE };
            return self.submit(Step::Room, op);
        }
        let op = Op::SendFile { to: self.socket, file, offset: self.offset, len: left.min(CHUNK) };
        self.submit(Step::Body, op)
    }
}
