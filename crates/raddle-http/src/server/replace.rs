//! Another server in the place of one that runs.

use super::builder::Server;
use super::running::Running;

impl Running {
    /// Exchanges all that it was built with for that of another server: routes, plugins, limits, certificates. No connection is closed for it. A
    /// request that has begun is finished with what was there before; the next one, on the same connection as well, gets what is new. How many
    /// connections there may be, and what each client may have, holds for those to come, and so do the certificates, as connections speak TLS or not from their beginning.
    ///
    /// A connection is seen off (`Plugin::ended`) by the plugins that have let it in; all other stages are the new ones'. A plugin that is to go on
    /// counting is in an `Arc`, of which both servers have a clone.
    ///
    /// What stays: how connections come to cores, and what becomes of those that are too many.
    ///
    /// What was replaced is dropped when the last request that uses it is finished, and no later than idle connections end. A server that
    /// has ended drops the new one at once.
    ///
    /// ```
    /// use raddle_http::{Response, server::Server};
    /// use raddle::{io::{Read, Write}, net::TcpStream};
    ///
    /// let server = Server::new().otherwise(|_| Response::text("old")).bind("127.0.0.1:0")?;
    /// let mut client = TcpStream::connect(server.local_addr())?;
    /// server.replace(Server::new().otherwise(|_| Response::text("new")));
    /// client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    /// let mut answer = String::new();
    /// client.read_to_string(&mut answer)?;
    /// assert!(answer.ends_with("\r\n\r\nnew"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn replace(&self, server: Server) {
        if let Some(current) = self.current.upgrade() {
            current.replace(server.service, server.connections_max);
            self.crowd.room_has_changed();
        }
    }
}
