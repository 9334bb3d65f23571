//! TCP connections, as in `std::net`.

use super::address::Address;
use super::descriptor::{descriptor_traits, stream_traits};
use super::lookup::no_addresses;
use super::modes::zero_timeout;
use super::option::{Opt, number};
use super::options::{KeepAlive, SocketOptions};
use super::socket::{Role, Socket};
use crate::host::Way;
use rustix::net::{RecvFlags, SocketType};
use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::time::{Duration, SystemTime};

/// A TCP connection; see [`std::net::TcpStream`].
///
/// Reads, writes and connects that have to wait park the thread. They end early with the time-outs set here, with
/// [`time::timeout`](crate::time::timeout), and when the [token](crate::cancel) that the thread carries is cancelled; then no byte has been
/// moved, and none is later. It converts from and into `std`'s; [`SocketOptions`] makes one with options.
///
/// ```
/// use raddle::net::{TcpListener, TcpStream};
/// use std::io::{ErrorKind, Read, Write};
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut stream = TcpStream::connect(listener.local_addr()?)?;
/// let (mut peer, _) = listener.accept()?;
/// stream.set_read_timeout(Some(Duration::from_millis(5)))?;
/// assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
/// peer.write_all(b"hello")?;
/// let mut bytes = [0; 5];
/// stream.read_exact(&mut bytes)?;
/// assert_eq!(&bytes, b"hello");
/// # std::io::Result::Ok(())
/// ```
pub struct TcpStream(pub(super) Socket);

descriptor_traits!(TcpStream, std::net::TcpStream, Role::Other);
stream_traits!(TcpStream);

impl TcpStream {
    /// Connects to the first of `addresses` that takes it. A name is looked up without holding up the core's other threads.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` and so on, of the last address that was tried; from looking a name up; see `connect(2)`.
    #[track_caller]
    pub fn connect(addresses: impl ToSocketAddrs) -> io::Result<TcpStream> {
        SocketOptions::new().connect(addresses)
    }

