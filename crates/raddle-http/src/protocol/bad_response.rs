//! What can be wrong with a response.
//!
//! Apart from [`Fault`]: that answers clients with a status. A client has nobody to answer; it closes the connection.

use super::fault::Fault;
use std::error::Error;
use std::fmt;

/// Why a response could not be read. Nobody knows where the next one would begin: the connection is of no use any more.
///
/// ```
/// use raddle_http::{Method, protocol::{BadResponse, Limits, ResponseDecoder}};
/// let mut decoder = ResponseDecoder::new(&Limits::default());
/// assert_eq!(decoder.advance(b"SSH-2.0-"), Err(BadResponse::NotHttp));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadResponse {
    /// It does not begin with `HTTP/`.
    NotHttp,
    /// The first line is malformed, or of another version than 1.0 and 1.1. RFC 9112 section 4.
    StatusLine,
    /// A status outside of 100 to 599. RFC 9110 section 15.
    Status,
    /// A line ends without a carriage return. RFC 9112 section 2.2.
    BareLf,
    /// A field's line is malformed. RFC 9112 section 5.
    Field,
    /// More fields than [`Limits::FIELDS_MAX`](super::Limits::FIELDS_MAX).
    TooManyFields,
    /// The head is larger than [`Limits::head_size`](super::Limits::head_size).
    HeadTooLarge,
    /// A malformed `Content-Length`, or several that differ. RFC 9112 section 6.3.
    Length,
    /// The chunked content is malformed. RFC 9112 section 7.1.
    Chunks(Fault),
    /// The connection ends within the head.
    IncompleteHead,
    /// The connection ends within the content. RFC 9112 section 8.
    IncompleteContent,
}

impl fmt::Display for BadResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadResponse::NotHttp => "the answer is no HTTP",
            BadResponse::StatusLine => "the status line is malformed",
            BadResponse::Status => "the status is not from 100 to 599",
            BadResponse::BareLf => "a line ends without a carriage return",
            BadResponse::Field => "a field of the head is malformed",
            BadResponse::TooManyFields => "too many fields",
            BadResponse::HeadTooLarge => "the head is too large",
            BadResponse::Length => "the Content-Length is malformed, or there are several",
            BadResponse::Chunks(fault) => return fault.fmt(f),
            BadResponse::IncompleteHead => "the connection ends within the head",
            BadResponse::IncompleteContent => "the connection ends within the content",
        })
    }
}

impl Error for BadResponse {}
