//! Conditional requests: whether to do what is asked, given what the client knows. RFC 9110 section 13.

use super::etag::{EntityTag, Validators, tags};
use crate::date::Date;
use crate::header::Header;
use crate::headers::Headers;
use crate::method::Method;

/// What the preconditions of a request come to.
///
/// ```
/// use raddle_http::semantics::Verdict;
/// assert_ne!(Verdict::Perform, Verdict::NotModified);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Do what is asked.
    Perform,
    /// Answer `304 Not Modified`: the client has it already.
    NotModified,
    /// Answer `412 Precondition Failed`.
    Failed,
}

/// Weighs a request's preconditions in the order of RFC 9110 section 13.2.2: If-Match, else If-Unmodified-Since; If-None-Match, else
/// If-Modified-Since. `current` are the validators of the representation that would be chosen, `None` if there is none.
///
/// To be called once it is clear that the response would be 2xx without them: section 13.2.1. `If-Range` is
/// [`range_applies`]'s.
///
/// ```
/// use raddle_http::{Date, Header, Headers, Method, semantics::{Validators, Verdict, preconditions}};
///
/// let mut headers = Headers::new();
/// headers.add(Header::IfNoneMatch, "\"v1\", \"v2\"")?;
/// let current = Validators::none().with_tag("\"v2\"");
/// let now = Date::from_seconds(1_790_000_000);
/// assert_eq!(preconditions(Method::Get, &headers, Some(&current), now), Verdict::NotModified);
/// assert_eq!(preconditions(Method::Put, &headers, Some(&current), now), Verdict::Failed);
/// assert_eq!(preconditions(Method::Put, &headers, None, now), Verdict::Perform);
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
pub fn preconditions(
    method: Method,
    headers: &Headers,
    current: Option<&Validators>,
    now: Date,
) -> Verdict {
    // Most requests have none, and section 13.2.1 exempts these methods.
    if !headers.has_any(ALL) || matches!(method, Method::Connect | Method::Options | Method::Trace)
    {
        return Verdict::Perform;
    }
    let is_read = matches!(method, Method::Get | Method::Head);
    let modified = current.and_then(Validators::modified);
    if headers.contains(Header::IfMatch) {
        if !matches(headers, Header::IfMatch, current, true) {
            return Verdict::Failed;
        }
    } else if let Some(since) = date(headers, Header::IfUnmodifiedSince, now)
        && modified.is_some_and(|modified| modified > since)
    {
        return Verdict::Failed;
    }
    if headers.contains(Header::IfNoneMatch) {
        if matches(headers, Header::IfNoneMatch, current, false) {
            return if is_read { Verdict::NotModified } else { Verdict::Failed };
        }
    } else if is_read
        && let Some(since) = date(headers, Header::IfModifiedSince, now)
        && modified.is_some_and(|modified| modified <= since)
    {
        return Verdict::NotModified;
    }
    Verdict::Perform
}

const ALL: u64 = Header::IfMatch.bit()
    | Header::IfNoneMatch.bit()
    | Header::IfModifiedSince.bit()
    | Header::IfUnmodifiedSince.bit();

/// Whether one of a field's tags is the current one, by the strong comparison or the weak; `*` is whatever exists.
fn matches(headers: &Headers, header: Header, current: Option<&Validators>, strong: bool) -> bool {
    let Some(current) = current else { return false };
    headers.get_all(header).any(|list| {
        let is_current = |tag: EntityTag<'_>| {
            current.entity_tag().is_some_and(|current| match strong {
                true => tag.is_identical(&current),
                false => tag.is_same(&current),
            })
        };
        list == b"*" || tags(list).any(is_current)
    })
}

/// The date of a field; what is no date, or comes twice, is ignored: sections 13.1.3 and 13.1.4.
fn date(headers: &Headers, header: Header, now: Date) -> Option<Date> {
    let mut values = headers.get_all(header);
    let value = values.next()?;
    values.next().is_none().then(|| Date::parse(value, now))?
}

