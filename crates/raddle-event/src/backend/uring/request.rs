//! Operations as the ring takes them.

#![allow(unsafe_code, reason = "a system call; requests word by word")]

use crate::interest::Interest;
use crate::op::{Code, RawOp};
use crate::perform::poll_bits;
use crate::wake::Wake;
use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, FsyncFlags};
use std::os::fd::AsRawFd;

/// A request's `user_data` is its slot's name, whose lower half is an index below 2^20; or one of these.
pub(super) const CANCEL: u64 = 1 << 31;
pub(super) const WAKE: u64 = 1 << 30;
pub(super) const SET: u64 = 1 << 29;
pub(super) const NOTHING: u64 = 1 << 28;

/// What the ring must be able to do.
pub(super) const OPCODES: &[u8] = &[
    opcode::Nop::CODE,
    opcode::PollAdd::CODE,
    opcode::AsyncCancel::CODE,
    opcode::Accept::CODE,
    opcode::Connect::CODE,
    opcode::Read::CODE,
    opcode::Write::CODE,
    opcode::Readv::CODE,
    opcode::Writev::CODE,
    opcode::Recv::CODE,
    opcode::Send::CODE,
    opcode::RecvMsg::CODE,
    opcode::SendMsg::CODE,
    opcode::Fsync::CODE,
    opcode::OpenAt::CODE,
    opcode::Close::CODE,
];

/// An operation as a request.
pub(super) fn entry(op: &RawOp) -> Entry {
    let fd = Fd(op.fd);
    let len = at_once(op);
    let count = op.len.min(1024) as u32;
    match op.code {
        Code::Poll => opcode::PollAdd::new(fd, poll_bits(Interest::of_bits(op.interest))).build(),
        Code::Accept => opcode::Accept::new(fd, op.pointer.cast(), op.extra.cast())
            .flags(op.flags | libc::SOCK_CLOEXEC)
            .build(),
        Code::Connect => {
            opcode::Connect::new(fd, op.pointer.cast(), op.other as libc::socklen_t).build()
        }
        Code::Read => opcode::Read::new(fd, op.pointer.cast(), len).offset(op.offset).build(),
        Code::Write => opcode::Write::new(fd, op.pointer.cast(), len).offset(op.offset).build(),
        Code::ReadVectored => {
            opcode::Readv::new(fd, op.pointer.cast(), count).offset(op.offset).build()
        }
        Code::WriteVectored => {
            opcode::Writev::new(fd, op.pointer.cast(), count).offset(op.offset).build()
        }
        Code::Recv => opcode::Recv::new(fd, op.pointer.cast(), len).flags(op.flags).build(),
        Code::Send => opcode::Send::new(fd, op.pointer.cast(), len).flags(op.flags).build(),
        Code::RecvMessage => {
            opcode::RecvMsg::new(fd, op.pointer.cast()).flags(op.flags as u32).build()
        }
        Code::SendMessage => {
            opcode::SendMsg::new(fd, op.pointer.cast()).flags(op.flags as u32).build()
        }
        Code::Sync => {
            let flags = if op.flags != 0 { FsyncFlags::DATASYNC } else { FsyncFlags::empty() };
            opcode::Fsync::new(fd).flags(flags).build()
        }
        Code::Open => opcode::OpenAt::new(fd, op.pointer.cast())
            .flags(op.flags)
            .mode(op.other as libc::mode_t)
            .build(),
        Code::Close => opcode::Close::new(fd).build(),
        Code::SendFile | Code::Call | Code::Nothing => opcode::Nop::new().build(),
    }
}

/// A [`Code::Recv`] as a request of this name.
#[inline]
pub(super) fn recv(op: &RawOp, name: u64) -> Entry {
    transfer(opcode::Recv::CODE, op, name)
}

/// A [`Code::Send`] as a request of this name.
#[inline]
pub(super) fn send(op: &RawOp, name: u64) -> Entry {
    transfer(opcode::Send::CODE, op, name)
}

/// The two requests that are made most often, word by word: what the crate builds is filled in parts and then moved as a whole, for which the
/// processor waits until all parts have arrived in its cache.
#[inline(always)]
fn transfer(code: u8, op: &RawOp, name: u64) -> Entry {
    let flags = if op.is_fixed { Flags::FIXED_FILE.bits() } else { 0 };
    let words: [u64; 8] = [
        u64::from(code) | u64::from(flags) << 8 | u64::from(op.fd as u32) << 32,
        0,
        op.pointer.expose_provenance() as u64,
        u64::from(at_once(op)) | u64::from(op.flags as u32) << 32,
        name,
        0,
        0,
        0,
    ];
    // SAFETY: an entry is the kernel's `struct io_uring_sqe` and nothing else, which is 64 bytes of integers. `words_are_what_the_crate_builds` compares.
    unsafe { std::mem::transmute::<[u64; 8], Entry>(words) }
}

/// So much of an operation's bytes the kernel transfers at once at most.
#[inline]
fn at_once(op: &RawOp) -> u32 {
    op.len.min(0x7fff_f000) as u32
}

/// A poll for the wake channel that goes on: each edge completes it once more.
pub(super) fn wake_request(wake: &Wake) -> Entry {
    let poll = opcode::PollAdd::new(Fd(wake.end().as_raw_fd()), libc::POLLIN as u32);
    poll.multi(true).build().user_data(WAKE)
}

/// Whether `ECANCELED` may be what the file itself says: a timerfd's read, as the clock was set.
pub(super) fn is_own_answer(op: &RawOp) -> bool {
    if !matches!(op.code, Code::Read | Code::ReadVectored) {
        return false;
    }
    let mut time = std::mem::MaybeUninit::<libc::itimerspec>::uninit();
    // SAFETY: writes a time to where there is room for one; fails for whatever is no timerfd.
    unsafe { libc::timerfd_gettime(op.fd, time.as_mut_ptr()) == 0 }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::op::Op;

    #[test]
    fn words_are_what_the_crate_builds() {
        let mut bytes = [0; 16];
        let (buffer, len) = (bytes.as_mut_ptr(), usize::MAX);
        let all = [
            Op::Recv { socket: 7, buffer, len, flags: libc::MSG_PEEK, is_drained: true },
            Op::Recv { socket: 1 << 20, buffer, len: 16, flags: 0, is_drained: false },
            Op::Send { socket: 7, buffer, len: 3, flags: libc::MSG_MORE },
        ];
        // SAFETY: the same as above, the other way round.
        let words = |entry: Entry| unsafe { std::mem::transmute::<Entry, [u64; 8]>(entry) };
        for (op, is_fixed) in all.into_iter().flat_map(|op| [(op, false), (op, true)]) {
            let op = RawOp { is_fixed, ..RawOp::from(op) };
            let name = 0x1234_5678_0000_0042;
            let own = if op.code == Code::Recv { recv(&op, name) } else { send(&op, name) };
            let flags = if is_fixed { Flags::FIXED_FILE } else { Flags::empty() };
            assert_eq!(words(own), words(entry(&op).flags(flags).user_data(name)), "{op:?}");
        }
    }
}
