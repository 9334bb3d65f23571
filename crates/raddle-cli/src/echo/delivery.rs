//! Whether a client has what was sent to it, which matters at a server's end. Whoever still sends when its connection is closed gets a reset, and
//! a reset takes back what was sent before and has not arrived. So at the end a connection is closed when everything has.

#![allow(unsafe_code, reason = "a system call that writes a number")]

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// The kernel does not tell when it is so: for so long nobody looks again.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// Whether the other side's kernel has acknowledged all that was written.
pub(super) fn is_complete(socket: impl AsFd) -> bool {
    let mut left = 0i32;
    // SAFETY: the kernel writes an integer.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut left) };
    // What can't be asked has nothing to deliver any more.
    result != 0 || left == 0
}
