//! What must hold for any bytes. The fuzz targets call this with theirs, a test with the corpus that is kept.
#![allow(dead_code, reason = "each target uses its part")]

use crate::responder::{answer, limits};
use raddle_http::protocol::{
    BadResponse, ChunkedDecoder, Fault, Limits, Piece, ResponseDecoder, ResponsePiece,
};
use raddle_http::semantics::{
    CleanPath, Coding, Content, Credentials, EntityTag, PathPattern, Representation, Validators,
    canonical, prefer_coding, prefer_type, serve,
};
use raddle_http::{Date, Header, Headers, Method, Status};

/// The first byte says where the rest is split: the answer is that to all of it at once.
pub(crate) fn connection(input: &[u8]) {
    let Some((first, stream)) = input.split_first() else { return };
    let whole = answer(&limits(), [stream]);
    let size = usize::from(*first) + 1;
    assert_eq!(answer(&limits(), stream.chunks(size)), whole);
    for seen in &whole.seen {
        assert!(seen.body.len() <= 1_000 && seen.fields.len() <= 20 && seen.target.len() <= 100);
    }
}

/// The same for chunks; and what was decoded, encoded anew, is the same again.
pub(crate) fn chunked(input: &[u8]) {
    let Some((first, stream)) = input.split_first() else { return };
    let limits = Limits { body_size: 10_000, ..Limits::default() };
    let whole = decode(stream, stream.len().max(1), &limits);
    assert_eq!(decode(stream, usize::from(*first) + 1, &limits), whole);
    if let Ok((content, _)) = whole {
        let again = format!("{:x}\r\n", content.len()).into_bytes();
        let again = match content.is_empty() {
            true => b"0\r\n\r\n".to_vec(),
            false => [&again, &content[..], b"\r\n0\r\n\r\n"].concat(),
        };
        let length = again.len();
        assert_eq!(decode(&again, 3, &limits), Ok((content, length)));
    }
}

/// Content, and how long the body was.
fn decode(stream: &[u8], size: usize, limits: &Limits) -> Result<(Vec<u8>, usize), Fault> {
    let mut decoder = ChunkedDecoder::new(limits);
    let (mut content, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        let (consumed, piece) = decoder.advance(&stream[start..end])?;
        if let Piece::Data(range) = &piece {
            content.extend_from_slice(&stream[start..end][range.clone()]);
        }
        start += consumed;
        match piece {
            Piece::End => return Ok((content, start)),
            Piece::NeedsInput if end == stream.len() => return Err(Fault::IncompleteBody),
            Piece::NeedsInput => end = stream.len().min(end + size),
            Piece::Data(_) => {}
        }
    }
}

/// A response as a client has read it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content: Vec<u8>,
    pub(crate) is_persistent: bool,
}

/// All answers on a stream that comes in these pieces, then ends, and what is wrong behind them. Whoever says that the connection ends is the
/// last that is read.
pub(crate) fn read_answers<'a>(
    method: Method,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Answer>, Option<BadResponse>) {
    let mut decoder = ResponseDecoder::new(&Limits::default());
    decoder.begin(method);
    let (mut unread, mut answers, mut answer) = (Vec::new(), Vec::new(), Answer::default());
    for piece in pieces {
        unread.extend_from_slice(piece);
        loop {
            let (consumed, piece) = match decoder.advance(&unread) {
                Ok(found) => found,
                Err(bad) => return (answers, Some(bad)),
            };
            match piece {
                ResponsePiece::NeedsInput => {
                    unread.drain(..consumed);
                    break;
                }
                ResponsePiece::Head(range) => {
                    assert_eq!(range.end, consumed);
                    answer.status = decoder.status().code();
                    answer.is_persistent = decoder.is_persistent();
                }
                ResponsePiece::Interim(range) => assert!(unread[range].ends_with(b"\r\n\r\n")),
                ResponsePiece::Data(range) => {
                    assert!(!range.is_empty(), "it would never end");
                    answer.content.extend_from_slice(&unread[range]);
                }
                ResponsePiece::End => {
                    let is_last = !answer.is_persistent;
                    answers.push(std::mem::take(&mut answer));
                    if is_last {
                        return (answers, None);
                    }
                    decoder.begin(method);
                }
            }
            unread.drain(..consumed);
        }
    }
    let is_between = answer == Answer::default() && unread.is_empty() && !answers.is_empty();
    match decoder.end_of_input() {
        Err(_) if is_between => (answers, None),
        Err(bad) => (answers, Some(bad)),
        Ok(()) => {
            answers.push(answer);
            (answers, None)
        }
    }
}

