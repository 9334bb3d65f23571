//! What a handler answers.

use crate::header::Header;
use crate::headers::{Headers, Name};
use crate::protocol::Length;
use crate::status::Status;
use raddle::fs::File;
use std::fmt;
use std::io::{Read, Write};
use std::ops::Range;
use std::sync::Arc;

/// A response: a status, fields, and content. What frames it, `Content-Length` for example, is the connection's business.
///
/// ```
/// use raddle_http::{Header, Response, Status};
///
/// let response = Response::text("hello").header(Header::CacheControl, "no-store");
/// assert_eq!(response.status(), Status::OK);
/// assert_eq!(response.headers().get("content-type"), Some(&b"text/plain; charset=utf-8"[..]));
/// ```
#[derive(Debug)]
pub struct Response {
    status: Status,
    headers: Headers,
    body: Body,
}

/// A response's content.
///
/// ```
/// use raddle_http::{Body, protocol::Length};
///
/// assert_eq!(Body::from("hello").length(), Length::Known(5));
/// assert_eq!(Body::writer(|to| write!(to, "{}", 7)).length(), Length::Unknown);
/// ```
#[derive(Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// Bytes of the program itself.
    Static(&'static [u8]),
    /// Bytes made for this response.
    Bytes(Vec<u8>),
    /// Bytes that others hold as well: of a cache.
    Shared(Arc<[u8]>),
    /// A part of a file.
    File {
        /// The file; its position is not used.
        file: Arc<File>,
        /// Which bytes.
        range: Range<u64>,
    },
    /// One after the other: for several ranges of a file.
    Parts(Vec<Body>),
    /// Read from something, as it is sent.
    Reader {
        /// How much that will be, if it is known.
        length: Option<u64>,
        /// Where it comes from.
        reader: Box<dyn Read + Send>,
    },
    /// Written by a function, while it is sent: server-sent events, what is computed on the way. A flush sends what was written.
    Writer(WriteBody),
}

/// The function of a [`Body::Writer`].
pub type WriteBody = Box<dyn FnOnce(&mut dyn Write) -> std::io::Result<()> + Send>;

impl Response {
    /// Without fields and content.
    ///
    /// ```
    /// use raddle_http::{Response, Status};
    /// assert_eq!(Response::new(Status::NO_CONTENT).status().code(), 204);
    /// ```
    pub fn new(status: Status) -> Response {
        Response { status, headers: Headers::new(), body: Body::Empty }
    }

    /// The same on fields that were used before, whose memory is used again.
    ///
    /// ```
    /// use raddle_http::{Headers, Response, Status};
    /// let (_, headers, _) = Response::text("a").into_parts();
    /// assert!(Response::reusing(headers, Status::OK).headers().is_empty());
    /// ```
    pub fn reusing(mut headers: Headers, status: Status) -> Response {
        headers.clear();
        Response { status, headers, body: Body::Empty }
    }

    /// 200 with plain text.
    ///
    /// ```
    /// assert_eq!(raddle_http::Response::text(format!("{}", 7)).headers().len(), 1);
    /// ```
    pub fn text(text: impl Into<Body>) -> Response {
        Response::of_type("text/plain; charset=utf-8", text)
    }

    /// 200 with HTML.
    ///
    /// ```
    /// let response = raddle_http::Response::html("<p>hello");
    /// assert_eq!(response.headers().get("Content-Type"), Some(&b"text/html; charset=utf-8"[..]));
    /// ```
    pub fn html(text: impl Into<Body>) -> Response {
        Response::of_type("text/html; charset=utf-8", text)
    }

    /// 200 with JSON.
    ///
    /// ```
    /// let response = raddle_http::Response::json("{}");
    /// assert_eq!(response.headers().get("Content-Type"), Some(&b"application/json"[..]));
    /// ```
    pub fn json(text: impl Into<Body>) -> Response {
        Response::of_type("application/json", text)
    }

    /// 200 with content of that type.
    ///
    /// # Panics
    ///
    /// If the type holds control characters.
    ///
    /// ```
    /// let response = raddle_http::Response::of_type("image/svg+xml", "<svg/>");
    /// assert!(!response.body().is_empty());
    /// ```
    pub fn of_type(content_type: &str, body: impl Into<Body>) -> Response {
        Response::new(Status::OK).header(Header::ContentType, content_type).with_body(body)
    }

    /// Leads elsewhere: 301, 302, 303, 307 or 308, and where. RFC 9110 section 15.4.
    ///
    /// # Panics
    ///
    /// If the location holds control characters: one that comes from the client is to be encoded.
    ///
    /// ```
    /// use raddle_http::{Header, Response, Status};
    /// let response = Response::redirect(Status::SEE_OTHER, "/done");
    /// assert_eq!(response.headers().get(Header::Location), Some(&b"/done"[..]));
    /// ```
    pub fn redirect(status: Status, location: &str) -> Response {
        Response::new(status).header(Header::Location, location)
    }

