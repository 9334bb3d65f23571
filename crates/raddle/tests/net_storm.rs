//! Thousands of connections that talk, stall, hang up in the middle and reset, on both sides, as a seed says: what is orderly comes whole, every
//! thread comes to its end, and no descriptor is left.

mod net_kit;

use net_kit::{Suite, Threads};
use raddle::net::{Shutdown, TcpListener, TcpStream};
use raddle::thread;
use raddle_core::random::Random;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// At once.
const CLIENTS: u64 = 48;
/// Of each client, one after the other.
const CONNECTIONS: u64 = 60;

/// What one end does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Talks to the end.
    Orderly,
    /// Hangs up after so many messages.
    Drops(u64),
    /// The same, with a reset.
    Resets(u64),
    /// Stays silent for a while after so many messages, then hangs up.
    Stalls(u64),
}

impl Way {
    fn random(random: &mut Random) -> Way {
        match random.below(8) {
            0 => Way::Drops(random.below(5)),
            1 => Way::Resets(random.below(5)),
            2 => Way::Stalls(random.below(5)),
            _ => Way::Orderly,
        }
    }

    /// What it does before message `n`; whether it goes on.
    fn goes_on(self, n: u64, stream: &TcpStream, random: &mut Random) -> io::Result<bool> {
        match self {
            Way::Drops(at) if n == at => Ok(false),
            Way::Resets(at) if n == at => {
                stream.set_linger(Some(Duration::ZERO))?;
                Ok(false)
            }
            Way::Stalls(at) if n == at => {
                thread::sleep(Duration::from_micros(random.below(8000)));
                Ok(false)
            }
            _ => Ok(true),
        }
    }
}

/// What a peer that does as it likes can do to this end.
fn is_expected(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::NotConnected
            | ErrorKind::WouldBlock
    )
}

/// Sends messages and reads them back. How many came back.
fn talk(stream: &mut TcpStream, way: Way, random: &mut Random) -> io::Result<u64> {
    let count = random.below(8);
    for n in 0..count {
        if !way.goes_on(n, stream, random)? {
            return Ok(n);
        }
        let len = 1 + random.below(if n == 2 { 100_000 } else { 300 }) as usize;
        let message: Vec<u8> = (0..len).map(|at| (at as u64 + n) as u8).collect();
        let mut answer = vec![0; len];
        // The peer may be unable to read the rest before it has written what it has.
        thread::scope(|scope| {
            let writer = &*stream;
            let writes = (len > 1000).then(|| scope.spawn(|| (&*writer).write_all(&message)));
            if writes.is_none() {
                (&*writer).write_all(&message)?;
            }
            let reads = (&*writer).read_exact(&mut answer);
            writes.map_or(Ok(()), |writes| writes.join().unwrap())?;
            reads
        })?;
        assert_eq!(answer, message);
    }
    stream.shutdown(Shutdown::Write)?;
    // The echo of nothing more is the end.
    assert_eq!(stream.read(&mut [0; 8])?, 0);
    Ok(count)
}

fn client(address: SocketAddr, seed: u64, orderly: &AtomicUsize, whole: &AtomicUsize) {
    let mut random = Random::from_seed(seed);
    for _ in 0..CONNECTIONS {
        let way = Way::random(&mut random);
        let mut stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            // Of a server that has reset it in the backlog.
            Err(error) if is_expected(&error) => continue,
            Err(error) => panic!("{error}"),
        };
        if random.below(3) == 0 {
            stream.set_read_timeout(Some(Duration::from_millis(1 + random.below(20)))).unwrap();
        }
        let has_timeout = stream.read_timeout().unwrap().is_some();
        match talk(&mut stream, way, &mut random) {
            Ok(_) => {
                whole.fetch_add(1, SeqCst);
            }
            Err(error) => {
                assert!(is_expected(&error), "{error}");
                assert!(has_timeout || error.kind() != ErrorKind::WouldBlock, "{way:?}: {error}");
            }
        }
        orderly.fetch_add(usize::from(way == Way::Orderly), SeqCst);
    }
}

/// Echoes, in its own way.
fn serve(stream: TcpStream, seed: u64) {
    let mut random = Random::from_seed(seed);
    // Most let the client decide.
    let way = if random.below(4) == 0 { Way::random(&mut random) } else { Way::Orderly };
    let mut buffer = [0; 4096];
    for n in 0.. {
        let echo = way.goes_on(n, &stream, &mut random).and_then(|goes_on| {
            if !goes_on {
                return Ok(0);
            }
            let count = (&stream).read(&mut buffer)?;
            (&stream).write_all(&buffer[..count])?;
            Ok(count)
        });
        match echo {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                assert!(is_expected(&error), "{error}");
                return;
            }
        }
    }
}

/// How many sockets the process has. (The runtime's kernel threads have other descriptors, and may become more.)
fn sockets() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let is_socket = |path: std::path::PathBuf| path.to_string_lossy().starts_with("socket:");
    entries
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|path| is_socket(path.clone()))
        .count()
}

fn storm() {
    let seed = std::env::var("RADDLE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20);
    println!("RADDLE_SEED={seed}");
    // The event queues are made before anything is counted.
    drop(raddle::time::timeout(Duration::from_millis(1), || {
        TcpListener::bind("127.0.0.1:0").unwrap().accept()
    }));
    let before = sockets();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut connections = Vec::new();
        for (n, stream) in listener.incoming().enumerate() {
            let stream = stream.unwrap();
            // The last one comes from nobody else.
            let mut byte = [0];
            if stream.peer_addr().is_ok_and(|peer| peer.ip().to_string() == "127.0.0.99") {
                assert_eq!((&stream).read(&mut byte).unwrap(), 0);
                break;
            }
            connections.push(thread::spawn(move || serve(stream, seed + n as u64)));
        }
        let count = connections.len();
        connections.into_iter().for_each(|connection| connection.join().unwrap());
        count
    });
    let (orderly, whole) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (orderly, whole) = (orderly.clone(), whole.clone());
            thread::spawn(move || client(address, seed + (1 << 32) + n, &orderly, &whole))
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let from = "127.0.0.99:0".parse().unwrap();
    drop(raddle::net::SocketOptions::new().from_addr(from).connect(address).unwrap());
    let served = server.join().unwrap();
    let all = (CLIENTS * CONNECTIONS) as usize;
    assert!(served > all * 9 / 10, "{served} of {all} were served");
    let (orderly, whole) = (orderly.load(SeqCst), whole.load(SeqCst));
    assert!(
        orderly > all / 3 && whole > all / 3,
        "of {all}, {orderly} were orderly, {whole} whole"
    );
    assert_eq!(sockets(), before, "sockets are left");
}

fn main() -> ExitCode {
    let cases: Vec<net_kit::Case> = vec![("storm", storm)];
    net_kit::main(vec![Suite { name: "on_raddles_threads", threads: Threads::Raddle, cases }])
}
