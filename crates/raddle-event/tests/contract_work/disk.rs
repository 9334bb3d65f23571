//! Files on a disk: open, read, write, sync, send, close.

use crate::kit::{Kit, Setup, completion, drain, errno, pair, send, write};
use raddle_event::{Config, Op, What};
use std::ffi::{CString, c_void};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::ThreadId;

crate::cases![
    a_file_is_made_written_synced_read_and_closed,
    what_is_not_there_says_so,
    a_position_moves_without_an_offset,
    a_file_is_sent_to_a_slow_reader,
    sending_ends_where_the_file_ends,
    sending_can_be_cancelled_halfway,
    what_else_is_sent_falls_between_the_pieces_of_a_file,
    a_vectored_write_at_an_offset,
    a_thousand_reads_at_once,
    owned_buffers_come_back,
    a_function_is_called_once_and_elsewhere,
    a_call_that_has_not_begun_is_cancelled_and_one_that_has_is_waited_for,
];

/// A file of its own for each case, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(setup: Setup, name: &str) -> Scratch {
        let name =
            format!("raddle-event-{}-{}-{}-{name}", std::process::id(), setup.backend, setup.wake);
        Scratch(std::env::temp_dir().join(name))
    }

    fn path(&self) -> CString {
        CString::new(self.0.as_os_str().as_bytes()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn open(path: &CString, flags: i32) -> Op {
    Op::Open { directory: libc::AT_FDCWD, path: path.as_ptr(), flags, mode: 0o600 }
}

fn write_at(file: i32, bytes: &[u8], offset: Option<u64>) -> Op {
    Op::Write { file, buffer: bytes.as_ptr(), len: bytes.len(), offset }
}

fn read_at(file: i32, bytes: &mut [u8], offset: Option<u64>) -> Op {
    Op::Read { file, buffer: bytes.as_mut_ptr(), len: bytes.len(), offset }
}

fn a_file_is_made_written_synced_read_and_closed(setup: Setup) {
    let mut kit = setup.kit();
    let scratch = Scratch::new(setup, "whole");
    let path = scratch.path();
    let file =
        kit.perform(open(&path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)).unwrap() as i32;
    // SAFETY: asks for flags.
    assert!(unsafe { libc::fcntl(file, libc::F_GETFD) } & libc::FD_CLOEXEC != 0);
    assert_eq!(kit.perform(write_at(file, b"hello world", Some(0))).unwrap(), 11);
    assert_eq!(kit.perform(write_at(file, b"W", Some(6))).unwrap(), 1);
    for data_only in [false, true] {
        assert_eq!(kit.perform(Op::Sync { file, data_only }).unwrap(), 0);
    }
    let mut bytes = [0; 16];
    assert_eq!(kit.perform(read_at(file, &mut bytes, Some(6))).unwrap(), 5);
    assert_eq!(&bytes[..5], b"World");
    assert_eq!(kit.perform(read_at(file, &mut bytes, Some(11))).unwrap(), 0);
    assert_eq!(kit.perform(Op::Close { file }).unwrap(), 0);
    assert_eq!(fs::read(&scratch.0).unwrap(), b"hello World");
}

fn what_is_not_there_says_so(setup: Setup) {
    let mut kit = setup.kit();
    let path = c"/does/not/exist".to_owned();
    assert_eq!(errno(kit.perform(open(&path, libc::O_RDONLY))), Some(libc::ENOENT));
    let file = File::open("/").unwrap();
    let mut bytes = [0; 16];
    let result = kit.perform(read_at(file.as_raw_fd(), &mut bytes, Some(0)));
    assert_eq!(errno(result), Some(libc::EISDIR));
}

fn a_position_moves_without_an_offset(setup: Setup) {
    let mut kit = setup.kit();
    let scratch = Scratch::new(setup, "position");
    fs::write(&scratch.0, b"abcdef").unwrap();
    let file = File::open(&scratch.0).unwrap();
    let mut bytes = [0; 4];
    assert_eq!(kit.perform(read_at(file.as_raw_fd(), &mut bytes, None)).unwrap(), 4);
    assert_eq!(&bytes, b"abcd");
    assert_eq!(kit.perform(read_at(file.as_raw_fd(), &mut bytes, None)).unwrap(), 2);
    assert_eq!(&bytes[..2], b"ef");
}

/// Some hundred KiB that tell one place from another.
fn content() -> Vec<u8> {
    (0..200_000u32).flat_map(|at| (at as u16).to_ne_bytes()).collect()
}

fn send_file(to: i32, file: &File, offset: u64, len: u64) -> Op {
    Op::SendFile { to, file: file.as_raw_fd(), offset, len }
}

fn a_file_is_sent_to_a_slow_reader(setup: Setup) {
    let mut kit = setup.kit();
    let (scratch, content) = (Scratch::new(setup, "send"), content());
    fs::write(&scratch.0, &content).unwrap();
    let file = File::open(&scratch.0).unwrap();
    let (here, there) = pair();
    let sending = kit.submit(1, send_file(here.as_raw_fd(), &file, 1000, 300_000));
    there.set_nonblocking(false).unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = vec![0; 300_000];
        (&there).read_exact(&mut all).unwrap();
        all
    });
    assert_eq!(kit.done(sending).unwrap(), 300_000);
    assert!(reader.join().unwrap() == content[1000..301_000]);
}

