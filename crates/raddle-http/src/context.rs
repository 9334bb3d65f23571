//! What a thread is at: which client it serves, and which of its requests. Logs say it without being told, for a thread is a connection's own.

use crate::header::Header;
use crate::headers::Headers;
use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest name that a client may give to its request.
const GIVEN_MAX: usize = 64;

/// What a request is called, so that its lines in several logs are found: the client's own word for it, if `X-Request-ID` has one of up to 64
/// letters, digits and signs of `-_.:/+=@~`; or else its connection's number, which no other one has, and its own in that.
///
/// ```
/// use raddle_http::{Response, server::Server};
/// let server = Server::new().route("/", |request| Response::text(request.id().to_string()))?;
/// # Ok::<(), raddle_http::InvalidRoute>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId(Kind);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Made { connection: u64, number: u64 },
    Given { text: [u8; GIVEN_MAX], length: u8 },
}

impl RequestId {
    /// The `number`th request of that connection.
    pub(crate) fn made(connection: ConnectionId, number: u64) -> RequestId {
        RequestId(Kind::Made { connection: connection.0, number })
    }

    /// The client's word, if it has one that may stand in a log; with two nobody knows which.
    pub(crate) fn given(headers: &Headers) -> Option<RequestId> {
        let mut given = headers.get_all(Header::XRequestId);
        let value = given.next()?;
        let is_sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte);
        let is_good = !value.is_empty() && value.len() <= GIVEN_MAX && value.iter().all(is_sane);
        if !is_good || given.next().is_some() {
            return None;
        }
        let mut text = [0; GIVEN_MAX];
        text[..value.len()].copy_from_slice(value);
        Some(RequestId(Kind::Given { text, length: value.len() as u8 }))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Made { connection, number } => write!(f, "{connection:016x}-{number}"),
            Kind::Given { text, length } => {
                f.write_str(str::from_utf8(&text[..usize::from(*length)]).unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

/// A connection's number: different from all others of this process, and by chance from those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) fn next() -> ConnectionId {
        static FIRST: OnceLock<u64> = OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let first = *FIRST.get_or_init(|| RandomState::new().hash_one(0));
        let number = first.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        // Each step can be undone, so that different numbers stay different: Stafford's mix 13.
        let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ConnectionId(number ^ (number >> 31))
    }
}

/// What a thread is at.
///
/// ```
/// assert!(raddle_http::current().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Current {
    /// The client's address, if it has one.
    pub peer: Option<SocketAddr>,
    /// The request; between two of them the one before, and before the first one its name to be.
    pub request: RequestId,
}

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}

/// What the calling thread is at, if it serves a connection: for the lines of a log.
///
/// ```
/// use raddle_http::{Response, current, server::Server};
///
/// let server = Server::new().route("/", |request| {
///     assert_eq!(current().unwrap().request, request.id());
///     Response::text("hello")
/// })?;
/// # Ok::<(), raddle_http::InvalidRoute>(())
/// ```
pub fn current() -> Option<Current> {
    // A thread that is at its end is at nothing else.
    CURRENT.try_with(Cell::get).ok().flatten()
}

/// The calling thread is at this request from now on.
#[inline]
pub(crate) fn is_at(peer: Option<SocketAddr>, request: RequestId) {
    CURRENT.set(Some(Current { peer, request }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(values: &[&str]) -> Option<String> {
        let mut headers = Headers::new();
        values.iter().for_each(|value| headers.add("X-Request-ID", value).unwrap());
        RequestId::given(&headers).map(|id| id.to_string())
    }

    #[test]
    fn a_clients_word_is_taken_if_it_is_a_word() {
        let longest = "a".repeat(GIVEN_MAX);
        for good in ["7", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "a_b.c:d/e+f=@~", &longest] {
            assert_eq!(given(&[good]).as_deref(), Some(good));
        }
        for bad in ["", "a b", "a\"", "a\\n", "\u{e9}", "a,b", &"a".repeat(GIVEN_MAX + 1)] {
            assert_eq!(given(&[bad]), None, "{bad}");
        }
        assert_eq!(given(&["a", "b"]), None);
        assert_eq!(given(&[]), None);
    }

    #[test]
    fn no_two_connections_have_a_number() {
        let all: std::collections::HashSet<u64> =
            (0..10_000).map(|_| ConnectionId::next().0).collect();
        assert_eq!(all.len(), 10_000);
        let id = RequestId::made(ConnectionId(0x1f), 3);
        assert_eq!(id.to_string(), "000000000000001f-3");
    }
}
