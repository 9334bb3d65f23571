//! A request's head: the bytes, the fields by offset, and what follows from them. RFC 9112 sections 3 and 5.

use super::fault::Fault;
use super::framing::{self, Framing};
use super::limits::Limits;
use super::scan::{Found, Scanner};
use super::target::{self, Target, TargetForm};
use crate::header::Header;
use crate::headers::{Headers, Index};
use crate::lex;
use crate::method::Method;
use crate::version::Version;
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Browsers send some fifteen fields.
const FEW: usize = 24;

/// The head of a request that may be answered: all that section 3 to 6 of RFC 9112 demand of it was checked.
///
/// It keeps its memory when it is filled anew, so that the requests of a connection need none after the first.
///
/// ```
/// use raddle_http::{Header, Method, protocol::{Limits, RequestHead}};
///
/// let bytes = b"GET /a?b HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n";
/// let head = RequestHead::parse(bytes, &Limits::default()).unwrap();
/// assert_eq!(head.method(), Method::Get);
/// assert_eq!((head.path(), head.query()), ("/a", Some("b")));
/// assert_eq!(head.host(), Some("example.org"));
/// assert_eq!(head.headers().get(Header::Accept), Some(&b"*/*"[..]));
/// ```
#[derive(Clone, Debug)]
pub struct RequestHead {
    method: Method,
    version: Version,
    /// Where the target stands in the head's bytes; the parts count from there.
    target: Range<usize>,
    parts: Target,
    headers: Headers,
    framing: Framing,
    is_persistent: bool,
    expects_continue: bool,
    /// By whom it was checked, under which limits.
    check: Option<Check>,
}

/// A connection's, as long as it has the same limits: no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Check(NonZeroU64);

impl Check {
    pub(super) fn new() -> Check {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed));
        Check(number.expect("nobody makes so many connections"))
    }
}

impl Default for RequestHead {
    fn default() -> RequestHead {
        RequestHead {
            method: Method::Get,
            version: Version::Http11,
            target: 0..0,
            parts: Target::default(),
            headers: Headers::new(),
            framing: Framing::Length(0),
            is_persistent: false,
            expects_continue: false,
            check: None,
        }
    }
}

impl RequestHead {
    /// A head to be filled by [`Connection::read_head`](super::Connection::read_head).
    ///
    /// ```
    /// assert_eq!(raddle_http::protocol::RequestHead::new().path(), "");
    /// ```
    pub fn new() -> RequestHead {
        RequestHead::default()
    }

    /// Parses a whole head, as if it had come on a connection without TLS; what stands behind its empty line is left alone.
    ///
    /// # Errors
    ///
    /// The first [`Fault`]; [`Fault::IncompleteHead`] if the empty line is not there.
    ///
    /// ```
    /// use raddle_http::protocol::{Fault, Limits, RequestHead};
    ///
    /// let fault = RequestHead::parse(b"GET / HTTP/1.1\r\n\r\n", &Limits::default()).unwrap_err();
    /// assert_eq!(fault, Fault::NoHost);
    /// ```
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<RequestHead, Fault> {
        let found = Scanner::default().head(bytes, limits)?.ok_or(Fault::IncompleteHead)?;
        let mut head = RequestHead::new();
        head.fill(bytes, found, limits, false)?;
        Ok(head)
    }

    /// What is asked for.
    ///
    /// ```
    /// # use raddle_http::{Method, protocol::RequestHead};
    /// assert_eq!(RequestHead::new().method(), Method::Get);
    /// ```
    pub fn method(&self) -> Method {
        self.method
    }

    /// The protocol's version; 1.1 for all that is newer. RFC 9110 section 2.5.
    ///
    /// ```
    /// # use raddle_http::{Version, protocol::{Limits, RequestHead}};
    /// let head = RequestHead::parse(b"GET / HTTP/1.0\r\n\r\n", &Limits::default()).unwrap();
    /// assert_eq!(head.version(), Version::Http10);
    /// ```
    pub fn version(&self) -> Version {
        self.version
    }

