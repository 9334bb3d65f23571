//! Handles of sockets: the kernel's, or a simulated host's. What is above here does not know which.
//!
//! The kernel's are in `live`, the others in `simulated`, under the same names; this file only tells them apart, by one word that is null
//! in the kernel's.

use super::address::Address;
use super::live::Live;
pub(super) use super::live::Role;
use super::modes::Modes;
use super::option::Opt;
use super::simulated::Simulated;
use crate::host::{self, Way};
use rustix::net::{AddressFamily, RecvFlags, SocketType};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime};

/// A handle of a socket, which its owners' threads share by reference.
#[derive(Debug)]
pub(super) struct Socket {
    whose: Whose,
    pub(super) modes: Modes,
}

#[derive(Debug)]
enum Whose {
    OfKernel(Live),
    OfHost(Simulated),
}

use Whose::{OfHost, OfKernel};

/// The same call on either.
macro_rules! on {
    ($socket:expr, $it:ident => $call:expr) => {
        match $socket {
            OfKernel($it) => $call,
            OfHost($it) => $call,
        }
    };
}

/// What a simulated socket is asked for, and has not.
#[cold]
#[track_caller]
fn no_descriptor() -> ! {
    panic!("a simulated socket has no descriptor")
}

// What it is made of and becomes.
impl Socket {
    fn new(whose: Whose) -> Socket {
        Socket { whose, modes: Modes::default() }
    }

    /// A new one. `connects`: it is a stream that [`connect`](Socket::connect) or [`listen`](Socket::listen) is called on next.
    pub(super) fn open(
        family: AddressFamily,
        kind: SocketType,
        connects: bool,
    ) -> io::Result<Socket> {
        Ok(Socket::new(match host::network()? {
            None => OfKernel(Live::open(family, kind, connects)?),
            Some(network) => OfHost(Simulated::open(network, family, kind)?),
        }))
    }

    /// Two Unix sockets that are connected to each other.
    pub(super) fn pair(kind: SocketType) -> io::Result<(Socket, Socket)> {
        host::check_live()?;
        let (one, other) = Live::pair(kind)?;
        Ok((Socket::new(OfKernel(one)), Socket::new(OfKernel(other))))
    }

    /// Takes over a descriptor as it is: its mode and time-outs stay.
    pub(super) fn adopt(fd: OwnedFd, role: Role) -> Socket {
        let modes = Modes::default();
        Socket { whose: OfKernel(Live::adopt(fd, &modes, role)), modes }
    }

    /// Gives the descriptor away: what was set here is set in the kernel from now on.
    ///
    /// # Panics
    ///
    /// If it is simulated.
    #[track_caller]
    pub(super) fn release(self) -> OwnedFd {
        match self.whose {
            OfKernel(live) => live.release(&self.modes),
            OfHost(_) => no_descriptor(),
        }
    }

    /// Another handle of the same socket.
    pub(super) fn try_clone(&self) -> io::Result<Socket> {
        let whose = match &self.whose {
            OfKernel(live) => OfKernel(live.try_clone()?),
            OfHost(simulated) => OfHost(simulated.clone()),
        };
        Ok(Socket { whose, modes: self.modes.share() })
    }

    /// # Panics
    ///
    /// If it is simulated.
    #[inline]
    #[track_caller]
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self.try_fd() {
            Some(fd) => fd,
            None => no_descriptor(),
        }
    }

    /// The descriptor, if it is the kernel's.
    #[inline]
    pub(super) fn try_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.whose {
            OfKernel(live) => Some(live.fd()),
            OfHost(_) => None,
        }
    }
}

// What is said of it.
impl Socket {
    /// The kernel's number, if it has one.
    pub(super) fn describe(&self, text: &mut fmt::DebugStruct<'_, '_>) {
        if let Some(fd) = self.try_fd() {
            text.field("fd", &fd.as_raw_fd());
        }
    }
}

// Modes.
impl Socket {
    pub(super) fn set_nonblocking(&self, is_nonblocking: bool, role: Role) -> io::Result<()> {
        if let OfKernel(live) = &self.whose {
            live.set_nonblocking(is_nonblocking, role)?;
        }
        self.modes.set_nonblocking(is_nonblocking);
        Ok(())
    }

    pub(super) fn read_timeout(&self) -> Option<Duration> {
        self.modes.timeout(Way::In)
    }

    pub(super) fn write_timeout(&self) -> Option<Duration> {
        self.modes.timeout(Way::Out)
    }
}

// Connections.
impl Socket {
    pub(super) fn bind(&self, address: &Address) -> io::Result<()> {
        on!(&self.whose, it => it.bind(address))
    }

    pub(super) fn listen(&self, backlog: i32) -> io::Result<()> {
        on!(&self.whose, it => it.listen(backlog))
    }

    /// Takes the first connection that comes. One whose peer has gone meanwhile is passed over.
    #[track_caller]
    pub(super) fn accept(&self) -> io::Result<(Socket, Address)> {
        let (whose, peer) = match &self.whose {
            OfKernel(live) => {
                let (socket, peer) = live.accept(&self.modes)?;
                (OfKernel(socket), peer)
            }
            OfHost(simulated) => {
                let (socket, peer) = simulated.accept(&self.modes)?;
                (OfHost(socket), peer)
            }
        };
        Ok((Socket::new(whose), peer))
    }

