//! A read that waits until there is something, and takes it by a call: in one wait, whose result is what was read.

use crate::request::{Machine, Next};
use raddle_event::{Interest, Op};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Waits, and reads once.
#[derive(Debug)]
pub(super) struct WhenReady<'r> {
    pub(super) socket: BorrowedFd<'r>,
    pub(super) to: &'r mut [u8],
    pub(super) flags: RecvFlags,
}

impl WhenReady<'_> {
    /// To copy more takes too long for who has the lock of a core's event queue.
    pub(super) const LEN_MAX: usize = 256 << 10;
}

impl Machine for WhenReady<'_> {
    fn next(&mut self, last: Option<i64>) -> Next {
        match last {
            None => {}
            Some(failed) if failed < 0 => return Next::End(failed),
            Some(_) => match recv(self.socket, &mut *self.to, self.flags | RecvFlags::DONTWAIT) {
                Ok((_, count)) => return Next::End(count as i64),
                // Another thread was quicker.
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Next::End(-i64::from(error.raw_os_error())),
            },
        }
        Next::Submit(Op::Poll { file: self.socket.as_raw_fd(), interest: Interest::READ })
    }
}