    /// The target, as it was sent. RFC 9112 section 3.2.
    ///
    /// ```
    /// # use raddle_http::protocol::{Limits, RequestHead};
    /// let head = RequestHead::parse(b"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", &Limits::default());
    /// assert_eq!(head.unwrap().target(), "http://a/b");
    /// ```
    pub fn target(&self) -> &str {
        self.text(self.target.clone())
    }

    /// Which form the target has. RFC 9112 section 3.2.
    ///
    /// ```
    /// # use raddle_http::protocol::{RequestHead, TargetForm};
    /// assert_eq!(RequestHead::new().form(), TargetForm::Origin);
    /// ```
    pub fn form(&self) -> TargetForm {
        self.parts.form
    }

    /// The path, not decoded. `/` for a target that stops behind its host; empty for `*` and for CONNECT.
    ///
    /// ```
    /// # use raddle_http::protocol::{Limits, RequestHead};
    /// let head = RequestHead::parse(b"GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", &Limits::default());
    /// assert_eq!(head.unwrap().path(), "/");
    /// ```
    pub fn path(&self) -> &str {
        match &self.parts {
            Target { form: TargetForm::Absolute, path, .. } if path.is_empty() => "/",
            parts => self.part(&parts.path),
        }
    }

    /// What follows the question mark, not decoded.
    ///
    /// ```
    /// # use raddle_http::protocol::RequestHead;
    /// assert_eq!(RequestHead::new().query(), None);
    /// ```
    pub fn query(&self) -> Option<&str> {
        self.parts.query.as_ref().map(|query| self.part(query))
    }

    /// Whom the request is for, with the port if one was named: the target's host if it has one, else the Host field's.
    /// RFC 9112 section 3.2.2 and 3.3. `None` in HTTP/1.0 only; empty if the client knows no name.
    ///
    /// ```
    /// # use raddle_http::protocol::{Limits, RequestHead};
    /// let head = RequestHead::parse(b"GET http://a:1/ HTTP/1.1\r\nHost: b\r\n\r\n", &Limits::default());
    /// assert_eq!(head.unwrap().host(), Some("a:1"));
    /// ```
    pub fn host(&self) -> Option<&str> {
        match &self.parts.authority {
            Some(authority) => Some(self.part(authority)),
            None => self.headers.get_str(Header::Host),
        }
    }

    /// The fields.
    ///
    /// ```
    /// # use raddle_http::protocol::RequestHead;
    /// assert!(RequestHead::new().headers().is_empty());
    /// ```
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// How the content is delimited.
    ///
    /// ```
    /// # use raddle_http::protocol::{Framing, RequestHead};
    /// assert_eq!(RequestHead::new().framing(), Framing::Length(0));
    /// ```
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the client wants the connection to stay. RFC 9112 section 9.3.
    ///
    /// ```
    /// # use raddle_http::protocol::{Limits, RequestHead};
    /// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    /// assert!(!RequestHead::parse(bytes, &Limits::default()).unwrap().is_persistent());
    /// ```
    pub fn is_persistent(&self) -> bool {
        self.is_persistent
    }

    /// Whether the client waits for `100 Continue` before it sends the content. RFC 9110 section 10.1.1.
    ///
    /// ```
    /// # use raddle_http::protocol::RequestHead;
    /// assert!(!RequestHead::new().expects_continue());
    /// ```
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether the client says that it reads trailers. RFC 9110 section 10.1.4.
    ///
    /// ```
    /// # use raddle_http::protocol::{Limits, RequestHead};
    /// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n";
    /// assert!(RequestHead::parse(bytes, &Limits::default()).unwrap().accepts_trailers());
    /// ```
    pub fn accepts_trailers(&self) -> bool {
        self.headers
            .list(Header::Te)
            .any(|one| lex::weighted(one).0.eq_ignore_ascii_case(b"trailers"))
    }

    fn part(&self, range: &Range<usize>) -> &str {
        self.text(self.target.start + range.start..self.target.start + range.end)
    }

    fn text(&self, range: Range<usize>) -> &str {
        str::from_utf8(&self.headers.loaded()[range]).expect("targets are ASCII")
    }

