//! Requests in: heads, and their content.

use super::super::chunked::{ChunkedDecoder, Piece};
use super::super::fault::Fault;
use super::super::framing::Framing;
use super::super::head::RequestHead;
use super::super::scan::Scanner;
use super::super::writer::{self, Asked};
use super::{BodyStep, Connection, HeadStep, Incoming, Phase};
use crate::header::Header;
use crate::headers::Headers;
use crate::method::Method;
use crate::status::Status;

impl Connection {
    /// Looks for the next request. What is left of the last one's content is read and dropped first.
    ///
    /// # Errors
    ///
    /// The [`Fault`] for which the request must be refused.
    ///
    /// # Panics
    ///
    /// If the last request has not been answered to the end.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Fault, Limits, RequestHead};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET / HTTP/1.1\n");
    /// assert_eq!(connection.read_head(&mut RequestHead::new()), Err(Fault::BareLf));
    /// ```
    pub fn read_head(&mut self, head: &mut RequestHead) -> Result<HeadStep, Fault> {
        match self.phase {
            Phase::Head => {}
            Phase::Over | Phase::Upgraded => return Ok(HeadStep::Closed),
            phase => panic!("the last request is not answered: {phase:?}"),
        }
        if !matches!(self.incoming, Incoming::Length(0))
            && let Some(step) = self.discard()
        {
            return Ok(step);
        }
        match self.find_head(head) {
            Ok(step) => Ok(step),
            Err(fault) => {
                // The answer to HEAD has no content even so, if the method could be told.
                self.asked.is_head = head.method() == Method::Head;
                self.phase = Phase::Refused;
                self.incoming = Incoming::Broken(fault);
                Err(fault)
            }
        }
    }

