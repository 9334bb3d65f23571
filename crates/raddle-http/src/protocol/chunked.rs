//! The chunked coding, to read and to write. RFC 9112 section 7.1.

use super::fault::Fault;
use super::head;
use super::limits::Limits;
use super::scan::Scanner;
use crate::header::Header;
use crate::headers::Headers;

/// Takes a chunked body apart, however its bytes arrive.
///
/// ```
/// use raddle_http::protocol::{ChunkedDecoder, Limits, Piece};
///
/// let mut decoder = ChunkedDecoder::new(&Limits::default());
/// let mut rest = &b"5\r\nhello\r\n0\r\nDigest: x\r\n\r\nnext"[..];
/// let mut content = Vec::new();
/// loop {
///     let (consumed, piece) = decoder.advance(rest)?;
///     let is_over = match piece {
///         Piece::Data(range) => {
///             content.extend_from_slice(&rest[range]);
///             false
///         }
///         Piece::NeedsInput => panic!("all is there"),
///         Piece::End => true,
///     };
///     rest = &rest[consumed..];
///     if is_over {
///         break;
///     }
/// }
/// assert_eq!((&content[..], rest), (&b"hello"[..], &b"next"[..]));
/// assert_eq!(decoder.trailers().get("digest"), Some(&b"x"[..]));
/// # Ok::<(), raddle_http::protocol::Fault>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    state: State,
    limits: Limits,
    /// Of the chunk, still to come.
    remaining: u64,
    /// Content that was announced so far.
    total: u64,
    /// Bytes of extensions so far.
    extensions: usize,
    /// The trailer section as far as it has come; its lines must stand together.
    section: Vec<u8>,
    scanner: Scanner,
    trailers: Headers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Within the size, after so many digits.
    Size(u8),
    /// White space behind the size, which only an extension may follow.
    Space,
    Extension,
    /// The line's CR was there.
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    End,
}

/// What a call of [`ChunkedDecoder::advance`] has found.
///
/// ```
/// use raddle_http::protocol::{ChunkedDecoder, Limits, Piece};
/// let mut decoder = ChunkedDecoder::new(&Limits::default());
/// assert_eq!(decoder.advance(b"2\r\nab"), Ok((5, Piece::Data(3..5))));
/// assert_eq!(decoder.advance(b"\r"), Ok((1, Piece::NeedsInput)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Content stands at this range of the input.
    Data(std::ops::Range<usize>),
    /// All of the input was consumed, and more must come.
    NeedsInput,
    /// The body is over, trailers and all.
    End,
}

impl ChunkedDecoder {
    /// At a body's beginning.
    ///
    /// ```
    /// # use raddle_http::protocol::{ChunkedDecoder, Limits, Piece};
    /// let mut decoder = ChunkedDecoder::new(&Limits::default());
    /// assert_eq!(decoder.advance(b"0\r\n\r\n"), Ok((5, Piece::End)));
    /// ```
    pub fn new(limits: &Limits) -> ChunkedDecoder {
        ChunkedDecoder {
            state: State::Size(0),
            limits: *limits,
            remaining: 0,
            total: 0,
            extensions: 0,
            section: Vec::new(),
            scanner: Scanner::default(),
            trailers: Headers::new(),
        }
    }

    /// Goes on with more input: how much of it was consumed, and what was found. At most one piece of data is found in a call.
    ///
    /// # Errors
    ///
    /// The [`Fault`]; the decoder can't be used any more then, as nobody knows where the body ends.
    ///
    /// ```
    /// # use raddle_http::protocol::{ChunkedDecoder, Fault, Limits};
    /// let mut decoder = ChunkedDecoder::new(&Limits::default());
    /// assert_eq!(decoder.advance(b"x\r\n"), Err(Fault::BadChunkSize));
    /// ```
    pub fn advance(&mut self, input: &[u8]) -> Result<(usize, Piece), Fault> {
        self.advance_by(input, usize::MAX)
    }