    /// How long the head is, if it was checked so and `bytes` begin with the same: what was found of it is true of these, too.
    ///
    /// Most clients that ask more than once send the same fields, and many the same line: a comparison is a tenth of what it takes to parse them.
    #[inline]
    pub(super) fn begins(&self, bytes: &[u8], check: Check) -> Option<usize> {
        let head = self.headers.loaded();
        (self.check == Some(check) && bytes.starts_with(head)).then_some(head.len())
    }

    /// What stands here is no request's any more.
    pub(super) fn forget(&mut self) {
        (self.check, self.method) = (None, Method::Get);
    }

    /// It was filled, and is right.
    pub(super) fn set_check(&mut self, check: Check) {
        self.check = Some(check);
    }

    /// Takes over the head that the scanner found. What stood here before is gone, also after a fault; then the method is right as far as
    /// it could be told, for the answer to HEAD has no content even if the rest is wrong.
    ///
    /// Room for all the fields that there may be would be a page of the stack, of each connection's, and mostly there are few.
    #[inline]
    pub(super) fn fill(
        &mut self,
        bytes: &[u8],
        found: Found,
        limits: &Limits,
        is_secure: bool,
    ) -> Result<(), Fault> {
        if found.fields <= FEW {
            self.fill_from::<FEW>(bytes, found, limits, is_secure)
        } else {
            self.fill_from::<{ Limits::FIELDS_MAX }>(bytes, found, limits, is_secure)
        }
    }

    /// Of a head with `MAX` fields at most. Never inlined: the larger one's room would be on the stack of the smaller one's callers.
    #[inline(never)]
    fn fill_from<const MAX: usize>(
        &mut self,
        bytes: &[u8],
        found: Found,
        limits: &Limits,
        is_secure: bool,
    ) -> Result<(), Fault> {
        self.forget();
        self.target = 0..0;
        self.parts = Target::default();
        let (bytes, index) = self.headers.load(&bytes[found.start..found.end]);
        self.version = patch_version(bytes)?;
        let bytes = &bytes[..];
        let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(bytes, &mut fields);
        if let Some(method) = request.method {
            self.method = Method::from_bytes(method.as_bytes()).ok_or(Fault::MethodTooLong)?;
        }
        let offset = |part: &[u8]| part.as_ptr() as usize - bytes.as_ptr() as usize;
        if let Some(target) = request.path {
            if target.len() > limits.target_size {
                return Err(Fault::TargetTooLong);
            }
            let start = offset(target.as_bytes());
            self.parts = target::parse(self.method, target.as_bytes())?;
            self.target = start..start + target.len();
        }
        match parsed {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(Fault::RequestLine),
            Err(error) => return Err(diagnose(error, bytes)),
        }
        for field in &*request.headers {
            let name = (offset(field.name.as_bytes()), field.name.as_bytes());
            if !index.push_found(name, (offset(field.value), field.value.len())) {
                return Err(Fault::HeadTooLarge);
            }
        }
        self.check(limits, is_secure)
    }

    /// What several fields, or field and target, say together.
    fn check(&mut self, limits: &Limits, is_secure: bool) -> Result<(), Fault> {
        let mut hosts = self.headers.get_all(Header::Host);
        match (hosts.next(), hosts.next()) {
            (None, _) if self.version == Version::Http10 => {}
            (None, _) => return Err(Fault::NoHost),
            (Some(_), Some(_)) => return Err(Fault::TwoHosts),
            (Some(host), None) if target::authority(host).is_none() => return Err(Fault::BadHost),
            (Some(_), None) => {}
        }
        // RFC 9110 section 7.4.
        if self.parts.is_https && !is_secure {
            return Err(Fault::Misdirected);
        }
        self.framing = framing::framing(self.version, &self.headers)?;
        self.is_persistent = framing::is_persistent(self.version, &self.headers);
        self.expects_continue = framing::expects_continue(self.version, &self.headers)?;
        match self.framing {
            Framing::Length(length) if length > limits.body_size => Err(Fault::ContentTooLarge),
            _ => Ok(()),
        }
    }
}

