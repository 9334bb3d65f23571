//! The operations that can be submitted, and the form in which a queue keeps them.

use crate::interest::Interest;
use crate::table::Zeroed;
use libc::{c_char, c_int, c_void, iovec, mode_t, msghdr, sockaddr, socklen_t};
use std::os::fd::RawFd;

/// An operation over raw memory, for [`Queue::submit`](crate::Queue::submit), which says who must keep what for how long.
///
/// Results are those of the system call of the same name, in whole or in part: as with the call, a read or write may do less
/// than was asked. Whether the descriptor is in non-blocking mode makes no difference: an operation waits until it can be
/// done or is cancelled.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Op {
    /// Waits until `file` is ready, once; the result has bits of [`libc::POLLIN`] and so on.
    Poll {
        /// What to wait on.
        file: RawFd,
        /// What for.
        interest: Interest,
    },
    /// `accept4(2)`: the new descriptor, closed on exec.
    Accept {
        /// A listening socket.
        listener: RawFd,
        /// Where to write the peer's address, or null.
        address: *mut sockaddr,
        /// Its length: room before, size after; or null.
        address_len: *mut socklen_t,
        /// `SOCK_NONBLOCK` or 0.
        flags: c_int,
    },
    /// `connect(2)`: waits until the connection stands or is refused.
    Connect {
        /// A socket without a connection.
        socket: RawFd,
        /// Where to.
        address: *const sockaddr,
        /// Its length.
        address_len: socklen_t,
    },
    /// `read(2)`, or `pread(2)` with an offset. Of a timerfd that heeds the clock's being set, `ECANCELED` says, with io_uring, that or that
    /// the kernel thread has ended which had submitted it.
    Read {
        /// File, pipe or socket.
        file: RawFd,
        /// Where to.
        buffer: *mut u8,
        /// At most how much.
        len: usize,
        /// Of a file; `None` reads at the file's position, and must be used for what has none.
        offset: Option<u64>,
    },
    /// `write(2)`, or `pwrite(2)` with an offset.
    Write {
        /// File, pipe or socket.
        file: RawFd,
        /// What.
        buffer: *const u8,
        /// How much.
        len: usize,
        /// As in [`Read`](Op::Read).
        offset: Option<u64>,
    },
    /// `readv(2)` or `preadv(2)`.
    ReadVectored {
        /// File, pipe or socket.
        file: RawFd,
        /// Where to.
        slices: *const iovec,
        /// How many slices; at most 1024.
        count: usize,
        /// As in [`Read`](Op::Read).
        offset: Option<u64>,
    },
    /// `writev(2)` or `pwritev(2)`.
    WriteVectored {
        /// File, pipe or socket.
        file: RawFd,
        /// What.
        slices: *const iovec,
        /// How many slices; at most 1024.
        count: usize,
        /// As in [`Read`](Op::Read).
        offset: Option<u64>,
    },
    /// `recv(2)`.
    Recv {
        /// A socket.
        socket: RawFd,
        /// Where to.
        buffer: *mut u8,
        /// At most how much.
        len: usize,
        /// `MSG_PEEK` and so on, not `MSG_WAITALL`.
        flags: c_int,
        /// A call has just said `EWOULDBLOCK`: spares an attempt that would fail, where that is a system call of its own.
        is_drained: bool,
    },
    /// `send(2)`, with `MSG_NOSIGNAL`. Not for datagrams of Unix sockets, for which there may be no room at once: with io_uring (Linux 6.18)
    /// the attempt that then finds some sends an empty one, as the kernel has copied the datagram before it looked. [`Poll`](Op::Poll),
    /// and send by hand.
    Send {
        /// A socket.
        socket: RawFd,
        /// What.
        buffer: *const u8,
        /// How much.
        len: usize,
        /// `MSG_MORE` and so on, not `MSG_WAITALL`.
        flags: c_int,
    },
    /// `recvmsg(2)`.
    RecvMessage {
        /// A socket.
        socket: RawFd,
        /// Where to.
        message: *mut msghdr,
        /// As in [`Recv`](Op::Recv).
        flags: c_int,
    },
    /// `sendmsg(2)`, with `MSG_NOSIGNAL`. Of Unix datagrams see [`Send`](Op::Send).
    SendMessage {
        /// A socket.
        socket: RawFd,
        /// What.
        message: *const msghdr,
        /// As in [`Send`](Op::Send).
        flags: c_int,
    },
    /// `sendfile(2)`, until `len` bytes are sent or the file ends: the count of bytes. An error after some were sent is kept
    /// for the next call.
    SendFile {
        /// Where to: a socket or pipe.
        to: RawFd,
        /// A file that can be mapped.
        file: RawFd,
        /// Where to begin in it.
        offset: u64,
        /// At most how much.
        len: u64,
    },
    /// `fsync(2)` or `fdatasync(2)`.
    Sync {
        /// The file.
        file: RawFd,
        /// Leaves out what is not needed to read the data back.
        data_only: bool,
    },
    /// `openat(2)`: the new descriptor, closed on exec.
    Open {
        /// What a relative path begins at, or `libc::AT_FDCWD`.
        directory: RawFd,
        /// The path, with a zero at its end.
        path: *const c_char,
        /// `O_RDONLY` and so on.
        flags: c_int,
        /// Of a new file.
        mode: mode_t,
    },
    /// `close(2)`. Ends the descriptor's registration at once, and cancels what is in flight on it; what a helper is doing just
    /// then is waited for, so that it does not go on in another file under the same number.
    Close {
        /// What to close.
        file: RawFd,
    },
    /// Calls a function on a helper thread, on every backend: for what may wait for a disk and has no operation of its own. The result is
    /// what it returns, an error as its number with a minus.
    ///
    /// It is cancelled only as long as it has not begun, and others wait behind it, so it should be over soon. It has 64 KiB of stack, must not
    /// unwind, and runs with all signals blocked. [`Close`](Op::Close) does not know which descriptors it uses.
    Call {
        /// What to call, once.
        function: unsafe extern "C" fn(*mut c_void) -> i64,
        /// What to call it with: memory as [`submit`](crate::Queue::submit) wants it.
        argument: *mut c_void,
    },
}

