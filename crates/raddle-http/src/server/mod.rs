//! The server: a raddle thread for each connection, in blocking calls.
//!
//! ```
//! use raddle_http::{Response, server::Server};
//! use raddle::io::{Read, Write};
//!
//! let server = Server::new()
//!     .route("/hello/{name}", |request| Response::text(format!("hello, {}", request.param("name").unwrap())))?
//!     .bind("127.0.0.1:0")?;
//! let mut client = raddle::net::TcpStream::connect(server.local_addr())?;
//! client.write_all(b"GET /hello/ann HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.ends_with("\r\n\r\nhello, ann"));
//! server.drain();
//! server.wait();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//!   acceptor ──▶ a thread for each connection:
//!                read a head ─▶ route ─▶ handler ⇄ its content ─▶ response ─▶ send, when no request waits any more ⟲
//!                      ▲ idle: may be ended at once                ▲ each wait has its limit
//! ```
//!
//! *One call for a request.* What handlers answer gathers in one buffer, which is sent when the next request has not arrived yet: a small
//! answer is one `send`, and so are pipelined ones together. A file goes out with its head, and the thread sleeps once.
//!
//! *Limits are carried.* Each wait for a client stands in a [`raddle::time::timeout`], so they hold for whatever a connection runs over.
//!
//! *The end is orderly.* A server that drains closes its idle connections, and tells the others with their next response.
//!
//! | module | what it is |
//! |---|---|
//! | `builder`, `running` | what its users see |
//! | `accept` | takes connections, or refuses them |
//! | `dispatch`, `loads` | how connections come to cores |
//! | `clients` | limits for each client, by address |
//! | `connection` | one connection's course |
//! | `content` | a request's content, for its handler |
//! | `send` | responses to bytes |
//! | `link` | the protocol and what it runs over, put together |
//! | `service` | routes to handlers, plugins |
//! | `current`, `replace` | all of that, exchanged while it runs |
//! | `guard`, `cors` | passwords, and other sites' pages, by folder |
//! | `turns` | who may hash a password now, and how many wait |
//! | `events` | server-sent events |
//! | `crowd` | who is connected, for an end in good order |
//! | `times` | how long a client may take |

mod accept;
mod builder;
mod clients;
mod connection;
mod content;
mod cors;
mod crowd;
mod current;
mod dispatch;
mod events;
mod guard;
mod link;
mod loads;
mod plugin;
mod replace;
mod running;
mod send;
mod service;
mod times;
mod turns;

pub use crate::transport::{Begun, Transport};
pub use builder::Server;
pub use clients::{ClientLimits, InvalidNetwork, Network};
pub use cors::CorsRules;
pub use dispatch::{Dispatch, OverCapacity};
pub use events::{Event, Events};
pub use guard::{Admission, Guard};
pub use plugin::{Plugin, Served, Trouble};
pub use running::Running;
pub use times::Times;
