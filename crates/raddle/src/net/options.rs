//! Options that are set before a socket is bound or connected: [`SocketOptions`].

use super::option::{Opt, number, seconds};
use super::socket::Socket;
use rustix::net::{AddressFamily, SocketType};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Makes sockets with options, as [`OpenOptions`](std::fs::OpenOptions) opens files: some must be set before a socket is bound, listens
/// or connects.
///
/// What is not set stays as the kernel has it, but for `reuse_address`, which is on for TCP listeners as in std. One builder makes any
/// number of sockets. An option that the socket does not have is an error when it is made. What a listener has got, its connections have
/// from their beginning: buffers, `nodelay`, `keepalive`, `linger`, `ttl`.
///
/// ```
/// use raddle::net::{KeepAlive, SocketOptions};
/// use std::time::Duration;
///
/// let options = SocketOptions::new().reuse_port(true).backlog(64).nodelay(true);
/// let first = options.listen("127.0.0.1:0")?;
/// let second = options.listen(first.local_addr()?)?;
/// assert_eq!(first.local_addr()?, second.local_addr()?);
///
/// let keepalive = KeepAlive::new().idle(Duration::from_secs(30)).count(3);
/// let stream = SocketOptions::new().keepalive(keepalive).connect(first.local_addr()?)?;
/// assert_eq!(stream.keepalive()?.and_then(|keepalive| keepalive.count), Some(3));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options make no socket before one is asked for"]
pub struct SocketOptions {
    pub(super) reuse_address: Option<bool>,
    reuse_port: Option<bool>,
    only_v6: Option<bool>,
    pub(super) fast_open: bool,
    nodelay: Option<bool>,
    quickack: Option<bool>,
    keepalive: Option<KeepAlive>,
    linger: Option<Option<Duration>>,
    send_buffer: Option<usize>,
    receive_buffer: Option<usize>,
    ttl: Option<u32>,
    backlog: Option<u32>,
    pub(super) from: Option<SocketAddr>,
}

impl SocketOptions {
    /// None set.
    pub fn new() -> SocketOptions {
        SocketOptions::default()
    }

