//! A connection that is open: over TCP or a Unix socket, with TLS or without.

use crate::failure::{Failure, Step};
use crate::place::{At, Place};
use crate::plan::Plan;
use crate::target::Target;
use raddle::net::{SocketOptions, TcpStream, UnixStream};
use raddle::time::{Duration, Instant};
use raddle_http::tls::TlsClient;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::SystemTime;

/// Below TLS, if there is TLS.
#[derive(Debug)]
pub(crate) struct Plain {
    socket: Socket,
    /// When what was read last has come, if the kernel was asked and has said so.
    came: Option<SystemTime>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    /// The kernel says when what is read has come.
    Stamped(TcpStream),
    Unix(UnixStream),
}

#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Plain),
    // A box: it is three times as large as the other.
    Tls(Box<TlsClient<Plain>>),
}

/// A connection, and how long it took to have it.
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    /// Since when.
    pub(crate) at: Instant,
    pub(crate) connect: Duration,
    pub(crate) handshake: Option<Duration>,
}

/// What all connections of a run have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// No wait takes longer.
    pub(crate) patience: Duration,
    /// The kernel is asked to note when what is read has come; not everything that one connects to can have that.
    pub(crate) stamps: bool,
    /// What is sent may have to wait for an acknowledgement of what was sent before, unless the kernel is told not to (RFC 896).
    pub(crate) hurries: bool,
    /// What ends the handshake goes with the first request: a packet less. The packet would wake a server that sleeps, as that of an only connection
    /// most likely does, while the request is still on its way: then it is worth its price.
    pub(crate) holds_ack: bool,
}

impl Manner {
    /// Of a run. Where each message is one small packet, and the next one follows its answer, nothing waits; to say so is a system call.
    pub(crate) fn of(plan: &Plan) -> Manner {
        /// Every network takes so many bytes in one packet (RFC 9293, 3.7.1).
        const ONE_PACKET: usize = 536;
        let is_one_packet =
            |target: &Target| target.bytes.len() <= ONE_PACKET && target.place.tls.is_none();
        let is_quiet =
            plan.scenario.is_none() && plan.depth == 1 && plan.targets.iter().all(is_one_packet);
        Manner {
            patience: plan.patience,
            stamps: plan.pace.is_some(),
            hurries: !is_quiet,
            holds_ack: plan.connections > 1,
        }
    }
}

/// Connects, and does the handshake.
pub(crate) fn open(place: &Place, manner: Manner) -> Result<Opened, Failure> {
    let Manner { patience, stamps, .. } = manner;
    let begun = Instant::now();
    let connect_failed = |error: io::Error| Failure::of(Step::Connect, &error);
    let socket = match connect(place, manner).map_err(connect_failed)? {
        Socket::Tcp(stream) if stamps && stream.set_timestamps(true).is_ok() => {
            Socket::Stamped(stream)
        }
        other => other,
    };
    let plain = Plain { socket, came: None };
    plain.set_patience(patience).map_err(connect_failed)?;
    let at = Instant::now();
    let connect = at.duration_since(begun);
    let Some((name, tls)) = &place.tls else {
        return Ok(Opened { stream: Stream::Plain(plain), at, connect, handshake: None });
    };
    let handshake_failed = |error: io::Error| Failure::of(Step::Handshake, &error);
    let mut stream = TlsClient::new(tls, name, plain).map_err(handshake_failed)?;
    let begun = Instant::now();
    stream.handshake().map_err(handshake_failed)?;
    let at = Instant::now();
    let handshake = Some(at.duration_since(begun));
    Ok(Opened { stream: Stream::Tls(Box::new(stream)), at, connect, handshake })
}

fn connect(place: &Place, manner: Manner) -> io::Result<Socket> {
    match &place.at {
        At::Socket(path) => UnixStream::connect(path).map(Socket::Unix),
        At::Addresses(all) => {
            let mut failed = None;
            for address in all {
                match tcp(address, manner) {
                    Ok(stream) => return Ok(Socket::Tcp(stream)),
                    Err(error) => failed = Some(error),
                }
            }
            Err(failed.expect("a place has an address at least"))
        }
    }
}

fn tcp(address: &SocketAddr, manner: Manner) -> io::Result<TcpStream> {
    let mut options = SocketOptions::new();
    if manner.hurries {
        options = options.nodelay(true);
    }
    if manner.holds_ack {
        options = options.quickack(false);
    }
    options.connect_timeout(address, manner.patience)
}

impl Plain {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream) | Socket::Stamped(stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))
            }
            Socket::Unix(stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))
            }
        }
    }

    /// Where it leads, if that is an address.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(stream) | Socket::Stamped(stream) => stream.peer_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    #[inline]
    fn exchange(&mut self, bytes: &mut &[u8], to: &mut [u8]) -> io::Result<usize> {
        match &self.socket {
            Socket::Tcp(stream) => stream.exchange(bytes, to),
            Socket::Stamped(stream) => {
                let (count, came) = stream.exchange_stamped(bytes, to)?;
                self.came = came;
                Ok(count)
            }
            Socket::Unix(stream) => stream.exchange(bytes, to),
        }
    }
}

impl Stream {
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Stream::Plain(plain) => plain.peer(),
            Stream::Tls(stream) => stream.get_ref().peer(),
        }
    }
}

impl Read for Plain {
    #[inline]
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match &mut self.socket {
            Socket::Tcp(stream) => stream.read(to),
            Socket::Stamped(stream) => {
                let (count, came) = stream.read_stamped(to)?;
                self.came = came;
                Ok(count)
            }
            Socket::Unix(stream) => stream.read(to),
        }
    }
}

impl Write for Plain {
    #[inline]
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match &mut self.socket {
            Socket::Tcp(stream) | Socket::Stamped(stream) => stream.write(from),
            Socket::Unix(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    /// When what was read last has come, if the kernel was asked and has said so.
    pub(crate) fn came(&self) -> Option<SystemTime> {
        match self {
            Stream::Plain(stream) => stream.came,
            Stream::Tls(stream) => stream.get_ref().came,
        }
    }

    /// Sends all of `bytes`, and reads once. What was not sent stays in `bytes`.
    #[inline]
    pub(crate) fn exchange(&mut self, bytes: &mut &[u8], to: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.exchange(bytes, to),
            Stream::Tls(stream) => {
                stream.write_all(bytes)?;
                *bytes = &[];
                stream.read(to)
            }
        }
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(to),
            Stream::Tls(stream) => stream.read(to),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(from),
            Stream::Tls(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
