//! Operations done by hand: tried without waiting where readiness means something, done for good by a helper where not.

#![allow(
    unsafe_code,
    reason = "system calls on raw memory that an operation's submitter has promised"
)]

use crate::cached;
use crate::interest::Interest;
use crate::op::{Code, RawOp, STREAM};
use crate::slots::Slot;
use crate::sys::{self, errno};
use libc::{EAGAIN, c_int, c_void, iovec};

/// What a try has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It is done; an error is negative.
    Done(i64),
    /// The descriptor must become ready first.
    Wait,
    /// It may wait for a disk: for a helper.
    Disk,
}

/// So much of a file goes to a socket in one call: what a disk delivers in a millisecond or so.
const SEND_FILE_CHUNK: u64 = 256 * 1024;

/// After so many of them a helper lets others come first, and the queue look whether it was cancelled.
const HELP_CHUNKS: u32 = 32;

/// Tries an operation without waiting. `ready` is what the kernel has just said of its descriptor, 0 if nothing.
///
/// # Safety
///
/// What the operation's submitter has promised of its memory must hold.
pub(crate) unsafe fn attempt(slot: &mut Slot, ready: u32) -> Attempt {
    let op = slot.op;
    // SAFETY: the caller's promise covers each call's memory.
    let result = unsafe {
        match op.code {
            Code::Poll => {
                let wanted = poll_bits(Interest::of_bits(op.interest));
                let found = ready & (wanted | always());
                return if found == 0 { Attempt::Wait } else { Attempt::Done(i64::from(found)) };
            }
            Code::Connect => return connect(slot, ready),
            Code::SendFile => return send_file(slot),
            Code::Read | Code::ReadVectored | Code::Write | Code::WriteVectored => {
                return transfer(&op, ready);
            }
            Code::Sync | Code::Open | Code::Call | Code::Nothing => return Attempt::Disk,
            Code::Close => {
                return if sys::is_disk(op.fd) {
                    Attempt::Disk
                } else {
                    Attempt::Done(blocking(&op))
                };
            }
            Code::Accept => {
                let flags = op.flags | libc::SOCK_CLOEXEC;
                i64::from(libc::accept4(op.fd, op.pointer.cast(), op.extra.cast(), flags))
            }
            Code::Recv => {
                if op.is_drained && ready == 0 {
                    return Attempt::Wait;
                }
                libc::recv(op.fd, op.pointer, op.len as usize, op.flags | libc::MSG_DONTWAIT) as i64
            }
            Code::Send => {
                libc::send(op.fd, op.pointer, op.len as usize, op.flags | libc::MSG_DONTWAIT) as i64
            }
            Code::RecvMessage => {
                libc::recvmsg(op.fd, op.pointer.cast(), op.flags | libc::MSG_DONTWAIT) as i64
            }
            Code::SendMessage => {
                libc::sendmsg(op.fd, op.pointer.cast(), op.flags | libc::MSG_DONTWAIT) as i64
            }
        }
    };
    match if result < 0 { errno() } else { result } {
        // Nothing was done; the next readiness tries again. Interrupted: by a signal, which changes nothing.
        again if again == -i64::from(EAGAIN) => Attempt::Wait,
        again if again == -i64::from(libc::EINTR) => {
            // SAFETY: as above.
            unsafe { attempt(slot, ready) }
        }
        result => Attempt::Done(result),
    }
}

/// What to ask the kernel for. epoll and poll use the same bits.
pub(crate) fn poll_bits(interest: Interest) -> u32 {
    let reads = if interest.reads() { libc::POLLIN | libc::POLLRDHUP } else { 0 };
    let writes = if interest.writes() { libc::POLLOUT } else { 0 };
    (reads | writes) as u32
}

/// What the kernel says unasked.
pub(crate) const fn always() -> u32 {
    (libc::POLLERR | libc::POLLHUP) as u32
}

