//! Programs over Unix sockets. `super` says whose sockets and threads they use; nothing else in here tells the two apart.
#![allow(unsafe_code, reason = "options that std has not")]

use super::thread;
use super::unix::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

/// A folder for sockets, removed with what is in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("raddle-net-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn abstract_name() -> (String, SocketAddr) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("raddle-net-{}-{number}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    (name, address)
}

fn would_block<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
}

pub(crate) fn pairs() {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    assert!(here.local_addr().unwrap().is_unnamed() && here.peer_addr().unwrap().is_unnamed());
    let reads = thread::spawn(move || {
        let mut text = String::new();
        there.read_to_string(&mut text).unwrap();
        there.write_all(text.to_uppercase().as_bytes()).unwrap();
    });
    here.write_all(b"hello, ").unwrap();
    thread::sleep(SHORT);
    here.write_all(b"world").unwrap();
    here.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    here.read_to_string(&mut text).unwrap();
    assert_eq!(text, "HELLO, WORLD");
    reads.join().unwrap();
    assert_eq!(here.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let (mut here, there) = UnixStream::pair().unwrap();
    drop(there);
    assert_eq!(here.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(here.take_error().unwrap().is_none());
}

pub(crate) fn paths() {
    let folder = Folder::new();
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
    assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    let server = thread::spawn(move || {
        let (stream, peer) = listener.accept().unwrap();
        assert!(peer.is_unnamed());
        (&stream).write_all(b"hello").unwrap();
        stream.local_addr().unwrap()
    });
    thread::sleep(SHORT);
    let mut stream = UnixStream::connect(&path).unwrap();
    assert_eq!(stream.peer_addr().unwrap().as_pathname(), Some(&*path));
    assert!(stream.local_addr().unwrap().is_unnamed());
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    assert_eq!(server.join().unwrap().as_pathname(), Some(&*path));
}

pub(crate) fn abstract_names() {
    let (name, address) = abstract_name();
    let listener = UnixListener::bind_addr(&address).unwrap();
    assert_eq!(listener.local_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
    assert_eq!(UnixListener::bind_addr(&address).unwrap_err().kind(), ErrorKind::AddrInUse);
    let stream = UnixStream::connect_addr(&address).unwrap();
    assert_eq!(stream.peer_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
    assert!(listener.accept().unwrap().1.is_unnamed());
    drop(listener);
    let error = UnixStream::connect_addr(&address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    // Nothing is left of a name.
    UnixListener::bind_addr(&address).unwrap();
}

pub(crate) fn what_can_not_be_named() {
    let long = "x".repeat(108);
    for path in ["zero\0in it", &long] {
        for error in [
            UnixListener::bind(path).unwrap_err(),
            UnixStream::connect(path).unwrap_err(),
            UnixDatagram::bind(path).unwrap_err(),
            UnixDatagram::unbound().unwrap().send_to(b"x", path).unwrap_err(),
            UnixDatagram::unbound().unwrap().connect(path).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
    let folder = Folder::new();
    let nowhere = folder.join("nowhere").join("socket");
    assert_eq!(UnixListener::bind(&nowhere).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(UnixDatagram::bind(&nowhere).unwrap_err().kind(), ErrorKind::NotFound);
}

pub(crate) fn nobody_listens() {
    let folder = Folder::new();
    let path = folder.join("socket");
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

pub(crate) fn a_full_backlog() {
    const CONNECTIONS: usize = 20;
    let (_, address) = abstract_name();
    let listener = UnixListener::bind_addr(&address).unwrap();
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 1) }, 0);
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let address = address.clone();
            thread::spawn(move || {
                UnixStream::connect_addr(&address).unwrap().write_all(&[n as u8]).unwrap();
            })
        })
        .collect();
    thread::sleep(SHORT);
    let waiting = clients.iter().filter(|client| !client.is_finished()).count();
    assert!(waiting >= CONNECTIONS / 2, "a backlog of 1 took {}", CONNECTIONS - waiting);
    let mut seen = [false; CONNECTIONS];
    for stream in listener.incoming().take(CONNECTIONS) {
        let mut byte = [0];
        stream.unwrap().read_exact(&mut byte).unwrap();
        seen[usize::from(byte[0])] = true;
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(seen, [true; CONNECTIONS]);
}

pub(crate) fn streams_time_out() {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    here.set_read_timeout(Some(SHORT)).unwrap();
    here.set_write_timeout(Some(SHORT)).unwrap();
    let start = Instant::now();
    would_block(here.read(&mut [0; 8]));
    assert!(start.elapsed() >= SHORT - Duration::from_millis(1));
    let error = loop {
        if let Err(error) = here.write(&[1; 4096]) {
            break error;
        }
    };
    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    let mut all = vec![0; 1 << 20];
    assert!(there.read(&mut all).unwrap() > 0);
    for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
        assert_eq!(set(&here, Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::InvalidInput);
        set(&here, Some(LONG)).unwrap();
    }
    assert_eq!(here.read_timeout().unwrap(), Some(LONG));
    assert_eq!(here.try_clone().unwrap().write_timeout().unwrap(), Some(LONG));
}

pub(crate) fn streams_do_not_wait() {
    let (here, there) = UnixStream::pair().unwrap();
    let clone = here.try_clone().unwrap();
    here.set_nonblocking(true).unwrap();
    would_block((&clone).read(&mut [0; 8]));
    let error = loop {
        if let Err(error) = (&here).write(&[1; 4096]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    clone.set_nonblocking(false).unwrap();
    let writes = thread::spawn(move || {
        thread::sleep(SHORT);
        (&there).write_all(b"late").unwrap();
    });
    assert_eq!((&here).read(&mut [0; 8]).unwrap(), 4);
    writes.join().unwrap();
}

pub(crate) fn stream_clones() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut clone = here.try_clone().unwrap();
    assert_ne!(clone.as_raw_fd(), here.as_raw_fd());
    drop(here);
    clone.write_all(b"abc").unwrap();
    drop(clone);
    let mut text = String::new();
    there.read_to_string(&mut text).unwrap();
    assert_eq!(text, "abc");
}

pub(crate) fn several_buffers() {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let reads = thread::spawn(move || {
        let (mut a, mut b) = ([0; 2], [0; 8]);
        let count = there.read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]);
        (a, b, count.unwrap())
    });
    thread::sleep(SHORT);
    let text = [&b"he"[..], b"", b"ll", b"o"].map(IoSlice::new);
    assert_eq!(here.write_vectored(&text).unwrap(), 5);
    assert_eq!(reads.join().unwrap(), (*b"he", *b"llo\0\0\0\0\0", 5));
}

pub(crate) fn shutting_down() {
    let (here, there) = UnixStream::pair().unwrap();
    let reader = here.try_clone().unwrap();
    let reads = thread::spawn(move || (&reader).read(&mut [0; 8]));
    let writer = there.try_clone().unwrap();
    let writes = thread::spawn(move || {
        loop {
            if let Err(error) = (&writer).write(&[1; 4096]) {
                break error;
            }
        }
    });
    thread::sleep(SHORT);
    let got = reads.join().unwrap().unwrap();
    assert_eq!(got, 8);
    let reads = thread::spawn(move || (&there).read(&mut [0; 8]));
    thread::sleep(SHORT);
    here.shutdown(Shutdown::Write).unwrap();
    assert_eq!(reads.join().unwrap().unwrap(), 0);
    here.shutdown(Shutdown::Read).unwrap();
    assert_eq!(writes.join().unwrap().kind(), ErrorKind::BrokenPipe);
}

pub(crate) fn a_slow_reader() {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let writes = thread::spawn(move || here.write_all(&vec![3; 4 << 20]));
    let mut got = 0;
    let mut buffer = vec![0; 50_000];
    loop {
        match there.read(&mut buffer).unwrap() {
            0 => break,
            count => got += count,
        }
        if got % 7 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    writes.join().unwrap().unwrap();
    assert_eq!(got, 4 << 20);
}

pub(crate) fn listeners() {
    let (_, address) = abstract_name();
    let listener = UnixListener::bind_addr(&address).unwrap();
    assert!(listener.take_error().unwrap().is_none());
    let clone = listener.try_clone().unwrap();
    clone.set_nonblocking(true).unwrap();
    would_block(listener.accept());
    listener.set_nonblocking(false).unwrap();
    let connects = thread::spawn(move || {
        thread::sleep(SHORT);
        (0..3).map(|_| UnixStream::connect_addr(&address).unwrap()).collect::<Vec<_>>()
    });
    for stream in (&clone).into_iter().take(3) {
        assert!(stream.unwrap().local_addr().unwrap().as_abstract_name().is_some());
    }
    connects.join().unwrap();
}

fn is_nonblocking(fd: &OwnedFd) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) & libc::O_NONBLOCK != 0 }
}

pub(crate) fn descriptors_keep_their_modes() {
    let (_, address) = abstract_name();
    let fd = OwnedFd::from(UnixListener::bind_addr(&address).unwrap());
    assert!(!is_nonblocking(&fd));
    let listener = UnixListener::from(fd);
    let stream = UnixStream::connect_addr(&address).unwrap();
    let (peer, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    peer.set_nonblocking(true).unwrap();
    listener.set_nonblocking(true).unwrap();
    let stream = UnixStream::from(OwnedFd::from(stream));
    let peer = UnixStream::from(OwnedFd::from(peer));
    let listener = UnixListener::from(OwnedFd::from(listener));
    assert_eq!(stream.read_timeout().unwrap(), Some(LONG));
    would_block((&peer).read(&mut [0; 8]));
    would_block(listener.accept());
    assert!(!is_nonblocking(&stream.into()));
    let (datagram, _other) = UnixDatagram::pair().unwrap();
    datagram.set_nonblocking(true).unwrap();
    let datagram = UnixDatagram::from(OwnedFd::from(datagram));
    would_block(datagram.recv(&mut [0; 8]));
}

pub(crate) fn datagrams() {
    let (here, there) = UnixDatagram::pair().unwrap();
    assert!(here.local_addr().unwrap().is_unnamed() && here.peer_addr().unwrap().is_unnamed());
    for text in [&b"one"[..], b"", b"three"] {
        assert_eq!(here.send(text).unwrap(), text.len());
    }
    let mut bytes = [0; 4];
    assert_eq!(there.recv(&mut bytes).unwrap(), 3);
    assert_eq!(there.recv(&mut bytes).unwrap(), 0);
    assert_eq!(there.recv(&mut bytes).unwrap(), 4);
    assert_eq!(&bytes, b"thre");
    let clone = there.try_clone().unwrap();
    let waits = thread::spawn(move || {
        let mut bytes = [0; 8];
        let (count, from) = clone.recv_from(&mut bytes).unwrap();
        (count, bytes, from.is_unnamed())
    });
    thread::sleep(SHORT);
    here.send(b"late").unwrap();
    assert_eq!(waits.join().unwrap(), (4, *b"late\0\0\0\0", true));
}

pub(crate) fn datagram_names() {
    let folder = Folder::new();
    let (path, other) = (folder.join("receiver"), folder.join("sender"));
    let receiver = UnixDatagram::bind(&path).unwrap();
    assert_eq!(receiver.local_addr().unwrap().as_pathname(), Some(&*path));
    let (name, address) = abstract_name();
    let senders = [
        UnixDatagram::bind(&other).unwrap(),
        UnixDatagram::bind_addr(&address).unwrap(),
        UnixDatagram::unbound().unwrap(),
    ];
    let waits = thread::spawn({
        let receiver = receiver.try_clone().unwrap();
        move || {
            // The first is waited for, the others are there.
            let mut from = vec![receiver.recv_from(&mut [0; 8]).unwrap()];
            thread::sleep(2 * SHORT);
            from.extend((0..2).map(|_| receiver.recv_from(&mut [0; 8]).unwrap()));
            from
        }
    });
    thread::sleep(SHORT);
    for sender in &senders {
        assert_eq!(sender.send_to(b"hello", &path).unwrap(), 5);
    }
    let from = waits.join().unwrap();
    assert!(from.iter().all(|(count, _)| *count == 5));
    assert_eq!(from[0].1.as_pathname(), Some(&*other));
    assert_eq!(from[1].1.as_abstract_name(), Some(name.as_bytes()));
    assert!(from[2].1.is_unnamed());
    // An answer.
    assert_eq!(receiver.send_to_addr(b"yes", &from[1].1).unwrap(), 3);
    assert_eq!(senders[1].recv(&mut [0; 8]).unwrap(), 3);
    assert_eq!(UnixDatagram::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
}

pub(crate) fn connected_datagrams() {
    let (name, address) = abstract_name();
    let receiver = UnixDatagram::bind_addr(&address).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    assert_eq!(sender.send(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(sender.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    sender.connect_addr(&address).unwrap();
    assert_eq!(sender.peer_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
    sender.send(b"hello").unwrap();
    assert_eq!(receiver.recv(&mut [0; 8]).unwrap(), 5);
    let folder = Folder::new();
    let path = folder.join("receiver");
    let _receiver = UnixDatagram::bind(&path).unwrap();
    sender.connect(&path).unwrap();
    assert_eq!(sender.peer_addr().unwrap().as_pathname(), Some(&*path));
    sender.shutdown(Shutdown::Write).unwrap();
    assert_eq!(sender.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

/// Whoever sends waits until the receiver has made room, connected or not.
pub(crate) fn a_receiver_without_room() {
    const COUNT: usize = 300;
    for is_connected in [true, false] {
        let (_, address) = abstract_name();
        let receiver = UnixDatagram::bind_addr(&address).unwrap();
        let sends = thread::spawn(move || {
            let sender = UnixDatagram::unbound().unwrap();
            if is_connected {
                sender.connect_addr(&address).unwrap();
            }
            for n in 0..COUNT {
                let text = n.to_string();
                let sent = match is_connected {
                    true => sender.send(text.as_bytes()),
                    false => sender.send_to_addr(text.as_bytes(), &address),
                };
                assert_eq!(sent.unwrap(), text.len());
            }
        });
        thread::sleep(SHORT);
        assert!(!sends.is_finished(), "there was room for {COUNT}");
        for n in 0..COUNT {
            let mut bytes = [0; 8];
            let count = receiver.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..count], n.to_string().as_bytes());
            if n % 50 == 0 {
                thread::sleep(Duration::from_millis(3));
            }
        }
        sends.join().unwrap();
    }
}

pub(crate) fn datagrams_time_out() {
    let (_, address) = abstract_name();
    let receiver = UnixDatagram::bind_addr(&address).unwrap();
    receiver.set_read_timeout(Some(SHORT)).unwrap();
    let start = Instant::now();
    would_block(receiver.recv_from(&mut [0; 8]));
    would_block(receiver.recv(&mut [0; 8]));
    assert!(start.elapsed() >= 2 * (SHORT - Duration::from_millis(1)));
    for is_connected in [true, false] {
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_write_timeout(Some(SHORT)).unwrap();
        if is_connected {
            sender.connect_addr(&address).unwrap();
        }
        let (start, error) = loop {
            let start = Instant::now();
            let sent = match is_connected {
                true => sender.send(b"x"),
                false => sender.send_to_addr(b"x", &address),
            };
            if let Err(error) = sent {
                break (start, error);
            }
        };
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        assert!(start.elapsed() >= SHORT - Duration::from_millis(1));
    }
    for set in [UnixDatagram::set_read_timeout, UnixDatagram::set_write_timeout] {
        let error = set(&receiver, Some(Duration::ZERO)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        set(&receiver, Some(LONG)).unwrap();
    }
    let clone = receiver.try_clone().unwrap();
    assert_eq!((clone.read_timeout().unwrap(), clone.write_timeout().unwrap()), (Some(LONG), Some(LONG)));
}

pub(crate) fn datagrams_do_not_wait() {
    let (_, address) = abstract_name();
    let receiver = UnixDatagram::bind_addr(&address).unwrap();
    receiver.set_nonblocking(true).unwrap();
    would_block(receiver.recv(&mut [0; 8]));
    would_block(receiver.recv_from(&mut [0; 8]));
    for is_connected in [true, false] {
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_nonblocking(true).unwrap();
        if is_connected {
            sender.connect_addr(&address).unwrap();
        }
        let error = loop {
            let sent = match is_connected {
                true => sender.send(b"x"),
                false => sender.send_to_addr(b"x", &address),
            };
            if let Err(error) = sent {
                break error;
            }
        };
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    }
    assert!(receiver.take_error().unwrap().is_none());
}

pub(crate) fn datagram_errors() {
    let folder = Folder::new();
    let path = folder.join("receiver");
    let sender = UnixDatagram::unbound().unwrap();
    assert_eq!(sender.send_to(b"x", &path).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sender.connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
    let receiver = UnixDatagram::bind(&path).unwrap();
    let error = sender.send_to(&vec![0; 16 << 20], &path).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    drop(receiver);
    assert_eq!(sender.send_to(b"x", &path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

pub(crate) fn debug_output() {
    let (here, _there) = UnixStream::pair().unwrap();
    let (text, fd) = (format!("{here:?}"), here.as_raw_fd());
    assert!(text.starts_with("UnixStream { fd: ") && text.contains(&format!("fd: {fd}")), "{text}");
    assert!(text.ends_with(", local: (unnamed), peer: (unnamed) }"), "{text}");
    let (name, address) = abstract_name();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let text = format!("{listener:?}");
    assert!(text.starts_with("UnixListener { fd: "), "{text}");
    assert!(text.ends_with(&format!(", local: {name:?} (abstract) }}")), "{text}");
    let text = format!("{:?}", UnixDatagram::unbound().unwrap());
    assert!(text.starts_with("UnixDatagram { fd: ") && text.ends_with(", local: (unnamed) }"), "{text}");
}
