//! Programs with files. `super` says whose these are; nothing else in here tells the two apart.
#![allow(clippy::useless_conversion, reason = "from std's file to std's, in one of the two")]

use super::fs::{self, File, OpenOptions};
use crate::io_kit::{Kind, Scratch, pattern};
use std::fs::{FileTimes, Permissions, TryLockError};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// For reading and writing; it need not be there.
fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn content(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

pub(crate) fn what_was_written_is_read(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("file");
    let mut file = File::create(&path).unwrap();
    assert_eq!(file.write(b"hello").unwrap(), 5);
    file.write_all(b", world").unwrap();
    write!(file, " {}", 7).unwrap();
    file.flush().unwrap();
    assert_eq!(file.write(b"").unwrap(), 0);
    assert_eq!(content(&path), b"hello, world 7");
    let mut file = File::open(&path).unwrap();
    let mut buffer = [0; 5];
    assert_eq!(file.read(&mut buffer).unwrap(), 5);
    assert_eq!(&buffer, b"hello");
    assert_eq!(file.read(&mut []).unwrap(), 0);
    let mut rest = String::new();
    assert_eq!(file.read_to_string(&mut rest).unwrap(), 9);
    assert_eq!(rest, ", world 7");
    assert_eq!(file.read(&mut buffer).unwrap(), 0);
    // By a reference, and to the end of what is there already.
    file.rewind().unwrap();
    let mut bytes = b"> ".to_vec();
    assert_eq!((&file).read_to_end(&mut bytes).unwrap(), 14);
    assert_eq!(bytes, b"> hello, world 7");
    assert_eq!(file.write(b"x").unwrap_err().raw_os_error(), Some(libc::EBADF));
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    assert_eq!(file.read(&mut buffer).unwrap_err().raw_os_error(), Some(libc::EBADF));
    // What is no text is an error, and leaves the string as it was.
    file.write_all(b"\xff").unwrap();
    let mut text = "as it was".to_owned();
    let error = File::open(&path).unwrap().read_to_string(&mut text).unwrap_err();
    assert_eq!((error.kind(), text.as_str()), (ErrorKind::InvalidData, "as it was"));
}

pub(crate) fn a_position_is_the_files(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"0123456789");
    let mut file = open(&path);
    assert_eq!(file.seek(SeekFrom::End(-3)).unwrap(), 7);
    let mut buffer = [0; 2];
    file.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"78");
    assert_eq!(file.stream_position().unwrap(), 9);
    assert_eq!(file.seek(SeekFrom::Current(-8)).unwrap(), 1);
    file.write_all(b"ab").unwrap();
    assert_eq!(file.seek(SeekFrom::Start(20)).unwrap(), 20);
    file.write_all(b"z").unwrap();
    assert_eq!(content(&path), b"0ab3456789\0\0\0\0\0\0\0\0\0\0z");
    assert_eq!(file.seek(SeekFrom::Current(-100)).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(file.stream_position().unwrap(), 21);
    file.rewind().unwrap();
    assert_eq!((&file).stream_position().unwrap(), 0);
    let error = { &file }.read_exact(&mut [0; 30]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

pub(crate) fn offsets_leave_the_position_alone(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"0123456789");
    let mut file = open(&path);
    file.seek(SeekFrom::Start(4)).unwrap();
    let mut buffer = [0; 4];
    assert_eq!(file.read_at(&mut buffer, 8).unwrap(), 2);
    assert_eq!(&buffer[..2], b"89");
    assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 1 << 40).unwrap(), 0);
    file.read_exact_at(&mut buffer, 1).unwrap();
    assert_eq!(&buffer, b"1234");
    let error = file.read_exact_at(&mut buffer, 8).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(file.write_at(b"xy", 0).unwrap(), 2);
    file.write_all_at(b"end", 11).unwrap();
    assert_eq!(content(&path), b"xy23456789\0end");
    assert_eq!(file.stream_position().unwrap(), 4);
    for offset in [u64::MAX, 1 << 63] {
        let errors = [file.read_at(&mut buffer, offset), file.write_at(b"x", offset)];
        let numbers = errors.map(|error| error.unwrap_err().raw_os_error());
        assert_eq!(numbers, [Some(libc::EINVAL); 2], "{offset:#x}");
    }
}

