//! The contract for a simulated host's network: see [`host`](crate::host).
//!
//! ```text
//!   raddle::net: a call that waits             the host
//!   try: accept, recv, send, ... ────────────▶ Endpoint: does it at once, or WouldBlock
//!   park, its waker left by wake_when ───────▶ keeps the waker
//!                                              something comes: from another endpoint, or when wait_until has moved the clock
//!   try again ◀─────────────────────── wake ── takes all wakers of that direction
//! ```
//!
//! Nothing in here waits, and nothing in here knows of threads: who waits, until when, and what cuts that short is the runtime's part. What
//! an endpoint says is what the kernel says: the same errors, by number where `std` tells them by number.

use std::fmt::Debug;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// A simulated host's network: makes sockets, and knows names.
///
/// The threads of a simulation call it, one at a time. It may hold a lock of `std`'s meanwhile, which never has two who want it, but not
/// while it wakes: a waker asks the host for the time.
pub trait Network: Send + Sync {
    /// A new socket, bound to nothing. It is closed when the last reference to it is dropped.
    ///
    /// # Errors
    ///
    /// As `socket(2)`: `EAFNOSUPPORT` for a family that the host has not, `EMFILE` at a limit.
    fn socket(&self, family: Family, kind: Kind) -> io::Result<Arc<dyn Endpoint>>;

    /// Begins to look up `name`, which is no number. What comes of it may take time, and is polled by the thread that asks.
    ///
    /// Errors are told to the program in the resolver's words: `NotFound`, there is no such name; `TimedOut`, nobody answers, try again; by number, a
    /// system call's; any other, it can't be found out.
    fn look_up(&self, name: &str) -> LookUp;
}

/// The addresses of a name, when they are known.
pub type LookUp = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// A simulated socket. Each call returns at once: where a thread would have to wait, with `ErrorKind::WouldBlock`.
///
/// Handles that `try_clone` makes are references to the same endpoint.
pub trait Endpoint: Debug + Send + Sync {
    /// Takes an address; port 0: one that is free.
    ///
    /// # Errors
    ///
    /// As `bind(2)`: `EADDRINUSE`, `EADDRNOTAVAIL`, `EINVAL` for what is bound.
    fn bind(&self, address: SocketAddr) -> io::Result<()>;

    /// Takes connections from now on, of which `backlog` may wait to be accepted.
    ///
    /// # Errors
    ///
    /// As `listen(2)`.
    fn listen(&self, backlog: u32) -> io::Result<()>;

    /// Takes the first connection that waits, and says who has made it. [`Way::In`] if none does.
    ///
    /// # Errors
    ///
    /// As `accept(2)`.
    fn accept(&self) -> io::Result<(Arc<dyn Endpoint>, SocketAddr)>;

    /// Of a stream: begins to connect, and, called again with the same peer, says what has come of it: `WouldBlock`, [`Way::Out`], as long as
    /// that is open. Of a socket for datagrams: sets the peer, at once.
    ///
    /// # Errors
    ///
    /// As `connect(2)`: `ECONNREFUSED`, `ETIMEDOUT`, `ENETUNREACH`, `EISCONN`. Who gives up drops the endpoint.
    fn connect(&self, peer: SocketAddr) -> io::Result<()>;