/// Reads the version at the end of the first line. RFC 9110 section 2.5: a higher minor version counts as the highest one that is known,
/// so it is overwritten with that, which `httparse` knows.
fn patch_version(head: &mut [u8]) -> Result<Version, Fault> {
    let end = memchr::memchr(b'\r', head).ok_or(Fault::RequestLine)?;
    if head.get(end + 1) != Some(&b'\n') {
        return Err(Fault::BareCr);
    }
    let line = &mut head[..end];
    let Some(version) = line.len().checked_sub(9).map(|start| &mut line[start..]) else {
        return Err(Fault::RequestLine);
    };
    match version {
        [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'] => Ok(Version::Http11),
        [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'] => Ok(Version::Http10),
        [b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            if *major != b'1' {
                return Err(Fault::BadVersion);
            }
            *minor = b'1';
            Ok(Version::Http11)
        }
        _ => Err(Fault::RequestLine),
    }
}

/// What exactly `httparse` stumbled over. Not on the way of good requests, so it looks at all lines again.
fn diagnose(error: httparse::Error, head: &[u8]) -> Fault {
    match error {
        httparse::Error::TooManyHeaders => return Fault::TooManyFields,
        httparse::Error::Token | httparse::Error::Version => return Fault::RequestLine,
        _ => {}
    }
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).find_map(fault_of_line).unwrap_or(
        match error {
            httparse::Error::HeaderValue => Fault::BadFieldValue,
            httparse::Error::HeaderName => Fault::BadFieldName,
            _ => Fault::BareCr,
        },
    )
}

/// What is wrong with a field line, without its end.
pub(super) fn fault_of_line(line: &[u8]) -> Option<Fault> {
    if line.is_empty() {
        return None;
    }
    if line.contains(&b'\r') {
        return Some(Fault::BareCr);
    }
    let Some(colon) = memchr::memchr(b':', line) else { return Some(Fault::BadFieldName) };
    let name = &line[..colon];
    if name.last().is_some_and(|byte| lex::is_space(*byte)) && lex::is_token(lex::trim(name)) {
        return Some(Fault::SpaceBeforeColon);
    }
    if !lex::is_token(name) {
        return Some(Fault::BadFieldName);
    }
    (!lex::is_value(&line[colon + 1..])).then_some(Fault::BadFieldValue)
}

/// Takes over a trailer section that the scanner found.
pub(super) fn fill_trailers(headers: &mut Headers, section: &[u8]) -> Result<(), Fault> {
    let (bytes, index) = headers.load(section);
    let mut fields = [httparse::EMPTY_HEADER; Limits::FIELDS_MAX];
    let fields = match httparse::parse_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Ok(httparse::Status::Partial) => return Err(Fault::IncompleteBody),
        // `diagnose` skips what is a first line elsewhere.
        Err(error) => return Err(diagnose(error, &[b"\r\n", &bytes[..]].concat())),
    };
    note(index, bytes, fields)
}

fn note(index: &mut Index, bytes: &[u8], fields: &[httparse::Header<'_>]) -> Result<(), Fault> {
    let offset = |part: &[u8]| part.as_ptr() as usize - bytes.as_ptr() as usize;
    for field in fields {
        let name = (offset(field.name.as_bytes()), field.name.as_bytes());
        if !index.push_found(name, (offset(field.value), field.value.len())) {
            return Err(Fault::HeadTooLarge);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_fields_there_are() {
        let most = Limits::FIELDS_MAX;
        let limits = Limits { fields: most, ..Limits::default() };
        for count in [1, 2, FEW - 1, FEW, FEW + 1, most - 1, most, most + 1] {
            let others: String =
                (1..count).map(|number| format!("X-{number}: {number}\r\n")).collect();
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{others}\r\n");
            match RequestHead::parse(text.as_bytes(), &limits) {
                Ok(head) => assert!(count <= most && head.headers().len() == count),
                Err(fault) => assert_eq!((fault, count), (Fault::TooManyFields, most + 1)),
            }
        }
    }
}