pub(crate) fn several_slices(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("file");
    let mut file = open(&path);
    let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
    assert_eq!(file.write_vectored(&slices).unwrap(), 5);
    assert_eq!(file.write_vectored(&[]).unwrap(), 0);
    // More of them than the kernel takes at once.
    let many = vec![IoSlice::new(b"x"); 3000];
    let count = file.write_vectored(&many).unwrap();
    assert!((1..=3000).contains(&count));
    file.rewind().unwrap();
    let (mut one, mut other) = ([0; 3], [0; 2]);
    let mut slices =
        [IoSliceMut::new(&mut one), IoSliceMut::new(&mut []), IoSliceMut::new(&mut other)];
    assert_eq!(file.read_vectored(&mut slices).unwrap(), 5);
    assert_eq!((&one, &other), (b"abc", b"de"));
    assert_eq!(file.read_vectored(&mut []).unwrap(), 0);
    let mut rest = Vec::new();
    assert_eq!((&file).read_to_end(&mut rest).unwrap(), count);
}

pub(crate) fn how_a_file_may_be_opened(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("file");
    let reads = |path: &Path| OpenOptions::new().read(true).open(path);
    assert_eq!(reads(&path).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(OpenOptions::new().write(true).open(&path).unwrap_err().kind(), ErrorKind::NotFound);
    let mut new = File::create_new(&path).unwrap();
    new.write_all(b"content").unwrap();
    new.rewind().unwrap();
    assert_eq!(new.read(&mut [0; 10]).unwrap(), 7);
    assert_eq!(File::create_new(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let mut options = OpenOptions::new();
    let error = options.write(true).create_new(true).open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    drop(OpenOptions::new().write(true).create(true).truncate(false).open(&path).unwrap());
    assert_eq!(content(&path), b"content");
    drop(OpenOptions::new().write(true).truncate(true).open(&path).unwrap());
    assert_eq!(content(&path), b"");
    std::fs::write(&path, "again").unwrap();
    drop(File::create(&path).unwrap());
    assert_eq!(content(&path), b"");
    // The mode of a new file; the descriptor is closed on exec.
    let private = scratch.0.join("private");
    let file = File::options().write(true).create_new(true).mode(0o640).open(&private).unwrap();
    let umask = std::fs::metadata(scratch.file("usual", b"")).unwrap().permissions().mode() & 0o666;
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640 & umask);
    // SAFETY: no memory is involved.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) };
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    // Flags of the kernel's.
    let link = scratch.0.join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let error = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&link).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    let mut options = OpenOptions::new();
    let error = options.read(true).custom_flags(libc::O_DIRECTORY).open(&path).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTDIR));
    // The way of access is not among them.
    let mut options = OpenOptions::new();
    let mut file = options.read(true).custom_flags(libc::O_WRONLY).open(&path).unwrap();
    assert_eq!(file.read(&mut [0]).unwrap(), 0);
    // A directory can be opened, not read or written.
    assert_eq!(File::open(&scratch.0).unwrap().read(&mut [0]).unwrap_err().raw_os_error(), Some(libc::EISDIR));
    assert_eq!(File::create(&scratch.0).unwrap_err().raw_os_error(), Some(libc::EISDIR));
}

pub(crate) fn what_is_appended_goes_to_the_end(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"begin,");
    let append = || OpenOptions::new().append(true).read(true).open(&path).unwrap();
    let (mut one, mut other) = (append(), append());
    one.write_all(b"one,").unwrap();
    other.write_all(b"two,").unwrap();
    one.rewind().unwrap();
    one.write_all(b"three").unwrap();
    assert_eq!(content(&path), b"begin,one,two,three");
    assert_eq!(one.stream_position().unwrap(), 19);
}

pub(crate) fn a_length_is_set(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"0123456789");
    let file = open(&path);
    file.set_len(4).unwrap();
    assert_eq!(content(&path), b"0123");
    file.set_len(6).unwrap();
    assert_eq!(content(&path), b"0123\0\0");
    assert_eq!(file.metadata().unwrap().len(), 6);
    let error = File::open(&path).unwrap().set_len(1).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    assert_eq!(file.set_len(u64::MAX).unwrap_err().kind(), ErrorKind::InvalidInput);
}

pub(crate) fn what_is_written_reaches_the_disk(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("file");
    let mut file = open(&path);
    file.write_all(b"content").unwrap();
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    File::open(&scratch.0).unwrap().sync_all().unwrap();
    let mut options = OpenOptions::new();
    let mut synchronous = options.write(true).custom_flags(libc::O_SYNC).open(&path).unwrap();
    synchronous.write_all(b"other").unwrap();
    synchronous.write_all_at(b"!", 9).unwrap();
    let slices = [IoSlice::new(b"a"), IoSlice::new(b"b")];
    assert_eq!(synchronous.write_vectored(&slices).unwrap(), 2);
    assert_eq!(content(&path), b"otherab\0\0!");
    let (reader, _writer) = io::pipe().unwrap();
    let pipe = File::from(OwnedFd::from(reader));
    assert_eq!(pipe.sync_all().unwrap_err().raw_os_error(), Some(libc::EINVAL));
}

