//! Several buffers in one call, and datagrams with an address: `recvmsg(2)` and `sendmsg(2)`, at once or by the event queue.

#![allow(unsafe_code, reason = "msghdr points to buffers")]

use super::address::Address;
use crate::label::WaitsFor;
use crate::operation::{self, Busy};
use raddle_event::Op;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::slice;

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