    /// Whether the body was read to its end, trailers and all.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::End
    }

    /// The same, with at most so much data, at least one byte.
    pub(super) fn advance_by(
        &mut self,
        input: &[u8],
        most: usize,
    ) -> Result<(usize, Piece), Fault> {
        let mut at = 0;
        loop {
            match self.state {
                State::End => return Ok((at, Piece::End)),
                State::Data => {
                    let available = (input.len() - at).min(clamped(self.remaining)).min(most);
                    if available == 0 {
                        return Ok((at, Piece::NeedsInput));
                    }
                    self.remaining -= available as u64;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok((at + available, Piece::Data(at..at + available)));
                }
                State::Trailers => {
                    let (consumed, is_over) = self.trailer(&input[at..])?;
                    at += consumed;
                    if !is_over {
                        return Ok((at, Piece::NeedsInput));
                    }
                    self.state = State::End;
                }
                _ => {
                    let Some(&byte) = input.get(at) else { return Ok((at, Piece::NeedsInput)) };
                    self.byte(byte)?;
                    at += 1;
                }
            }
        }
    }

    /// The trailer fields, once the body is over. They are kept apart from the head's: RFC 9110 section 6.5.1.
    ///
    /// ```
    /// # use raddle_http::protocol::{ChunkedDecoder, Limits};
    /// assert!(ChunkedDecoder::new(&Limits::default()).trailers().is_empty());
    /// ```
    pub fn trailers(&self) -> &Headers {
        &self.trailers
    }

    fn byte(&mut self, byte: u8) -> Result<(), Fault> {
        self.state = match (self.state, byte) {
            (State::Size(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                // Sixteen digits fill 64 bits.
                if digits == 16 {
                    return Err(Fault::BadChunkSize);
                }
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                self.remaining = self.remaining << 4 | u64::from(digit);
                State::Size(digits + 1)
            }
            (State::Size(1..), b'\r') => State::SizeLf,
            (State::Size(1..) | State::Space, b';') => self.extension()?,
            (State::Size(1..) | State::Space, b' ' | b'\t') => {
                self.extension()?;
                State::Space
            }
            (State::Size(1..), b'\n') => return Err(Fault::BareLf),
            (State::Size(_) | State::Space, _) => return Err(Fault::BadChunkSize),
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, b'\n') => return Err(Fault::BareLf),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.extension()?,
            (State::Extension, _) => return Err(Fault::BadChunkExtension),
            (State::SizeLf, b'\n') => {
                self.total = self.total.saturating_add(self.remaining);
                if self.total > self.limits.body_size {
                    return Err(Fault::ContentTooLarge);
                }
                if self.remaining == 0 { State::Trailers } else { State::Data }
            }
            (State::SizeLf, _) => return Err(Fault::BareCr),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0),
            (State::DataCr | State::DataLf, _) => return Err(Fault::BadChunkEnd),
            (State::Data | State::Trailers | State::End, _) => {
                unreachable!("these states take no single bytes")
            }
        };
        Ok(())
    }

    /// Counts a byte of an extension; what it says is ignored, as section 7.1.1 demands.
    fn extension(&mut self) -> Result<State, Fault> {
        self.extensions += 1;
        if self.extensions > self.limits.chunk_extensions {
            return Err(Fault::ExtensionsTooLarge);
        }
        Ok(State::Extension)
    }

    /// Collects the trailer section, which usually is one empty line.
    fn trailer(&mut self, input: &[u8]) -> Result<(usize, bool), Fault> {
        if self.section.is_empty() && input.starts_with(b"\r\n") {
            return Ok((2, true));
        }
        // No more than what may belong to it: what follows is another request.
        let before = self.section.len();
        let room = (self.limits.trailer_size + 1).saturating_sub(before);
        self.section.extend_from_slice(&input[..input.len().min(room)]);
        let Some(found) = self.scanner.trailers(&self.section, &self.limits)? else {
            return Ok((self.section.len() - before, false));
        };
        self.section.truncate(found.end);
        head::fill_trailers(&mut self.trailers, &self.section)?;
        Ok((found.end - before, true))
    }
}