pub(crate) fn handles_share_a_file(_: Kind) {
    let scratch = Scratch::new();
    let mut file = open(&scratch.file("file", b"0123456789"));
    let mut other = file.try_clone().unwrap();
    assert_ne!(file.as_raw_fd(), other.as_raw_fd());
    file.read_exact(&mut [0; 4]).unwrap();
    assert_eq!(other.stream_position().unwrap(), 4);
    drop(file);
    let mut buffer = [0; 2];
    other.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"45");
    // One that was removed is there as long as somebody has it open.
    let path = scratch.0.join("file");
    std::fs::remove_file(&path).unwrap();
    other.write_all(b"x").unwrap();
    assert_eq!(other.metadata().unwrap().nlink(), 0);
}

pub(crate) fn times_and_permissions(_: Kind) {
    let scratch = Scratch::new();
    let file = open(&scratch.file("file", b"content"));
    let metadata = file.metadata().unwrap();
    assert!(metadata.is_file() && !metadata.is_dir() && !metadata.file_type().is_symlink());
    assert_eq!(metadata.len(), 7);
    let hour = SystemTime::UNIX_EPOCH + Duration::from_secs(3600);
    let day = SystemTime::UNIX_EPOCH + Duration::new(86_400, 250_000_000);
    file.set_times(FileTimes::new().set_accessed(hour).set_modified(day)).unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!((metadata.accessed().unwrap(), metadata.modified().unwrap()), (hour, day));
    file.set_modified(hour).unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!((metadata.accessed().unwrap(), metadata.modified().unwrap()), (hour, hour));
    file.set_permissions(Permissions::from_mode(0o604)).unwrap();
    assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o604);
}

pub(crate) fn special_files(_: Kind) {
    let mut null = OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    null.write_all(&[1; 100_000]).unwrap();
    assert_eq!(null.read(&mut [0; 9]).unwrap(), 0);
    let mut zeros = [1; 10_000];
    File::open("/dev/zero").unwrap().read_exact(&mut zeros).unwrap();
    assert!(zeros.iter().all(|byte| *byte == 0));
    let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(full.write(b"x").unwrap_err().kind(), ErrorKind::StorageFull);
    // Their lengths say nothing.
    let mut text = String::new();
    File::open("/proc/self/status").unwrap().read_to_string(&mut text).unwrap();
    assert!(text.starts_with("Name:") && text.contains("\nPid:"));
    let mut maps = Vec::new();
    File::open("/proc/self/maps").unwrap().read_to_end(&mut maps).unwrap();
    assert!(maps.ends_with(b"\n") && maps.len() > 1000);
    let mut name = [0; 100];
    assert!(File::open("/proc/self/comm").unwrap().read_at(&mut name, 0).unwrap() > 1);
    let (reader, writer) = io::pipe().unwrap();
    let (mut reader, mut writer) =
        (File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer)));
    writer.write_all(b"through a pipe").unwrap();
    assert_eq!(reader.stream_position().unwrap_err().raw_os_error(), Some(libc::ESPIPE));
    assert_eq!(writer.write_at(b"x", 0).unwrap_err().raw_os_error(), Some(libc::ESPIPE));
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through a pipe");
}

pub(crate) fn large_files(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.0.join("file");
    let bytes = pattern(5_000_000);
    let mut file = open(&path);
    file.write_all(&bytes).unwrap();
    assert!(content(&path) == bytes);
    file.rewind().unwrap();
    let mut found = Vec::new();
    assert_eq!(file.read_to_end(&mut found).unwrap(), bytes.len());
    assert!(found == bytes);
    let mut part = vec![0; 3_000_000];
    file.read_exact_at(&mut part, 1_234_567).unwrap();
    assert!(part == bytes[1_234_567..4_234_567]);
    file.write_all_at(&bytes, 4_000_000_000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 4_005_000_000);
    assert!(file.metadata().unwrap().blocks() < 100_000, "there is a hole");
    file.read_exact_at(&mut part, 4_000_000_000).unwrap();
    assert!(part == bytes[..3_000_000]);
}