fn sending_ends_where_the_file_ends(setup: Setup) {
    let mut kit = setup.kit();
    let scratch = Scratch::new(setup, "short");
    fs::write(&scratch.0, b"0123456789").unwrap();
    let file = File::open(&scratch.0).unwrap();
    let (here, there) = pair();
    assert_eq!(kit.perform(send_file(here.as_raw_fd(), &file, 4, 1 << 40)).unwrap(), 6);
    assert_eq!(drain(&there), 6);
    assert_eq!(kit.perform(send_file(here.as_raw_fd(), &file, 99, 5)).unwrap(), 0);
}

fn sending_can_be_cancelled_halfway(setup: Setup) {
    let mut kit = setup.kit();
    let (scratch, content) = (Scratch::new(setup, "half"), content());
    fs::write(&scratch.0, &content).unwrap();
    let file = File::open(&scratch.0).unwrap();
    let (here, there) = pair();
    let len = content.len() as u64;
    let sending = kit.submit(1, send_file(here.as_raw_fd(), &file, 0, len));
    // The socket holds less.
    kit.nothing();
    assert!(kit.queue.cancel(sending));
    let sent = kit.done(sending).expect("what was sent counts");
    assert!(sent > 0 && sent < content.len(), "{sent}");
    assert_eq!(drain(&there), sent);
}

/// Where in the file it falls is not said: the file's own bytes keep their order, those of sends one after another theirs, and what is sent when the file
/// is done stands behind it.
fn what_else_is_sent_falls_between_the_pieces_of_a_file(setup: Setup) {
    const OTHERS: u8 = 0x80;
    const SENDS: u8 = 50;
    let mut kit = setup.kit();
    let scratch = Scratch::new(setup, "between");
    let content: Vec<u8> = content().iter().map(|byte| byte & !OTHERS).collect();
    fs::write(&scratch.0, &content).unwrap();
    let file = File::open(&scratch.0).unwrap();
    let (here, there) = pair();
    let len = content.len() as u64;
    let mut sending = Some(kit.submit(1, send_file(here.as_raw_fd(), &file, 0, len)));
    there.set_nonblocking(false).unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        // Slower than it is sent.
        let mut part = [0; 10_000];
        while let Ok(count @ 1..) = (&there).read(&mut part) {
            all.extend_from_slice(&part[..count]);
            std::thread::yield_now();
        }
        all
    });
    let bytes: Vec<u8> = (0..SENDS).map(|number| number | OTHERS).collect();
    let mut sent = 0;
    kit.submit(0, send(&here, &bytes[..1]));
    while sending.is_some() || sent < bytes.len() {
        for event in kit.wait() {
            let Some(done) = completion(&event) else { continue };
            let count = done.result().unwrap();
            if Some(done.operation) == sending {
                assert_eq!(count as u64, len);
                sending = None;
            } else {
                sent += count;
                if sent < bytes.len() {
                    kit.submit(0, send(&here, &bytes[sent..sent + 1]));
                }
            }
        }
    }
    assert_eq!(kit.perform(send(&here, b"behind")).unwrap(), 6);
    drop(here);
    let all = reader.join().unwrap();
    let (others, own): (Vec<u8>, Vec<u8>) = all.iter().partition(|byte| **byte & OTHERS != 0);
    assert!(all.ends_with(b"behind") && others == bytes);
    assert!(own == [&content[..], b"behind"].concat(), "{} bytes", own.len());
}

fn a_vectored_write_at_an_offset(setup: Setup) {
    let mut kit = setup.kit();
    let scratch = Scratch::new(setup, "vectored");
    fs::write(&scratch.0, b"........").unwrap();
    let file = fs::OpenOptions::new().write(true).read(true).open(&scratch.0).unwrap();
    let (mut a, mut b) = (*b"ab", *b"cd");
    let slice = |bytes: &mut [u8]| libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 2 };
    let slices = [slice(&mut a), slice(&mut b)];
    let op = Op::WriteVectored {
        file: file.as_raw_fd(),
        slices: slices.as_ptr(),
        count: 2,
        offset: Some(2),
    };
    assert_eq!(kit.perform(op).unwrap(), 4);
    assert_eq!(fs::read(&scratch.0).unwrap(), b"..abcd..");
}

fn a_thousand_reads_at_once(setup: Setup) {
    let mut kit = setup.kit();
    let (scratch, content) = (Scratch::new(setup, "reads"), content());
    fs::write(&scratch.0, &content).unwrap();
    let file = File::open(&scratch.0).unwrap();
    let mut buffers = vec![[0u8; 16]; 1000];
    for (at, buffer) in buffers.iter_mut().enumerate() {
        kit.submit(at as u64, read_at(file.as_raw_fd(), buffer, Some(16 * at as u64)));
    }
    let mut done = 0;
    while done < buffers.len() {
        for event in kit.wait() {
            let What::Done(completion) = event.what else { panic!("{event:?}") };
            assert_eq!(completion.result().unwrap(), 16);
            done += 1;
        }
    }
    assert!(buffers.concat() == content[..16_000]);
}

