//! Where a simulated host's network ends: names, descriptors, hosts that have none, sockets that leave their simulation.
#![allow(unsafe_code, reason = "asks libc for names")]

mod fake_host;

use fake_host::Settings;
use raddle::cancel::Token;
use raddle::host::Host;
use raddle::net::{
    TcpListener, TcpStream, ToSocketAddrs, UdpSocket, UnixDatagram, UnixListener, UnixStream,
    lookup_host,
};
use raddle::time::{Duration, Instant};
use raddle::{io, thread};
use std::ffi::CString;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SOON: Duration = Duration::from_millis(5);

fn far<T: Send + 'static>(program: fn() -> T) {
    (0..5).for_each(|seed| drop(Settings::with_distance(seed).run(program).result.unwrap()));
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("10.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (here, listener.accept().unwrap().0)
}

#[test]
fn names_are_the_hosts() {
    far(|| {
        let addresses: Vec<_> = lookup_host(("both.test", 80)).unwrap().collect();
        let expected = ["[fd00::1]:80", "10.0.0.1:80"].map(|text| text.parse().unwrap());
        assert_eq!(addresses, expected);
        // std's too.
        assert_eq!(std::net::ToSocketAddrs::to_socket_addrs("two.test:1").unwrap().count(), 1);
        let listener = TcpListener::bind("both.test:0").unwrap();
        assert!(listener.local_addr().unwrap().is_ipv6());
        let port = listener.local_addr().unwrap().port();
        let stream = TcpStream::connect(("both.test", port)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        // A question takes as long as it takes, and is not cut short.
        let start = Instant::now();
        assert!(("one.test", 80).to_socket_addrs().unwrap().eq(["10.0.0.1:80".parse().unwrap()]));
        assert!(start.elapsed() > Duration::ZERO && start.elapsed() < SOON);
        let error = lookup_host("nothing.test:1").map(drop).unwrap_err();
        assert!(error.to_string().contains("Name or service not known"), "{error}");
        let (start, token) = (Instant::now(), Token::new());
        token.cancel();
        let error = token.carry(|| lookup_host("unanswered.test:1").map(drop).unwrap_err());
        let error = error.unwrap().to_string();
        assert!(error.contains("Temporary failure in name resolution"), "{error}");
        assert!(start.elapsed() >= Duration::from_secs(5));
        // Numbers need nobody.
        let start = Instant::now();
        assert_eq!(lookup_host("203.0.113.1:1").unwrap().count(), 1);
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

/// What `getaddrinfo` says: addresses and ports.
fn ask(node: &str, service: &str, family: i32, kind: i32) -> Vec<String> {
    let (node, service) = (CString::new(node).unwrap(), CString::new(service).unwrap());
    // SAFETY: integers and pointers that may be null.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    (hints.ai_family, hints.ai_socktype) = (family, kind);
    // The machine's own addresses are nobody's business here.
    hints.ai_flags = libc::AI_ADDRCONFIG;
    let mut list = std::ptr::null_mut();
    // SAFETY: strings, hints, and a place for the result.
    let code = unsafe {
        libc::getaddrinfo(node.as_ptr(), service.as_ptr(), &raw const hints, &raw mut list)
    };
    let mut found = Vec::new();
    let mut next = list;
    // SAFETY: nodes of the list, whose addresses are of the family that they say, until it is freed.
    unsafe {
        while let Some(node) = next.as_ref() {
            assert!(family == libc::AF_UNSPEC || node.ai_family == family);
            found.push(match node.ai_family {
                libc::AF_INET => {
                    let it = *node.ai_addr.cast::<libc::sockaddr_in>();
                    let ip = std::net::Ipv4Addr::from(u32::from_be(it.sin_addr.s_addr));
                    format!("{ip} {}", u16::from_be(it.sin_port))
                }
                _ => {
                    let it = *node.ai_addr.cast::<libc::sockaddr_in6>();
                    let ip = std::net::Ipv6Addr::from(it.sin6_addr.s6_addr);
                    format!("{ip} {}", u16::from_be(it.sin6_port))
                }
            });
            next = node.ai_next;
        }
        if !list.is_null() {
            libc::freeaddrinfo(list);
        }
    }
    assert_eq!(code == 0, !found.is_empty(), "{code}");
    found
}

#[test]
fn who_asks_libc_for_names_gets_what_it_wished_for() {
    far(|| {
        const STREAM: i32 = libc::SOCK_STREAM;
        let all = ["fd00::1 443", "10.0.0.1 443"];
        assert_eq!(ask("both.test", "443", libc::AF_UNSPEC, STREAM), all);
        assert_eq!(ask("both.test", "443", libc::AF_INET, libc::SOCK_DGRAM), all[1..]);
        assert_eq!(ask("both.test", "443", libc::AF_INET6, STREAM), all[..1]);
        assert_eq!(ask("one.test", "443", libc::AF_INET6, STREAM), [""; 0]);
        // One for each kind.
        assert_eq!(ask("one.test", "443", libc::AF_UNSPEC, 0).len(), 3);
    });
}

/// What it panics with.
fn refused<T>(body: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(body)).map(drop).unwrap_err();
    payload.downcast_ref::<&str>().map(|text| (*text).to_owned()).unwrap_or_default()
}

#[test]
fn there_are_no_descriptors() {
    let outcome = Settings::new(1).run(|| {
        const SAYS: &str = "a simulated socket has no descriptor";
        let (here, there) = pair();
        let socket = UdpSocket::bind("10.0.0.1:0").unwrap();
        assert_eq!(refused(|| here.as_fd()), SAYS);
        assert_eq!(refused(|| socket.as_raw_fd()), SAYS);
        let text = format!("{here:?} {socket:?}");
        assert!(text.starts_with("TcpStream { addr: 10.0.0.1:") && !text.contains("fd"), "{text}");
        assert_eq!(refused(|| OwnedFd::from(socket)), SAYS);
        assert_eq!(refused(|| std::net::TcpStream::from(there)), SAYS);
        let sources: [(TcpListener, io::Interest); 0] = [];
        let error = io::poll(&sources, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    });
    outcome.result.unwrap();
}

#[test]
fn what_can_do_without_descriptors_does() {
    far(|| {
        let (mut here, mut there) = pair();
        let echoes = thread::spawn(move || {
            let mut reader = there.try_clone().unwrap();
            io::copy(&mut reader, &mut there).unwrap()
        });
        let all: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        let mut writer = here.try_clone().unwrap();
        let writes = thread::spawn({
            let all = all.clone();
            move || {
                let count = io::copy(&mut &all[..], &mut writer).unwrap();
                writer.shutdown(raddle::net::Shutdown::Write).unwrap();
                count
            }
        });
        let mut back = Vec::new();
        assert_eq!(io::copy(&mut here, &mut back).unwrap(), 300_000);
        assert!(back == all);
        assert_eq!((writes.join().unwrap(), echoes.join().unwrap()), (300_000, 300_000));
    });
}

#[test]
fn unix_sockets_are_none_of_the_hosts() {
    far(|| {
        let kinds = [
            UnixStream::pair().map(drop),
            UnixDatagram::pair().map(drop),
            UnixDatagram::unbound().map(drop),
            UnixListener::bind("/nowhere").map(drop),
            UnixStream::connect("/nowhere").map(drop),
        ]
        .map(|result| result.unwrap_err().kind());
        assert_eq!(kinds, [ErrorKind::Unsupported; 5]);
        let socket = UdpSocket::bind("10.0.0.1:0").unwrap();
        let group = "224.0.0.1".parse().unwrap();
        let error = socket.join_multicast_v4(&group, &"10.0.0.1".parse().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    });
}

/// A host with nothing but a clock.
struct Plain(AtomicU64);

impl Host for Plain {
    fn now_ns(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn choose(&self, _ready: usize) -> usize {
        0
    }

    fn wait_until(&self, deadline_ns: Option<u64>) -> bool {
        self.0.fetch_max(deadline_ns.unwrap_or(0), Relaxed);
        deadline_ns.is_some()
    }
}

#[test]
fn a_host_may_have_no_network() {
    let kinds = raddle::runtime::simulate(Box::new(Plain(AtomicU64::new(0))), || {
        [
            TcpListener::bind("127.0.0.1:0").map(drop),
            TcpStream::connect("127.0.0.1:1").map(drop),
            UdpSocket::bind("127.0.0.1:0").map(drop),
            UnixStream::pair().map(drop),
            lookup_host("localhost:1").map(drop),
        ]
        .map(|result| result.unwrap_err().kind())
    });
    assert_eq!(kinds.unwrap(), [ErrorKind::Unsupported; 5]);
}

#[test]
fn a_socket_that_leaves_its_simulation_does_not_wait_elsewhere() {
    let outcome = Settings::new(1).run(|| {
        let (here, mut there) = pair();
        there.write_all(b"before").unwrap();
        (here, there)
    });
    let (mut here, there) = outcome.result.unwrap();
    let in_vain = |here: &mut TcpStream| {
        let mut bytes = [0; 8];
        assert_eq!(here.read(&mut bytes).unwrap(), 6);
        assert_eq!(&bytes[..6], b"before");
        here.read(&mut bytes).unwrap_err()
    };
    let error = in_vain(&mut here);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("only in its simulation"), "{error}");
    // Nor does it on a thread of the live runtime's.
    let kind = thread::spawn(move || here.read(&mut [0; 8]).unwrap_err().kind()).join().unwrap();
    assert_eq!(kind, ErrorKind::Unsupported);
    drop(there);
}

#[test]
fn who_waits_for_nobody_is_stuck() {
    let outcome = Settings::with_distance(2).run(|| {
        let listener = TcpListener::bind("10.0.0.1:0").unwrap();
        listener.accept().map(drop)
    });
    assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Deadlock);
    assert_eq!(outcome.wakers, 1);
}

#[test]
fn sockets_of_the_kernels_are_no_part_of_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let outcome = Settings::new(1).run(move || {
        // The same address is another one here, and what was brought along can't wait.
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        TcpListener::from(listener).accept().unwrap_err().kind()
    });
    assert_eq!(outcome.result.unwrap(), ErrorKind::Unsupported);
}
