//! Sockets of the kernel's, and how a thread waits for one.
//!
//! A read tries at once if there may be something: after one that has filled its buffer, or the first. After one that has not, the socket
//! is empty, most likely, so the read is given to the event queue without a call that would fail. A write tries at once, unless other threads
//! are about to run: then it goes to the kernel with all that these submit. What takes datagrams tries at once, always, as one of them does not
//! tell whether there are more.
//!
//! The socket stays in blocking mode, as its descriptor's other users expect: single calls say `MSG_DONTWAIT`. A listener does not, since
//! `accept4` has no such flag: it gets its mode back when the descriptor is given away.

#![allow(unsafe_code, reason = "operations on a caller's buffer, which waits for them")]

mod connections;

use super::address::Address;
use super::exchange::{Exchange, To};
use super::message::{self, Stamped};
use super::modes::{Modes, timed_out_as_in_std};
use super::when_ready::WhenReady;
use crate::at_hand::AtHand;
use crate::host::Way;
use crate::label::{Label, WaitsFor};
use crate::operation::{self, Busy};
use crate::pauses::Pauses;
use raddle_event::{Interest, Op};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// A handle of a socket of the kernel's.
#[derive(Debug)]
pub(super) struct Live {
    fd: OwnedFd,
    /// Its mark says that the last read of the stream has found less than it had room for.
    at_hand: AtHand,
}

/// Whether the kernel's mode is the socket's, or always non-blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Listener,
    Other,
}

// What it is made of and becomes.
impl Live {
    fn new(fd: OwnedFd) -> Live {
        Live { fd, at_hand: AtHand::new() }
    }

    /// A new one. `connects`: it is a stream that [`connect`](Live::connect) or [`listen`](Live::listen) is called on next.
    pub(super) fn open(
        family: AddressFamily,
        kind: SocketType,
        connects: bool,
    ) -> io::Result<Live> {
        let mode = if connects { SocketFlags::NONBLOCK } else { SocketFlags::empty() };
        let flags = SocketFlags::CLOEXEC | mode;
        Ok(Live::new(rustix::net::socket_with(family, kind, flags, None)?))
    }

    /// Two Unix sockets that are connected to each other.
    pub(super) fn pair(kind: SocketType) -> io::Result<(Live, Live)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None)?;
        Ok((Live::new(one), Live::new(other)))
    }

    /// Takes over a descriptor as it is: its mode and time-outs stay.
    pub(super) fn adopt(fd: OwnedFd, modes: &Modes, role: Role) -> Live {
        let socket = Live::new(fd);
        let flags = rustix::fs::fcntl_getfl(&socket.fd).unwrap_or(rustix::fs::OFlags::empty());
        let is_nonblocking = flags.contains(rustix::fs::OFlags::NONBLOCK);
        modes.set_nonblocking(is_nonblocking);
        if role == Role::Listener && !is_nonblocking {
            // What can't be changed is no socket, and `accept` says so.
            let _ = rustix::io::ioctl_fionbio(&socket.fd, true);
        }
        for (way, id) in TIMEOUTS {
            if let Ok(timeout) = sockopt::socket_timeout(&socket.fd, id) {
                // The kernel has none of zero.
                let _ = modes.set_timeout(way, timeout);
            }
        }
        socket
    }

    /// Gives the descriptor away: what was set here is set in the kernel from now on. A listener, and what a file was sent to, is in another mode.
    pub(super) fn release(self, modes: &Modes) -> OwnedFd {
        if !modes.is_nonblocking() {
            let _ = rustix::io::ioctl_fionbio(&self.fd, false);
            modes.mode().made_blocking();
        }
        for (way, id) in TIMEOUTS {
            // One that the kernel has no numbers for is none.
            let _ = sockopt::set_socket_timeout(&self.fd, id, modes.timeout(way))
                .or_else(|_| sockopt::set_socket_timeout(&self.fd, id, None));
        }
        let mut this = ManuallyDrop::new(self);
        this.leave();
        // SAFETY: nobody drops it here, and it has nothing else that would have to be.
        unsafe { ptr::read(&raw const this.fd) }
    }

    /// No core has it at hand any more.
    fn leave(&mut self) {
        self.at_hand.leave(self.fd.as_fd());
    }

    /// For operations that the event queue does.
    #[inline]
    fn busy(&self) -> Busy<'_> {
        (self.fd.as_fd(), &self.at_hand)
    }

    /// Another handle of the same socket.
    pub(super) fn try_clone(&self) -> io::Result<Live> {
        Ok(Live::new(self.fd.try_clone()?))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn on(&self, label: Label) -> WaitsFor {
        label.on(self.fd.as_raw_fd())
    }

    /// Whether calls wait, where the kernel has to know it.
    pub(super) fn set_nonblocking(&self, is_nonblocking: bool, role: Role) -> io::Result<()> {
        match role {
            Role::Listener => Ok(()),
            Role::Other => Ok(rustix::io::ioctl_fionbio(&self.fd, is_nonblocking)?),
        }
    }

    /// Waits until a call would not. Says for what it is ready: bits of `POLLIN` and so on.
    #[track_caller]
    fn wait_for(
        &self,
        interest: Interest,
        label: Label,
        deadline_ns: Option<u64>,
    ) -> io::Result<usize> {
        let op = Op::Poll { file: self.fd.as_raw_fd(), interest };
        // SAFETY: it points to nothing; the socket is open until this returns.
        unsafe { operation::perform(op, self.on(label), deadline_ns) }
    }
}