/// Which operation it is; the zero is no operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    #[default]
    Nothing,
    Poll,
    Accept,
    Connect,
    Read,
    Write,
    ReadVectored,
    WriteVectored,
    Recv,
    Send,
    RecvMessage,
    SendMessage,
    SendFile,
    Sync,
    Open,
    Close,
    Call,
}

/// An operation's parameters in 48 bytes, zero where unused.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct RawOp {
    pub(crate) code: Code,
    /// Of `Poll`.
    pub(crate) interest: u8,
    /// `Recv`: the socket is known to be empty.
    pub(crate) is_drained: bool,
    /// A ring has its file at hand, under the descriptor's number.
    pub(crate) is_fixed: bool,
    /// On which it waits; of `Open` the directory.
    pub(crate) fd: i32,
    /// Flags of the call; of `Sync` whether data only.
    pub(crate) flags: i32,
    /// `SendFile`: the file; `Open`: the mode; `Connect`: the address' length.
    pub(crate) other: i32,
    /// Buffer, slices, message, address, path or argument.
    pub(crate) pointer: *mut c_void,
    /// Bytes or slices.
    pub(crate) len: u64,
    /// In the file; [`STREAM`] for what has no offset.
    pub(crate) offset: u64,
    /// `Accept`: the address' length; `Call`: the function.
    pub(crate) extra: *mut c_void,
}

// SAFETY: code 0 is `Nothing`, false is 0, pointers may be null, the rest are integers.
#[allow(unsafe_code, reason = "a promise about the layout")]
unsafe impl Zeroed for RawOp {}

/// "At the file's position."
pub(crate) const STREAM: u64 = u64::MAX;

impl Default for RawOp {
    #[inline]
    fn default() -> RawOp {
        RawOp {
            code: Code::Nothing,
            interest: 0,
            is_drained: false,
            is_fixed: false,
            fd: -1,
            flags: 0,
            other: 0,
            pointer: std::ptr::null_mut(),
            len: 0,
            offset: STREAM,
            extra: std::ptr::null_mut(),
        }
    }
}

impl RawOp {
    #[inline]
    fn of(code: Code, fd: RawFd) -> RawOp {
        RawOp { code, fd, ..RawOp::default() }
    }

    #[inline]
    fn with(self, pointer: *const c_void, len: usize) -> RawOp {
        RawOp { pointer: pointer.cast_mut(), len: len as u64, ..self }
    }

    #[inline]
    fn at(self, offset: Option<u64>) -> RawOp {
        // What the kernel takes for the position is no offset; the number before it is refused, as all are that no file has.
        let given = |offset: u64| if offset == STREAM { STREAM - 1 } else { offset };
        RawOp { offset: offset.map_or(STREAM, given), ..self }
    }

