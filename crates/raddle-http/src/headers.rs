//! A message's fields: in order, names without regard to case, all bytes in one buffer. RFC 9110 sections 5 and 6.3.

use crate::header::Header;
use crate::lex;
use std::fmt;

/// The fields of a message, in their order. A name may come several times.
///
/// Names and values stand in one buffer, in the form in which they are sent, so that writing a response's fields is one copy; a
/// cleared `Headers` keeps its memory.
///
/// ```
/// use raddle_http::{Header, Headers};
///
/// let mut headers = Headers::new();
/// headers.add("Vary", "Accept")?;
/// headers.add(Header::ContentType, "text/plain")?;
/// headers.add("vary", "Accept-Encoding")?;
/// assert_eq!(headers.get("content-type"), Some(&b"text/plain"[..]));
/// assert_eq!(headers.get_all(Header::Vary).count(), 2);
/// headers.set(Header::Vary, "*")?;
/// assert_eq!(headers.len(), 2);
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
#[derive(Default)]
pub struct Headers {
    bytes: Vec<u8>,
    index: Index,
    /// The buffer also holds what is no field: a request's first line, white space that is not sent again.
    is_parsed: bool,
}

impl Clone for Headers {
    fn clone(&self) -> Headers {
        Headers { bytes: self.bytes.clone(), index: self.index.clone(), is_parsed: self.is_parsed }
    }

    /// Takes no new memory where the old suffices: fields that are sent again and again are copied this way.
    fn clone_from(&mut self, source: &Headers) {
        self.bytes.clone_from(&source.bytes);
        self.index.fields.clone_from(&source.index.fields);
        self.index.present = source.index.present;
        self.is_parsed = source.is_parsed;
    }
}

/// Where in the buffer each field stands.
#[derive(Clone, Default)]
pub(crate) struct Index {
    fields: Vec<Field>,
    /// A bit for each standard field that is there.
    present: u64,
}

#[derive(Clone, Copy)]
struct Field {
    name: u32,
    value: u32,
    value_length: u32,
    name_length: u16,
    header: Option<Header>,
}

/// A field's name, by number or as text.
///
/// ```
/// use raddle_http::{Header, Name};
/// assert_eq!(Name::from("host"), Name::Standard(Header::Host));
/// assert_eq!(Name::from("X-Mine"), Name::Other("X-Mine"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// One that has a number.
    Standard(Header),
    /// Any other.
    Other(&'a str),
}

/// A name that is no token, or a value with a control character: a line break in a value would forge a field, or a response.
/// RFC 9110 sections 5.1 and 5.5.
///
/// ```
/// use raddle_http::Headers;
/// let error = Headers::new().add("X-Name", "a\r\nSet-Cookie: forged").unwrap_err();
/// assert_eq!(error.to_string(), "a field's name must be a token, its value without control characters");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidField;

impl From<Header> for Name<'_> {
    fn from(header: Header) -> Self {
        Name::Standard(header)
    }
}

impl<'a> From<&'a str> for Name<'a> {
    fn from(name: &'a str) -> Self {
        Header::of(name.as_bytes()).map_or(Name::Other(name), Name::Standard)
    }
}

impl Name<'_> {
    fn as_str(&self) -> &str {
        match self {
            Name::Standard(header) => header.as_str(),
            Name::Other(name) => name,
        }
    }
}

impl Headers {
    /// None yet, and no memory.
    ///
    /// ```
    /// assert!(raddle_http::Headers::new().is_empty());
    /// ```
    pub fn new() -> Headers {
        Headers::default()
    }

