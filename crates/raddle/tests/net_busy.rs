//! Busy sockets, which a core has at hand (`at_hand`): they end when they are closed, follow their threads, and are never taken for others.

mod net_kit;

use net_kit::{Suite, Threads};
use raddle::net::{TcpListener, TcpStream, UnixStream};
use raddle::runtime;
use raddle::thread::{self, Builder};
use std::fs;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// More than it takes to get there.
const MESSAGES: usize = 300;
/// A byte can count so far.
const TURN: u8 = 200;
const PATIENCE: Duration = Duration::from_secs(60);

/// Says something, and reads until it has come back: mostly it has to wait.
fn talk(mut stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for n in 0..MESSAGES {
        let message = [n as u8; 32];
        stream.write_all(&message).unwrap();
        let mut back = [0; 32];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, message);
    }
}

/// Sends everything back, one half by vectored writes.
fn echo(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 64];
    for n in 0.. {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        let (one, other) = buffer[..count].split_at(count / 2);
        if n % 2 == 0 {
            stream.write_all(&buffer[..count])?;
        } else {
            let sent = stream.write_vectored(&[IoSlice::new(one), IoSlice::new(other)])?;
            stream.write_all(&buffer[sent..count])?;
        }
    }
    Ok(())
}

/// A client of a server's that has talked enough, and the server's end.
fn busy() -> (TcpStream, thread::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let serving = thread::spawn(move || {
        echo(&server).unwrap();
        server
    });
    talk(&client);
    (client, serving)
}

fn has_ended(mut stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
}

fn closed_it_ends() {
    for way in 0..4 {
        let (client, serving) = busy();
        match way {
            // The client's end is dropped, so the server's read says so.
            0 => drop(client),
            // Given away, and then closed.
            1 => drop(OwnedFd::from(client)),
            2 => drop(std::net::TcpStream::from(client)),
            _ => {
                let other = client.try_clone().unwrap();
                drop(client);
                talk(&other);
                drop(other);
            }
        }
        let server = serving.join().unwrap();
        drop(server);
    }
    // The server's end was as busy.
    let (client, serving) = busy();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    drop(serving.join().unwrap());
    has_ended(&client);
}

fn a_number_that_is_used_again() {
    let mut numbers = Vec::new();
    for _ in 0..8 {
        let (client, serving) = busy();
        numbers.push(client.as_raw_fd());
        drop(client);
        serving.join().unwrap();
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.len() < 8, "some were used again: {numbers:?}");
}

/// One byte at a time goes round, and who has it is bound to another core every so often.
fn it_follows_its_threads() {
    runtime::Builder::new().cores(2).start().unwrap();
    let (here, there) = UnixStream::pair().unwrap();
    for stream in [&here, &there] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let (here, there) = (Arc::new(here), Arc::new(there));
    for turn in 0..6 {
        let play = |stream: &Arc<UnixStream>, core: usize, is_first: bool| {
            let stream = stream.clone();
            let play = move || {
                let mut stream = &*stream;
                for n in 0..TURN {
                    if is_first {
                        stream.write_all(&[n]).unwrap();
                    }
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    assert_eq!(byte, [n]);
                    if !is_first {
                        stream.write_all(&[n]).unwrap();
                    }
                }
            };
            Builder::new().bound_to_core(core).spawn(play).unwrap()
        };
        let players = [play(&here, turn % 2, true), play(&there, turn.div_ceil(2) % 2, false)];
        players.into_iter().for_each(|player| player.join().unwrap());
    }
    assert_eq!((Arc::strong_count(&here), Arc::strong_count(&there)), (1, 1));
}

/// Threads on both cores read one socket, and others write to it: each operation may find it moved.
fn many_threads_share_one() {
    const THREADS: usize = 4;
    const EACH: usize = 400;
    runtime::Builder::new().cores(2).start().unwrap();
    let (here, there) = UnixStream::pair().unwrap();
    there.set_read_timeout(Some(PATIENCE)).unwrap();
    let (here, there) = (Arc::new(here), Arc::new(there));
    let mut threads = Vec::new();
    for n in 0..THREADS {
        let (here, there) = (here.clone(), there.clone());
        let reads = move || {
            let mut total = 0;
            for _ in 0..EACH {
                let mut byte = [0];
                (&*there).read_exact(&mut byte).unwrap();
                total += usize::from(byte[0]);
            }
            total
        };
        let writes = move || {
            for _ in 0..EACH {
                (&*here).write_all(&[n as u8 + 1]).unwrap();
                thread::yield_now();
            }
            0
        };
        threads.push(Builder::new().bound_to_core(n % 2).spawn(reads).unwrap());
        threads.push(Builder::new().bound_to_core(n / 2 % 2).spawn(writes).unwrap());
    }
    let total: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(total, EACH * (1..=THREADS).sum::<usize>());
}

/// The sockets in the tables of this process's rings, and whether there is any table.
fn sockets_in_tables() -> (usize, bool) {
    let (mut sockets, mut is_any) = (0, false);
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap().flatten() {
        // One that was closed meanwhile, or whose ring is busy, says nothing.
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let mut lines = text.lines().skip_while(|line| !line.starts_with("UserFiles:"));
        is_any |= lines.next().is_some_and(|line| !line.ends_with("\t0"));
        let files = lines.take_while(|line| line.starts_with(' '));
        sockets = sockets.max(files.filter(|line| line.contains("socket:")).count());
    }
    (sockets, is_any)
}

/// The kernel says so itself, where it says anything.
fn a_busy_one_is_at_hand_and_no_longer_than_it_is_open() {
    let (client, serving) = busy();
    let until = |is_so: fn((usize, bool)) -> bool| {
        let start = Instant::now();
        while !is_so(sockets_in_tables()) {
            assert!(start.elapsed() < PATIENCE, "{:?}", sockets_in_tables());
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    until(|(sockets, is_any)| sockets > 0 || !is_any);
    drop(client);
    drop(serving.join().unwrap());
    until(|(sockets, _)| sockets == 0);
}

fn main() -> ExitCode {
    let cases: Vec<(&'static str, fn())> = vec![
        ("closed_it_ends", closed_it_ends),
        ("a_number_that_is_used_again", a_number_that_is_used_again),
        (
            "a_busy_one_is_at_hand_and_no_longer_than_it_is_open",
            a_busy_one_is_at_hand_and_no_longer_than_it_is_open,
        ),
    ];
    let on_two_cores: Vec<(&'static str, fn())> = vec![
        ("it_follows_its_threads", it_follows_its_threads),
        ("many_threads_share_one", many_threads_share_one),
    ];
    net_kit::main(vec![
        Suite { name: "busy", threads: Threads::Raddle, cases },
        Suite { name: "busy_on_two_cores", threads: Threads::Kernel, cases: on_two_cores },
    ])
}
