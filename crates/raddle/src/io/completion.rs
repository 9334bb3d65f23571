//! Operations that go on while whoever has started them does something else.
//!
//! Each is a thread that does what the blocking call does: so its time-outs, tokens and ways out are the same, the ends may be of any type,
//! and it costs a microsecond and some 10 KiB while it is under way. Rejected: a request in the core's event queue that nobody sleeps for. It would spare
//! the stack; but nobody would be there to keep time-outs, to be reached by a token, or to call a reader.

use crate::cancel::{self, Token};
use crate::future;
use crate::thread::{Builder, JoinHandle};
use crate::time;
use rustix::io::Errno;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// An operation that goes on by itself, and what it will come to: to be waited for, now or later, by a thread or as a future.
///
/// [`start_copy`](super::start_copy) and [`start_send_path`](crate::fs::start_send_path) give one. It owns what it works on, and gives that back with
/// the result. Dropped, it goes on to its end, as a thread does whose handle is dropped, and then closes its ends; [`cancel`](Completion::cancel) it
/// first if it shall not. It carries the token of the thread that has started it.
///
/// ```
/// use raddle::io::{self, Read, Write};
/// # fn main() -> io::Result<()> {
/// let (reader, mut writer) = io::pipe()?;
/// let copying = io::start_copy(reader, Vec::new());
/// assert!(!copying.is_done());
/// writer.write_all(b"hello")?;
/// drop(writer);
/// let (count, _, bytes) = copying.wait()?;
/// assert_eq!((count, &bytes[..]), (5, &b"hello"[..]));
/// # Ok(())
/// # }
/// ```
pub struct Completion<T> {
    state: State<T>,
    token: Token,
}

enum State<T> {
    Started(JoinHandle<io::Result<T>>),
    /// No thread could be made. None: somebody has been told.
    Failed(Option<io::Error>),
}

impl<T: Send + 'static> Completion<T> {
    /// Has a thread of that name do it.
    pub(crate) fn start(
        name: &str,
        operation: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Completion<T> {
        let token = cancel::current().map_or_else(Token::new, |token| token.child());
        let own = token.clone();
        let body = move || own.carry(operation).unwrap_or_else(|_| Err(Errno::CANCELED.into()));
        let state = match Builder::new().name(name.to_owned()).spawn(body) {
            Ok(handle) => State::Started(handle),
            Err(error) => State::Failed(Some(error)),
        };
        Completion { state, token }
    }
}

impl<T> Completion<T> {
    /// Waits until it is done.
    ///
    /// # Errors
    ///
    /// The operation's, as of the call that blocks; from making its thread; `ECANCELED` if it was cancelled. The ends are closed then.
    ///
    /// # Panics
    ///
    /// What one of its ends has panicked with. Unwinds if the calling thread is [cancelled](crate::cancel) while it waits; then the operation goes on.
    #[track_caller]
    pub fn wait(self) -> io::Result<T> {
        match self.state {
            State::Started(handle) => handle.join().unwrap_or_else(|panic| resume_unwind(panic)),
            State::Failed(error) => Err(told(error)),
        }
    }

    /// As [`wait`](Completion::wait), for so long at most.
    ///
    /// # Errors
    ///
    /// Itself, if it is not done by then.
    ///
    /// ```
    /// use raddle::{io, time::Duration};
    /// # fn main() -> io::Result<()> {
    /// let (reader, writer) = io::pipe()?;
    /// let copying = io::start_copy(reader, io::sink());
    /// let copying = copying.wait_timeout(Duration::from_millis(1)).map(drop).unwrap_err();
    /// drop(writer);
    /// assert_eq!(copying.wait()?.0, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<io::Result<T>, Completion<T>> {
        time::timeout(timeout, || future::block_on(&mut self)).map_err(|_| self)
    }

    /// Whether it is done: then [`wait`](Completion::wait) returns at once.
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Started(handle) => handle.is_finished(),
            State::Failed(_) => true,
        }
    }

    /// Ends it, if it is not done: it then comes to `ECANCELED`, and some bytes may have been moved.
    ///
    /// ```
    /// use raddle::io;
    /// # fn main() -> io::Result<()> {
    /// let (reader, _writer) = io::pipe()?;
    /// let copying = io::start_copy(reader, io::sink());
    /// copying.cancel();
    /// assert!(copying.wait().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) {
        self.token.cancel();
    }
}

/// Why there is no thread; once.
fn told(error: Option<io::Error>) -> io::Error {
    error.expect("a completion is not polled after it was ready")
}

impl<T> Future for Completion<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match &mut self.state {
            State::Started(handle) => {
                let joined = ready!(Pin::new(handle).poll(context));
                Poll::Ready(joined.unwrap_or_else(|panic| resume_unwind(panic)))
            }
            State::Failed(error) => Poll::Ready(Err(told(error.take()))),
        }
    }
}

impl<T> fmt::Debug for Completion<T> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Completion").field("is_done", &self.is_done()).finish_non_exhaustive()
    }
}
