//! The protocol: bytes to requests, responses to bytes. RFC 9112.
//!
//! [`Connection`] is the whole of it. Below it, each usable by itself: [`RequestHead`], [`ChunkedDecoder`]; [`Fault`] names what can be
//! wrong, [`Limits`] says how much is too much.
//!
//! ```text
//!    bytes in    input -> scan -> head (httparse, target, framing) -> handler
//!                      -> chunked, or so many bytes               -> handler
//!    bytes out   output <- writer (status, fields, framing)       <- handler
//!                       <- chunked, or as they are                <- handler
//! ```
//!
//! HTTP/2 will have a connection of its own, and share the words and the semantics.

mod chunked;
mod connection;
mod fault;
mod framing;
mod head;
mod input;
mod limits;
mod scan;
mod target;
mod writer;

pub use chunked::{ChunkedDecoder, Piece};
pub use connection::{BodyStep, Connection, HeadStep, Unfinished};
pub use fault::Fault;
pub use framing::Framing;
pub use head::RequestHead;
pub use limits::Limits;
pub use target::TargetForm;
pub use writer::Length;
