//! Operations in flight that are cut short, by time-outs, deadlines and tokens: nothing is lost, and no buffer is written afterwards.

mod net_kit;

use net_kit::{Suite, Threads};
use raddle::cancel::{Cancelled, Token};
use raddle::net::{
    SocketOptions, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
};
use raddle::thread;
use raddle::time::{sleep, timeout};
use raddle_core::random::Random;
use std::io::{self, ErrorKind, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// What a buffer holds that nobody writes to.
const UNTOUCHED: u8 = 0xa5;
/// How the reads of one run are cut short, in turn.
const ROUNDS: usize = 400;

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (here, listener.accept().unwrap().0)
}

fn short(random: &mut Random) -> Duration {
    Duration::from_micros(50 + random.below(1500))
}

/// Now and then for longer than the other side will wait, also on a busy machine.
fn short_or_long(random: &mut Random) -> Duration {
    if random.one_in(4) { Duration::from_millis(5) } else { short(random) }
}

fn seed() -> u64 {
    let seed = std::env::var("RADDLE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("RADDLE_SEED={seed}");
    seed
}

/// Cuts `read` short in one of three ways; `None` if that came first.
fn cut_short(
    kind: usize,
    after: Duration,
    read: impl FnOnce() -> io::Result<usize>,
) -> Option<usize> {
    let result = match kind % 3 {
        // The socket's own time-out.
        0 => read(),
        1 => match timeout(after, read) {
            Ok(result) => result,
            Err(_) => return None,
        },
        _ => {
            let token = Token::new();
            let canceller = thread::spawn({
                let token = token.clone();
                move || {
                    sleep(after);
                    token.cancel();
                }
            });
            let result = token.carry(read);
            canceller.join().unwrap();
            match result {
                Ok(result) => result,
                Err(Cancelled) => return None,
            }
        }
    };
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        result => Some(result.unwrap()),
    }
}

/// Reads a stream of numbers that comes at random moments, cutting reads short at others. Every byte comes once, and where nothing was
/// read the buffer stays as it was, long after.
fn read_all(
    mut reader: impl Read,
    set_timeout: impl Fn(Option<Duration>),
    mut writer: impl Write + Send + 'static,
) {
    let seed = seed();
    let writes = thread::spawn(move || {
        let mut random = Random::from_seed(seed);
        let mut next = 0u8;
        for _ in 0..ROUNDS {
            sleep(short(&mut random));
            let bytes: Vec<u8> = (0..=random.below(20))
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            writer.write_all(&bytes).unwrap();
        }
    });
    let mut random = Random::from_seed(seed + 1);
    let mut expected = 0u8;
    let mut cuts = 0;
    // Buffers of reads that were cut short stay under watch.
    let mut watched: Vec<Box<[u8; 64]>> = Vec::new();
    for round in 0.. {
        let mut buffer = Box::new([UNTOUCHED; 64]);
        let after = short(&mut random);
        set_timeout((round % 3 == 0).then_some(after));
        let is_vectored = round % 2 == 0;
        let count = cut_short(round, after, || {
            if is_vectored {
                let (one, other) = buffer.split_at_mut(7);
                reader.read_vectored(&mut [IoSliceMut::new(one), IoSliceMut::new(other)])
            } else {
                reader.read(&mut buffer[..])
            }
        });
        let Some(count) = count else {
            cuts += 1;
            watched.push(buffer);
            continue;
        };
        if count == 0 {
            break;
        }
        for byte in &buffer[..count] {
            expected = expected.wrapping_add(1);
            assert_eq!(*byte, expected);
        }
        assert_eq!(buffer[count..], [UNTOUCHED; 64][count..]);
    }
    writes.join().unwrap();
    assert!(cuts > 20, "only {cuts} reads were cut short");
    assert!(watched.iter().all(|buffer| **buffer == [UNTOUCHED; 64]));
}

fn tcp_reads() {
    let (here, there) = tcp_pair();
    let reader = here.try_clone().unwrap();
    read_all(reader, |timeout| here.set_read_timeout(timeout).unwrap(), there);
}

fn unix_reads() {
    let (here, there) = UnixStream::pair().unwrap();
    let reader = here.try_clone().unwrap();
    read_all(reader, |timeout| here.set_read_timeout(timeout).unwrap(), there);
}

