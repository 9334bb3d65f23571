//! A file's bytes to whomever, behind a header. To a socket they go in the kernel: `sending.rs`.
#![deny(unsafe_code)]

use super::File;
use super::open;
use super::sending::{Sending, no_file};
use crate::host;
use crate::io::Completion;
use crate::io::ends::{Direct, Source, Target};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{SocketType, sockopt};
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

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
        let sending = Sending::of_path(header, &path, FLAGS, direct.fd())?;
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
    // Of a file that many ask for it is known that it has so much. One that has become shorter in that moment ends where it does.
    let range = if file.warm.is_known_to(range.end) {
        range.start.min(range.end)..range.end
    } else {
        let len = regular_len(open::kind_and_len(file.as_fd())?)?;
        range.start.min(len)..range.end.min(len)
    };
    let Some(direct) = stream_socket(target)? else {
        return write_file(header, file, range, target);
    };
    Sending::of_file(header, file.as_fd(), &file.warm, range, direct.fd()).run(direct)
}

fn regular_len((kind, len): (u32, u64)) -> io::Result<u64> {
    match kind {
        libc::S_IFREG => Ok(len),
        libc::S_IFDIR => Err(Errno::ISDIR.into()),
        _ => Err(no_file()),
    }
}

/// The descriptor behind `target`, if the kernel can send files to it.
fn stream_socket<T: Target + ?Sized>(target: &mut T) -> io::Result<Option<Direct<'_>>> {
    let direct = target.direct()?;
    let is_stream = |direct: &Direct<'_>| {
        direct.is_socket() || sockopt::socket_type(direct.fd()) == Ok(SocketType::STREAM)
    };
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
