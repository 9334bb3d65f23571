//! A child process, and waiting for its end.

#![allow(unsafe_code, reason = "an operation that points to nothing")]

use super::{ChildStderr, ChildStdin, ChildStdout};
use crate::blocking;
use crate::host;
use crate::io::poll;
use crate::label::Label;
use crate::operation;
use crate::pauses::Pauses;
use raddle_event::{Interest, Op};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{ExitStatus, Output};

/// A process that this one has started; as [`std::process::Child`].
///
/// Dropped, it goes on, and when it ends it stays a zombie: somebody has to wait for it.
///
/// ```
/// use raddle::{cancel::Token, process::Command, thread, time::Duration};
///
/// # fn main() -> std::io::Result<()> {
/// let mut child = Command::new("sleep").arg("3600").spawn()?;
/// let waited = raddle::time::timeout(Duration::from_millis(10), || child.wait());
/// assert!(waited.is_err(), "an hour is not over");
/// child.kill()?;
/// assert!(!child.wait()?.success());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Child {
    child: std::process::Child,
    /// Its standard input, if that was to be [piped](super::Stdio::piped).
    pub stdin: Option<ChildStdin>,
    /// Its standard output, likewise.
    pub stdout: Option<ChildStdout>,
    /// Its standard error, likewise.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    /// Its id. Another process may have it when this one has ended and was waited for.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it, with `SIGKILL`. It is still to be waited for.
    ///
    /// # Errors
    ///
    /// From `kill(2)`; none if it has ended already.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Waits until it has ended, and says how. Its standard input is closed before, if it is still here. The calling thread parks.
    ///
    /// Asked again, it says the same.
    ///
    /// # Errors
    ///
    /// From `waitpid(2)`: `ECHILD` if somebody else has waited for it. `Unsupported` on a simulated host.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled meanwhile. The child goes on, and can be waited for.
    #[track_caller]
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        host::check_live()?;
        drop(self.stdin.take());
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let pid = Pid::from_child(&self.child);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => wait_on(&pidfd)?,
            Err(_) => return self.wait_by_looking(),
        }
        match self.child.try_wait()? {
            Some(status) => Ok(status),
            // Its debugger hears of it first.
            None => blocking(|| self.child.wait()),
        }
    }

    /// Where the event queue can't watch it: there are no more descriptors, or a sandbox forbids it.
    #[cold]
    #[track_caller]
    fn wait_by_looking(&mut self) -> io::Result<ExitStatus> {
        let mut pauses = Pauses::short(None);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            pauses.pause(Label::CHILD.at(0))?;
        }
    }

    /// How it has ended; `None` if it hasn't. Does not wait.
    ///
    /// # Errors
    ///
    /// As [`wait`](Child::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until it has ended, and gives all that it has written to standard output and error, as far as these are piped and still here: both
    /// are read as it comes. Its standard input is closed before.
    ///
    /// # Errors
    ///
    /// From reading and waiting, as [`wait`](Child::wait).
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled meanwhile. What was read is lost then, and the child goes on.
    ///
    /// ```
    /// use raddle::process::{Command, Stdio};
    /// let mut command = Command::new("sh");
    /// command.args(["-c", "echo out; echo err >&2; exit 3"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    /// let output = command.spawn()?.wait_with_output()?;
    /// assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    /// assert_eq!(output.status.code(), Some(3));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        host::check_live()?;
        drop(self.stdin.take());
        let mut stdout = Stream::of(self.stdout.take());
        let mut stderr = Stream::of(self.stderr.take());
        while !stdout.is_at_end() && !stderr.is_at_end() {
            read_first(&mut stdout, &mut stderr)?;
        }
        while stdout.read()? > 0 {}
        while stderr.read()? > 0 {}
        let status = self.wait()?;
        Ok(Output { status, stdout: stdout.into_bytes(), stderr: stderr.into_bytes() })
    }
}

/// Waits for the end of the process behind a descriptor.
#[track_caller]
fn wait_on(pidfd: &OwnedFd) -> io::Result<()> {
    let file = pidfd.as_raw_fd();
    let op = Op::Poll { file, interest: Interest::READ };
    // SAFETY: it points to nothing; the descriptor is open until this returns.
    unsafe { operation::perform(op, Label::CHILD.on(file), None) }.map(drop)
}

