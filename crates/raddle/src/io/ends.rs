//! Where bytes come from and go to: what [`copy`](super::copy) knows of its two ends.

use crate::mode_word::{self, ModeWord};
use std::collections::VecDeque;
use std::fmt;
use std::io::{
    BufRead, BufReader, BufWriter, Chain, Cursor, Empty, LineWriter, Read, Repeat, Result, Sink,
    Take, Write,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// A descriptor to which reads or writes go directly: whoever moves bytes may leave out the calls in between.
#[derive(Clone, Copy)]
pub struct Direct<'a> {
    fd: BorrowedFd<'a>,
    timeout: Option<Duration>,
    /// Of one of raddle's own streams.
    mode: Option<&'a ModeWord>,
}

impl<'a> Direct<'a> {
    /// Reads or writes are nothing but calls on `fd`.
    pub fn new(fd: BorrowedFd<'a>) -> Direct<'a> {
        Direct { fd, timeout: None, mode: None }
    }

    /// Each of them waits for so long at most.
    #[must_use]
    pub fn with_timeout(self, timeout: Option<Duration>) -> Direct<'a> {
        Direct { timeout, ..self }
    }

    /// One of raddle's own streams: no call on it minds its mode in the kernel, which may be changed.
    pub(crate) fn of_socket(
        fd: BorrowedFd<'a>,
        timeout: Option<Duration>,
        mode: &'a ModeWord,
    ) -> Direct<'a> {
        Direct { fd, timeout, mode: Some(mode) }
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.mode.is_some()
    }

    /// No call on it waits in the kernel when this returns.
    pub(crate) fn make_nonblocking(&self) -> Result<()> {
        Ok(match self.mode {
            Some(mode) => mode.make_nonblocking(self.fd),
            None => mode_word::make_nonblocking(self.fd),
        }?)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'a> {
        self.fd
    }

    pub(crate) fn patience_ns(&self) -> Option<u64> {
        self.timeout.map(|timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl fmt::Debug for Direct<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Direct")
            .field("fd", &self.fd.as_raw_fd())
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// What bytes can be copied from. Any [`Read`] can be one: `impl Source for MyReader {}` says that it has no short cut.
///
/// ```
/// use raddle::io::{self, Read, Source};
/// struct Ones;
/// impl Read for Ones {
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         buffer.fill(1);
///         Ok(buffer.len())
///     }
/// }
/// impl Source for Ones {}
/// let mut some = Vec::new();
/// assert_eq!(io::copy(&mut Ones.take(3), &mut some)?, 3);
/// # io::Result::Ok(())
/// ```
pub trait Source: Read {
    /// The descriptor that the bytes come from, if reading is nothing but that; asked for when nothing is [`buffered`](Source::buffered).
    fn direct(&mut self) -> Option<Direct<'_>> {
        None
    }

    /// What is in memory already, and comes before all else.
    fn buffered(&self) -> &[u8] {
        &[]
    }

    /// So many bytes come at most.
    fn limit(&self) -> u64 {
        u64::MAX
    }

    /// So many bytes were taken in another way than by reading: out of [`buffered`](Source::buffered), then out of the descriptor.
    fn skip(&mut self, count: u64) {
        let _ = count;
    }
}

/// What bytes can be copied to. Any [`Write`] can be one: `impl Target for MyWriter {}` says that it has no short cut.
///
/// ```
/// use raddle::io::{self, Target, Write};
/// struct Counts(u64);
/// impl Write for Counts {
///     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
///         self.0 += bytes.len() as u64;
///         Ok(bytes.len())
///     }
///     fn flush(&mut self) -> io::Result<()> {
///         Ok(())
///     }
/// }
/// impl Target for Counts {}
/// let mut counts = Counts(0);
/// assert_eq!(io::copy(&mut &b"abc"[..], &mut counts)?, counts.0);
/// # io::Result::Ok(())
/// ```
pub trait Target: Write {
    /// The descriptor that the bytes go to, if writing is nothing but that. What was written before is there when this returns.
    ///
    /// # Errors
    ///
    /// From writing what was kept back.
    fn direct(&mut self) -> Result<Option<Direct<'_>>> {
        Ok(None)
    }
}

impl<R: Source + ?Sized> Source for &mut R {
    fn direct(&mut self) -> Option<Direct<'_>> {
        (**self).direct()
    }

    fn buffered(&self) -> &[u8] {
        (**self).buffered()
    }

    fn limit(&self) -> u64 {
        (**self).limit()
    }

    fn skip(&mut self, count: u64) {
        (**self).skip(count);
    }
}

impl<R: Source + ?Sized> Source for Box<R> {
    fn direct(&mut self) -> Option<Direct<'_>> {
        (**self).direct()
    }

    fn buffered(&self) -> &[u8] {
        (**self).buffered()
    }

    fn limit(&self) -> u64 {
        (**self).limit()
    }

    fn skip(&mut self, count: u64) {
        (**self).skip(count);
    }
}

impl<W: Target + ?Sized> Target for &mut W {
    fn direct(&mut self) -> Result<Option<Direct<'_>>> {
        (**self).direct()
    }
}

impl<W: Target + ?Sized> Target for Box<W> {
    fn direct(&mut self) -> Result<Option<Direct<'_>>> {
        (**self).direct()
    }
}

