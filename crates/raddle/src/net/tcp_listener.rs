//! Listeners of TCP, as in `std::net`.

use super::address::Address;
use super::descriptor::descriptor_traits;
use super::lookup::each_address;
use super::option::{Opt, number};
use super::options::SocketOptions;
use super::patience::Patience;
use super::socket::{Role, Socket};
use super::tcp_stream::TcpStream;
use rustix::net::SocketType;
use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::net::{SocketAddr, ToSocketAddrs};

/// A socket that takes connections; see [`std::net::TcpListener`].
///
/// As long as it is one of raddle's its descriptor is in non-blocking mode, whatever [`set_nonblocking`](TcpListener::set_nonblocking)
/// says; turned into a descriptor, or into std's, it is as that says.
///
/// ```
/// use raddle::{net::{TcpListener, TcpStream}, thread};
/// use std::io::{self, Read, Write};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// // A thread for each connection.
/// drop(thread::spawn(move || {
///     for stream in listener.incoming().flatten() {
///         drop(thread::spawn(move || io::copy(&mut &stream, &mut &stream)));
///     }
/// }));
/// let mut stream = TcpStream::connect(address)?;
/// stream.write_all(b"echo")?;
/// let mut bytes = [0; 4];
/// stream.read_exact(&mut bytes)?;
/// assert_eq!(&bytes, b"echo");
/// # io::Result::Ok(())
/// ```
pub struct TcpListener(pub(super) Socket);

descriptor_traits!(TcpListener, std::net::TcpListener, Role::Listener);

impl TcpListener {
    /// A listener at the first of `addresses` that can be bound, with `SO_REUSEADDR`. Port 0 lets the kernel choose.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `PermissionDenied` and so on, of the last address that was tried; see `bind(2)` and `listen(2)`.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
        SocketOptions::new().listen(addresses)
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// See `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_address()?.ip()
    }

    /// Another handle to the same listener. Each connection goes to one of them.
    ///
    /// # Errors
    ///
    /// At the descriptor limit.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        Ok(TcpListener(self.0.try_clone()?))
    }

    /// Waits for a connection. One whose peer has given up before it was accepted is passed over.
    ///
    /// # Errors
    ///
    /// At the limits of descriptors and memory it fails at once (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`) and the connection waits on: a
    /// loop that only goes on would spin. [`accept_patiently`](TcpListener::accept_patiently) pauses. Else see `accept(2)`.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.0.accept()?;
        Ok((TcpStream(socket), peer.ip()?))
    }

    /// Waits for a connection, also while descriptors or memory are short: it tries again and again, after pauses of 5 ms to 1 s, and says
    /// so through [`log`]: a warning at most once a second, and when it is over.
    ///
    /// # Errors
    ///
    /// As [`accept`](TcpListener::accept), but for shortages.
    ///
    /// ```
    /// use raddle::net::{TcpListener, TcpStream};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert_eq!(listener.accept_patiently()?.1, stream.local_addr()?);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn accept_patiently(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut patience = Patience::new();
        loop {
            let result = self.accept();
            if !patience.is_needed(self, &result) {
                return result;
            }
        }
    }

    /// How many connections may wait in a listener's queue on this machine, at most: `net.core.somaxconn`, and one more (`listen(2)`); what Linux has by
    /// default where that can't be read. Who stops takes no more of those who have connected before: others may connect all the time.
    ///
    /// ```
    /// assert!(raddle::net::TcpListener::longest_queue() > 1);
    /// ```
    #[must_use]
    pub fn longest_queue() -> usize {
        const BY_DEFAULT: usize = 4096;
        let said = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let most = said.ok().and_then(|text| text.trim().parse().ok());
        most.unwrap_or(BY_DEFAULT).saturating_add(1)
    }

    /// An iterator over connections, which does not end. It [accepts patiently](TcpListener::accept_patiently).
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// How many routers a packet of its connections may pass: `IP_TTL`.
    ///
    /// # Errors
    ///
    /// See `setsockopt(2)`; so for all that follow.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.0.set_option(Opt::Ttl, number(ttl))
    }

    /// What [`set_ttl`](TcpListener::set_ttl) has set, or the kernel.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(self.0.option(Opt::Ttl)?.unsigned_abs())
    }

    /// The error that has befallen the listener and that no call has told yet: `SO_ERROR`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Whether `accept`, of all handles, fails with `WouldBlock` where it would wait.
    ///
    /// ```
    /// let listener = raddle::net::TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_nonblocking(true)?;
    /// assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking, Role::Listener)
    }
}

impl SocketOptions {
    /// As [`TcpListener::bind`], with these options.
    ///
    /// # Errors
    ///
    /// As there, and from setting an option.
    pub fn listen(&self, addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
        each_address(addresses, |address| {
            let socket = self.open(&address, SocketType::STREAM, true)?;
            if self.reuse_address.is_none() {
                socket.set_option(Opt::ReuseAddress, 1)?;
            }
            let backlog = self.backlog_or_usual();
            if self.fast_open {
                socket.set_option(Opt::FastOpen, backlog)?;
            }
            socket.bind(&Address::Ip(address))?;
            socket.listen(backlog)?;
            Ok(TcpListener(socket))
        })
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("TcpListener");
        if let Ok(address) = self.local_addr() {
            text.field("addr", &address);
        }
        self.0.describe(&mut text);
        text.finish()
    }
}

/// See [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "an iterator accepts nothing before it is asked"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept_patiently().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