    /// The other descriptor that it uses, if it has two.
    pub(crate) fn source(&self) -> Option<i32> {
        (self.code == Code::SendFile).then_some(self.other)
    }

    /// Whether it uses the descriptor `fd`, which is about to be closed.
    pub(crate) fn uses(&self, fd: i32) -> bool {
        self.code != Code::Open && self.fd == fd || self.source() == Some(fd)
    }

    /// Whether it waits to read, to write, or not on a descriptor at all.
    pub(crate) fn direction(&self) -> Option<Interest> {
        match self.code {
            Code::Poll => Some(Interest::of_bits(self.interest)),
            Code::Accept | Code::Read | Code::ReadVectored | Code::Recv | Code::RecvMessage => {
                Some(Interest::READ)
            }
            Code::Connect
            | Code::Write
            | Code::WriteVectored
            | Code::Send
            | Code::SendMessage
            | Code::SendFile => Some(Interest::WRITE),
            Code::Nothing | Code::Sync | Code::Open | Code::Close | Code::Call => None,
        }
    }
}

impl From<Op> for RawOp {
    /// Inlined, it goes field by field to where it stays: what was written so and is then copied as a whole keeps the processor waiting.
    ///
    /// The most frequent ones stand apart: of many whose fields lie one over the other the compiler reads a pointer where a number was written.
    #[inline(always)]
    fn from(op: Op) -> RawOp {
        match op {
            Op::Recv { socket, buffer, len, flags, is_drained } => RawOp {
                flags,
                is_drained,
                ..RawOp::of(Code::Recv, socket).with(buffer.cast(), len)
            },
            Op::Send { socket, buffer, len, flags } => RawOp {
                flags: flags | libc::MSG_NOSIGNAL,
                ..RawOp::of(Code::Send, socket).with(buffer.cast(), len)
            },
            other => RawOp::less_frequent(other),
        }
    }
}

impl RawOp {
    #[inline(never)]
    fn less_frequent(op: Op) -> RawOp {
        match op {
            Op::Poll { file, interest } => {
                RawOp { interest: interest.bits(), ..RawOp::of(Code::Poll, file) }
            }
            Op::Accept { listener, address, address_len, flags } => RawOp {
                extra: address_len.cast(),
                flags,
                ..RawOp::of(Code::Accept, listener).with(address.cast(), 0)
            },
            Op::Connect { socket, address, address_len } => RawOp {
                other: address_len as i32,
                ..RawOp::of(Code::Connect, socket).with(address.cast(), 0)
            },
            Op::Read { file, buffer, len, offset } => {
                RawOp::of(Code::Read, file).with(buffer.cast(), len).at(offset)
            }
            Op::Write { file, buffer, len, offset } => {
                RawOp::of(Code::Write, file).with(buffer.cast(), len).at(offset)
            }
            Op::ReadVectored { file, slices, count, offset } => {
                RawOp::of(Code::ReadVectored, file).with(slices.cast(), count).at(offset)
            }
            Op::WriteVectored { file, slices, count, offset } => {
                RawOp::of(Code::WriteVectored, file).with(slices.cast(), count).at(offset)
            }
            Op::RecvMessage { socket, message, flags } => {
                RawOp { flags, ..RawOp::of(Code::RecvMessage, socket).with(message.cast(), 0) }
            }
            Op::SendMessage { socket, message, flags } => RawOp {
                flags: flags | libc::MSG_NOSIGNAL,
                ..RawOp::of(Code::SendMessage, socket).with(message.cast(), 0)
            },
            Op::SendFile { to, file, offset, len } => {
                RawOp { other: file, len, offset, ..RawOp::of(Code::SendFile, to) }
            }
            Op::Sync { file, data_only } => {
                RawOp { flags: i32::from(data_only), ..RawOp::of(Code::Sync, file) }
            }
            Op::Open { directory, path, flags, mode } => RawOp {
                flags: flags | libc::O_CLOEXEC,
                other: mode as i32,
                ..RawOp::of(Code::Open, directory).with(path.cast(), 0)
            },
            Op::Close { file } => RawOp::of(Code::Close, file),
            Op::Call { function, argument } => RawOp {
                extra: function as *mut c_void,
                ..RawOp::of(Code::Call, -1).with(argument, 0)
            },
            frequent @ (Op::Recv { .. } | Op::Send { .. }) => RawOp::from(frequent),
        }
    }
}