    /// Reads what a stream has, or takes a datagram, into one buffer after the other. How much, and of a datagram who has sent it; 0 at a
    /// stream's end. [`Way::In`] if there is nothing. What of a datagram finds no room is lost.
    ///
    /// # Errors
    ///
    /// As `recvmsg(2)`: `ECONNRESET`, `ENOTCONN`; `ECONNREFUSED` for an earlier datagram.
    fn recv(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<(usize, Option<SocketAddr>)>;

    /// As [`recv`](Endpoint::recv), and leaves it there.
    ///
    /// # Errors
    ///
    /// As there.
    fn peek(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<(usize, Option<SocketAddr>)>;

    /// Writes what there is room for, out of one buffer after the other; or sends all of it as one datagram, to `to` or to the peer.
    /// [`Way::Out`] if there is no room.
    ///
    /// # Errors
    ///
    /// As `sendmsg(2)` with `MSG_NOSIGNAL`: `EPIPE`, `ECONNRESET`, `EMSGSIZE`, `EDESTADDRREQ`.
    fn send(&self, buffers: &[IoSlice<'_>], to: Option<SocketAddr>) -> io::Result<usize>;

    /// Ends a stream's directions. Who waits there is woken.
    ///
    /// # Errors
    ///
    /// As `shutdown(2)`: `ENOTCONN`.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Where it is bound: an unspecified address if nowhere.
    ///
    /// # Errors
    ///
    /// As `getsockname(2)`.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Where it is connected to.
    ///
    /// # Errors
    ///
    /// As `getpeername(2)`: `ENOTCONN`.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// The error that no call has told yet: then it has been told. `SO_ERROR`.
    ///
    /// # Errors
    ///
    /// As `getsockopt(2)`.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// Sets an option. A truth value is 0 or 1.
    ///
    /// # Errors
    ///
    /// As `setsockopt(2)`: `ENOPROTOOPT` for what it has not, `EINVAL`.
    fn set_option(&self, option: SocketOption, value: i32) -> io::Result<()>;

    /// What an option is set to.
    ///
    /// # Errors
    ///
    /// As `getsockopt(2)`.
    fn option(&self, option: SocketOption) -> io::Result<i32>;

    /// What becomes of unsent bytes of a stream that is closed: see [`TcpStream::set_linger`](crate::net::TcpStream::set_linger). A simulated
    /// thread that closes one never waits.
    ///
    /// # Errors
    ///
    /// As `setsockopt(2)`.
    fn set_linger(&self, linger: Option<Duration>) -> io::Result<()>;

    /// What [`set_linger`](Endpoint::set_linger) has set.
    ///
    /// # Errors
    ///
    /// As `getsockopt(2)`.
    fn linger(&self) -> io::Result<Option<Duration>>;

    /// Wakes `waker`, once, when it is worth trying again what said `WouldBlock`: something has come, or there is room, an end or an error. At
    /// once, before it returns, if that is so already.
    ///
    /// All that are registered for a direction are woken together: any of them may have given up meanwhile.
    fn wake_when(&self, way: Way, waker: &Waker);

    /// The one that [`will_wake`](Waker::will_wake) as `waker` does no longer waits: its time is over, or it was cancelled.
    fn forget(&self, way: Way, waker: &Waker);
}

/// A direction, as the socket sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What comes: bytes, datagrams, connections.
    In,
    /// What goes: bytes, datagrams, an attempt to connect.
    Out,
}

/// What addresses a socket has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
}

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `SOCK_STREAM`: TCP.
    Stream,
    /// `SOCK_DGRAM`: UDP.
    Datagram,
}

/// An option whose value is an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SocketOption {
    /// `SO_REUSEADDR`.
    ReuseAddress,
    /// `SO_REUSEPORT`.
    ReusePort,
    /// `SO_BROADCAST`.
    Broadcast,
    /// `SO_SNDBUF`, in bytes; the kernel doubles what it is told.
    SendBuffer,
    /// `SO_RCVBUF`, likewise.
    ReceiveBuffer,
    /// `SO_KEEPALIVE`.
    KeepAlive,
    /// `SO_TIMESTAMPNS`. A simulated host has no stamps to give, and refuses it.
    Timestamps,
    /// `TCP_KEEPIDLE`, in seconds.
    KeepAliveIdle,
    /// `TCP_KEEPINTVL`, in seconds.
    KeepAliveInterval,
    /// `TCP_KEEPCNT`.
    KeepAliveCount,
    /// `TCP_NODELAY`.
    NoDelay,
    /// `TCP_CORK`.
    Cork,
    /// `TCP_QUICKACK`.
    QuickAck,
    /// `TCP_FASTOPEN`, of a listener: how many may wait whose first data has come with the request.
    FastOpen,
    /// `TCP_FASTOPEN_CONNECT`.
    FastOpenConnect,
    /// `IP_TTL`.
    Ttl,
    /// `IPV6_V6ONLY`.
    OnlyV6,
    /// `IP_MULTICAST_LOOP`.
    MulticastLoopV4,
    /// `IP_MULTICAST_TTL`.
    MulticastTtlV4,
    /// `IPV6_MULTICAST_LOOP`.
    MulticastLoopV6,
}
