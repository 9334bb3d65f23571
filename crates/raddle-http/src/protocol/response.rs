//! Responses, for a client: where each ends, and what it says of itself. RFC 9112 sections 4 and 6.3.
//!
//! It stands here, beside the server's side, because it is the same protocol: the chunked coding, the limits and the
//! grammar are shared. What a client does with connections is not here.
//!
//! Where a server is lenient to nobody (see [`framing`](super::framing)), a client has to follow section 6.3, which says what each doubtful framing
//! means; what it must not do afterwards is to go on with the connection.

use super::bad_response::BadResponse;
use super::chunked::{ChunkedDecoder, Piece};
use super::limits::Limits;
use crate::lex;
use crate::method::Method;
use crate::status::Status;
use crate::version::Version;
use memchr::memchr;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Takes responses apart, however their bytes arrive. It allocates nothing but for trailers, and for the first heads on a connection.
///
/// A head is kept until another one comes: servers say the same for a second, until the date changes, and what is the same byte for byte need not be
/// parsed again.
///
/// The caller keeps what was not consumed, and shows it again with what comes behind it.
///
/// ```
/// use raddle_http::{Method, Status, protocol::{Limits, ResponseDecoder, ResponsePiece}};
///
/// let mut decoder = ResponseDecoder::new(&Limits::default());
/// decoder.begin(Method::Get);
/// let mut rest = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1"[..];
/// let mut content = Vec::new();
/// loop {
///     let (consumed, piece) = decoder.advance(rest)?;
///     if let ResponsePiece::Data(range) = &piece {
///         content.extend_from_slice(&rest[range.clone()]);
///     }
///     rest = &rest[consumed..];
///     if piece == ResponsePiece::End {
///         break;
///     }
/// }
/// assert_eq!((decoder.status(), &content[..]), (Status::OK, &b"hello"[..]));
/// assert!(decoder.is_persistent() && rest == b"HTTP/1.1");
/// # Ok::<(), raddle_http::protocol::BadResponse>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResponseDecoder {
    limits: Limits,
    state: State,
    chunks: ChunkedDecoder,
    /// Of the request: the answer to HEAD has no content, whatever its fields say.
    is_head: bool,
    status: Status,
    is_persistent: bool,
    /// The last head, and what it means.
    known: Vec<u8>,
    meaning: Meaning,
}

/// What a head says, whatever was asked.
#[derive(Clone, Copy, Debug)]
struct Meaning {
    status: Status,
    framing: Framing,
    is_persistent: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many bytes of the head were looked at.
    Head(usize),
    /// So many bytes of content are to come.
    Length(u64),
    /// What `chunks` is about.
    Chunked,
    /// The content ends with the connection.
    UntilClose,
    End,
}

/// What a call of [`ResponseDecoder::advance`] has found.
///
/// ```
/// use raddle_http::protocol::{Limits, ResponseDecoder, ResponsePiece};
/// let mut decoder = ResponseDecoder::new(&Limits::default());
/// assert_eq!(decoder.advance(b"HTTP/1.1 200"), Ok((0, ResponsePiece::NeedsInput)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponsePiece {
    /// More must come.
    NeedsInput,
    /// A head that is not the last one, 100 or 103 for instance, stands at this range of the input.
    Interim(Range<usize>),
    /// The head stands at this range of the input, with the empty line.
    Head(Range<usize>),
    /// Content stands at this range of the input.
    Data(Range<usize>),
    /// The response is over. What follows belongs to the next one.
    End,
}

/// A head that is longer is not kept.
const KNOWN_MAX: usize = 1024;

