//! Waking a queue from other threads: the word, and the channel that ends the waiter's system call.

use crate::config::WakeKind;
use crate::sys;
use crate::wake_word::{USER, WakeWord};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// What those who wake and the one who waits have in common.
#[derive(Debug)]
pub(crate) struct Wake {
    pub(crate) word: WakeWord,
    kind: WakeKind,
    read: OwnedFd,
    /// An eventfd has one end for both.
    write: Option<OwnedFd>,
}

impl Wake {
    /// Opens a channel of that kind.
    pub(crate) fn open(kind: WakeKind) -> io::Result<Wake> {
        let (read, write) = match kind {
            WakeKind::Eventfd => (sys::eventfd()?, None),
            WakeKind::Pipe => {
                let (read, write) = sys::pipe()?;
                (read, Some(write))
            }
            WakeKind::Socketpair => {
                let (write, read) = UnixStream::pair()?;
                read.set_nonblocking(true)?;
                write.set_nonblocking(true)?;
                (read.into(), Some(write.into()))
            }
            WakeKind::Tcp => {
                let (read, write) = tcp_pair()?;
                (read.into(), Some(write.into()))
            }
        };
        Ok(Wake { word: WakeWord::new(), kind, read, write })
    }

    /// Says that `who` has something, and ends the waiter's system call if it is in one.
    pub(crate) fn ring(&self, who: u32) {
        if self.word.ring(who) {
            self.signal();
        }
    }

    /// Makes the channel readable.
    pub(crate) fn signal(&self) {
        let end = self.write.as_ref().unwrap_or(&self.read);
        let bytes = 1u64.to_ne_bytes();
        let bytes = if self.kind == WakeKind::Eventfd { &bytes[..] } else { &bytes[..1] };
        while let Err(error) = sys::write(end, bytes) {
            match error.kind() {
                ErrorKind::Interrupted => {}
                // Full: it is readable already.
                ErrorKind::WouldBlock => return,
                // The other end is ours too, so a channel that worked once is not closed. What is left would be a bug, or a
                // descriptor that somebody else has closed.
                _ => {
                    log::error!(
                        "raddle-event: the wake channel ({}) is broken: {error}",
                        self.kind
                    );
                    return;
                }
            }
        }
    }

    /// What the waiter waits on.
    pub(crate) fn end(&self) -> &OwnedFd {
        &self.read
    }

    /// Whether a channel that reports edges has to be emptied. An eventfd counts to 2^64 before it is full.
    pub(crate) fn fills(&self) -> bool {
        self.kind != WakeKind::Eventfd
    }

    /// Empties the channel.
    pub(crate) fn drain(&self) {
        let mut bytes = [0; 64];
        // A short read has emptied it; what comes now is a new edge.
        while sys::read(&self.read, &mut bytes).is_ok_and(|count| count == bytes.len()) {}
    }
}

/// A connection with ourselves over loopback, made sure that it is one.
fn tcp_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let write = TcpStream::connect(listener.local_addr()?)?;
    // Somebody else may have connected in between.
    let read = loop {
        let (read, peer) = listener.accept()?;
        if peer == write.local_addr()? {
            break read;
        }
    };
    write.set_nodelay(true)?;
    read.set_nonblocking(true)?;
    write.set_nonblocking(true)?;
    Ok((read, write))
}

/// Wakes a queue from any thread: its [`wait`](crate::Queue::wait) returns with [`What::Woken`](crate::What::Woken).
///
/// Wakes coalesce: those that come before the queue has reported one are one. A system call is made only if the queue sleeps
/// and nobody else has woken it since. What was written before [`wake`](Waker::wake) is seen by whoever gets the event.
/// Outlives the queue, and then does nothing.
///
/// ```
/// use raddle_event::{Config, Events, Queue, What};
///
/// # fn main() -> std::io::Result<()> {
/// let mut queue = Queue::new(&Config::default())?;
/// let mut events = Events::with_capacity(8);
/// let waker = queue.waker();
/// let other = std::thread::spawn(move || waker.wake());
/// queue.wait(&mut events, None)?;
/// assert_eq!(events.iter().next().map(|event| event.what), Some(What::Woken));
/// other.join().expect("it does not panic");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Waker(pub(crate) Arc<Wake>);

impl Waker {
    /// Wakes the queue. Never waits, never fails, does not allocate.
    pub fn wake(&self) {
        self.0.ring(USER);
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Waker({})", self.0.kind)
    }
}
