//! Where a request's content ends, and whether the connection goes on behind it. RFC 9112 sections 6 and 9.3.

use super::fault::Fault;
use crate::header::Header;
use crate::headers::Headers;
use crate::lex;
use crate::version::Version;

/// How a request's content is delimited. RFC 9112 section 6.3.
///
/// ```
/// use raddle_http::protocol::{Framing, Limits, RequestHead};
///
/// let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
/// assert_eq!(RequestHead::parse(head, &Limits::default()).unwrap().framing(), Framing::Length(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes follow the head; none if the request says nothing.
    Length(u64),
    /// Chunks follow, the last of which is empty.
    Chunked,
}

/// Decides by all fields together; what leaves a doubt is refused, for a doubt is how requests are smuggled: section 11.2.
pub(super) fn framing(version: Version, headers: &Headers) -> Result<Framing, Fault> {
    let mut lengths = headers.get_all(Header::ContentLength);
    let length = lengths.next();
    if headers.contains(Header::TransferEncoding) {
        // Section 6.1: such a message may have been forwarded by somebody who did not understand it.
        if version == Version::Http10 {
            return Err(Fault::CodingIn10);
        }
        if length.is_some() {
            return Err(Fault::LengthAndCoding);
        }
        return codings(headers);
    }
    let Some(length) = length else { return Ok(Framing::Length(0)) };
    // Section 6.3 allows to take equal ones for one; who sends two, or a list, is not to be relied on.
    if lengths.next().is_some() || length.contains(&b',') {
        return Err(Fault::TwoLengths);
    }
    match lex::decimal(length) {
        Some(length) => Ok(Framing::Length(length)),
        // Too large for 64 bits is too large.
        None if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            Err(Fault::ContentTooLarge)
        }
        None => Err(Fault::BadLength),
    }
}

/// `chunked` must be the last coding, without parameters, and there is no other that is known here.
fn codings(headers: &Headers) -> Result<Framing, Fault> {
    let mut is_chunked = false;
    let mut others = 0;
    for coding in headers.list(Header::TransferEncoding) {
        // Section 6.1: chunked is applied once, and last.
        if is_chunked {
            return Err(Fault::BadCoding);
        }
        is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        others += usize::from(!is_chunked);
    }
    match (is_chunked, others) {
        (false, _) => Err(Fault::BadCoding),
        (true, 0) => Ok(Framing::Chunked),
        (true, _) => Err(Fault::UnknownCoding),
    }
}

/// Whether the client wants the connection to stay: section 9.3.
pub(super) fn is_persistent(version: Version, headers: &Headers) -> bool {
    let mut is_kept = version == Version::Http11;
    for option in headers.list(Header::Connection) {
        if option.eq_ignore_ascii_case(b"close") {
            return false;
        }
        is_kept |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    is_kept
}

/// Whether the client waits for `100 Continue`. RFC 9110 section 10.1.1: in HTTP/1.0 it can't, whatever it says.
pub(super) fn expects_continue(version: Version, headers: &Headers) -> Result<bool, Fault> {
    if version == Version::Http10 {
        return Ok(false);
    }
    let mut is_expected = false;
    for expectation in headers.list(Header::Expect) {
        if !expectation.eq_ignore_ascii_case(b"100-continue") {
            return Err(Fault::BadExpectation);
        }
        is_expected = true;
    }
    Ok(is_expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        fields.iter().for_each(|(name, value)| headers.add(*name, value).unwrap());
        headers
    }

    fn framed(fields: &[(&str, &str)]) -> Result<Framing, Fault> {
        framing(Version::Http11, &headers(fields))
    }

    #[test]
    fn lengths_are_one_number() {
        const NAME: &str = "Content-Length";
        assert_eq!(framed(&[]), Ok(Framing::Length(0)));
        assert_eq!(framed(&[(NAME, "007")]), Ok(Framing::Length(7)));
        assert_eq!(framed(&[(NAME, "18446744073709551615")]), Ok(Framing::Length(u64::MAX)));
        assert_eq!(framed(&[(NAME, "18446744073709551616")]), Err(Fault::ContentTooLarge));
        for value in ["", "+1", "-1", "0x1", "1 2", "1.0", "one", "1;", "\u{664}"] {
            assert_eq!(framed(&[(NAME, value)]), Err(Fault::BadLength), "{value}");
        }
        for fields in [&[(NAME, "1"), (NAME, "1")][..], &[(NAME, "1, 1")], &[(NAME, "1,")]] {
            assert_eq!(framed(fields), Err(Fault::TwoLengths), "{fields:?}");
        }
    }

    #[test]
    fn chunked_is_the_only_coding_and_the_last() {
        const NAME: &str = "Transfer-Encoding";
        for value in ["chunked", "Chunked", " ,chunked, ", "chunked,"] {
            assert_eq!(framed(&[(NAME, value)]), Ok(Framing::Chunked), "{value}");
        }
        for value in ["gzip, chunked", "identity, chunked", "\"x,y\", chunked"] {
            assert_eq!(framed(&[(NAME, value)]), Err(Fault::UnknownCoding), "{value}");
        }
        let bad = ["", "gzip", "chunked, gzip", "chunked, chunked", "chunked;q=1", "xchunked"];
        for value in bad.iter().chain(&["\"chunked\"", "chunked x", "identity", "chun\u{212a}ed"]) {
            assert_eq!(framed(&[(NAME, value)]), Err(Fault::BadCoding), "{value}");
        }
        assert_eq!(framed(&[(NAME, "gzip"), (NAME, "chunked")]), Err(Fault::UnknownCoding));
        assert_eq!(framed(&[(NAME, "chunked"), (NAME, "gzip")]), Err(Fault::BadCoding));
        let both = [(NAME, "chunked"), ("Content-Length", "1")];
        assert_eq!(framed(&both), Err(Fault::LengthAndCoding));
        let old = framing(Version::Http10, &headers(&[(NAME, "chunked")]));
        assert_eq!(old, Err(Fault::CodingIn10));
    }

    #[test]
    fn connections_stay_as_asked() {
        let stays = |version, value| is_persistent(version, &headers(&[("Connection", value)]));
        assert!(is_persistent(Version::Http11, &Headers::new()));
        assert!(!is_persistent(Version::Http10, &Headers::new()));
        assert!(stays(Version::Http10, "x, Keep-Alive"));
        assert!(!stays(Version::Http10, "keep-alive, close"));
        assert!(!stays(Version::Http11, "x, CLOSE"));
        assert!(stays(Version::Http11, "closed"));
    }

    #[test]
    fn there_is_one_expectation() {
        let expect = |version, value| expects_continue(version, &headers(&[("Expect", value)]));
        assert_eq!(expects_continue(Version::Http11, &Headers::new()), Ok(false));
        assert_eq!(expect(Version::Http11, "100-Continue"), Ok(true));
        assert_eq!(expect(Version::Http11, "100-continue, x"), Err(Fault::BadExpectation));
        assert_eq!(expect(Version::Http10, "100-continue"), Ok(false));
    }
}
