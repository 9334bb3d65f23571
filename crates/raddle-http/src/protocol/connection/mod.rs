//! A connection's course: requests in, responses out, one after the other, until it closes. RFC 9112 section 9.

mod requests;
mod responses;

use super::chunked::ChunkedDecoder;
use super::fault::Fault;
use super::head::Check;
use super::input::Input;
use super::limits::Limits;
use super::scan::Scanner;
use super::writer::{Asked, Outgoing};

/// The server's side of a connection, without the connection: bytes are put in, bytes are taken out.
///
/// Whoever has the socket does in turn:
///
/// 1. [`read_head`](Connection::read_head) until a request is there; for [`HeadStep::NeedsInput`], send what
///    [`output`](Connection::output) holds, read into [`space`](Connection::space), say how much with [`filled`](Connection::filled).
/// 2. [`read_body`](Connection::read_body), as much as the handler wants, in the same way.
/// 3. [`respond`](Connection::respond), [`write`](Connection::write) the content, [`finish`](Connection::finish).
/// 4. Send [`output`](Connection::output), at the latest when [`is_next_buffered`](Connection::is_next_buffered) says no; close if
///    [`is_over`](Connection::is_over), else begin anew.
///
/// A [`Fault`] on the way is answered by [`refuse`](Connection::refuse), or by a response of one's own; the connection is over then.
///
/// ```
/// use raddle_http::{DateCache, Date, Headers, Status};
/// use raddle_http::protocol::{Connection, HeadStep, Length, Limits, RequestHead};
///
/// let mut date = DateCache::default();
/// let mut connection = Connection::new(&Limits::default());
/// let mut head = RequestHead::new();
/// connection.receive(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
/// assert_eq!(connection.read_head(&mut head), Ok(HeadStep::Ready));
/// assert_eq!(head.path(), "/hello");
/// let date = date.text(Date::from_seconds(784111777));
/// connection.respond(Status::OK, &Headers::new(), Length::Known(5), date);
/// connection.write(b"hello");
/// connection.finish(None)?;
/// let answer = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 5\r\n\r\nhello";
/// assert_eq!(connection.output(), answer);
/// # Ok::<(), raddle_http::protocol::Unfinished>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    is_secure: bool,
    /// Of heads that were checked under these limits.
    check: Check,
    input: Input,
    is_input_over: bool,
    scanner: Scanner,
    output: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    phase: Phase,
    incoming: Incoming,
    /// The client waits for `100 Continue`.
    is_awaited: bool,
    asked: Asked,
    is_persistent: bool,
    accepts_trailers: bool,
    /// No request after this one, whatever the client wants.
    is_last: bool,
    /// The response says `Connection: close`.
    closes: bool,
    served: u64,
    /// Answers in the output.
    gathered: u64,
    /// Unwanted content that was read for this request.
    discarded: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The next thing is a head.
    Head,
    /// There is a request and no response yet.
    Request,
    /// There was none, for it was refused.
    Refused,
    Response(Outgoing),
    Over,
    Upgraded,
}

/// The request's content that was not taken yet.
#[derive(Debug)]
enum Incoming {
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    /// Nobody knows where it ends.
    Broken(Fault),
}

/// What [`Connection::read_head`] has found.
///
/// ```
/// use raddle_http::protocol::{Connection, HeadStep, Limits, RequestHead};
/// let mut connection = Connection::new(&Limits::default());
/// assert_eq!(connection.read_head(&mut RequestHead::new()), Ok(HeadStep::NeedsInput));
/// connection.end_of_input();
/// assert_eq!(connection.read_head(&mut RequestHead::new()), Ok(HeadStep::Closed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadStep {
    /// The head is filled.
    Ready,
    /// More bytes must come; send the output first.
    NeedsInput,
    /// No request comes any more: the client has closed, or the last response has said so.
    Closed,
}

/// What [`Connection::read_body`] has found.
///
/// ```
/// use raddle_http::protocol::BodyStep;
/// assert_ne!(BodyStep::Data(1), BodyStep::End);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStep {
    /// So many bytes were copied.
    Data(usize),
    /// More bytes must come; send the output first, as it may hold `100 Continue`.
    NeedsInput,
    /// The content is over, and so are its trailers.
    End,
}