    /// Connects a stream that was opened for this, and waits so long.
    #[track_caller]
    pub(super) fn connect(&self, address: &Address, patience_ns: Option<u64>) -> io::Result<()> {
        on!(&self.whose, it => it.connect(address, patience_ns))
    }

    /// Sets the peer of a socket for datagrams: that does not wait.
    pub(super) fn connect_datagram(&self, address: &Address) -> io::Result<()> {
        on!(&self.whose, it => it.connect_datagram(address))
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        on!(&self.whose, it => it.shutdown(how))
    }

    pub(super) fn local_address(&self) -> io::Result<Address> {
        on!(&self.whose, it => it.local_address())
    }

    pub(super) fn peer_address(&self) -> io::Result<Address> {
        on!(&self.whose, it => it.peer_address())
    }

    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        on!(&self.whose, it => it.take_error())
    }
}

// What goes through.
impl Socket {
    #[inline]
    #[track_caller]
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        on!(&self.whose, it => it.read(buffer, &self.modes))
    }

    #[inline]
    #[track_caller]
    pub(super) fn read_vectored(&self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        on!(&self.whose, it => it.read_vectored(slices, &self.modes))
    }

    #[inline]
    #[track_caller]
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        on!(&self.whose, it => it.write(bytes, &self.modes))
    }

    #[inline]
    #[track_caller]
    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        on!(&self.whose, it => it.write_vectored(slices, &self.modes))
    }

    /// Sends all of `bytes`, and reads once. What was not sent stays in `bytes`.
    #[inline]
    #[track_caller]
    pub(super) fn exchange(&self, bytes: &mut &[u8], buffer: &mut [u8]) -> io::Result<usize> {
        match &self.whose {
            OfKernel(live) => live.exchange(bytes, buffer, &self.modes),
            OfHost(_) => {
                self.write_all(bytes)?;
                self.read(buffer)
            }
        }
    }

    /// As [`read`](Socket::read), and says when the last of it came, where the kernel knows.
    #[inline]
    #[track_caller]
    pub(super) fn read_stamped(
        &self,
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<SystemTime>)> {
        match &self.whose {
            OfKernel(live) => live.read_stamped(buffer, &self.modes),
            OfHost(it) => Ok((it.read(buffer, &self.modes)?, None)),
        }
    }

    /// As [`exchange`](Socket::exchange), and says when the last of what was read came, where the kernel knows.
    #[inline]
    #[track_caller]
    pub(super) fn exchange_stamped(
        &self,
        bytes: &mut &[u8],
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<SystemTime>)> {
        match &self.whose {
            OfKernel(live) => live.exchange_stamped(bytes, buffer, &self.modes),
            OfHost(it) => {
                self.write_all(bytes)?;
                Ok((it.read(buffer, &self.modes)?, None))
            }
        }
    }

    /// Sends all of `bytes`. What was not sent stays there.
    #[track_caller]
    fn write_all(&self, bytes: &mut &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write(bytes)?;
            *bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Takes a datagram, or looks at what comes next without taking it.
    #[inline]
    #[track_caller]
    pub(super) fn recv(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        on!(&self.whose, it => it.recv(buffer, flags, &self.modes))
    }

    /// As [`recv`](Socket::recv), and says who sent it.
    #[inline]
    #[track_caller]
    pub(super) fn recv_from(
        &self,
        buffer: &mut [u8],
        flags: RecvFlags,
    ) -> io::Result<(usize, Option<Address>)> {
        on!(&self.whose, it => it.recv_from(buffer, flags, &self.modes))
    }

    /// Sends a datagram to the peer.
    #[inline]
    #[track_caller]
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        on!(&self.whose, it => it.send(bytes, &self.modes))
    }

    /// Sends a datagram to `address`.
    #[inline]
    #[track_caller]
    pub(super) fn send_to(&self, bytes: &[u8], address: &Address) -> io::Result<usize> {
        on!(&self.whose, it => it.send_to(bytes, address, &self.modes))
    }
}

// Options.
impl Socket {
    pub(super) fn set_option(&self, option: Opt, value: i32) -> io::Result<()> {
        on!(&self.whose, it => it.set_option(option, value))
    }

    pub(super) fn option(&self, option: Opt) -> io::Result<i32> {
        on!(&self.whose, it => it.option(option))
    }

    pub(super) fn is_set(&self, option: Opt) -> io::Result<bool> {
        Ok(self.option(option)? != 0)
    }

    pub(super) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        on!(&self.whose, it => it.set_linger(linger))
    }

    pub(super) fn linger(&self) -> io::Result<Option<Duration>> {
        on!(&self.whose, it => it.linger())
    }

    /// A simulated host has no groups.
    fn live(&self) -> io::Result<&Live> {
        match &self.whose {
            OfKernel(live) => Ok(live),
            OfHost(_) => Err(host::unsupported()),
        }
    }

    pub(super) fn join_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.live()?.join_v4(group, interface)
    }

    pub(super) fn leave_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.live()?.leave_v4(group, interface)
    }

    pub(super) fn join_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.live()?.join_v6(group, interface)
    }

    pub(super) fn leave_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.live()?.leave_v6(group, interface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's sockets pay with no more than this for there being others.
    #[test]
    fn a_handle_is_a_pointer_longer_than_what_the_kernels_needs() {
        assert_eq!(size_of::<Live>(), 8);
        assert_eq!(size_of::<Whose>(), 16);
        assert_eq!(size_of::<Socket>(), 16 + size_of::<Modes>());
    }
}
