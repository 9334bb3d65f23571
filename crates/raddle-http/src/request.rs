//! What a handler gets.

use crate::context::{ConnectionId, RequestId};
use crate::headers::Headers;
use crate::method::Method;
use crate::protocol::{Fault, RequestHead};
use crate::response::Response;
use crate::router::Params;
use crate::status::Status;
use raddle::cancel::Token;
use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;

/// A request, as its handler sees it: the head, what the route's parameters stand for, and the content, which is read as it comes.
///
/// ```
/// use raddle_http::{Params, Request, Response};
/// use raddle_http::protocol::{Limits, RequestHead};
///
/// fn handler(request: &mut Request<'_>) -> Response {
///     match request.read_all(1000) {
///         Ok(content) => Response::text(format!("{} with {} bytes", request.path(), content.len())),
///         Err(error) => Response::text(error.to_string()),
///     }
/// }
///
/// let head = RequestHead::parse(b"PUT /a HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\n", &Limits::default());
/// let (head, mut content) = (head.unwrap(), &b"hi"[..]);
/// let response = handler(&mut Request::new(&head, Params::default(), &mut content));
/// assert_eq!(response.status().code(), 200);
/// ```
pub struct Request<'a> {
    head: &'a RequestHead,
    params: Params<'a>,
    body: &'a mut dyn Read,
    client: Client<'a>,
}

/// Whose request it is.
pub(crate) struct Client<'a> {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) id: RequestId,
    /// Cancelled when the server is to end in good order.
    pub(crate) ending: Option<&'a Token>,
    /// Fields of an earlier response, whose memory the next may have.
    pub(crate) spare: Headers,
}

impl<'a> Request<'a> {
    /// A request of these parts.
    ///
    /// ```
    /// use raddle_http::{Params, Request, protocol::RequestHead};
    /// let head = RequestHead::new();
    /// let request = Request::new(&head, Params::default(), &mut std::io::empty()).method();
    /// ```
    pub fn new(head: &'a RequestHead, params: Params<'a>, body: &'a mut dyn Read) -> Request<'a> {
        let id = RequestId::given(head.headers());
        let id = id.unwrap_or_else(|| RequestId::made(ConnectionId::next(), 1));
        let client = Client { peer: None, id, ending: None, spare: Headers::new() };
        Request::of_client(head, params, body, client)
    }

    pub(crate) fn of_client(
        head: &'a RequestHead,
        params: Params<'a>,
        body: &'a mut dyn Read,
        client: Client<'a>,
    ) -> Request<'a> {
        Request { head, params, body, client }
    }

    /// The client's address, as the connection has it: behind a proxy it is the proxy's. `None` if the connection has no addresses.
    ///
    /// ```
    /// # use raddle_http::{Params, Request, protocol::RequestHead};
    /// let head = RequestHead::new();
    /// assert_eq!(Request::new(&head, Params::default(), &mut std::io::empty()).peer(), None);
    /// ```
    pub fn peer(&self) -> Option<SocketAddr> {
        self.client.peer
    }

    /// What it is called in logs.
    ///
    /// ```
    /// use raddle_http::{Params, Request, protocol::{Limits, RequestHead}};
    /// let head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: seven\r\n\r\n";
    /// let head = RequestHead::parse(head, &Limits::default()).unwrap();
    /// assert_eq!(Request::new(&head, Params::default(), &mut std::io::empty()).id().to_string(), "seven");
    /// ```
    pub fn id(&self) -> RequestId {
        self.client.id
    }

