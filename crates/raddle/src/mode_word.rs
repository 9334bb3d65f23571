//! Whether a socket's calls wait, and in which mode the kernel has it for that: one word, shared by all handles of the socket.
//!
//! | value | calls | the kernel's mode |
//! |---|---|---|
//! | [`WAITS`] | wait | blocking, as the descriptor's other users expect it |
//! | [`RETURNS`] | say `WouldBlock` | non-blocking |
//! | [`WAITS_HERE`] | wait | non-blocking: a file was sent, and `sendfile(2)` has no flag for it |
//!
//! Whoever gives the descriptor away, or sets a mode, sets the kernel's. A descriptor's other users may change that meanwhile, in other
//! processes for one: then a thread that sends a file waits in the kernel, and its worker is replaced. Who must not wait at all asks the kernel
//! ([`make_nonblocking`]).

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const WAITS: u64 = 0;
pub(crate) const RETURNS: u64 = 1;
pub(crate) const WAITS_HERE: u64 = 2;

/// The word.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct ModeWord(pub(crate) AtomicU64);

impl ModeWord {
    pub(crate) const fn new() -> ModeWord {
        ModeWord(AtomicU64::new(WAITS))
    }

    /// Whether calls return `WouldBlock` in place of waiting.
    #[inline]
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.0.load(Ordering::Relaxed) == RETURNS
    }

    /// Whether the kernel, which knows of no waiting here, would say `EAGAIN` to whoever has it wait.
    #[inline]
    pub(crate) fn waits_here(&self) -> bool {
        self.0.load(Ordering::Relaxed) == WAITS_HERE
    }

    /// The kernel's mode was made blocking again, if calls wait.
    pub(crate) fn made_blocking(&self) {
        let order = Ordering::Relaxed;
        let _ = self.0.compare_exchange(WAITS_HERE, WAITS, order, order);
    }

    /// No call on the socket, whose descriptor `fd` is, waits in the kernel when this returns. Mostly that is known.
    pub(crate) fn make_nonblocking(&self, fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
        if self.waits_here() {
            return Ok(());
        }
        make_nonblocking(fd)?;
        // Who sets another mode meanwhile sets the kernel's as well.
        let order = Ordering::Relaxed;
        let _ = self.0.compare_exchange(WAITS, WAITS_HERE, order, order);
        Ok(())
    }
}

/// As [`ModeWord::make_nonblocking`], where nothing is known of the mode.
pub(crate) fn make_nonblocking(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = fcntl_getfl(fd)?;
    if flags.contains(OFlags::NONBLOCK) {
        Ok(())
    } else {
        fcntl_setfl(fd, flags | OFlags::NONBLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_kernel_is_asked_once_and_again_when_the_mode_was_set() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let is_nonblocking = || fcntl_getfl(&socket).unwrap().contains(OFlags::NONBLOCK);
        let word = ModeWord::new();
        word.make_nonblocking(socket.as_fd()).unwrap();
        assert!(is_nonblocking() && !word.is_nonblocking());
        // As `set_nonblocking(false)` does.
        socket.set_nonblocking(false).unwrap();
        word.make_nonblocking(socket.as_fd()).unwrap();
        assert!(!is_nonblocking(), "it is believed");
        word.made_blocking();
        word.make_nonblocking(socket.as_fd()).unwrap();
        assert!(is_nonblocking());
        word.0.store(RETURNS, Ordering::Relaxed);
        word.make_nonblocking(socket.as_fd()).unwrap();
        assert!(word.is_nonblocking(), "what was set stays");
    }
}
