//! What only the kernel's UDP sockets have: descriptors, and groups. `super` says whose they are.

use super::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use super::time::Duration;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};

pub(crate) fn groups() {
    let group = Ipv4Addr::new(224, 0, 0, 199);
    let receiver = UdpSocket::bind("0.0.0.0:0").unwrap();
    receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    let error = receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    receiver.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    let error = receiver.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    let error = receiver.join_multicast_v4(&Ipv4Addr::LOCALHOST, &Ipv4Addr::LOCALHOST).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    if let Ok(receiver) = UdpSocket::bind("[::]:0") {
        // Joining takes an interface with IPv6.
        let group: Ipv6Addr = "ff02::1234".parse().unwrap();
        if receiver.join_multicast_v6(&group, 1).is_ok() {
            receiver.leave_multicast_v6(&group, 1).unwrap();
        }
        assert!(receiver.leave_multicast_v6(&group, 1).is_err());
    }
}

pub(crate) fn descriptors_keep_their_modes() {
    let [here, there] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    here.connect(there.local_addr().unwrap()).unwrap();
    assert_ne!(here.try_clone().unwrap().as_raw_fd(), here.as_raw_fd());
    here.set_nonblocking(true).unwrap();
    there.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let here = UdpSocket::from(OwnedFd::from(here));
    let there = UdpSocket::from(OwnedFd::from(there));
    assert_eq!(here.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(there.read_timeout().unwrap(), Some(Duration::from_secs(20)));
    here.send(b"x").unwrap();
    assert_eq!(there.recv(&mut [0; 8]).unwrap(), 1);
}

pub(crate) fn debug_output() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let fd = socket.as_raw_fd();
    assert_eq!(format!("{socket:?}"), format!("UdpSocket {{ addr: {address}, fd: {fd} }}"));
}
