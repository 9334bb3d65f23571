//! An open file.

#![allow(unsafe_code, reason = "operations that point to nothing; a trait's contract")]

use super::open::Opened;
use super::warm::Warm;
use super::{Metadata, Permissions};
use crate::blocking;
use crate::io::ends::{Direct, Source, Target};
use crate::io::transfer;
use crate::label::Label;
use crate::machine::ThreadRef;
use crate::operation;
use raddle_event::Op;
use rustix::fs::OFlags;
use std::fmt;
use std::fs::{FileTimes, TryLockError};
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

/// An open file; as [`std::fs::File`], with [`FileExt`].
///
/// Reads take what is in the page cache at once, and else park the thread until the disk has answered. Writes go to the page cache, as ever;
/// [`sync_all`](File::sync_all) parks. Dropped, it is closed; errors of that are passed over.
///
/// Of std's traits it lacks those of `Arc<File>`, which only std may give to an `Arc`: whoever shares a file reads, writes and seeks by `&*file`.
///
/// ```
/// use raddle::{fs::File, io::{Read, Write}};
/// # fn main() -> raddle::io::Result<()> {
/// let path = std::env::temp_dir().join(format!("raddle-doc-file-{}", std::process::id()));
/// File::create(&path)?.write_all(b"hello")?;
/// let mut text = String::new();
/// File::open(&path)?.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
///
/// let shared = raddle::sync::Arc::new(File::open(&path)?);
/// (&*shared).read_to_string(&mut text)?;
/// assert_eq!(text, "hellohello");
/// # raddle::fs::remove_file(path)
/// # }
/// ```
pub struct File {
    file: std::fs::File,
    kind: AtomicU8,
    /// As [`Opened`] says it; [`settle`](File::settle) does it.
    owes_mode: bool,
    settled: Once,
    /// For those who send it.
    pub(super) warm: Warm,
}

/// What a write to it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// Nobody has asked yet.
    Unknown,
    /// The page cache.
    Cached,
    /// The disk: opened with `O_SYNC`, `O_DSYNC` or `O_DIRECT`.
    Synchronous,
    /// A pipe, a terminal and the like.
    Stream,
}

impl File {
    /// A file that was just opened so.
    pub(super) fn opened(opened: Opened, flags: OFlags) -> File {
        let waits = flags.intersects(OFlags::SYNC | OFlags::DSYNC | OFlags::DIRECT);
        let kind = match opened.is_stream {
            _ if waits => Kind::Synchronous,
            None => Kind::Unknown,
            Some(true) => Kind::Stream,
            Some(false) => Kind::Cached,
        };
        File { owes_mode: opened.owes_mode, ..File::of(opened.fd.into(), kind) }
    }

    fn of(file: std::fs::File, kind: Kind) -> File {
        File {
            file,
            kind: AtomicU8::new(kind as u8),
            owes_mode: false,
            settled: Once::new(),
            warm: Warm::default(),
        }
    }

    /// Takes back the `O_NONBLOCK` that it was opened with, if that was not done yet.
    #[inline]
    fn settle(&self) {
        if self.owes_mode {
            // Once, as whoever has got the descriptor may have set another mode. std's own: a wait for this is not cut short.
            self.settled.call_once(|| {
                // Of an open file nothing can be wrong with that.
                let _ = rustix::fs::fcntl_setfl(&self.file, OFlags::empty());
            });
        }
    }

    fn into_std(self) -> std::fs::File {
        self.settle();
        self.file
    }

    /// Waits until all of the file is on the disk.
    ///
    /// # Errors
    ///
    /// From `fsync(2)`: among others of writes that have failed since.
    #[track_caller]
    pub fn sync_all(&self) -> io::Result<()> {
        self.sync(false)
    }

    /// Waits until the file's content is on the disk, and what is needed to read it back.
    ///
    /// # Errors
    ///
    /// From `fdatasync(2)`, as [`sync_all`](File::sync_all).
    #[track_caller]
    pub fn sync_data(&self) -> io::Result<()> {
        self.sync(true)
    }

