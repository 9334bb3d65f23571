//! Several buffers in one call, datagrams with an address, and bytes with the time at which they came: `recvmsg(2)` and `sendmsg(2)`, at once or
//! by the event queue.

#![allow(unsafe_code, reason = "msghdr points to buffers")]

use super::address::Address;
use crate::label::WaitsFor;
use crate::operation::{self, Busy};
use raddle_event::Op;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::slice;
use std::time::{Duration, SystemTime};

/// What the kernel takes in one call; more is left for the next, as in std.
pub(super) const SLICES_MAX: usize = libc::UIO_MAXIOV as usize;

/// A header without anything.
fn empty() -> libc::msghdr {
    // SAFETY: integers and pointers that may be null.
    unsafe { mem::zeroed() }
}

/// A header for what is read into `slices`. It points to them.
fn of_mut(slices: &mut [IoSliceMut<'_>]) -> libc::msghdr {
    libc::msghdr {
        // std promises that an `IoSliceMut` is laid out as an `iovec`.
        msg_iov: slices.as_mut_ptr().cast(),
        msg_iovlen: slices.len().min(SLICES_MAX),
        ..empty()
    }
}

/// A header for what is sent from `slices`. It points to them.
fn of(slices: &[IoSlice<'_>]) -> libc::msghdr {
    libc::msghdr {
        // Only read from, and laid out as an `iovec`.
        msg_iov: slices.as_ptr().cast_mut().cast(),
        msg_iovlen: slices.len().min(SLICES_MAX),
        ..empty()
    }
}

fn counted(result: isize) -> Result<usize, Errno> {
    usize::try_from(result)
        .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// Reads what is there.
pub(super) fn receive(fd: &OwnedFd, slices: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
    let mut header = of_mut(slices);
    // SAFETY: the header's buffers are borrowed exclusively until this returns.
    counted(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) })
}

/// Sends what there is room for.
pub(super) fn send(fd: &OwnedFd, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let header = of(slices);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header's buffers are borrowed until this returns, and only read.
    counted(unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, flags) })
}

/// Waits for something to read.
#[track_caller]
pub(super) fn receive_later(
    socket: Busy<'_>,
    slices: &mut [IoSliceMut<'_>],
    waits_for: WaitsFor,
    deadline_ns: Option<u64>,
) -> io::Result<usize> {
    let mut header = of_mut(slices);
    let op = Op::RecvMessage { socket: socket.0.as_raw_fd(), message: &raw mut header, flags: 0 };
    // SAFETY: the header stands here, its buffers are borrowed and the socket is open until this returns.
    unsafe { operation::perform_on(op, Some(socket), waits_for, deadline_ns) }
}

/// Waits for a datagram; says who sent it.
#[track_caller]
pub(super) fn receive_from_later(
    socket: Busy<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
    waits_for: WaitsFor,
    deadline_ns: Option<u64>,
) -> io::Result<(usize, Option<Address>)> {
    // SAFETY: bytes and an integer.
    let mut name: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut slices = [IoSliceMut::new(buffer)];
    let mut header = libc::msghdr {
        msg_name: (&raw mut name).cast(),
        msg_namelen: size_of_val(&name) as libc::socklen_t,
        ..of_mut(&mut slices)
    };
    let flags = flags.bits() as i32;
    let op = Op::RecvMessage { socket: socket.0.as_raw_fd(), message: &raw mut header, flags };
    // SAFETY: header, name and slices stand here, the buffer is borrowed and the socket is open until this returns.
    let count = unsafe { operation::perform_on(op, Some(socket), waits_for, deadline_ns) }?;
    let len = (header.msg_namelen as usize).min(size_of_val(&name));
    // SAFETY: all of it was zeroed, and then the kernel wrote some.
    let sender = unsafe { slice::from_raw_parts((&raw const name).cast::<u8>(), len) };
    Ok((count, Address::of_bytes(sender)))
}

/// A header for what is read into one buffer, with room for the kernel's word on when it came. Aimed, it stays where it is until the read is over.
pub(super) struct Stamped {
    header: libc::msghdr,
    slice: libc::iovec,
    /// Aligned as control messages are.
    control: [u64; 8],
}

// SAFETY: its pointers are followed by a read for which it was aimed, and by nobody else.
unsafe impl Send for Stamped {}

impl fmt::Debug for Stamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stamped").field("stamp", &self.stamp()).finish_non_exhaustive()
    }
}

impl Stamped {
    pub(super) fn new() -> Stamped {
        let slice = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Stamped { header: empty(), slice, control: [0; 8] }
    }

    /// The header of a read into `buffer`.
    pub(super) fn aim(&mut self, buffer: &mut [u8]) -> *mut libc::msghdr {
        self.slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        self.header = libc::msghdr {
            msg_iov: &raw mut self.slice,
            msg_iovlen: 1,
            msg_control: self.control.as_mut_ptr().cast(),
            msg_controllen: size_of_val(&self.control),
            ..empty()
        };
        &raw mut self.header
    }

    /// When the last of it came, by `CLOCK_REALTIME`. `None` if the kernel did not say.
    pub(super) fn stamp(&self) -> Option<SystemTime> {
        // SAFETY: there is no room before it is aimed; then all of it is said to be filled, with zeros, whose length of zero ends the walk; and after a
        // read as much as the kernel has filled.
        let mut message = unsafe { libc::CMSG_FIRSTHDR(&raw const self.header) };
        // SAFETY: one that the walk has given lies within that room.
        while let Some(head) = unsafe { message.as_ref() } {
            if (head.cmsg_level, head.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
                // SAFETY: of this kind the content is a timespec, which may stand at any address.
                let at =
                    unsafe { libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned() };
                let since = Duration::new(at.tv_sec.try_into().ok()?, at.tv_nsec.try_into().ok()?);
                return SystemTime::UNIX_EPOCH.checked_add(since);
            }
            // SAFETY: as above.
            message = unsafe { libc::CMSG_NXTHDR(&raw const self.header, message) };
        }
        None
    }
}

/// Reads what is there.
///
/// # Safety
///
/// The header is [aimed](Stamped::aim) at a buffer that is borrowed until this returns.
pub(super) unsafe fn receive_stamped(
    fd: &OwnedFd,
    header: *mut libc::msghdr,
) -> Result<usize, Errno> {
    // SAFETY: as this function's.
    counted(unsafe { libc::recvmsg(fd.as_raw_fd(), header, libc::MSG_DONTWAIT) })
}

/// Waits until something could be sent.
#[track_caller]
pub(super) fn send_later(
    socket: Busy<'_>,
    slices: &[IoSlice<'_>],
    waits_for: WaitsFor,
    deadline_ns: Option<u64>,
) -> io::Result<usize> {
    let header = of(slices);
    let op = Op::SendMessage { socket: socket.0.as_raw_fd(), message: &raw const header, flags: 0 };
    // SAFETY: the header stands here, what it points to is borrowed and the socket is open until this returns.
    unsafe { operation::perform_on(op, Some(socket), waits_for, deadline_ns) }
}