/// A stream that is read to its end, and what was read.
struct Stream<R> {
    reader: Option<R>,
    /// What was read, and then room for more: each byte of it is zeroed once, however many reads there are.
    bytes: Vec<u8>,
    /// So much was read.
    count: usize,
}

impl<R: Read + AsFd> Stream<R> {
    fn of(reader: Option<R>) -> Stream<R> {
        Stream { reader, bytes: Vec::new(), count: 0 }
    }

    /// What was read.
    fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.count);
        self.bytes
    }

    fn is_at_end(&self) -> bool {
        self.reader.is_none()
    }

    fn source(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        self.reader.as_ref().map(|reader| (reader.as_fd(), Interest::READ))
    }

    /// Reads what is there, or waits for it: 0 at the end.
    #[track_caller]
    fn read(&mut self) -> io::Result<usize> {
        const AT_LEAST: usize = 4096;
        let Some(reader) = &mut self.reader else { return Ok(0) };
        if self.bytes.len() - self.count < AT_LEAST {
            // As a vector grows by itself: twice as much each time.
            self.bytes.reserve(AT_LEAST);
            self.bytes.resize(self.bytes.capacity(), 0);
        }
        let result = reader.read(&mut self.bytes[self.count..]);
        let count = *result.as_ref().unwrap_or(&0);
        self.count += count;
        if count == 0 {
            self.reader = None;
        }
        result
    }
}

/// Reads from whichever has something first.
#[track_caller]
fn read_first<A: Read + AsFd, B: Read + AsFd>(
    one: &mut Stream<A>,
    other: &mut Stream<B>,
) -> io::Result<()> {
    let sources: Vec<_> = one.source().into_iter().chain(other.source()).collect();
    let ready = poll(&sources, None)?;
    let is_ready = |index| ready.iter().any(|ready| ready.index() == index);
    let (one_is, other_is) = (is_ready(0), is_ready(1));
    if one_is {
        one.read()?;
    }
    if other_is {
        other.read()?;
    }
    Ok(())
}

impl From<std::process::Child> for Child {
    fn from(mut child: std::process::Child) -> Child {
        let stdin = child.stdin.take().map(Into::into);
        let stdout = child.stdout.take().map(Into::into);
        let stderr = child.stderr.take().map(Into::into);
        Child { child, stdin, stdout, stderr }
    }
}

impl From<Child> for std::process::Child {
    fn from(child: Child) -> std::process::Child {
        let mut back = child.child;
        back.stdin = child.stdin.map(Into::into);
        back.stdout = child.stdout.map(Into::into);
        back.stderr = child.stderr.map(Into::into);
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// Gives ones, a pipe's worth at most, and sees what was zeroed for it: it leaves ones wherever it may write.
    struct Ones {
        left: usize,
        zeroed: usize,
        file: File,
    }

    impl Read for Ones {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            const PIPE_BYTES: usize = 64 * 1024;
            self.zeroed += buffer.iter().filter(|&&byte| byte == 0).count();
            buffer.fill(1);
            let count = self.left.min(buffer.len()).min(PIPE_BYTES);
            self.left -= count;
            Ok(count)
        }
    }

    impl AsFd for Ones {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.file.as_fd()
        }
    }

    #[test]
    fn what_is_zeroed_for_reads_is_no_more_than_twice_what_is_read() -> io::Result<()> {
        const BYTES: usize = 1 << 20;
        let mut ones = Ones { left: BYTES, zeroed: 0, file: File::open("/dev/null")? };
        let mut stream = Stream::of(Some(&mut ones));
        while stream.read()? > 0 {}
        assert!(stream.is_at_end());
        assert_eq!(stream.into_bytes(), vec![1; BYTES]);
        let zeroed = ones.zeroed;
        assert!(zeroed <= 2 * BYTES + 2 * 4096, "{zeroed} bytes were zeroed for {BYTES}");
        Ok(())
    }
}
