//! A response's head: the status line, the fields, and how the content will be delimited. RFC 9112 sections 4 and 6.

use crate::header::Header;
use crate::headers::Headers;
use crate::lex;
use crate::status::Status;
use crate::version::Version;

/// How much content a response has.
///
/// ```
/// use raddle_http::protocol::Length;
/// assert_ne!(Length::Known(0), Length::Unknown);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Known(u64),
    /// It will turn out: chunked, or until the connection closes for a client that knows no chunks.
    Unknown,
}

/// What of the request decides about the response's framing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) version: Version,
    pub(super) is_head: bool,
    pub(super) is_connect: bool,
}

impl Default for Asked {
    /// Nothing yet: whatever is said now is said to a client of 1.1.
    fn default() -> Asked {
        Asked { version: Version::Http11, is_head: false, is_connect: false }
    }
}

/// How the content that follows is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// Not at all, whatever the handler gives.
    Nothing,
    /// As it is; so many bytes are missing.
    Length(u64),
    Chunked,
    UntilClose,
}

/// The fields that say where a message ends and whether another one follows: ours, not the handler's.
const FRAMING: u64 = Header::ContentLength.bit()
    | Header::TransferEncoding.bit()
    | Header::Connection.bit()
    | Header::KeepAlive.bit();

/// How the content of such a response is delimited: RFC 9112 section 6.3.
pub(super) fn outgoing(asked: Asked, status: Status, length: Length) -> Outgoing {
    let is_tunnel = asked.is_connect && status.is_success();
    if asked.is_head || is_tunnel || status.is_bodiless() || status == Status::RESET_CONTENT {
        return Outgoing::Nothing;
    }
    match length {
        Length::Known(length) => Outgoing::Length(length),
        // Section 6.1: only who speaks 1.1 understands a transfer coding.
        Length::Unknown if asked.version == Version::Http10 => Outgoing::UntilClose,
        Length::Unknown => Outgoing::Chunked,
    }
}

/// A final response, but for its content.
pub(super) struct Final<'a> {
    pub(super) asked: Asked,
    pub(super) status: Status,
    pub(super) headers: &'a Headers,
    pub(super) length: Length,
    pub(super) outgoing: Outgoing,
    pub(super) closes: bool,
}

/// Adds a final response's head.
pub(super) fn write_head(to: &mut Vec<u8>, response: &Final<'_>, date: &[u8; 29]) {
    /// What a server adds, and a short content behind it: new memory is taken once.
    const ROOM: usize = 256;
    let Final { asked, status, headers, length, outgoing, closes } = *response;
    to.reserve(headers.size() + ROOM);
    write_status(to, status);
    // RFC 9110 section 6.6.1: whoever has a clock says when it was.
    if !headers.has_any(Header::Date.bit()) {
        to.extend_from_slice(b"Date: ");
        to.extend_from_slice(date);
        to.extend_from_slice(b"\r\n");
    }
    // Section 9.6: whoever closes says so. A client of 1.0 must be told the contrary.
    if status == Status::SWITCHING_PROTOCOLS {
        headers.write_without(to, FRAMING & !Header::Connection.bit());
    } else {
        if closes {
            to.extend_from_slice(b"Connection: close\r\n");
        } else if asked.version == Version::Http10 {
            to.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        headers.write_without(to, FRAMING);
    }
    match outgoing {
        Outgoing::Length(length) => write_length(to, length),
        Outgoing::Chunked => to.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Outgoing::UntilClose => {}
        // RFC 9110 section 15.3.6.
        Outgoing::Nothing if status == Status::RESET_CONTENT => write_length(to, 0),
        Outgoing::Nothing => {
            if let Some(length) = described_length(asked, status, headers, length) {
                write_length(to, length);
            }
        }
    }
    to.extend_from_slice(b"\r\n");
}

/// What a response without content says about the length that it describes: RFC 9110 section 8.6. In 1xx, 204 and a tunnel's
/// beginning nothing may be said; a 304 says it if the handler knows it.
fn described_length(
    asked: Asked,
    status: Status,
    headers: &Headers,
    length: Length,
) -> Option<u64> {
    let is_tunnel = asked.is_connect && status.is_success();
    if is_tunnel || status.is_informational() || status == Status::NO_CONTENT {
        return None;
    }
    let told = headers.get(Header::ContentLength).and_then(lex::decimal);
    match length {
        _ if told.is_some() => told,
        Length::Known(length) if asked.is_head && status != Status::NOT_MODIFIED => Some(length),
        _ => None,
    }
}

/// Adds a 1xx response.
pub(super) fn write_informational(to: &mut Vec<u8>, status: Status, headers: &Headers) {
    write_status(to, status);
    headers.write_without(to, FRAMING);
    to.extend_from_slice(b"\r\n");
}

fn write_status(to: &mut Vec<u8>, status: Status) {
    match status.line() {
        Some(line) => to.extend_from_slice(line.as_bytes()),
        None => {
            to.extend_from_slice(b"HTTP/1.1 ");
            lex::push_decimal(to, status.code().into());
            // The space stays without a phrase: section 4.
            to.extend_from_slice(b" \r\n");
        }
    }
}

fn write_length(to: &mut Vec<u8>, length: u64) {
    to.extend_from_slice(b"Content-Length: ");
    lex::push_decimal(to, length);
    to.extend_from_slice(b"\r\n");
}