    /// With this status.
    ///
    /// ```
    /// use raddle_http::{Response, Status};
    /// assert_eq!(Response::text("?").with_status(Status::NOT_FOUND).status(), Status::NOT_FOUND);
    /// ```
    pub fn with_status(self, status: Status) -> Response {
        Response { status, ..self }
    }

    /// With this field, beside others of its name.
    ///
    /// # Panics
    ///
    /// If the name is no token or the value holds control characters; [`Headers::add`] says it instead. Text from outside goes there.
    ///
    /// ```
    /// use raddle_http::{Header, Response};
    /// let response = Response::text("a").header(Header::SetCookie, "a=1").header("Set-Cookie", "b=2");
    /// assert_eq!(response.headers().get_all("set-cookie").count(), 2);
    /// ```
    pub fn header<'a>(mut self, name: impl Into<Name<'a>>, value: impl AsRef<[u8]>) -> Response {
        let name = name.into();
        if self.headers.add(name, value).is_err() {
            panic!("the field {name:?} can't be sent");
        }
        self
    }

    /// With this content.
    ///
    /// ```
    /// use raddle_http::{Body, Response, Status};
    /// assert!(Response::new(Status::OK).with_body(Body::Empty).body().is_empty());
    /// ```
    pub fn with_body(self, body: impl Into<Body>) -> Response {
        Response { body: body.into(), ..self }
    }

    /// The status.
    ///
    /// ```
    /// assert_eq!(raddle_http::Response::text("").status().code(), 200);
    /// ```
    pub fn status(&self) -> Status {
        self.status
    }

    /// The fields.
    ///
    /// ```
    /// use raddle_http::{Response, Status};
    /// assert!(Response::new(Status::OK).headers().is_empty());
    /// ```
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The fields, to change them.
    ///
    /// ```
    /// use raddle_http::{Response, Status};
    /// let mut response = Response::new(Status::OK);
    /// response.headers_mut().add("X-A", "1").unwrap();
    /// ```
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The content.
    ///
    /// ```
    /// use raddle_http::{Response, Status};
    /// assert!(Response::new(Status::OK).body().is_empty());
    /// ```
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// All three.
    ///
    /// ```
    /// let (status, headers, body) = raddle_http::Response::text("a").into_parts();
    /// assert_eq!((status.code(), headers.len(), body.is_empty()), (200, 1, false));
    /// ```
    pub fn into_parts(self) -> (Status, Headers, Body) {
        (self.status, self.headers, self.body)
    }
}

impl Body {
    /// Content that a function writes while it is sent.
    ///
    /// ```
    /// use raddle_http::{Body, Response};
    ///
    /// let response = Response::of_type("text/event-stream", Body::writer(|to| {
    ///     for count in 0..3 {
    ///         write!(to, "data: {count}\n\n")?;
    ///         to.flush()?;
    ///     }
    ///     Ok(())
    /// }));
    /// assert!(!response.body().is_empty());
    /// ```
    pub fn writer(
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
    ) -> Body {
        Body::Writer(Box::new(write))
    }

    /// How much it is.
    ///
    /// ```
    /// use raddle_http::{Body, protocol::Length};
    /// let parts = Body::Parts(vec![Body::from("ab"), Body::from(vec![1, 2, 3])]);
    /// assert_eq!(parts.length(), Length::Known(5));
    /// ```
    pub fn length(&self) -> Length {
        let known = |count: usize| Length::Known(count as u64);
        match self {
            Body::Empty => Length::Known(0),
            Body::Static(bytes) => known(bytes.len()),
            Body::Bytes(bytes) => known(bytes.len()),
            Body::Shared(bytes) => known(bytes.len()),
            Body::File { range, .. } => Length::Known(range.end.saturating_sub(range.start)),
            Body::Parts(parts) => {
                parts.iter().fold(Length::Known(0), |sum, part| match (sum, part.length()) {
                    (Length::Known(sum), Length::Known(part)) => Length::Known(sum + part),
                    _ => Length::Unknown,
                })
            }
            Body::Reader { length: Some(length), .. } => Length::Known(*length),
            Body::Reader { length: None, .. } | Body::Writer(_) => Length::Unknown,
        }
    }

    /// Whether it is known to be nothing.
    ///
    /// ```
    /// use raddle_http::Body;
    /// assert!(Body::from("").is_empty() && !Body::writer(|_| Ok(())).is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.length() == Length::Known(0)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Body {
        Body::Static(text.as_bytes())
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Body {
        Body::Static(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body::Bytes(text.into_bytes())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body::Bytes(bytes)
    }
}

impl From<Arc<[u8]>> for Body {
    fn from(bytes: Arc<[u8]>) -> Body {
        Body::Shared(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Body::Empty => "Empty",
            Body::Static(_) => "Static",
            Body::Bytes(_) => "Bytes",
            Body::Shared(_) => "Shared",
            Body::File { .. } => "File",
            Body::Parts(_) => "Parts",
            Body::Reader { .. } => "Reader",
            Body::Writer(_) => "Writer",
        };
        f.debug_tuple(kind).field(&self.length()).finish()
    }
}