impl Drop for Live {
    #[inline]
    fn drop(&mut self) {
        // Closing it is what ends the connection.
        self.leave();
    }
}

const TIMEOUTS: [(Way, sockopt::Timeout); 2] =
    [(Way::In, sockopt::Timeout::Recv), (Way::Out, sockopt::Timeout::Send)];

/// Whether a write of `len` bytes spares its system call. Of more bytes the copy counts, not the call.
#[inline]
fn goes_with_others(len: usize, modes: &Modes) -> bool {
    const LEN_MAX: usize = 16 * 1024;
    len <= LEN_MAX && !modes.is_nonblocking() && operation::goes_with_others()
}

// Streams.
impl Live {
    /// Whether it is worth a call to see if there is something to read.
    #[inline]
    fn tries_to_read(&self, modes: &Modes) -> bool {
        !self.at_hand.mark.load(Ordering::Relaxed) || modes.is_nonblocking()
    }

    /// Notes what a read has found. An end is found again at once.
    #[inline]
    fn note_read(&self, count: usize, room: usize) {
        let is_drained = count < room && count > 0;
        let mark = &self.at_hand.mark;
        if mark.load(Ordering::Relaxed) != is_drained {
            mark.store(is_drained, Ordering::Relaxed);
        }
    }

    #[track_caller]
    pub(super) fn read(&self, buffer: &mut [u8], modes: &Modes) -> io::Result<usize> {
        if self.tries_to_read(modes) {
            match rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((_, count)) => {
                    self.note_read(count, buffer.len());
                    return Ok(count);
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let count = self.recv_later(buffer, RecvFlags::empty(), modes)?;
        self.note_read(count, buffer.len());
        Ok(count)
    }

    #[track_caller]
    pub(super) fn read_vectored(
        &self,
        slices: &mut [IoSliceMut<'_>],
        modes: &Modes,
    ) -> io::Result<usize> {
        if let [one] = slices {
            return self.read(one, modes);
        }
        // No more are read into.
        let room = slices.iter().take(message::SLICES_MAX).map(|slice| slice.len()).sum();
        if self.tries_to_read(modes) {
            match message::receive(&self.fd, slices) {
                Ok(count) => {
                    self.note_read(count, room);
                    return Ok(count);
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        modes.may_wait()?;
        let (waits_for, deadline_ns) = (self.on(Label::INPUT), modes.deadline_ns(Way::In));
        let count = message::receive_later(self.busy(), slices, waits_for, deadline_ns)
            .map_err(timed_out_as_in_std)?;
        self.note_read(count, room);
        Ok(count)
    }

    #[track_caller]
    pub(super) fn write(&self, bytes: &[u8], modes: &Modes) -> io::Result<usize> {
        if !goes_with_others(bytes.len(), modes) {
            match rustix::net::send(&self.fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => return Ok(count),
                Err(Errno::INPROGRESS) => self.finish_connect(modes)?,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            modes.may_wait()?;
        }
        self.send_later(modes, |deadline_ns| {
            let op = Op::Send {
                socket: self.fd.as_raw_fd(),
                buffer: bytes.as_ptr(),
                len: bytes.len(),
                flags: 0,
            };
            // SAFETY: the bytes are borrowed, and the socket open, until this returns.
            unsafe {
                operation::perform_on(op, Some(self.busy()), self.on(Label::OUTPUT), deadline_ns)
            }
        })
    }

    /// As [`read`](Live::read), and says when the last of it came, where the kernel knows.
    #[track_caller]
    pub(super) fn read_stamped(
        &self,
        buffer: &mut [u8],
        modes: &Modes,
    ) -> io::Result<(usize, Option<SystemTime>)> {
        let mut stamped = Stamped::new();
        let message = stamped.aim(buffer);
        if self.tries_to_read(modes) {
            // SAFETY: the header stands here, and the buffer is borrowed, until this returns.
            match unsafe { message::receive_stamped(&self.fd, message) } {
                Ok(count) => {
                    self.note_read(count, buffer.len());
                    return Ok((count, stamped.stamp()));
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        modes.may_wait()?;
        let op = Op::RecvMessage { socket: self.fd.as_raw_fd(), message, flags: 0 };
        let (waits_for, deadline_ns) = (self.on(Label::INPUT), modes.deadline_ns(Way::In));
        // SAFETY: the header stands here, the buffer is borrowed and the socket is open until this returns.
        let read = unsafe { operation::perform_on(op, Some(self.busy()), waits_for, deadline_ns) };
        let count = read.map_err(timed_out_as_in_std)?;
        self.note_read(count, buffer.len());
        Ok((count, stamped.stamp()))
    }

    /// As [`exchange`](Live::exchange), and says when the last of what was read came, where the kernel knows.
    #[track_caller]
    pub(super) fn exchange_stamped(
        &self,
        bytes: &mut &[u8],
        buffer: &mut [u8],
        modes: &Modes,
    ) -> io::Result<(usize, Option<SystemTime>)> {
        let mut stamped = Stamped::new();
        match self.exchange_to(To::Stamped(buffer, &mut stamped), bytes, modes) {
            Some(exchanged) => Ok((exchanged?, stamped.stamp())),
            None => {
                self.write_all(bytes, modes)?;
                self.read_stamped(buffer, modes)
            }
        }
    }

    /// Sends all of `bytes`, and reads once, in one wait where that spares something. What was not sent stays in `bytes`.
    #[track_caller]
    pub(super) fn exchange(
        &self,
        bytes: &mut &[u8],
        buffer: &mut [u8],
        modes: &Modes,
    ) -> io::Result<usize> {
        match self.exchange_to(To::Buffer(buffer), bytes, modes) {
            Some(exchanged) => exchanged,
            None => {
                self.write_all(bytes, modes)?;
                self.read(buffer, modes)
            }
        }
    }

    /// Sends and reads in one wait. `None` where that spares nothing: then some of `bytes` was sent, perhaps.
    #[inline]
    #[track_caller]
    fn exchange_to(
        &self,
        to: To<'_>,
        bytes: &mut &[u8],
        modes: &Modes,
    ) -> Option<io::Result<usize>> {
        if bytes.is_empty() {
            return None;
        }
        if !goes_with_others(bytes.len(), modes) {
            // Mostly all of it goes.
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            return match rustix::net::send(&self.fd, bytes, flags) {
                Ok(count) => {
                    *bytes = &bytes[count..];
                    None
                }
                Err(Errno::INPROGRESS) => self.finish_connect(modes).err().map(Err),
                Err(Errno::AGAIN | Errno::INTR) => None,
                Err(error) => Some(Err(error.into())),
            };
        }
        if modes.timeout(Way::In) != modes.timeout(Way::Out) {
            return None;
        }
        let room = to.room();
        let mut steps = Exchange { socket: self.fd.as_raw_fd(), unsent: bytes, to };
        let (waits_for, deadline_ns) = (self.on(Label::INPUT), modes.deadline_ns(Way::In));
        // SAFETY: the bytes are borrowed, what is read to stands, and the socket open, until this returns.
        let result = unsafe { operation::run_on(&mut steps, self.busy(), waits_for, deadline_ns) };
        match result {
            Ok(count) => self.note_read(count, room),
            // It has not even connected.
            Err(ref error) if error.raw_os_error() == Some(libc::EINPROGRESS) => return None,
            Err(_) => {}
        }
        Some(result.map_err(timed_out_as_in_std))
    }

    /// Sends all of `bytes`. What was not sent stays there.
    #[inline]
    #[track_caller]
    fn write_all(&self, bytes: &mut &[u8], modes: &Modes) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write(bytes, modes)?;
            *bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Sends by the event queue.
    #[track_caller]
    fn send_later(
        &self,
        modes: &Modes,
        send: impl Fn(Option<u64>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut result = send(modes.deadline_ns(Way::Out));
        if result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EINPROGRESS)) {
            self.finish_connect(modes)?;
            result = send(modes.deadline_ns(Way::Out));
        }
        result.map_err(timed_out_as_in_std)
    }

    #[track_caller]
    pub(super) fn write_vectored(
        &self,
        slices: &[IoSlice<'_>],
        modes: &Modes,
    ) -> io::Result<usize> {
        if let [one] = slices {
            return self.write(one, modes);
        }
        if !goes_with_others(slices.iter().map(|slice| slice.len()).sum(), modes) {
            match message::send(&self.fd, slices) {
                Ok(count) => return Ok(count),
                Err(Errno::INPROGRESS) => self.finish_connect(modes)?,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            modes.may_wait()?;
        }
        self.send_later(modes, |deadline_ns| {
            message::send_later(self.busy(), slices, self.on(Label::OUTPUT), deadline_ns)
        })
    }

    /// A first write with `TCP_FASTOPEN_CONNECT` has begun to connect, without data: the kernel has no cookie of that peer's yet.
    #[cold]
    #[track_caller]
    fn finish_connect(&self, modes: &Modes) -> io::Result<()> {
        modes.may_wait()?;
        let deadline_ns = modes.deadline_ns(Way::Out);
        self.wait_for(Interest::WRITE, Label::CONNECT, deadline_ns).map_err(timed_out_as_in_std)?;
        Ok(sockopt::socket_error(&self.fd)??)
    }
}

// Streams and datagrams.
impl Live {
    /// Takes a datagram, or looks at what comes next without taking it.
    #[track_caller]
    pub(super) fn recv(
        &self,
        buffer: &mut [u8],
        flags: RecvFlags,
        modes: &Modes,
    ) -> io::Result<usize> {
        match rustix::net::recv(&self.fd, &mut *buffer, flags | RecvFlags::DONTWAIT) {
            Ok((_, count)) => Ok(count),
            Err(Errno::AGAIN | Errno::INTR) => self.recv_later(buffer, flags, modes),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for something to read, of which there was nothing.
    #[track_caller]
    fn recv_later(&self, buffer: &mut [u8], flags: RecvFlags, modes: &Modes) -> io::Result<usize> {
        modes.may_wait()?;
        let (waits_for, deadline_ns) = (self.on(Label::INPUT), modes.deadline_ns(Way::In));
        // A read that is given to the kernel ends at once where a file was sent before, is polled for, and given to it again.
        let polls = modes.mode().waits_here() || operation::is_nearly_alone();
        if buffer.len() <= WhenReady::LEN_MAX && polls {
            let mut steps = WhenReady { socket: self.fd.as_fd(), to: buffer, flags };
            // SAFETY: the buffer is borrowed, and the socket open, until this returns.
            return unsafe { operation::run_on(&mut steps, self.busy(), waits_for, deadline_ns) }
                .map_err(timed_out_as_in_std);
        }
        let op = Op::Recv {
            socket: self.fd.as_raw_fd(),
            buffer: buffer.as_mut_ptr(),
            len: buffer.len(),
            flags: flags.bits() as i32,
            is_drained: true,
        };
        // SAFETY: the buffer is borrowed, and the socket open, until this returns.
        unsafe { operation::perform_on(op, Some(self.busy()), waits_for, deadline_ns) }
            .map_err(timed_out_as_in_std)
    }

    /// As [`recv`](Live::recv), and says who sent it.
    #[track_caller]
    pub(super) fn recv_from(
        &self,
        buffer: &mut [u8],
        flags: RecvFlags,
        modes: &Modes,
    ) -> io::Result<(usize, Option<Address>)> {
        match rustix::net::recvfrom(&self.fd, &mut *buffer, flags | RecvFlags::DONTWAIT) {
            Ok((_, count, sender)) => {
                return Ok((count, sender.as_ref().and_then(Address::decode)));
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        modes.may_wait()?;
        let (waits_for, deadline_ns) = (self.on(Label::INPUT), modes.deadline_ns(Way::In));
        message::receive_from_later(self.busy(), buffer, flags, waits_for, deadline_ns)
            .map_err(timed_out_as_in_std)
    }

    /// Sends a datagram to the peer.
    ///
    /// It waits and tries again, rather than give a `send` to the event queue: of a Unix datagram that finds no room, io_uring's next
    /// attempt sends nothing (Linux 6.18), as the kernel has copied it before it looked.
    #[track_caller]
    pub(super) fn send(&self, bytes: &[u8], modes: &Modes) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match rustix::net::send(&self.fd, bytes, flags) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN | Errno::INTR) => self.wait_to_send(modes)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    #[track_caller]
    fn wait_to_send(&self, modes: &Modes) -> io::Result<()> {
        modes.may_wait()?;
        let deadline_ns = modes.deadline_ns(Way::Out);
        let ready = self.wait_for(Interest::WRITE, Label::OUTPUT, deadline_ns);
        ready.map(drop).map_err(timed_out_as_in_std)
    }

    /// Sends a datagram to `address`.
    #[track_caller]
    pub(super) fn send_to(
        &self,
        bytes: &[u8],
        address: &Address,
        modes: &Modes,
    ) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let encoded = address.encode()?;
        let mut pauses = None;
        loop {
            match rustix::net::sendto(&self.fd, bytes, flags, &encoded) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if let Address::Ip(_) = address {
                self.wait_to_send(modes)?;
                continue;
            }
            modes.may_wait()?;
            // The receiver has no room, and the kernel tells only those who are connected to it when there is some.
            pauses
                .get_or_insert_with(|| Pauses::short(modes.deadline_ns(Way::Out)))
                .pause(self.on(Label::OUTPUT))
                .map_err(timed_out_as_in_std)?;
        }
    }
}
