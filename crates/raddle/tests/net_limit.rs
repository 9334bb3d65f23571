//! At the limit of descriptors: `accept` says so, and who accepts patiently pauses, says so through `log`, and serves all.

mod net_kit;

use net_kit::{Suite, Threads};
use raddle::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use raddle::thread;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

const CLIENTS: usize = 30;
const ROOM: usize = 5;

/// What was logged.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// Leaves room for so many more descriptors.
fn limit(room: usize) {
    // SAFETY: no memory is involved.
    let is_free = |number: &i32| unsafe { libc::fcntl(*number, libc::F_GETFD) } < 0;
    let last = (0..).filter(is_free).take(room).last().unwrap() as u64;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes and reads a limit that is there.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = last + 1;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

/// A queue of events for each core takes descriptors of its own.
fn make_queues() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connects = thread::spawn(move || {
        thread::sleep(Duration::from_millis(5));
        TcpStream::connect(address).unwrap()
    });
    listener.accept().unwrap();
    connects.join().unwrap();
}

/// Serves each connection until its client has said something, with a thread for each.
fn serve<S: Read + Write + Send + 'static>(incoming: impl Iterator<Item = std::io::Result<S>>) {
    let servers: Vec<_> = incoming
        .take(CLIENTS)
        .map(|stream| {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                stream.write_all(&byte).unwrap();
            })
        })
        .collect();
    servers.into_iter().for_each(|server| server.join().unwrap());
}

fn begin() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    make_queues();
}

fn check_lines(listener: &str) {
    let lines = LINES.lock().unwrap().clone();
    let begins = |line: &&String, text: &str| line.starts_with(text);
    let warned = format!("WARN {listener}");
    let warnings: Vec<_> = lines.iter().filter(|line| begins(line, &warned)).collect();
    assert!(!warnings.is_empty() && warnings.len() <= 5, "{lines:?}");
    assert!(warnings[0].contains("takes no connections: Too many open files"), "{lines:?}");
    let again = format!("INFO {listener}");
    assert!(lines.iter().any(|line| begins(&line, &again) && line.contains("again, after")));
}

fn tcp() {
    begin();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(address).unwrap()).collect();
    limit(ROOM);
    let held: Vec<_> = (0..ROOM).map(|_| listener.accept().unwrap().0).collect();
    for _ in 0..3 {
        let error = listener.accept().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    }
    let server = thread::spawn(move || {
        drop(held);
        serve(listener.incoming());
    });
    thread::sleep(Duration::from_millis(50));
    for (n, mut client) in clients.into_iter().enumerate() {
        client.write_all(&[n as u8]).unwrap();
        let mut byte = [0];
        match client.read_exact(&mut byte) {
            Ok(()) => assert_eq!(usize::from(byte[0]), n),
            // One of those that were held, and dropped.
            Err(_) => assert!(n < ROOM, "client {n} was not served"),
        }
    }
    // As many more as were dropped.
    for _ in 0..ROOM {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(&[7]).unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
    server.join().unwrap();
    check_lines("TcpListener");
}

fn unix() {
    begin();
    let name = format!("raddle-limit-{}", std::process::id());
    let name = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    let listener = UnixListener::bind_addr(&name).unwrap();
    let clients: Vec<_> = (0..CLIENTS).map(|_| UnixStream::connect_addr(&name).unwrap()).collect();
    limit(ROOM);
    let server = thread::spawn(move || serve(listener.incoming()));
    thread::sleep(Duration::from_millis(50));
    for (n, mut client) in clients.into_iter().enumerate() {
        client.write_all(&[n as u8]).unwrap();
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        assert_eq!(usize::from(byte[0]), n);
    }
    server.join().unwrap();
    check_lines("UnixListener");
}

/// Making a socket, or another handle, fails as it does with std's.
fn everything_else() {
    begin();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = TcpStream::connect(address).unwrap();
    limit(1);
    let last = stream.try_clone().unwrap();
    for error in [
        stream.try_clone().unwrap_err(),
        listener.try_clone().unwrap_err(),
        TcpStream::connect(address).unwrap_err(),
        TcpListener::bind("127.0.0.1:0").unwrap_err(),
        raddle::net::UdpSocket::bind("127.0.0.1:0").unwrap_err(),
        UnixStream::pair().unwrap_err(),
        raddle::net::UnixDatagram::unbound().unwrap_err(),
        listener.accept().unwrap_err(),
    ] {
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    }
    // What is there goes on.
    drop(last);
    let (peer, _) = listener.accept().unwrap();
    let writes = thread::spawn(move || {
        thread::sleep(Duration::from_millis(5));
        (&stream).write_all(b"x").unwrap();
    });
    assert_eq!((&peer).read(&mut [0; 8]).unwrap(), 1);
    writes.join().unwrap();
}

fn main() -> ExitCode {
    let cases: Vec<net_kit::Case> =
        vec![("tcp", tcp), ("unix", unix), ("everything_else", everything_else)];
    net_kit::main(vec![
        Suite { name: "on_raddles_threads", threads: Threads::Raddle, cases: cases.clone() },
        Suite { name: "on_kernel_threads", threads: Threads::Kernel, cases },
    ])
}