/// How the content is delimited.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl ResponseDecoder {
    /// For the answer to a GET; [`begin`](ResponseDecoder::begin) says otherwise. Of `limits` those count that are about heads and chunks;
    /// content may be of any size.
    ///
    /// ```
    /// use raddle_http::protocol::{Limits, ResponseDecoder};
    /// let decoder = ResponseDecoder::new(&Limits { head_size: 1 << 20, ..Limits::default() });
    /// ```
    pub fn new(limits: &Limits) -> ResponseDecoder {
        ResponseDecoder {
            limits: Limits { body_size: u64::MAX, ..*limits },
            state: State::Head(0),
            chunks: ChunkedDecoder::new(limits),
            is_head: false,
            status: Status::OK,
            is_persistent: false,
            known: Vec::new(),
            meaning: Meaning {
                status: Status::OK,
                framing: Framing::UntilClose,
                is_persistent: false,
            },
        }
    }

    /// What comes next answers a request of this method.
    ///
    /// ```
    /// use raddle_http::{Method, protocol::{Limits, ResponseDecoder, ResponsePiece}};
    /// let mut decoder = ResponseDecoder::new(&Limits::default());
    /// decoder.begin(Method::Head);
    /// assert_eq!(decoder.advance(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")?.0, 38);
    /// assert_eq!(decoder.advance(b"")?.1, ResponsePiece::End);
    /// # Ok::<(), raddle_http::protocol::BadResponse>(())
    /// ```
    #[inline]
    pub fn begin(&mut self, method: Method) {
        self.state = State::Head(0);
        self.is_head = method == Method::Head;
    }

    /// The status, once there was a head.
    ///
    /// ```
    /// use raddle_http::{Status, protocol::{Limits, ResponseDecoder}};
    /// let mut decoder = ResponseDecoder::new(&Limits::default());
    /// decoder.advance(b"HTTP/1.1 404 \r\n\r\n")?;
    /// assert_eq!(decoder.status(), Status::NOT_FOUND);
    /// # Ok::<(), raddle_http::protocol::BadResponse>(())
    /// ```
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether another request may be sent on this connection, once there was a head. RFC 9112 sections 6.3 and 9.3.
    ///
    /// ```
    /// use raddle_http::protocol::{Limits, ResponseDecoder};
    /// let mut decoder = ResponseDecoder::new(&Limits::default());
    /// decoder.advance(b"HTTP/1.1 200 OK\r\n\r\n")?;
    /// assert!(!decoder.is_persistent(), "it ends with the connection");
    /// # Ok::<(), raddle_http::protocol::BadResponse>(())
    /// ```
    pub fn is_persistent(&self) -> bool {
        self.is_persistent
    }

    /// Goes on: how much of the input was consumed, and what was found.
    ///
    /// # Errors
    ///
    /// [`BadResponse`]. It depends on the bytes alone, not on how they were split.
    ///
    /// ```
    /// use raddle_http::protocol::{BadResponse, Fault, Limits, ResponseDecoder};
    /// let mut decoder = ResponseDecoder::new(&Limits::default());
    /// decoder.advance(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    /// assert_eq!(decoder.advance(b"x"), Err(BadResponse::Chunks(Fault::BadChunkSize)));
    /// # Ok::<(), raddle_http::protocol::BadResponse>(())
    /// ```
    #[inline]
    pub fn advance(&mut self, input: &[u8]) -> Result<(usize, ResponsePiece), BadResponse> {
        match &mut self.state {
            State::Head(_) => self.head(input),
            State::Length(0) | State::End => {
                self.state = State::End;
                Ok((0, ResponsePiece::End))
            }
            State::Length(_) | State::UntilClose if input.is_empty() => {
                Ok((0, ResponsePiece::NeedsInput))
            }
            State::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= count as u64;
                Ok((count, ResponsePiece::Data(0..count)))
            }
            State::UntilClose => Ok((input.len(), ResponsePiece::Data(0..input.len()))),
            State::Chunked => {
                let (count, piece) = self.chunks.advance(input).map_err(BadResponse::Chunks)?;
                Ok((
                    count,
                    match piece {
                        Piece::Data(range) => ResponsePiece::Data(range),
                        Piece::NeedsInput => ResponsePiece::NeedsInput,
                        Piece::End => {
                            self.state = State::End;
                            ResponsePiece::End
                        }
                    },
                ))
            }
        }
    }

    /// The connection has ended, and all that came was shown to [`advance`](ResponseDecoder::advance). `Ok`: with the end of a response.
    ///
    /// # Errors
    ///
    /// [`BadResponse::IncompleteHead`], [`BadResponse::IncompleteContent`].
    ///
    /// ```
    /// use raddle_http::protocol::{BadResponse, Limits, ResponseDecoder};
    /// let mut decoder = ResponseDecoder::new(&Limits::default());
    /// assert_eq!(decoder.end_of_input(), Err(BadResponse::IncompleteHead));
    /// decoder.advance(b"HTTP/1.0 200 OK\r\n\r\n")?;
    /// assert_eq!(decoder.end_of_input(), Ok(()));
    /// # Ok::<(), raddle_http::protocol::BadResponse>(())
    /// ```
    pub fn end_of_input(&mut self) -> Result<(), BadResponse> {
        match self.state {
            State::Head(_) => Err(BadResponse::IncompleteHead),
            State::Length(1..) | State::Chunked => Err(BadResponse::IncompleteContent),
            State::Length(0) | State::UntilClose | State::End => {
                self.state = State::End;
                Ok(())
            }
        }
    }

    fn head(&mut self, input: &[u8]) -> Result<(usize, ResponsePiece), BadResponse> {
        let State::Head(scanned) = &mut self.state else { unreachable!("called for heads") };
        // One head can't be the beginning of another: it ends with the first empty line.
        let end = if !self.known.is_empty() && input.starts_with(&self.known) {
            self.known.len()
        } else {
            let Some(end) = end_of_head(input, scanned, self.limits.head_size)? else {
                return Ok((0, ResponsePiece::NeedsInput));
            };
            self.known.clear();
            self.meaning = parse(&input[..end])?;
            if end <= KNOWN_MAX {
                self.known.extend_from_slice(&input[..end]);
            }
            end
        };
        self.status = self.meaning.status;
        // Section 7.8 of RFC 9110: behind 101 another protocol is spoken.
        let changes = self.status == Status::SWITCHING_PROTOCOLS;
        if self.status.is_informational() && !changes {
            self.state = State::Head(0);
            return Ok((end, ResponsePiece::Interim(0..end)));
        }
        self.state = match self.meaning.framing {
            _ if self.is_head || self.status.is_bodiless() => State::Length(0),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => {
                self.chunks = ChunkedDecoder::new(&self.limits);
                State::Chunked
            }
            Framing::UntilClose => State::UntilClose,
        };
        let ends_with_it = matches!(self.state, State::UntilClose);
        self.is_persistent = self.meaning.is_persistent && !ends_with_it && !changes;
        Ok((end, ResponsePiece::Head(0..end)))
    }
}

