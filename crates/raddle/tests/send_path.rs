//! `fs::send_path` and `fs::send_file`: what arrives is the header and the file, whoever waits for what.

mod io_kit;

use io_kit::{
    Everywhere, Kind, Scratch, a_moment, cases, forbid, main as run, make_cold, on, pattern, start,
    until,
};
use raddle::cancel::Token;
use raddle::fs::{self, File};
use raddle::io::{self, ErrorKind, Read, Write};
use raddle::net::{TcpListener, TcpStream};
use raddle::runtime::Runtime;
use raddle::{thread, time};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

fn main() -> ExitCode {
    let mut all = cases![
        files_of_all_sizes_arrive_whole,
        cold_files_arrive_whole,
        a_part_of_a_file,
        what_is_asked_for_beyond_the_end_is_not_there,
        a_reader_who_is_slow_is_waited_for,
        a_header_longer_than_the_socket_has_room_for,
        what_can_not_be_sent_sends_nothing,
        a_closed_peer_is_an_error,
        a_write_time_out_ends_it_when_nothing_moves,
        a_write_time_out_does_not_end_what_moves,
        a_token_ends_it_and_the_descriptors_are_closed,
        a_file_that_becomes_shorter,
        a_pipe_or_memory_is_written_to,
        many_at_once,
        one_after_the_other_on_one_connection,
        a_threads_bytes_arrive_in_the_order_of_its_calls,
        each_of_two_who_write_at_once_keeps_its_order,
        a_signal_does_not_tear_it,
        a_cold_file_that_becomes_shorter,
        a_cold_part_behind_a_warm_one,
        a_token_ends_it_wherever_it_is,
        a_cold_file_waits_for_its_reader_no_longer_than_allowed,
        a_mode_that_another_handle_takes_back_is_set_again,
    ];
    // What they are told of a file, and how they ask for it, may be missing.
    for (name, before) in [
        ("cold_files_arrive_whole_without_cachestat", (|| forbid(CACHESTAT)) as fn()),
        ("cold_files_arrive_whole_without_preadv2", || forbid(libc::SYS_preadv2)),
        ("cold_files_arrive_whole_without_fadvise", || forbid(libc::SYS_fadvise64)),
    ] {
        let case = Everywhere { name, run: cold_files_arrive_whole, before, missing: None };
        all.push(case.with_filter(before));
    }
    let mut one_core = cases![no_worker_waits_in_the_kernel].remove(0);
    // SAFETY: the process has one thread.
    one_core.before = || unsafe { std::env::set_var("RADDLE_CORES", "1") };
    all.push(one_core);
    run(all)
}

/// `cachestat(2)`; not in libc yet.
const CACHESTAT: libc::c_long = 451;

fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Reads all that comes.
fn receives(kind: Kind, mut stream: TcpStream) -> io_kit::Started<io::Result<Vec<u8>>> {
    start(kind, move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map(|_| bytes)
    })
}

fn send_and_compare(kind: Kind, header: &[u8], path: PathBuf, content: &[u8]) {
    let (mut here, there) = connection();
    let receiver = receives(kind, there);
    let sent = fs::send_path(header, path, &mut here).unwrap();
    drop(here);
    let bytes = receiver.join().unwrap();
    assert_eq!(sent as usize, header.len() + content.len());
    assert!(bytes == [header, content].concat(), "{} bytes differ", content.len());
}

const SIZES: [usize; 9] = [0, 1, 4095, 4096, 65_537, 262_143, 262_145, 1_000_000, 5_000_001];

fn files_of_all_sizes_arrive_whole(kind: Kind) {
    let scratch = Scratch::new();
    for size in SIZES {
        let content = pattern(size);
        let path = scratch.file("file", &content);
        send_and_compare(kind, b"", path.clone(), &content);
        send_and_compare(kind, b"HTTP/1.1 200 OK\r\n\r\n", path, &content);
    }
}

fn cold_files_arrive_whole(kind: Kind) {
    let scratch = Scratch::new();
    for size in SIZES {
        let content = pattern(size);
        let path = scratch.file("file", &content);
        make_cold(&path);
        send_and_compare(kind, b"header", path, &content);
    }
}

