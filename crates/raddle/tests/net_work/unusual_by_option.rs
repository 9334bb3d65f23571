//! What `std` has no words for, in raddle's: of sockets that have no descriptor.

use super::net::{SocketOptions, TcpListener, TcpStream};
use super::time::Duration;

/// `SO_LINGER` of zero: dropping resets.
pub(crate) fn reset_when_dropped(stream: &TcpStream) {
    stream.set_linger(Some(Duration::ZERO)).unwrap();
}

/// One with a backlog of 0: in which one fits.
pub(crate) fn listener_for_one() -> TcpListener {
    SocketOptions::new().backlog(0).listen("127.0.0.1:0").unwrap()
}