fn owned_buffers_come_back(setup: Setup) {
    let mut kit = setup.kit();
    let scratch = Scratch::new(setup, "owned");
    let options =
        fs::OpenOptions::new().create(true).truncate(true).write(true).read(true).open(&scratch.0);
    let file = Arc::new(options.unwrap());
    let take = |kit: &mut Kit, operation| {
        let result = kit.done(operation);
        let buffer = kit.events.take_buffer(operation).expect("it is done");
        assert!(kit.events.take_buffer(operation).is_none(), "once");
        (result, buffer)
    };
    let writing = kit.queue.write(1, &file, b"mine".to_vec(), Some(0)).unwrap();
    let (result, buffer) = take(&mut kit, writing);
    assert_eq!((result.unwrap(), buffer), (4, b"mine".to_vec()));
    let reading = kit.queue.read(2, &file, Vec::with_capacity(16), Some(1)).unwrap();
    let (result, buffer) = take(&mut kit, reading);
    assert_eq!((result.unwrap(), buffer), (3, b"ine".to_vec()));
    // Nobody else holds the socket; the queue keeps it open, and the buffer, until it is gone itself.
    let (here, there) = pair();
    let there = Arc::new(there);
    kit.queue.read(3, &there, vec![0; 16], None).unwrap();
    drop(there);
    kit.nothing();
    drop(kit);
    let mut end = [0; 1];
    // SAFETY: reads a byte of what is open.
    let result = unsafe { libc::read(here.as_raw_fd(), end.as_mut_ptr().cast(), 1) };
    assert_eq!(result, 0, "now it is closed");
    // SAFETY: a copy of a number that is open.
    drop(unsafe { File::from_raw_fd(libc::dup(here.as_raw_fd())) });
}

/// What a called function is given.
#[derive(Default)]
struct Called {
    by: Vec<ThreadId>,
    returns: i64,
    /// It waits until there is something to read, or the end.
    waits_for: Option<UnixStream>,
}

impl Called {
    fn op(&mut self) -> Op {
        unsafe extern "C" fn note(argument: *mut c_void) -> i64 {
            // SAFETY: below, it is one; the test looks at it when the operation is over.
            let called = unsafe { &mut *argument.cast::<Called>() };
            called.by.push(std::thread::current().id());
            if let Some(stream) = &mut called.waits_for {
                stream.read_exact(&mut [0]).expect("it is open");
            }
            called.returns
        }
        Op::Call { function: note, argument: (&raw mut *self).cast() }
    }
}

fn a_function_is_called_once_and_elsewhere(setup: Setup) {
    let mut kit = setup.kit();
    for returns in [0, 7, 1 << 40, -i64::from(libc::EXDEV)] {
        let mut called = Called { returns, ..Called::default() };
        let result = kit.perform(called.op());
        assert_eq!(called.by.len(), 1);
        assert_ne!(called.by[0], std::thread::current().id());
        match usize::try_from(returns) {
            Ok(count) => assert_eq!(result.unwrap(), count),
            Err(_) => assert_eq!(errno(result), Some(libc::EXDEV)),
        }
    }
    let mut many: Vec<Called> = (0..200).map(|_| Called::default()).collect();
    for called in &mut many {
        kit.submit(1, called.op());
    }
    let mut left = many.len();
    while left > 0 {
        left -= kit.wait().len();
    }
    assert!(many.iter().all(|called| called.by.len() == 1));
}

fn a_call_that_has_not_begun_is_cancelled_and_one_that_has_is_waited_for(setup: Setup) {
    let mut kit = setup.kit_with(Config { helpers_max: 1, ..setup.config() }, 64);
    let (here, there) = pair();
    there.set_nonblocking(false).unwrap();
    let mut first = Called { returns: 5, waits_for: Some(there), ..Called::default() };
    let mut second = Called::default();
    let first_op = kit.submit(1, first.op());
    // The helper is at it.
    kit.nothing();
    let second_op = kit.submit(2, second.op());
    kit.nothing();
    assert!(kit.queue.cancel(second_op));
    assert_eq!(errno(kit.done(second_op)), Some(libc::ECANCELED));
    assert!(kit.queue.cancel(first_op));
    kit.nothing();
    write(&here, b"!");
    assert_eq!(kit.done(first_op).unwrap(), 5, "it was done");
    assert_eq!((first.by.len(), second.by.len()), (1, 0));
    // A queue that is dropped waits for it as well.
    kit.submit(3, first.op());
    kit.nothing();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(5));
        write(&here, b"!");
    });
    drop(kit);
    writer.join().unwrap();
    let stream = first.waits_for.as_ref().unwrap();
    stream.set_nonblocking(true).unwrap();
    assert_eq!(drain(stream), 0, "it was read");
}