    /// Connects, within `timeout`.
    ///
    /// # Errors
    ///
    /// `TimedOut`; `InvalidInput` for a time-out of zero; as [`connect`](TcpStream::connect).
    ///
    /// ```
    /// use raddle::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// TcpStream::connect_timeout(&listener.local_addr()?, Duration::from_secs(10))?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        SocketOptions::new().connect_timeout(address, timeout)
    }

    /// Where the other end is.
    ///
    /// # Errors
    ///
    /// `NotConnected` when the connection is over; see `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_address()?.ip()
    }

    /// Where this end is.
    ///
    /// # Errors
    ///
    /// See `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_address()?.ip()
    }

    /// Ends one or both directions: whoever waits to read or write there goes on. See `shutdown(2)`.
    ///
    /// # Errors
    ///
    /// `NotConnected` when the connection is over.
    ///
    /// ```
    /// use raddle::net::{Shutdown, TcpListener, TcpStream};
    /// use std::io::Read;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.shutdown(Shutdown::Write)?;
    /// let (mut peer, _) = listener.accept()?;
    /// assert_eq!(peer.read(&mut [0; 8])?, 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// Another handle to the same connection, with a descriptor of its own. What is set on one is set for both.
    ///
    /// # Errors
    ///
    /// At the descriptor limit; see `fcntl(2)`, `F_DUPFD`.
    ///
    /// ```
    /// use raddle::{net::{TcpListener, TcpStream}, thread};
    /// use std::io::{Read, Write};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut stream = TcpStream::connect(listener.local_addr()?)?;
    /// let mut writer = stream.try_clone()?;
    /// let writes = thread::spawn(move || writer.write_all(b"both ways"));
    /// listener.accept()?.0.read_exact(&mut [0; 9])?;
    /// writes.join().expect("it does not panic")?;
    /// assert_eq!(stream.read(&mut [0; 8])?, 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        Ok(TcpStream(self.0.try_clone()?))
    }

    /// Reads that begin from now on wait for so long at most, and then fail with `WouldBlock`. `None`: as long as it takes. In `SO_RCVTIMEO`,
    /// where others who use the descriptor find it, it stands only once the socket has been turned into one.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.modes.set_timeout(Way::In, timeout)
    }

    /// Writes that begin from now on wait for so long at most, and then fail with `WouldBlock`; as
    /// [`set_read_timeout`](TcpStream::set_read_timeout).
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.modes.set_timeout(Way::Out, timeout)
    }

    /// What [`set_read_timeout`](TcpStream::set_read_timeout) has set.
    ///
    /// # Errors
    ///
    /// None, but std's has.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.read_timeout())
    }

    /// What [`set_write_timeout`](TcpStream::set_write_timeout) has set.
    ///
    /// # Errors
    ///
    /// None, but std's has.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.write_timeout())
    }

    /// Sends all of `bytes`, and then reads once: [`write_all`](std::io::Write::write_all) and [`read`](std::io::Read::read), but where other threads
    /// are about to run it is one wait and not two. For who asks and waits for the answer.
    ///
    /// `bytes` is left with what was not sent, also when the thread is cancelled: what was sent is not taken back. Time-outs hold for each of both,
    /// or for both together where they are the same.
    ///
    /// # Errors
    ///
    /// As writing, if `bytes` is not empty then; else as reading.
    ///
    /// ```
    /// use raddle::{net::{TcpListener, TcpStream}, thread};
    /// use std::io::{Read, Write};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// let echo = thread::spawn(move || {
    ///     let mut bytes = [0; 4];
    ///     peer.read_exact(&mut bytes)?;
    ///     peer.write_all(&bytes)
    /// });
    /// let (mut question, mut answer) = (&b"well"[..], [0; 8]);
    /// assert!(stream.exchange(&mut question, &mut answer)? > 0);
    /// assert!(question.is_empty());
    /// echo.join().unwrap()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn exchange(&self, bytes: &mut &[u8], buffer: &mut [u8]) -> io::Result<usize> {
        self.0.exchange(bytes, buffer)
    }

    /// [`read`](std::io::Read::read), and when the last byte of it reached this machine: by `CLOCK_REALTIME`, from the kernel, whenever the thread came to
    /// read it. `None` without [`set_timestamps`](TcpStream::set_timestamps), at the stream's end, and where nobody has noted it.
    ///
    /// # Errors
    ///
    /// As reading.
    ///
    /// ```
    /// use raddle::net::{TcpListener, TcpStream};
    /// use raddle::thread;
    /// use std::io::Write;
    /// use std::time::{Duration, SystemTime};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_timestamps(true)?;
    /// let (mut peer, _) = listener.accept()?;
    /// peer.write_all(b"well")?;
    /// let sent = SystemTime::now();
    /// thread::sleep(Duration::from_millis(20));
    /// let (count, came) = stream.read_stamped(&mut [0; 8])?;
    /// assert_eq!(count, 4);
    /// // The kernel stamps nothing in the moment in which the first socket of the machine asks for it.
    /// assert!(came.is_none_or(|came| came <= sent));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn read_stamped(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<SystemTime>)> {
        self.0.read_stamped(buffer)
    }

    /// [`exchange`](TcpStream::exchange), and when the last byte of what was read reached this machine, as [`read_stamped`](TcpStream::read_stamped) says it.
    ///
    /// # Errors
    ///
    /// As [`exchange`](TcpStream::exchange).
    ///
    /// ```
    /// use raddle::{net::{TcpListener, TcpStream}, thread};
    /// use std::io::{Read, Write};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_timestamps(true)?;
    /// let (mut peer, _) = listener.accept()?;
    /// let echo = thread::spawn(move || {
    ///     let mut bytes = [0; 4];
    ///     peer.read_exact(&mut bytes)?;
    ///     peer.write_all(&bytes)
    /// });
    /// let (mut question, mut answer) = (&b"well"[..], [0; 8]);
    /// let (count, came) = stream.exchange_stamped(&mut question, &mut answer)?;
    /// println!("{count} bytes came at {came:?}");
    /// echo.join().unwrap()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn exchange_stamped(
        &self,
        bytes: &mut &[u8],
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<SystemTime>)> {
        self.0.exchange_stamped(bytes, buffer)
    }

    /// Reads what comes next without taking it, and waits if there is nothing.
    ///
    /// # Errors
    ///
    /// As reading.
    ///
    /// ```
    /// use raddle::net::{TcpListener, TcpStream};
    /// use std::io::{Read, Write};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut stream = TcpStream::connect(listener.local_addr()?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// stream.write_all(b"GET /")?;
    /// let mut bytes = [0; 8];
    /// assert!(peer.peek(&mut bytes)? > 0);
    /// assert_eq!(bytes[0], b'G');
    /// peer.read_exact(&mut bytes[..5])?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer, RecvFlags::PEEK)
    }

    /// Whether small writes go out at once, rather than wait for what was sent before to be acknowledged: `TCP_NODELAY`, off by default.
    ///
    /// # Errors
    ///
    /// See `setsockopt(2)`; so for all that follow.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.set_option(Opt::NoDelay, nodelay.into())
    }

    /// What [`set_nodelay`](TcpStream::set_nodelay) has set.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.is_set(Opt::NoDelay)
    }

    /// Whether only full packets go out, until it is set to false or 200 ms have passed: `TCP_CORK`. For a header and then a file.
    ///
    /// ```
    /// use raddle::net::{TcpListener, TcpStream};
    /// use std::io::Write;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_cork(true)?;
    /// stream.write_all(b"header, ")?;
    /// stream.write_all(b"body")?;
    /// stream.set_cork(false)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_cork(&self, cork: bool) -> io::Result<()> {
        self.0.set_option(Opt::Cork, cork.into())
    }

    /// What [`set_cork`](TcpStream::set_cork) has set.
    pub fn cork(&self) -> io::Result<bool> {
        self.0.is_set(Opt::Cork)
    }

    /// Whether what comes is acknowledged at once: `TCP_QUICKACK`. Not for good: TCP goes back to its own ways.
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.0.set_option(Opt::QuickAck, quickack.into())
    }

    /// Whether what comes is acknowledged at once just now.
    pub fn quickack(&self) -> io::Result<bool> {
        self.0.is_set(Opt::QuickAck)
    }

    /// Whether the kernel notes when what comes has come: `SO_TIMESTAMPNS`, for [`read_stamped`](TcpStream::read_stamped). See `socket(7)`.
    ///
    /// # Errors
    ///
    /// `ENOPROTOOPT` of a simulated host, which has none.
    pub fn set_timestamps(&self, timestamps: bool) -> io::Result<()> {
        self.0.set_option(Opt::Timestamps, timestamps.into())
    }

    /// What [`set_timestamps`](TcpStream::set_timestamps) has set.
    pub fn timestamps(&self) -> io::Result<bool> {
        self.0.is_set(Opt::Timestamps)
    }

    /// Asks a silent peer whether it is still there, and ends the connection with `TimedOut` if not: `SO_KEEPALIVE`, off (`None`)
    /// by default.
    ///
    /// ```
    /// use raddle::net::{KeepAlive, TcpListener, TcpStream};
    /// use std::time::Duration;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_keepalive(Some(KeepAlive::new().idle(Duration::from_secs(60))))?;
    /// assert_eq!(stream.keepalive()?.expect("it is on").idle, Some(Duration::from_secs(60)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_keepalive(&self, keepalive: Option<KeepAlive>) -> io::Result<()> {
        match keepalive {
            Some(keepalive) => keepalive.set(&self.0),
            None => self.0.set_option(Opt::KeepAlive, 0),
        }
    }

    /// Whether and how silent peers are asked.
    pub fn keepalive(&self) -> io::Result<Option<KeepAlive>> {
        KeepAlive::of(&self.0)
    }

    /// What becomes of bytes that are still to be sent when the last handle is dropped: `SO_LINGER`, in whole seconds. `None`, the default: the
    /// kernel goes on sending. Zero: they are thrown away, and the peer gets a reset. Else dropping blocks, for so long at most, until
    /// all is acknowledged: wrap that in [`blocking`](crate::blocking()).
    ///
    /// ```
    /// use raddle::net::{TcpListener, TcpStream};
    /// use std::{io::{ErrorKind, Read}, time::Duration};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// stream.set_linger(Some(Duration::ZERO))?;
    /// drop(stream);
    /// assert_eq!(peer.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.0.set_linger(linger)
    }

    /// What [`set_linger`](TcpStream::set_linger) has set.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.0.linger()
    }

    /// How many routers a packet may pass: `IP_TTL`.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.0.set_option(Opt::Ttl, number(ttl))
    }

    /// What [`set_ttl`](TcpStream::set_ttl) has set, or the kernel.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(self.0.option(Opt::Ttl)?.unsigned_abs())
    }

    /// How many bytes may be sent before the peer has acknowledged them; see [`SocketOptions::send_buffer_size`].
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.0.set_option(Opt::SendBuffer, number(bytes))
    }

    /// What the kernel has reserved for sending: about twice of what was asked for, or what TCP has found right.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        Ok(self.0.option(Opt::SendBuffer)?.unsigned_abs() as usize)
    }

    /// How many bytes may wait to be read; see [`SocketOptions::recv_buffer_size`].
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.0.set_option(Opt::ReceiveBuffer, number(bytes))
    }

    /// What the kernel has reserved for receiving: about twice of what was asked for, or what TCP has found right.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        Ok(self.0.option(Opt::ReceiveBuffer)?.unsigned_abs() as usize)
    }

    /// The error that has befallen the connection and that no call has told yet: `SO_ERROR`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Whether reads and writes, of all handles, fail with `WouldBlock` where they would wait: then nothing parks here.
    ///
    /// ```
    /// use raddle::net::{TcpListener, TcpStream};
    /// use std::io::{ErrorKind, Read};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_nonblocking(true)?;
    /// assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking, Role::Other)
    }
}