/// Whether a request's `Range` is to be obeyed: it is one of GET, and its `If-Range`, if there is one, names the current version.
/// RFC 9110 sections 13.1.5 and 14.2.
///
/// To be called after [`preconditions`] have come to [`Verdict::Perform`]. A date must be exactly the current one; [`Validators::of_file`]
/// gives out none that is weak.
///
/// ```
/// use raddle_http::{Date, Header, Headers, Method, semantics::{Validators, range_applies}};
///
/// let current = Validators::none().with_tag("\"v2\"");
/// let mut headers = Headers::new();
/// headers.add(Header::Range, "bytes=0-99")?;
/// let now = Date::from_seconds(1_790_000_000);
/// assert!(range_applies(Method::Get, &headers, &current, now));
/// headers.add(Header::IfRange, "\"v1\"")?;
/// assert!(!range_applies(Method::Get, &headers, &current, now));
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
pub fn range_applies(method: Method, headers: &Headers, current: &Validators, now: Date) -> bool {
    if method != Method::Get || !headers.contains(Header::Range) {
        return false;
    }
    let mut values = headers.get_all(Header::IfRange);
    let Some(value) = values.next() else { return true };
    if values.next().is_some() {
        return false;
    }
    match EntityTag::parse(value) {
        Some(tag) => current.entity_tag().is_some_and(|current| tag.is_identical(&current)),
        None => Date::parse(value, now).is_some_and(|date| current.modified() == Some(date)),
    }
}