/// The second look at a connect is its result; the first begins it.
///
/// # Safety
///
/// As [`attempt`].
unsafe fn connect(slot: &mut Slot, ready: u32) -> Attempt {
    let op = slot.op;
    if slot.is_begun {
        return if ready == 0 { Attempt::Wait } else { Attempt::Done(sys::socket_error(op.fd)) };
    }
    // SAFETY: the submitter's address has that length.
    let result = unsafe { libc::connect(op.fd, op.pointer.cast(), op.other as libc::socklen_t) };
    let result = if result < 0 { errno() } else { 0 };
    // An interrupted connect goes on by itself, as one in progress.
    if [libc::EINPROGRESS, libc::EINTR].iter().any(|one| result == -i64::from(*one)) {
        slot.is_begun = true;
        return Attempt::Wait;
    }
    Attempt::Done(result)
}

/// Reads and writes, plain or vectored: without waiting for a disk (`RWF_NOWAIT`), nor for anybody else.
///
/// # Safety
///
/// As [`attempt`].
unsafe fn transfer(op: &RawOp, ready: u32) -> Attempt {
    let one = iovec { iov_base: op.pointer, iov_len: op.len as usize };
    let is_one = matches!(op.code, Code::Read | Code::Write);
    let is_read = matches!(op.code, Code::Read | Code::ReadVectored);
    let (slices, count) = match is_one {
        true => (&raw const one, 1),
        false => (op.pointer.cast::<iovec>().cast_const(), op.len.min(1024) as c_int),
    };
    // -1: at the file's position.
    let offset = if op.offset == STREAM { -1 } else { op.offset as libc::off_t };
    loop {
        // SAFETY: the slices are the submitter's, or the one above.
        let result = unsafe {
            match is_read {
                true => libc::preadv2(op.fd, slices, count, offset, libc::RWF_NOWAIT),
                false => libc::pwritev2(op.fd, slices, count, offset, libc::RWF_NOWAIT),
            }
        };
        if result >= 0 {
            return Attempt::Done(result as i64);
        }
        match -errno() as i32 {
            libc::EINTR => {}
            EAGAIN if sys::is_disk(op.fd) => return Attempt::Disk,
            EAGAIN => return Attempt::Wait,
            // Not every file and kernel can say in advance.
            libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM => break,
            error => return Attempt::Done(-i64::from(error)),
        }
    }
    if sys::is_disk(op.fd) {
        return Attempt::Disk;
    }
    // Somebody who waited on it too may have taken what it was found ready for.
    if ready == 0 || !sys::is_ready(op.fd, is_read) {
        return Attempt::Wait;
    }
    // It is ready now, and unless another thread or process takes what it is ready for, this doesn't wait. Of a write, so much as a
    // ready pipe or terminal takes.
    let first = iovec { iov_len: one.iov_len.min(libc::PIPE_BUF), ..one };
    let (slices, count) = if is_one && !is_read { (&raw const first, 1) } else { (slices, count) };
    // SAFETY: as above.
    let result = unsafe {
        match is_read {
            true => libc::readv(op.fd, slices, count),
            false => libc::writev(op.fd, slices, count),
        }
    };
    match if result < 0 { errno() } else { result as i64 } {
        result if [EAGAIN, libc::EINTR].iter().any(|one| result == -i64::from(*one)) => {
            Attempt::Wait
        }
        result => Attempt::Done(result),
    }
}

/// Sends what is in memory, and leaves the rest to a helper.
///
/// # Safety
///
/// None of its own: no memory is involved.
unsafe fn send_file(slot: &mut Slot) -> Attempt {
    while slot.op.len > 0 {
        let chunk = slot.op.len.min(SEND_FILE_CHUNK);
        if !cached::has_all(slot.op.other, slot.op.offset, chunk) {
            return Attempt::Disk;
        }
        if let Some(attempt) = send_chunk(&mut slot.op, &mut slot.result, chunk) {
            return attempt;
        }
    }
    Attempt::Done(slot.result)
}

