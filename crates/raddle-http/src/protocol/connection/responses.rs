//! Responses out: heads, content, trailers, and whether the connection goes on.

use super::super::chunked;
use super::super::fault::Fault;
use super::super::limits::Limits;
use super::super::writer::{self, Asked, Final, Length, Outgoing};
use super::{Connection, Incoming, Phase, Unfinished};
use crate::header::Header;
use crate::headers::Headers;
use crate::status::Status;
use crate::version::Version;

impl Connection {
    /// Sends an informational response ahead of the final one, such as `103 Early Hints`. Not to a client of HTTP/1.0, which must not get
    /// one: RFC 9110 section 15.2.
    ///
    /// # Panics
    ///
    /// If the status is not 1xx, or 101, which is a final one here.
    ///
    /// ```
    /// use raddle_http::{Header, Headers, Status};
    /// use raddle_http::protocol::{Connection, Limits, RequestHead};
    ///
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    /// connection.read_head(&mut RequestHead::new()).unwrap();
    /// let mut headers = Headers::new();
    /// headers.add(Header::Link, "</a.css>; rel=preload").unwrap();
    /// connection.inform(Status::EARLY_HINTS, &headers);
    /// assert_eq!(connection.output(), b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
    /// ```
    pub fn inform(&mut self, status: Status, headers: &Headers) {
        let is_informational = status.is_informational() && status != Status::SWITCHING_PROTOCOLS;
        assert!(is_informational, "{status} is no informational response");
        if self.phase == Phase::Request && self.asked.version == Version::Http11 {
            writer::write_informational(&mut self.output, status, headers);
        }
    }

    /// Begins the response to the request, or to none: who closes an idle connection may say 408 first. `date` is the current date's
    /// text, from a [`DateCache`](crate::DateCache).
    ///
    /// `Content-Length`, `Transfer-Encoding` and `Connection` are this connection's: the handler's are left out, but a `Connection: close`
    /// is obeyed, and the length in an answer to HEAD, or in a 304, is taken over. `101` hands the connection over; it needs the
    /// handler's `Connection` and `Upgrade`.
    ///
    /// # Panics
    ///
    /// If the status is informational, but for 101; or if the last response is not finished.
    ///
    /// ```
    /// use raddle_http::{Date, DateCache, Headers, Status};
    /// use raddle_http::protocol::{Connection, Length, Limits, RequestHead};
    ///
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    /// connection.read_head(&mut RequestHead::new()).unwrap();
    /// let mut date = DateCache::default();
    /// let date = date.text(Date::from_seconds(0));
    /// connection.respond(Status::NO_CONTENT, &Headers::new(), Length::Known(0), date);
    /// let answer = b"HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: close\r\n\r\n";
    /// assert_eq!(connection.output(), answer);
    /// ```
    pub fn respond(&mut self, status: Status, headers: &Headers, length: Length, date: &[u8; 29]) {
        let is_upgrade = status == Status::SWITCHING_PROTOCOLS;
        assert!(is_upgrade || !status.is_informational(), "{status} is not a final response");
        assert!(!matches!(self.phase, Phase::Response(_)), "the last response is not finished");
        if matches!(self.phase, Phase::Over | Phase::Upgraded) {
            return;
        }
        let outgoing = writer::outgoing(self.asked, status, length);
        self.closes = !is_upgrade && self.must_close(status, headers, outgoing);
        let (asked, closes) = (self.asked, self.closes);
        let response = Final { asked, status, headers, length, outgoing, closes };
        writer::write_head(&mut self.output, &response, date);
        self.phase = if is_upgrade { Phase::Upgraded } else { Phase::Response(outgoing) };
    }

