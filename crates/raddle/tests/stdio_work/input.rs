//! Standard input.

use crate::io_kit::{Kind, Scratch, a_moment, make_cold, pattern, start, until};
use crate::redirected::{Redirected, terminal};
use raddle::cancel::Token;
use raddle::io::{self, BufRead, PipeWriter, Read, Write};
use raddle::{thread, time};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const IN: i32 = 0;

/// Standard input out of a pipe, for a while.
fn piped() -> (PipeWriter, Redirected) {
    let (reader, writer) = io::pipe().unwrap();
    (writer, Redirected::new(IN, reader))
}

fn line() -> String {
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    line
}

pub(crate) fn lines_are_read_one_by_one(_: Kind) {
    let (mut writer, _input) = piped();
    writer.write_all(b"one\ntwo\nthr").unwrap();
    assert_eq!([line(), line()], ["one\n", "two\n"]);
    writer.write_all("ee\nfour\u{e4}\n\nlast".as_bytes()).unwrap();
    drop(writer);
    assert_eq!(line(), "three\n");
    let rest: Vec<String> = io::stdin().lines().map(Result::unwrap).collect();
    assert_eq!(rest, ["four\u{e4}", "", "last"]);
    assert_eq!(line(), "");
}

pub(crate) fn all_ways_to_read(_: Kind) {
    let (mut writer, _input) = piped();
    let content = pattern(30_000);
    writer.write_all(&content).unwrap();
    let mut buffer = [0; 100];
    io::stdin().read_exact(&mut buffer).unwrap();
    assert_eq!(buffer, content[..100]);
    // What another handle has read ahead is there.
    let count = (&io::stdin()).read(&mut buffer).unwrap();
    assert_eq!(buffer[..count], content[100..100 + count]);
    let mut at = 100 + count;
    let mut lock = io::stdin().lock();
    let (mut a, mut b) = ([0; 7], [0; 9]);
    let count = lock
        .read_vectored(&mut [io::IoSliceMut::new(&mut a), io::IoSliceMut::new(&mut b)])
        .unwrap();
    assert_eq!([&a[..], &b[..]].concat()[..count], content[at..at + count]);
    at += count;
    let mut until_zero = Vec::new();
    lock.read_until(0, &mut until_zero).unwrap();
    assert_eq!(until_zero, content[at..at + until_zero.len()]);
    assert_eq!(until_zero.last(), Some(&0));
    at += until_zero.len();
    let there = lock.fill_buf().unwrap().len();
    lock.consume(there - 1);
    at += there - 1;
    drop(lock);
    // More than the buffer holds, past it.
    let mut large = vec![0; 15_000];
    io::stdin().read_exact(&mut large).unwrap();
    assert!(large == content[at..at + 15_000]);
    at += 15_000;
    drop(writer);
    let mut rest = Vec::new();
    io::stdin().read_to_end(&mut rest).unwrap();
    assert!(rest == content[at..]);
    assert_eq!(io::stdin().read_to_string(&mut String::new()).unwrap(), 0);
    assert!(!io::stdin().is_terminal());
}

