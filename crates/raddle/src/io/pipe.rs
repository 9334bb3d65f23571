//! Pipes whose ends park.

use super::stream::{has_descriptor, is_source, is_target, reads, writes};
use crate::host;
use rustix::pipe::PipeFlags;
use std::io;
use std::os::fd::OwnedFd;

/// A pipe: what is written to the one end is read from the other. Both are closed on exec.
///
/// # Errors
///
/// From `pipe2(2)`; `Unsupported` on a simulated host.
///
/// ```
/// use raddle::io::{self, Read, Write};
/// # fn main() -> io::Result<()> {
/// let (mut reader, mut writer) = io::pipe()?;
/// writer.write_all(b"x")?;
/// let mut byte = [0];
/// reader.read_exact(&mut byte)?;
/// assert_eq!(&byte, b"x");
/// # Ok(())
/// # }
/// ```
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    host::check_live()?;
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((PipeReader(reader), PipeWriter(writer)))
}

/// The end of a [`pipe`] that is read. Reading parks the thread until there is something, or all writing ends are closed: that is
/// the end, `Ok(0)`.
///
/// It becomes any process's standard stream ([`Stdio::from`](std::process::Stdio)): its mode is never changed.
#[derive(Debug)]
pub struct PipeReader(OwnedFd);

/// The end of a [`pipe`] that is written. Writing parks the thread until there is room; if all reading ends are closed it is
/// `ErrorKind::BrokenPipe`.
///
/// At most 4096 bytes in one write stay together among those of other writers.
#[derive(Debug)]
pub struct PipeWriter(OwnedFd);

impl PipeReader {
    /// Another handle to this end.
    ///
    /// # Errors
    ///
    /// From `fcntl(2)`: too many descriptors.
    pub fn try_clone(&self) -> io::Result<PipeReader> {
        self.0.try_clone().map(PipeReader)
    }
}

impl PipeWriter {
    /// Another handle to this end. The other end is at its end when all of them are closed.
    ///
    /// # Errors
    ///
    /// From `fcntl(2)`: too many descriptors.
    pub fn try_clone(&self) -> io::Result<PipeWriter> {
        self.0.try_clone().map(PipeWriter)
    }
}

reads!(PipeReader);
writes!(PipeWriter);
has_descriptor!(PipeReader);
has_descriptor!(PipeWriter);
is_source!(PipeReader, &PipeReader);
is_target!(PipeWriter, &PipeWriter);
