//! What only the kernel's TCP sockets have: descriptors. `super` says whose they are.
#![allow(unsafe_code, reason = "descriptors")]

use super::net::{SocketAddr, TcpListener, TcpStream};
use super::time::Duration;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

const LONG: Duration = Duration::from_secs(20);

fn local() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn would_block<T: std::fmt::Debug>(result: std::io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn is_nonblocking(fd: &OwnedFd) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) & libc::O_NONBLOCK != 0 }
}

pub(crate) fn descriptors_keep_their_modes() {
    let (listener, address) = local();
    let fd = OwnedFd::from(listener);
    assert!(!is_nonblocking(&fd));
    let listener = TcpListener::from(fd);
    let stream = TcpStream::connect(address).unwrap();
    let (peer, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    peer.set_nonblocking(true).unwrap();
    listener.set_nonblocking(true).unwrap();
    // SAFETY: each is given away and taken back at once.
    let (stream, peer, listener) = unsafe {
        (
            TcpStream::from_raw_fd(stream.into_raw_fd()),
            TcpStream::from_raw_fd(peer.into_raw_fd()),
            TcpListener::from_raw_fd(listener.into_raw_fd()),
        )
    };
    assert_eq!(stream.read_timeout().unwrap(), Some(LONG));
    would_block((&peer).read(&mut [0; 8]));
    would_block(listener.accept());
    assert!(is_nonblocking(&peer.into()));
    assert!(is_nonblocking(&listener.into()));
    assert_ne!(stream.try_clone().unwrap().as_raw_fd(), stream.as_raw_fd());
    assert!(!is_nonblocking(&stream.into()));
}

pub(crate) fn debug_output() {
    let (listener, address) = local();
    let stream = TcpStream::connect(address).unwrap();
    let (fd, own) = (listener.as_raw_fd(), stream.local_addr().unwrap());
    assert_eq!(format!("{listener:?}"), format!("TcpListener {{ addr: {address}, fd: {fd} }}"));
    let fd = stream.as_raw_fd();
    let expected = format!("TcpStream {{ addr: {own}, peer: {address}, fd: {fd} }}");
    assert_eq!(format!("{stream:?}"), expected);
}
