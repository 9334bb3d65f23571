//! Names: a look-up gives the core away, a number does not.
//!
//! On one core, without preemption: a thread that is ready runs when the one before waits or gives its core away, and not before.

use raddle::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket, lookup_host};
use raddle::thread;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Whether `body`, on a raddle thread, has let another one run.
fn lets_others_run(body: impl FnOnce() + Send + 'static) -> bool {
    // Another test may have been first.
    let _ = raddle::runtime::Builder::new().cores(1).preemption(false).start();
    let thread = thread::spawn(move || {
        let has_run = Arc::new(AtomicBool::new(false));
        let other = thread::spawn({
            let has_run = has_run.clone();
            move || has_run.store(true, SeqCst)
        });
        body();
        let result = has_run.load(SeqCst);
        other.join().unwrap();
        result
    });
    thread.join().unwrap()
}

/// The same, as soon as there is a spare worker to take the core: one may still be on its way.
fn lets_others_run_soon(body: fn()) -> bool {
    let patience = Instant::now() + Duration::from_secs(20);
    while !lets_others_run(body) {
        if Instant::now() > patience {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

#[test]
fn a_name_gives_the_core_away() {
    for _ in 0..20 {
        assert!(lets_others_run_soon(|| {
            assert!(("localhost", 80).to_socket_addrs().unwrap().all(|one| one.ip().is_loopback()));
        }));
        assert!(lets_others_run_soon(|| {
            drop(std::net::ToSocketAddrs::to_socket_addrs("localhost:1"));
        }));
        assert!(lets_others_run_soon(|| drop(lookup_host("localhost:1").unwrap())));
    }
}

#[test]
fn a_number_stays() {
    for _ in 0..20 {
        assert!(!lets_others_run(|| {
            for text in ["127.0.0.1:80", "[::1]:80", "255.255.255.255:65535"] {
                assert_eq!(lookup_host(text).unwrap().collect::<Vec<_>>(), [text.parse().unwrap()]);
            }
            assert_eq!(lookup_host(("10.0.0.1", 5)).unwrap().count(), 1);
            assert_eq!(lookup_host(&[][..]).unwrap().count(), 0);
        }));
    }
}

#[test]
fn what_is_unknown_is_stds_error() {
    let error_of = |result: io::Result<()>| result.unwrap_err();
    let name = ("no-such-name.invalid", 1);
    let std = error_of(std::net::TcpStream::connect(name).map(drop));
    let inside = thread::spawn(move || error_of(TcpStream::connect(name).map(drop)));
    for error in [
        inside.join().unwrap(),
        error_of(TcpStream::connect(name).map(drop)),
        error_of(UdpSocket::bind(name).map(drop)),
        error_of(lookup_host(name).map(drop)),
    ] {
        assert_eq!((error.kind(), error.to_string()), (std.kind(), std.to_string()));
    }
    assert_eq!(error_of(lookup_host("localhost").map(drop)).kind(), ErrorKind::InvalidInput);
}

#[test]
fn one_connects_by_name() {
    let Ok(listener) = TcpListener::bind("localhost:0") else {
        panic!("localhost has no address that can be listened on")
    };
    let port = listener.local_addr().unwrap().port();
    let connects = thread::spawn(move || {
        // The other family of it may be closed.
        TcpStream::connect(("localhost", port)).unwrap().peer_addr().unwrap()
    });
    assert_eq!(connects.join().unwrap(), listener.local_addr().unwrap());
}
