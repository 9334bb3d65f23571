//! HTTP/1.1 for servers.
//!
//! ```
//! use raddle_http::{Response, server::Server};
//!
//! let server = Server::new()
//!     .route("/hello/{name}", |request| Response::text(format!("hello, {}", request.param("name").unwrap_or_default())))?
//!     .bind("127.0.0.1:0")?;
//! println!("http://{}/hello/ann", server.local_addr());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It has two halves. [`server`], [`files`], [`tls`] and the logs serve: a raddle thread for each connection, in blocking calls. They stand on the protocol and
//! its meaning, which know no sockets, clocks and threads, and are tested by bytes alone. Any other loop that has bytes to give and to take may
//! stand there as well:
//!
//! ```
//! use raddle_http::protocol::{Connection, HeadStep, Limits, RequestHead};
//! use raddle_http::{Date, DateCache, Response, Router};
//! use std::io::{Read, Write};
//!
//! fn serve(mut socket: impl Read + Write, now: impl Fn() -> Date) -> std::io::Result<()> {
//!     let mut router = Router::new();
//!     router.insert("/hello/{name}", "hello").unwrap();
//!     let mut connection = Connection::new(&Limits::default());
//!     let (mut head, mut date) = (RequestHead::new(), DateCache::default());
//!     loop {
//!         match connection.read_head(&mut head) {
//!             Ok(HeadStep::Ready) => {
//!                 let response = match router.find(head.path()) {
//!                     Some(found) => Response::text(format!("hello, {}", found.params.get("name").unwrap())),
//!                     None => Response::new(raddle_http::Status::NOT_FOUND),
//!                 };
//!                 let (status, headers, body) = response.into_parts();
//!                 connection.respond(status, &headers, body.length(), date.text(now()));
//!                 if let raddle_http::Body::Bytes(bytes) = body {
//!                     connection.write(&bytes);
//!                 }
//!                 connection.finish(None).unwrap();
//!             }
//!             Ok(HeadStep::NeedsInput) => match socket.read(connection.space())? {
//!                 0 => connection.end_of_input(),
//!                 count => connection.filled(count),
//!             },
//!             Ok(HeadStep::Closed) => return Ok(()),
//!             Err(fault) => _ = connection.refuse(fault, date.text(now())),
//!         }
//!         // Pipelined requests are answered by one system call.
//!         if !connection.is_next_buffered() {
//!             socket.write_all(connection.output())?;
//!             connection.sent(connection.output().len());
//!         }
//!     }
//! }
//! # struct Socket<'a>(&'a [u8], Vec<u8>);
//! # impl Read for Socket<'_> {
//! #     fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> { self.0.read(to) }
//! # }
//! # impl Write for Socket<'_> {
//! #     fn write(&mut self, from: &[u8]) -> std::io::Result<usize> { self.1.write(from) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # let mut socket = Socket(b"GET /hello/ann HTTP/1.1\r\nHost: a\r\n\r\nGET /\r\n\r\n", Vec::new());
//! # serve(&mut socket, || Date::from_seconds(0)).unwrap();
//! # let sent = String::from_utf8(socket.1).unwrap();
//! # assert!(sent.contains("hello, ann") && sent.contains("400 Bad Request"), "{sent}");
//! ```
//!
//! # How it is made
//!
//! *The bytes decide, not how they were split.* A head is looked at byte for byte once, limits where they are exceeded, lines when they are
//! complete; `httparse` sees it when it is whole. So one answer belongs to one stream, and tests can try every split of it.
//!
//! *In doubt, no.* Where a request ends must not be a matter of opinion: what proxies and servers read differently is how requests are
//! smuggled. Each [`Fault`](protocol::Fault) has a name, a status and a section, and every one ends the connection.
//!
//! *Nothing is allocated for a request* after a connection's first: a head is copied into memory that the last one had, and its fields are
//! offsets into it; a response's fields stand as they are sent, and are copied once.
//!
//! *The caller's clock, and the caller's chance.* What needs the time takes a [`Date`]; what needs a random boundary asks for one. So the
//! same bytes at the same time give the same answer, also in a simulation.
//!
//! # The parts
//!
//! | module | what it is |
//! |---|---|
//! | [`server`] | connections, and who serves them |
//! | [`files`] | folders as sites |
//! | [`tls`] | TLS for them |
//! | [`access`] | a line for each response |
//! | [`error_log`] | a line for whatever goes wrong, with its request |
//! | [`metrics`] | numbers, for Prometheus too |
//! | [`protocol`] | bytes to requests, responses to bytes; RFC 9112 |
//! | [`semantics`] | what requests mean: conditions, ranges, negotiation, paths, origins, passwords; RFC 9110 |
//! | `router` | patterns to handlers |
//! | `request`, `response` | what handlers take and give |
//! | `method`, `status`, `version`, `header`, `headers`, `date` | the words of HTTP |
//! | `transport` | what connections run over |
//! | `lex`, `percent` | the grammar that they share |
//! | `calendar`, `json` | dates and strings in the forms of others |
//! | `context` | what requests are called, and which one a thread is at |
//! | `log_file` | files that are appended to, and opened anew |
#![deny(unsafe_code)]

pub mod access;
mod calendar;
mod context;
mod date;
pub mod error_log;
pub mod files;
mod header;
mod headers;
mod json;
mod lex;
mod log_file;
mod method;
pub mod metrics;
mod percent;
pub mod protocol;
mod request;
mod response;
mod router;
pub mod semantics;
pub mod server;
mod status;
pub mod tls;
mod transport;
mod version;

pub use context::{Current, RequestId, current};
pub use date::{Date, DateCache};
pub use header::Header;
pub use headers::{Headers, InvalidField, Name};
pub use method::{ExtensionMethod, Method};
pub use request::{Request, fault_of};
pub use response::{Body, Response, WriteBody};
pub use router::{Found, InvalidRoute, Params, Router};
pub use status::Status;
pub use version::Version;