/// A response with less content than its length had said. The client sees it by the connection's end.
///
/// ```
/// use raddle_http::protocol::Unfinished;
/// assert_eq!(Unfinished.to_string(), "the content is shorter than its length");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished;

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the content is shorter than its length")
    }
}

impl std::error::Error for Unfinished {}

impl Connection {
    /// A connection without TLS on which nothing has happened.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// assert!(Connection::new(&Limits::default()).output().is_empty());
    /// ```
    pub fn new(limits: &Limits) -> Connection {
        Connection {
            limits: *limits,
            is_secure: false,
            check: Check::new(),
            input: Input::default(),
            is_input_over: false,
            scanner: Scanner::default(),
            output: Vec::new(),
            sent: 0,
            phase: Phase::Head,
            incoming: Incoming::Length(0),
            is_awaited: false,
            asked: Asked::default(),
            is_persistent: false,
            accepts_trailers: false,
            is_last: false,
            closes: false,
            served: 0,
            gathered: 0,
            discarded: 0,
        }
    }

    /// The same over TLS, where a target may say `https`. RFC 9110 section 7.4.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, HeadStep, Limits, RequestHead};
    /// let mut connection = Connection::secure(&Limits::default());
    /// connection.receive(b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n");
    /// assert_eq!(connection.read_head(&mut RequestHead::new()), Ok(HeadStep::Ready));
    /// ```
    pub fn secure(limits: &Limits) -> Connection {
        Connection { is_secure: true, ..Connection::new(limits) }
    }

    /// Other limits, for the next request and those after it. What has come of its head already is looked at anew.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Fault, Limits, RequestHead};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET /a/long/target HTTP/1.1\r\nHost: a\r\n\r\n");
    /// connection.set_limits(&Limits { target_size: 8, ..Limits::default() });
    /// assert_eq!(connection.read_head(&mut RequestHead::new()), Err(Fault::TargetTooLong));
    /// ```
    pub fn set_limits(&mut self, limits: &Limits) {
        self.limits = *limits;
        self.check = Check::new();
        self.scanner = Scanner::default();
    }

    /// Room for bytes from the client; never empty.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.space()[0] = b'G';
    /// connection.filled(1);
    /// ```
    pub fn space(&mut self) -> &mut [u8] {
        self.input.space()
    }

    /// So many bytes of the [`space`](Connection::space) were written.
    ///
    /// # Panics
    ///
    /// If there is less space.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.space()[..3].copy_from_slice(b"GET");
    /// connection.filled(3);
    /// ```
    pub fn filled(&mut self, count: usize) {
        self.input.filled(count);
    }

    /// Takes bytes from the client, by copying them.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// Connection::new(&Limits::default()).receive(b"GET");
    /// ```
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// The client will send no more. What it has sent is still answered.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Fault, Limits, RequestHead};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET / HT");
    /// connection.end_of_input();
    /// assert_eq!(connection.read_head(&mut RequestHead::new()), Err(Fault::IncompleteHead));
    /// ```
    pub fn end_of_input(&mut self) {
        self.is_input_over = true;
    }

    /// What is to be sent to the client.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// assert!(Connection::new(&Limits::default()).output().is_empty());
    /// ```
    pub fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// The [`output`](Connection::output), and the [`space`](Connection::space) for what is read next: for who sends the one and reads into the
    /// other in one wait.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// let mut connection = Connection::new(&Limits::default());
    /// let (output, space) = connection.output_and_space();
    /// assert!(output.is_empty() && !space.is_empty());
    /// ```
    pub fn output_and_space(&mut self) -> (&[u8], &mut [u8]) {
        (&self.output[self.sent..], self.input.space())
    }