fn a_part_of_a_file(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(700_000);
    let mut file = File::open(scratch.file("file", &content)).unwrap();
    file.read_exact(&mut [0; 10]).unwrap();
    for range in [0..0, 5..5, 5..6, 0..700_000, 300_000..699_999, 699_999..700_000] {
        let (mut here, there) = connection();
        let receiver = receives(kind, there);
        let part = range.start as u64..range.end as u64;
        assert_eq!(fs::send_file(b"h", &file, part, &mut here).unwrap(), 1 + range.len() as u64);
        drop(here);
        assert!(receiver.join().unwrap() == [b"h", &content[range]].concat());
    }
    assert_eq!(io::Seek::stream_position(&mut file).unwrap(), 10);
}

fn what_is_asked_for_beyond_the_end_is_not_there(kind: Kind) {
    let scratch = Scratch::new();
    let file = File::open(scratch.file("file", b"0123456789")).unwrap();
    #[allow(clippy::reversed_empty_ranges, reason = "that is the case")]
    for (range, expected) in
        [(8..20, "89"), (10..20, ""), (50..60, ""), (7..3, ""), (0..u64::MAX, "0123456789")]
    {
        let (mut here, there) = connection();
        let receiver = receives(kind, there);
        assert_eq!(fs::send_file(b"", &file, range, &mut here).unwrap(), expected.len() as u64);
        drop(here);
        assert_eq!(receiver.join().unwrap(), expected.as_bytes());
    }
}

fn a_reader_who_is_slow_is_waited_for(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(20_000_000);
    let path = scratch.file("file", &content);
    let (mut here, mut there) = connection();
    let sender = start(kind, move || fs::send_path(b"header", path, &mut here));
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    for pause in 0.. {
        if pause % 4 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        match there.read(&mut buffer).unwrap() {
            0 => break,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    assert_eq!(sender.join().unwrap(), 20_000_006);
    assert!(bytes[..6] == *b"header" && bytes[6..] == content);
}

fn a_header_longer_than_the_socket_has_room_for(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(300_000);
    let path = scratch.file("file", &content);
    let header = pattern(10_000_000);
    let (mut here, there) = connection();
    let sender = start(kind, {
        let header = header.clone();
        move || fs::send_path(&header, path, &mut here)
    });
    a_moment();
    let bytes = receives(kind, there).join().unwrap();
    assert_eq!(sender.join().unwrap(), 10_300_000);
    assert!(bytes == [header, content].concat());
}

fn what_can_not_be_sent_sends_nothing(kind: Kind) {
    let scratch = Scratch::new();
    let fifo = scratch.0.join("fifo");
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: a path that ends.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let (mut here, there) = connection();
    let receiver = receives(kind, there);
    let mut kind_of = |path: PathBuf| fs::send_path(b"header", path, &mut here).unwrap_err().kind();
    assert_eq!(kind_of(scratch.0.join("nothing")), ErrorKind::NotFound);
    assert_eq!(kind_of(scratch.0.clone()), ErrorKind::IsADirectory);
    assert_eq!(kind_of(fifo), ErrorKind::InvalidInput);
    assert_eq!(kind_of("/dev/null".into()), ErrorKind::InvalidInput);
    assert_eq!(kind_of("a\0b".into()), ErrorKind::InvalidInput);
    let path = scratch.file("file", b"!");
    assert_eq!(fs::send_path(b"at last", path, &mut here).unwrap(), 8);
    drop(here);
    assert_eq!(receiver.join().unwrap(), b"at last!");
}

fn a_closed_peer_is_an_error(kind: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(20_000_000));
    let (mut here, there) = connection();
    let sender = start(kind, move || fs::send_path(b"header", path, &mut here));
    a_moment();
    // With unread bytes in it: a reset.
    drop(there);
    let error = sender.join().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "{error:?}"
    );
}

fn a_write_time_out_ends_it_when_nothing_moves(kind: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(20_000_000));
    let (mut here, there) = connection();
    here.set_write_timeout(Some(Duration::from_millis(30))).unwrap();
    let sender = start(kind, move || fs::send_path(b"header", path, &mut here));
    assert_eq!(sender.join().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(there);
}

fn a_write_time_out_does_not_end_what_moves(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(16_000_000);
    let path = scratch.file("file", &content);
    let (mut here, mut there) = connection();
    here.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let sender = start(kind, move || fs::send_path(b"", path, &mut here));
    let mut bytes = vec![0; content.len()];
    // Longer than the time-out in all.
    for part in bytes.chunks_mut(1_000_000) {
        std::thread::sleep(Duration::from_millis(30));
        there.read_exact(part).unwrap();
    }
    assert_eq!(sender.join().unwrap(), 16_000_000);
    assert!(bytes == content);
}