/// Takes out of a response's fields what a 304 does not repeat: those that describe content which is not sent. RFC 9110
/// section 15.4.5 tells which must stay.
///
/// ```
/// use raddle_http::{Header, Headers, semantics::trim_not_modified};
///
/// let mut headers = Headers::new();
/// headers.add(Header::Etag, "\"a\"")?;
/// headers.add(Header::Vary, "Accept-Encoding")?;
/// headers.add(Header::ContentType, "text/html")?;
/// trim_not_modified(&mut headers);
/// assert!(headers.contains(Header::Etag) && headers.contains(Header::Vary));
/// assert!(!headers.contains(Header::ContentType));
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
pub fn trim_not_modified(headers: &mut Headers) {
    let described = [
        Header::ContentType,
        Header::ContentLength,
        Header::ContentEncoding,
        Header::ContentLanguage,
        Header::ContentRange,
        Header::ContentDisposition,
        Header::AcceptRanges,
    ];
    described.into_iter().for_each(|header| _ = headers.remove(header));
    // A date only guides a cache that has no tag.
    if headers.contains(Header::Etag) {
        headers.remove(Header::LastModified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn now() -> Date {
        Date::from_seconds(1_790_000_000)
    }

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        fields.iter().for_each(|(name, value)| headers.add(*name, value).unwrap());
        headers
    }

    fn current() -> Validators {
        Validators::none().with_tag("\"a\"").with_date(Date::parse(SAME.as_bytes(), now()).unwrap())
    }

    fn weigh(method: Method, fields: &[(&str, &str)]) -> Verdict {
        preconditions(method, &headers(fields), Some(&current()), now())
    }

    #[test]
    fn each_condition_by_itself() {
        use Verdict::{Failed, NotModified, Perform};
        let rows = [
            ("If-Match", "\"a\"", Perform, Perform),
            ("If-Match", "\"b\", \"a\"", Perform, Perform),
            ("If-Match", "*", Perform, Perform),
            ("If-Match", "\"b\"", Failed, Failed),
            ("If-Match", "W/\"a\"", Failed, Failed),
            ("If-Match", "a", Failed, Failed),
            ("If-Match", "", Failed, Failed),
            ("If-None-Match", "\"a\"", NotModified, Failed),
            ("If-None-Match", "\"b\", W/\"a\"", NotModified, Failed),
            ("If-None-Match", "*", NotModified, Failed),
            ("If-None-Match", "\"b\"", Perform, Perform),
            ("If-None-Match", "a", Perform, Perform),
            ("If-Modified-Since", OLD, Perform, Perform),
            ("If-Modified-Since", SAME, NotModified, Perform),
            ("If-Modified-Since", NEW, NotModified, Perform),
            ("If-Modified-Since", "yesterday", Perform, Perform),
            ("If-Unmodified-Since", OLD, Failed, Failed),
            ("If-Unmodified-Since", SAME, Perform, Perform),
            ("If-Unmodified-Since", NEW, Perform, Perform),
            ("If-Unmodified-Since", "yesterday", Perform, Perform),
        ];
        for (name, value, get, put) in rows {
            assert_eq!(weigh(Method::Get, &[(name, value)]), get, "GET {name}: {value}");
            assert_eq!(weigh(Method::Head, &[(name, value)]), get, "HEAD {name}: {value}");
            assert_eq!(weigh(Method::Put, &[(name, value)]), put, "PUT {name}: {value}");
            assert_eq!(weigh(Method::Options, &[(name, value)]), Perform, "OPTIONS {name}");
        }
    }

    #[test]
    fn the_order_is_that_of_13_2_2() {
        use Verdict::{Failed, NotModified, Perform};
        let get = |fields: &[(&str, &str)]| weigh(Method::Get, fields);
        let (matching, other) = ("\"a\"", "\"b\"");
        // With If-Match, If-Unmodified-Since is not looked at.
        assert_eq!(get(&[("If-Match", matching), ("If-Unmodified-Since", OLD)]), Perform);
        assert_eq!(get(&[("If-Match", other), ("If-Unmodified-Since", NEW)]), Failed);
        // With If-None-Match, If-Modified-Since is not looked at.
        assert_eq!(get(&[("If-None-Match", other), ("If-Modified-Since", NEW)]), Perform);
        assert_eq!(get(&[("If-None-Match", matching), ("If-Modified-Since", OLD)]), NotModified);
        // Both kinds: the one that protects comes first, the one that saves is still looked at.
        assert_eq!(get(&[("If-None-Match", matching), ("If-Match", other)]), Failed);
        assert_eq!(get(&[("If-None-Match", matching), ("If-Match", matching)]), NotModified);
        assert_eq!(get(&[("If-Modified-Since", NEW), ("If-Unmodified-Since", OLD)]), Failed);
    }

    #[test]
    fn what_does_not_exist_matches_nothing() {
        let weigh = |name: &str, value: &str| {
            preconditions(Method::Put, &headers(&[(name, value)]), None, now())
        };
        assert_eq!(weigh("If-Match", "*"), Verdict::Failed);
        assert_eq!(weigh("If-None-Match", "*"), Verdict::Perform);
        assert_eq!(weigh("If-Unmodified-Since", OLD), Verdict::Perform);
    }

    #[test]
    fn two_dates_are_none() {
        let twice = [("If-Modified-Since", NEW), ("If-Modified-Since", NEW)];
        assert_eq!(weigh(Method::Get, &twice), Verdict::Perform);
        let lists = [("If-None-Match", "\"b\""), ("If-None-Match", "\"a\"")];
        assert_eq!(weigh(Method::Get, &lists), Verdict::NotModified, "lists add up");
    }

    #[test]
    fn a_range_needs_the_very_same_version() {
        let applies = |value: &str| {
            let fields = headers(&[("Range", "bytes=0-"), ("If-Range", value)]);
            range_applies(Method::Get, &fields, &current(), now())
        };
        assert!(applies("\"a\"") && applies(SAME));
        for value in ["W/\"a\"", "\"b\"", "a", "*", OLD, NEW, "", "\"a\", \"b\""] {
            assert!(!applies(value), "{value}");
        }
        let fields = headers(&[("Range", "bytes=0-")]);
        assert!(!range_applies(Method::Head, &fields, &current(), now()));
        assert!(!range_applies(Method::Get, &headers(&[]), &current(), now()));
        let weak = Validators::none().with_tag("W/\"a\"");
        let fields = headers(&[("Range", "bytes=0-"), ("If-Range", "W/\"a\"")]);
        assert!(!range_applies(Method::Get, &fields, &weak, now()));
    }
}
