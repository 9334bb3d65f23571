//! The least server that drives a [`Connection`] as a real one does, without sockets: bytes in pieces go in, bytes come out. For tests
//! and fuzz targets.
#![allow(dead_code, reason = "each test uses its part")]

use raddle_http::protocol::{BodyStep, Connection, Fault, HeadStep, Length, Limits, RequestHead};
use raddle_http::semantics::{Coding, Content, Part, Representation, Validators, serve};
use raddle_http::{Date, DateCache, Header, Headers, Method, Response, Status};

/// The clock stands still: Sun, 06 Nov 2022 08:49:37 GMT.
pub(crate) const NOW: u64 = 1_667_724_577;

/// The content of `/file`, which was last changed on Sun, 06 Nov 1994 08:49:37 GMT and has the tag `"v1"`.
pub(crate) const FILE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz\
    0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";

/// What came of some input.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Answer {
    /// All that was sent.
    pub(crate) output: Vec<u8>,
    /// The server has closed before the client had.
    pub(crate) closes: bool,
    /// What the handlers saw.
    pub(crate) seen: Vec<Seen>,
    /// Why the last request was refused.
    pub(crate) fault: Option<Fault>,
}

/// A request, as a handler saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: usize,
}

/// What the limits are here, unless a test says otherwise: small enough to be met.
pub(crate) fn limits() -> Limits {
    Limits {
        target_size: 100,
        head_size: 2_000,
        fields: 20,
        body_size: 1_000,
        trailer_size: 100,
        chunk_extensions: 20,
        discard: 100,
        pipelined: 100,
        requests: 50,
    }
}

/// Answers input that arrives in these pieces, after which the client sends no more.
pub(crate) fn answer<'a>(limits: &Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Answer {
    let mut responder = Responder::new(limits);
    for piece in pieces {
        responder.connection.receive(piece);
        responder.drive();
        if responder.is_over() {
            break;
        }
    }
    responder.answer.closes = responder.is_over();
    responder.connection.end_of_input();
    responder.drive();
    responder.answer
}

struct Responder {
    connection: Connection,
    head: RequestHead,
    date: DateCache,
    state: State,
    answer: Answer,
}

enum State {
    Head,
    /// The handler reads, and has got so much.
    Body(Vec<u8>),
}

impl Responder {
    fn new(limits: &Limits) -> Responder {
        Responder {
            connection: Connection::new(limits),
            head: RequestHead::new(),
            date: DateCache::default(),
            state: State::Head,
            answer: Answer::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.connection.is_over() || self.connection.is_upgraded()
    }

    /// Goes as far as the input reaches.
    fn drive(&mut self) {
        while self.step() {}
        let output = self.connection.output();
        self.answer.output.extend_from_slice(output);
        let count = output.len();
        self.connection.sent(count);
    }

    fn date(&mut self) -> [u8; 29] {
        *self.date.text(Date::from_seconds(NOW))
    }

    fn refuse(&mut self, fault: Fault) {
        let date = self.date();
        self.answer.fault = Some(fault);
        self.connection.refuse(fault, &date);
        self.state = State::Head;
    }

    /// Whether there may be more to do.
    fn step(&mut self) -> bool {
        match &mut self.state {
            State::Head => match self.connection.read_head(&mut self.head) {
                Ok(HeadStep::Ready) if reads(self.head.path()) => {
                    self.state = State::Body(Vec::new())
                }
                Ok(HeadStep::Ready) => self.handle(Vec::new()),
                Ok(HeadStep::NeedsInput | HeadStep::Closed) => return false,
                Err(fault) => self.refuse(fault),
            },
            State::Body(body) => {
                let mut piece = [0; 7];
                match self.connection.read_body(&mut piece) {
                    Ok(BodyStep::Data(count)) => body.extend_from_slice(&piece[..count]),
                    Ok(BodyStep::NeedsInput) => return false,
                    Ok(BodyStep::End) => {
                        let body = std::mem::take(body);
                        self.state = State::Head;
                        self.handle(body);
                    }
                    Err(fault) => self.refuse(fault),
                }
            }
        }
        true
    }

    fn handle(&mut self, body: Vec<u8>) {
        let field = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_owned());
        self.answer.seen.push(Seen {
            method: self.head.method().to_string(),
            target: self.head.target().to_owned(),
            fields: self.head.headers().iter().map(field).collect(),
            body: body.clone(),
            trailers: self.connection.trailers().map_or(0, Headers::len),
        });
        let date = self.date();
        let connection = &mut self.connection;
        match self.head.path() {
            "/stream" => {
                let mut trailers = Headers::new();
                trailers.add("X-Sum", "5").unwrap();
                trailers.add("Content-Length", "9").unwrap();
                connection.respond(Status::OK, &Headers::new(), Length::Unknown, &date);
                connection.write(b"hel");
                connection.write(b"");
                connection.write(b"lo");
                connection.finish(Some(&trailers)).unwrap();
            }
            "/short" => {
                connection.respond(Status::OK, &Headers::new(), Length::Known(9), &date);
                connection.write(b"hello");
                connection.finish(None).unwrap_err();
            }
            "/long" => {
                connection.respond(Status::OK, &Headers::new(), Length::Known(2), &date);
                assert!(connection.write(b"hello") == 2 || !connection.wants_content());
                connection.finish(None).unwrap();
            }
            "/hints" => {
                let mut headers = Headers::new();
                headers.add("Link", "</a>").unwrap();
                connection.inform(Status::EARLY_HINTS, &headers);
                send(connection, Response::text("hello"), &date);
            }
            _ => {
                let response = respond(&self.head, connection.trailers(), body);
                send(connection, response, &date);
            }
        }
    }
}

