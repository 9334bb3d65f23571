//! When what is read had come, and what is sent has gone: the kernel stamps it then, however late it is read, and however long the call takes on.

#![allow(unsafe_code, reason = "socket options, and recvmsg with room for a stamp")]

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

/// Stamps and their heads, with some room.
const ROOM: usize = 256;

#[repr(align(8))]
struct Control([u8; ROOM]);

/// From now on; connections inherit it from their listener.
pub(super) fn stamp(fd: i32) -> Result<(), String> {
    set(fd, "SO_TIMESTAMPNS", libc::SO_TIMESTAMPNS, 1)
}

/// As [`stamp`], of what is sent.
pub(super) fn stamp_departures(fd: i32) -> Result<(), String> {
    let flags = libc::SOF_TIMESTAMPING_TX_SOFTWARE
        | libc::SOF_TIMESTAMPING_SOFTWARE
        | libc::SOF_TIMESTAMPING_OPT_TSONLY;
    set(fd, "SO_TIMESTAMPING", libc::SO_TIMESTAMPING, flags)
}

fn set(fd: i32, name: &'static str, option: libc::c_int, to: libc::c_uint) -> Result<(), String> {
    let (value, len) = ((&raw const to).cast(), size_of_val(&to) as libc::socklen_t);
    // SAFETY: the kernel reads one number, which is there.
    check(name, unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, value, len) }).map(drop)
}

/// When what was sent last has gone, to be asked once after each time; `None` if the kernel does not say.
pub(super) fn departure(fd: i32) -> Result<Option<u64>, String> {
    let mut control = Control([0; ROOM]);
    // SAFETY: for a message all zeroes is one without parts, name and control.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the kernel writes at most as many bytes as there is room for.
    if unsafe { libc::recvmsg(fd, &raw mut message, flags) } < 0 {
        return Ok(None);
    }
    let now_ns = now_ns()?;
    let Some(stamp_ns) = stamp_of(&message, libc::SCM_TIMESTAMPING) else { return Ok(None) };
    Ok(Some(now_ns.saturating_sub(today_ns()?.saturating_sub(stamp_ns))))
}

/// Reads once.
pub(super) fn read(fd: i32, buffer: &mut [u8]) -> Result<Read, String> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; ROOM]);
    // SAFETY: for a message all zeroes is one without parts, name and control.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: the kernel writes at most as many bytes as there is room for, to both.
    let count = unsafe { libc::recvmsg(fd, &raw mut message, 0) };
    let now_ns = now_ns()?;
    let waited_ns = match stamp_of(&message, libc::SCM_TIMESTAMPNS) {
        Some(stamp_ns) if count > 0 => today_ns()?.saturating_sub(stamp_ns),
        _ => 0,
    };
    Ok(Read { count, came_ns: now_ns.saturating_sub(waited_ns), now_ns })
}

/// By the clock of the day, as the kernel says it with this kind of message. Where there are several stamps the software's is the first.
fn stamp_of(message: &libc::msghdr, kind: libc::c_int) -> Option<u64> {
    // SAFETY: the kernel has filled the message's control in, or it is empty; only what it says to be there is read.
    unsafe {
        let mut head = libc::CMSG_FIRSTHDR(message);
        while (head.as_ref()?.cmsg_level, head.as_ref()?.cmsg_type) != (libc::SOL_SOCKET, kind) {
            head = libc::CMSG_NXTHDR(message, head);
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

    #[test]
    fn what_is_sent_has_gone_within_the_call() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let mut one = TcpStream::connect(address).expect("it listens");
        stamp_departures(one.as_raw_fd()).expect("every kernel has stamps");
        for _ in 0..10 {
            let before = now_ns().expect("a clock");
            one.write_all(b"hello").expect("both are there");
            let gone = departure(one.as_raw_fd()).expect("a clock").expect("it is stamped");
            let after = now_ns().expect("a clock");
            // The two clocks are read one after the other.
            assert!((before.saturating_sub(1_000_000)..=after).contains(&gone), "{before} {gone}");
            assert_eq!(departure(one.as_raw_fd()), Ok(None));
        }
    }
}
