//! Standard input.
//!
//! Its buffer is not std's. That can't be asked whether there is anything in it, and a thread that waited for the descriptor while the line that it wants is
//! in the buffer would wait for ever. Nothing in std reads standard input by itself, so a program has one of the two.

use super::transfer;
use super::{Direct, Source};
use crate::host;
use crate::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::fmt;
use std::io::{self, BufRead, BufReader, IoSliceMut, IsTerminal, Lines, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// The process's standard input; as [`std::io::stdin`].
///
/// ```no_run
/// use raddle::io;
/// for line in io::stdin().lines() {
///     println!("{}", line?.to_uppercase());
/// }
/// # io::Result::Ok(())
/// ```
pub fn stdin() -> Stdin {
    Stdin(std::io::stdin())
}

/// A handle to standard input, which is buffered; as [`std::io::Stdin`]. Reading parks the thread until there is something.
///
/// All handles share one buffer. It is not that of `std`'s handles: what these have read ahead is not found here, nor the other way round.
///
/// If standard input is closed it is at its end.
pub struct Stdin(std::io::Stdin);

/// Standard input, for one thread alone; as [`std::io::StdinLock`]. A thread that has it must not take it again.
pub struct StdinLock<'a>(MutexGuard<'a, BufReader<Descriptor>>);

/// Standard input without a buffer.
struct Descriptor(std::io::Stdin);

fn input() -> &'static Mutex<BufReader<Descriptor>> {
    static INPUT: OnceLock<Mutex<BufReader<Descriptor>>> = OnceLock::new();
    INPUT.get_or_init(|| Mutex::new(BufReader::new(Descriptor(std::io::stdin()))))
}

/// What a closed stream says is its end, as in std.
fn unless_closed(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(0),
        result => result,
    }
}

impl Read for Descriptor {
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        host::check_live()?;
        unless_closed(transfer::read(self.0.as_fd(), buffer))
    }

    #[track_caller]
    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        host::check_live()?;
        unless_closed(transfer::read_vectored(self.0.as_fd(), slices))
    }
}

impl Source for Descriptor {
    fn direct(&mut self) -> Option<Direct<'_>> {
        Some(Direct::new(self.0.as_fd()))
    }
}

impl Stdin {
    /// Waits until nobody else has the lock, and takes it.
    pub fn lock(&self) -> StdinLock<'static> {
        StdinLock(input().lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads a line, with its end, to the end of `line`. How many bytes: 0 at the end.
    ///
    /// # Errors
    ///
    /// From reading; `InvalidData` if it is not UTF-8; `Unsupported` on a simulated host.
    #[track_caller]
    pub fn read_line(&self, line: &mut String) -> io::Result<usize> {
        self.lock().read_line(line)
    }

    /// All lines, without their ends. Nobody else reads meanwhile.
    pub fn lines(self) -> Lines<StdinLock<'static>> {
        self.lock().lines()
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl StdinLock<'_> {
    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.get_ref().0.is_terminal()
    }
}

/// `Read` by that of something else.
macro_rules! reads_by {
    ($($type:ty: $self:ident => $other:expr;)*) => {$(
        impl Read for $type {
            #[track_caller]
            fn read(&mut $self, buffer: &mut [u8]) -> io::Result<usize> {
                $other.read(buffer)
            }

            #[track_caller]
            fn read_vectored(&mut $self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                $other.read_vectored(slices)
            }

            #[track_caller]
            fn read_to_end(&mut $self, bytes: &mut Vec<u8>) -> io::Result<usize> {
                $other.read_to_end(bytes)
            }

            #[track_caller]
            fn read_to_string(&mut $self, text: &mut String) -> io::Result<usize> {
                $other.read_to_string(text)
            }

            #[track_caller]
            fn read_exact(&mut $self, buffer: &mut [u8]) -> io::Result<()> {
                $other.read_exact(buffer)
            }
        }
    )*};
}

reads_by! {
    Stdin: self => self.lock();
    &Stdin: self => self.lock();
    StdinLock<'_>: self => self.0;
}

impl BufRead for StdinLock<'_> {
    #[track_caller]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

impl Source for Stdin {}
impl Source for &Stdin {}

impl Source for StdinLock<'_> {
    fn direct(&mut self) -> Option<Direct<'_>> {
        Source::direct(&mut *self.0)
    }

    fn buffered(&self) -> &[u8] {
        self.0.buffer()
    }

    fn skip(&mut self, count: u64) {
        Source::skip(&mut *self.0, count);
    }
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for StdinLock<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().0.as_fd()
    }
}

impl AsRawFd for StdinLock<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.get_ref().0.as_raw_fd()
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl fmt::Debug for StdinLock<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("StdinLock").finish_non_exhaustive()
    }
}