/// Whether the handler reads the content before it answers.
fn reads(path: &str) -> bool {
    path != "/ignore"
}

fn send(connection: &mut Connection, response: Response, date: &[u8; 29]) {
    let (status, headers, body) = response.into_parts();
    connection.respond(status, &headers, body.length(), date);
    match body {
        raddle_http::Body::Empty => {}
        raddle_http::Body::Static(bytes) => _ = connection.write(bytes),
        raddle_http::Body::Bytes(bytes) => _ = connection.write(&bytes),
        other => panic!("nobody here makes {other:?}"),
    }
    if !connection.is_upgraded() {
        connection.finish(None).unwrap();
    }
}

fn respond(head: &RequestHead, trailers: Option<&Headers>, body: Vec<u8>) -> Response {
    let methods = [Method::Get, Method::Head, Method::Options, Method::Post, Method::Put];
    match head.method() {
        Method::Extension(_) => return Response::new(Status::NOT_IMPLEMENTED),
        Method::Options => {
            let allow = Method::list(&methods);
            return Response::new(Status::NO_CONTENT).header(Header::Allow, allow);
        }
        method if !methods.contains(&method) => {
            let allow = Method::list(&methods);
            return Response::new(Status::METHOD_NOT_ALLOWED).header(Header::Allow, allow);
        }
        _ => {}
    }
    match head.path() {
        "/" | "/ignore" => Response::text("hello"),
        "/echo" => Response::of_type("application/octet-stream", body),
        "/trailers" => {
            let line = |(name, value): (&str, &[u8])| format!("{name}={}\n", value.escape_ascii());
            Response::text(
                trailers.into_iter().flat_map(Headers::iter).map(line).collect::<String>(),
            )
        }
        "/file" => file(head),
        "/where" => {
            let (host, query) = (head.host().unwrap_or("-"), head.query().unwrap_or("-"));
            Response::text(format!("{} {host} {} {query}", head.target(), head.path()))
        }
        "/fields" => {
            let line = |(name, value): (&str, &[u8])| format!("{name}={}\n", value.escape_ascii());
            Response::text(head.headers().iter().map(line).collect::<String>())
        }
        "/204" => Response::new(Status::NO_CONTENT).with_body("never sent"),
        "/205" => Response::new(Status::RESET_CONTENT).with_body("never sent"),
        "/304" => Response::new(Status::NOT_MODIFIED).header("Content-Length", "5").with_body("x"),
        "/299" => Response::new(Status::new(299).unwrap()),
        "/close" => Response::text("bye").header("Connection", "x, Close"),
        "/described" => Response::new(Status::OK).header("Content-Length", "77"),
        "/upgrade" => Response::new(Status::SWITCHING_PROTOCOLS)
            .header("Connection", "upgrade")
            .header("Upgrade", "echo"),
        "/forged" => Response::text("hello")
            .header("Content-Length", "99")
            .header("Transfer-Encoding", "gzip")
            .header("Connection", "x")
            .header("Keep-Alive", "timeout=9")
            .header("Date", "now"),
        _ => Response::new(Status::NOT_FOUND),
    }
}

fn file(head: &RequestHead) -> Response {
    let validators =
        Validators::none().with_tag("\"v1\"").with_date(Date::from_seconds(784_111_777));
    let found = Representation {
        content_type: "text/plain",
        length: FILE.len() as u64,
        validators: &validators,
        coding: Coding::Identity,
        varies: false,
    };
    let mut response = Response::new(Status::OK);
    let now = Date::from_seconds(NOW);
    let boundary = || "BOUNDARY".to_owned();
    let (status, content) =
        serve(head.method(), head.headers(), &found, now, boundary, response.headers_mut());
    let slice = |range: std::ops::Range<u64>| &FILE[range.start as usize..range.end as usize];
    let response = response.with_status(status);
    match content {
        Content::Nothing => response,
        Content::Bytes(range) => response.with_body(slice(range)),
        Content::Parts(parts) => {
            let mut body = Vec::new();
            for part in parts.parts() {
                match part {
                    Part::Text(text) => body.extend_from_slice(text.as_bytes()),
                    Part::Range(range) => body.extend_from_slice(slice(range)),
                }
            }
            response.with_body(body)
        }
    }
}