/// One call; `None` if there is more to do.
fn send_chunk(op: &mut RawOp, sent: &mut i64, chunk: u64) -> Option<Attempt> {
    let mut offset = op.offset as libc::off_t;
    // SAFETY: the offset is ours; the rest are numbers.
    let result = unsafe { libc::sendfile(op.fd, op.other, &mut offset, chunk as usize) };
    match if result < 0 { errno() } else { result as i64 } {
        // The file ends here.
        0 => Some(Attempt::Done(*sent)),
        count if count > 0 => {
            *sent += count;
            op.offset += count as u64;
            op.len -= count as u64;
            None
        }
        again if again == -i64::from(EAGAIN) => Some(Attempt::Wait),
        again if again == -i64::from(libc::EINTR) => None,
        error => Some(Attempt::Done(if *sent > 0 { *sent } else { error })),
    }
}

/// What a helper does with an operation that it was given; `op` and `sent` go back to the queue with the result.
///
/// # Safety
///
/// As [`attempt`].
pub(crate) unsafe fn help(op: &mut RawOp, sent: &mut i64) -> Attempt {
    if op.code == Code::SendFile {
        for _ in 0..HELP_CHUNKS {
            if op.len == 0 {
                return Attempt::Done(*sent);
            }
            let chunk = op.len.min(SEND_FILE_CHUNK);
            if let Some(attempt) = send_chunk(op, sent, chunk) {
                return attempt;
            }
        }
        return Attempt::Wait;
    }
    // SAFETY: the caller's promise.
    Attempt::Done(unsafe { if op.code == Code::Call { call(op) } else { blocking(op) } })
}

/// # Safety
///
/// As [`attempt`]; it is a `Call`.
unsafe fn call(op: &RawOp) -> i64 {
    // SAFETY: `RawOp::from` has made one out of the other, of the same size.
    let function = unsafe {
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> i64>(op.extra)
    };
    // SAFETY: the submitter has promised that it may be called with that, from any thread.
    unsafe { function(op.pointer) }
}

/// Does an operation, however long the disk takes.
///
/// # Safety
///
/// As [`attempt`].
unsafe fn blocking(op: &RawOp) -> i64 {
    let (len, slices, count) =
        (op.len as usize, op.pointer.cast::<iovec>(), op.len.min(1024) as c_int);
    let (offset, is_stream) = (op.offset as libc::off_t, op.offset == STREAM);
    loop {
        // SAFETY: the caller's promise covers each call's memory.
        let result = unsafe {
            match op.code {
                Code::Read if is_stream => libc::read(op.fd, op.pointer, len) as i64,
                Code::Read => libc::pread(op.fd, op.pointer, len, offset) as i64,
                Code::Write if is_stream => libc::write(op.fd, op.pointer, len) as i64,
                Code::Write => libc::pwrite(op.fd, op.pointer, len, offset) as i64,
                Code::ReadVectored if is_stream => libc::readv(op.fd, slices, count) as i64,
                Code::ReadVectored => libc::preadv(op.fd, slices, count, offset) as i64,
                Code::WriteVectored if is_stream => libc::writev(op.fd, slices, count) as i64,
                Code::WriteVectored => libc::pwritev(op.fd, slices, count, offset) as i64,
                Code::Sync if op.flags != 0 => i64::from(libc::fdatasync(op.fd)),
                Code::Sync => i64::from(libc::fsync(op.fd)),
                Code::Open => i64::from(libc::openat(
                    op.fd,
                    op.pointer.cast(),
                    op.flags,
                    op.other as libc::mode_t,
                )),
                // Linux closes it also where it says EINTR.
                Code::Close => match libc::close(op.fd) {
                    -1 if errno() != -i64::from(libc::EINTR) => -1,
                    _ => return 0,
                },
                _ => return -i64::from(libc::EINVAL),
            }
        };
        match if result < 0 { errno() } else { result } {
            again if again == -i64::from(libc::EINTR) => {}
            result => return result,
        }
    }
}
