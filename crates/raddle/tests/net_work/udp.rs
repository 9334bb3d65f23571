//! Programs over UDP. `super` says whose sockets and threads they use; nothing else in here tells the two apart.

use super::net::{SocketAddr, UdpSocket};
use super::thread;
use super::time::{Duration, Instant};
use std::io::{self, ErrorKind};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

fn local() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn pair() -> (UdpSocket, UdpSocket) {
    let ((here, here_at), (there, there_at)) = (local(), local());
    here.connect(there_at).unwrap();
    there.connect(here_at).unwrap();
    (here, there)
}

fn would_block<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
}

pub(crate) fn datagrams_come_whole() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (Ok(here), Ok(there)) = (UdpSocket::bind(address), UdpSocket::bind(address)) else {
            assert!(address.starts_with('['), "there is no IPv4");
            continue;
        };
        let (from, to) = (here.local_addr().unwrap(), there.local_addr().unwrap());
        for text in [&b"one"[..], b"", b"three"] {
            assert_eq!(here.send_to(text, to).unwrap(), text.len());
        }
        let mut bytes = [0; 4];
        assert_eq!(there.recv_from(&mut bytes).unwrap(), (3, from));
        assert_eq!(&bytes[..3], b"one");
        assert_eq!(there.recv_from(&mut bytes).unwrap(), (0, from));
        // What there is no room for is lost.
        assert_eq!(there.recv_from(&mut bytes).unwrap(), (4, from));
        assert_eq!(&bytes, b"thre");
        assert_eq!(here.send_to(b"x", &[to, from][..]).unwrap(), 1);
        assert_eq!(there.recv(&mut bytes).unwrap(), 1);
    }
    let (socket, _) = local();
    assert_eq!(socket.send_to(b"x", &[][..]).unwrap_err().kind(), ErrorKind::InvalidInput);
}

pub(crate) fn connected() {
    let (here, there) = pair();
    assert_eq!(here.peer_addr().unwrap(), there.local_addr().unwrap());
    here.send(b"question").unwrap();
    let mut bytes = [0; 16];
    let count = there.recv(&mut bytes).unwrap();
    there.send(&bytes[..count]).unwrap();
    assert_eq!(here.recv_from(&mut bytes).unwrap(), (8, there.local_addr().unwrap()));
    // Others are not heard.
    let (other, _) = local();
    other.send_to(b"!", here.local_addr().unwrap()).unwrap();
    here.set_read_timeout(Some(SHORT)).unwrap();
    would_block(here.recv(&mut bytes));
    let error = other.peer_addr().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert_eq!(other.send(b"x").unwrap_err().raw_os_error(), Some(libc::EDESTADDRREQ));
}

pub(crate) fn looking_ahead() {
    let (here, there) = pair();
    let looks = thread::spawn(move || {
        let mut bytes = [0; 8];
        for _ in 0..3 {
            assert_eq!(there.peek(&mut bytes).unwrap(), 3);
            assert_eq!(there.peek_from(&mut bytes).unwrap().0, 3);
        }
        assert_eq!(there.recv(&mut bytes).unwrap(), 3);
        assert_eq!(there.peek_from(&mut bytes).unwrap(), (5, there.peer_addr().unwrap()));
    });
    thread::sleep(SHORT);
    here.send(b"one").unwrap();
    thread::sleep(SHORT);
    here.send(b"three").unwrap();
    looks.join().unwrap();
}

pub(crate) fn waiting_for_the_first() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (Ok(here), Ok(there)) = (UdpSocket::bind(address), UdpSocket::bind(address)) else {
            assert!(address.starts_with('['), "there is no IPv4");
            continue;
        };
        let to = there.local_addr().unwrap();
        let waits = thread::spawn(move || {
            let mut bytes = [0; 2];
            let first = there.recv_from(&mut bytes).unwrap();
            assert_eq!(&bytes, b"fi");
            let second = there.recv(&mut bytes).unwrap();
            (first, second, there.peek_from(&mut bytes).unwrap())
        });
        for text in [&b"first"[..], b"s", b""] {
            thread::sleep(SHORT);
            here.send_to(text, to).unwrap();
        }
        let from = here.local_addr().unwrap();
        assert_eq!(waits.join().unwrap(), ((2, from), 1, (0, from)));
    }
}

pub(crate) fn receiving_times_out() {
    let (here, there) = pair();
    here.set_read_timeout(Some(SHORT)).unwrap();
    for receive in [
        |socket: &UdpSocket| socket.recv(&mut [0; 8]),
        |socket: &UdpSocket| socket.peek(&mut [0; 8]),
        |socket: &UdpSocket| socket.recv_from(&mut [0; 8]).map(|(count, _)| count),
        |socket: &UdpSocket| socket.peek_from(&mut [0; 8]).map(|(count, _)| count),
    ] {
        let start = Instant::now();
        would_block(receive(&here));
        // The kernel's own time-outs count in ticks.
        assert!(start.elapsed() >= SHORT - Duration::from_millis(1));
        there.send(b"x").unwrap();
        assert_eq!(receive(&here).unwrap(), 1);
        let _ = here.recv(&mut [0; 8]);
    }
    assert_eq!(here.read_timeout().unwrap().map(|timeout| timeout.as_secs()), Some(0));
    here.set_read_timeout(None).unwrap();
    assert_eq!(here.read_timeout().unwrap(), None);
    for error in [
        here.set_read_timeout(Some(Duration::ZERO)).unwrap_err(),
        here.set_write_timeout(Some(Duration::ZERO)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "cannot set a 0 duration timeout");
    }
}