    #[track_caller]
    fn sync(&self, data_only: bool) -> io::Result<()> {
        if ThreadRef::running().is_none() {
            return if data_only { self.file.sync_data() } else { self.file.sync_all() };
        }
        let file = self.file.as_raw_fd();
        // SAFETY: it points to nothing; the file is open until this returns.
        unsafe { operation::perform(Op::Sync { file, data_only }, Label::DISK.on(file), None) }
            .map(drop)
    }

    /// Waits for the lock that the whole file has (`flock(2)`), and takes it: others that heed it are shut out. The thread's core goes to
    /// another worker meanwhile; a token does not reach this wait.
    ///
    /// # Errors
    ///
    /// From `flock(2)`, as [`std::fs::File::lock`].
    pub fn lock(&self) -> io::Result<()> {
        match self.file.try_lock() {
            Err(TryLockError::WouldBlock) => blocking(|| self.file.lock()),
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    /// As [`lock`](File::lock), shared with others who share it.
    ///
    /// # Errors
    ///
    /// As [`lock`](File::lock).
    pub fn lock_shared(&self) -> io::Result<()> {
        match self.file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => blocking(|| self.file.lock_shared()),
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    /// Takes the file's lock if it is free.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it is not; from `flock(2)`.
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        self.file.try_lock()
    }

    /// As [`try_lock`](File::try_lock), shared with others who share it.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](File::try_lock).
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.file.try_lock_shared()
    }

    /// Gives the file's lock back.
    ///
    /// # Errors
    ///
    /// From `flock(2)`.
    pub fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    /// Cuts the file off at `size`, or fills it up with zeros.
    ///
    /// # Errors
    ///
    /// From `ftruncate(2)`.
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        blocking(|| self.file.set_len(size))
    }

    /// What the file is.
    ///
    /// # Errors
    ///
    /// From `statx(2)`.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Another handle to the same open file: with the same position.
    ///
    /// # Errors
    ///
    /// From `fcntl(2)`: too many descriptors.
    pub fn try_clone(&self) -> io::Result<File> {
        self.settle();
        let kind = AtomicU8::new(self.kind.load(Ordering::Relaxed));
        self.file.try_clone().map(|file| File { kind, ..File::of(file, Kind::Unknown) })
    }

    /// Who may do what with the file.
    ///
    /// # Errors
    ///
    /// From `fchmod(2)`.
    pub fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        blocking(|| self.file.set_permissions(permissions))
    }

    /// When the file was read and written last.
    ///
    /// # Errors
    ///
    /// From `futimens(3)`.
    pub fn set_times(&self, times: FileTimes) -> io::Result<()> {
        blocking(|| self.file.set_times(times))
    }

    /// When the file was written last.
    ///
    /// # Errors
    ///
    /// From `futimens(3)`.
    pub fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time))
    }

    fn kind(&self) -> Kind {
        const KINDS: [Kind; 4] = [Kind::Unknown, Kind::Cached, Kind::Synchronous, Kind::Stream];
        match KINDS[usize::from(self.kind.load(Ordering::Relaxed))] {
            Kind::Unknown => self.find_kind(),
            kind => kind,
        }
    }

    #[cold]
    fn find_kind(&self) -> Kind {
        let waits = OFlags::SYNC | OFlags::DSYNC | OFlags::DIRECT;
        let kind = if transfer::is_stream(self.file.as_fd()) {
            Kind::Stream
        } else if rustix::fs::fcntl_getfl(&self.file).is_ok_and(|flags| flags.intersects(waits)) {
            Kind::Synchronous
        } else {
            Kind::Cached
        };
        self.kind.store(kind as u8, Ordering::Relaxed);
        kind
    }

    /// How much is left to be read, for who makes room.
    fn len_left(&self) -> usize {
        let len = self.file.metadata().map_or(0, |metadata| metadata.len());
        let position = (&self.file).stream_position().unwrap_or(0);
        usize::try_from(len.saturating_sub(position)).unwrap_or(0)
    }
}

