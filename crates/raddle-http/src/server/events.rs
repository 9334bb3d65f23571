//! Server-sent events: a response that goes on, of which a page's script gets piece by piece. HTML Living Standard, section 9.2.

use crate::header::Header;
use crate::request::Request;
use crate::response::{Body, Response};
use crate::status::Status;
use raddle::cancel::Token;
use raddle::sync::channel::{Receiver, RecvTimeoutError};
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::time::Duration;

/// One event.
///
/// ```
/// use raddle_http::server::Event;
/// let event = Event::new("two\nlines").named("note").with_id("7");
/// assert_eq!(event.to_string(), "event: note\nid: 7\ndata: two\ndata: lines\n\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Fields that are no data, each with its line's end.
    fields: String,
    data: String,
}

impl Event {
    /// With this data. It may have several lines, whose ends all become line feeds, as scripts get them.
    ///
    /// ```
    /// assert_eq!(raddle_http::server::Event::new("a\r\nb").to_string(), "data: a\ndata: b\n\n");
    /// ```
    pub fn new(data: impl Into<String>) -> Event {
        Event { fields: String::new(), data: data.into() }
    }

    /// Of this type; `message` if it is not said.
    ///
    /// # Panics
    ///
    /// If the name has an end of a line.
    ///
    /// ```
    /// let event = raddle_http::server::Event::new("7").named("count");
    /// ```
    #[must_use]
    pub fn named(self, name: &str) -> Event {
        self.field("event", name)
    }

    /// The client tells this when it has lost the connection, and comes again: [`Events::last_id`].
    ///
    /// # Panics
    ///
    /// If it has an end of a line, or NUL, with which clients would ignore it.
    ///
    /// ```
    /// let event = raddle_http::server::Event::new("a").with_id("7");
    /// ```
    #[must_use]
    pub fn with_id(self, id: &str) -> Event {
        assert!(!id.contains('\0'), "an event's id has no NUL");
        self.field("id", id)
    }

    /// So long a client that has lost the connection waits before it comes again, from now on.
    ///
    /// ```
    /// use std::time::Duration;
    /// let event = raddle_http::server::Event::new("a").retry(Duration::from_secs(10));
    /// assert_eq!(event.to_string(), "retry: 10000\ndata: a\n\n");
    /// ```
    #[must_use]
    pub fn retry(self, time: Duration) -> Event {
        self.field("retry", &time.as_millis().to_string())
    }

    fn field(mut self, name: &str, value: &str) -> Event {
        assert!(!value.contains(['\n', '\r']), "an event's {name} is one line: {value:?}");
        _ = writeln!(self.fields, "{name}: {value}");
        self
    }
}

/// As it is sent.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fields)?;
        let data = self.data.replace("\r\n", "\n");
        for line in data.split(['\n', '\r']) {
            writeln!(f, "data: {line}")?;
        }
        f.write_char('\n')
    }
}

/// A stream of events, as its maker writes it. When the server is to end in good order, the next thing that is sent fails, the response ends, and the
/// client comes again, to the next server: so whoever sends now and then holds up the end until then at most. Who waits for longer
/// had better [`relay`](Events::relay).
///
/// ```
/// use raddle_http::server::{Event, Events, Server};
/// use raddle::thread;
/// use std::time::Duration;
///
/// let server = Server::new().route("/count", |request| {
///     let first = Events::last_id(request).and_then(|id| id.parse().ok()).map_or(0, |last: u64| last + 1);
///     Events::response(request, move |events| {
///         for count in first.. {
///             events.send(&Event::new(count.to_string()).with_id(&count.to_string()))?;
///             thread::sleep(Duration::from_secs(1));
///         }
///         Ok(())
///     })
/// })?;
/// # Ok::<(), raddle_http::InvalidRoute>(())
/// ```
pub struct Events<'a> {
    to: &'a mut dyn Write,
    ending: Option<Token>,
    /// Something was to be sent when the server was to end.
    has_ended: bool,
}