    /// How many fields.
    ///
    /// ```
    /// assert_eq!(raddle_http::Headers::new().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.index.fields.len()
    }

    /// Whether there is none.
    ///
    /// ```
    /// assert!(raddle_http::Headers::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.index.fields.is_empty()
    }

    /// About as many bytes as they are when they are written.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all fields and keeps the memory.
    ///
    /// ```
    /// let mut headers = raddle_http::Headers::new();
    /// headers.add("Age", "1").unwrap();
    /// headers.clear();
    /// assert_eq!(headers.get("Age"), None);
    /// ```
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.index.clear();
        self.is_parsed = false;
    }

    /// Whether a field of that name is there.
    ///
    /// ```
    /// # use raddle_http::{Header, Headers};
    /// assert!(!Headers::new().contains(Header::Range));
    /// ```
    pub fn contains<'a>(&self, name: impl Into<Name<'a>>) -> bool {
        self.get(name).is_some()
    }

    /// The first field's value of that name.
    ///
    /// ```
    /// # use raddle_http::Headers;
    /// let mut headers = Headers::new();
    /// headers.add("X-A", "1").unwrap();
    /// assert_eq!(headers.get("x-a"), Some(&b"1"[..]));
    /// ```
    pub fn get<'a>(&self, name: impl Into<Name<'a>>) -> Option<&[u8]> {
        let name = name.into();
        if !self.index.may_have(name) {
            return None;
        }
        let field = self.index.fields.iter().find(|field| self.is_named(field, name))?;
        Some(self.value(field))
    }

    /// As [`get`](Headers::get), if the value is text: UTF-8, or plain ASCII.
    ///
    /// ```
    /// # use raddle_http::{Header, Headers};
    /// let mut headers = Headers::new();
    /// headers.add(Header::UserAgent, "curl/8").unwrap();
    /// assert_eq!(headers.get_str(Header::UserAgent), Some("curl/8"));
    /// ```
    pub fn get_str<'a>(&self, name: impl Into<Name<'a>>) -> Option<&str> {
        str::from_utf8(self.get(name)?).ok()
    }

    /// All values of that name, in order.
    ///
    /// ```
    /// # use raddle_http::{Header, Headers};
    /// let mut headers = Headers::new();
    /// headers.add(Header::SetCookie, "a=1").unwrap();
    /// headers.add(Header::SetCookie, "b=2").unwrap();
    /// assert_eq!(headers.get_all(Header::SetCookie).last(), Some(&b"b=2"[..]));
    /// ```
    pub fn get_all<'a>(&self, name: impl Into<Name<'a>>) -> impl Iterator<Item = &[u8]> {
        let name = name.into();
        let fields = if self.index.may_have(name) { &self.index.fields[..] } else { &[] };
        fields.iter().filter(move |field| self.is_named(field, name)).map(|field| self.value(field))
    }

    /// The elements of all lists of that name, as if they were one: RFC 9110 sections 5.3 and 5.6.1.
    ///
    /// ```
    /// # use raddle_http::{Header, Headers};
    /// let mut headers = Headers::new();
    /// headers.add(Header::Connection, "close, x").unwrap();
    /// headers.add(Header::Connection, ", y").unwrap();
    /// assert_eq!(headers.list(Header::Connection).collect::<Vec<_>>(), [b"close".as_slice(), b"x", b"y"]);
    /// ```
    pub fn list<'a>(&self, name: impl Into<Name<'a>>) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).flat_map(lex::list)
    }

    /// All fields, in order.
    ///
    /// ```
    /// # use raddle_http::Headers;
    /// let mut headers = Headers::new();
    /// headers.add("X-A", "1").unwrap();
    /// assert_eq!(headers.iter().next(), Some(("X-A", &b"1"[..])));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.index.fields.iter().map(|field| {
            let name = str::from_utf8(self.name(field)).expect("tokens are ASCII");
            (name, self.value(field))
        })
    }

    /// Adds a field at the end; others of its name stay. White space around the value is not kept: RFC 9110 section 5.5.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it can't be sent; nothing is added then.
    ///
    /// ```
    /// # use raddle_http::Headers;
    /// let mut headers = Headers::new();
    /// headers.add("X-A", " 1 ")?;
    /// assert!(headers.add("X A", "1").is_err());
    /// assert_eq!(headers.get("X-A"), Some(&b"1"[..]));
    /// # Ok::<(), raddle_http::InvalidField>(())
    /// ```
    pub fn add<'a>(
        &mut self,
        name: impl Into<Name<'a>>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), InvalidField> {
        let name = name.into();
        let value = lex::trim(value.as_ref());
        let is_valid = matches!(name, Name::Standard(_)) || lex::is_token(name.as_str().as_bytes());
        // Offsets have 32 bits, a name's length 16.
        let is_small =
            self.bytes.len() + value.len() < 1 << 31 && name.as_str().len() <= u16::MAX.into();
        if !is_valid || !lex::is_value(value) || !is_small {
            return Err(InvalidField);
        }
        let text = name.as_str().as_bytes();
        let start = self.bytes.len() as u32;
        self.bytes.reserve(text.len() + value.len() + 4);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
        self.index.push(Field {
            name: start,
            value: start + text.len() as u32 + 2,
            value_length: value.len() as u32,
            name_length: text.len() as u16,
            header: match name {
                Name::Standard(header) => Some(header),
                Name::Other(_) => None,
            },
        });
        Ok(())
    }

    /// Adds a field in place of all others of its name.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it can't be sent; nothing has changed then.
    ///
    /// ```
    /// # use raddle_http::{Header, Headers};
    /// let mut headers = Headers::new();
    /// headers.set(Header::Age, "1")?;
    /// headers.set(Header::Age, "2")?;
    /// assert_eq!(headers.get_all(Header::Age).count(), 1);
    /// # Ok::<(), raddle_http::InvalidField>(())
    /// ```
    pub fn set<'a>(
        &mut self,
        name: impl Into<Name<'a>>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), InvalidField> {
        let name = name.into();
        self.add(name, value)?;
        let last = self.len() - 1;
        self.retain(|headers, at, field| at == last || !headers.is_named(field, name));
        Ok(())
    }

    /// Removes all fields of that name; says whether there was one.
    ///
    /// ```
    /// # use raddle_http::{Header, Headers};
    /// let mut headers = Headers::new();
    /// headers.add(Header::Etag, "\"1\"").unwrap();
    /// assert!(headers.remove("etag") && !headers.remove("etag"));
    /// ```
    pub fn remove<'a>(&mut self, name: impl Into<Name<'a>>) -> bool {
        let name = name.into();
        let before = self.len();
        self.retain(|headers, _, field| !headers.is_named(field, name));
        self.len() < before
    }

    /// Keeps the fields for which it says so, by building the buffer anew if there are others.
    fn retain(&mut self, keep: impl Fn(&Headers, usize, &Field) -> bool) {
        let mut fields = self.index.fields.iter().enumerate();
        if fields.all(|(at, field)| keep(self, at, field)) {
            return;
        }
        let old = std::mem::take(self);
        for (at, field) in old.index.fields.iter().enumerate() {
            if keep(&old, at, field) {
                let name = str::from_utf8(old.name(field)).expect("tokens are ASCII");
                self.add(name, old.value(field)).expect("it was valid before");
            }
        }
    }

    fn is_named(&self, field: &Field, name: Name<'_>) -> bool {
        match name {
            Name::Standard(header) => field.header == Some(header),
            Name::Other(name) => {
                field.header.is_none() && self.name(field).eq_ignore_ascii_case(name.as_bytes())
            }
        }
    }

    fn name(&self, field: &Field) -> &[u8] {
        &self.bytes[field.name as usize..][..usize::from(field.name_length)]
    }

    fn value(&self, field: &Field) -> &[u8] {
        &self.bytes[field.value as usize..][..field.value_length as usize]
    }

    /// Whether a field of this set of bits is there.
    pub(crate) fn has_any(&self, bits: u64) -> bool {
        self.index.present & bits != 0
    }

    /// Adds all fields as they are sent, but those of this set of bits, and without the empty line behind them.
    pub(crate) fn write_without(&self, to: &mut Vec<u8>, bits: u64) {
        if !self.is_parsed && !self.has_any(bits) {
            to.extend_from_slice(&self.bytes);
            return;
        }
        for field in &self.index.fields {
            if field.header.is_some_and(|header| header.bit() & bits != 0) {
                continue;
            }
            to.extend_from_slice(self.name(field));
            to.extend_from_slice(b": ");
            to.extend_from_slice(self.value(field));
            to.extend_from_slice(b"\r\n");
        }
    }

    /// Takes over a head's bytes, first line and all; the fields are told one by one with [`Index::push_found`].
    pub(crate) fn load(&mut self, head: &[u8]) -> (&mut Vec<u8>, &mut Index) {
        self.clear();
        self.bytes.extend_from_slice(head);
        self.is_parsed = true;
        (&mut self.bytes, &mut self.index)
    }

    /// The bytes that were taken over.
    pub(crate) fn loaded(&self) -> &[u8] {
        &self.bytes
    }
}