/// Each datagram comes once, with its sender, or stays.
fn datagrams() {
    let seed = seed();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = sender.local_addr().unwrap();
    let sends = thread::spawn(move || {
        let mut random = Random::from_seed(seed);
        for n in 0..ROUNDS as u32 {
            sleep(short(&mut random));
            sender.send_to(&n.to_le_bytes(), address).unwrap();
        }
        sender.send_to(b"", address).unwrap();
    });
    let mut random = Random::from_seed(seed + 1);
    let mut watched: Vec<Box<[u8; 16]>> = Vec::new();
    let mut expected = 0u32;
    for round in 0.. {
        let mut buffer = Box::new([UNTOUCHED; 16]);
        let after = short(&mut random);
        receiver.set_read_timeout((round % 3 == 0).then_some(after)).unwrap();
        let count = cut_short(round, after, || match round % 4 {
            0 => receiver.peek(&mut buffer[..]).and_then(|_| receiver.recv(&mut buffer[..])),
            1 => receiver.recv(&mut buffer[..]),
            _ => receiver.recv_from(&mut buffer[..]).map(|(count, sender)| {
                assert_eq!(sender, from);
                count
            }),
        });
        match count {
            None => watched.push(buffer),
            Some(0) => break,
            Some(count) => {
                assert_eq!(buffer[..count], expected.to_le_bytes());
                assert_eq!(buffer[count..], [UNTOUCHED; 16][count..]);
                expected += 1;
            }
        }
    }
    sends.join().unwrap();
    assert_eq!(expected as usize, ROUNDS);
    assert!(watched.len() > 20, "only {} were cut short", watched.len());
    assert!(watched.iter().all(|buffer| **buffer == [UNTOUCHED; 16]));
}

/// What was written is what the calls that returned have said.
fn writes() {
    let seed = seed();
    // The kernel would take megabytes at once, and never be full.
    const ROOM: usize = 64 * 1024;
    let listener = SocketOptions::new().recv_buffer_size(ROOM).listen("127.0.0.1:0").unwrap();
    let mut here = SocketOptions::new()
        .send_buffer_size(ROOM)
        .connect(listener.local_addr().unwrap())
        .unwrap();
    let (mut there, _) = listener.accept().unwrap();
    let reads = thread::spawn(move || {
        let mut random = Random::from_seed(seed);
        let mut buffer = vec![0; 20_000];
        let (mut total, mut next) = (0u64, 0u8);
        loop {
            sleep(short_or_long(&mut random));
            let count = there.read(&mut buffer).unwrap();
            if count == 0 {
                return total;
            }
            for byte in &buffer[..count] {
                assert_eq!(*byte, next);
                next = next.wrapping_add(1);
            }
            total += count as u64;
        }
    });
    let mut random = Random::from_seed(seed + 1);
    let mut written = 0u64;
    let mut cuts = 0;
    // Where others have the processors most of the time the reader keeps up for long, and writes need not wait.
    for round in 0..10 * ROUNDS {
        if round >= ROUNDS && cuts > 10 {
            break;
        }
        let bytes: Vec<u8> = (0..200_000).map(|n| (written + n) as u8).collect();
        let after = short(&mut random);
        here.set_write_timeout((round % 3 == 0).then_some(after)).unwrap();
        match cut_short(round, after, || here.write(&bytes)) {
            Some(count) => written += count as u64,
            None => cuts += 1,
        }
    }
    drop(here);
    assert_eq!(reads.join().unwrap(), written);
    assert!(cuts > 10, "only {cuts} writes were cut short");
}

/// Each connection is accepted once.
fn accepts() {
    const CONNECTIONS: usize = 100;
    let seed = seed();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connects = thread::spawn(move || {
        let mut random = Random::from_seed(seed);
        for n in 0..CONNECTIONS {
            sleep(short_or_long(&mut random));
            TcpStream::connect(address).unwrap().write_all(&[n as u8]).unwrap();
        }
    });
    let mut random = Random::from_seed(seed + 1);
    let (mut next, mut cuts) = (0, 0);
    let mut round = 0;
    while next < CONNECTIONS {
        round += 1;
        // Listeners have no time-outs of their own.
        let kind = 1 + round % 2;
        let mut stream = None;
        let is_there = cut_short(kind, short(&mut random), || {
            stream = Some(listener.accept()?.0);
            Ok(1)
        });
        match (is_there, stream) {
            (Some(_), Some(mut stream)) => {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                assert_eq!(usize::from(byte[0]), next);
                next += 1;
            }
            (None, None) => cuts += 1,
            odd => panic!("{odd:?}"),
        }
    }
    connects.join().unwrap();
    assert!(cuts > 10, "only {cuts} were cut short");
}