/// Reads to the end, with room made once for all that is there.
#[track_caller]
fn read_to_end(file: &File, bytes: &mut Vec<u8>) -> io::Result<usize> {
    bytes.try_reserve(file.len_left())?;
    // Not `file` itself, whose own `read_to_end` is this.
    let mut rest = Read::take(file, u64::MAX);
    rest.read_to_end(bytes)
}

impl Read for &File {
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        transfer::read_and_settle(self.file.as_fd(), buffer, || self.settle())
    }

    #[track_caller]
    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        transfer::read_vectored_and_settle(self.file.as_fd(), slices, || self.settle())
    }

    #[track_caller]
    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        read_to_end(self, bytes)
    }

    #[track_caller]
    fn read_to_string(&mut self, text: &mut String) -> io::Result<usize> {
        text.try_reserve(self.len_left())?;
        let mut rest = Read::take(*self, u64::MAX);
        rest.read_to_string(text)
    }
}

impl Write for &File {
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.kind() {
            Kind::Stream => transfer::write(self.file.as_fd(), bytes),
            kind => {
                let waits = kind == Kind::Synchronous;
                transfer::write_file(self.file.as_fd(), bytes, None, waits)
            }
        }
    }

    #[track_caller]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.kind() {
            Kind::Stream => transfer::write_vectored(self.file.as_fd(), slices),
            kind => {
                let waits = kind == Kind::Synchronous;
                transfer::write_file_vectored(self.file.as_fd(), slices, waits)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&self.file).seek(to)
    }
}

impl Read for File {
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    #[track_caller]
    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(slices)
    }

    #[track_caller]
    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        read_to_end(self, bytes)
    }

    #[track_caller]
    fn read_to_string(&mut self, text: &mut String) -> io::Result<usize> {
        (&*self).read_to_string(text)
    }
}

impl Write for File {
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    #[track_caller]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

impl FileExt for File {
    #[track_caller]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        transfer::read_at(self.file.as_fd(), buffer, offset, || self.settle())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let waits = self.kind() == Kind::Synchronous;
        transfer::write_file(self.file.as_fd(), bytes, Some(offset), waits)
    }
}

impl Source for File {
    fn direct(&mut self) -> Option<Direct<'_>> {
        Some(Direct::new((*self).as_fd()))
    }
}

impl Source for &File {
    fn direct(&mut self) -> Option<Direct<'_>> {
        Some(Direct::new((*self).as_fd()))
    }
}

impl Target for File {
    fn direct(&mut self) -> io::Result<Option<Direct<'_>>> {
        Ok(Some(Direct::new((*self).as_fd())))
    }
}

impl Target for &File {
    fn direct(&mut self) -> io::Result<Option<Direct<'_>>> {
        Ok(Some(Direct::new((*self).as_fd())))
    }
}

impl fmt::Debug for File {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(to)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.settle();
        self.file.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl IntoRawFd for File {
    fn into_raw_fd(self) -> RawFd {
        self.into_std().into_raw_fd()
    }
}

impl FromRawFd for File {
    unsafe fn from_raw_fd(fd: RawFd) -> File {
        // SAFETY: the caller's contract is the same.
        unsafe { OwnedFd::from_raw_fd(fd) }.into()
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> File {
        std::fs::File::from(fd).into()
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> File {
        File::of(file, Kind::Unknown)
    }
}

impl From<File> for std::fs::File {
    fn from(file: File) -> std::fs::File {
        file.into_std()
    }
}

impl From<File> for OwnedFd {
    fn from(file: File) -> OwnedFd {
        file.into_std().into()
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Stdio {
        file.into_std().into()
    }
}
