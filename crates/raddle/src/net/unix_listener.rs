//! Listeners on paths and abstract names, as in `std::os::unix::net`.

use super::address::Address;
use super::descriptor::descriptor_traits;
use super::options::SocketOptions;
use super::patience::Patience;
use super::socket::{Role, Socket};
use super::unix_stream::UnixStream;
use rustix::net::{AddressFamily, SocketType};
use std::fmt;
use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;

/// A socket that takes connections from this host; see [`std::os::unix::net::UnixListener`]. Of its descriptor's mode holds what is
/// said at [`TcpListener`](super::TcpListener).
///
/// ```
/// use raddle::{net::{UnixListener, UnixStream}, thread};
/// use std::io::{Read, Write};
///
/// let path = std::env::temp_dir().join(format!("raddle-doc-{}", std::process::id()));
/// let listener = UnixListener::bind(&path)?;
/// let serves = thread::spawn(move || listener.accept()?.0.write_all(b"hello"));
/// let mut text = String::new();
/// UnixStream::connect(&path)?.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// serves.join().expect("it does not panic")?;
/// // The path stays until somebody removes it.
/// std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
pub struct UnixListener(pub(super) Socket);

descriptor_traits!(UnixListener, std::os::unix::net::UnixListener, Role::Listener);

impl UnixListener {
    /// A listener at `path`, where nothing may be yet.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if something is there; `InvalidInput` if no socket can have such a path; see `bind(2)`, `unix(7)`.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        SocketOptions::new().listen_unix(path)
    }

    /// As [`bind`](UnixListener::bind), also to abstract names: see [`UnixStream::connect_addr`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        SocketOptions::new().listen_unix_addr(address)
    }

    /// Waits for a connection. Its peer has no name, unless it was bound to one.
    ///
    /// # Errors
    ///
    /// At the limits of descriptors and memory it fails at once, and the connection waits on: see
    /// [`TcpListener::accept`](super::TcpListener::accept).
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, peer) = self.0.accept()?;
        Ok((UnixStream(socket), peer.unix()?))
    }

    /// Waits for a connection, also while descriptors or memory are short: see
    /// [`TcpListener::accept_patiently`](super::TcpListener::accept_patiently).
    ///
    /// # Errors
    ///
    /// As [`accept`](UnixListener::accept), but for shortages.
    #[track_caller]
    pub fn accept_patiently(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let mut patience = Patience::new();
        loop {
            let result = self.accept();
            if !patience.is_needed(self, &result) {
                return result;
            }
        }
    }

    /// Another handle to the same listener. Each connection goes to one of them.
    ///
    /// # Errors
    ///
    /// At the descriptor limit.
    pub fn try_clone(&self) -> io::Result<UnixListener> {
        Ok(UnixListener(self.0.try_clone()?))
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// See `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_address()?.unix()
    }

    /// Whether `accept`, of all handles, fails with `WouldBlock` where it would wait.
    ///
    /// # Errors
    ///
    /// None that occur.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking, Role::Listener)
    }

    /// The error that has befallen the listener and that no call has told yet: `SO_ERROR`.
    ///
    /// # Errors
    ///
    /// See `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// An iterator over connections, which does not end. It [accepts patiently](UnixListener::accept_patiently).
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }
}

impl SocketOptions {
    /// As [`UnixListener::bind`], with these options, of which Unix sockets have the buffers and the backlog.
    ///
    /// # Errors
    ///
    /// As there, and from setting an option.
    ///
    /// ```
    /// use raddle::net::{SocketOptions, UnixListener};
    /// let path = std::env::temp_dir().join(format!("raddle-options-{}", std::process::id()));
    /// let listener = SocketOptions::new().backlog(1).listen_unix(&path)?;
    /// assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
    /// std::fs::remove_file(path)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn listen_unix(&self, path: impl AsRef<Path>) -> io::Result<UnixListener> {
        self.listen_unix_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`UnixListener::bind_addr`], with these options.
    ///
    /// # Errors
    ///
    /// As there, and from setting an option.
    pub fn listen_unix_addr(&self, address: &SocketAddr) -> io::Result<UnixListener> {
        let socket = Socket::open(AddressFamily::UNIX, SocketType::STREAM, true)?;
        self.set(&socket)?;
        socket.bind(&Address::Unix(address.clone()))?;
        socket.listen(self.backlog_or_usual())?;
        Ok(UnixListener(socket))
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("UnixListener");
        self.0.describe(&mut text);
        if let Ok(address) = self.local_addr() {
            text.field("local", &address);
        }
        text.finish()
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// See [`UnixListener::incoming`].
#[derive(Debug)]
#[must_use = "an iterator accepts nothing before it is asked"]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept_patiently().map(|(stream, _)| stream))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}