    /// So many bytes of the [`output`](Connection::output) were sent.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    ///
    /// ```
    /// # use raddle_http::{Date, DateCache, Headers, Status, protocol::{Connection, Length, Limits}};
    /// let mut connection = Connection::new(&Limits::default());
    /// let mut date = DateCache::default();
    /// let date = date.text(Date::from_seconds(0));
    /// connection.respond(Status::SERVICE_UNAVAILABLE, &Headers::new(), Length::Known(0), date);
    /// connection.sent(connection.output().len());
    /// assert!(connection.output().is_empty());
    /// ```
    pub fn sent(&mut self, count: usize) {
        assert!(count <= self.output.len() - self.sent, "more than the output was sent");
        self.sent += count;
        if self.sent == self.output.len() {
            self.output.clear();
            (self.sent, self.gathered) = (0, 0);
        }
    }

    /// Whether as many answers stand in the output as may be [gathered](Limits::pipelined): it is to be sent before another request is read.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// assert!(!Connection::new(&Limits::default()).has_gathered());
    /// ```
    pub fn has_gathered(&self) -> bool {
        self.gathered >= self.limits.pipelined.max(1)
    }

    /// Whether nothing will be read any more: once the output is sent, the connection is to be closed. A client that may still be sending
    /// is read from for a while before, lest it lose the answer: RFC 9112 section 9.6.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// assert!(!Connection::new(&Limits::default()).is_over());
    /// ```
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether another protocol goes on here: [`unread`](Connection::unread) is its beginning. RFC 9110 section 7.8.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// assert!(!Connection::new(&Limits::default()).is_upgraded());
    /// ```
    pub fn is_upgraded(&self) -> bool {
        self.phase == Phase::Upgraded
    }

    /// What has arrived and was not taken.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET");
    /// assert_eq!(connection.unread(), b"GET");
    /// ```
    pub fn unread(&self) -> &[u8] {
        self.input.unread()
    }

    /// Whether the client may be sending what nobody will read: the rest of a refused request, or the next one. Closing then may cost it the
    /// answer.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits, RequestHead};
    /// let mut connection = Connection::new(&Limits::default());
    /// assert!(!connection.is_client_sending());
    /// connection.receive(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    /// connection.read_head(&mut RequestHead::new()).unwrap();
    /// assert!(connection.is_client_sending());
    /// ```
    pub fn is_client_sending(&self) -> bool {
        let is_content_left = match &self.incoming {
            Incoming::Length(length) => *length > 0,
            Incoming::Chunked(decoder) => !decoder.is_over(),
            Incoming::Broken(_) => true,
        };
        !self.is_input_over && (is_content_left || !self.input.is_empty())
    }

    /// Whether there is content in chunks of which the end has not been read: nobody knows yet whether it is well-formed.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits, RequestHead};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    /// connection.read_head(&mut RequestHead::new()).unwrap();
    /// assert!(connection.is_in_chunks());
    /// connection.read_body(&mut [0]).unwrap();
    /// assert!(!connection.is_in_chunks());
    /// ```
    pub fn is_in_chunks(&self) -> bool {
        matches!(&self.incoming, Incoming::Chunked(decoder) if !decoder.is_over())
    }

    /// How many requests have come.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// assert_eq!(Connection::new(&Limits::default()).served(), 0);
    /// ```
    pub fn served(&self) -> u64 {
        self.served
    }

    /// The request that is being served, or the next one, is the last: for a server that is asked to end.
    ///
    /// ```
    /// # use raddle_http::{DateCache, Date, Headers, Status};
    /// # use raddle_http::protocol::{Connection, Length, Limits, RequestHead};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    /// connection.read_head(&mut RequestHead::new()).unwrap();
    /// connection.close_after_this();
    /// let mut date = DateCache::default();
    /// let date = date.text(Date::from_seconds(0));
    /// connection.respond(Status::OK, &Headers::new(), Length::Known(0), date);
    /// connection.finish(None).unwrap();
    /// assert!(connection.is_over());
    /// ```
    pub fn close_after_this(&mut self) {
        self.is_last = true;
    }

    /// Gives back the memory of buffers in which nothing stands: for a connection that will be idle for long.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.space();
    /// connection.release_memory();
    /// ```
    pub fn release_memory(&mut self) {
        self.input.release();
        if self.output.is_empty() {
            self.output = Vec::new();
        }
    }
}
