//! Standard output and standard error.

use crate::io_kit::{Kind, Scratch, a_moment, pattern, start, until};
use crate::redirected::{Redirected, terminal};
use raddle::io::{self, ErrorKind, PipeReader, Read, Write};
use raddle::process::{Command, Stdio};
use raddle::{thread, time};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const OUT: i32 = 1;
const ERR: i32 = 2;

/// Standard output into a pipe, for a while.
fn piped(number: i32) -> (PipeReader, Redirected) {
    let (reader, writer) = io::pipe().unwrap();
    (reader, Redirected::new(number, writer))
}

/// What is in a pipe just now.
fn there(reader: &PipeReader) -> String {
    let mut count = 0;
    // SAFETY: writes a local.
    unsafe { libc::ioctl(reader.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    let mut bytes = vec![0; count as usize];
    { reader }.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn lines_are_written_when_they_are_complete(_: Kind) {
    let (reader, _out) = piped(OUT);
    let mut out = io::stdout();
    out.write_all(b"a").unwrap();
    assert_eq!(there(&reader), "");
    out.write_all(b"b\n").unwrap();
    assert_eq!(there(&reader), "ab\n");
    assert_eq!(out.write(b"c\nd\ne").unwrap(), 5);
    assert_eq!(there(&reader), "c\nd\n");
    write!(out, "f{}{}", 1, 2).unwrap();
    assert_eq!(there(&reader), "");
    out.flush().unwrap();
    assert_eq!(there(&reader), "ef12");
    writeln!(out, "{} {}", 1, 2).unwrap();
    assert_eq!(there(&reader), "1 2\n");
    out.flush().unwrap();
    assert_eq!(there(&reader), "");
}

/// Whoever writes, to whichever handle: one order.
pub(crate) fn pieces_of_std_and_ours_keep_their_order(_: Kind) {
    let (reader, redirected) = piped(OUT);
    let mut expected = String::new();
    let mut found = String::new();
    for round in 0..2000 {
        let text = match round % 7 {
            0 => format!("{round}\n"),
            1 => format!("a{round}"),
            2 => "x".repeat(round % 1500),
            3 => "\n".to_owned(),
            4 => format!("{}\n{}\nrest", "y".repeat(round % 700), "z".repeat(round % 400)),
            5 => String::new(),
            _ => format!("{round},"),
        };
        let to: &mut dyn Write =
            if round % 3 == 0 { &mut io::stdout() } else { &mut std::io::stdout() };
        to.write_all(text.as_bytes()).unwrap();
        if round % 50 == 0 {
            to.flush().unwrap();
        }
        expected += &text;
        found += &there(&reader);
    }
    io::stdout().flush().unwrap();
    drop(redirected);
    found += &there(&reader);
    assert!(found == expected, "{} bytes of {}", found.len(), expected.len());
}

pub(crate) fn pieces_of_all_lengths_arrive(kind: Kind) {
    let (mut reader, redirected) = piped(OUT);
    let reads = start(kind, move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let all = pattern(300_000);
    let mut expected = Vec::new();
    for (at, len) in
        [1, 1022, 1023, 1024, 1025, 2048, 5000, 70_000, 200_000].into_iter().enumerate()
    {
        let mut out = io::stdout().lock();
        let piece = &all[at..at + len];
        out.write_all(piece).unwrap();
        // As single writes as well, which may take a part.
        let mut rest = piece;
        while !rest.is_empty() {
            let count = out.write(rest).unwrap();
            assert!(count > 0);
            rest = &rest[count..];
        }
        expected.extend([piece, piece].concat());
    }
    io::stdout().flush().unwrap();
    drop(redirected);
    assert!(reads.join() == expected);
}

pub(crate) fn errors_are_written_at_once(_: Kind) {
    let (reader, redirected) = piped(ERR);
    let mut error = io::stderr();
    error.write_all(b"a").unwrap();
    let first = there(&reader);
    write!(error.lock(), "{}", 7).unwrap();
    eprint!("b");
    error.flush().unwrap();
    let second = there(&reader);
    drop(redirected);
    assert_eq!((first.as_str(), second.as_str()), ("a", "7b"));
}

pub(crate) fn the_lock_keeps_others_out_and_lets_its_owner_in(kind: Kind) {
    let (reader, _out) = piped(OUT);
    let mut mine = io::stdout().lock();
    let others: Vec<_> = [Kind::Raddle, Kind::Kernel]
        .into_iter()
        .map(|kind| start(kind, || writeln!(io::stdout(), "another's").unwrap()))
        .collect();
    let std = start(kind, || std::io::stdout().write_all(b"std's\n").unwrap());
    a_moment();
    mine.write_all(b"1\n").unwrap();
    writeln!(io::stdout(), "2").unwrap();
    println_of_std("3\n");
    assert_eq!(there(&reader), "1\n2\n3\n");
    assert!(others.iter().all(|other| !other.is_finished()) && !std.is_finished());
    drop(mine);
    others.into_iter().for_each(|other| other.join());
    std.join();
    let rest = there(&reader);
    let mut lines: Vec<&str> = rest.lines().collect();
    lines.sort();
    assert_eq!(lines, ["another's", "another's", "std's"]);
}

fn println_of_std(text: &str) {
    std::io::stdout().lock().write_all(text.as_bytes()).unwrap();
}

pub(crate) fn lines_of_many_threads_stay_whole(_: Kind) {
    const EACH: usize = 300;
    let (mut reader, redirected) = piped(OUT);
    let writers: Vec<_> = (0..9)
        .map(|number| {
            let kind = if number % 3 == 0 { Kind::Kernel } else { Kind::Raddle };
            start(kind, move || {
                for round in 0..EACH {
                    let long = "-".repeat(round * 7 % 2500);
                    if number % 2 == 0 {
                        writeln!(io::stdout(), "{number} {round} {long} {round}").unwrap();
                    } else {
                        println_of_std(&format!("{number} {round} {long} {round}\n"));
                    }
                }
            })
        })
        .collect();
    let reads = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    writers.into_iter().for_each(|writer| writer.join());
    drop(redirected);
    let text = reads.join().unwrap();
    let mut next = [0; 9];
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [number, round, long, again] = words[..] else { panic!("torn: {line}") };
        let number: usize = number.parse().unwrap();
        assert_eq!((round, again), (&*next[number].to_string(), round), "{line}");
        assert_eq!(long.len(), next[number] * 7 % 2500);
        next[number] += 1;
    }
    assert_eq!(next, [EACH; 9]);
}

/// So many kernel threads this process has.
fn kernel_threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Makes a pipe full: even one byte would wait.
fn fill(out: &impl AsFd) -> usize {
    let page = [b'x'; 4096];
    let mut sum = 0;
    for len in [4096, 1] {
        let slice = libc::iovec { iov_base: page.as_ptr().cast_mut().cast(), iov_len: len };
        let fd = out.as_fd().as_raw_fd();
        // SAFETY: reads a page, or a part of it.
        let write = || unsafe { libc::pwritev2(fd, &raw const slice, 1, -1, libc::RWF_NOWAIT) };
        sum += std::iter::repeat_with(write).take_while(|count| *count > 0).sum::<isize>();
    }
    sum as usize
}

pub(crate) fn a_full_pipe_holds_no_kernel_thread(kind: Kind) {
    const WRITERS: usize = 30;
    let (mut reader, out) = piped(OUT);
    let (mut errors, error) = piped(ERR);
    let filled = [fill(&io::stdout()), fill(&io::stderr())];
    let before = kernel_threads();
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            thread::spawn(move || match number % 3 {
                0 => writeln!(io::stdout(), "{number}").unwrap(),
                1 => io::stdout().write_all(&[b'y'; 3000]).unwrap(),
                _ => io::stderr().write_all(b"error\n").unwrap(),
            })
        })
        .collect();
    time::sleep(Duration::from_millis(60));
    let after = kernel_threads();
    let waits = writers.iter().filter(|writer| !writer.is_finished()).count();
    let drains = start(kind, move || {
        let mut bytes = vec![0; filled[1] + 6 * WRITERS / 3];
        errors.read_exact(&mut bytes).unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    io::stdout().flush().unwrap();
    drop((out, error));
    let lines: usize = (0..WRITERS).step_by(3).map(|number| number.to_string().len() + 1).sum();
    assert_eq!(drains.join(), filled[0] + lines + 3000 * WRITERS / 3);
    assert_eq!(waits, WRITERS);
    assert!(after < before + WRITERS / 3, "{before} kernel threads, then {after}");
}

pub(crate) fn a_time_out_ends_a_wait_for_room(kind: Kind) {
    let (mut reader, out) = piped(OUT);
    let filled = fill(&io::stdout());
    let soon = Duration::from_millis(5);
    assert!(time::timeout(soon, || writeln!(io::stdout(), "small")).is_err());
    assert!(time::timeout(soon, || io::stdout().write(&[b'y'; 3000])).is_err());
    // What was begun, and then not written, is still there.
    io::stdout().write_all(b"begun").unwrap();
    assert!(time::timeout(soon, || io::stdout().flush()).is_err());
    let reads = start(kind, move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes.split_off(filled)
    });
    writeln!(io::stdout(), " and ended").unwrap();
    drop(out);
    let text = String::from_utf8(reads.join()).unwrap();
    assert_eq!(text.trim_start_matches("small"), "begun and ended\n");
}

pub(crate) fn a_pipe_that_nobody_reads_is_an_error(_: Kind) {
    let (reader, _out) = piped(OUT);
    drop(reader);
    let mut out = io::stdout();
    assert_eq!(out.write_all(&[b'y'; 3000]).unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(writeln!(out, "x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    // What std has not got rid of goes nowhere.
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    let _nowhere = Redirected::new(OUT, null);
    out.flush().unwrap();
}

/// Where nobody else opens anything: see [`a_closed_input_is_at_its_end`](super::input::a_closed_input_is_at_its_end).
pub(crate) fn a_closed_stream_swallows_all() {
    let closed = Redirected::closed(OUT);
    let mut out = io::stdout();
    let results = [
        out.write_all(b"a line\n"),
        out.write_all(&[b'y'; 3000]),
        write!(out, "begun"),
        out.flush(),
    ];
    let stds = std::io::stdout().write_all(b"a line\n");
    drop(closed);
    let closed = Redirected::closed(ERR);
    let result = io::stderr().write_all(b"a line\n");
    drop(closed);
    assert!(
        results.iter().chain([&stds, &result]).all(Result::is_ok),
        "{results:?} {stds:?} {result:?}"
    );
}

pub(crate) fn a_file_is_written_in_order(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("out");
    let file = std::fs::File::create(&path).unwrap();
    let redirected = Redirected::new(OUT, &file);
    writeln!(io::stdout(), "one").unwrap();
    println_of_std("two\n");
    io::stdout().write_all(&[b'y'; 5000]).unwrap();
    // Another process writes to the same open file, at its position.
    let mut command = Command::new("echo");
    assert!(command.arg("three").stdout(io::stdout()).status().unwrap().success());
    writeln!(io::stdout(), "four").unwrap();
    drop(redirected);
    let expected = format!("one\ntwo\n{}three\nfour\n", "y".repeat(5000));
    assert!(std::fs::read_to_string(path).unwrap() == expected);
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    let _redirected = Redirected::new(OUT, null);
    writeln!(io::stdout(), "gone").unwrap();
    io::stdout().write_all(&[b'y'; 50_000]).unwrap();
}

/// As it is when ssh, or a shell of another kind, has the same terminal or pipe.
pub(crate) fn what_others_have_made_non_blocking_is_waited_for(kind: Kind) {
    let (mut reader, redirected) = piped(OUT);
    // SAFETY: no memory is involved.
    unsafe { libc::fcntl(OUT, libc::F_SETFL, libc::O_NONBLOCK) };
    let reads = start(kind, move || {
        a_moment();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    for _ in 0..30 {
        io::stdout().write_all(&[b'y'; 7000]).unwrap();
        (0..300).for_each(|_| writeln!(io::stdout(), "123").unwrap());
    }
    io::stdout().flush().unwrap();
    drop(redirected);
    assert_eq!(reads.join(), 30 * (7000 + 300 * 4));
}

pub(crate) fn the_descriptors_mode_is_left_alone(kind: Kind) {
    // SAFETY: no memory is involved.
    let flags = |number| unsafe { libc::fcntl(number, libc::F_GETFL) };
    let (mut reader, out) = piped(OUT);
    let (input, mut writer) = io::pipe().unwrap();
    let input = Redirected::new(0, input);
    let before = [flags(0), flags(1)];
    let was_changed = Arc::new(AtomicBool::new(false));
    let is_over = Arc::new(AtomicBool::new(false));
    let watches = std::thread::spawn({
        let (was_changed, is_over) = (was_changed.clone(), is_over.clone());
        move || {
            while !is_over.load(Ordering::Relaxed) {
                was_changed.fetch_or([flags(0), flags(1)] != before, Ordering::Relaxed);
            }
        }
    });
    let lines = Arc::new(AtomicUsize::new(0));
    let echoes = start(kind, {
        let lines = lines.clone();
        move || {
            for line in io::stdin().lines() {
                writeln!(io::stdout(), "{} {}", line.unwrap(), "z".repeat(3000)).unwrap();
                lines.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let reads = start(kind, move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    for round in 1..=100 {
        writer.write_all(b"12345\n").unwrap();
        if round % 10 == 0 {
            until(|| lines.load(Ordering::Relaxed) == round);
        }
    }
    drop(writer);
    echoes.join();
    is_over.store(true, Ordering::Relaxed);
    watches.join().unwrap();
    drop((input, out));
    assert_eq!(reads.join(), 100 * 3007);
    assert!(!was_changed.load(Ordering::Relaxed));
}

pub(crate) fn a_terminal_is_written_to(kind: Kind) {
    let (mut screen, terminal) = terminal();
    let redirected = Redirected::new(OUT, &terminal);
    assert!(io::stdout().is_terminal() && io::stdout().lock().is_terminal());
    // More than it has room for.
    let reads = start(kind, move || {
        let mut text = String::new();
        let mut buffer = [0; 512];
        while !text.ends_with("the end\r\n") {
            let count = std::io::Read::read(&mut screen, &mut buffer).unwrap();
            text += std::str::from_utf8(&buffer[..count]).unwrap();
        }
        text
    });
    let mut expected = String::new();
    for round in 0..200 {
        let line = format!("{round} {}", "w".repeat(round * 13 % 1500));
        writeln!(io::stdout(), "{line}").unwrap();
        expected += &line;
        expected += "\r\n";
    }
    writeln!(io::stdout(), "the end").unwrap();
    drop(redirected);
    assert!(reads.join() == expected + "the end\r\n");
    let (_reader, out) = piped(OUT);
    assert!(!io::stdout().is_terminal());
    drop(out);
}

pub(crate) fn a_child_gets_them(_: Kind) {
    let (reader, out) = piped(OUT);
    let (errors, error) = piped(ERR);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "echo out; echo err >&2"]).stdin(Stdio::null());
    // The one for the other.
    let status = command.stdout(io::stderr()).stderr(io::stdout()).status().unwrap();
    drop((out, error));
    assert!(status.success());
    assert_eq!((there(&reader), there(&errors)), ("err\n".to_owned(), "out\n".to_owned()));
}
