//! Sockets on a fake host: what its time, its seed and its edges do to programs over them.

mod fake_host;

use fake_host::{NOBODY, Outcome, Settings};
use raddle::cancel::{Cancelled, Token};
use raddle::net::{Shutdown, SocketAddr, SocketOptions, TcpListener, TcpStream, UdpSocket};
use raddle::time::{Duration, Instant, sleep, timeout};
use raddle::{io, thread};
use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};

const HOUR: Duration = Duration::from_secs(3600);
/// A packet is there by then, and an answer to it.
const SOON: Duration = Duration::from_millis(5);

/// Two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("10.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (here, listener.accept().unwrap().0)
}

/// On hosts of several seeds, whose packets take their time.
fn far<T: Send + 'static>(program: fn() -> T) {
    (0..10).for_each(|seed| drop(Settings::with_distance(seed).run(program).result.unwrap()));
}

fn is_about(passed: Duration, expected: Duration) -> bool {
    passed >= expected && passed < expected + SOON
}

/// An echo server with a thread for each connection, and clients that come, speak and go: which of them was answered when.
fn echo() -> Vec<(u32, u32)> {
    const CLIENTS: u32 = 20;
    let listener = TcpListener::bind("10.0.0.2:7").unwrap();
    let server = thread::spawn(move || {
        let serve = |stream: io::Result<TcpStream>| {
            let stream = stream.unwrap();
            thread::spawn(move || io::copy(&mut &stream, &mut &stream).unwrap())
        };
        let threads: Vec<_> = listener.incoming().take(CLIENTS as usize).map(serve).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    let answers = Arc::new(Mutex::new(Vec::new()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let answers = answers.clone();
            thread::spawn(move || {
                let mut stream = TcpStream::connect("10.0.0.2:7").unwrap();
                for round in 0..5 {
                    let message = [client as u8; 100];
                    stream.write_all(&message).unwrap();
                    let mut answer = [0; 100];
                    stream.read_exact(&mut answer).unwrap();
                    assert_eq!(answer, message);
                    answers.lock().unwrap().push((client, round));
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(server.join().unwrap(), u64::from(CLIENTS) * 500);
    Arc::into_inner(answers).unwrap().into_inner().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_packets_at_the_same_times_and_another_seed_others() {
    let mut all = Vec::new();
    for seed in 0..10 {
        for settings in [Settings::new(seed), Settings::with_distance(seed)] {
            let (one, other) = (settings.run(echo), settings.run(echo));
            assert_eq!(one.result.unwrap(), other.result.unwrap(), "{settings:?}");
            assert_eq!(one.trace, other.trace, "{settings:?}");
            assert_eq!(one.packets, other.packets, "{settings:?}");
            let bytes = one.packets.iter().filter(|packet| packet.what == "bytes");
            assert_eq!(bytes.map(|packet| packet.len).sum::<usize>(), 2 * 20 * 500);
            all.push((one.trace, one.packets));
        }
    }
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "different seeds gave the same");
}

#[test]
fn one_direction_ends_and_the_other_goes_on() {
    far(|| {
        let (mut here, mut there) = pair();
        let answers = thread::spawn(move || {
            let mut question = String::new();
            there.read_to_string(&mut question).unwrap();
            // The asker has ended its direction by now, and listens.
            sleep(HOUR);
            there.write_all(question.to_uppercase().as_bytes()).unwrap();
            there.shutdown(Shutdown::Write).unwrap();
            assert_eq!(
                there.shutdown(Shutdown::Write).unwrap_err().kind(),
                ErrorKind::NotConnected
            );
        });
        here.write_all(b"who is ").unwrap();
        here.write_all(b"there?").unwrap();
        here.shutdown(Shutdown::Write).unwrap();
        assert_eq!(here.write(b"!").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut answer = String::new();
        here.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "WHO IS THERE?");
        answers.join().unwrap();
    });
}

#[test]
fn who_leaves_without_having_read_resets() {
    far(|| {
        let (mut here, there) = pair();
        here.write_all(b"unread").unwrap();
        sleep(SOON);
        drop(there);
        assert_eq!(here.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(here.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(here.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        // What comes to somebody who has left is answered with a reset.
        let (mut here, there) = pair();
        drop(there);
        sleep(SOON);
        assert_eq!(here.write(b"late").unwrap(), 4);
        sleep(SOON);
        assert_eq!(here.write(b"later").unwrap_err().kind(), ErrorKind::BrokenPipe);
        // And who has connected, but was never accepted.
        let listener = TcpListener::bind("10.0.0.1:0").unwrap();
        let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(listener);
        assert_eq!(here.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn time_outs_are_the_hosts_time() {
    let real = std::time::Instant::now();
    far(|| {
        let (mut here, mut there) = pair();
        here.set_read_timeout(Some(HOUR)).unwrap();
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(here.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        let passed = start.elapsed();
        assert!(passed >= 100 * HOUR && passed < 100 * (HOUR + SOON), "{passed:?}");
        // One that comes in time is read.
        let writes = thread::spawn(move || {
            sleep(HOUR / 2);
            there.write_all(b"x").unwrap();
            there
        });
        assert_eq!(here.read(&mut [0; 8]).unwrap(), 1);
        let (socket, start) = (UdpSocket::bind("10.0.0.1:0").unwrap(), Instant::now());
        socket.set_read_timeout(Some(HOUR)).unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(is_about(start.elapsed(), HOUR));
        // Whichever is sooner.
        assert!(timeout(HOUR / 2, || socket.peek_from(&mut [0; 8])).is_err());
        assert!(timeout(2 * HOUR, || socket.peek_from(&mut [0; 8])).unwrap().is_err());
        assert!(is_about(start.elapsed(), HOUR + HOUR / 2 + HOUR));
        writes.join().unwrap();
    });
    assert!(real.elapsed() < Duration::from_secs(60), "hours took {:?}", real.elapsed());
}

#[test]
fn nobody_answers() {
    far(|| {
        let nobody = SocketAddr::from((NOBODY, 80));
        let start = Instant::now();
        let error = TcpStream::connect_timeout(&nobody, Duration::from_secs(10)).unwrap_err();
        assert_eq!(error.to_string(), "connection timed out");
        assert!(is_about(start.elapsed(), Duration::from_secs(10)));
        // Without one the host gives up, as the kernel does after its attempts.
        let start = Instant::now();
        let error = TcpStream::connect(nobody).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT));
        assert!(is_about(start.elapsed(), Duration::from_secs(127)));
        let error = TcpStream::connect("203.0.113.1:80").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
        let start = Instant::now();
        let error = TcpStream::connect("10.0.0.1:80").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(start.elapsed() > Duration::ZERO && start.elapsed() < SOON);
    });
}

#[test]
fn tokens_reach_every_wait_and_nothing_is_lost() {
    far(|| {
        let (here, mut there) = pair();
        let listener = TcpListener::bind("10.0.0.1:0").unwrap();
        let nobody = SocketAddr::from((NOBODY, 80));
        let datagrams = UdpSocket::bind("10.0.0.1:0").unwrap();
        let waits: [&(dyn Fn() + Sync); 5] = [
            &|| drop((&here).read(&mut [0; 8])),
            &|| while (&here).write(&[1; 5000]).is_ok() {},
            &|| drop(listener.accept()),
            &|| drop(TcpStream::connect(nobody)),
            &|| drop(datagrams.recv(&mut [0; 8])),
        ];
        for wait in waits {
            let (token, start) = (Token::new(), Instant::now());
            let waited = thread::scope(|scope| {
                let waits = scope.spawn(|| token.carry(wait));
                sleep(Duration::from_millis(100));
                token.cancel();
                waits.join().unwrap()
            });
            assert_eq!(waited, Err(Cancelled));
            assert!(is_about(start.elapsed(), Duration::from_millis(100)));
        }
        // The sockets are as before.
        there.write_all(b"still here").unwrap();
        let mut text = [0; 10];
        (&here).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"still here");
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.accept().unwrap();
        datagrams.send_to(b"to myself", datagrams.local_addr().unwrap()).unwrap();
        assert_eq!(datagrams.recv(&mut [0; 16]).unwrap(), 9);
    });
}

#[test]
fn who_gives_up_leaves_no_waker_behind() {
    let Outcome { result, wakers, .. } = Settings::with_distance(1).run(|| {
        let (mut here, there) = pair();
        here.set_read_timeout(Some(SOON)).unwrap();
        for _ in 0..100 {
            assert!(here.read(&mut [0; 8]).is_err());
            assert!(timeout(SOON / 2, || here.peek(&mut [0; 8])).is_err());
        }
        // Main takes both along: they are not closed.
        (here, there)
    });
    let _ends = result.unwrap();
    assert_eq!(wakers, 0);
}

#[test]
fn a_signal_is_heard_and_the_read_goes_on() {
    use raddle::thread::signal::{Handler, Signal, set_handler};
    far(|| {
        let (mut here, mut there) = pair();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let reads = thread::spawn({
            let heard = heard.clone();
            move || {
                let note = Handler::new(move |_| heard.lock().unwrap().push(Instant::now()));
                set_handler(Signal::USR1, Some(note));
                here.read(&mut [0; 8]).unwrap()
            }
        });
        sleep(SOON);
        reads.thread().send_signal(Signal::USR1).unwrap();
        sleep(HOUR);
        assert_eq!(heard.lock().unwrap().len(), 1);
        there.write_all(b"abc").unwrap();
        assert_eq!(reads.join().unwrap(), 3);
    });
}

#[test]
fn writers_wait_for_who_reads_slowly() {
    far(|| {
        let (mut here, mut there) = pair();
        let most = here.send_buffer_size().unwrap() + there.recv_buffer_size().unwrap();
        let written = Arc::new(Mutex::new(0));
        let writes = thread::spawn({
            let written = written.clone();
            move || {
                for _ in 0..1000 {
                    *written.lock().unwrap() += here.write(&[9; 1000]).unwrap();
                }
            }
        });
        sleep(HOUR);
        assert_eq!(*written.lock().unwrap(), most);
        let mut read = 0;
        let mut buffer = [0; 3000];
        loop {
            match there.read(&mut buffer).unwrap() {
                0 => break,
                count => read += count,
            }
            sleep(SOON);
            assert!(*written.lock().unwrap() <= read + most);
        }
        writes.join().unwrap();
        assert_eq!(*written.lock().unwrap(), read);
    });
}

#[test]
fn datagrams_wait_for_those_before_them_to_be_gone() {
    let outcome = Settings::with_distance(3).run(|| {
        let socket = SocketOptions::new().send_buffer_size(5000).bind_udp("10.0.0.1:0").unwrap();
        let to = UdpSocket::bind("10.0.0.2:0").unwrap().local_addr().unwrap();
        socket.set_nonblocking(true).unwrap();
        let sends = || socket.send_to(&[1; 5000], to);
        assert_eq!((sends().unwrap(), sends().unwrap()), (5000, 5000));
        assert_eq!(sends().unwrap_err().kind(), ErrorKind::WouldBlock);
        socket.set_nonblocking(false).unwrap();
        socket.set_write_timeout(Some(Duration::from_nanos(1))).unwrap();
        assert_eq!(sends().unwrap_err().kind(), ErrorKind::WouldBlock);
        socket.set_write_timeout(None).unwrap();
        let start = Instant::now();
        assert_eq!(sends().unwrap(), 5000);
        start.elapsed()
    });
    let waited = outcome.result.unwrap();
    assert!(waited > Duration::ZERO && waited < SOON, "{waited:?}");
}

#[test]
fn addresses_are_given_and_refused_as_by_a_kernel() {
    far(|| {
        let listener = TcpListener::bind("10.0.0.1:80").unwrap();
        let error_of = |result: io::Result<TcpListener>| result.unwrap_err().kind();
        assert_eq!(error_of(TcpListener::bind("10.0.0.1:80")), ErrorKind::AddrInUse);
        assert_eq!(error_of(TcpListener::bind("0.0.0.0:80")), ErrorKind::AddrInUse);
        assert_eq!(error_of(TcpListener::bind("203.0.113.1:0")), ErrorKind::AddrNotAvailable);
        let other = TcpListener::bind("10.0.0.2:80").unwrap();
        UdpSocket::bind("10.0.0.1:80").unwrap();
        // Where it comes from may be chosen.
        let from = "10.0.0.2:5000".parse().unwrap();
        let stream = SocketOptions::new().from_addr(from).connect("10.0.0.1:80").unwrap();
        assert_eq!((stream.local_addr().unwrap(), listener.accept().unwrap().1), (from, from));
        let ports: Vec<_> = (0..50)
            .map(|_| TcpStream::connect("10.0.0.2:80").unwrap().local_addr().unwrap().port())
            .collect();
        assert!(ports.iter().all(|port| *port >= 49152), "{ports:?}");
        drop((listener, other));
        let all = TcpListener::bind("0.0.0.0:80").unwrap();
        for to in ["127.0.0.1:80", "127.9.9.9:80", "10.0.0.2:80", "0.0.0.0:80"] {
            TcpStream::connect(to).unwrap();
            assert!(all.accept().unwrap().1.port() >= 49152);
        }
        // Several share one that wish to.
        let options = SocketOptions::new().reuse_port(true);
        let two = [(); 2].map(|()| options.listen("10.0.0.1:90").unwrap());
        let streams: Vec<_> = (0..64).map(|_| TcpStream::connect("10.0.0.1:90").unwrap()).collect();
        let counts = two.each_ref().map(|listener| {
            listener.set_nonblocking(true).unwrap();
            std::iter::from_fn(|| listener.accept().ok()).count()
        });
        assert_eq!(counts.iter().sum::<usize>(), streams.len());
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    });
}

#[test]
fn a_listener_at_the_limit_pauses_and_goes_on() {
    let settings = Settings { sockets_max: 12, ..Settings::with_distance(5) };
    let start = std::time::Instant::now();
    let served = settings.run(|| {
        const CLIENTS: usize = 5;
        let listener = TcpListener::bind("10.0.0.1:80").unwrap();
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| TcpStream::connect("10.0.0.1:80").unwrap()).collect();
        let more = [(); 6].map(|()| UdpSocket::bind("10.0.0.1:0").unwrap());
        assert_eq!(listener.accept().unwrap_err().raw_os_error(), Some(libc::EMFILE));
        assert_eq!(UdpSocket::bind("10.0.0.1:0").unwrap_err().raw_os_error(), Some(libc::EMFILE));
        let serves = thread::spawn(move || {
            listener.incoming().take(CLIENTS).map(|stream| drop(stream.unwrap())).count()
        });
        sleep(HOUR);
        drop(more);
        drop(clients);
        serves.join().unwrap()
    });
    assert_eq!(served.result.unwrap(), 5);
    assert!(start.elapsed() < Duration::from_secs(60));
}
