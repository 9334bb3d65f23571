//! `io::poll`: which of several descriptors are ready, on either kind of thread and on each backend.

mod io_kit;

use io_kit::{Kind, Scratch, a_moment, cases, hears, main as run, on, signal_thrice, start};
use raddle::cancel::Token;
use raddle::io::{self, Interest, PipeReader, PipeWriter, Read, Write, poll};
use raddle::time;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    run(cases![
        nothing_is_ready_until_the_time_is_over,
        what_is_ready_is_said_at_once,
        all_that_are_ready_are_said_in_their_order,
        whoever_becomes_ready_ends_the_wait,
        a_write_waits_for_room,
        ends_and_errors_come_unasked,
        files_are_always_ready,
        what_is_not_open_is_an_error,
        a_list_of_nobody_is_a_sleep,
        a_thousand_sources,
        many_threads_wait_for_the_same,
        the_same_source_twice,
        a_token_ends_it,
        a_carried_time_out_ends_it,
        a_signal_is_heard_and_the_wait_goes_on,
        sources_are_as_before_afterwards,
    ])
}

const SOON: Duration = Duration::from_millis(20);
const LATE: Option<Duration> = Some(Duration::from_secs(20));

fn pipes(count: usize) -> Vec<(PipeReader, PipeWriter)> {
    (0..count).map(|_| io::pipe().unwrap()).collect()
}

fn readers(pipes: &[(PipeReader, PipeWriter)]) -> Vec<(BorrowedFd<'_>, Interest)> {
    pipes.iter().map(|(reader, _)| (reader.as_fd(), Interest::READ)).collect()
}

fn indices(ready: &[io::Ready]) -> Vec<usize> {
    ready.iter().map(io::Ready::index).collect()
}

fn nothing_is_ready_until_the_time_is_over(_: Kind) {
    let pipes = pipes(3);
    let began = Instant::now();
    assert!(poll(&readers(&pipes), Some(Duration::ZERO)).unwrap().is_empty());
    assert!(began.elapsed() < Duration::from_secs(5), "a look takes no time");
    let began = Instant::now();
    assert!(poll(&readers(&pipes), Some(SOON)).unwrap().is_empty());
    assert!(began.elapsed() >= SOON, "after {:?}", began.elapsed());
}

fn what_is_ready_is_said_at_once(_: Kind) {
    let mut pipes = pipes(3);
    pipes[1].1.write_all(b"x").unwrap();
    let ready = poll(&readers(&pipes), LATE).unwrap();
    assert_eq!(indices(&ready), [1]);
    assert!(ready[0].is_readable() && !ready[0].is_writable());
    assert!(!ready[0].is_hangup() && !ready[0].is_error());
}

fn all_that_are_ready_are_said_in_their_order(_: Kind) {
    let mut pipes = pipes(5);
    for index in [4, 0, 2] {
        pipes[index].1.write_all(b"x").unwrap();
    }
    assert_eq!(indices(&poll(&readers(&pipes), None).unwrap()), [0, 2, 4]);
}

fn whoever_becomes_ready_ends_the_wait(kind: Kind) {
    for index in 0..3 {
        let mut pipes = pipes(3);
        let mut writer = pipes[index].1.try_clone().unwrap();
        let waiter = start(kind, move || {
            let ready = poll(&readers(&pipes), LATE).unwrap();
            let mut byte = [0];
            pipes[ready[0].index()].0.read_exact(&mut byte).unwrap();
            (indices(&ready), byte)
        });
        a_moment();
        writer.write_all(b"x").unwrap();
        assert_eq!(waiter.join(), (vec![index], *b"x"));
    }
}

fn a_write_waits_for_room(kind: Kind) {
    let (mut reader, writer) = io::pipe().unwrap();
    let (mut here, there) = UnixStream::pair().unwrap();
    let sources = [(writer.as_fd(), Interest::WRITE), (there.as_fd(), Interest::READ)];
    let ready = poll(&sources, LATE).unwrap();
    assert_eq!(indices(&ready), [0]);
    assert!(ready[0].is_writable() && !ready[0].is_readable());
    // It is full when even one byte would wait.
    while !poll(&sources[..1], Some(Duration::ZERO)).unwrap().is_empty() {
        (&writer).write_all(&[0; 4096]).unwrap();
    }
    assert!(poll(&sources, Some(SOON)).unwrap().is_empty());
    let drains = start(kind, move || {
        a_moment();
        let mut buffer = vec![0; 1 << 16];
        reader.read_exact(&mut buffer).unwrap();
        reader
    });
    assert_eq!(indices(&poll(&sources, LATE).unwrap()), [0]);
    let reader = drains.join();
    here.write_all(b"x").unwrap();
    assert_eq!(indices(&poll(&sources, LATE).unwrap()), [0, 1]);
    drop(reader);
}

fn ends_and_errors_come_unasked(_: Kind) {
    let (reader, writer) = io::pipe().unwrap();
    drop(writer);
    let ready = poll(&[(&reader, Interest::READ)], LATE).unwrap();
    assert!(ready[0].is_readable() && ready[0].is_hangup() && !ready[0].is_writable());
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let ready = poll(&[(&writer, Interest::WRITE)], LATE).unwrap();
    assert!(ready[0].is_error() && ready[0].is_writable() && !ready[0].is_readable());
}

