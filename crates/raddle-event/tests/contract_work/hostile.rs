//! What a careless or hostile caller does: each case broke something once.

use crate::kit::{PATIENCE, Setup, errno, pair, write};
use raddle_event::{Config, Interest, Mode, Op, What};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

crate::cases![
    what_was_found_and_removed_does_not_end_a_wait,
    an_edge_comes_to_who_never_sleeps,
    a_second_reader_of_a_fifo_is_not_waited_for,
    closing_waits_for_a_helper_that_uses_the_number,
    closing_what_is_being_sent_ends_that,
    a_connection_nobody_heard_of_is_closed_with_the_queue,
    sending_from_the_end_of_all_numbers,
    no_offset_stands_for_a_files_position,
    helpers_without_number,
];

fn path(setup: Setup, name: &str) -> PathBuf {
    let id = std::process::id();
    let name = format!("raddle-event-hostile-{id}-{}-{}-{name}", setup.backend, setup.wake);
    std::env::temp_dir().join(name)
}

fn what_was_found_and_removed_does_not_end_a_wait(setup: Setup) {
    let mut kit = setup.kit_with(setup.config(), 1);
    let (first, second) = (pair(), pair());
    let registrations = [&first.1, &second.1]
        .map(|fd| kit.queue.register(fd, 1, Interest::READ, Mode::Level).unwrap());
    write(&first.0, b"x");
    write(&second.0, b"x");
    kit.wait();
    for registration in registrations {
        assert!(kit.queue.remove(registration));
    }
    // The batch had room for one; the other was found too, and waits to be delivered.
    let (start, patience) = (Instant::now(), Duration::from_millis(50));
    assert_eq!(kit.queue.wait(&mut kit.events, Some(patience)).unwrap(), 0);
    assert!(start.elapsed() >= patience, "0 means that the time is over");
}

fn an_edge_comes_to_who_never_sleeps(setup: Setup) {
    let mut kit = setup.kit();
    let (mut here, mut there) = pair();
    kit.queue.register(&here, 1, Interest::WRITE, Mode::Edge).unwrap();
    kit.wait();
    while here.write(&[0; 4096]).is_ok() {}
    // What was found before the socket was full may come still.
    kit.queue.wait(&mut kit.events, Some(Duration::ZERO)).unwrap();
    while there.read(&mut [0; 4096]).is_ok() {}
    let start = Instant::now();
    while kit.queue.wait(&mut kit.events, Some(Duration::ZERO)).unwrap() == 0 {
        assert!(start.elapsed() < Duration::from_secs(2), "there is room, and it was not said");
    }
}

fn a_second_reader_of_a_fifo_is_not_waited_for(setup: Setup) {
    let mut kit = setup.kit();
    let path = path(setup, "fifo");
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: reads a path with a zero at its end.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let mut fifo = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut buffers = [[0u8; 8]; 2];
    for (key, buffer) in buffers.iter_mut().enumerate() {
        let (file, len) = (fifo.as_raw_fd(), buffer.len());
        kit.submit(key as u64, Op::Read { file, buffer: buffer.as_mut_ptr(), len, offset: None });
    }
    kit.nothing();
    fifo.write_all(b"one").unwrap();
    // Frees the queue's owner if it waits where it must not.
    let (tell, told) = mpsc::channel();
    let mut other = fifo.try_clone().unwrap();
    let late = std::thread::spawn(move || {
        let is_told = told.recv_timeout(PATIENCE / 10).is_ok();
        other.write_all(b"two").unwrap();
        is_told
    });
    kit.wait();
    let _ = tell.send(());
    assert!(late.join().unwrap(), "the queue waited in a read");
    kit.one();
}