/// A Unix name that nobody else has.
fn name(of: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(format!("raddle-{of}-{}", std::process::id())).unwrap()
}

/// One token ends whatever its threads wait for.
fn every_wait() {
    let short = Duration::from_millis(20);
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = full.local_addr().unwrap();
    let full_unix = UnixListener::bind_addr(&name("full")).unwrap();
    for listener in [full.as_raw_fd(), full_unix.as_raw_fd()] {
        // SAFETY: no memory is involved.
        assert_eq!(unsafe { libc::listen(listener, 0) }, 0);
    }
    let mut in_line = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, short) {
        in_line.push(stream);
    }
    let _in_line = UnixStream::connect_addr(&name("full")).unwrap();
    let (silent, _peer) = tcp_pair();
    let (looked_at, _peer) = tcp_pair();
    let (crammed, _peer) = tcp_pair();
    let (crammed_unix, _peer) = UnixStream::pair().unwrap();
    let (datagrams, _peer) = UnixDatagram::pair().unwrap();
    let _receiver = UnixDatagram::bind_addr(&name("receiver")).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let lonely = TcpListener::bind("127.0.0.1:0").unwrap();
    let waits: Vec<Box<dyn FnOnce() + Send>> = vec![
        Box::new(move || drop((&silent).read(&mut [0; 8]))),
        Box::new(move || drop(looked_at.peek(&mut [0; 8]))),
        Box::new(move || drop((&crammed).write_all(&vec![0; 64 << 20]))),
        Box::new(move || drop((&crammed_unix).write_all(&vec![0; 64 << 20]))),
        Box::new(move || while datagrams.send(b"x").is_ok() {}),
        Box::new(move || while sender.send_to_addr(b"x", &name("receiver")).is_ok() {}),
        Box::new(move || drop(udp.recv_from(&mut [0; 8]))),
        Box::new(move || drop(lonely.accept())),
        Box::new(move || drop(lonely_unix().accept())),
        Box::new(move || drop(TcpStream::connect(address))),
        Box::new(move || drop(UnixStream::connect_addr(&name("full")))),
    ];
    let token = Token::new();
    let threads: Vec<_> = waits
        .into_iter()
        .map(|wait| {
            let token = token.clone();
            thread::spawn(move || token.carry(wait))
        })
        .collect();
    sleep(10 * short);
    token.cancel();
    for (n, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), Err(Cancelled), "wait {n}");
    }
}

fn lonely_unix() -> UnixListener {
    UnixListener::bind_addr(&name("lonely")).unwrap()
}

/// A token that is cancelled already ends the first wait, and only waits.
fn a_wait_that_does_not_begin() {
    let (here, mut there) = tcp_pair();
    let token = Token::new();
    token.cancel();
    let mut buffer = [UNTOUCHED; 8];
    assert_eq!(token.carry(|| (&here).read(&mut buffer).map(drop).unwrap()), Err(Cancelled));
    assert_eq!(buffer, [UNTOUCHED; 8]);
    there.write_all(b"abc").unwrap();
    assert_eq!((&here).read(&mut buffer).unwrap(), 3);
    there.write_all(b"def").unwrap();
    there.write_all(&[0; 100]).unwrap();
    sleep(Duration::from_millis(5));
    assert_eq!((&here).read(&mut buffer).unwrap(), 8);
    // There is more, so this does not wait.
    assert_eq!(token.carry(|| (&here).read(&mut buffer).unwrap()), Ok(8));
}

fn main() -> ExitCode {
    let cases: Vec<net_kit::Case> = vec![
        ("tcp_reads", tcp_reads),
        ("unix_reads", unix_reads),
        ("datagrams", datagrams),
        ("writes", writes),
        ("accepts", accepts),
        ("every_wait", every_wait),
        ("a_wait_that_does_not_begin", a_wait_that_does_not_begin),
    ];
    net_kit::main(vec![
        Suite { name: "on_raddles_threads", threads: Threads::Raddle, cases: cases.clone() },
        Suite { name: "on_kernel_threads", threads: Threads::Kernel, cases },
    ])
}
