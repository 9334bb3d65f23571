//! How much a client may ask for.

/// Limits of one connection, each with a sane default. Times are not here: whoever reads and writes keeps them.
///
/// ```
/// use raddle_http::protocol::Limits;
///
/// let limits = Limits { body_size: 1 << 30, ..Limits::default() };
/// assert_eq!(limits.fields, 100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's target. Above: 414. RFC 9112 section 3 recommends at least 8,000.
    pub target_size: usize,
    /// Bytes of a request's head, from the first to the empty line. Above: 431.
    pub head_size: usize,
    /// Field lines of a head, and of a trailer section; [`FIELDS_MAX`](Limits::FIELDS_MAX) at most. Above: 431.
    pub fields: usize,
    /// Bytes of a request's content. Above: 413.
    pub body_size: u64,
    /// Bytes of a trailer section. Above: 431.
    pub trailer_size: usize,
    /// Bytes of all chunk extensions of a body. RFC 9112 section 7.1.1 asks for a limit. Above: 400.
    pub chunk_extensions: usize,
    /// Bytes of content that nobody wants, read to keep the connection. With more to come it is closed instead.
    pub discard: u64,
    /// Requests on a connection; the last one is answered with `Connection: close`.
    pub requests: u64,
    /// Answers that are gathered for a client that sends requests ahead; then they are sent before one more is read. So many may be under way to
    /// who does not take them, beside what the kernel has room for.
    pub pipelined: u64,
}

impl Limits {
    /// The most field lines that any limits allow.
    pub const FIELDS_MAX: usize = 128;

    /// The longest request line: a method that is not too long, a target that is not too long, and the version.
    pub(super) fn request_line(&self) -> usize {
        // 22 for the longest method, 2 spaces, 8 for the version, 2 for the line's end.
        self.target_size.saturating_add(34)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            target_size: 8 << 10,
            head_size: 32 << 10,
            fields: 100,
            body_size: 16 << 20,
            trailer_size: 8 << 10,
            chunk_extensions: 4 << 10,
            discard: 64 << 10,
            requests: 10_000,
            pipelined: 100,
        }
    }
}
