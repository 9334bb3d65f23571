//! What may look at a connection's course, and take part in it, beside handlers.

use crate::context::RequestId;
use crate::protocol::{Fault, RequestHead};
use crate::request::Request;
use crate::response::Response;
use crate::status::Status;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The stages of a connection, as in Monkey: each does nothing by default. They are called on the connection's thread, in the order in
/// which plugins were added, and may wait.
///
/// ```
/// use raddle_http::{Header, Method, Request, Response, Status, server::{Plugin, Server}};
///
/// struct ReadOnly;
/// impl Plugin for ReadOnly {
///     fn arrived(&self, request: &mut Request<'_>) -> Option<Response> {
///         let is_read = request.method().is_safe();
///         (!is_read).then(|| Response::new(Status::METHOD_NOT_ALLOWED).header(Header::Allow, "GET, HEAD, OPTIONS"))
///     }
/// }
/// let server = Server::new().plugin(ReadOnly);
/// ```
pub trait Plugin: Send + Sync + 'static {
    /// A connection was accepted. `false` closes it at once.
    fn accepted(&self, peer: Option<SocketAddr>) -> bool {
        let _ = peer;
        true
    }

    /// A request's head has arrived. A response goes out instead of the handler's.
    fn arrived(&self, request: &mut Request<'_>) -> Option<Response> {
        let _ = request;
        None
    }

    /// The handler has answered; fields may be added.
    fn answered(&self, head: &RequestHead, response: &mut Response) {
        let _ = (head, response);
    }

    /// A response was sent, or given to be sent together with others, or broken off.
    fn served(&self, served: &Served<'_>) {
        let _ = served;
    }

    /// The connection has ended, however that came: in good order, cut off, not let in by this or a later plugin. Once for each
    /// [`accepted`](Plugin::accepted).
    fn ended(&self, peer: Option<SocketAddr>) {
        let _ = peer;
    }
}

/// One plugin for several servers, or for one that [is exchanged](super::Running::replace): it goes on counting.
impl<P: Plugin + ?Sized> Plugin for Arc<P> {
    fn accepted(&self, peer: Option<SocketAddr>) -> bool {
        (**self).accepted(peer)
    }

    fn arrived(&self, request: &mut Request<'_>) -> Option<Response> {
        (**self).arrived(request)
    }

    fn answered(&self, head: &RequestHead, response: &mut Response) {
        (**self).answered(head, response);
    }

    fn served(&self, served: &Served<'_>) {
        (**self).served(served);
    }

    fn ended(&self, peer: Option<SocketAddr>) {
        (**self).ended(peer);
    }
}

/// What was answered to a request: for logs and metrics.
#[derive(Debug)]
pub struct Served<'a> {
    /// What was asked; `None` if it was so malformed that it can't be said.
    pub head: Option<&'a RequestHead>,
    /// The client's address.
    pub peer: Option<SocketAddr>,
    /// What the request is called in logs.
    pub id: RequestId,
    /// The response's status.
    pub status: Status,
    /// Bytes of content that were sent.
    pub content: u64,
    /// Whether all of it was sent.
    pub is_whole: bool,
    /// What went wrong, if anything did.
    pub trouble: Option<Trouble>,
    /// When the head had arrived.
    pub begun: SystemTime,
    /// From then until the response was made and its content given to be sent.
    pub took: Duration,
}

/// What can go wrong with a request, whatever its status.
///
/// ```
/// use raddle_http::{protocol::Fault, server::Trouble};
/// assert_eq!(Trouble::Fault(Fault::NoHost).to_string(), "no Host field");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// It is none, or breaks a rule.
    Fault(Fault),
    /// The client has refused to speak as it has to: HTTP without TLS, for one.
    Refused,
    /// The client was too slow in asking, or in taking the answer.
    TooSlow,
    /// The handler has panicked.
    Panicked,
    /// The answer was broken off: the client is gone, or what makes the content has failed.
    BrokenOff,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Fault(fault) => fault.fmt(f),
            Trouble::Refused => f.write_str("refused"),
            Trouble::TooSlow => f.write_str("too slow"),
            Trouble::Panicked => f.write_str("the handler has panicked"),
            Trouble::BrokenOff => f.write_str("broken off"),
        }
    }
}
