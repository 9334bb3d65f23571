//! When what is read had come: the kernel stamps it as it comes, however late it is read.

#![allow(unsafe_code, reason = "a socket option, and recvmsg with room for a stamp")]

use super::calls::check;
use raddle_bench::watched::{now_ns, today_ns};

/// What one call has read.
pub(super) struct Read {
    /// As `recv(2)` says it.
    pub(super) count: isize,
    /// When its last byte had come, by the clock that does not jump; when it was read, if there is no stamp.
    pub(super) came_ns: u64,
    pub(super) now_ns: u64,
}

/// A stamp and its head, with some room.
#[repr(align(8))]
struct Control([u8; 64]);

/// From now on; connections inherit it from their listener.
pub(super) fn stamp(fd: i32) -> Result<(), String> {
    let on: libc::c_int = 1;
    let (value, len) = ((&raw const on).cast(), size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: the kernel reads one number, which is there.
    let done = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, value, len) };
    check("SO_TIMESTAMPNS", done).map(drop)
}

/// Reads once.
pub(super) fn read(fd: i32, buffer: &mut [u8]) -> Result<Read, String> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; 64]);
    // SAFETY: for a message all zeroes is one without parts, name and control.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: the kernel writes at most as many bytes as there is room for, to both.
    let count = unsafe { libc::recvmsg(fd, &raw mut message, 0) };
    let now_ns = now_ns()?;
    let waited_ns = match stamp_of(&message) {
        Some(stamp_ns) if count > 0 => today_ns()?.saturating_sub(stamp_ns),
        _ => 0,
    };
    Ok(Read { count, came_ns: now_ns.saturating_sub(waited_ns), now_ns })
}

/// By the clock of the day, as the kernel says it.
fn stamp_of(message: &libc::msghdr) -> Option<u64> {
    // SAFETY: the kernel has filled the message's control in, or it is empty; only what it says to be there is read.
    unsafe {
        let head = libc::CMSG_FIRSTHDR(message);
        let (level, kind) = (head.as_ref()?.cmsg_level, head.as_ref()?.cmsg_type);
        if (level, kind) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            return None;
        }
        let stamp = libc::CMSG_DATA(head).cast::<libc::timespec>().read_unaligned();
        Some(stamp.tv_sec as u64 * 1_000_000_000 + stamp.tv_nsec as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn what_is_read_late_had_come_earlier() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        stamp(listener.as_raw_fd()).expect("every kernel has stamps");
        let address = listener.local_addr().expect("it is bound");
        let mut one = TcpStream::connect(address).expect("it listens");
        let (other, _) = listener.accept().expect("one has come");
        let mut buffer = [0; 16];
        // The kernel begins with it some time after it was asked to.
        for _ in 0..200 {
            let before = now_ns().expect("a clock");
            one.write_all(b"hello").expect("both are there");
            sleep(Duration::from_millis(20));
            let read = read(other.as_raw_fd(), &mut buffer).expect("it has come");
            assert_eq!((read.count, &buffer[..5]), (5, &b"hello"[..]));
            assert!(read.now_ns >= before + 20_000_000);
            // The two clocks are read one after the other: some of the pause is allowed for that.
            if read.came_ns + 10_000_000 < read.now_ns {
                assert!(read.came_ns + 10_000_000 > before, "{before} {}", read.came_ns);
                return;
            }
        }
        panic!("nothing is stamped");
    }
}
