//! UDP, as in `std::net`.

use super::address::Address;
use super::descriptor::descriptor_traits;
use super::lookup::{each_address, no_addresses};
use super::option::{Opt, number};
use super::options::SocketOptions;
use super::socket::{Role, Socket};
use crate::host::Way;
use rustix::net::{RecvFlags, SocketType};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// A socket for datagrams; see [`std::net::UdpSocket`].
///
/// A call that has to wait parks the thread, and ends early as those of a [`TcpStream`](super::TcpStream) do.
///
/// ```
/// use raddle::{net::UdpSocket, thread};
///
/// let server = UdpSocket::bind("127.0.0.1:0")?;
/// let address = server.local_addr()?;
/// let answers = thread::spawn(move || {
///     let mut bytes = [0; 1500];
///     let (count, from) = server.recv_from(&mut bytes)?;
///     server.send_to(&bytes[..count], from)
/// });
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.connect(address)?;
/// client.send(b"ping")?;
/// let mut bytes = [0; 1500];
/// let count = client.recv(&mut bytes)?;
/// assert_eq!(&bytes[..count], b"ping");
/// assert_eq!(answers.join().expect("it does not panic")?, 4);
/// # std::io::Result::Ok(())
/// ```
pub struct UdpSocket(pub(super) Socket);

descriptor_traits!(UdpSocket, std::net::UdpSocket, Role::Other);

