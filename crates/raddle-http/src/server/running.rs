//! A server that runs, in the hands of whoever started it.

use super::crowd::Crowd;
use super::current::Current;
use raddle::cancel::Token;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A server that runs. It goes on when this is dropped.
///
/// ```
/// use raddle_http::server::Server;
/// use std::time::Duration;
///
/// let server = Server::new().bind("127.0.0.1:0")?;
/// assert!(server.local_addr().port() > 0);
/// server.drain();
/// assert!(server.wait_timeout(Duration::from_secs(30)));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Running {
    pub(super) at: SocketAddr,
    pub(super) accepting: Token,
    pub(super) crowd: Arc<Crowd>,
    /// Those who serve have it: what they served with is gone when they are.
    pub(super) current: Weak<Current>,
}

impl Running {
    /// Where it listens.
    ///
    /// ```
    /// # use raddle_http::server::Server;
    /// assert!(Server::new().bind("127.0.0.1:0")?.local_addr().ip().is_loopback());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn local_addr(&self) -> SocketAddr {
        self.at
    }

    /// How many connections there are.
    ///
    /// ```
    /// # use raddle_http::server::Server;
    /// assert_eq!(Server::new().bind("127.0.0.1:0")?.connections(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn connections(&self) -> usize {
        self.crowd.connections()
    }

    /// How many connections each core has: where a connection's thread began, or was when its last request came.
    ///
    /// ```
    /// # use raddle_http::server::Server;
    /// let server = Server::new().bind("127.0.0.1:0")?;
    /// assert_eq!(server.connections_by_core(), vec![0; raddle::thread::available_parallelism()?.get()]);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn connections_by_core(&self) -> Vec<usize> {
        let loads = self.crowd.loads();
        (0..loads.cores()).map(|core| loads.of(core)).collect()
    }

    /// Whether it has ended: nobody accepts, and nobody is connected.
    ///
    /// ```
    /// # use raddle_http::server::Server;
    /// assert!(!Server::new().bind("127.0.0.1:0")?.is_over());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_over(&self) -> bool {
        self.crowd.count() == 0
    }

    /// Begins the end: nothing is accepted any more, but who has connected already is served; idle connections are closed, the others with
    /// their next response, which says so.
    ///
    /// ```
    /// # use raddle_http::server::Server;
    /// let server = Server::new().bind("127.0.0.1:0")?;
    /// server.drain();
    /// server.wait();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn drain(&self) {
        self.crowd.drain();
        self.accepting.cancel();
    }

    /// Cuts off whoever is still there: its thread unwinds out of what it waits for.
    ///
    /// ```
    /// # use raddle_http::server::Server;
    /// let server = Server::new().bind("127.0.0.1:0")?;
    /// server.drain();
    /// server.end();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn end(&self) {
        self.drain();
        self.crowd.end();
    }

    /// Waits until it has ended.
    ///
    /// ```
    /// # use raddle_http::server::Server;
    /// let server = Server::new().bind("127.0.0.1:0")?;
    /// server.end();
    /// server.wait();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wait(&self) {
        self.crowd.wait(None);
    }

    /// The same, for so long at most; whether it has ended.
    ///
    /// ```
    /// # use raddle_http::server::Server;
    /// let server = Server::new().bind("127.0.0.1:0")?;
    /// assert!(!server.wait_timeout(std::time::Duration::from_millis(1)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        self.crowd.wait(Some(limit))
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("at", &self.at).finish_non_exhaustive()
    }
}