/// How many descriptors of this process lead to `path`.
fn descriptors(path: &Path) -> usize {
    let numbers = std::fs::read_dir("/proc/self/fd").unwrap();
    let leads_there = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_link(entry.unwrap().path()).is_ok_and(|link| link == path)
    };
    numbers.map(leads_there).filter(|leads| *leads).count()
}

fn a_token_ends_it_and_the_descriptors_are_closed(kind: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(20_000_000));
    let (here, there) = connection();
    let token = Token::new();
    let sender = start(kind, {
        let (token, mut here, path) = (token.clone(), here.try_clone().unwrap(), path.clone());
        move || token.carry(|| fs::send_path(b"header", path, &mut here)).is_err()
    });
    until(|| descriptors(&path) == 1);
    a_moment();
    token.cancel();
    assert!(sender.join(), "it was done although nobody had read");
    assert_eq!(descriptors(&path), 0);
    drop((here, there));
}

fn a_file_that_becomes_shorter(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(20_000_000);
    let path = scratch.file("file", &content);
    let (mut here, there) = connection();
    let sender = start(kind, {
        let path = path.clone();
        move || fs::send_path(b"", path, &mut here)
    });
    a_moment();
    std::fs::File::options().write(true).open(path).unwrap().set_len(12_345_678).unwrap();
    let bytes = receives(kind, there).join().unwrap();
    assert_eq!(sender.join().unwrap(), bytes.len() as u64);
    assert!(
        bytes.len() >= 12_345_678 && bytes == content[..bytes.len()] || bytes.len() < content.len()
    );
    assert!(bytes[..12_345_678] == content[..12_345_678]);
}

fn a_cold_file_that_becomes_shorter(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(12_000_000);
    for rest in [0, 1, 4_096, 300_000, 1_048_576, 2_100_000, 7_000_001] {
        let path = scratch.file("file", &content);
        make_cold(&path);
        let (mut here, there) = connection();
        let receiver = receives(kind, there);
        let sender = start(kind, {
            let path = path.clone();
            move || fs::send_path(b"", path, &mut here)
        });
        std::fs::File::options().write(true).open(path).unwrap().set_len(rest).unwrap();
        let sent = sender.join().unwrap();
        let bytes = receiver.join().unwrap();
        assert_eq!(sent, bytes.len() as u64);
        // What was sent before it was cut off is the old content, as far as it was in the socket as pages: those are emptied.
        assert!(sent >= rest && bytes[..rest as usize] == content[..rest as usize]);
    }
}

fn a_cold_part_behind_a_warm_one(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(6_000_000);
    let path = scratch.file("file", &content);
    for warm in [1, 65_536, 700_000, 1_048_576, 3_000_000] {
        make_cold(&path);
        std::fs::File::open(&path).unwrap().read_exact(&mut vec![0; warm]).unwrap();
        send_and_compare(kind, b"header", path.clone(), &content);
    }
}

fn a_token_ends_it_wherever_it_is(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(6_000_000);
    let path = scratch.file("file", &content);
    for step in 0..30 {
        make_cold(&path);
        let (here, there) = connection();
        let receiver = receives(kind, there);
        let token = Token::new();
        let sender = start(kind, {
            let (token, mut here, path) = (token.clone(), here, path.clone());
            move || token.carry(|| fs::send_path(b"", path, &mut here).unwrap()).ok()
        });
        std::thread::sleep(Duration::from_micros(step * 100));
        token.cancel();
        let sent = sender.join();
        let bytes = receiver.join().unwrap();
        assert!(sent.is_none_or(|sent| sent == 6_000_000 && bytes.len() == 6_000_000));
        assert!(bytes == content[..bytes.len()]);
        assert_eq!(descriptors(&path), 0);
    }
}

fn a_cold_file_waits_for_its_reader_no_longer_than_allowed(kind: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(20_000_000));
    make_cold(&path);
    let (mut here, there) = connection();
    // Longer than any disk takes.
    here.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let sender = start(kind, move || fs::send_path(b"header", path, &mut here));
    assert_eq!(sender.join().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(there);
}

