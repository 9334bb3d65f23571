//! `io::copy`: what arrives is what was there, whatever moves it, and both ends stand where reading and writing would have left them.

#[path = "io_copy_work/ends.rs"]
mod ends;
mod io_kit;
#[path = "io_copy_work/refused.rs"]
mod refused;
#[path = "io_copy_work/waits.rs"]
mod waits;

use ends::{From, To};
use io_kit::{Kind, Scratch, cases, main as run, pattern};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence::Direct;
use raddle::fs::{self, File};
use raddle::io::{self, ErrorKind, Read, Source, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let own = cases![
        all_pairs_of_ends,
        pairs_at_random,
        what_std_has_can_be_copied,
        files_that_call_themselves_empty,
        whole_files_by_name,
        the_true_error_is_found,
        a_socket_goes_back_to_std_as_it_came,
    ];
    run([own, refused::cases(), waits::cases()].into_iter().flatten().collect())
}

/// Copies, at most `limit` bytes, and looks at everything afterwards.
fn copy_and_look(kind: Kind, from: From, to: To, len: usize, limit: Option<usize>) {
    let scratch = Scratch::new();
    let content = pattern(len);
    let mut reader = from.open(&content, kind, &scratch);
    let mut open = to.open(kind, &scratch);
    let copied = match limit {
        None => io::copy(&mut reader, &mut open.writer),
        Some(limit) => {
            let mut part = Read::take(&mut reader, limit as u64);
            let copied = io::copy(&mut part, &mut open.writer);
            let left = part.limit();
            assert_eq!(copied.as_ref().ok().map(|copied| copied + left), Some(limit as u64));
            copied
        }
    };
    let of = format!("{from:?} to {to:?}, {len} bytes, at most {limit:?}");
    let expected = len.min(limit.unwrap_or(usize::MAX));
    assert_eq!(copied.unwrap_or_else(|error| panic!("{of}: {error}")), expected as u64, "{of}");
    // Both go on behind what was copied.
    open.writer.write_all(b"written behind").unwrap();
    open.writer.flush().unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest == content[expected..], "{of}: another rest, of {} bytes", rest.len());
    let whole = [open.before, &content[..expected], b"written behind"].concat();
    let arrived = open.close();
    assert!(arrived == whole, "{of}: {} bytes differ from {}", arrived.len(), whole.len());
}

fn all_pairs_of_ends(kind: Kind) {
    for from in From::ALL {
        for to in To::ALL {
            for (len, limit) in [(0, None), (300_001, None), (70_000, Some(66_000))] {
                copy_and_look(kind, from, to, len, limit);
            }
        }
    }
}

fn pairs_at_random(kind: Kind) {
    let config = ProptestConfig {
        cases: 60,
        // This has no `lib.rs` above it, by which proptest would find the place.
        failure_persistence: Some(Box::new(Direct("tests/io_copy.proptest-regressions"))),
        ..ProptestConfig::default()
    };
    let len = prop_oneof![0..2_usize, 0..10_000_usize, 0..1_500_000_usize];
    let limit = prop_oneof![Just(None), (0..2_000_000_usize).prop_map(Some)];
    proptest!(config, |(from in select(&From::ALL[..]), to in select(&To::ALL[..]), len in len, limit in limit)| {
        copy_and_look(kind, from, to, len, limit);
    });
}