/// The first byte says where the rest is split, and whether HEAD was asked: the answers are those to all of it at once.
pub(crate) fn response(input: &[u8]) {
    let Some((first, stream)) = input.split_first() else { return };
    let method = if first & 128 != 0 { Method::Head } else { Method::Get };
    let size = usize::from(first & 127) + 1;
    let whole = read_answers(method, [stream]);
    assert_eq!(read_answers(method, stream.chunks(size)), whole);
    let content: usize = whole.0.iter().map(|answer| answer.content.len()).sum();
    assert!(content <= stream.len());
}

/// Lines of fields go through all that looks at them.
pub(crate) fn semantics(input: &[u8]) {
    let now = Date::from_seconds(1_667_724_577);
    let mut headers = Headers::new();
    for line in input.split(|byte| *byte == b'\n').take(20) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let Ok(name) = str::from_utf8(&line[..colon]) else { continue };
        _ = headers.add(name, line.get(colon + 1..).unwrap_or_default());
    }
    let validators =
        Validators::none().with_tag("\"v1\"").with_date(Date::from_seconds(784_111_777));
    let found = Representation {
        content_type: "text/plain",
        length: 1_000,
        validators: &validators,
        coding: Coding::Gzip,
        varies: true,
    };
    for method in [Method::Get, Method::Head] {
        let mut response = Headers::new();
        let boundary = || "b".repeat(16);
        let (status, content) = serve(method, &headers, &found, now, boundary, &mut response);
        match (status, content) {
            (Status::OK, Content::Bytes(range)) => assert_eq!(range, 0..1_000),
            (Status::PARTIAL_CONTENT, Content::Bytes(range)) => {
                assert!(method == Method::Get && range.start < range.end && range.end <= 1_000);
            }
            (Status::PARTIAL_CONTENT, Content::Parts(parts)) => {
                // No more than all of it, and a head for each part.
                assert!(method == Method::Get && parts.content_length() < 1_000 + 17 * 200);
            }
            (
                Status::NOT_MODIFIED | Status::PRECONDITION_FAILED | Status::RANGE_NOT_SATISFIABLE,
                Content::Nothing,
            ) => {}
            other => panic!("{other:?}"),
        }
    }
    _ = prefer_coding(&headers, &[Coding::Zstd, Coding::Brotli, Coding::Gzip]);
    _ = prefer_type(&headers, &["text/html", "application/json"]);
    _ = Credentials::of(&headers);
    _ = headers.get(Header::IfRange).and_then(EntityTag::parse);
    _ = Date::parse(input, now);
    if let Ok(text) = str::from_utf8(input) {
        if let Ok(path) = CleanPath::of(text, true) {
            let mut segments = path.as_bytes().split(|byte| *byte == b'/');
            let is_inside = |segment: &[u8]| !matches!(segment, b"" | b"." | b"..");
            assert!(path.as_bytes().is_empty() || segments.all(is_inside));
            assert!(!path.as_bytes().contains(&0));
        }
        if let Ok(path) = canonical(text) {
            assert_eq!(canonical(&path).as_deref(), Ok(&*path));
        }
        if let Some((pattern, path)) = text.split_once('\n') {
            _ = PathPattern::new(pattern).matches(path);
        }
    }
}