impl Events<'_> {
    /// A response whose events this function sends, on the connection's thread. If it returns the response is over, and the client comes
    /// again after a while; so it does after an error, which [`send`](Events::send) has when the client is gone.
    ///
    /// ```
    /// use raddle_http::{Params, Request, protocol::RequestHead, server::{Event, Events}};
    /// let (head, mut content) = (RequestHead::new(), std::io::empty());
    /// let mut request = Request::new(&head, Params::default(), &mut content);
    /// let response = Events::response(&mut request, |events| events.send(&Event::new("hello")));
    /// assert_eq!(response.headers().get("Content-Type"), Some(&b"text/event-stream"[..]));
    /// ```
    pub fn response(
        request: &mut Request<'_>,
        write: impl FnOnce(&mut Events<'_>) -> io::Result<()> + Send + 'static,
    ) -> Response {
        let ending = request.ending().cloned();
        let body = Body::writer(|to| {
            let mut events = Events { to, ending, has_ended: false };
            let result = write(&mut events);
            // That end is in order.
            if events.has_ended { Ok(()) } else { result }
        });
        // Proxies that gather what they pass on would keep events back: nginx is told by its own field.
        let response = request.reply(Status::OK).header(Header::ContentType, "text/event-stream");
        response
            .header(Header::CacheControl, "no-store")
            .header("X-Accel-Buffering", "no")
            .with_body(body)
    }

    /// The id of the last event that the client has got, if it has lost the connection since.
    ///
    /// ```
    /// use raddle_http::{Params, Request, protocol::{Limits, RequestHead}, server::Events};
    /// let head = RequestHead::parse(b"GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 7\r\n\r\n", &Limits::default()).unwrap();
    /// assert_eq!(Events::last_id(&Request::new(&head, Params::default(), &mut std::io::empty())), Some("7"));
    /// ```
    pub fn last_id<'r>(request: &Request<'r>) -> Option<&'r str> {
        request.headers().get_str("Last-Event-ID").filter(|id| !id.is_empty())
    }

    /// Sends an event at once.
    ///
    /// # Errors
    ///
    /// If the client is gone, or takes too long to read; `ConnectionAborted` if the server is to end in good order: then nothing was sent,
    /// and the response ends in good order, too, once the function that sends returns, whatever that returns.
    ///
    /// ```
    /// # use raddle_http::server::{Event, Events};
    /// fn hello(events: &mut Events<'_>) -> std::io::Result<()> {
    ///     events.send(&Event::new("hello"))
    /// }
    /// ```
    pub fn send(&mut self, event: &Event) -> io::Result<()> {
        self.go_on()?;
        write!(self.to, "{event}")?;
        self.to.flush()
    }

    fn go_on(&mut self) -> io::Result<()> {
        if self.ending.as_ref().is_some_and(Token::is_cancelled) {
            self.has_ended = true;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Sends a comment, of which scripts hear nothing: so that proxies do not take the connection for dead, and a client that is gone is found
    /// out.
    ///
    /// # Errors
    ///
    /// As [`send`](Events::send).
    ///
    /// ```
    /// # use raddle_http::server::{Event, Events};
    /// fn still_here(events: &mut Events<'_>) -> std::io::Result<()> {
    ///     events.keep_alive()
    /// }
    /// ```
    pub fn keep_alive(&mut self) -> io::Result<()> {
        self.go_on()?;
        self.to.write_all(b":\n\n")?;
        self.to.flush()
    }

    /// Sends what comes through this channel, all that is there at once together, and a comment whenever nothing has come for `quiet`: 15 s
    /// are usual. Returns when nobody can send any more, or the server is to end in good order: the client comes again, to the next one.
    ///
    /// # Errors
    ///
    /// As [`send`](Events::send).
    ///
    /// ```
    /// use raddle::sync::channel;
    /// use raddle_http::server::{Event, Events, Server};
    /// use std::time::Duration;
    ///
    /// let server = Server::new().route("/news", |request| {
    ///     let (say, said) = channel::bounded(16);
    ///     // Whoever has news keeps `say`.
    ///     say.send(Event::new("nothing yet")).unwrap();
    ///     Events::response(request, move |events| events.relay(&said, Duration::from_secs(15)))
    /// })?;
    /// # Ok::<(), raddle_http::InvalidRoute>(())
    /// ```
    pub fn relay(&mut self, from: &Receiver<Event>, quiet: Duration) -> io::Result<()> {
        loop {
            let next = match &self.ending {
                Some(ending) => ending.carry(|| from.recv_timeout(quiet)),
                None => Ok(from.recv_timeout(quiet)),
            };
            match next {
                Ok(Ok(first)) => {
                    write!(self.to, "{first}")?;
                    for event in from.try_iter() {
                        write!(self.to, "{event}")?;
                    }
                    self.to.flush()?;
                }
                Ok(Err(RecvTimeoutError::Timeout)) => self.keep_alive()?,
                Ok(Err(RecvTimeoutError::Disconnected)) | Err(_) => return Ok(()),
            }
        }
    }
}

impl fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_lines_whatever_ends_them() {
        for (data, expected) in [
            ("", "data: \n\n"),
            ("a\rb\nc\r\nd", "data: a\ndata: b\ndata: c\ndata: d\n\n"),
            (" a\n\n", "data:  a\ndata: \ndata: \n\n"),
            ("event: x", "data: event: x\n\n"),
        ] {
            assert_eq!(Event::new(data).to_string(), expected);
        }
    }

    #[test]
    #[should_panic = "one line"]
    fn no_name_makes_another_field() {
        _ = Event::new("a").named("b\ndata: c");
    }
}