/// Sends zeros without end, closes one of the two descriptors, and uses its number anew: helpers must have let go of a
/// number before it is free.
fn close_while_sending(setup: Setup, closes_source: bool) {
    let mut kit = setup.kit();
    let name = |part: &str| path(setup, &format!("{part}-{closes_source}"));
    let (to_path, path) = (name("to"), name("innocent"));
    for _ in 0..10 {
        let source = File::open("/dev/zero").unwrap();
        let target = File::create(&to_path).unwrap();
        let (to, file) = (target.as_raw_fd(), source.as_raw_fd());
        let sending = kit.submit(1, Op::SendFile { to, file, offset: 0, len: 1 << 40 });
        kit.queue.wait(&mut kit.events, Some(Duration::from_millis(1))).unwrap();
        assert!(kit.events.is_empty(), "it has ended: {:?}", kit.events);
        let (source, target) = (OwnedFd::from(source), OwnedFd::from(target));
        let (closed, kept) = if closes_source { (source, target) } else { (target, source) };
        let number = closed.into_raw_fd();
        let closing = kit.submit(2, Op::Close { file: number });
        let mut innocent = None;
        let mut left = 2;
        while left > 0 {
            for event in kit.wait() {
                let What::Done(done) = event.what else { panic!("{event:?}") };
                left -= 1;
                if done.operation == closing {
                    assert_eq!(done.result().unwrap(), 0);
                    innocent = Some(occupy(number, &path));
                } else {
                    assert_eq!(done.operation, sending);
                }
            }
        }
        drop((kept, innocent));
        let (innocent, sent) = (fs::read(&path).unwrap(), fs::read(&to_path).unwrap());
        fs::remove_file(&path).unwrap();
        fs::remove_file(&to_path).unwrap();
        assert!(innocent == [b'x'; 4096], "another file was written to");
        assert!(!sent.contains(&b'x'), "another file was sent");
    }
}

/// Makes a number that was closed name a new file. Another thread of the suite may have been faster; so it is the next free one.
fn occupy(number: i32, path: &Path) -> (File, OwnedFd) {
    let file = File::create_new(path).unwrap();
    (&file).write_all(&[b'x'; 4096]).unwrap();
    // SAFETY: two numbers, no memory.
    let copy = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, number) };
    assert!(copy >= number);
    // SAFETY: made just now, for us.
    (file, unsafe { OwnedFd::from_raw_fd(copy) })
}

fn closing_waits_for_a_helper_that_uses_the_number(setup: Setup) {
    close_while_sending(setup, false);
}

fn closing_what_is_being_sent_ends_that(setup: Setup) {
    close_while_sending(setup, true);
}

fn a_connection_nobody_heard_of_is_closed_with_the_queue(setup: Setup) {
    let mut kit = setup.kit();
    let path = path(setup, "listener");
    let listener = UnixListener::bind(&path).unwrap();
    let mut peer = UnixStream::connect(&path).unwrap();
    fs::remove_file(&path).unwrap();
    peer.set_read_timeout(Some(PATIENCE / 10)).unwrap();
    let (address, address_len) = (std::ptr::null_mut(), std::ptr::null_mut());
    let accept = Op::Accept { listener: listener.as_raw_fd(), address, address_len, flags: 0 };
    kit.submit(1, accept);
    kit.queue.flush().unwrap();
    drop(kit);
    drop(listener);
    assert_eq!(peer.read(&mut [0; 1]).ok(), Some(0), "somebody holds the connection still");
}

fn sending_from_the_end_of_all_numbers(setup: Setup) {
    let mut kit = setup.kit();
    let file = File::open("/proc/self/exe").unwrap();
    let (here, _there) = pair();
    let (to, file, offset) = (here.as_raw_fd(), file.as_raw_fd(), u64::MAX);
    let result = kit.perform(Op::SendFile { to, file, offset, len: 4096 });
    assert_eq!(errno(result), Some(libc::EINVAL));
}

fn no_offset_stands_for_a_files_position(setup: Setup) {
    let mut kit = setup.kit();
    let mut opened = File::open("/proc/self/exe").unwrap();
    let mut buffer = [0; 4];
    let (file, len) = (opened.as_raw_fd(), buffer.len());
    for offset in [u64::MAX, u64::MAX - 1, 1 << 63] {
        let op = Op::Read { file, buffer: buffer.as_mut_ptr(), len, offset: Some(offset) };
        assert_eq!(errno(kit.perform(op)), Some(libc::EINVAL), "{offset}");
    }
    opened.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"\x7fELF", "nobody has moved it");
}

fn helpers_without_number(setup: Setup) {
    let mut kit = setup.kit_with(Config { helpers_max: usize::MAX, ..setup.config() }, 64);
    let file = File::open("/proc/self/exe").unwrap();
    assert!(kit.perform(Op::Sync { file: file.as_raw_fd(), data_only: false }).is_ok());
}
