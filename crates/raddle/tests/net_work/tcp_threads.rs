//! Programs over TCP in which many threads, or many bytes, are under way. `super` says whose sockets and threads they use; nothing else in
//! here tells the two apart.

use super::net::{Shutdown, TcpListener, TcpStream};
use super::thread;
use std::io::{self, Read, Write};
use std::time::Duration;

/// Two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (here, listener.accept().unwrap().0)
}

pub(crate) fn many_accept() {
    const CONNECTIONS: usize = 40;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let takers: Vec<_> = (0..4)
        .map(|_| {
            let listener = listener.try_clone().unwrap();
            thread::spawn(move || {
                let mut count = 0;
                for stream in listener.incoming() {
                    let mut byte = [0];
                    stream.unwrap().read_exact(&mut byte).unwrap();
                    if byte[0] == 0 {
                        break;
                    }
                    count += 1;
                }
                count
            })
        })
        .collect();
    for n in 0..CONNECTIONS {
        TcpStream::connect(address).unwrap().write_all(&[n as u8 + 1]).unwrap();
    }
    for _ in 0..takers.len() {
        TcpStream::connect(address).unwrap().write_all(&[0]).unwrap();
    }
    let taken: usize = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
    assert_eq!(taken, CONNECTIONS);
}

pub(crate) fn much_at_once() {
    const BYTES: usize = 4 << 20;
    let (here, there) = pair();
    let ends = [here, there].map(|stream| {
        thread::spawn(move || {
            let writer = stream.try_clone().unwrap();
            let writes = thread::spawn(move || {
                let all: Vec<u8> = (0..BYTES).map(|n| (n % 251) as u8).collect();
                (&writer).write_all(&all).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut all = Vec::new();
            (&stream).read_to_end(&mut all).unwrap();
            writes.join().unwrap();
            all
        })
    });
    for end in ends {
        let all = end.join().unwrap();
        assert_eq!(all.len(), BYTES);
        assert!(all.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8));
    }
}

pub(crate) fn a_slow_reader() {
    let (mut here, mut there) = pair();
    let writes = thread::spawn(move || here.write_all(&vec![3; 8 << 20]));
    let mut got = 0;
    let mut buffer = vec![0; 100_000];
    loop {
        match there.read(&mut buffer).unwrap() {
            0 => break,
            count => {
                assert!(buffer[..count].iter().all(|byte| *byte == 3));
                got += count;
            }
        }
        if got % 7 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    writes.join().unwrap().unwrap();
    assert_eq!(got, 8 << 20);
}

pub(crate) fn a_thread_for_each_connection() {
    const CONNECTIONS: usize = 60;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let threads: Vec<_> = listener
            .incoming()
            .take(CONNECTIONS)
            .map(|stream| {
                let stream = stream.unwrap();
                thread::spawn(move || io::copy(&mut &stream, &mut &stream).unwrap())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                let message = [n as u8; 64];
                let mut answer = [0; 64];
                for _ in 0..20 {
                    stream.write_all(&message).unwrap();
                    stream.read_exact(&mut answer).unwrap();
                    assert_eq!(message, answer);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(server.join().unwrap(), (CONNECTIONS * 20 * 64) as u64);
}

/// Of a stream that several read, each byte goes to one of them.
pub(crate) fn what_is_taken() {
    let (mut here, there) = pair();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut there = there.try_clone().unwrap();
            thread::spawn(move || {
                let mut seen = [0u32; 256];
                let mut buffer = [0; 100];
                loop {
                    match there.read(&mut buffer).unwrap() {
                        0 => return seen,
                        count => buffer[..count].iter().for_each(|byte| seen[*byte as usize] += 1),
                    }
                }
            })
        })
        .collect();
    for n in 0..2000u32 {
        here.write_all(&[n as u8]).unwrap();
        if n % 100 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    drop(here);
    let mut seen = [0; 256];
    for reader in readers {
        let some = reader.join().unwrap();
        (0..256).for_each(|byte| seen[byte] += some[byte]);
    }
    assert!((0..2000u32 % 256).all(|byte| seen[byte as usize] == 8));
    assert_eq!(seen.iter().sum::<u32>(), 2000);
}