    /// Whether this response is the connection's last.
    fn must_close(&self, status: Status, headers: &Headers, outgoing: Outgoing) -> bool {
        let is_told = headers.has_any(Header::Connection.bit())
            && headers.list(Header::Connection).any(|one| one.eq_ignore_ascii_case(b"close"));
        let is_tunnel = self.asked.is_connect && status.is_success();
        self.phase != Phase::Request
            || !self.is_persistent
            || self.is_last
            || self.served >= self.limits.requests
            || outgoing == Outgoing::UntilClose
            || is_told
            || is_tunnel
            || !self.can_discard()
    }

    /// Whether what is left of the request's content may be read for the sake of the next request.
    fn can_discard(&self) -> bool {
        match &self.incoming {
            Incoming::Length(0) => true,
            // A client that was not asked for it may send it or not: RFC 9110 section 10.1.1.
            _ if self.is_awaited => false,
            Incoming::Length(remaining) => *remaining <= self.limits.discard,
            // It may turn out to be too much; then the connection closes without having said so.
            Incoming::Chunked(_) => true,
            Incoming::Broken(_) => false,
        }
    }

    /// Whether content will be sent at all: not in answer to HEAD, nor with statuses that have none. A handler's content is dropped
    /// then, so it need not be made.
    ///
    /// ```
    /// # use raddle_http::{Date, DateCache, Headers, Status};
    /// # use raddle_http::protocol::{Connection, Length, Limits, RequestHead};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    /// connection.read_head(&mut RequestHead::new()).unwrap();
    /// let mut date = DateCache::default();
    /// let date = date.text(Date::from_seconds(0));
    /// connection.respond(Status::OK, &Headers::new(), Length::Known(5), date);
    /// assert!(!connection.wants_content());
    /// ```
    pub fn wants_content(&self) -> bool {
        !matches!(self.phase, Phase::Response(Outgoing::Nothing) | Phase::Over)
    }

    /// Adds content to the output. Of more than the response's length only the beginning is taken; how much, it says.
    ///
    /// # Panics
    ///
    /// If no response has begun.
    ///
    /// ```
    /// # use raddle_http::{Date, DateCache, Headers, Status};
    /// # use raddle_http::protocol::{Connection, Length, Limits, RequestHead};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    /// connection.read_head(&mut RequestHead::new()).unwrap();
    /// let mut date = DateCache::default();
    /// let date = date.text(Date::from_seconds(0));
    /// connection.respond(Status::OK, &Headers::new(), Length::Unknown, date);
    /// connection.write(b"hello");
    /// assert!(connection.output().ends_with(b"\r\n\r\n5\r\nhello\r\n"));
    /// ```
    pub fn write(&mut self, data: &[u8]) -> usize {
        match &mut self.phase {
            Phase::Response(Outgoing::Length(missing)) => {
                let count = usize::try_from(*missing).unwrap_or(usize::MAX).min(data.len());
                *missing -= count as u64;
                self.output.extend_from_slice(&data[..count]);
                count
            }
            Phase::Response(Outgoing::Chunked) => {
                chunked::write_chunk(&mut self.output, data);
                data.len()
            }
            Phase::Response(Outgoing::UntilClose) => {
                self.output.extend_from_slice(data);
                data.len()
            }
            Phase::Response(Outgoing::Nothing) | Phase::Over => data.len(),
            phase => panic!("no response has begun: {phase:?}"),
        }
    }

    /// Content of a known length that is sent past this connection, behind the [`output`](Connection::output): a file with `sendfile`, a
    /// large buffer as it is. Says how much may be sent, and counts it as sent.
    ///
    /// ```
    /// # use raddle_http::{Date, DateCache, Headers, Status};
    /// # use raddle_http::protocol::{Connection, Length, Limits, RequestHead};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    /// connection.read_head(&mut RequestHead::new()).unwrap();
    /// let mut date = DateCache::default();
    /// let date = date.text(Date::from_seconds(0));
    /// connection.respond(Status::OK, &Headers::new(), Length::Known(1 << 20), date);
    /// assert_eq!(connection.send_apart(1 << 20), 1 << 20);
    /// assert!(connection.finish(None).is_ok());
    /// ```
    pub fn send_apart(&mut self, count: u64) -> u64 {
        match &mut self.phase {
            Phase::Response(Outgoing::Length(missing)) => {
                let count = count.min(*missing);
                *missing -= count;
                count
            }
            _ => 0,
        }
    }