fn what_std_has_can_be_copied(_: Kind) {
    let all = |reader: &mut dyn FnMut(&mut Vec<u8>) -> io::Result<u64>| {
        let mut bytes = Vec::new();
        let count = reader(&mut bytes).unwrap();
        assert_eq!(count, bytes.len() as u64);
        bytes
    };
    assert_eq!(all(&mut |to| io::copy(&mut &b"slice"[..], to)), b"slice");
    assert_eq!(all(&mut |to| io::copy(&mut io::empty(), to)), b"");
    assert_eq!(all(&mut |to| io::copy(&mut io::repeat(b'a').take(100_000), to)), [b'a'; 100_000]);
    assert_eq!(all(&mut |to| io::copy(&mut b"ab".chain(&b"cd"[..]), to)), b"abcd");
    let mut deque: std::collections::VecDeque<u8> = (0..100).collect();
    deque.rotate_left(50);
    deque.extend([1, 2, 3]);
    let expected: Vec<u8> = deque.iter().copied().collect();
    assert_eq!(all(&mut |to| io::copy(&mut deque, to)), expected);
    assert!(deque.is_empty());
    let boxed: Box<dyn Read> = Box::new(&b"boxed"[..]);
    let mut boxed = boxed;
    assert_eq!(all(&mut |to| io::copy(&mut *boxed, to)), b"boxed");
    let mut cursor = io::Cursor::new([0; 4]);
    assert_eq!(io::copy(&mut &b"abc"[..], &mut cursor).unwrap(), 3);
    assert_eq!((cursor.position(), cursor.get_ref()), (3, b"abc\0"));
    let mut room = &mut [0; 4][..];
    let error = io::copy(&mut &b"too much"[..], &mut room).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WriteZero);
    // A cursor may stand behind its end.
    let mut behind = io::Cursor::new(b"abc");
    behind.set_position(1 << 40);
    assert_eq!(io::copy(&mut behind, &mut io::sink()).unwrap(), 0);
}

fn files_that_call_themselves_empty(kind: Kind) {
    let expected = std::fs::read("/proc/cpuinfo").unwrap();
    // But for numbers that change.
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    for to in To::ALL {
        let scratch = Scratch::new();
        let mut open = to.open(kind, &scratch);
        let copied = io::copy(&mut File::open("/proc/cpuinfo").unwrap(), &mut open.writer).unwrap();
        open.writer.flush().unwrap();
        let before = open.before;
        let arrived = open.close();
        assert_eq!(arrived.len(), before.len() + copied as usize, "{to:?}");
        assert_eq!(lines(&arrived), lines(&expected), "{to:?}");
    }
}

fn whole_files_by_name(_: Kind) {
    let scratch = Scratch::new();
    let content = pattern(3_000_000);
    let from = scratch.file("from", &content);
    io_kit::make_cold(&from);
    let to = scratch.file("to", &pattern(4_000_000));
    assert_eq!(fs::copy(&from, &to).unwrap(), 3_000_000);
    assert!(std::fs::read(&to).unwrap() == content);
    assert_eq!(fs::copy(&from, "/dev/null").unwrap(), 3_000_000);
}

fn the_true_error_is_found(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(100_000));
    let other = scratch.file("other", b"");
    let number = |result: io::Result<u64>| result.unwrap_err().raw_os_error();
    let mut read_only = File::open(&other).unwrap();
    let result = io::copy(&mut File::open(&path).unwrap(), &mut read_only);
    assert_eq!(number(result), Some(libc::EBADF));
    let mut write_only = File::create(&other).unwrap();
    let result = io::copy(&mut write_only, &mut File::create(scratch.0.join("third")).unwrap());
    assert_eq!(number(result), Some(libc::EBADF));
    let result = io::copy(&mut File::open(&scratch.0).unwrap(), &mut write_only);
    assert_eq!(number(result), Some(libc::EISDIR));
    let mut full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let result = io::copy(&mut File::open(&path).unwrap(), &mut full);
    assert_eq!(number(result), Some(libc::ENOSPC));
}

/// std's calls mind the mode.
fn a_socket_goes_back_to_std_as_it_came(kind: Kind) {
    use std::os::fd::AsRawFd;
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(1000));
    for by_send_path in [false, true] {
        let (mut here, mut there) = ends::tcp();
        let sent = match by_send_path {
            true => fs::send_path(b"", &path, &mut here),
            false => io::copy(&mut File::open(&path).unwrap(), &mut here),
        };
        assert_eq!(sent.unwrap(), 1000);
        assert_eq!(io::copy(&mut (&mut there).take(1000), &mut io::sink()).unwrap(), 1000);
        for stream in [std::net::TcpStream::from(here), std::net::TcpStream::from(there)] {
            // SAFETY: no memory is involved.
            let flags = unsafe { libc::fcntl(stream.as_raw_fd(), libc::F_GETFL) };
            assert_eq!(flags & libc::O_NONBLOCK, 0, "{kind:?}, send_path {by_send_path}");
        }
    }
    // And one that was non-blocking stays so: its calls say so, also in a copy.
    let (mut here, _there) = ends::tcp();
    here.set_nonblocking(true).unwrap();
    let error = io::copy(&mut here, &mut File::create(scratch.0.join("to")).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(here.direct().is_none());
}