    /// Cancelled when the server begins to end in good order: for content that goes on and on. `None` if it is no server's.
    ///
    /// ```
    /// # use raddle_http::{Params, Request, protocol::RequestHead};
    /// let head = RequestHead::new();
    /// assert!(Request::new(&head, Params::default(), &mut std::io::empty()).ending().is_none());
    /// ```
    pub fn ending(&self) -> Option<&'a Token> {
        self.client.ending
    }

    /// A response without fields and content, in the memory that an earlier response's fields had: the first call for each request of a
    /// connection allocates nothing.
    ///
    /// ```
    /// # use raddle_http::{Params, Request, Status, protocol::RequestHead};
    /// let (head, mut content) = (RequestHead::new(), std::io::empty());
    /// let response = Request::new(&head, Params::default(), &mut content).reply(Status::NO_CONTENT);
    /// assert_eq!(response.status(), Status::NO_CONTENT);
    /// ```
    pub fn reply(&mut self, status: Status) -> Response {
        Response::reusing(std::mem::take(&mut self.client.spare), status)
    }

    /// The whole head.
    ///
    /// ```
    /// # use raddle_http::{Params, Request, protocol::RequestHead};
    /// let head = RequestHead::new();
    /// assert_eq!(Request::new(&head, Params::default(), &mut std::io::empty()).head().target(), "");
    /// ```
    pub fn head(&self) -> &'a RequestHead {
        self.head
    }

    /// What is asked for.
    ///
    /// ```
    /// # use raddle_http::{Method, Params, Request, protocol::RequestHead};
    /// let head = RequestHead::new();
    /// assert_eq!(Request::new(&head, Params::default(), &mut std::io::empty()).method(), Method::Get);
    /// ```
    pub fn method(&self) -> Method {
        self.head.method()
    }

    /// The path, not decoded.
    ///
    /// ```
    /// # use raddle_http::{Params, Request, protocol::RequestHead};
    /// let head = RequestHead::new();
    /// assert_eq!(Request::new(&head, Params::default(), &mut std::io::empty()).path(), "");
    /// ```
    pub fn path(&self) -> &'a str {
        self.head.path()
    }

    /// What follows the question mark, not decoded.
    ///
    /// ```
    /// # use raddle_http::{Params, Request, protocol::RequestHead};
    /// let head = RequestHead::new();
    /// assert_eq!(Request::new(&head, Params::default(), &mut std::io::empty()).query(), None);
    /// ```
    pub fn query(&self) -> Option<&'a str> {
        self.head.query()
    }

    /// The fields.
    ///
    /// ```
    /// # use raddle_http::{Params, Request, protocol::RequestHead};
    /// let head = RequestHead::new();
    /// assert!(Request::new(&head, Params::default(), &mut std::io::empty()).headers().is_empty());
    /// ```
    pub fn headers(&self) -> &'a Headers {
        self.head.headers()
    }

    /// What a parameter of the route stands for, decoded.
    ///
    /// ```
    /// use raddle_http::{Request, Router, protocol::RequestHead};
    /// let mut router = Router::new();
    /// router.insert("/x/{id}", ()).unwrap();
    /// let (head, found) = (RequestHead::new(), router.find("/x/7").unwrap());
    /// let mut content = std::io::empty();
    /// let request = Request::new(&head, found.params, &mut content);
    /// assert_eq!(request.param("id").as_deref(), Some("7"));
    /// ```
    pub fn param(&self, name: &str) -> Option<Cow<'a, str>> {
        self.params.get(name)
    }

    /// The content. Reading it asks a client for it that waits to be asked, with `100 Continue`. What is wrong with it comes as an error that
    /// holds the [`Fault`]: see [`fault_of`].
    ///
    /// ```
    /// # use raddle_http::{Params, Request, protocol::RequestHead};
    /// # use std::io::Read;
    /// let (head, mut content) = (RequestHead::new(), &b"ab"[..]);
    /// let mut request = Request::new(&head, Params::default(), &mut content);
    /// let mut first = [0];
    /// request.body().read_exact(&mut first).unwrap();
    /// assert_eq!(&first, b"a");
    /// ```
    pub fn body(&mut self) -> &mut dyn Read {
        self.body
    }

    /// All of the content, if it is no more than so many bytes.
    ///
    /// # Errors
    ///
    /// What reading says; and [`Fault::ContentTooLarge`], as an error.
    ///
    /// ```
    /// # use raddle_http::{Params, Request, fault_of, protocol::{Fault, RequestHead}};
    /// let (head, mut content) = (RequestHead::new(), &b"abc"[..]);
    /// let mut request = Request::new(&head, Params::default(), &mut content);
    /// let error = request.read_all(2).unwrap_err();
    /// assert_eq!(fault_of(&error), Some(Fault::ContentTooLarge));
    /// ```
    pub fn read_all(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let count = (&mut *self.body).take(most.saturating_add(1)).read_to_end(&mut content)?;
        if count as u64 > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Fault::ContentTooLarge));
        }
        Ok(content)
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("head", self.head).finish_non_exhaustive()
    }
}

/// What is wrong with a request's content, if an error of reading it says that.
///
/// ```
/// use raddle_http::{fault_of, protocol::Fault};
/// let error = std::io::Error::new(std::io::ErrorKind::InvalidData, Fault::BadChunkSize);
/// assert_eq!(fault_of(&error), Some(Fault::BadChunkSize));
/// ```
pub fn fault_of(error: &io::Error) -> Option<Fault> {
    error.get_ref()?.downcast_ref::<Fault>().copied()
}