    /// `SO_REUSEADDR`: takes an address also while connections of a former listener die away. See `socket(7)`.
    ///
    /// ```
    /// use raddle::net::SocketOptions;
    /// let listener = SocketOptions::new().reuse_address(false).listen("127.0.0.1:0")?;
    /// assert!(SocketOptions::new().listen(listener.local_addr()?).is_err());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reuse_address(mut self, reuse: bool) -> SocketOptions {
        self.reuse_address = Some(reuse);
        self
    }

    /// `SO_REUSEPORT`: several sockets, of one user, share an address, and the kernel spreads connections or datagrams among those
    /// that are open then. See `socket(7)`.
    pub fn reuse_port(mut self, reuse: bool) -> SocketOptions {
        self.reuse_port = Some(reuse);
        self
    }

    /// `IPV6_V6ONLY`: a socket on `[::]` leaves IPv4 to others. See `ipv6(7)`.
    ///
    /// ```
    /// use raddle::net::SocketOptions;
    /// let Ok(v6) = SocketOptions::new().only_v6(true).listen("[::]:0") else { return Ok(()) };
    /// let v4 = SocketOptions::new().listen(("0.0.0.0", v6.local_addr()?.port()))?;
    /// assert!(v4.local_addr()?.is_ipv4());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn only_v6(mut self, only: bool) -> SocketOptions {
        self.only_v6 = Some(only);
        self
    }

    /// TCP Fast Open: data in the first packet of a connection, for peers that have met before. A listener takes it; a connection
    /// is "connected" at once and begins with the first write, which is what may fail then. Both need
    /// `/proc/sys/net/ipv4/tcp_fastopen`: 1 to connect (the default), 2 to listen. See `TCP_FASTOPEN` in `tcp(7)`.
    ///
    /// ```
    /// use raddle::net::SocketOptions;
    /// use std::io::{Read, Write};
    /// let options = SocketOptions::new().fast_open(true);
    /// let listener = options.listen("127.0.0.1:0")?;
    /// let mut stream = options.connect(listener.local_addr()?)?;
    /// stream.write_all(b"first")?;
    /// let mut bytes = [0; 5];
    /// listener.accept()?.0.read_exact(&mut bytes)?;
    /// assert_eq!(&bytes, b"first");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn fast_open(mut self, fast_open: bool) -> SocketOptions {
        self.fast_open = fast_open;
        self
    }

    /// `TCP_NODELAY`: see [`TcpStream::set_nodelay`](super::TcpStream::set_nodelay).
    pub fn nodelay(mut self, nodelay: bool) -> SocketOptions {
        self.nodelay = Some(nodelay);
        self
    }

    /// `TCP_QUICKACK`: see [`TcpStream::set_quickack`](super::TcpStream::set_quickack). A connection that begins with `false` has a packet less:
    /// what ends the handshake goes out with the first data. So it is for who speaks first, and at once: the listener takes the connection
    /// when that comes, or some 40 ms later.
    ///
    /// ```
    /// use raddle::net::{SocketOptions, TcpListener};
    /// use std::io::{Read, Write};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut stream = SocketOptions::new().quickack(false).connect(listener.local_addr()?)?;
    /// stream.write_all(b"first")?;
    /// let mut bytes = [0; 5];
    /// listener.accept()?.0.read_exact(&mut bytes)?;
    /// assert_eq!(&bytes, b"first");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn quickack(mut self, quickack: bool) -> SocketOptions {
        self.quickack = Some(quickack);
        self
    }

    /// `SO_KEEPALIVE` and its times: see [`TcpStream::set_keepalive`](super::TcpStream::set_keepalive).
    pub fn keepalive(mut self, keepalive: KeepAlive) -> SocketOptions {
        self.keepalive = Some(keepalive);
        self
    }

    /// `SO_LINGER`: see [`TcpStream::set_linger`](super::TcpStream::set_linger).
    pub fn linger(mut self, linger: Option<Duration>) -> SocketOptions {
        self.linger = Some(linger);
        self
    }

    /// `SO_SNDBUF`, in bytes: what may be sent before the peer has acknowledged it. The kernel doubles the number, for its own needs,
    /// and limits it (`/proc/sys/net/core/wmem_max`); TCP's then no longer grows by itself. See `socket(7)`.
    ///
    /// ```
    /// use raddle::net::SocketOptions;
    /// let socket = SocketOptions::new().send_buffer_size(20_000).bind_udp("127.0.0.1:0")?;
    /// assert!(socket.send_buffer_size()? >= 20_000);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn send_buffer_size(mut self, bytes: usize) -> SocketOptions {
        self.send_buffer = Some(bytes);
        self
    }

    /// `SO_RCVBUF`, in bytes: what may wait to be read. As [`send_buffer_size`](SocketOptions::send_buffer_size), with `rmem_max`. A
    /// TCP window larger than 64 KiB must be agreed on when the connection begins, so it is set here and not later.
    pub fn recv_buffer_size(mut self, bytes: usize) -> SocketOptions {
        self.receive_buffer = Some(bytes);
        self
    }

    /// `IP_TTL`: how many routers a packet may pass. See `ip(7)`.
    pub fn ttl(mut self, ttl: u32) -> SocketOptions {
        self.ttl = Some(ttl);
        self
    }

    /// Of a listener: how many connections may wait to be accepted. The kernel takes the lesser of this, 4096 by default, and
    /// `/proc/sys/net/core/somaxconn`. See `listen(2)`.
    pub fn backlog(mut self, connections: u32) -> SocketOptions {
        self.backlog = Some(connections);
        self
    }

    /// Of a connection: where this end shall be. Port 0 lets the kernel choose.
    ///
    /// ```
    /// use raddle::net::{SocketOptions, TcpListener};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let from = "127.0.0.2:0".parse().expect("an address");
    /// let stream = SocketOptions::new().from_addr(from).connect(listener.local_addr()?)?;
    /// assert_eq!(stream.local_addr()?.ip(), from.ip());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn from_addr(mut self, address: SocketAddr) -> SocketOptions {
        self.from = Some(address);
        self
    }

    /// A socket for `address`, with what all kinds have.
    pub(super) fn open(
        &self,
        address: &SocketAddr,
        kind: SocketType,
        connects: bool,
    ) -> io::Result<Socket> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = Socket::open(family, kind, connects)?;
        self.set(&socket)?;
        if let Some(only) = self.only_v6.filter(|_| address.is_ipv6()) {
            socket.set_option(Opt::OnlyV6, only.into())?;
        }
        Ok(socket)
    }

    /// How many connections may wait to be accepted.
    pub(super) fn backlog_or_usual(&self) -> i32 {
        const USUAL: u32 = 4096;
        number(self.backlog.unwrap_or(USUAL))
    }

    pub(super) fn set(&self, socket: &Socket) -> io::Result<()> {
        for (option, value) in [
            (Opt::ReuseAddress, self.reuse_address.map(i32::from)),
            (Opt::ReusePort, self.reuse_port.map(i32::from)),
            (Opt::NoDelay, self.nodelay.map(i32::from)),
            (Opt::QuickAck, self.quickack.map(i32::from)),
            (Opt::SendBuffer, self.send_buffer.map(number)),
            (Opt::ReceiveBuffer, self.receive_buffer.map(number)),
            (Opt::Ttl, self.ttl.map(number)),
        ] {
            if let Some(value) = value {
                socket.set_option(option, value)?;
            }
        }
        if let Some(keepalive) = self.keepalive {
            keepalive.set(socket)?;
        }
        if let Some(linger) = self.linger {
            socket.set_linger(linger)?;
        }
        Ok(())
    }
}

