//! The protocol: bytes to requests, responses to bytes; for clients, bytes to responses. RFC 9112.
//!
//! [`Connection`] is the whole of it for a server. Below it, each usable by itself: [`RequestHead`], [`ChunkedDecoder`]; [`Fault`] names what can be
//! wrong, [`Limits`] says how much is too much. A client has [`ResponseDecoder`].
//!
//! ```text
//!    bytes in    input -> scan -> head (httparse, target, framing) -> handler
//!                      -> chunked, or so many bytes               -> handler
//!    bytes out   output <- writer (status, fields, framing)       <- handler
//!                       <- chunked, or as they are                <- handler
//!    a client    bytes in -> response (httparse) -> chunked, so many bytes, or all
//! ```
//!
//! HTTP/2 will have a connection of its own, and share the words and the semantics.

mod bad_response;
mod chunked;
mod connection;
mod fault;
mod framing;
mod head;
mod input;
mod limits;
mod response;
mod scan;
mod target;
mod writer;

pub use bad_response::BadResponse;
pub use chunked::{ChunkedDecoder, Piece};
pub use connection::{BodyStep, Connection, HeadStep, Unfinished};
pub use fault::Fault;
pub use framing::Framing;
pub use head::RequestHead;
pub use limits::Limits;
pub use response::{ResponseDecoder, ResponsePiece};
pub use target::TargetForm;
pub use writer::Length;