impl Index {
    fn clear(&mut self) {
        self.fields.clear();
        self.present = 0;
    }

    fn push(&mut self, field: Field) {
        self.present |= field.header.map_or(0, Header::bit);
        self.fields.push(field);
    }

    /// Whether looking for it is worth while.
    fn may_have(&self, name: Name<'_>) -> bool {
        match name {
            Name::Standard(header) => self.present & header.bit() != 0,
            Name::Other(_) => true,
        }
    }

    /// Notes a field that stands in the bytes that were taken over. `false` if it is too large for the offsets.
    #[must_use]
    pub(crate) fn push_found(&mut self, name: (usize, &[u8]), value: (usize, usize)) -> bool {
        let (name_at, name) = name;
        let (value_at, value_length) = value;
        let Ok(name_length) = u16::try_from(name.len()) else { return false };
        let offset = |at: usize| u32::try_from(at).ok();
        let (Some(name_at), Some(value_at), Some(value_length)) =
            (offset(name_at), offset(value_at), offset(value_length))
        else {
            return false;
        };
        let header = Header::of(name);
        self.push(Field { name: name_at, value: value_at, value_length, name_length, header });
        true
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        f.debug_list().entries(self.iter().map(|(name, value)| (name, text(value)))).finish()
    }
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name must be a token, its value without control characters")
    }
}

