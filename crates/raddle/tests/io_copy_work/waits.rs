//! How a copy waits: as reads and writes do. Time-outs and tokens end it, a peer that closes is an error, and no worker waits in the kernel.

use crate::ends::tcp;
use crate::io_kit::{
    self, Everywhere, Kind, Scratch, a_moment, cases, make_cold, on, pattern, start,
};
use raddle::cancel::Token;
use raddle::fs::File;
use raddle::io::{self, ErrorKind, Read, Seek, Source, Target, Write};
use raddle::net::UnixStream;
use raddle::runtime::Runtime;
use raddle::thread;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn cases() -> Vec<Everywhere> {
    let mut all = cases![
        a_token_ends_a_wait_for_the_source,
        a_token_ends_a_wait_for_the_target,
        a_token_ends_a_copy_between_files_with_both_positions_true,
        time_outs_are_those_of_the_sockets,
        a_peer_that_closes,
        both_directions_at_once,
    ];
    let mut one_core = cases![no_worker_waits_in_the_kernel].remove(0);
    // SAFETY: the process has one thread.
    one_core.before = || unsafe { std::env::set_var("RADDLE_CORES", "1") };
    all.push(one_core);
    all
}

type AnySource = Box<dyn Source + Send>;
type AnyTarget = Box<dyn Target + Send>;

/// Sources that have some bytes and then nothing, and no end as long as the second is there.
fn silent_sources() -> Vec<(AnySource, AnyTarget)> {
    let (mut all, bytes): (Vec<(AnySource, AnyTarget)>, _) = (Vec::new(), pattern(1000));
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(&bytes).unwrap();
    all.push((Box::new(reader), Box::new(writer)));
    let (reader, mut writer) = tcp();
    writer.write_all(&bytes).unwrap();
    all.push((Box::new(reader), Box::new(writer)));
    let (reader, mut writer) = UnixStream::pair().unwrap();
    writer.write_all(&bytes).unwrap();
    all.push((Box::new(reader), Box::new(writer)));
    all
}

/// Targets that fill up as long as the second is there.
fn full_targets() -> Vec<(AnyTarget, AnySource)> {
    let mut all: Vec<(AnyTarget, AnySource)> = Vec::new();
    let (reader, writer) = io::pipe().unwrap();
    all.push((Box::new(writer), Box::new(reader)));
    let (reader, writer) = tcp();
    all.push((Box::new(writer), Box::new(reader)));
    let (reader, writer) = UnixStream::pair().unwrap();
    all.push((Box::new(writer), Box::new(reader)));
    all
}

/// Targets that never fill up.
fn ready_targets(scratch: &Scratch) -> Vec<AnyTarget> {
    let file = File::create(scratch.0.join("target")).unwrap();
    let mut all: Vec<AnyTarget> = vec![Box::new(file), Box::new(Vec::new())];
    for (target, mut source) in full_targets() {
        start(Kind::Kernel, move || {
            let mut bytes = vec![0; 1 << 16];
            while source.read(&mut bytes).is_ok_and(|count| count > 0) {}
        });
        all.push(target);
    }
    all
}

/// Sources that have more than any target takes.
fn endless_sources(scratch: &Scratch) -> Vec<AnySource> {
    let path = scratch.file("source", b"");
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
    let mut all: Vec<AnySource> =
        vec![Box::new(File::open(&path).unwrap()), Box::new(io::repeat(7))];
    for (mut target, source) in full_targets() {
        start(Kind::Kernel, move || {
            let bytes = vec![7; 1 << 16];
            while target.write(&bytes).is_ok() {}
        });
        all.push(source);
    }
    all
}

/// Copies until a token ends that. `ready` says when the token is cancelled.
fn copies_until_cancelled(
    kind: Kind,
    mut reader: AnySource,
    mut writer: AnyTarget,
) -> (AnySource, AnyTarget) {
    let token = Token::new();
    let copying = start(kind, {
        let token = token.clone();
        move || {
            let result = token.carry(|| io::copy(&mut reader, &mut writer));
            assert!(result.is_err(), "it has come to an end: {result:?}");
            (reader, writer)
        }
    });
    a_moment();
    assert!(!copying.is_finished());
    token.cancel();
    copying.join()
}

fn a_token_ends_a_wait_for_the_source(kind: Kind) {
    let scratch = Scratch::new();
    for index in 0..ready_targets(&scratch).len() {
        for (source, _other_end) in silent_sources() {
            let target = ready_targets(&scratch).swap_remove(index);
            copies_until_cancelled(kind, source, target);
        }
    }
}

fn a_token_ends_a_wait_for_the_target(kind: Kind) {
    let scratch = Scratch::new();
    for index in 0..endless_sources(&scratch).len() {
        for (target, _other_end) in full_targets() {
            let source = endless_sources(&scratch).swap_remove(index);
            copies_until_cancelled(kind, source, target);
        }
    }
}

