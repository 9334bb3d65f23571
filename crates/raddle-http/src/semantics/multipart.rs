//! Several ranges in one response: `multipart/byteranges`. RFC 9110 sections 14.6 and 15.3.7.2, RFC 2046 section 5.1.

use super::range::content_range;
use std::ops::Range;

/// The parts of a response to several ranges: what is to be written, in order, and how long that is.
///
/// ```
/// use raddle_http::semantics::{Multipart, Part};
///
/// let parts = Multipart::new(vec![0..2, 90..100], 100, "text/plain", "B");
/// assert_eq!(parts.content_type(), "multipart/byteranges; boundary=B");
/// let content = vec![b'x'; 100];
/// let mut body = Vec::new();
/// for part in parts.parts() {
///     match part {
///         Part::Text(text) => body.extend_from_slice(text.as_bytes()),
///         Part::Range(range) => body.extend_from_slice(&content[range.start as usize..range.end as usize]),
///     }
/// }
/// assert_eq!(body.len() as u64, parts.content_length());
/// let expected = "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/100\r\n\r\nxx\
///     \r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 90-99/100\r\n\r\nxxxxxxxxxx\r\n--B--\r\n";
/// assert_eq!(String::from_utf8(body).unwrap(), expected);
/// ```
#[derive(Clone, Debug)]
pub struct Multipart {
    ranges: Vec<Range<u64>>,
    length: u64,
    content_type: String,
    boundary: String,
}

/// A piece of the content.
///
/// ```
/// use raddle_http::semantics::Part;
/// assert_ne!(Part::Range(0..1), Part::Text("\r\n".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stands before a range, or at the end.
    Text(String),
    /// These bytes of the representation.
    Range(Range<u64>),
}

impl Multipart {
    /// Of a representation of that length and type. The boundary must not occur in it: a random one of 16 letters or more does not.
    ///
    /// # Panics
    ///
    /// If the boundary is empty, longer than 70 characters, or not of letters, digits, `-` and `_`.
    ///
    /// ```
    /// # use raddle_http::semantics::Multipart;
    /// let parts = Multipart::new(vec![0..1, 2..3], 4, "text/plain", "b7c9");
    /// assert!(parts.content_length() > 2);
    /// ```
    pub fn new(
        ranges: Vec<Range<u64>>,
        length: u64,
        content_type: &str,
        boundary: &str,
    ) -> Multipart {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_boundary = matches!(boundary.len(), 1..=70) && boundary.bytes().all(is_valid);
        assert!(is_boundary, "{boundary} is no boundary");
        Multipart { ranges, length, content_type: content_type.into(), boundary: boundary.into() }
    }

    /// The response's `Content-Type`. It has no `Content-Range` of its own: section 15.3.7.2.
    ///
    /// ```
    /// # use raddle_http::semantics::Multipart;
    /// let parts = Multipart::new(vec![0..1, 2..3], 4, "text/plain", "b7c9");
    /// assert_eq!(parts.content_type(), "multipart/byteranges; boundary=b7c9");
    /// ```
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// The response's `Content-Length`.
    ///
    /// ```
    /// # use raddle_http::semantics::Multipart;
    /// assert_eq!(Multipart::new(vec![], 4, "text/plain", "b").content_length(), 9);
    /// ```
    pub fn content_length(&self) -> u64 {
        let length = |part| match part {
            Part::Text(text) => text.len() as u64,
            Part::Range(range) => range.end - range.start,
        };
        self.parts().map(length).sum()
    }

    /// All pieces of the content.
    ///
    /// ```
    /// # use raddle_http::semantics::{Multipart, Part};
    /// let parts = Multipart::new(vec![], 4, "text/plain", "b");
    /// assert_eq!(parts.parts().next(), Some(Part::Text("\r\n--b--\r\n".to_owned())));
    /// ```
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        let boundary = &self.boundary;
        let pieces = self.ranges.iter().flat_map(move |range| {
            let text = format!(
                "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
                self.content_type,
                content_range(Some(range), self.length)
            );
            [Part::Text(text), Part::Range(range.clone())]
        });
        pieces.chain(std::iter::once_with(move || Part::Text(format!("\r\n--{boundary}--\r\n"))))
    }
}
