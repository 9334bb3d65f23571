//! Options that are set before a socket is bound or connected, and afterwards: the kernel has them.

use raddle::net::{KeepAlive, SocketOptions, TcpListener, TcpStream, UdpSocket, UnixStream};
use raddle::thread;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn pair_with(options: &SocketOptions) -> (TcpStream, TcpStream) {
    let listener = options.listen("127.0.0.1:0").unwrap();
    let stream = options.connect(listener.local_addr().unwrap()).unwrap();
    (stream, listener.accept().unwrap().0)
}

#[test]
fn a_connection_has_what_its_listener_has() {
    let minute =
        KeepAlive::new().idle(Duration::from_millis(29_500)).interval(Duration::from_secs(9));
    let options = SocketOptions::new()
        .nodelay(true)
        .keepalive(minute.count(4))
        .linger(Some(Duration::from_secs(3)))
        .ttl(17)
        .send_buffer_size(50_000)
        .recv_buffer_size(60_000);
    let (here, there) = pair_with(&options);
    let whole = KeepAlive::new().idle(Duration::from_secs(30)).interval(Duration::from_secs(9));
    for stream in [here, there] {
        assert!(stream.nodelay().unwrap());
        assert_eq!(stream.keepalive().unwrap(), Some(whole.count(4)));
        assert_eq!(stream.linger().unwrap(), Some(Duration::from_secs(3)));
        assert_eq!(stream.ttl().unwrap(), 17);
        // The kernel doubles them, and may be set up to allow less.
        assert!((50_000..=100_000).contains(&stream.send_buffer_size().unwrap()));
        assert!((60_000..=120_000).contains(&stream.recv_buffer_size().unwrap()));
        stream.set_keepalive(None).unwrap();
        assert_eq!(stream.keepalive().unwrap(), None);
        stream.set_linger(None).unwrap();
        assert_eq!(stream.linger().unwrap(), None);
    }
}

#[test]
fn several_listeners_share_a_port() {
    let options = SocketOptions::new().reuse_port(true);
    let first = options.listen("127.0.0.1:0").unwrap();
    let address = first.local_addr().unwrap();
    assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    let second = options.listen(address).unwrap();
    first.set_nonblocking(true).unwrap();
    second.set_nonblocking(true).unwrap();
    let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
    let count = |listener: &TcpListener| std::iter::from_fn(|| listener.accept().ok()).count();
    let (one, other) = (count(&first), count(&second));
    assert_eq!(one + other, clients.len());
    assert!(one > 0 && other > 0, "{one} and {other}");
    let udp = options.bind_udp("127.0.0.1:0").unwrap();
    options.bind_udp(udp.local_addr().unwrap()).unwrap();
    let error = UdpSocket::bind(udp.local_addr().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn a_port_whose_connections_die_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = TcpStream::connect(address).unwrap();
    // The listener's side closes first, and keeps the port for a while.
    drop(listener.accept().unwrap());
    drop((stream, listener));
    let error = SocketOptions::new().reuse_address(false).listen(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    SocketOptions::new().listen(address).unwrap();
}

#[test]
fn a_backlog_has_an_end() {
    let listener = SocketOptions::new().backlog(1).listen("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let error = loop {
        match TcpStream::connect_timeout(&address, Duration::from_millis(20)) {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10);
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn where_a_connection_comes_from() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let from: SocketAddr = "127.0.0.7:0".parse().unwrap();
    let options = SocketOptions::new().from_addr(from);
    let stream = options.connect(address).unwrap();
    assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
    assert_eq!(stream.local_addr().unwrap().ip(), from.ip());
    let stream = options.connect_timeout(&address, Duration::from_secs(10)).unwrap();
    assert_eq!(stream.local_addr().unwrap().ip(), from.ip());
    let error = options.connect_timeout(&address, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn small_writes_wait_under_a_cork() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut there, _) = listener.accept().unwrap();
    assert!(!here.cork().unwrap());
    here.set_cork(true).unwrap();
    assert!(here.cork().unwrap());
    here.write_all(b"header, ").unwrap();
    here.write_all(b"body").unwrap();
    there.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert_eq!(there.read(&mut [0; 32]).unwrap_err().kind(), ErrorKind::WouldBlock);
    here.set_cork(false).unwrap();
    let mut bytes = [0; 32];
    there.set_read_timeout(None).unwrap();
    assert_eq!(there.read(&mut bytes).unwrap(), 12);
    here.set_quickack(false).unwrap();
    assert!(!here.quickack().unwrap());
    here.set_quickack(true).unwrap();
    assert!(here.quickack().unwrap());
}

/// With a cookie of that peer's and without, where the kernel is set up for it and where not.
#[test]
fn data_with_the_first_packet() {
    let options = SocketOptions::new().fast_open(true);
    let listener = options.listen("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for round in 0..4 {
        let server = thread::spawn({
            let listener = listener.try_clone().unwrap();
            move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                stream.write_all(text.to_uppercase().as_bytes()).unwrap();
            }
        });
        let mut stream = options.connect(address).unwrap();
        if round % 2 == 0 {
            stream.write_all(b"hello").unwrap();
        } else {
            let slices = [&b"hel"[..], b"lo"].map(std::io::IoSlice::new);
            assert_eq!(stream.write_vectored(&slices).unwrap(), 5);
        }
        stream.shutdown(raddle::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "HELLO");
        server.join().unwrap();
    }
    drop(listener);
    // The first write, or whatever comes first, hears that nobody listens.
    let refused = options.connect(address).and_then(|mut stream| {
        stream.write_all(b"hello")?;
        stream.read(&mut [0; 8])
    });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_reset_instead_of_an_end() {
    let (mut here, there) = pair_with(&SocketOptions::new());
    there.set_linger(Some(Duration::ZERO)).unwrap();
    drop(there);
    assert_eq!(here.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn what_a_socket_does_not_have() {
    let error = SocketOptions::new().nodelay(true).bind_udp("127.0.0.1:0").unwrap_err();
    assert!(error.raw_os_error().is_some(), "{error}");
    let error = SocketOptions::new().ttl(1000).listen("127.0.0.1:0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let keepalive = KeepAlive::new().count(1000);
    assert!(SocketOptions::new().keepalive(keepalive).listen("127.0.0.1:0").is_err());
}

#[test]
fn a_small_buffer_holds_little() {
    let (mut here, _there) = UnixStream::pair().unwrap();
    here.set_send_buffer_size(10_000).unwrap();
    assert!(here.send_buffer_size().unwrap() <= 20_000);
    here.set_write_timeout(Some(Duration::from_millis(5))).unwrap();
    let start = Instant::now();
    let mut sent = 0;
    while let Ok(count) = here.write(&[0; 1000]) {
        sent += count;
    }
    assert!(sent < 20_000, "{sent} bytes found room");
    assert!(start.elapsed() >= Duration::from_millis(5));
}
