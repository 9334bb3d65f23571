//! A server before it runs: routes, plugins, limits.

use super::accept::accept;
use super::connection;
use super::crowd::Crowd;
use super::plugin::Plugin;
use super::running::Running;
use super::service::Service;
use super::times::Times;
use crate::protocol::Limits;
use crate::request::Request;
use crate::response::Response;
use crate::router::InvalidRoute;
use crate::tls::Tls;
use crate::transport::Transport;
use raddle::cancel::Token;
use raddle::net::{SocketOptions, TcpListener};
use raddle::thread::Builder;
use rustix::net::sockopt;
use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;

/// A server that does not run yet. The [module](super) has an example.
#[must_use = "a server serves nothing before it is bound"]
pub struct Server {
    service: Service,
    connections_max: usize,
}

impl Default for Server {
    fn default() -> Server {
        Server::new()
    }
}

impl Server {
    /// Without routes: all that it says is 404.
    ///
    /// ```
    /// let server = raddle_http::server::Server::new();
    /// ```
    pub fn new() -> Server {
        Server { service: Service::new(), connections_max: usize::MAX }
    }

    /// Has requests for paths of that pattern, as a [`Router`](crate::Router) takes it, answered by `handler`, whatever their method.
    ///
    /// The handler is called on the connection's thread, by several at once, and may wait. If it panics the client gets 500. If it reads content
    /// and that turns out to be malformed, too large or too slow, the client is told so, whatever the handler answers.
    ///
    /// # Errors
    ///
    /// [`InvalidRoute`], if the pattern is malformed, or in the way of another.
    ///
    /// ```
    /// use raddle_http::{Response, server::Server};
    ///
    /// let server = Server::new().route("/x/{id}", |request| {
    ///     Response::text(format!("x is {}", request.param("id").unwrap_or_default()))
    /// })?;
    /// # Ok::<(), raddle_http::InvalidRoute>(())
    /// ```
    pub fn route(
        mut self,
        pattern: &str,
        handler: impl Fn(&mut Request<'_>) -> Response + Send + Sync + 'static,
    ) -> Result<Server, InvalidRoute> {
        self.service.routes.insert(pattern, Box::new(handler))?;
        Ok(self)
    }

    /// Has all requests that belong to no route answered by `handler`: static files, or a page that says 404.
    ///
    /// ```
    /// use raddle_http::{Response, Status, server::Server};
    /// let server = Server::new().otherwise(|_| Response::text("nothing here").with_status(Status::NOT_FOUND));
    /// ```
    pub fn otherwise(
        mut self,
        handler: impl Fn(&mut Request<'_>) -> Response + Send + Sync + 'static,
    ) -> Server {
        self.service.otherwise = Box::new(handler);
        self
    }

    /// Adds a plugin.
    ///
    /// ```
    /// use raddle_http::server::{Plugin, Served, Server};
    /// struct Log;
    /// impl Plugin for Log {
    ///     fn served(&self, served: &Served<'_>) {
    ///         println!("{} in {:?}", served.status, served.took);
    ///     }
    /// }
    /// let server = Server::new().plugin(Log);
    /// ```
    pub fn plugin(mut self, plugin: impl Plugin) -> Server {
        self.service.plugins.push(Box::new(plugin));
        self
    }

    /// How much a client may ask for.
    ///
    /// ```
    /// use raddle_http::{protocol::Limits, server::Server};
    /// let server = Server::new().limits(Limits { body_size: 1 << 30, ..Limits::default() });
    /// ```
    pub fn limits(mut self, limits: Limits) -> Server {
        self.service.limits = limits;
        self
    }

    /// How long a client may take.
    ///
    /// ```
    /// use raddle_http::server::{Server, Times};
    /// let server = Server::new().times(Times { rate_min: 10_000, ..Times::default() });
    /// ```
    pub fn times(mut self, times: Times) -> Server {
        self.service.times = times;
        self
    }

    /// Has the clients that it accepts speak TLS. Who speaks HTTP without it is told so, with 400.
    ///
    /// ```
    /// use raddle_http::{server::Server, tls::{Certificate, Tls}};
    /// let server = Server::new().tls(Tls::new(Certificate::self_signed(["localhost"])?));
    /// # Ok::<(), raddle_http::tls::Unusable>(())
    /// ```
    pub fn tls(mut self, tls: Tls) -> Server {
        self.service.tls = Some(tls);
        self
    }

    /// Has each response say what its request is [called in logs](crate::RequestId), in the field `X-Request-ID`; but for those to what is no
    /// request.
    ///
    /// ```
    /// let server = raddle_http::server::Server::new().tell_request_ids();
    /// ```
    pub fn tell_request_ids(mut self) -> Server {
        self.service.tells_ids = true;
        self
    }

    /// So many connections at once; more wait in the kernel until one ends. By default the descriptors are the limit.
    ///
    /// ```
    /// let server = raddle_http::server::Server::new().connections_max(1000);
    /// ```
    pub fn connections_max(mut self, most: usize) -> Server {
        self.connections_max = most;
        self
    }

    /// Listens, and serves from now on.
    ///
    /// # Errors
    ///
    /// If it can't listen there.
    ///
    /// ```
    /// let server = raddle_http::server::Server::new().bind("127.0.0.1:0")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn bind(self, addresses: impl ToSocketAddrs) -> io::Result<Running> {
        self.serve(SocketOptions::new().listen(addresses)?)
    }

    /// Serves the connections of this listener from now on.
    ///
    /// # Errors
    ///
    /// If no thread can be had for it.
    ///
    /// ```
    /// use raddle::net::TcpListener;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let server = raddle_http::server::Server::new().serve(listener)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn serve(self, listener: TcpListener) -> io::Result<Running> {
        // Connections have what their listener has: a response's end does not wait for the client's acknowledgement.
        sockopt::set_tcp_nodelay(&listener, true)?;
        let running = Running {
            at: listener.local_addr()?,
            accepting: Token::new(),
            crowd: Arc::new(Crowd::default()),
        };
        let (accepting, crowd) = (running.accepting.clone(), running.crowd.clone());
        let service = Arc::new(self.service);
        let (place, most) = (crowd.enter_acceptor(), self.connections_max.saturating_add(1));
        Builder::new().name("acceptor".into()).spawn(move || {
            accept(&listener, &service, &crowd, &accepting, most);
            drop((listener, service));
            drop(place);
        })?;
        Ok(running)
    }

    /// Serves one connection, on the calling thread, until it ends. It runs over nothing but `stream`, which may be a
    /// [`TlsStream`](crate::tls::TlsStream).
    ///
    /// # Errors
    ///
    /// If the client goes, or is too slow.
    ///
    /// ```
    /// use raddle::{io::{Read, Write}, net::UnixStream, thread};
    /// use raddle_http::server::Server;
    ///
    /// let (mut client, mut server) = UnixStream::pair()?;
    /// thread::spawn(move || Server::new().serve_one(&mut server));
    /// client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    /// let mut answer = String::new();
    /// client.read_to_string(&mut answer)?;
    /// assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn serve_one<S: Transport + ?Sized>(&self, stream: &mut S) -> io::Result<()> {
        connection::serve(&self.service, stream, None)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("routes", &self.service.routes).finish_non_exhaustive()
    }
}
