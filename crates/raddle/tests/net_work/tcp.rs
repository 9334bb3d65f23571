//! Programs over TCP. `super` says whose sockets and threads they use; nothing else in here tells the two apart.

use super::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use super::thread;
use super::time::{Duration, Instant};
use super::unusual::{listener_for_one, reset_when_dropped};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

/// Where nobody listens. A port that was a listener's a moment ago may be somebody else's by now.
const NOBODY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1));

fn local() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = local();
    let here = TcpStream::connect(address).unwrap();
    (here, listener.accept().unwrap().0)
}

/// Writes until there is no more room, for the least either.
fn fill(stream: &mut TcpStream) -> io::Error {
    loop {
        while stream.write(&[7; 65536]).is_ok() {}
        if let Err(error) = stream.write(&[7]) {
            break error;
        }
    }
}

fn would_block<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
}

pub(crate) fn bytes_go_both_ways() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address) else {
            assert!(address.starts_with('['), "there is no IPv4");
            continue;
        };
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, peer) = listener.accept().unwrap();
            assert_eq!(peer, stream.peer_addr().unwrap());
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            stream.write_all(text.to_uppercase().as_bytes()).unwrap();
        });
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"hello, ").unwrap();
        stream.write_all(b"world").unwrap();
        stream.flush().unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "HELLO, WORLD");
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        server.join().unwrap();
    }
}

pub(crate) fn addresses() {
    let (listener, address) = local();
    assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    let stream = TcpStream::connect(("localhost", address.port()))
        .or_else(|_| TcpStream::connect(address))
        .unwrap();
    let (peer, from) = listener.accept().unwrap();
    assert_eq!(stream.local_addr().unwrap(), from);
    assert_eq!(peer.peer_addr().unwrap(), from);
    assert_eq!(stream.peer_addr().unwrap(), peer.local_addr().unwrap());
    assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop((listener, stream, peer));
    // With connections of the former still dying.
    TcpListener::bind(address).unwrap();
}

pub(crate) fn nobody_listens() {
    assert_eq!(TcpStream::connect(NOBODY).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let error = TcpStream::connect_timeout(&NOBODY, LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    for bad in ["", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:99999"] {
        assert_eq!(TcpStream::connect(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
    }
}

pub(crate) fn each_address_is_tried() {
    let (_listener, address) = local();
    let stream = TcpStream::connect(&[NOBODY, address][..]).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
    let free = SocketAddr::new(address.ip(), 0);
    let listener = TcpListener::bind(&[address, free][..]).unwrap();
    assert_ne!(listener.local_addr().unwrap(), address);
    for error in [TcpStream::connect(&[][..]).unwrap_err(), TcpListener::bind(&[][..]).unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "could not resolve to any addresses");
    }
}

pub(crate) fn connecting_takes_too_long() {
    let listener = listener_for_one();
    let address = listener.local_addr().unwrap();
    // Those who find no room are not answered.
    let mut waiting = Vec::new();
    let error = loop {
        let start = Instant::now();
        match TcpStream::connect_timeout(&address, SHORT) {
            Ok(stream) => waiting.push(stream),
            Err(error) => {
                assert!(start.elapsed() >= SHORT);
                break error;
            }
        }
        assert!(waiting.len() < 10, "a backlog of 0 took {}", waiting.len());
    };
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::TimedOut, "connection timed out".into())
    );
    let error = TcpStream::connect_timeout(&address, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "cannot set a 0 duration timeout");
}

pub(crate) fn reads_time_out() {
    let (mut here, mut there) = pair();
    here.set_read_timeout(Some(SHORT)).unwrap();
    for _ in 0..3 {
        let start = Instant::now();
        would_block(here.read(&mut [0; 8]));
        // The kernel's own time-outs count in ticks.
        assert!(start.elapsed() >= SHORT - Duration::from_millis(1));
        would_block(here.peek(&mut [0; 8]));
        let (mut a, mut b) = ([0; 4], [0; 4]);
        would_block(here.read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]));
        there.write_all(b"abc").unwrap();
        let mut bytes = [0; 8];
        assert_eq!(here.read(&mut bytes).unwrap(), 3);
        assert_eq!(&bytes[..3], b"abc");
    }
    here.set_read_timeout(None).unwrap();
    let writes = thread::spawn(move || {
        thread::sleep(2 * SHORT);
        there.write_all(b"late").unwrap();
        there
    });
    assert_eq!(here.read(&mut [0; 8]).unwrap(), 4);
    drop(writes.join().unwrap());
    assert_eq!(here.read(&mut [0; 8]).unwrap(), 0);
}