    /// Ends the response. Trailers go out if the content is chunked and the client has said that it reads them: RFC 9110
    /// section 6.5.1.
    ///
    /// # Errors
    ///
    /// [`Unfinished`] if content is missing; the connection is over then.
    ///
    /// # Panics
    ///
    /// If no response has begun.
    ///
    /// ```
    /// # use raddle_http::{Date, DateCache, Headers, Status};
    /// # use raddle_http::protocol::{Connection, Length, Limits, RequestHead, Unfinished};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    /// connection.read_head(&mut RequestHead::new()).unwrap();
    /// let mut date = DateCache::default();
    /// let date = date.text(Date::from_seconds(0));
    /// connection.respond(Status::OK, &Headers::new(), Length::Known(1), date);
    /// assert_eq!(connection.finish(None), Err(Unfinished));
    /// ```
    pub fn finish(&mut self, trailers: Option<&Headers>) -> Result<(), Unfinished> {
        let outgoing = match self.phase {
            Phase::Response(outgoing) => outgoing,
            Phase::Over | Phase::Upgraded => return Ok(()),
            phase => panic!("no response has begun: {phase:?}"),
        };
        match outgoing {
            Outgoing::Chunked => {
                let trailers = trailers.filter(|_| self.accepts_trailers);
                chunked::write_last_chunk(&mut self.output, trailers);
            }
            Outgoing::Length(1..) => {
                self.phase = Phase::Over;
                return Err(Unfinished);
            }
            Outgoing::Nothing | Outgoing::Length(0) | Outgoing::UntilClose => {}
        }
        // What is said next, a 408 for example, answers no HEAD any more.
        self.asked = Asked::default();
        self.gathered += 1;
        self.phase = if self.closes { Phase::Over } else { Phase::Head };
        Ok(())
    }

    /// Breaks the response off: the client sees by the connection's end that something is missing.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.abort();
    /// assert!(connection.is_over());
    /// ```
    pub fn abort(&mut self) {
        self.phase = Phase::Over;
    }

    /// Answers a fault: its status, and a line of text that names it. Within a response it is too late for that, and the response is broken
    /// off. The connection is over. How many bytes of content the answer has.
    ///
    /// ```
    /// use raddle_http::{Date, DateCache};
    /// use raddle_http::protocol::{Connection, Limits, RequestHead};
    ///
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET / HTTP/1.1\r\n\r\n");
    /// let fault = connection.read_head(&mut RequestHead::new()).unwrap_err();
    /// let mut date = DateCache::default();
    /// assert_eq!(connection.refuse(fault, date.text(Date::from_seconds(0))), 31);
    /// assert!(connection.output().starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    /// assert!(connection.output().ends_with(b"400 Bad Request: no Host field\n"));
    /// assert!(connection.is_over());
    /// ```
    pub fn refuse(&mut self, fault: Fault, date: &[u8; 29]) -> u64 {
        if matches!(self.phase, Phase::Response(_) | Phase::Over | Phase::Upgraded) {
            self.abort();
            return 0;
        }
        let text = format!("{}: {fault}\n", fault.status());
        let mut headers = Headers::new();
        headers.add(Header::ContentType, "text/plain; charset=utf-8").expect("valid");
        headers.add(Header::Connection, "close").expect("valid");
        self.respond(fault.status(), &headers, Length::Known(text.len() as u64), date);
        let written = if self.wants_content() { self.write(text.as_bytes()) } else { 0 };
        self.finish(None).expect("all was written");
        self.abort();
        written as u64
    }

    /// The limits that hold here.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// assert_eq!(Connection::new(&Limits::default()).limits(), &Limits::default());
    /// ```
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}