pub(crate) fn locks_are_taken_and_given_back(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"");
    let (one, other) = (open(&path), open(&path));
    one.lock().unwrap();
    assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
    assert!(matches!(other.try_lock_shared(), Err(TryLockError::WouldBlock)));
    one.unlock().unwrap();
    one.lock_shared().unwrap();
    other.try_lock_shared().unwrap();
    assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
    drop(one);
    other.try_lock().unwrap();
}

/// What the kernel says of a file's mode, as far as it can be changed.
fn mode(file: impl AsRawFd) -> i32 {
    const CHANGES: i32 = libc::O_APPEND | libc::O_DIRECT | libc::O_NOATIME | libc::O_NONBLOCK;
    // SAFETY: no memory is involved.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    assert!(flags >= 0, "{}", io::Error::last_os_error());
    flags & CHANGES
}

/// In whatever way the descriptor is come by, whatever was done with the file before.
pub(crate) fn modes_are_what_was_asked_for(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"0123456789");
    for asked in [0, libc::O_NONBLOCK, libc::O_NOATIME, libc::O_NOATIME | libc::O_NONBLOCK] {
        let open = || OpenOptions::new().read(true).custom_flags(asked).open(&path).unwrap();
        assert_eq!(mode(open()), asked);
        assert_eq!(mode(open().as_fd()), asked);
        let mut file = open();
        file.read_exact(&mut [0; 3]).unwrap();
        file.read_exact_at(&mut [0; 3], 5).unwrap();
        let (mut one, mut other) = ([0], [0]);
        let mut slices = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)];
        assert_eq!(file.read_vectored(&mut slices).unwrap(), 2);
        assert_eq!(mode(file), asked);
        let file = open();
        assert_eq!(mode(file.try_clone().unwrap()), asked);
        assert_eq!(mode(file), asked);
        assert_eq!(mode(OwnedFd::from(open())), asked);
        assert_eq!(mode(std::fs::File::from(open())), asked);
        // SAFETY: it was just given up.
        assert_eq!(mode(unsafe { OwnedFd::from_raw_fd(open().into_raw_fd()) }), asked);
        let mut child = std::process::Command::new("cat");
        let output = child.arg("/proc/self/fdinfo/0").stdin(open()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let flags = said.lines().find_map(|line| line.strip_prefix("flags:\t")).unwrap();
        let flags = i32::from_str_radix(flags, 8).unwrap();
        assert_eq!(flags & (libc::O_NOATIME | libc::O_NONBLOCK), asked, "{said}");
    }
    let mut options = OpenOptions::new();
    assert_eq!(mode(options.read(true).append(true).open(&path).unwrap()), libc::O_APPEND);
    assert_eq!(mode(OpenOptions::new().write(true).open(&path).unwrap()), 0);
    for other in ["/", "/dev/zero", "/proc/self/comm"] {
        assert_eq!(mode(File::open(other).unwrap()), 0, "{other}");
    }
}

/// Whoever has the descriptor may change the mode, and nobody changes it back.
pub(crate) fn a_mode_that_was_changed_stays(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"0123456789");
    let mut file = File::open(&path).unwrap();
    let number = file.as_raw_fd();
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::fcntl(number, libc::F_SETFL, libc::O_NONBLOCK) }, 0);
    file.read_exact(&mut [0; 3]).unwrap();
    assert_eq!(mode(file.try_clone().unwrap()), libc::O_NONBLOCK);
    assert_eq!(mode(OwnedFd::from(file)), libc::O_NONBLOCK);
}

pub(crate) fn conversions(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"0123456789");
    let mut file = open(&path);
    file.read_exact(&mut [0; 3]).unwrap();
    let number = file.as_fd().as_raw_fd();
    let fd = OwnedFd::from(file);
    assert_eq!(fd.as_raw_fd(), number);
    let number = File::from(fd).into_raw_fd();
    // SAFETY: it was just given up.
    let mut file = unsafe { File::from_raw_fd(number) };
    let mut buffer = [0; 2];
    file.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"34");
    let mut std = std::fs::File::from(file);
    std.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"56");
    let file = File::from(std);
    let said = format!("{file:?}");
    assert!(said.starts_with("File") && said.contains(path.to_str().unwrap()), "{said}");
    let output = std::process::Command::new("cat").stdin(file).output().unwrap();
    assert_eq!(output.stdout, b"789");
    assert_eq!(fs::read(&path).unwrap().len(), 10);
}
