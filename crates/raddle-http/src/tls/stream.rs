//! A connection over TLS: rustls between a transport and whoever reads and writes.
//!
//! rustls knows no sockets: it is given what has arrived, and tells what is to be sent. A wait that is cut short, by a limit of time or a token,
//! unwinds through here before a byte has moved, so that the stream can be read on.

use super::acceptor::Tls;
use super::records::{self, flush};
use crate::transport::{Begun, Transport};
use raddle::io::Target;
use rustls::{HandshakeKind, ServerConnection};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;

/// What a client is told that has not begun with TLS.
const THIS_IS_TLS: &str = "This is a TLS port: ask for https://\n";

/// A transport that speaks TLS over another one. [`Transport::begin`] does the handshake, and comes before all else.
///
/// ```
/// use raddle::{io::Read, net::UnixStream, thread};
/// use raddle_http::{server::Server, tls::{Certificate, Tls, TlsStream}};
///
/// let tls = Tls::new(Certificate::self_signed(["localhost"])?);
/// let (mut client, server) = UnixStream::pair()?;
/// let serving = thread::spawn({
///     let mut stream = TlsStream::new(&tls, server);
///     move || Server::new().serve_one(&mut stream)
/// });
/// // Who goes away at once has ended no handshake.
/// drop(client);
/// assert!(serving.join().unwrap().is_err());
/// assert_eq!(tls.handshakes().failed, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TlsStream<S> {
    inner: S,
    tls: Tls,
    /// `None` once it turns out that the client does not speak TLS: what is written goes out as it is then.
    session: Option<Box<ServerConnection>>,
}

impl<S: Transport> TlsStream<S> {
    /// A connection of `tls`, which has not begun.
    ///
    /// ```
    /// # use raddle_http::tls::{Certificate, Tls, TlsStream};
    /// # let tls = Tls::new(Certificate::self_signed(["localhost"])?);
    /// let (_client, server) = raddle::net::UnixStream::pair()?;
    /// let stream = TlsStream::new(&tls, server);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(tls: &Tls, inner: S) -> TlsStream<S> {
        let session = ServerConnection::new(tls.config.clone());
        // It fails for configurations that ask for what they do not provide.
        let session = Box::new(session.expect("a configuration of ours"));
        TlsStream { inner, tls: tls.clone(), session: Some(session) }
    }

    /// What it runs over.
    ///
    /// ```
    /// # use raddle_http::tls::{Certificate, Tls, TlsStream};
    /// # let tls = Tls::new(Certificate::self_signed(["localhost"])?);
    /// let (_client, server) = raddle::net::UnixStream::pair()?;
    /// assert!(TlsStream::new(&tls, server).get_ref().peer_addr().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

/// Reads, and keeps the very first byte.
struct Remembering<'a, S> {
    inner: &'a mut S,
    first: Option<u8>,
}

impl<S: Read> Read for Remembering<'_, S> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(to)?;
        if count > 0 {
            self.first.get_or_insert(to[0]);
        }
        Ok(count)
    }
}

impl<S: Transport> Transport for TlsStream<S> {
    fn begin(&mut self) -> io::Result<Begun> {
        let Some(session) = self.session.as_mut().filter(|session| session.is_handshaking()) else {
            return Ok(Begun::AtOnce);
        };
        let attempt = self.tls.counts.begin();
        self.tls.shelf.look();
        let mut from = Remembering { inner: &mut self.inner, first: None };
        while session.is_handshaking() {
            // What comes last, tickets for instance, goes out with the first response.
            flush(session, from.inner)?;
            let count = session.read_tls(&mut from)?;
            match session.process_new_packets() {
                Ok(_) if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                // A request's method. Records of TLS begin with 20 to 24.
                Err(_) if from.first.is_some_and(|byte| byte.is_ascii_uppercase()) => {
                    self.session = None;
                    attempt.plain();
                    return Ok(Begun::Refused(THIS_IS_TLS));
                }
                Err(error) => {
                    // The client is told, if that is possible.
                    _ = flush(session, from.inner);
                    let what = format!("TLS handshake: {error}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
            }
        }
        attempt.done(session.handshake_kind() == Some(HandshakeKind::Resumed));
        Ok(Begun::ByHandshake)
    }

    fn end_output(&mut self) -> io::Result<()> {
        self.end()?;
        self.inner.end_output()
    }

    /// Says so: a client takes an end that nobody has announced for one that somebody on the way has made.
    fn end(&mut self) -> io::Result<()> {
        if let Some(session) = &mut self.session {
            session.send_close_notify();
            flush(session, &mut self.inner)?;
        }
        self.inner.end()
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.inner.peer()
    }
}

impl<S: Transport> Read for TlsStream<S> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.inner.read(to) };
        records::read(session, &mut self.inner, to)
    }
}

impl<S: Transport> Write for TlsStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// Slices share records, and all of them go out by one call if the transport takes them.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.inner.write_vectored(slices) };
        let count = session.writer().write_vectored(slices)?;
        flush(session, &mut self.inner)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Bytes become records on the way: no descriptor can take them from another.
impl<S: Transport> Target for TlsStream<S> {}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("inner", &self.inner)
            .field("is_tls", &self.session.is_some())
            .finish_non_exhaustive()
    }
}