impl SocketOptions {
    /// As [`TcpStream::connect`], with these options.
    ///
    /// # Errors
    ///
    /// As there, and from setting an option.
    #[track_caller]
    pub fn connect(&self, addresses: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let mut failed = None;
        for address in addresses.to_socket_addrs()? {
            match self.connect_to(&address, None) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(no_addresses))
    }

    /// As [`TcpStream::connect_timeout`], with these options.
    ///
    /// # Errors
    ///
    /// As there, and from setting an option.
    #[track_caller]
    pub fn connect_timeout(
        &self,
        address: &SocketAddr,
        timeout: Duration,
    ) -> io::Result<TcpStream> {
        if timeout.is_zero() {
            return Err(zero_timeout());
        }
        let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self.connect_to(address, Some(ns))
    }

    #[track_caller]
    fn connect_to(&self, address: &SocketAddr, patience_ns: Option<u64>) -> io::Result<TcpStream> {
        let socket = self.open(address, SocketType::STREAM, true)?;
        if self.fast_open {
            socket.set_option(Opt::FastOpenConnect, 1)?;
        }
        if let Some(from) = self.from {
            socket.bind(&Address::Ip(from))?;
        }
        socket.connect(&Address::Ip(*address), patience_ns)?;
        Ok(TcpStream(socket))
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("TcpStream");
        if let Ok(address) = self.local_addr() {
            text.field("addr", &address);
        }
        if let Ok(peer) = self.peer_addr() {
            text.field("peer", &peer);
        }
        self.0.describe(&mut text);
        text.finish()
    }
}
