//! System calls that the standard library does not wrap, each a line, through libc.

#![allow(unsafe_code, reason = "system calls")]

use libc::c_int;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The result of a call that says -1 and leaves the reason in `errno`.
pub(crate) fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A call's error as a negative number.
pub(crate) fn errno() -> i64 {
    -i64::from(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Takes over a descriptor that a call has just made.
fn owned(result: c_int) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the kernel has just made it and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut both = [-1; 2];
    // SAFETY: writes two descriptors to where there is room for two.
    check(unsafe { libc::pipe2(both.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    Ok((owned(both[0])?, owned(both[1])?))
}

pub(crate) fn epoll_create() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

/// Changes an epoll set.
pub(crate) fn epoll_ctl(
    set: &OwnedFd,
    what: c_int,
    fd: RawFd,
    events: u32,
    data: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: reads an event that is there.
    check(unsafe { libc::epoll_ctl(set.as_raw_fd(), what, fd, &mut event) }).map(drop)
}

pub(crate) fn signalfd(set: &libc::sigset_t) -> io::Result<OwnedFd> {
    // SAFETY: reads a set that is there.
    owned(unsafe { libc::signalfd(-1, set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })
}

pub(crate) fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as c_int)
}

pub(crate) fn inotify() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved.
    owned(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })
}

/// Reads what is there. `EAGAIN` if nothing is.
pub(crate) fn read(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: writes no further than the buffer.
    let result = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Writes all or nothing of a few bytes.
pub(crate) fn write(fd: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: reads no further than the bytes.
    let result = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What kind of file it is (`S_IFMT` bits), and its identity: device and number.
pub(crate) fn identity(fd: RawFd) -> io::Result<(u32, u64, u64)> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: there is room for a `stat`.
    check(unsafe { libc::fstat(fd, stat.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so all of it is written.
    let stat = unsafe { stat.assume_init() };
    Ok((stat.st_mode & libc::S_IFMT, stat.st_dev, stat.st_ino))
}

/// Whether calls on it wait for a disk, and readiness says nothing.
pub(crate) fn is_disk(fd: RawFd) -> bool {
    identity(fd)
        .is_ok_and(|(kind, ..)| matches!(kind, libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR))
}

/// Puts a descriptor into non-blocking mode, if it isn't.
pub(crate) fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: no memory is involved.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    if flags & libc::O_NONBLOCK == 0 {
        // SAFETY: as above.
        check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    }
    Ok(())
}

/// Whether a read, or a write, would not wait: data, room, an end or an error.
pub(crate) fn is_ready(fd: RawFd, is_read: bool) -> bool {
    let events = if is_read { libc::POLLIN } else { libc::POLLOUT };
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one entry, ours.
    unsafe { libc::poll(&raw mut entry, 1, 0) > 0 }
}

/// Fetches a socket's pending error: 0, or negative.
pub(crate) fn socket_error(fd: RawFd) -> i64 {
    let mut error: c_int = 0;
    let mut len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: writes an int and its length to where there is room.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &mut len)
    };
    if result < 0 { self::errno() } else { -i64::from(error) }
}

/// How many descriptors this process may have now.
pub(crate) fn descriptors_allowed() -> usize {
    limits().rlim_cur as usize
}

/// How many descriptors this process could ever have, as far as it is known now.
pub(crate) fn descriptors_max() -> usize {
    limits().rlim_max.clamp(1 << 20, 1 << 22) as usize
}

/// Zeros if the kernel doesn't tell.
fn limits() -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes a limit to where there is room for one, or nothing.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit
}
