//! What `std` has no words for, by the descriptor: of `std`'s sockets, and raddle's.
#![allow(unsafe_code, reason = "options that std has not")]
#![allow(dead_code, reason = "not each suite needs it")]

use super::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

/// `SO_LINGER` of zero: dropping resets.
pub(crate) fn reset_when_dropped(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let len = size_of_val(&linger) as libc::socklen_t;
    let fd = stream.as_raw_fd();
    // SAFETY: reads an option that is there.
    let result = unsafe {
        let linger = (&raw const linger).cast();
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, linger, len)
    };
    assert_eq!(result, 0);
}

/// One with a backlog of 0: in which one fits.
pub(crate) fn listener_for_one() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    listener
}