    #[inline]
    fn find_head(&mut self, head: &mut RequestHead) -> Result<HeadStep, Fault> {
        let unread = self.input.unread();
        // Mostly: the last answer has just been given.
        if unread.is_empty() && !self.is_input_over {
            return Ok(HeadStep::NeedsInput);
        }
        let end = if let Some(end) = head.begins(unread, self.check) {
            end
        } else {
            // Of one that can't even be found nobody knows the method.
            let found = self.scanner.head(unread, &self.limits).inspect_err(|_| head.forget())?;
            let Some(found) = found else {
                if !self.is_input_over {
                    return Ok(HeadStep::NeedsInput);
                }
                // Empty lines are no request.
                if unread.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                    self.phase = Phase::Over;
                    return Ok(HeadStep::Closed);
                }
                return Err(Fault::IncompleteHead);
            };
            head.fill(unread, found, &self.limits, self.is_secure)?;
            head.set_check(self.check);
            found.end
        };
        self.input.consume(end);
        self.scanner = Scanner::default();
        self.incoming = match head.framing() {
            Framing::Length(length) => Incoming::Length(length),
            Framing::Chunked => Incoming::Chunked(Box::new(ChunkedDecoder::new(&self.limits))),
        };
        self.is_awaited = head.expects_continue() && head.framing() != Framing::Length(0);
        self.asked = Asked {
            version: head.version(),
            is_head: head.method() == Method::Head,
            is_connect: head.method() == Method::Connect,
        };
        self.is_persistent = head.is_persistent();
        self.accepts_trailers = head.headers().contains(Header::Te) && head.accepts_trailers();
        self.served += 1;
        self.discarded = 0;
        self.phase = Phase::Request;
        Ok(HeadStep::Ready)
    }

    /// Drops what is left of the last request's content; `None` once it is gone.
    fn discard(&mut self) -> Option<HeadStep> {
        loop {
            let step = match self.advance(usize::MAX) {
                Ok((_, Piece::End)) => return None,
                Ok((consumed, Piece::Data(range))) => {
                    self.input.consume(consumed);
                    self.discarded = self.discarded.saturating_add(range.len() as u64);
                    if self.discarded <= self.limits.discard {
                        continue;
                    }
                    HeadStep::Closed
                }
                Ok((_, Piece::NeedsInput)) if !self.is_input_over => HeadStep::NeedsInput,
                Ok((_, Piece::NeedsInput)) | Err(_) => HeadStep::Closed,
            };
            if step == HeadStep::Closed {
                self.phase = Phase::Over;
            }
            return Some(step);
        }
    }

    /// Finds the next piece of content, of so many bytes at most. Data is left in the input; all else is consumed.
    fn advance(&mut self, most: usize) -> Result<(usize, Piece), Fault> {
        let unread = self.input.unread();
        let (consumed, piece) = match &mut self.incoming {
            Incoming::Length(0) => (0, Piece::End),
            Incoming::Length(remaining) => {
                let count = unread.len().min(most).min(usize::try_from(*remaining).unwrap_or(most));
                *remaining -= count as u64;
                if count == 0 { (0, Piece::NeedsInput) } else { (count, Piece::Data(0..count)) }
            }
            Incoming::Chunked(decoder) => decoder.advance_by(unread, most)?,
            Incoming::Broken(fault) => return Err(*fault),
        };
        if !matches!(piece, Piece::Data(_)) {
            self.input.consume(consumed);
        }
        Ok((consumed, piece))
    }

    /// Copies the request's content, as far as it has come. The first call asks the client for it, if it waits for that: the answer
    /// `100 Continue` stands in the output.
    ///
    /// # Errors
    ///
    /// The [`Fault`], if the content is malformed, too large, or ends too early.
    ///
    /// ```
    /// use raddle_http::protocol::{BodyStep, Connection, HeadStep, Limits, RequestHead};
    ///
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    /// assert_eq!(connection.read_head(&mut RequestHead::new()), Ok(HeadStep::Ready));
    /// let mut content = [0; 4];
    /// assert_eq!(connection.read_body(&mut content), Ok(BodyStep::Data(2)));
    /// assert_eq!(connection.read_body(&mut content), Ok(BodyStep::NeedsInput));
    /// connection.receive(b"cd");
    /// assert_eq!(connection.read_body(&mut content[2..]), Ok(BodyStep::Data(2)));
    /// assert_eq!(connection.read_body(&mut content), Ok(BodyStep::End));
    /// assert_eq!(&content, b"abcd");
    /// ```
    pub fn read_body(&mut self, to: &mut [u8]) -> Result<BodyStep, Fault> {
        if to.is_empty() {
            return Ok(BodyStep::Data(0));
        }
        if self.is_awaited {
            self.is_awaited = false;
            // Within a response it would be taken for its content.
            if self.phase == Phase::Request {
                writer::write_informational(&mut self.output, Status::CONTINUE, &Headers::new());
            }
        }
        let result = match self.advance(to.len()) {
            Ok((_, Piece::NeedsInput)) if self.is_input_over => Err(Fault::IncompleteBody),
            Ok((_, Piece::NeedsInput)) => Ok(BodyStep::NeedsInput),
            Ok((_, Piece::End)) => Ok(BodyStep::End),
            Ok((consumed, Piece::Data(range))) => {
                let count = range.len();
                to[..count].copy_from_slice(&self.input.unread()[range]);
                self.input.consume(consumed);
                Ok(BodyStep::Data(count))
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = result {
            self.incoming = Incoming::Broken(fault);
        }
        result
    }

    /// How many bytes of content may be read from the client straight into the handler's memory, past this connection: 0 unless
    /// the length is known, nothing is buffered, and the client does not wait for `100 Continue`.
    ///
    /// ```
    /// use raddle_http::protocol::{BodyStep, Connection, Limits, RequestHead};
    ///
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    /// connection.read_head(&mut RequestHead::new()).unwrap();
    /// assert_eq!(connection.direct(), 4);
    /// connection.passed(4);
    /// assert_eq!(connection.read_body(&mut [0]), Ok(BodyStep::End));
    /// ```
    pub fn direct(&self) -> u64 {
        match self.incoming {
            Incoming::Length(length) if self.input.is_empty() && !self.is_awaited => length,
            _ => 0,
        }
    }

    /// So many bytes went past, as [`direct`](Connection::direct) had allowed.
    ///
    /// # Panics
    ///
    /// If it had not.
    ///
    /// ```should_panic
    /// # use raddle_http::protocol::{Connection, Limits};
    /// Connection::new(&Limits::default()).passed(1);
    /// ```
    pub fn passed(&mut self, count: u64) {
        assert!(count <= self.direct(), "more went past than was allowed");
        if let Incoming::Length(remaining) = &mut self.incoming {
            *remaining -= count;
        }
    }

    /// The fields that followed the request's content, once [`read_body`](Connection::read_body) has reached its end.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// assert!(Connection::new(&Limits::default()).trailers().is_none());
    /// ```
    pub fn trailers(&self) -> Option<&Headers> {
        match &self.incoming {
            Incoming::Chunked(decoder) => Some(decoder.trailers()),
            _ => None,
        }
    }

    /// Whether the next request's head has arrived whole, or is beyond hope: then the output may wait and go out together with its
    /// answer. Only between requests.
    ///
    /// ```
    /// # use raddle_http::protocol::{Connection, Limits};
    /// let mut connection = Connection::new(&Limits::default());
    /// connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    /// assert!(connection.is_next_buffered());
    /// ```
    pub fn is_next_buffered(&mut self) -> bool {
        if self.phase != Phase::Head || self.input.is_empty() {
            return false;
        }
        let is_between = matches!(self.incoming, Incoming::Length(0)) || self.discard().is_none();
        is_between && self.scanner.head(self.input.unread(), &self.limits) != Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date::{Date, DateCache};
    use crate::protocol::{Length, Limits};

    const HEAD: &[u8] = b"GET /a/long/target HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";

    fn answer(connection: &mut Connection) {
        let mut date = DateCache::default();
        let date = date.text(Date::from_seconds(784_111_777));
        connection.respond(Status::OK, &Headers::new(), Length::Known(0), date);
        connection.finish(None).expect("there is no content");
    }

    #[test]
    fn the_same_head_again_is_the_same_request() {
        const OTHER: &[u8] = b"GET /another/target HTTP/1.1\r\nHost: a\r\nX: z\r\n\r\n";
        let (mut connection, mut head) = (Connection::new(&Limits::default()), RequestHead::new());
        let in_pieces = [&HEAD[..7], &HEAD[7..40], &HEAD[40..]];
        for pieces in [&[HEAD][..], &[HEAD], &[b"\r\n", HEAD], &in_pieces, &[OTHER], &[HEAD]] {
            for (at, piece) in pieces.iter().enumerate() {
                connection.receive(piece);
                let is_last = at + 1 == pieces.len();
                let expected = if is_last { HeadStep::Ready } else { HeadStep::NeedsInput };
                assert_eq!(connection.read_head(&mut head), Ok(expected));
            }
            let (target, x) = match pieces {
                [OTHER] => ("/another/target", b"z"),
                _ => ("/a/long/target", b"y"),
            };
            assert_eq!((head.target(), head.headers().get("x")), (target, Some(&x[..])));
            assert_eq!(head.host(), Some("a"));
            answer(&mut connection);
        }
    }

    #[test]
    fn a_fault_after_head_is_answered_with_content() {
        let (mut connection, mut head) = (Connection::new(&Limits::default()), RequestHead::new());
        connection.receive(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(connection.read_head(&mut head), Ok(HeadStep::Ready));
        answer(&mut connection);
        let sent = connection.output().len();
        connection.receive(b"GET / HTTP/1.1\n");
        let fault = connection.read_head(&mut head).expect_err("a bare line feed");
        let mut date = DateCache::default();
        connection.refuse(fault, date.text(Date::from_seconds(784_111_777)));
        let answer = String::from_utf8_lossy(&connection.output()[sent..]).into_owned();
        assert!(
            answer.split_once("\r\n\r\n").is_some_and(|(_, content)| !content.is_empty()),
            "{answer}"
        );
    }

    #[test]
    fn limits_that_have_changed_hold_for_the_same_head() {
        let mut connection = Connection::new(&Limits::default());
        let mut head = RequestHead::new();
        connection.receive(HEAD);
        assert_eq!(connection.read_head(&mut head), Ok(HeadStep::Ready));
        answer(&mut connection);
        connection.set_limits(&Limits { target_size: 8, ..Limits::default() });
        connection.receive(HEAD);
        assert_eq!(connection.read_head(&mut head), Err(Fault::TargetTooLong));
    }

    #[test]
    fn a_head_that_another_has_checked_is_checked_again() {
        let mut head = RequestHead::parse(HEAD, &Limits::default()).expect("a good head");
        let mut connection = Connection::new(&Limits { fields: 1, ..Limits::default() });
        connection.receive(HEAD);
        assert_eq!(connection.read_head(&mut head), Err(Fault::TooManyFields));
    }
}
