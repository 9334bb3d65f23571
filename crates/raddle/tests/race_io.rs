//! An operation that ends, against all that may come at the same time: its waiter's deadline or token, the loss of its core, the first use of
//! an event queue. Catches a buffer that is written after its reader has gone on, bytes that are lost or come twice, a wake-up that is lost.

mod race_kit;

use race_kit::{Line, compute_for, dawdle, delay, play, play_on_each_backend, spawn_either};
use raddle::cancel::Token;
use raddle::net::{TcpListener, TcpStream};
use raddle::thread;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::FromRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::{Duration, Instant};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (here, listener.accept().unwrap().0)
}

/// Reads a byte into a buffer, which must stay as it is from then on.
struct Checked {
    buffer: [u8; 64],
    expected: [u8; 64],
}

impl Checked {
    fn new() -> Checked {
        Checked { buffer: [0xee; 64], expected: [0xee; 64] }
    }

    fn note(&mut self, count: usize) {
        self.expected[..count].copy_from_slice(&self.buffer[..count]);
        assert_eq!(self.buffer, self.expected, "more was written than was read");
    }

    /// After some time nobody has written.
    fn check(&self) {
        dawdle(500);
        assert_eq!(
            std::hint::black_box(&self.buffer),
            &self.expected,
            "written after the reader went on"
        );
    }
}

/// Whatever comes first, a byte is read once, by this read or the next.
#[test]
fn data_against_time_out() {
    play_on_each_backend("data_against_time_out", |random| {
        let (mut here, mut there) = pair();
        let (before, patience) = (delay(random), 1 + random.below(60));
        let line = Arc::new(Line::of(2));
        let other = line.clone();
        let writer = spawn_either(random, move || {
            other.meet(before);
            here.write_all(&[7]).unwrap();
            here
        });
        there.set_read_timeout(Some(Duration::from_micros(patience))).unwrap();
        line.meet(0);
        let mut checked = Checked::new();
        let count = loop {
            match there.read(&mut checked.buffer) {
                Ok(count) => break count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            checked.check();
        };
        assert_eq!((count, checked.buffer[0]), (1, 7));
        checked.note(count);
        checked.check();
        let mut here = writer();
        there.set_read_timeout(None).unwrap();
        here.write_all(&[8]).unwrap();
        let mut next = [0];
        there.read_exact(&mut next).unwrap();
        assert_eq!(next, [8], "a byte was lost, or came twice");
    });
}

/// The same with a token, which unwinds.
#[test]
fn data_against_cancellation() {
    play_on_each_backend("data_against_cancellation", |random| {
        let (mut here, mut there) = pair();
        let token = Token::new();
        let line = Arc::new(Line::of(3));
        let (line_of_writer, line_of_canceller) = (line.clone(), line.clone());
        let (first, second) = (delay(random), delay(random));
        let writer = spawn_either(random, move || {
            line_of_writer.meet(first);
            here.write_all(&[7]).unwrap();
            here
        });
        let canceller = {
            let token = token.clone();
            spawn_either(random, move || {
                line_of_canceller.meet(second);
                token.cancel();
            })
        };
        let reader = spawn_either(random, move || {
            let mut checked = Checked::new();
            line.meet(0);
            let read = token.carry(|| there.read(&mut checked.buffer).unwrap());
            checked.note(read.unwrap_or(0));
            checked.check();
            (read.is_ok(), there)
        });
        let mut here = writer();
        canceller();
        let (was_read, mut there) = reader();
        if !was_read {
            let mut first = [0];
            there.read_exact(&mut first).unwrap();
            assert_eq!(first, [7]);
        }
        here.write_all(&[8]).unwrap();
        let mut next = [0];
        there.read_exact(&mut next).unwrap();
        assert_eq!(next, [8], "a byte was lost, or came twice");
    });
}

/// Both ends wait, on one core or two, raddle's threads and the kernel's.
#[test]
fn answer_against_idle() {
    play_on_each_backend("answer_against_idle", |random| {
        let (mut here, mut there) = pair();
        let pauses: Vec<u64> = (0..20).map(|_| delay(random)).collect();
        let echo = spawn_either(random, move || {
            let mut bytes = [0; 8];
            for pause in pauses {
                there.read_exact(&mut bytes).unwrap();
                dawdle(pause);
                there.write_all(&bytes).unwrap();
            }
        });
        for number in 0..20u64 {
            here.write_all(&number.to_ne_bytes()).unwrap();
            dawdle(delay(random));
            let mut bytes = [0; 8];
            here.read_exact(&mut bytes).unwrap();
            assert_eq!(u64::from_ne_bytes(bytes), number);
        }
        echo();
    });
}

/// Every core's thread computes, or blocks in the kernel, while others wait for sockets: somebody looks for them.
#[test]
fn events_of_cores_that_do_not_look() {
    play("events_of_cores_that_do_not_look", |random| {
        let blocks = random.one_in(2);
        let cores = thread::available_parallelism().unwrap().get();
        let is_over = Arc::new(AtomicBool::new(false));
        let pairs: Vec<_> = (0..4).map(|_| pair()).collect();
        let (mut heres, theres): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let readers: Vec<_> = theres
            .into_iter()
            .map(|mut there| {
                thread::spawn(move || {
                    let mut byte = [0];
                    there.read_exact(&mut byte).unwrap();
                    byte[0]
                })
            })
            .collect();
        thread::sleep(Duration::from_micros(300));
        let mut writes = Vec::new();
        let hogs: Vec<_> = (0..cores)
            .map(|_| {
                let is_over = is_over.clone();
                let mut ends = [0; 2];
                // SAFETY: writes two descriptors into an array of that size, which are this test's then.
                let (read, write) = unsafe {
                    assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
                    (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
                };
                writes.push(write);
                thread::spawn(move || {
                    if blocks {
                        let _ = (&read).read(&mut [0]);
                    } else {
                        while !is_over.load(Relaxed) {
                            std::hint::spin_loop();
                        }
                    }
                })
            })
            .collect();
        // A kernel thread writes: it needs no core.
        let wrote = std::thread::spawn(move || {
            compute_for(Duration::from_micros(200));
            let began = Instant::now();
            heres.iter_mut().for_each(|here| here.write_all(&[9]).unwrap());
            (began, heres)
        });
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 9);
        }
        is_over.store(true, Relaxed);
        drop(writes);
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
        drop(wrote.join().unwrap());
    });
}