fn files_are_always_ready(_: Kind) {
    let scratch = Scratch::new();
    let file = std::fs::File::open(scratch.file("empty", b"")).unwrap();
    let ready = poll(&[(file, Interest::READ | Interest::WRITE)], LATE).unwrap();
    assert!(ready[0].is_readable() && ready[0].is_writable());
}

fn what_is_not_open_is_an_error(_: Kind) {
    let (reader, _writer) = io::pipe().unwrap();
    // SAFETY: nobody has so many files open; that is the point.
    let nobodys = unsafe { BorrowedFd::borrow_raw(19_999) };
    let sources = [(reader.as_fd(), Interest::READ), (nobodys, Interest::READ)];
    assert_eq!(poll(&sources, LATE).unwrap_err().raw_os_error(), Some(libc::EBADF));
}

fn a_list_of_nobody_is_a_sleep(_: Kind) {
    let nobody: [(PipeReader, Interest); 0] = [];
    let began = Instant::now();
    assert!(poll(&nobody, Some(SOON)).unwrap().is_empty());
    assert!(began.elapsed() >= SOON);
}

fn a_thousand_sources(kind: Kind) {
    let pipes = pipes(1000);
    let mut writer = pipes[777].1.try_clone().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let waiter = start(kind, move || {
        for _ in 0..3 {
            assert!(poll(&readers(&pipes), Some(Duration::from_millis(1))).unwrap().is_empty());
        }
        tell.send(()).unwrap();
        indices(&poll(&readers(&pipes), LATE).unwrap())
    });
    told.recv().unwrap();
    a_moment();
    writer.write_all(b"x").unwrap();
    assert_eq!(waiter.join(), [777]);
}

fn many_threads_wait_for_the_same(kind: Kind) {
    let shared = Arc::new(pipes(2));
    let threads: Vec<_> = (0..50)
        .map(|_| {
            let shared = shared.clone();
            start(kind, move || indices(&poll(&readers(&shared), LATE).unwrap()))
        })
        .collect();
    a_moment();
    (&shared[1].1).write_all(b"x").unwrap();
    for thread in threads {
        assert_eq!(thread.join(), [1]);
    }
}

fn the_same_source_twice(kind: Kind) {
    let (here, mut there) = UnixStream::pair().unwrap();
    let waiter = start(kind, move || {
        let sources = [(&here, Interest::READ), (&here, Interest::READ)];
        let ready = indices(&poll(&sources, LATE).unwrap());
        assert_eq!(indices(&poll(&sources, LATE).unwrap()), [0, 1]);
        ready
    });
    a_moment();
    there.write_all(b"x").unwrap();
    assert!(!waiter.join().is_empty());
}

fn a_token_ends_it(kind: Kind) {
    let token = Token::new();
    let waiter = start(kind, {
        let token = token.clone();
        move || {
            let pipes = pipes(10);
            let result = token.carry(|| poll(&readers(&pipes), None).map(drop));
            assert!(result.is_err(), "nothing was ready");
            // Nobody waits for them any more, so they may be closed and used again.
            drop(pipes);
            let mut again = self::pipes(10);
            again[3].1.write_all(b"x").unwrap();
            indices(&poll(&readers(&again), LATE).unwrap())
        }
    });
    a_moment();
    token.cancel();
    assert_eq!(waiter.join(), [3]);
}

fn a_carried_time_out_ends_it(_: Kind) {
    let mut pipes = pipes(2);
    assert!(time::timeout(SOON, || poll(&readers(&pipes), None).map(drop)).is_err());
    pipes[0].1.write_all(b"x").unwrap();
    let ready = time::timeout(SOON, || poll(&readers(&pipes), None));
    assert_eq!(ready.map(|ready| indices(&ready.unwrap())), Ok(vec![0]));
}

/// Signals from thread to thread reach raddle's threads only.
fn a_signal_is_heard_and_the_wait_goes_on(_: Kind) {
    let (reader, mut writer) = io::pipe().unwrap();
    let waiter = hears(move || indices(&poll(&[(&reader, Interest::READ)], LATE).unwrap()));
    signal_thrice(&waiter);
    writer.write_all(b"x").unwrap();
    assert_eq!(waiter.0.join().unwrap(), [0]);
}

fn sources_are_as_before_afterwards(kind: Kind) {
    let (mut reader, mut writer) = io::pipe().unwrap();
    for round in 0..200u8 {
        let waits = start(kind, move || {
            let ready = poll(&[(&reader, Interest::READ)], Some(Duration::from_micros(300)));
            (ready.unwrap().len(), reader)
        });
        if round % 2 == 0 {
            writer.write_all(&[round]).unwrap();
        }
        let found;
        (found, reader) = waits.join();
        if round % 2 == 0 {
            let mut byte = [0];
            (_, byte, reader) = on(kind, move || {
                let result = reader.read_exact(&mut byte);
                (result.unwrap(), byte, reader)
            });
            assert_eq!(byte, [round]);
        } else {
            assert_eq!(found, 0);
        }
    }
}
