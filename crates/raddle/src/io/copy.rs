//! Bytes from one end to the other.

use super::completion::Completion;
use super::ends::{Source, Target};
use super::moves::Step;
use super::relay::Relay;
use super::ways::{Kind, Way};
use crate::host;
use std::io;

/// What is read and written at a time where that is done by hand.
const BUFFER: usize = 64 * 1024;

/// Copies all that `reader` has to `writer`: how many bytes. As [`std::io::copy`], by the cheapest way that the kernel has.
///
/// | | |
/// |---|---|
/// | what is in memory already: slices, cursors, what a `BufReader` has read ahead | written as it is |
/// | a file to a file | `copy_file_range(2)`: on some file systems no byte is moved; else `sendfile(2)` |
/// | a file to a stream socket | `sendfile(2)` |
/// | where a pipe or a FIFO is an end | `splice(2)` |
/// | a stream socket to a stream socket or a file | `splice(2)`, through a pipe of its own |
/// | all else; what the kernel or a file system refuses, as for files that are opened to append | a buffer |
///
/// Files and pipes are `std`'s and raddle's, sockets raddle's only; around them may be a [`BufReader`](io::BufReader), a [`Take`](io::Take), a
/// [`BufWriter`](io::BufWriter), a [`LineWriter`](io::LineWriter), a reference or a box. [`Source`] and [`Target`] say that of types of your own. Afterwards
/// the positions of both are where reading and writing would have left them.
///
/// It waits as reads and writes do, and never for a disk: a helper of the event queue does that, while the thread is parked. The time-outs of
/// sockets are those of each wait. Sockets are in non-blocking mode afterwards, which makes no difference to raddle's calls.
///
/// # Errors
///
/// From reading or writing, as they would give it: some bytes may have been written, and some more may have been taken from the reader.
///
/// # Panics
///
/// Unwinds if the calling thread is [cancelled](crate::cancel) while it waits. As after an error, some may have been taken and not written, but only where
/// the bytes go through a buffer or a pipe in between.
///
/// ```
/// use raddle::{fs::File, io::{self, Read}};
/// # fn main() -> io::Result<()> {
/// let path = std::env::temp_dir().join(format!("raddle-doc-io-copy-{}", std::process::id()));
/// std::fs::write(&path, "0123456789")?;
/// let (mut reader, mut writer) = io::pipe()?;
/// assert_eq!(io::copy(&mut File::open(&path)?.take(4), &mut writer)?, 4);
/// drop(writer);
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// assert_eq!(text, "0123");
/// # std::fs::remove_file(path)
/// # }
/// ```
#[track_caller]
pub fn copy<R: Source + ?Sized, W: Target + ?Sized>(
    reader: &mut R,
    writer: &mut W,
) -> io::Result<u64> {
    let mut copied = 0;
    out_of_memory(reader, writer, &mut copied)?;
    if reader.limit() > 0 && !in_the_kernel(reader, writer, &mut copied)? {
        through_a_buffer(reader, writer, &mut copied)?;
    }
    Ok(copied)
}

/// As [`copy`], and returns at once: a thread copies. How many bytes, and both ends, come with the [`Completion`].
///
/// ```
/// use raddle::{io, net::{TcpListener, TcpStream}};
/// use std::{io::{Read, Write}, net::Shutdown};
/// # fn main() -> io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let server = listener.local_addr()?;
/// # raddle::thread::spawn(move || io::copy(&mut listener.accept()?.0, &mut io::sink()));
/// let (client, mut end) = raddle::net::UnixStream::pair()?;
/// let upstream = TcpStream::connect(server)?;
/// // A proxy's two directions.
/// let up = io::start_copy(client.try_clone()?, upstream.try_clone()?);
/// let down = io::start_copy(upstream, client);
/// end.write_all(b"hello")?;
/// end.shutdown(Shutdown::Write)?;
/// let (count, _, upstream) = up.wait()?;
/// upstream.shutdown(Shutdown::Write)?;
/// down.wait()?;
/// assert_eq!(count, 5);
/// # Ok(())
/// # }
/// ```
pub fn start_copy<R, W>(reader: R, writer: W) -> Completion<(u64, R, W)>
where
    R: Source + Send + 'static,
    W: Target + Send + 'static,
{
    let (mut reader, mut writer) = (reader, writer);
    Completion::start("copy", move || {
        let count = copy(&mut reader, &mut writer)?;
        Ok((count, reader, writer))
    })
}

/// Writes what the reader has in memory.
#[track_caller]
fn out_of_memory<R: Source + ?Sized, W: Target + ?Sized>(
    reader: &mut R,
    writer: &mut W,
    copied: &mut u64,
) -> io::Result<()> {
    while let bytes @ [_, ..] = reader.buffered() {
        match writer.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                reader.skip(count as u64);
                *copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Goes the kernel's ways between the descriptors behind the two, as far as they lead. Whether that was all.
#[track_caller]
fn in_the_kernel<R: Source + ?Sized, W: Target + ?Sized>(
    reader: &mut R,
    writer: &mut W,
    copied: &mut u64,
) -> io::Result<bool> {
    if host::is_simulated() {
        return Ok(false);
    }
    let Some(from) = reader.direct().as_ref().and_then(Kind::of) else { return Ok(false) };
    let Some(to) = writer.direct()?.as_ref().and_then(Kind::of) else { return Ok(false) };
    for mut way in Way::all(from, to) {
        if go(&mut way, reader, writer, copied)? {
            return Ok(true);
        }
        if let Way::Relay(relay) = way {
            pour_out(relay, writer)?;
        }
    }
    Ok(false)
}

/// Goes one way, as far as it leads. Whether that was all.
#[track_caller]
fn go<R: Source + ?Sized, W: Target + ?Sized>(
    way: &mut Way,
    reader: &mut R,
    writer: &mut W,
    copied: &mut u64,
) -> io::Result<bool> {
    loop {
        let limit = reader.limit();
        let (Some(from), Some(to)) = (reader.direct(), writer.direct()?) else { return Ok(false) };
        match way.step(&from, &to, limit)? {
            Step::Moved(count) => {
                reader.skip(count);
                *copied += count;
            }
            Step::Over => return Ok(true),
            Step::Refused => return Ok(false),
        }
    }
}

/// Writes what has left the reader and did not get further.
#[track_caller]
fn pour_out<W: Target + ?Sized>(mut relay: Relay, writer: &mut W) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match relay.take(&mut buffer)? {
            0 => return Ok(()),
            count => writer.write_all(&buffer[..count])?,
        }
    }
}

/// Reads and writes.
#[track_caller]
fn through_a_buffer<R: Source + ?Sized, W: Target + ?Sized>(
    reader: &mut R,
    writer: &mut W,
    copied: &mut u64,
) -> io::Result<()> {
    let mut buffer = vec![0; room(reader.limit())];
    loop {
        let room = room(reader.limit()).min(buffer.len());
        if room == 0 {
            return Ok(());
        }
        match reader.read(&mut buffer[..room]) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                writer.write_all(&buffer[..count])?;
                *copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn room(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).min(BUFFER)
}
