//! A server before it runs: routes, plugins, limits.

use super::accept::{Acceptor, Entrance};
use super::clients::{ClientLimits, Clients};
use super::connection::{self, Guest, Refusal};
use super::crowd::Crowd;
use super::current::{Current, Serving};
use super::dispatch::{Dispatch, OverCapacity};
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
use raddle::thread::{self, Builder};
use rustix::net::sockopt;
use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;

/// A server that does not run yet. The [module](super) has an example.
#[must_use = "a server serves nothing before it is bound"]
pub struct Server {
    pub(super) service: Service,
    pub(super) connections_max: usize,
    over_capacity: OverCapacity,
    dispatch: Dispatch,
    shares_sockets: bool,
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
        Server {
            service: Service::new(),
            connections_max: usize::MAX,
            over_capacity: OverCapacity::default(),
            dispatch: Dispatch::default(),
            shares_sockets: false,
        }
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
        let plugins = Arc::get_mut(&mut self.service.plugins);
        plugins.expect("nobody is served yet").push(Box::new(plugin));
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

    /// So many connections at once; what becomes of more, [`over_capacity`](Server::over_capacity) says. By default the descriptors are the limit.
    ///
    /// ```
    /// let server = raddle_http::server::Server::new().connections_max(1000);
    /// ```
    pub fn connections_max(mut self, most: usize) -> Server {
        self.connections_max = most;
        self
    }

    /// What becomes of connections that are too many. By default they wait.
    ///
    /// ```
    /// use raddle_http::server::{OverCapacity, Server};
    /// let server = Server::new().connections_max(1000).over_capacity(OverCapacity::Busy);
    /// ```
    pub fn over_capacity(mut self, over_capacity: OverCapacity) -> Server {
        self.over_capacity = over_capacity;
        self
    }

    /// How connections come to cores.
    ///
    /// ```
    /// use raddle_http::server::{Dispatch, Server};
    /// let server = Server::new().dispatch(Dispatch::Balanced);
    /// ```
    pub fn dispatch(mut self, dispatch: Dispatch) -> Server {
        self.dispatch = dispatch;
        self
    }

    /// What each client may have, by its address. By default: what it likes.
    ///
    /// ```
    /// use raddle_http::server::{ClientLimits, Server};
    /// let server = Server::new().client_limits(ClientLimits::new().connections(50));
    /// ```
    pub fn client_limits(mut self, limits: ClientLimits) -> Server {
        self.service.clients = Some(Clients::new(limits));
        self
    }

    /// Lets [`bind`](Server::bind) take a port that other sockets of the same user have, if those let it, too (`SO_REUSEPORT`): the kernel spreads
    /// connections over all of them. Without this a port that somebody has is an error, be it shared or not.
    ///
    /// ```
    /// use raddle_http::server::Server;
    /// let first = Server::new().allow_shared_sockets(true).bind("127.0.0.1:0")?;
    /// assert!(Server::new().bind(first.local_addr()).is_err());
    /// assert!(Server::new().allow_shared_sockets(true).bind(first.local_addr()).is_ok());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn allow_shared_sockets(mut self, allow: bool) -> Server {
        self.shares_sockets = allow;
        self
    }

    /// Listens, with as many sockets as [`dispatch`](Server::dispatch) asks for, and serves from now on.
    ///
    /// # Errors
    ///
    /// If it can't listen there: `AddrInUse` if somebody else does.
    ///
    /// ```
    /// let server = raddle_http::server::Server::new().bind("127.0.0.1:0")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn bind(self, addresses: impl ToSocketAddrs) -> io::Result<Running> {
        // Before it is said that the port is shared, so that one that somebody else shares is refused, too.
        let first = SocketOptions::new().reuse_port(self.shares_sockets).listen(addresses)?;
        let at = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..self.dispatch.listeners(cores()?) {
            sockopt::set_socket_reuseport(&listeners[0], true)?;
            listeners.push(SocketOptions::new().reuse_port(true).listen(at)?);
        }
        self.serve_all(listeners)
    }

    /// Serves the connections of this listener from now on. Where each core is to accept, all accept from this one.
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
        self.serve_all(vec![listener])
    }

    /// Serves the connections of these listeners, which share a port, from now on. Where each core is to accept, it has one of them, or, if
    /// there are fewer, shares one with others.
    ///
    /// # Errors
    ///
    /// If no thread can be had for it; `InvalidInput` without a listener.
    ///
    /// ```
    /// use raddle::net::SocketOptions;
    /// let options = SocketOptions::new().reuse_port(true);
    /// let first = options.listen("127.0.0.1:0")?;
    /// let second = options.listen(first.local_addr()?)?;
    /// let server = raddle_http::server::Server::new().serve_all(vec![first, second])?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn serve_all(self, listeners: Vec<TcpListener>) -> io::Result<Running> {
        let Some(first) = listeners.first() else {
            let what = "a server needs a listener";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        };
        let (at, cores) = (first.local_addr()?, cores()?);
        let entrance = Entrance {
            current: Arc::new(Current::new(self.service, self.connections_max)),
            crowd: Arc::new(Crowd::new(cores)),
            accepting: Token::new(),
            dispatch: self.dispatch,
            over_capacity: self.over_capacity,
        };
        // Without the service: what plugins hold goes when the last connection has ended.
        let (accepting, crowd) = (entrance.accepting.clone(), entrance.crowd.clone());
        let current = Arc::downgrade(&entrance.current);
        let running = Running { at, accepting, crowd, current };
        let acceptors = listeners.len().max(self.dispatch.listeners(cores));
        for number in 0..acceptors {
            let listener = listeners[number % listeners.len()].try_clone()?;
            // Connections have what their listener has: a response's end does not wait for the client's acknowledgement.
            sockopt::set_tcp_nodelay(&listener, true)?;
            let core = number % cores;
            let (builder, place) =
                (Builder::new().name("acceptor".into()), entrance.crowd.enter_acceptor());
            let builder = match self.dispatch {
                Dispatch::Fair => builder,
                // So that it is this core to which the kernel's choice brings connections.
                Dispatch::ReusePort | Dispatch::Balanced => builder.bound_to_core(core),
            };
            let acceptor = Acceptor { entrance: entrance.clone(), listener, core };
            let begun = builder.spawn(move || {
                acceptor.run();
                drop(place);
            });
            if let Err(error) = begun {
                running.end();
                return Err(error);
            }
        }
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
        let peer = stream.peer();
        let address = peer.map(|peer| peer.ip());
        let limited = self.service.clients.as_ref().zip(address);
        let entered = limited.map_or(Ok(None), |(clients, address)| clients.enter(address));
        let refusal = entered.is_err().then_some(Refusal::Client);
        let guest = Guest { peer, place: None, visitor: entered.unwrap_or(None), refusal };
        connection::serve(Serving::Always(&self.service), stream, &guest)
    }
}

/// How many cores connections can go to.
fn cores() -> io::Result<usize> {
    Ok(thread::available_parallelism()?.get())
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("routes", &self.service.routes).finish_non_exhaustive()
    }
}