impl UdpSocket {
    /// A socket at the first of `addresses` that can be bound. Port 0 lets the kernel choose. [`SocketOptions`] binds one with
    /// options.
    ///
    /// # Errors
    ///
    /// `AddrInUse` and so on, of the last address that was tried; see `bind(2)`.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        SocketOptions::new().bind_udp(addresses)
    }

    /// Waits for a datagram: its length, and who sent it. What there is no room for in `buffer` is lost. See `recvfrom(2)`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` after the [read time-out](UdpSocket::set_read_timeout).
    #[track_caller]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        with_sender(self.0.recv_from(buffer, RecvFlags::empty())?)
    }

    /// As [`recv_from`](UdpSocket::recv_from), but the datagram stays and comes again.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// ```
    /// use raddle::net::UdpSocket;
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.send_to(b"to myself", socket.local_addr()?)?;
    /// assert_eq!(socket.peek_from(&mut [0; 16])?, (9, socket.local_addr()?));
    /// assert_eq!(socket.recv(&mut [0; 16])?, 9);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        with_sender(self.0.recv_from(buffer, RecvFlags::PEEK)?)
    }

    /// Sends a datagram to the first of `addresses`: all of it or nothing. Waits only if the socket's buffer is full. See `sendto(2)`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` after the [write time-out](UdpSocket::set_write_timeout); `EMSGSIZE` if it is too long; `InvalidInput` without an
    /// address; those of earlier datagrams, which their receivers have refused.
    #[track_caller]
    pub fn send_to(&self, bytes: &[u8], addresses: impl ToSocketAddrs) -> io::Result<usize> {
        let address = addresses.to_socket_addrs()?.next();
        self.0.send_to(bytes, &Address::Ip(address.ok_or_else(no_addresses)?))
    }

    /// From now on [`send`](UdpSocket::send) sends to the first of `addresses` that can be sent to, and only what comes from there is
    /// received. See `connect(2)`.
    ///
    /// # Errors
    ///
    /// Of the last address that was tried.
    pub fn connect(&self, addresses: impl ToSocketAddrs) -> io::Result<()> {
        each_address(addresses, |address| self.0.connect_datagram(&Address::Ip(address)))
    }

    /// Sends a datagram to where the socket is connected to.
    ///
    /// # Errors
    ///
    /// `EDESTADDRREQ` if it isn't; `ConnectionRefused` if an earlier one was refused; as [`send_to`](UdpSocket::send_to).
    #[track_caller]
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    /// Waits for a datagram: its length.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from); `ConnectionRefused` if one that was sent was refused.
    #[track_caller]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer, RecvFlags::empty())
    }

    /// As [`recv`](UdpSocket::recv), but the datagram stays and comes again.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer, RecvFlags::PEEK)
    }

    /// Where the socket is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_address()?.ip()
    }

    /// Where it is bound.
    ///
    /// # Errors
    ///
    /// See `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_address()?.ip()
    }

    /// Another handle to the same socket. Each datagram goes to one of them.
    ///
    /// # Errors
    ///
    /// At the descriptor limit.
    pub fn try_clone(&self) -> io::Result<UdpSocket> {
        Ok(UdpSocket(self.0.try_clone()?))
    }

    /// Receiving waits for so long at most; see [`TcpStream::set_read_timeout`](super::TcpStream::set_read_timeout).
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    ///
    /// ```
    /// use raddle::net::UdpSocket;
    /// use std::{io::ErrorKind, time::Duration};
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_read_timeout(Some(Duration::from_millis(2)))?;
    /// assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.modes.set_timeout(Way::In, timeout)
    }

    /// Sending waits for so long at most.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.modes.set_timeout(Way::Out, timeout)
    }

    /// What [`set_read_timeout`](UdpSocket::set_read_timeout) has set.
    ///
    /// # Errors
    ///
    /// None, but std's has.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.read_timeout())
    }

    /// What [`set_write_timeout`](UdpSocket::set_write_timeout) has set.
    ///
    /// # Errors
    ///
    /// None, but std's has.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.write_timeout())
    }

    /// Whether it may send to a network's broadcast address: `SO_BROADCAST`, off by default.
    ///
    /// # Errors
    ///
    /// See `setsockopt(2)`; so for all that follow.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.0.set_option(Opt::Broadcast, broadcast.into())
    }

    /// What [`set_broadcast`](UdpSocket::set_broadcast) has set.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.0.is_set(Opt::Broadcast)
    }

    /// Whether what is sent to a group of IPv4 also comes to members on this host: `IP_MULTICAST_LOOP`, on by default.
    pub fn set_multicast_loop_v4(&self, loops: bool) -> io::Result<()> {
        self.0.set_option(Opt::MulticastLoopV4, loops.into())
    }

    /// What [`set_multicast_loop_v4`](UdpSocket::set_multicast_loop_v4) has set.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.0.is_set(Opt::MulticastLoopV4)
    }

    /// How many routers a packet to a group of IPv4 may pass: `IP_MULTICAST_TTL`, 1 by default.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.0.set_option(Opt::MulticastTtlV4, number(ttl))
    }

    /// What [`set_multicast_ttl_v4`](UdpSocket::set_multicast_ttl_v4) has set.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        Ok(self.0.option(Opt::MulticastTtlV4)?.unsigned_abs())
    }

    /// Whether what is sent to a group of IPv6 also comes to members on this host: `IPV6_MULTICAST_LOOP`, on by default.
    pub fn set_multicast_loop_v6(&self, loops: bool) -> io::Result<()> {
        self.0.set_option(Opt::MulticastLoopV6, loops.into())
    }

    /// What [`set_multicast_loop_v6`](UdpSocket::set_multicast_loop_v6) has set.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.0.is_set(Opt::MulticastLoopV6)
    }

    /// How many routers a packet may pass: `IP_TTL`.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.0.set_option(Opt::Ttl, number(ttl))
    }

    /// What [`set_ttl`](UdpSocket::set_ttl) has set, or the kernel.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(self.0.option(Opt::Ttl)?.unsigned_abs())
    }

    /// Receives what is sent to the group `group`, on the interface that has the address `interface`; unspecified: the kernel chooses.
    /// `IP_ADD_MEMBERSHIP`, see `ip(7)`.
    ///
    /// ```
    /// use raddle::net::{Ipv4Addr, UdpSocket};
    /// let socket = UdpSocket::bind("0.0.0.0:0")?;
    /// let group = Ipv4Addr::new(224, 0, 0, 123);
    /// // There may be no interface that can.
    /// if socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED).is_ok() {
    ///     socket.leave_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.join_v4(group, interface)
    }

    /// Receives what is sent to the group `group`, on the interface with the number `interface`; 0: the kernel chooses.
    /// `IPV6_ADD_MEMBERSHIP`, see `ipv6(7)`.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.join_v6(group, interface)
    }

    /// Undoes [`join_multicast_v4`](UdpSocket::join_multicast_v4).
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.leave_v4(group, interface)
    }

    /// Undoes [`join_multicast_v6`](UdpSocket::join_multicast_v6).
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.leave_v6(group, interface)
    }

    /// How many bytes may wait to be sent; see [`SocketOptions::send_buffer_size`].
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.0.set_option(Opt::SendBuffer, number(bytes))
    }

    /// What the kernel has reserved for sending: about twice of what was asked for.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        Ok(self.0.option(Opt::SendBuffer)?.unsigned_abs() as usize)
    }

    /// How many bytes may wait to be received; datagrams for which there is no room are lost.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.0.set_option(Opt::ReceiveBuffer, number(bytes))
    }

    /// What the kernel has reserved for receiving: about twice of what was asked for.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        Ok(self.0.option(Opt::ReceiveBuffer)?.unsigned_abs() as usize)
    }

    /// The error that has befallen the socket and that no call has told yet: `SO_ERROR`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Whether calls, of all handles, fail with `WouldBlock` where they would wait.
    ///
    /// ```
    /// let socket = raddle::net::UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking, Role::Other)
    }
}

fn with_sender((count, sender): (usize, Option<Address>)) -> io::Result<(usize, SocketAddr)> {
    let sender = sender.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no sender"))?;
    Ok((count, sender.ip()?))
}

impl SocketOptions {
    /// As [`UdpSocket::bind`], with these options.
    ///
    /// # Errors
    ///
    /// As there, and from setting an option: those of TCP are none of UDP.
    pub fn bind_udp(&self, addresses: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        each_address(addresses, |address| {
            let socket = self.open(&address, SocketType::DGRAM, false)?;
            socket.bind(&Address::Ip(address))?;
            Ok(UdpSocket(socket))
        })
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("UdpSocket");
        if let Ok(address) = self.local_addr() {
            text.field("addr", &address);
        }
        self.0.describe(&mut text);
        text.finish()
    }
}
