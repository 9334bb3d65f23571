//! Connections between processes of one host, as in `std::os::unix::net`.

use super::address::Address;
use super::descriptor::{descriptor_traits, stream_traits};
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

/// A connection by a path, an abstract name or none; see [`std::os::unix::net::UnixStream`].
///
/// A call that has to wait parks the thread, and ends early as those of a [`TcpStream`](super::TcpStream) do.
///
/// ```
/// use raddle::{net::UnixStream, thread};
/// use std::io::{Read, Write};
///
/// let (mut here, mut there) = UnixStream::pair()?;
/// let writes = thread::spawn(move || there.write_all(b"hello"));
/// let mut text = String::new();
/// here.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// writes.join().expect("it does not panic")?;
/// # std::io::Result::Ok(())
/// ```
pub struct UnixStream(pub(super) Socket);

descriptor_traits!(UnixStream, std::os::unix::net::UnixStream, Role::Other);
stream_traits!(UnixStream);

impl UnixStream {
    /// Connects to the listener at `path`. If too many wait there already it waits as well, and tries again every few milliseconds, as the
    /// kernel does not tell when there is room.
    ///
    /// # Errors
    ///
    /// `NotFound`, `ConnectionRefused` and so on; `InvalidInput` if no socket can have such a path; see `connect(2)`, `unix(7)`.
    #[track_caller]
    pub fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](UnixStream::connect), also to abstract names.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// ```
    /// use raddle::net::{UnixListener, UnixStream};
    /// use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
    /// let name = format!("raddle-doc-{}", std::process::id());
    /// let address = SocketAddr::from_abstract_name(&name)?;
    /// let listener = UnixListener::bind_addr(&address)?;
    /// let stream = UnixStream::connect_addr(&address)?;
    /// assert_eq!(stream.peer_addr()?.as_abstract_name(), Some(name.as_bytes()));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        let socket = Socket::open(AddressFamily::UNIX, SocketType::STREAM, true)?;
        socket.connect(&Address::Unix(address.clone()), None)?;
        Ok(UnixStream(socket))
    }

    /// Two that are connected to each other; see `socketpair(2)`.
    ///
    /// # Errors
    ///
    /// At the descriptor limit.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = Socket::pair(SocketType::STREAM)?;
        Ok((UnixStream(one), UnixStream(other)))
    }

    /// Another handle to the same connection, with a descriptor of its own. What is set on one is set for both.
    ///
    /// # Errors
    ///
    /// At the descriptor limit.
    pub fn try_clone(&self) -> io::Result<UnixStream> {
        Ok(UnixStream(self.0.try_clone()?))
    }

    /// Where this end is: without a name, mostly.
    ///
    /// # Errors
    ///
    /// See `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_address()?.unix()
    }

    /// Where the other end is.
    ///
    /// # Errors
    ///
    /// `NotConnected`; see `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_address()?.unix()
    }

    /// Reads wait for so long at most; see [`TcpStream::set_read_timeout`](super::TcpStream::set_read_timeout).
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.modes.set_timeout(Way::In, timeout)
    }

    /// Writes wait for so long at most.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.modes.set_timeout(Way::Out, timeout)
    }

    /// What [`set_read_timeout`](UnixStream::set_read_timeout) has set.
    ///
    /// # Errors
    ///
    /// None, but std's has.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.read_timeout())
    }

    /// What [`set_write_timeout`](UnixStream::set_write_timeout) has set.
    ///
    /// # Errors
    ///
    /// None, but std's has.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.write_timeout())
    }

    /// Whether reads and writes, of all handles, fail with `WouldBlock` where they would wait.
    ///
    /// # Errors
    ///
    /// None that occur.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking, Role::Other)
    }

    /// The error that has befallen the connection and that no call has told yet: `SO_ERROR`.
    ///
    /// # Errors
    ///
    /// See `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Ends one or both directions: whoever waits to read or write there goes on, and so does the other end; but when this ends only
    /// reading, one that waits there for room to write hears of it no sooner than when what it has written is read, or the socket is
    /// dropped. See `shutdown(2)`.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// Sends all of `bytes`, and then reads once, in one wait where possible: see [`TcpStream::exchange`](super::TcpStream::exchange).
    ///
    /// # Errors
    ///
    /// As writing, if `bytes` is not empty then; else as reading.
    #[track_caller]
    pub fn exchange(&self, bytes: &mut &[u8], buffer: &mut [u8]) -> io::Result<usize> {
        self.0.exchange(bytes, buffer)
    }

    /// Reads what comes next without taking it, and waits if there is nothing.
    ///
    /// # Errors
    ///
    /// As reading.
    ///
    /// ```
    /// use raddle::net::UnixStream;
    /// use std::io::Write;
    /// let (mut here, there) = UnixStream::pair()?;
    /// here.write_all(b"!")?;
    /// assert_eq!(there.peek(&mut [0; 8])?, 1);
    /// assert_eq!(there.peek(&mut [0; 8])?, 1);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer, RecvFlags::PEEK)
    }

    /// How many bytes may wait for the other end to read them: `SO_SNDBUF`. The kernel doubles and limits it.
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

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("UnixStream");
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