fn clamped(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Adds a chunk; none for no data, which would end the body.
pub(super) fn write_chunk(to: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    to.reserve(data.len() + 20);
    let mut digits = [0; 16];
    let mut start = digits.len();
    let mut size = data.len();
    while size > 0 {
        start -= 1;
        digits[start] = b"0123456789abcdef"[size & 15];
        size >>= 4;
    }
    to.extend_from_slice(&digits[start..]);
    to.extend_from_slice(b"\r\n");
    to.extend_from_slice(data);
    to.extend_from_slice(b"\r\n");
}

/// What must not stand in a trailer section: what frames or routes the message. RFC 9110 section 6.5.1.
const NOT_IN_TRAILERS: u64 = Header::ContentLength.bit()
    | Header::TransferEncoding.bit()
    | Header::Connection.bit()
    | Header::Trailer.bit()
    | Header::ContentEncoding.bit()
    | Header::ContentType.bit()
    | Header::ContentRange.bit()
    | Header::SetCookie.bit();

/// Adds the last chunk and the trailer section.
pub(super) fn write_last_chunk(to: &mut Vec<u8>, trailers: Option<&Headers>) {
    to.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        trailers.write_without(to, NOT_IN_TRAILERS);
    }
    to.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body decodes to, arriving in pieces of that size: content, what is left behind the body, number of trailers.
    fn decode(
        text: &[u8],
        split: usize,
        limits: &Limits,
    ) -> Result<(String, String, usize), Fault> {
        let mut decoder = ChunkedDecoder::new(limits);
        let mut content = Vec::new();
        let (mut start, mut end) = (0, 0);
        loop {
            let (consumed, piece) = decoder.advance(&text[start..end])?;
            if let Piece::Data(range) = &piece {
                content.extend_from_slice(&text[start..end][range.clone()]);
            }
            start += consumed;
            match piece {
                Piece::End => break,
                Piece::NeedsInput if end == text.len() => return Err(Fault::IncompleteBody),
                Piece::NeedsInput => {
                    assert_eq!(start, end, "all of the input is consumed");
                    end = text.len().min(end + split);
                }
                Piece::Data(_) => {}
            }
        }
        let left = String::from_utf8(text[start..].to_vec()).unwrap();
        Ok((String::from_utf8(content).unwrap(), left, decoder.trailers().len()))
    }

    fn in_any_pieces(text: &str, limits: &Limits) -> Result<(String, String, usize), Fault> {
        let whole = decode(text.as_bytes(), text.len().max(1), limits);
        for split in 1..text.len() {
            assert_eq!(decode(text.as_bytes(), split, limits), whole, "{text:?} by {split}");
        }
        whole
    }

    #[test]
    fn bodies_are_found_whole_in_any_pieces() {
        let cases = [
            ("0\r\n\r\nG", "", "G", 0),
            ("00\r\n\r\n", "", "", 0),
            ("1\r\na\r\n0\r\n\r\n\r\n", "a", "\r\n", 0),
            ("1;x\r\na\r\nA \t;y=\"\u{e9};\"\r\n0123456789\r\n0 ; z\r\n\r\n", "a0123456789", "", 0),
            ("000000000000000A\r\n0123456789\r\n0\r\nA: 1\r\nB:\r\n\r\nG", "0123456789", "G", 2),
        ];
        for (text, content, left, trailers) in cases {
            let found = in_any_pieces(text, &Limits::default());
            assert_eq!(found, Ok((content.to_owned(), left.to_owned(), trailers)), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_the_same_in_any_pieces() {
        let limits = Limits {
            body_size: 5,
            chunk_extensions: 4,
            trailer_size: 12,
            fields: 2,
            ..Limits::default()
        };
        let cases = [
            ("", Fault::IncompleteBody),
            ("1\r\na\r\n0\r\n", Fault::IncompleteBody),
            ("\r\n", Fault::BadChunkSize),
            ("g\r\n", Fault::BadChunkSize),
            ("-1\r\n", Fault::BadChunkSize),
            ("+1\r\n", Fault::BadChunkSize),
            (" 1\r\n", Fault::BadChunkSize),
            ("0x1\r\n", Fault::BadChunkSize),
            ("1 \r\n", Fault::BadChunkSize),
            ("1 2\r\n", Fault::BadChunkSize),
            (";x\r\n", Fault::BadChunkSize),
            ("00000000000000001\r\n", Fault::BadChunkSize),
            ("1\n", Fault::BareLf),
            ("1;x\n", Fault::BareLf),
            ("1\ra", Fault::BareCr),
            ("1;x\ra", Fault::BareCr),
            ("1;\0\r\n", Fault::BadChunkExtension),
            ("1;xyz\r\na\r\n1;\r\n", Fault::ExtensionsTooLarge),
            ("1     ", Fault::ExtensionsTooLarge),
            ("1\r\nab", Fault::BadChunkEnd),
            ("1\r\na\n", Fault::BadChunkEnd),
            ("1\r\na\rb", Fault::BadChunkEnd),
            ("1\r\na1\r\n", Fault::BadChunkEnd),
            ("6\r\n", Fault::ContentTooLarge),
            ("3\r\nabc\r\n3\r\n", Fault::ContentTooLarge),
            ("ffffffffffffffff\r\n", Fault::ContentTooLarge),
            ("1\r\na\r\nffffffffffffffff\r\n", Fault::ContentTooLarge),
            ("0\r\nA\r\n\r\n", Fault::BadFieldName),
            ("0\r\nA : b\r\n\r\n", Fault::SpaceBeforeColon),
            ("0\r\nA:\0\r\n\r\n", Fault::BadFieldValue),
            ("0\r\nA:\rb\r\n\r\n", Fault::BareCr),
            ("0\r\n\rb\r\n\r\n", Fault::BareCr),
            ("0\r\nA:\n\r\n", Fault::BareLf),
            ("0\r\n A:\r\n\r\n", Fault::ObsFold),
            ("0\r\nA:\r\nB:\r\nC:\r\n", Fault::TooManyFields),
            ("0\r\nA: 123456789", Fault::IncompleteBody),
            ("0\r\nA: 1234567890", Fault::HeadTooLarge),
        ];
        for (text, fault) in cases {
            assert_eq!(in_any_pieces(text, &limits), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut text = Vec::new();
        let data = vec![b'x'; 70_000];
        for size in [1, 0, 15, 16, 255, 65_536] {
            write_chunk(&mut text, &data[..size]);
        }
        let mut trailers = Headers::new();
        trailers.add("Digest", "x").unwrap();
        write_last_chunk(&mut text, Some(&trailers));
        assert!(text.starts_with(b"1\r\nx\r\nf\r\nxxxxxxxxxxxxxxx\r\n10\r\n"));
        let (content, left, count) = decode(&text, 4096, &Limits::default()).unwrap();
        assert_eq!((content.len(), &left[..], count), (65_823, "", 1));
    }
}