pub(crate) fn a_read_waits_and_holds_no_kernel_thread(_: Kind) {
    const READERS: usize = 30;
    static READ: AtomicUsize = AtomicUsize::new(0);
    READ.store(0, Ordering::Relaxed);
    let (mut writer, _input) = piped();
    let kernel_threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = kernel_threads();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            thread::spawn(|| {
                assert_eq!(line(), "x\n");
                READ.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    time::sleep(Duration::from_millis(60));
    let after = kernel_threads();
    assert_eq!(READ.load(Ordering::Relaxed), 0);
    for count in 1..=READERS {
        writer.write_all(b"x\n").unwrap();
        until(|| READ.load(Ordering::Relaxed) == count);
    }
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert!(after < before + READERS / 3, "{before} kernel threads, then {after}");
}

pub(crate) fn a_token_ends_a_read_and_nothing_is_lost(kind: Kind) {
    let (mut writer, _input) = piped();
    let token = Token::new();
    let reader = start(kind, {
        let token = token.clone();
        move || token.carry(line).is_err()
    });
    a_moment();
    token.cancel();
    assert!(reader.join());
    assert!(time::timeout(Duration::from_millis(5), line).is_err());
    writer.write_all(b"comes later\n").unwrap();
    assert_eq!(line(), "comes later\n");
}

pub(crate) fn lines_go_to_whoever_asks(_: Kind) {
    let (mut writer, input) = piped();
    let readers: Vec<_> = (0..10)
        .map(|number| {
            let kind = if number % 2 == 0 { Kind::Kernel } else { Kind::Raddle };
            start(kind, || {
                let mut own = Vec::new();
                loop {
                    match line() {
                        end if end.is_empty() => return own,
                        line => own.push(line.trim_end().parse::<usize>().unwrap()),
                    }
                }
            })
        })
        .collect();
    for number in 0..2000 {
        writeln!(writer, "{number}").unwrap();
    }
    drop(writer);
    let mut all: Vec<usize> = readers.into_iter().flat_map(|reader| reader.join()).collect();
    drop(input);
    all.sort();
    assert!(all.into_iter().eq(0..2000));
}

pub(crate) fn a_file_is_read(_: Kind) {
    let scratch = Scratch::new();
    let content = pattern(400_000);
    let path = scratch.file("in", &content);
    for _ in 0..2 {
        make_cold(&path);
        let _input = Redirected::new(IN, std::fs::File::open(&path).unwrap());
        let mut found = Vec::new();
        io::stdin().read_to_end(&mut found).unwrap();
        assert!(found == content);
    }
    let _input = Redirected::new(IN, std::fs::File::open("/dev/null").unwrap());
    assert_eq!(line(), "");
    let directory = Redirected::new(IN, std::fs::File::open("/").unwrap());
    let error = io::stdin().read(&mut [0]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EISDIR));
    drop(directory);
}

/// Where nobody else opens anything, which would get the number: before there is a runtime.
pub(crate) fn a_closed_input_is_at_its_end() {
    let closed = Redirected::closed(IN);
    let found = [io::stdin().read(&mut [0]), std::io::stdin().read(&mut [0])];
    drop(closed);
    assert!(found.iter().all(|count| matches!(count, Ok(0))), "{found:?}");
}

pub(crate) fn a_terminal_is_read(kind: Kind) {
    let (mut keyboard, terminal) = terminal();
    let _input = Redirected::new(IN, &terminal);
    assert!(io::stdin().is_terminal() && io::stdin().lock().is_terminal());
    for text in ["first\n", "second\n"] {
        let reader = start(kind, line);
        a_moment();
        assert!(!reader.is_finished());
        std::io::Write::write_all(&mut keyboard, text.as_bytes()).unwrap();
        assert_eq!(reader.join(), text);
    }
    // Ctrl-D is an end, for once.
    let reader = start(kind, line);
    a_moment();
    std::io::Write::write_all(&mut keyboard, &[4]).unwrap();
    assert_eq!(reader.join(), "");
    std::io::Write::write_all(&mut keyboard, b"again\n").unwrap();
    assert_eq!(line(), "again\n");
}

pub(crate) fn what_is_buffered_is_copied_first(_: Kind) {
    let (mut writer, _input) = piped();
    writer.write_all(b"a line\nthe rest, ").unwrap();
    assert_eq!(line(), "a line\n");
    writer.write_all(b"and more").unwrap();
    drop(writer);
    let mut bytes = Vec::new();
    assert_eq!(io::copy(&mut io::stdin().lock(), &mut bytes).unwrap(), 18);
    assert_eq!(bytes, b"the rest, and more");
    let (mut reader, out) = io::pipe().unwrap();
    let redirected = Redirected::new(1, out);
    io::stdout().write_all(b"begun, ").unwrap();
    assert_eq!(io::copy(&mut &b"copied"[..], &mut io::stdout().lock()).unwrap(), 6);
    io::stdout().flush().unwrap();
    drop(redirected);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "begun, copied");
}
