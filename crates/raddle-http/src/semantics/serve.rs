//! GET and HEAD of something that exists: which status, which fields, which bytes. RFC 9110 sections 13.2.2, 14.2 and 15.3.7.

use super::accept::Coding;
use super::conditional::{Verdict, preconditions, range_applies};
use super::etag::Validators;
use super::multipart::Multipart;
use super::range::{Selection, content_range, select};
use crate::date::Date;
use crate::header::Header;
use crate::headers::Headers;
use crate::method::Method;
use crate::status::Status;
use std::ops::Range;

/// What would be sent, if nothing stood against it.
///
/// ```
/// use raddle_http::semantics::{Coding, Representation, Validators};
///
/// let page = Representation {
///     content_type: "text/html; charset=utf-8",
///     length: 1024,
///     validators: &Validators::none().with_tag("\"v1\""),
///     coding: Coding::Identity,
///     varies: false,
/// };
/// assert_eq!(page.length, 1024);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Representation<'a> {
    /// The value of `Content-Type`.
    pub content_type: &'a str,
    /// Bytes, as they are stored.
    pub length: u64,
    /// Of what is stored, coding and all.
    pub validators: &'a Validators,
    /// What it is stored in.
    pub coding: Coding,
    /// There are others, in other codings: caches must tell the requests apart.
    pub varies: bool,
}

/// Which of its bytes are sent.
///
/// ```
/// use raddle_http::semantics::Content;
/// assert!(matches!(Content::Bytes(0..100), Content::Bytes(range) if range.end == 100));
/// ```
#[derive(Clone, Debug)]
pub enum Content {
    /// None; the status says it all, or a text about it.
    Nothing,
    /// These.
    Bytes(Range<u64>),
    /// Several ranges of them.
    Parts(Multipart),
}

/// Decides about a GET or HEAD request, and adds the fields that go with the answer: 200, 206, 304, 412 or 416. `boundary` is asked for a
/// random text if several ranges are sent.
///
/// `Cache-Control` and what else belongs into a 304 may stand in the response's fields before.
///
/// ```
/// use raddle_http::{Date, Header, Headers, Method, Status};
/// use raddle_http::semantics::{Coding, Content, Representation, Validators, serve};
///
/// let page = Representation {
///     content_type: "text/html",
///     length: 1000,
///     validators: &Validators::none().with_tag("\"v1\""),
///     coding: Coding::Identity,
///     varies: false,
/// };
/// let mut request = Headers::new();
/// request.add(Header::Range, "bytes=990-")?;
/// let mut response = Headers::new();
/// let now = Date::from_seconds(1_790_000_000);
/// let (status, content) = serve(Method::Get, &request, &page, now, || unreachable!(), &mut response);
/// assert_eq!(status, Status::PARTIAL_CONTENT);
/// assert!(matches!(content, Content::Bytes(range) if range == (990..1000)));
/// assert_eq!(response.get(Header::ContentRange), Some(&b"bytes 990-999/1000"[..]));
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
pub fn serve(
    method: Method,
    request: &Headers,
    found: &Representation<'_>,
    now: Date,
    boundary: impl FnOnce() -> String,
    response: &mut Headers,
) -> (Status, Content) {
    let mut add = |header: Header, value: &str| {
        response.add(header, value).expect("types, tags and dates hold no control characters");
    };
    let verdict = preconditions(method, request, Some(found.validators), now);
    if verdict == Verdict::Failed {
        return (Status::PRECONDITION_FAILED, Content::Nothing);
    }
    if let Some(tag) = found.validators.tag() {
        add(Header::Etag, tag);
    }
    if found.varies {
        add(Header::Vary, "Accept-Encoding");
    }
    let modified = found.validators.modified();
    // A 304 needs the date only where there is no tag: section 15.4.5.
    if verdict == Verdict::NotModified {
        if let (Some(modified), None) = (modified, found.validators.tag()) {
            add(Header::LastModified, &modified.to_string());
        }
        return (Status::NOT_MODIFIED, Content::Nothing);
    }
    let selection = match range_applies(method, request, found.validators, now) {
        true => select(request, found.length),
        false => Selection::Whole,
    };
    if selection == Selection::Unsatisfiable {
        add(Header::ContentRange, &content_range(None, found.length));
        return (Status::RANGE_NOT_SATISFIABLE, Content::Nothing);
    }
    if let Some(modified) = modified {
        add(Header::LastModified, &modified.to_string());
    }
    add(Header::AcceptRanges, "bytes");
    if found.coding != Coding::Identity {
        add(Header::ContentEncoding, found.coding.token());
    }
    match selection {
        Selection::One(range) => {
            add(Header::ContentType, found.content_type);
            add(Header::ContentRange, &content_range(Some(&range), found.length));
            (Status::PARTIAL_CONTENT, Content::Bytes(range))
        }
        Selection::Many(ranges) => {
            let parts = Multipart::new(ranges, found.length, found.content_type, &boundary());
            add(Header::ContentType, &parts.content_type());
            (Status::PARTIAL_CONTENT, Content::Parts(parts))
        }
        Selection::Whole | Selection::Unsatisfiable => {
            add(Header::ContentType, found.content_type);
            (Status::OK, Content::Bytes(0..found.length))
        }
    }
}