pub(crate) fn writes_time_out() {
    let (mut here, mut there) = pair();
    here.set_write_timeout(Some(SHORT)).unwrap();
    assert_eq!(fill(&mut here).raw_os_error(), Some(libc::EAGAIN));
    // The kernel may find a little more room.
    let (start, result) = loop {
        let start = Instant::now();
        let slices = [IoSlice::new(&[7]), IoSlice::new(&[7])];
        let result = here.write(&[7]).and_then(|_| here.write_vectored(&slices));
        if result.is_err() {
            break (start, result);
        }
    };
    would_block(result);
    assert!(start.elapsed() >= SHORT - Duration::from_millis(1));
    // Whoever waits to write goes on when there is room.
    here.set_write_timeout(Some(LONG)).unwrap();
    let reads = thread::spawn(move || {
        thread::sleep(SHORT);
        let mut all = Vec::new();
        there.read_to_end(&mut all).unwrap();
        all
    });
    here.write_all(b"end").unwrap();
    drop(here);
    let all = reads.join().unwrap();
    let (rest, last) = all.split_last_chunk::<3>().unwrap();
    assert_eq!(last, b"end");
    assert_eq!(rest.iter().position(|byte| *byte != 7), None);
}

pub(crate) fn time_outs_are_kept() {
    let (here, _there) = pair();
    assert_eq!((here.read_timeout().unwrap(), here.write_timeout().unwrap()), (None, None));
    here.set_read_timeout(Some(LONG)).unwrap();
    here.set_write_timeout(Some(2 * LONG)).unwrap();
    let clone = here.try_clone().unwrap();
    assert_eq!(clone.read_timeout().unwrap(), Some(LONG));
    assert_eq!(clone.write_timeout().unwrap(), Some(2 * LONG));
    clone.set_read_timeout(None).unwrap();
    assert_eq!(here.read_timeout().unwrap(), None);
    for error in [
        here.set_read_timeout(Some(Duration::ZERO)).unwrap_err(),
        here.set_write_timeout(Some(Duration::ZERO)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "cannot set a 0 duration timeout");
    }
    assert_eq!(here.write_timeout().unwrap(), Some(2 * LONG));
}

pub(crate) fn looking_ahead() {
    let (mut here, mut there) = pair();
    let looks = thread::spawn(move || {
        let mut bytes = [0; 3];
        assert_eq!(there.peek(&mut bytes).unwrap(), 3);
        assert_eq!(&bytes, b"abc");
        let mut all = [0; 16];
        for _ in 0..3 {
            assert_eq!(there.peek(&mut all).unwrap(), 6);
        }
        assert_eq!(there.read(&mut all).unwrap(), 6);
        assert_eq!(&all[..6], b"abcdef");
        assert_eq!(there.peek(&mut all).unwrap(), 0);
    });
    thread::sleep(SHORT);
    here.write_all(b"abcdef").unwrap();
    thread::sleep(SHORT);
    drop(here);
    looks.join().unwrap();
}

