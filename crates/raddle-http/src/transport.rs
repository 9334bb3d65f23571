//! What a connection runs over: bytes in, bytes out, and an orderly end.

use raddle::io::Target;
use raddle::net::{TcpStream, UnixStream};
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};

/// A stream in both directions: TCP, a Unix socket, TLS over one of them.
///
/// Its waits must be raddle's, as those of all that stands on raddle's sockets are: that is how limits of time reach them.
///
/// ```
/// use raddle::io::{self, Read, Target, Write};
/// use raddle_http::server::{Server, Transport};
///
/// struct Tape<'a>(&'a [u8], Vec<u8>);
/// impl Read for Tape<'_> {
///     fn read(&mut self, to: &mut [u8]) -> io::Result<usize> { self.0.read(to) }
/// }
/// impl Write for Tape<'_> {
///     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> { self.1.write(bytes) }
///     fn flush(&mut self) -> io::Result<()> { Ok(()) }
/// }
/// impl Target for Tape<'_> {}
/// impl Transport for Tape<'_> {}
///
/// let mut tape = Tape(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Vec::new());
/// Server::new().serve_one(&mut tape)?;
/// assert!(tape.1.starts_with(b"HTTP/1.1 404 Not Found\r\n"));
/// # io::Result::Ok(())
/// ```
pub trait Transport: Read + Target {
    /// What comes before the first byte: a handshake. By default there is none.
    ///
    /// # Errors
    ///
    /// If the two sides can't agree, or the connection is gone.
    fn begin(&mut self) -> io::Result<Begun> {
        Ok(Begun::AtOnce)
    }

    /// Whether [`exchange`](Transport::exchange) keeps what it says of a wait that is broken off. By default it does not, and is not called.
    fn can_exchange(&self) -> bool {
        false
    }

    /// Sends all of `bytes`, and reads once. What was not sent stays in `bytes`, also when the wait is broken off by a limit of time or a token.
    ///
    /// # Errors
    ///
    /// As writing, if `bytes` is not empty then; else as reading.
    fn exchange(&mut self, bytes: &mut &[u8], to: &mut [u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        *bytes = &[];
        self.read(to)
    }

    /// Says that nothing more is sent, while more may be read. By default it does nothing.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    fn end_output(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The last that is called, when all has been sent: what is to be said of the end. By default it does nothing.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The client's address. By default there is none.
    fn peer(&self) -> Option<SocketAddr> {
        None
    }
}

/// How a transport has [begun](Transport::begin).
///
/// ```
/// assert_ne!(raddle_http::server::Begun::AtOnce, raddle_http::server::Begun::Refused("no"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// There was nothing to be done.
    AtOnce,
    /// By a handshake: the client is about to ask.
    ByHandshake,
    /// The client is to be answered 400 with this text, and nothing else.
    Refused(&'static str),
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn begin(&mut self) -> io::Result<Begun> {
        (**self).begin()
    }

    fn can_exchange(&self) -> bool {
        (**self).can_exchange()
    }

    fn exchange(&mut self, bytes: &mut &[u8], to: &mut [u8]) -> io::Result<usize> {
        (**self).exchange(bytes, to)
    }

    fn end_output(&mut self) -> io::Result<()> {
        (**self).end_output()
    }

    fn end(&mut self) -> io::Result<()> {
        (**self).end()
    }

    fn peer(&self) -> Option<SocketAddr> {
        (**self).peer()
    }
}

impl Transport for TcpStream {
    fn can_exchange(&self) -> bool {
        true
    }

    #[inline]
    fn exchange(&mut self, bytes: &mut &[u8], to: &mut [u8]) -> io::Result<usize> {
        TcpStream::exchange(self, bytes, to)
    }

    fn end_output(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }
}

impl Transport for UnixStream {
    fn can_exchange(&self) -> bool {
        true
    }

    #[inline]
    fn exchange(&mut self, bytes: &mut &[u8], to: &mut [u8]) -> io::Result<usize> {
        UnixStream::exchange(self, bytes, to)
    }

    fn end_output(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
