//! Standard output.
//!
//! `print!` and whatever else is std's writes through std's handle: its lock, and its buffer for a line that is not complete. So does this: else what two have
//! written would be mixed up, and a last line without end be lost when the process ends. What is added is that nothing is given to std to write before
//! there is room for it. A pipe that has room takes 4 KiB, and std never has more than its buffer's 1 KiB to write at once; larger pieces go to
//! the descriptor directly, with std's buffer empty and its lock held.
//!
//! The lock may be held over a wait: it belongs to a thread by std's own id, which a raddle thread has as well, and those who wait for it park
//! (`interpose::syscall`).
//!
//! The worker waits in the kernel after all, and is replaced, if another process fills the pipe between the look and the write, or if `print!` has left
//! the beginning of a line in the buffer and the pipe is full.
//!
//! Rejected: `O_NONBLOCK` (the open file is shared with other processes, the shell for one, who don't expect it; and std's writes would fail with
//! `EAGAIN`); a buffer of our own (see above); `io_uring` for all of it (a call to the queue for each line, where one is written at once).

use super::transfer;
use super::{Direct, Target};
use crate::host;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What std's buffer holds.
const BUFFER: usize = 1024;

/// So many bytes of ours are in std's buffer, at most. Under std's lock.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// The process's standard output; as [`std::io::stdout`].
///
/// ```
/// use raddle::io::{self, Write};
/// writeln!(io::stdout(), "{} lines", 1)?;
/// # io::Result::Ok(())
/// ```
pub fn stdout() -> Stdout {
    Stdout(std::io::stdout())
}

/// A handle to standard output; as [`std::io::Stdout`], whose lock and buffer it uses: what is written here, and by `print!`, appears in that order.
/// Lines are written when they are complete, and all that is here with `flush`.
///
/// Writing parks the thread until there is room. A [`cancel::Token`](crate::cancel::Token) reaches that wait, but not one for the lock.
/// If standard output is closed, what is written is gone, without an error.
#[derive(Debug)]
pub struct Stdout(std::io::Stdout);

/// Standard output, for one thread alone; as [`std::io::StdoutLock`]. A thread that has it may take it again.
#[derive(Debug)]
pub struct StdoutLock<'a>(std::io::StdoutLock<'a>);

impl Stdout {
    /// Waits until nobody else has the lock, and takes it.
    pub fn lock(&self) -> StdoutLock<'static> {
        StdoutLock(self.0.lock())
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl StdoutLock<'_> {
    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }

    /// Whether std's buffer has room for this, beside what is there of ours.
    fn has_room(&self, bytes: &[u8]) -> bool {
        KEPT.load(Ordering::Relaxed) + bytes.len() < BUFFER
    }

    /// Has std take what there is room for, when it would not wait for long.
    #[track_caller]
    fn give<T>(
        &mut self,
        bytes: &[u8],
        write: impl FnOnce(&mut std::io::StdoutLock<'_>) -> io::Result<T>,
        count: impl FnOnce(&T) -> usize,
    ) -> io::Result<T> {
        let has_line = bytes.contains(&b'\n');
        if has_line {
            transfer::wait_for_room(self.as_fd())?;
        }
        let result = write(&mut self.0)?;
        let taken = &bytes[..count(&result)];
        match taken.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => KEPT.store(taken.len() - end - 1, Ordering::Relaxed),
            None => {
                KEPT.fetch_add(taken.len(), Ordering::Relaxed);
            }
        }
        Ok(result)
    }

    /// Writes what is too much for the buffer, which is empty: its lines, or all of it if there are none.
    #[track_caller]
    fn write_directly(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        unless_closed(transfer::write_to_either(self.as_fd(), &bytes[..end]), end)
    }
}

/// Nobody misses what is written to a stream that is closed, as in std.
pub(super) fn unless_closed(result: io::Result<usize>, len: usize) -> io::Result<usize> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(len),
        result => result,
    }
}

impl Write for StdoutLock<'_> {
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        host::check_live()?;
        if self.has_room(bytes) {
            return self.give(bytes, |std| std.write(bytes), |count| *count);
        }
        // With an empty buffer there may be room.
        self.flush()?;
        if bytes.len() < BUFFER { self.write(bytes) } else { self.write_directly(bytes) }
    }

    /// A line that was begun is written as one piece with its end.
    #[track_caller]
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        host::check_live()?;
        while !bytes.is_empty() {
            if self.has_room(bytes) {
                return self.give(bytes, |std| std.write_all(bytes), |()| bytes.len());
            }
            match self.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        host::check_live()?;
        if KEPT.load(Ordering::Relaxed) > 0 {
            transfer::wait_for_room(self.as_fd())?;
        }
        self.0.flush()?;
        KEPT.store(0, Ordering::Relaxed);
        Ok(())
    }
}

/// `Write` for a handle: each call takes the lock once.
macro_rules! writes_locked {
    ($($type:ty),*) => {$(
        impl std::io::Write for $type {
            #[track_caller]
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.lock().write(bytes)
            }

            #[track_caller]
            fn write_vectored(
                &mut self,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                self.lock().write_vectored(slices)
            }

            #[track_caller]
            fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
                self.lock().write_all(bytes)
            }

            #[track_caller]
            fn write_fmt(&mut self, text: std::fmt::Arguments<'_>) -> std::io::Result<()> {
                self.lock().write_fmt(text)
            }

            #[track_caller]
            fn flush(&mut self) -> std::io::Result<()> {
                self.lock().flush()
            }
        }
    )*};
}

/// What a handle or a lock around std's has of its descriptor.
macro_rules! std_descriptor {
    ($($type:ty),*) => {$(
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                std::os::fd::AsFd::as_fd(&self.0)
            }
        }

        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&self.0)
            }
        }
    )*};
}

pub(super) use {std_descriptor, writes_locked};

writes_locked!(Stdout, &Stdout);
std_descriptor!(Stdout, StdoutLock<'_>);

impl Target for Stdout {}
impl Target for &Stdout {}

impl Target for StdoutLock<'_> {
    fn direct(&mut self) -> io::Result<Option<Direct<'_>>> {
        self.flush()?;
        Ok(Some(Direct::new(self.0.as_fd())))
    }
}

/// A child's stream that is this process's standard output.
impl From<Stdout> for Stdio {
    fn from(stream: Stdout) -> Stdio {
        stream.0.into()
    }
}
