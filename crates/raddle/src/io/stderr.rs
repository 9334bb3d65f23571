//! Standard error: std's lock, and no buffer. Why it is so, see `stdout`.

use super::stdout::{std_descriptor, unless_closed, writes_locked};
use super::transfer;
use super::{Direct, Target};
use crate::host;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::Stdio;

/// The process's standard error; as [`std::io::stderr`].
///
/// ```
/// use raddle::io::{self, Write};
/// writeln!(io::stderr(), "something to say")?;
/// # io::Result::Ok(())
/// ```
pub fn stderr() -> Stderr {
    Stderr(std::io::stderr())
}

/// A handle to standard error; as [`std::io::Stderr`], whose lock it takes: pieces of different threads' lines are not mixed up. Nothing is kept back.
///
/// Writing parks the thread until there is room, as with [`Stdout`](super::Stdout).
#[derive(Debug)]
pub struct Stderr(std::io::Stderr);

/// Standard error, for one thread alone; as [`std::io::StderrLock`]. A thread that has it may take it again.
#[derive(Debug)]
pub struct StderrLock<'a>(std::io::StderrLock<'a>);

impl Stderr {
    /// Waits until nobody else has the lock, and takes it.
    pub fn lock(&self) -> StderrLock<'static> {
        StderrLock(self.0.lock())
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl StderrLock<'_> {
    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl Write for StderrLock<'_> {
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        host::check_live()?;
        unless_closed(transfer::write_to_either(self.as_fd(), bytes), bytes.len())
    }

    /// Does nothing: nothing is kept back here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

writes_locked!(Stderr, &Stderr);
std_descriptor!(Stderr, StderrLock<'_>);

impl Target for Stderr {}
impl Target for &Stderr {}

impl Target for StderrLock<'_> {
    fn direct(&mut self) -> io::Result<Option<Direct<'_>>> {
        Ok(Some(Direct::new(self.0.as_fd())))
    }
}

/// A child's stream that is this process's standard error.
impl From<Stderr> for Stdio {
    fn from(stream: Stderr) -> Stdio {
        stream.0.into()
    }
}