impl std::error::Error for InvalidField {}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(headers: &Headers) -> String {
        let mut bytes = Vec::new();
        headers.write_without(&mut bytes, 0);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_field_takes_sixteen_bytes() {
        assert_eq!(size_of::<Field>(), 16);
    }

    #[test]
    fn what_is_replaced_or_removed_is_gone_and_the_others_keep_their_order() {
        let mut headers = Headers::new();
        for (name, value) in [("A", "1"), ("Age", "2"), ("a", "3"), ("B", ""), ("age", "4")] {
            headers.add(name, value).unwrap();
        }
        assert_eq!(written(&headers), "A: 1\r\nAge: 2\r\na: 3\r\nB: \r\nAge: 4\r\n");
        headers.set("a", "5").unwrap();
        assert_eq!(written(&headers), "Age: 2\r\nB: \r\nAge: 4\r\na: 5\r\n");
        assert!(headers.remove(Header::Age) && !headers.contains("age"));
        assert_eq!(written(&headers), "B: \r\na: 5\r\n");
        assert_eq!(headers.get("b"), Some(&b""[..]));
    }

    #[test]
    fn nothing_gets_in_that_would_break_a_line() {
        let mut headers = Headers::new();
        for (name, value) in
            [("", "1"), ("A:", "1"), ("A\r", "1"), ("A", "1\n"), ("A", "1\0"), ("A", "1\r\nB: 2")]
        {
            assert_eq!(headers.add(name, value), Err(InvalidField), "{name:?} {value:?}");
            assert_eq!(headers.set(name, value), Err(InvalidField), "{name:?} {value:?}");
        }
        assert!(headers.is_empty());
        headers.add("A", b"\xff\t\x80").unwrap();
        assert_eq!(headers.get("A"), Some(&b"\xff\t\x80"[..]));
        assert_eq!(headers.get_str("A"), None);
    }
}