fn a_pipe_or_memory_is_written_to(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(500_000);
    let path = scratch.file("file", &content);
    let mut memory = Vec::new();
    assert_eq!(fs::send_path(b"header", &path, &mut memory).unwrap(), 500_006);
    assert!(memory == [b"header", &content[..]].concat());
    let (mut reader, mut writer) = io::pipe().unwrap();
    let receiver = start(kind, move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map(|_| bytes)
    });
    assert_eq!(fs::send_path(b"header", &path, &mut writer).unwrap(), 500_006);
    let flags = rustix_flags(&writer);
    assert_eq!(flags & libc::O_NONBLOCK, 0, "a pipe's mode is other people's business");
    drop(writer);
    assert!(receiver.join().unwrap() == memory);
    let error = fs::send_path(b"", scratch.0.join("nothing"), &mut memory).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

fn rustix_flags(of: &impl AsFd) -> i32 {
    use std::os::fd::AsRawFd;
    // SAFETY: no memory is involved.
    unsafe { libc::fcntl(of.as_fd().as_raw_fd(), libc::F_GETFL) }
}

fn many_at_once(kind: Kind) {
    let scratch = Scratch::new();
    let contents: Arc<Vec<Vec<u8>>> =
        Arc::new((0..8).map(|index| pattern(200_000 + index * 137_000)).collect());
    let names: Vec<PathBuf> = contents
        .iter()
        .enumerate()
        .map(|(index, content)| scratch.file(&format!("{index}"), content))
        .collect();
    names.iter().step_by(2).for_each(|name| make_cold(name));
    let threads: Vec<_> = (0..40)
        .map(|index: usize| {
            let (name, contents) = (names[index % 8].clone(), contents.clone());
            start(kind, move || send_and_compare(kind, b"header", name, &contents[index % 8]))
        })
        .collect();
    threads.into_iter().for_each(io_kit::Started::join);
}

fn one_after_the_other_on_one_connection(kind: Kind) {
    let scratch = Scratch::new();
    let (mut here, there) = connection();
    let receiver = receives(kind, there);
    let mut expected = Vec::new();
    for index in 0..50 {
        let content = pattern(index * 7919);
        let path = scratch.file("file", &content);
        if index % 3 == 0 {
            make_cold(&path);
        }
        let header = format!("{index}:");
        let sent = fs::send_path(header.as_bytes(), path, &mut here).unwrap();
        assert_eq!(sent as usize, header.len() + content.len());
        expected.extend_from_slice(header.as_bytes());
        expected.extend_from_slice(&content);
    }
    drop(here);
    assert!(receiver.join().unwrap() == expected);
}

/// All ways to write, in turns, by many threads at a time, so that some go to the kernel by calls of their own and some by the event queue.
fn a_threads_bytes_arrive_in_the_order_of_its_calls(kind: Kind) {
    const ROUNDS: usize = 12;
    let scratch = Arc::new(Scratch::new());
    let threads: Vec<_> = (0..16)
        .map(|number: usize| {
            let scratch = scratch.clone();
            start(kind, move || {
                let (mut here, there) = connection();
                let receiver = receives(kind, there);
                let mut expected = Vec::new();
                for round in 0..ROUNDS {
                    let content = pattern(1 + number * 4099 + round * 7919);
                    let path = scratch.file(&format!("file-{number}"), &content);
                    let file = File::open(&path).unwrap();
                    here.write_all(b"<write>").unwrap();
                    fs::send_path(b"<path>", &path, &mut here).unwrap();
                    here.write_all(b"<write again>").unwrap();
                    fs::send_file(b"<file>", &file, 0..u64::MAX, &mut here).unwrap();
                    let two = [io::IoSlice::new(b"<two"), io::IoSlice::new(b" slices>")];
                    assert_eq!(here.write_vectored(&two).unwrap(), 12);
                    io::copy(&mut &file, &mut here).unwrap();
                    for part in [
                        b"<write><path>",
                        &content[..],
                        b"<write again><file>",
                        &content,
                        b"<two slices>",
                        &content,
                    ] {
                        expected.extend_from_slice(part);
                    }
                }
                drop(here);
                assert!(receiver.join().unwrap() == expected, "thread {number}");
            })
        })
        .collect();
    threads.into_iter().for_each(io_kit::Started::join);
}