pub(crate) fn shutting_down() {
    let (mut here, mut there) = pair();
    // Whoever waits here goes on.
    let reader = here.try_clone().unwrap();
    let reads = thread::spawn(move || (&reader).read(&mut [0; 8]));
    thread::sleep(SHORT);
    here.shutdown(Shutdown::Read).unwrap();
    assert_eq!(reads.join().unwrap().unwrap(), 0);
    there.write_all(b"x").unwrap();
    here.shutdown(Shutdown::Write).unwrap();
    assert_eq!(there.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(here.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let slices = [IoSlice::new(b"x"), IoSlice::new(b"y")];
    assert_eq!(here.write_vectored(&slices).unwrap_err().kind(), ErrorKind::BrokenPipe);
    // Whoever waits to write, too.
    let (mut here, _there) = pair();
    let writer = here.try_clone().unwrap();
    let writes = thread::spawn(move || fill(&mut here));
    thread::sleep(2 * SHORT);
    writer.shutdown(Shutdown::Both).unwrap();
    assert_eq!(writes.join().unwrap().kind(), ErrorKind::BrokenPipe);
}

pub(crate) fn a_peer_that_is_gone() {
    let (mut here, mut there) = pair();
    there.write_all(b"last words").unwrap();
    drop(there);
    let mut text = String::new();
    here.read_to_string(&mut text).unwrap();
    assert_eq!(text, "last words");
    // The first write is answered with a reset.
    let error = loop {
        if let Err(error) = here.write(b"?") {
            break error;
        }
        thread::sleep(Duration::from_millis(1));
    };
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    assert_eq!(here.write(b"?").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

pub(crate) fn a_reset() {
    let (mut here, there) = pair();
    reset_when_dropped(&there);
    let reads = thread::spawn(move || (here.read(&mut [0; 8]), here));
    thread::sleep(SHORT);
    drop(there);
    let (result, mut here) = reads.join().unwrap();
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
    // It is told once.
    assert_eq!(here.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(here.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let (here, there) = pair();
    reset_when_dropped(&there);
    drop(there);
    thread::sleep(SHORT);
    let error = here.take_error().unwrap().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(here.take_error().unwrap().is_none());
}

pub(crate) fn who_does_not_wait() {
    let (mut here, mut there) = pair();
    here.set_nonblocking(true).unwrap();
    let mut clone = here.try_clone().unwrap();
    would_block(here.read(&mut [0; 8]));
    would_block(clone.peek(&mut [0; 8]));
    for round in 0..3 {
        there.write_all(b"abc").unwrap();
        let mut bytes = [0; 8];
        let count = loop {
            match here.read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                result => break result.unwrap(),
            }
        };
        assert_eq!(&bytes[..count], b"abc", "{round}");
        would_block(here.read(&mut bytes));
    }
    assert_eq!(fill(&mut clone).raw_os_error(), Some(libc::EAGAIN));
    would_block(here.write_vectored(&[IoSlice::new(b"x"), IoSlice::new(b"y")]));
    clone.set_nonblocking(false).unwrap();
    let writes = thread::spawn(move || {
        thread::sleep(SHORT);
        there.write_all(b"now").unwrap();
        there
    });
    assert_eq!(here.read(&mut [0; 8]).unwrap(), 3);
    writes.join().unwrap();
}

pub(crate) fn clones() {
    let (mut here, mut there) = pair();
    let mut clone = here.try_clone().unwrap();
    here.write_all(b"a").unwrap();
    clone.write_all(b"b").unwrap();
    drop(here);
    clone.write_all(b"c").unwrap();
    let mut bytes = [0; 3];
    there.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"abc");
    // One reads while the other writes.
    let reads = thread::spawn({
        let mut clone = clone.try_clone().unwrap();
        move || {
            let mut text = String::new();
            clone.read_to_string(&mut text).map(|_| text)
        }
    });
    thread::sleep(SHORT);
    clone.write_all(b"question").unwrap();
    clone.shutdown(Shutdown::Write).unwrap();
    io::copy(&mut there.try_clone().unwrap(), &mut there).unwrap();
    drop(there);
    assert_eq!(reads.join().unwrap().unwrap(), "question");
}

pub(crate) fn several_buffers() {
    let (mut here, mut there) = pair();
    let reads = thread::spawn(move || {
        let (mut a, mut b, mut c) = ([0; 2], [0; 0], [0; 8]);
        let mut slices = [&mut a[..], &mut b, &mut c].map(IoSliceMut::new);
        let count = there.read_vectored(&mut slices).unwrap();
        ((a, c, count), there)
    });
    thread::sleep(SHORT);
    let text = [&b"he"[..], b"", b"ll", b"o"].map(IoSlice::new);
    assert_eq!(here.write_vectored(&text).unwrap(), 5);
    let ((a, c, count), mut there) = reads.join().unwrap();
    assert_eq!((&a, &c, count), (b"he", b"llo\0\0\0\0\0", 5));
    // More than the kernel takes at once.
    let many: Vec<_> = (0..3000).map(|_| IoSlice::new(b"ab")).collect();
    assert_eq!(here.write_vectored(&many).unwrap(), 2048);
    let mut parts = vec![[0; 1]; 3000];
    let mut many: Vec<_> = parts.iter_mut().map(|part| IoSliceMut::new(part)).collect();
    assert_eq!(there.read_vectored(&mut many).unwrap(), 1024);
    there.read_exact(&mut [0; 1024]).unwrap();
    assert!(parts[..1024].iter().zip(b"ab".iter().cycle()).all(|(part, byte)| part[0] == *byte));
    // Nothing is written, nothing read.
    assert_eq!(here.write_vectored(&[]).unwrap(), 0);
    // More than there is room for.
    there.set_read_timeout(Some(LONG)).unwrap();
    let reads = thread::spawn(move || {
        let mut all = Vec::new();
        there.read_to_end(&mut all).unwrap();
        all.len()
    });
    let big = vec![1; 1 << 20];
    let mut sent = 0;
    while sent < 16 << 20 {
        sent += here.write_vectored(&[IoSlice::new(&big), IoSlice::new(&big)]).unwrap();
    }
    drop(here);
    assert_eq!(reads.join().unwrap(), sent);
}

pub(crate) fn options() {
    let (here, there) = pair();
    for stream in [&here, &there] {
        assert!(!stream.nodelay().unwrap());
        stream.set_nodelay(true).unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(stream.ttl().unwrap(), 64);
        stream.set_ttl(9).unwrap();
        assert_eq!(stream.ttl().unwrap(), 9);
        assert_eq!(stream.set_ttl(1000).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(stream.take_error().unwrap().is_none());
    }
    let (listener, _) = local();
    listener.set_ttl(11).unwrap();
    assert_eq!(listener.ttl().unwrap(), 11);
    assert!(listener.take_error().unwrap().is_none());
}

pub(crate) fn listeners_do_not_wait() {
    let (listener, address) = local();
    let clone = listener.try_clone().unwrap();
    listener.set_nonblocking(true).unwrap();
    would_block(listener.accept());
    would_block(clone.accept());
    let stream = TcpStream::connect(address).unwrap();
    let peer = loop {
        match clone.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            result => break result.unwrap().1,
        }
    };
    assert_eq!(peer, stream.local_addr().unwrap());
    clone.set_nonblocking(false).unwrap();
    let connects = thread::spawn(move || {
        thread::sleep(SHORT);
        TcpStream::connect(address).unwrap()
    });
    let (accepted, _) = listener.accept().unwrap();
    // What a listener hands out waits, whatever the listener does.
    listener.set_nonblocking(true).unwrap();
    let mut other = connects.join().unwrap();
    let writes = thread::spawn(move || {
        thread::sleep(SHORT);
        other.write_all(b"x").unwrap();
    });
    assert_eq!((&accepted).read(&mut [0; 8]).unwrap(), 1);
    writes.join().unwrap();
}
