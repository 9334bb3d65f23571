//! The files that `raddle-bench sendfile` has sent, and a server of them, for any kind of thread.
//!
//! The protocol: a byte asks for the file of that number, its bytes are the answer; again and again on one connection.

#![allow(unsafe_code, reason = "system calls: posix_fadvise, cachestat, setsockopt")]

use crate::process;
use crate::subject::{self, Arguments, Said};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How many files there are.
pub const FILES: usize = 100;
/// How long each is.
pub const FILE_BYTES: usize = 1 << 20;

/// Where the file of that number is.
pub fn path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.bin"))
}

/// Writes all files, down to the disk.
///
/// # Errors
///
/// If there is no room, or the folder can't be written to.
pub fn make(folder: &Path) -> io::Result<()> {
    let mut state = 1_u64;
    for number in 0..FILES {
        let mut content = Vec::with_capacity(FILE_BYTES);
        while content.len() < FILE_BYTES {
            // Something that no file system makes smaller.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            content.extend_from_slice(&(state ^ state >> 29).to_ne_bytes());
        }
        let mut file = File::create(path(folder, number))?;
        file.write_all(&content)?;
        file.sync_all()?;
    }
    Ok(())
}

/// Reads all files into the page cache.
///
/// # Errors
///
/// If one can't be read.
pub fn warm(folder: &Path) -> io::Result<()> {
    for number in 0..FILES {
        io::copy(&mut File::open(path(folder, number))?, &mut io::sink())?;
    }
    Ok(())
}

/// Takes all files out of the page cache. How many of their pages stay; before Linux 6.5, which does not tell, 0.
///
/// # Errors
///
/// If one can't be opened.
pub fn cool(folder: &Path) -> io::Result<u64> {
    /// A page that is still on its way through a socket stays, for the moment. The last of them stay for longer: the kernel frees what a
    /// socket had when it next has something to do there.
    const TRIES: u32 = 3;
    const PAUSE: Duration = Duration::from_millis(5);
    let mut left = 0;
    for number in 0..FILES {
        let file = File::open(path(folder, number))?;
        for turn in 1..=TRIES {
            // SAFETY: numbers.
            let error =
                unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            match cached_pages(&file) {
                None | Some(0) => break,
                Some(pages) if turn == TRIES => left += pages,
                Some(_) => thread::sleep(PAUSE),
            }
        }
    }
    Ok(left)
}

fn cached_pages(file: &File) -> Option<u64> {
    /// `cachestat(2)`; not in libc yet.
    const SYS_CACHESTAT: libc::c_long = 451;
    let whole = [0_u64, 0];
    // Cached, dirty, under write-back, evicted, recently evicted.
    let mut pages = [0_u64; 5];
    // SAFETY: reads a `cachestat_range` (two u64) and writes a `cachestat` (five).
    let result = unsafe {
        libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), whole.as_ptr(), pages.as_mut_ptr(), 0)
    };
    (result == 0).then_some(pages[0])
}

/// Whose threads and calls a server uses.
pub trait Sends: 'static {
    /// A connection.
    type Stream: Read + AsFd + Send + 'static;
    /// What connections come from.
    type Listener: Send;

    /// Listens on any port, and says on which.
    ///
    /// # Errors
    ///
    /// If that can't be had.
    fn listen() -> io::Result<(Self::Listener, u16)>;

    /// The next connection.
    ///
    /// # Errors
    ///
    /// From `accept(2)`.
    fn accept(listener: &Self::Listener) -> io::Result<Self::Stream>;

    /// A thread for a connection.
    ///
    /// # Errors
    ///
    /// If it can't be made.
    fn spawn(serve: impl FnOnce() + Send + 'static) -> io::Result<()>;

    /// Sends a file.
    ///
    /// # Errors
    ///
    /// From opening and sending it.
    fn send(path: &Path, to: &mut Self::Stream) -> io::Result<u64>;
}

/// Serves the files in `folder`, with a thread for each connection, until the driver has seen enough.
///
/// # Errors
///
/// If it can't listen or accept.
pub fn serve<S: Sends>(arguments: &Arguments) -> Result<Said, String> {
    process::raise_descriptors();
    let folder = PathBuf::from(arguments.text("folder"));
    let failed = |error| format!("the server of files: {error}");
    let (listener, port) = S::listen().map_err(failed)?;
    subject::serves(port);
    loop {
        let mut stream = S::accept(&listener).map_err(failed)?;
        send_when_there_is_room(stream.as_fd()).map_err(failed)?;
        let folder = folder.clone();
        let answer = move || {
            let mut number = [0];
            // The client goes when it has enough; if it misses something, it says so.
            while matches!(stream.read(&mut number), Ok(1)) {
                if let Err(error) = S::send(&path(&folder, number[0].into()), &mut stream) {
                    eprintln!("file {}: {error}", number[0]);
                    return;
                }
            }
        };
        S::spawn(answer).map_err(failed)?;
    }
}

/// Takes a congestion control that sends as soon as it may. Others, as BBR, pace what they send by what they believe of the path; over loopback that is
/// little, and the servers would be idle most of the time.
fn send_when_there_is_room(stream: BorrowedFd<'_>) -> io::Result<()> {
    const CONTROL: &[u8] = b"reno";
    let (pointer, len) = (CONTROL.as_ptr().cast(), CONTROL.len() as libc::socklen_t);
    let (level, option) = (libc::IPPROTO_TCP, libc::TCP_CONGESTION);
    // SAFETY: reads a name of that length.
    match unsafe { libc::setsockopt(stream.as_raw_fd(), level, option, pointer, len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
