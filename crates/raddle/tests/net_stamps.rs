//! Reads that say when what they have read came: by the kernel's clock, however late somebody reads.

mod net_kit;

use net_kit::{Company, Suite, Threads};
use raddle::net::{TcpListener, TcpStream};
use raddle::thread;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

/// So long after something was sent it is read.
const LATE: Duration = Duration::from_millis(20);
/// The kernel begins to stamp some time after the first socket has asked for it: a work item of its own sees to that.
const PATIENCE: Duration = Duration::from_secs(20);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    stream.set_timestamps(true).unwrap();
    assert!(stream.timestamps().unwrap() && !peer.timestamps().unwrap());
    (stream, peer)
}

/// The first stamp that `attempt` comes to. It is between when something was sent, and that and half of the time that its reader slept.
fn stamped(mut attempt: impl FnMut() -> (SystemTime, Option<SystemTime>)) {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let (before, Some(came)) = attempt() else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        assert!(came >= before, "it came {:?} before it was sent", before.duration_since(came));
        let took = came.duration_since(before).unwrap();
        if took < LATE / 2 {
            return;
        }
        eprintln!("somebody else had the processor: {took:?}");
    }
    panic!("the kernel stamps nothing, or when it is read");
}

fn a_read_says_when_it_came() {
    let (stream, mut peer) = pair();
    stamped(|| {
        let before = SystemTime::now();
        peer.write_all(b"well").unwrap();
        thread::sleep(LATE);
        let (count, came) = stream.read_stamped(&mut [0; 8]).unwrap();
        assert_eq!(count, 4);
        (before, came)
    });
    // One that waits.
    let mut peer_too = peer.try_clone().unwrap();
    let writer = thread::spawn(move || {
        thread::sleep(LATE);
        let before = SystemTime::now();
        peer_too.write_all(b"waited for").unwrap();
        before
    });
    let (count, came) = stream.read_stamped(&mut [0; 16]).unwrap();
    assert_eq!(count, 10);
    assert!(came.unwrap() >= writer.join().unwrap());
    drop(peer);
    assert_eq!(stream.read_stamped(&mut [0; 8]).unwrap(), (0, None));
}

/// Beside others that are ready it is one wait, elsewhere two: the same comes of it.
fn an_answer_says_when_it_came() {
    let (stream, mut peer) = pair();
    let company = Company::new();
    let echo = thread::spawn(move || {
        let mut bytes = [0; 4];
        while peer.read_exact(&mut bytes).is_ok() {
            peer.write_all(&bytes).unwrap();
        }
    });
    let asker = thread::spawn(move || {
        stamped(|| {
            let before = SystemTime::now();
            let (mut question, mut answer) = (&b"well"[..], [0; 8]);
            let (count, came) = stream.exchange_stamped(&mut question, &mut answer).unwrap();
            assert!(question.is_empty());
            assert_eq!(&answer[..count], b"well");
            assert!(came.is_none_or(|came| came <= SystemTime::now()));
            (before, came)
        });
    });
    asker.join().unwrap();
    echo.join().unwrap();
    company.end();
}

fn who_has_not_asked_is_told_nothing() {
    let (stream, mut peer) = pair();
    stream.set_timestamps(false).unwrap();
    for _ in 0..10 {
        peer.write_all(b"well").unwrap();
        let (count, came) = stream.read_stamped(&mut [0; 8]).unwrap();
        assert_eq!((count, came), (4, None));
    }
}

fn main() -> ExitCode {
    let suite = |name, threads| Suite {
        name,
        threads,
        cases: vec![
            ("a_read_says_when_it_came", a_read_says_when_it_came as fn()),
            ("an_answer_says_when_it_came", an_answer_says_when_it_came),
            ("who_has_not_asked_is_told_nothing", who_has_not_asked_is_told_nothing),
        ],
    };
    net_kit::main(vec![suite("raddle", Threads::Raddle), suite("kernel", Threads::Kernel)])
}