impl<R: Source> Source for Take<R> {
    fn direct(&mut self) -> Option<Direct<'_>> {
        self.get_mut().direct()
    }

    fn buffered(&self) -> &[u8] {
        let buffered = self.get_ref().buffered();
        let limit = usize::try_from(Take::limit(self)).unwrap_or(usize::MAX);
        &buffered[..buffered.len().min(limit)]
    }

    fn limit(&self) -> u64 {
        Take::limit(self).min(self.get_ref().limit())
    }

    fn skip(&mut self, count: u64) {
        self.set_limit(Take::limit(self).saturating_sub(count));
        self.get_mut().skip(count);
    }
}

impl<R: Source> Source for BufReader<R> {
    fn direct(&mut self) -> Option<Direct<'_>> {
        self.get_mut().direct()
    }

    fn buffered(&self) -> &[u8] {
        if self.buffer().is_empty() { self.get_ref().buffered() } else { self.buffer() }
    }

    fn limit(&self) -> u64 {
        self.get_ref().limit().saturating_add(self.buffer().len() as u64)
    }

    fn skip(&mut self, count: u64) {
        let here = self.buffer().len().min(usize::try_from(count).unwrap_or(usize::MAX));
        self.consume(here);
        self.get_mut().skip(count - here as u64);
    }
}

impl<W: Target> Target for BufWriter<W> {
    fn direct(&mut self) -> Result<Option<Direct<'_>>> {
        self.flush()?;
        self.get_mut().direct()
    }
}

impl<W: Target> Target for LineWriter<W> {
    fn direct(&mut self) -> Result<Option<Direct<'_>>> {
        self.flush()?;
        self.get_mut().direct()
    }
}

impl Source for &[u8] {
    fn buffered(&self) -> &[u8] {
        self
    }

    fn limit(&self) -> u64 {
        self.len() as u64
    }

    fn skip(&mut self, count: u64) {
        *self = &self[count as usize..];
    }
}

impl<T: AsRef<[u8]>> Source for Cursor<T> {
    fn buffered(&self) -> &[u8] {
        let bytes = self.get_ref().as_ref();
        &bytes[(self.position() as usize).min(bytes.len())..]
    }

    fn limit(&self) -> u64 {
        self.buffered().len() as u64
    }

    fn skip(&mut self, count: u64) {
        self.set_position(self.position() + count);
    }
}

impl Source for VecDeque<u8> {
    fn buffered(&self) -> &[u8] {
        let (first, second) = self.as_slices();
        if first.is_empty() { second } else { first }
    }

    fn limit(&self) -> u64 {
        self.len() as u64
    }

    fn skip(&mut self, count: u64) {
        self.drain(..count as usize);
    }
}

/// Types without a short cut.
macro_rules! plain {
    ($trait:ident: $($type:ty),* $(,)?) => {$(
        impl $trait for $type {}
    )*};
}

impl<R: Read, S: Read> Source for Chain<R, S> {}
impl<const N: usize> Target for Cursor<[u8; N]> {}

plain!(Source: Empty, Repeat, std::io::Stdin, std::io::StdinLock<'_>);
plain!(Source: dyn Read + '_, dyn Read + Send + '_, dyn Read + Send + Sync + '_);
plain!(Source: dyn BufRead + '_, dyn BufRead + Send + '_, dyn BufRead + Send + Sync + '_);
plain!(Target: Vec<u8>, VecDeque<u8>, Empty, Sink, &mut [u8]);
plain!(Target: Cursor<Vec<u8>>, Cursor<&mut Vec<u8>>, Cursor<&mut [u8]>, Cursor<Box<[u8]>>);
plain!(Target: std::io::Stdout, std::io::StdoutLock<'_>, std::io::Stderr, std::io::StderrLock<'_>);
plain!(Target: dyn Write + '_, dyn Write + Send + '_, dyn Write + Send + Sync + '_);

/// Types whose reads or writes are calls on their descriptor, and whose mode nobody changes here: not std's sockets, which would no
/// longer wait themselves.
macro_rules! direct {
    (Source: $($type:ty),*) => {$(
        impl Source for $type {
            fn direct(&mut self) -> Option<Direct<'_>> {
                Some(Direct::new((*self).as_fd()))
            }
        }
    )*};
    (Target: $($type:ty),*) => {$(
        impl Target for $type {
            fn direct(&mut self) -> Result<Option<Direct<'_>>> {
                Ok(Some(Direct::new((*self).as_fd())))
            }
        }
    )*};
}

direct!(Source: std::fs::File, &std::fs::File, Arc<std::fs::File>);
direct!(Source: std::io::PipeReader, &std::io::PipeReader);
direct!(Source: std::process::ChildStdout, std::process::ChildStderr);
direct!(Target: std::fs::File, &std::fs::File, Arc<std::fs::File>);
direct!(Target: std::io::PipeWriter, &std::io::PipeWriter);
direct!(Target: std::process::ChildStdin);

plain!(Source: std::net::TcpStream, &std::net::TcpStream);
plain!(Source: std::os::unix::net::UnixStream, &std::os::unix::net::UnixStream);
plain!(Target: std::net::TcpStream, &std::net::TcpStream);
plain!(Target: std::os::unix::net::UnixStream, &std::os::unix::net::UnixStream);