/// What falls between what is nobody's promise; a file may be cut by the other's bytes, as by `write_all`'s.
fn each_of_two_who_write_at_once_keeps_its_order(kind: Kind) {
    const WRITES: usize = 300;
    const OTHERS: u8 = 0x80;
    let scratch = Scratch::new();
    let content: Vec<u8> = pattern(1_500_000).iter().map(|byte| byte & !OTHERS).collect();
    let path = scratch.file("file", &content);
    for is_cold in [false, true] {
        if is_cold {
            make_cold(&path);
        }
        let (mut here, there) = connection();
        let receiver = receives(kind, there);
        let mut other = here.try_clone().unwrap();
        let writer = start(kind, move || {
            for number in 0..WRITES {
                other.write_all(&[number as u8 | OTHERS; 3]).unwrap();
                thread::yield_now();
            }
        });
        for _ in 0..3 {
            assert_eq!(fs::send_path(b"header", &path, &mut here).unwrap(), 1_500_006);
        }
        writer.join();
        drop(here);
        let (others, own): (Vec<u8>, Vec<u8>) =
            receiver.join().unwrap().into_iter().partition(|byte| byte & OTHERS != 0);
        assert!(own == [b"header", &content[..]].concat().repeat(3), "{} bytes", own.len());
        let written = (0..WRITES).flat_map(|number| [number as u8 | OTHERS; 3]);
        assert!(others.into_iter().eq(written), "what was written comes in its order");
    }
}

/// Signals from thread to thread reach raddle's threads only.
fn a_signal_does_not_tear_it(kind: Kind) {
    use thread::signal::{self, Handler, Signal};
    let scratch = Scratch::new();
    let content = pattern(20_000_000);
    let path = scratch.file("file", &content);
    let (mut here, mut there) = connection();
    let sender = thread::spawn(move || {
        signal::set_handler(Signal::USR1, Some(Handler::new(|_| thread::yield_now())));
        fs::send_path(b"header", path, &mut here)
    });
    let mut bytes = vec![0; content.len() + 6];
    for part in bytes.chunks_mut(1_000_000) {
        a_moment();
        sender.thread().send_signal(Signal::USR1).unwrap_or_default();
        there.read_exact(part).unwrap();
    }
    assert_eq!(sender.join().unwrap().unwrap(), 20_000_006);
    assert!(bytes[..6] == *b"header" && bytes[6..] == content);
    on(kind, || assert!(time::timeout(Duration::from_secs(1), || ()).is_ok()));
}

/// A clone that is given away takes the kernel's mode with it; the next file does not wait in the kernel all the same.
fn a_mode_that_another_handle_takes_back_is_set_again(kind: Kind) {
    let scratch = Scratch::new();
    let content = pattern(1 << 16);
    let path = scratch.file("file", &content);
    let (mut sender, mut reader) = connection();
    let is_nonblocking = |stream: &TcpStream| {
        let flags = rustix::fs::fcntl_getfl(stream.as_fd()).expect("its mode");
        flags.contains(rustix::fs::OFlags::NONBLOCK)
    };
    on(kind, move || {
        let file = File::open(&path).unwrap();
        for times in 0..3 {
            let clone = sender.try_clone().unwrap();
            fs::send_file(&[], &file, 0..1 << 16, &mut sender).unwrap();
            assert!(is_nonblocking(&sender), "a file was sent, {times}");
            let given = OwnedFd::from(clone);
            assert!(!is_nonblocking(&sender), "who is given a socket gets it blocking, {times}");
            drop(given);
            let mut came = vec![0; 1 << 16];
            reader.read_exact(&mut came).unwrap();
            assert!(came == content);
        }
    });
}

/// On one core another thread goes on while files come from the disk, and the runtime never has to put another worker in the place of one that is blocked.
fn no_worker_waits_in_the_kernel(kind: Kind) {
    const TIMES: u64 = 20;
    if kind == Kind::Kernel {
        return;
    }
    assert_eq!(Runtime::get().unwrap().cores(), 1);
    let neighbour = io_kit::neighbour();
    let scratch = Scratch::new();
    let content = pattern(4_000_000);
    let path = scratch.file("file", &content);
    let handovers = || Runtime::get().unwrap().counters().handovers;
    let before = handovers();
    for _ in 0..TIMES {
        make_cold(&path);
        send_and_compare(kind, b"header", path.clone(), &content);
        // A part of an open file, to somebody who does not read at once.
        make_cold(&path);
        let file = File::open(&path).unwrap();
        let (mut here, there) = connection();
        let sending = thread::spawn(move || fs::send_file(b"", &file, 1..u64::MAX, &mut here));
        thread::sleep(Duration::from_millis(2));
        assert!(receives(kind, there).join().unwrap() == content[1..]);
        assert_eq!(sending.join().unwrap().unwrap(), 3_999_999);
    }
    assert!(neighbour() > TIMES);
    // A page of this very program may have to come from the disk; each wait of these files would be one.
    assert!(handovers() - before < TIMES, "{} workers were blocked", handovers() - before);
}