fn a_token_ends_a_copy_between_files_with_both_positions_true(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(1 << 20);
    let path = scratch.file("source", &content);
    let to = scratch.0.join("target");
    // As much as nobody copies in a moment, and does not take up room.
    let long = std::fs::File::options().write(true).open(&path).unwrap();
    long.set_len(1 << 40).unwrap();
    let token = Token::new();
    let (mut reader, mut writer) = (File::open(&path).unwrap(), File::create(&to).unwrap());
    let copying = start(kind, {
        let token = token.clone();
        move || {
            let result = token.carry(|| io::copy(&mut (&mut reader).take(1 << 30), &mut writer));
            (result.is_err(), reader, writer)
        }
    });
    io_kit::until(|| std::fs::metadata(&to).unwrap().len() > 0);
    token.cancel();
    let (was_cancelled, mut reader, mut writer) = copying.join();
    let (read, written) = (reader.stream_position().unwrap(), writer.stream_position().unwrap());
    assert_eq!(read, written);
    assert_eq!(std::fs::metadata(&to).unwrap().len(), written);
    assert!(was_cancelled && written < 1 << 30, "{written} bytes were copied");
    let checked = content.len().min(written as usize);
    let mut arrived = vec![0; checked];
    File::open(&to).unwrap().read_exact(&mut arrived).unwrap();
    assert!(arrived == content[..checked]);
}

fn time_outs_are_those_of_the_sockets(kind: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("to send", &pattern(20_000_000));
    let short = Some(Duration::from_millis(20));
    on(kind, move || {
        for target in ready_targets(&scratch) {
            let (mut reader, mut writer) = tcp();
            writer.write_all(b"something").unwrap();
            reader.set_read_timeout(short).unwrap();
            let mut target = target;
            let error = io::copy(&mut reader, &mut target).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        for source in endless_sources(&scratch) {
            let (_reader, mut writer) = tcp();
            writer.set_write_timeout(short).unwrap();
            let mut source = source;
            let error = io::copy(&mut source, &mut writer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        // One that is not waited for so long does no harm.
        let (mut reader, mut writer) = tcp();
        reader.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        writer.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let sending =
            start(kind, move || io::copy(&mut File::open(path).unwrap(), &mut writer).unwrap());
        assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), 20_000_000);
        assert_eq!(sending.join(), 20_000_000);
    });
}

fn a_peer_that_closes(kind: Kind) {
    let scratch = Scratch::new();
    for index in 0..endless_sources(&scratch).len() {
        for (mut target, other_end) in full_targets() {
            let mut source = endless_sources(&scratch).swap_remove(index);
            let copying = start(kind, move || io::copy(&mut source, &mut target));
            a_moment();
            // With unread bytes in it: of a socket a reset.
            drop(other_end);
            let error = copying.join().unwrap_err();
            let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
            assert!(kinds.contains(&error.kind()), "source {index}: {error:?}");
        }
    }
    // The end of a source is no error.
    for index in 0..ready_targets(&scratch).len() {
        for (mut source, other_end) in silent_sources() {
            let mut target = ready_targets(&scratch).swap_remove(index);
            let copying = start(kind, move || io::copy(&mut source, &mut target));
            a_moment();
            drop(other_end);
            assert_eq!(copying.join().unwrap(), 1000);
        }
    }
}

/// As a proxy does it: both sockets are source and target at once.
fn both_directions_at_once(kind: Kind) {
    let ((client, left), (right, server)) = (tcp(), tcp());
    let (left, right) = (Arc::new(left), Arc::new(right));
    let copies = [(left.clone(), right.clone()), (right, left)].map(|(from, to)| {
        start(kind, move || {
            let copied = io::copy(&mut &*from, &mut &*to).unwrap();
            to.shutdown(std::net::Shutdown::Write).unwrap();
            copied
        })
    });
    let talks = [client, server].map(|mut stream| {
        start(kind, move || {
            let content = pattern(5_000_000);
            let mut other = stream.try_clone().unwrap();
            let reader = start(kind, move || {
                let mut bytes = Vec::new();
                other.read_to_end(&mut bytes).map(|_| bytes)
            });
            stream.write_all(&content).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert!(reader.join().unwrap() == content);
        })
    });
    talks.into_iter().for_each(io_kit::Started::join);
    assert_eq!(copies.map(io_kit::Started::join), [5_000_000; 2]);
}

/// On one core another thread goes on, and the runtime never has to put another worker in the place of one that is blocked.
fn no_worker_waits_in_the_kernel(kind: Kind) {
    const TIMES: u64 = 20;
    if kind == Kind::Kernel {
        return;
    }
    assert_eq!(Runtime::get().unwrap().cores(), 1);
    let neighbour = io_kit::neighbour();
    let scratch = Scratch::new();
    let path = scratch.file("source", &pattern(4_000_000));
    let handovers = || Runtime::get().unwrap().counters().handovers;
    let before = handovers();
    for _ in 0..TIMES {
        make_cold(&path);
        let mut target = File::create(scratch.0.join("copy")).unwrap();
        io::copy(&mut File::open(&path).unwrap(), &mut target).unwrap();
        make_cold(&path);
        for (mut target, mut other_end) in full_targets() {
            let mut source = File::open(&path).unwrap();
            let copying = thread::spawn(move || io::copy(&mut source, &mut target).unwrap());
            thread::sleep(Duration::from_millis(2));
            let mut arrived = Vec::new();
            other_end.read_to_end(&mut arrived).unwrap();
            assert_eq!(copying.join().unwrap(), 4_000_000);
        }
        for (mut source, mut other_end) in silent_sources() {
            let mut target = File::create(scratch.0.join("copy")).unwrap();
            let copying = thread::spawn(move || io::copy(&mut source, &mut target).unwrap());
            thread::sleep(Duration::from_millis(2));
            other_end.write_all(b"more").unwrap();
            drop(other_end);
            assert_eq!(copying.join().unwrap(), 1004);
        }
    }
    assert!(neighbour() > TIMES);
    // A page of this very program may have to come from the disk; each wait of these copies would be one.
    assert!(handovers() - before < TIMES, "{} workers were blocked", handovers() - before);
}