/// When the kernel asks whether a silent peer is still there, and gives the connection up. What is `None` the kernel decides
/// (`/proc/sys/net/ipv4/tcp_keepalive_*`). See `tcp(7)`.
///
/// ```
/// use raddle::net::KeepAlive;
/// use std::time::Duration;
/// let minute = KeepAlive::new().idle(Duration::from_secs(30)).interval(Duration::from_secs(10)).count(3);
/// assert_eq!(minute.interval, Some(Duration::from_secs(10)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepAlive {
    /// After so long without a word it asks. Whole seconds; others are rounded up.
    pub idle: Option<Duration>,
    /// So long it waits for an answer before it asks again. Whole seconds; others are rounded up.
    pub interval: Option<Duration>,
    /// After so many questions without an answer the connection ends, with `TimedOut`.
    pub count: Option<u32>,
}

impl KeepAlive {
    /// As the kernel is set up.
    pub fn new() -> KeepAlive {
        KeepAlive::default()
    }

    /// Sets [`idle`](KeepAlive#structfield.idle).
    #[must_use]
    pub fn idle(mut self, time: Duration) -> KeepAlive {
        self.idle = Some(time);
        self
    }

    /// Sets [`interval`](KeepAlive#structfield.interval).
    #[must_use]
    pub fn interval(mut self, time: Duration) -> KeepAlive {
        self.interval = Some(time);
        self
    }

    /// Sets [`count`](KeepAlive#structfield.count).
    #[must_use]
    pub fn count(mut self, count: u32) -> KeepAlive {
        self.count = Some(count);
        self
    }

    pub(super) fn set(self, socket: &Socket) -> io::Result<()> {
        for (option, value) in [
            (Opt::KeepAliveIdle, self.idle.map(seconds)),
            (Opt::KeepAliveInterval, self.interval.map(seconds)),
            (Opt::KeepAliveCount, self.count.map(number)),
        ] {
            if let Some(value) = value {
                socket.set_option(option, value)?;
            }
        }
        socket.set_option(Opt::KeepAlive, 1)
    }

    pub(super) fn of(socket: &Socket) -> io::Result<Option<KeepAlive>> {
        if !socket.is_set(Opt::KeepAlive)? {
            return Ok(None);
        }
        let time = |option| -> io::Result<_> {
            Ok(Some(Duration::from_secs(socket.option(option)?.unsigned_abs().into())))
        };
        Ok(Some(KeepAlive {
            idle: time(Opt::KeepAliveIdle)?,
            interval: time(Opt::KeepAliveInterval)?,
            count: Some(socket.option(Opt::KeepAliveCount)?.unsigned_abs()),
        }))
    }
}
