//! TLS 1.2 and 1.3, by rustls.
//!
//! ```
//! use raddle_http::{Response, server::Server, tls::{Certificate, Tls}};
//!
//! let tls = Tls::new(Certificate::self_signed(["localhost"])?);
//! let server = Server::new().tls(tls.clone()).otherwise(|_| Response::text("hello")).bind("127.0.0.1:0")?;
//! println!("https://localhost:{}", server.local_addr().port());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//!   server ⇄ TlsStream ⇄ TcpStream
//!                │ begin: the handshake, within the time for a head
//!              Tls ─ Shelf: a certificate by the client's name for the server; files that have changed are read again
//! ```
//!
//! *A transport as any other.* The server knows nothing of records: it reads and writes, under its own limits of time. Files can't go from the
//! kernel to the kernel; their bytes pass through here, 64 KiB at a time.
//!
//! *What can go wrong is the client's, or the log's.* A handshake that fails ends its connection and is counted. A request without TLS is answered
//! in plain words. Files that do not fit leave what was there before, and a line in the log.
//!
//! *Nothing is remembered of clients*: sessions are in tickets that they keep. Data before a handshake's end (0-RTT) is not taken, for it can be
//! sent twice. Clients' certificates are not asked for.
//!
//! | module | what it is |
//! |---|---|
//! | `acceptor` | what all connections share |
//! | `certificate`, `self_signed` | what a server proves with who it is |
//! | `loaded`, `files` | where it comes from, and why it can't be used |
//! | `shelf`, `names` | who gets which |
//! | `stream` | the transport |
//! | `client` | the other side: whom to trust, a connection |
//! | `records` | what both sides do with bytes |
//! | `handshakes` | how connections have begun |
//! | `redirect` | from plain HTTP to TLS |
//! | `provider` | the cryptography |

mod acceptor;
mod certificate;
mod client;
mod files;
mod handshakes;
mod loaded;
mod names;
mod provider;
mod records;
mod redirect;
mod self_signed;
mod shelf;
mod stream;

pub use acceptor::Tls;
pub use certificate::Certificate;
pub use client::{ClientTls, TlsClient};
pub use handshakes::Handshakes;
pub use loaded::{Part, Unusable};
pub use redirect::redirect;
pub use stream::TlsStream;
