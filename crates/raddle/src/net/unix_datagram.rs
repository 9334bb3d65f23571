//! Datagrams between processes of one host, as in `std::os::unix::net`.

use super::address::{Address, unnamed};
use super::descriptor::descriptor_traits;
use super::option::{Opt, number};
use super::socket::{Role, Socket};
use crate::host::Way;
use rustix::net::{AddressFamily, RecvFlags, SocketType};
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// A socket for datagrams to this host: none is lost, and they come in order; see [`std::os::unix::net::UnixDatagram`].
///
/// Sending waits for a receiver who has no room. If the socket is connected the kernel says when there is some; else it tries again
/// every few milliseconds. A call that waits parks the thread, and ends early as those of a [`TcpStream`](super::TcpStream) do.
///
/// ```
/// use raddle::net::UnixDatagram;
///
/// let path = std::env::temp_dir().join(format!("raddle-datagram-{}", std::process::id()));
/// let receiver = UnixDatagram::bind(&path)?;
/// let sender = UnixDatagram::unbound()?;
/// sender.send_to(b"hello", &path)?;
/// let mut bytes = [0; 16];
/// let (count, from) = receiver.recv_from(&mut bytes)?;
/// assert_eq!((&bytes[..count], from.is_unnamed()), (&b"hello"[..], true));
/// // The path stays until somebody removes it.
/// std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
pub struct UnixDatagram(pub(super) Socket);

descriptor_traits!(UnixDatagram, std::os::unix::net::UnixDatagram, Role::Other);

impl UnixDatagram {
    /// A socket at `path`, where nothing may be yet.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if something is there; `InvalidInput` if no socket can have such a path; see `bind(2)`, `unix(7)`.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        Self::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`bind`](UnixDatagram::bind), also to abstract names.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixDatagram> {
        let socket = Self::unbound()?;
        socket.0.bind(&Address::Unix(address.clone()))?;
        Ok(socket)
    }

    /// A socket that nobody can send to.
    ///
    /// # Errors
    ///
    /// At the descriptor limit.
    pub fn unbound() -> io::Result<UnixDatagram> {
        Ok(UnixDatagram(Socket::open(AddressFamily::UNIX, SocketType::DGRAM, false)?))
    }

    /// Two that are connected to each other; see `socketpair(2)`.
    ///
    /// # Errors
    ///
    /// At the descriptor limit.
    ///
    /// ```
    /// use raddle::net::UnixDatagram;
    /// let (here, there) = UnixDatagram::pair()?;
    /// here.send(b"one")?;
    /// here.send(b"three")?;
    /// assert_eq!((there.recv(&mut [0; 8])?, there.recv(&mut [0; 8])?), (3, 5));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = Socket::pair(SocketType::DGRAM)?;
        Ok((UnixDatagram(one), UnixDatagram(other)))
    }

    /// From now on [`send`](UnixDatagram::send) sends to `path`, and only what comes from there is received.
    ///
    /// # Errors
    ///
    /// `NotFound`, `ConnectionRefused` and so on; see `connect(2)`.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](UnixDatagram::connect), also to abstract names.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.0.connect_datagram(&Address::Unix(address.clone()))
    }

    /// Another handle to the same socket. Each datagram goes to one of them.
    ///
    /// # Errors
    ///
    /// At the descriptor limit.
    pub fn try_clone(&self) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram(self.0.try_clone()?))
    }

    /// Where it is bound.
    ///
    /// # Errors
    ///
    /// See `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_address()?.unix()
    }

    /// Where it is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_address()?.unix()
    }

    /// Waits for a datagram: its length, and who sent it. What there is no room for in `buffer` is lost.
    ///
    /// # Errors
    ///
    /// `WouldBlock` after the [read time-out](UnixDatagram::set_read_timeout).
    #[track_caller]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, sender) = self.0.recv_from(buffer, RecvFlags::empty())?;
        Ok((count, sender.map_or_else(|| Ok(unnamed()), Address::unix)?))
    }

    /// Waits for a datagram: its length.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UnixDatagram::recv_from).
    #[track_caller]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer, RecvFlags::empty())
    }

    /// As [`recv`](UnixDatagram::recv), but the datagram stays and comes again.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer, RecvFlags::PEEK)
    }

    /// Sends a datagram to `path`: all of it or nothing.
    ///
    /// # Errors
    ///
    /// `NotFound`, `ConnectionRefused` if nobody receives there; `WouldBlock` after the
    /// [write time-out](UnixDatagram::set_write_timeout); `EMSGSIZE` if it is too long; see `sendto(2)`.
    #[track_caller]
    pub fn send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.send_to_addr(bytes, &SocketAddr::from_pathname(path)?)
    }

    /// As [`send_to`](UnixDatagram::send_to), also to abstract names.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn send_to_addr(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        self.0.send_to(bytes, &Address::Unix(address.clone()))
    }

    /// Sends a datagram to where the socket is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected` if it isn't; as [`send_to`](UnixDatagram::send_to).
    #[track_caller]
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    /// Receiving waits for so long at most; see [`TcpStream::set_read_timeout`](super::TcpStream::set_read_timeout).
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
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

    /// What [`set_read_timeout`](UnixDatagram::set_read_timeout) has set.
    ///
    /// # Errors
    ///
    /// None, but std's has.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.read_timeout())
    }

    /// What [`set_write_timeout`](UnixDatagram::set_write_timeout) has set.
    ///
    /// # Errors
    ///
    /// None, but std's has.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.write_timeout())
    }

    /// Whether calls, of all handles, fail with `WouldBlock` where they would wait.
    ///
    /// # Errors
    ///
    /// None that occur.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking, Role::Other)
    }

    /// The error that has befallen the socket and that no call has told yet: `SO_ERROR`.
    ///
    /// # Errors
    ///
    /// See `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Ends one or both directions: whoever waits to receive or send there goes on. See `shutdown(2)`.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// How many bytes may wait for receivers to read them: `SO_SNDBUF`. The kernel doubles and limits it.
    ///
    /// # Errors
    ///
    /// See `setsockopt(2)`.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.0.set_option(Opt::SendBuffer, number(bytes))
    }

    /// What the kernel has reserved for sending: about twice of what was asked for.
    ///
    /// # Errors
    ///
    /// See `getsockopt(2)`.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        Ok(self.0.option(Opt::SendBuffer)?.unsigned_abs() as usize)
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("UnixDatagram");
        self.0.describe(&mut text);
        if let Ok(address) = self.local_addr() {
            text.field("local", &address);
        }
        if let Ok(peer) = self.peer_addr() {
            text.field("peer", &peer);
        }
        text.finish()
    }
}