/// Over loopback a datagram is delivered, or lost, while it is sent: the buffer for sending does not fill.
pub(crate) fn sending_times_out() {
    let (here, there) = pair();
    here.set_write_timeout(Some(LONG)).unwrap();
    assert_eq!(here.write_timeout().unwrap(), Some(LONG));
    for _ in 0..2000 {
        assert_eq!(here.send(&[1; 1000]).unwrap(), 1000);
    }
    assert_eq!(there.recv(&mut [0; 2000]).unwrap(), 1000);
}

pub(crate) fn nobody_receives() {
    let (here, there) = pair();
    drop(there);
    here.send(b"x").unwrap();
    let error = here.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    here.send(b"x").unwrap();
    thread::sleep(SHORT);
    let error = here.take_error().unwrap().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(here.take_error().unwrap().is_none());
    // Whoever waits already hears it too.
    let clone = here.try_clone().unwrap();
    let waits = thread::spawn(move || clone.recv(&mut [0; 8]));
    thread::sleep(SHORT);
    here.send(b"x").unwrap();
    assert_eq!(waits.join().unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

pub(crate) fn what_is_too_long() {
    let (here, there) = pair();
    let error = here.send(&[0; 70_000]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    let to = there.local_addr().unwrap();
    assert_eq!(here.send_to(&[0; 70_000], to).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
    here.send(&[5; 60_000]).unwrap();
    let mut bytes = vec![0; 70_000];
    assert_eq!(there.recv(&mut bytes).unwrap(), 60_000);
    assert!(bytes[..60_000].iter().all(|byte| *byte == 5));
}

pub(crate) fn who_does_not_wait() {
    let (here, there) = pair();
    here.set_nonblocking(true).unwrap();
    let clone = here.try_clone().unwrap();
    would_block(clone.recv(&mut [0; 8]));
    would_block(here.peek(&mut [0; 8]));
    would_block(here.recv_from(&mut [0; 8]));
    would_block(here.peek_from(&mut [0; 8]));
    there.send(b"x").unwrap();
    assert_eq!(clone.recv(&mut [0; 8]).unwrap(), 1);
    clone.set_nonblocking(false).unwrap();
    let sends = thread::spawn(move || {
        thread::sleep(SHORT);
        there.send(b"late").unwrap();
    });
    assert_eq!(here.recv(&mut [0; 8]).unwrap(), 4);
    sends.join().unwrap();
}

pub(crate) fn clones() {
    let (here, there) = pair();
    let clone = here.try_clone().unwrap();
    here.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(clone.read_timeout().unwrap(), Some(LONG));
    drop(here);
    clone.send(b"still here").unwrap();
    assert_eq!(there.recv(&mut [0; 16]).unwrap(), 10);
}

pub(crate) fn options() {
    let (socket, _) = local();
    assert!(!socket.broadcast().unwrap());
    socket.set_broadcast(true).unwrap();
    assert!(socket.broadcast().unwrap());
    assert_eq!(socket.ttl().unwrap(), 64);
    socket.set_ttl(5).unwrap();
    assert_eq!(socket.ttl().unwrap(), 5);
    assert!(socket.multicast_loop_v4().unwrap());
    socket.set_multicast_loop_v4(false).unwrap();
    assert!(!socket.multicast_loop_v4().unwrap());
    assert_eq!(socket.multicast_ttl_v4().unwrap(), 1);
    socket.set_multicast_ttl_v4(7).unwrap();
    assert_eq!(socket.multicast_ttl_v4().unwrap(), 7);
    if let Ok(socket) = UdpSocket::bind("[::1]:0") {
        assert!(socket.multicast_loop_v6().unwrap());
        socket.set_multicast_loop_v6(false).unwrap();
        assert!(!socket.multicast_loop_v6().unwrap());
    }
    assert!(socket.take_error().unwrap().is_none());
}

/// Each datagram goes to one of those who wait.
pub(crate) fn many_at_once() {
    const THREADS: usize = 8;
    const EACH: usize = 50;
    let (server, address) = local();
    let servers: Vec<_> = (0..4)
        .map(|_| {
            let server = server.try_clone().unwrap();
            thread::spawn(move || {
                let mut bytes = [0; 64];
                loop {
                    let (count, from) = server.recv_from(&mut bytes).unwrap();
                    if count == 0 {
                        break;
                    }
                    server.send_to(&bytes[..count], from).unwrap();
                }
            })
        })
        .collect();
    let clients: Vec<_> = (0..THREADS)
        .map(|n| {
            thread::spawn(move || {
                let (client, _) = local();
                client.connect(address).unwrap();
                let mut bytes = [0; 64];
                for round in 0..EACH {
                    let text = format!("{n} {round}");
                    client.send(text.as_bytes()).unwrap();
                    let count = client.recv(&mut bytes).unwrap();
                    assert_eq!(&bytes[..count], text.as_bytes());
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (last, _) = local();
    for _ in &servers {
        last.send_to(b"", address).unwrap();
    }
    servers.into_iter().for_each(|server| server.join().unwrap());
}
