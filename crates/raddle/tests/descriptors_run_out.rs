//! A process that has taken its last descriptor: threads go on waiting for their sockets, on every core.

#![allow(unsafe_code, reason = "the limit")]

use raddle::net::{TcpListener, TcpStream};
use raddle::{runtime, thread};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn each_core_can_wait_when_no_descriptor_is_left() {
    let limit = libc::rlimit { rlim_cur: 200, rlim_max: 200 };
    // SAFETY: reads a limit that is there.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    runtime::Builder::new().cores(4).start().expect("this machine will do");
    let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = listener.local_addr().expect("it is bound");
    // Connected by the kernel, so that nobody waits: the queues are there because something was accepted.
    let _client = std::net::TcpStream::connect(address).expect("it listens");
    let accepted = thread::spawn(move || listener.accept().expect("somebody has come").0);
    let accepted: Arc<TcpStream> = Arc::new(accepted.join().expect("it accepts only"));
    accepted.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket of ours");
    let taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(File::open("/dev/null").is_err_and(|error| error.raw_os_error() == Some(libc::EMFILE)));
    let threads: Vec<_> = (0..64)
        .map(|_| {
            let stream = accepted.clone();
            thread::spawn(move || {
                // Busy for a moment, so that other cores take some.
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(2) {
                    std::hint::spin_loop();
                }
                (&*stream).read(&mut [0]).expect_err("nobody has written").kind()
            })
        })
        .collect();
    let kinds: Vec<ErrorKind> =
        threads.into_iter().map(|one| one.join().expect("it reads only")).collect();
    drop(taken);
    assert!(kinds.iter().all(|kind| *kind == ErrorKind::WouldBlock), "{kinds:?}");
}