/// Reads a whole head.
fn parse(head: &[u8]) -> Result<Meaning, BadResponse> {
    let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; Limits::FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        head,
        &mut fields,
    );
    match parsed {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(BadResponse::TooManyFields),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => {
            return Err(BadResponse::Field);
        }
        Ok(httparse::Status::Partial) | Err(_) => return Err(BadResponse::StatusLine),
    }
    let version = if response.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let status = response.code.and_then(Status::new).ok_or(BadResponse::Status)?;
    let mut seen = Seen::default();
    for field in &*response.headers {
        seen.field(field.name.as_bytes(), field.value)?;
    }
    let (framing, is_persistent) = (seen.framing(), seen.is_persistent(version));
    Ok(Meaning { status, framing, is_persistent })
}

/// What the fields that matter say.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    has_coding: bool,
    is_chunked_last: bool,
    closes: bool,
    keeps: bool,
}

impl Seen {
    #[inline]
    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadResponse> {
        // Names of these lengths only are looked at.
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in lex::list(value) {
                    self.closes |= option.eq_ignore_ascii_case(b"close");
                    self.keeps |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                // Section 6.3, 5: equal ones count as one, be it in several fields or in a list.
                for length in value.split(|&byte| byte == b',').map(lex::trim) {
                    let length = lex::decimal(length).ok_or(BadResponse::Length)?;
                    if self.length.replace(length).is_some_and(|before| before != length) {
                        return Err(BadResponse::Length);
                    }
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.has_coding = true;
                for coding in lex::list(value) {
                    self.is_chunked_last = coding.eq_ignore_ascii_case(b"chunked");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Section 6.3, 4 to 8.
    fn framing(&self) -> Framing {
        match (self.has_coding, self.is_chunked_last, self.length) {
            (true, true, _) => Framing::Chunked,
            (true, false, _) => Framing::UntilClose,
            (false, _, Some(length)) => Framing::Length(length),
            (false, _, None) => Framing::UntilClose,
        }
    }

    /// Section 9.3; and 6.1 and 6.3 for framing that somebody on the way may understand differently.
    fn is_persistent(&self, version: Version) -> bool {
        let is_doubtful = self.has_coding && (version == Version::Http10 || self.length.is_some());
        let is_kept = version == Version::Http11 || self.keeps;
        is_kept && !self.closes && !is_doubtful
    }
}

/// Where the head ends, with its empty line. Each byte is looked at once.
fn end_of_head(
    input: &[u8],
    scanned: &mut usize,
    size_max: usize,
) -> Result<Option<usize>, BadResponse> {
    const BEGINNING: &[u8] = b"HTTP/";
    let begun = input.len().min(BEGINNING.len());
    if *scanned < BEGINNING.len() && input[..begun] != BEGINNING[..begun] {
        return Err(BadResponse::NotHttp);
    }
    loop {
        let newline = memchr(b'\n', &input[*scanned..]).map(|at| *scanned + at);
        let reached = newline.map_or(input.len(), |at| at + 1);
        if reached > size_max {
            return Err(BadResponse::HeadTooLarge);
        }
        *scanned = reached;
        let Some(newline) = newline else { return Ok(None) };
        if input[newline - 1] != b'\r' {
            return Err(BadResponse::BareLf);
        }
        if input[..newline - 1].ends_with(b"\r\n") {
            return Ok(Some(reached));
        }
    }
}
