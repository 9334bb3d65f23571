//! Ranges: which bytes of a representation a client wants. RFC 9110 section 14.

use crate::header::Header;
use crate::headers::Headers;
use crate::lex;
use std::ops::Range;

/// What a `Range` field selects of a representation.
///
/// ```
/// use raddle_http::semantics::Selection;
/// assert_ne!(Selection::Whole, Selection::Unsatisfiable);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Send it whole, with 200: the field is malformed, in another unit, or asks for more than it is worth.
    Whole,
    /// Send these bytes, with 206 and `Content-Range`.
    One(Range<u64>),
    /// Send these, two or more, with 206 and `multipart/byteranges`.
    Many(Vec<Range<u64>>),
    /// Answer 416, with `Content-Range: bytes */LENGTH`.
    Unsatisfiable,
}

/// More ranges than that are not worth their parts. RFC 9110 section 14.2 allows to ignore them.
const RANGES_MAX: usize = 16;

/// Ranges that are no further apart are sent as one: a part's own head takes about as much. Section 15.3.7.2.
const GAP_MAX: u64 = 80;

/// Reads a request's `Range` for a representation of that length; whether the field counts at all says
/// [`range_applies`](super::range_applies).
///
/// Ranges that overlap, or nearly touch, are put together. More than 16, and such as overlap more than once, are ignored: they come from a
/// broken client or an attacker, section 14.2.
///
/// ```
/// use raddle_http::{Header, Headers, semantics::{Selection, select}};
///
/// let mut headers = Headers::new();
/// headers.add(Header::Range, "bytes=0-99, -100")?;
/// assert_eq!(select(&headers, 1000), Selection::Many(vec![0..100, 900..1000]));
/// assert_eq!(select(&headers, 150), Selection::One(0..150));
/// headers.set(Header::Range, "bytes=1000-")?;
/// assert_eq!(select(&headers, 1000), Selection::Unsatisfiable);
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
pub fn select(headers: &Headers, length: u64) -> Selection {
    let mut values = headers.get_all(Header::Range);
    match (values.next(), values.next()) {
        (Some(value), None) => parse(value, length).unwrap_or(Selection::Whole),
        _ => Selection::Whole,
    }
}

/// `None` if the field is to be ignored.
fn parse(value: &[u8], length: u64) -> Option<Selection> {
    let equals = memchr::memchr(b'=', value)?;
    let (unit, set) = (&value[..equals], &value[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut count = 0;
    let mut is_for_nothing = false;
    for spec in lex::list(set) {
        count += 1;
        if count > RANGES_MAX {
            return None;
        }
        match resolve(spec, length)? {
            range if range.start < range.end => ranges.push(range),
            // The end of nothing is nothing, and that no `Content-Range` can say.
            range if length == 0 && range.start == 0 => is_for_nothing = true,
            _ => {}
        }
    }
    match ranges.len() {
        0 if count == 0 || is_for_nothing => None,
        0 => Some(Selection::Unsatisfiable),
        1 => ranges.pop().map(Selection::One),
        _ => merge(ranges),
    }
}

/// The bytes that one range means; empty if it can't be satisfied, `None` if it is malformed: section 14.1.1.
fn resolve(spec: &[u8], length: u64) -> Option<Range<u64>> {
    let dash = memchr::memchr(b'-', spec)?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        let suffix = position(last)?;
        // A suffix of no bytes can't be satisfied, of an empty representation either.
        return Some(if suffix == 0 {
            u64::MAX..u64::MAX
        } else {
            length.saturating_sub(suffix)..length
        });
    }
    let first = position(first)?;
    let last = if last.is_empty() { u64::MAX } else { position(last)? };
    if last < first {
        return None;
    }
    if first >= length {
        return Some(u64::MAX..u64::MAX);
    }
    Some(first..last.saturating_add(1).min(length))
}

/// A number of any size; those beyond 64 bits lie behind every representation's end.
fn position(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| lex::decimal(digits).unwrap_or(u64::MAX))
}

/// Puts together what belongs together, in the order in which the client asked: section 15.3.7.2.
fn merge(mut ranges: Vec<Range<u64>>) -> Option<Selection> {
    // One overlap may be an oversight; more are a way to be sent the same bytes again and again.
    let mut overlaps = 0;
    for (at, one) in ranges.iter().enumerate() {
        let overlap = |other: &&Range<u64>| one.start < other.end && other.start < one.end;
        overlaps += ranges[..at].iter().filter(overlap).count();
    }
    if overlaps > 1 {
        return None;
    }
    let mut at = 0;
    while at < ranges.len() {
        let one = ranges[at].clone();
        let is_near = |other: &Range<u64>| {
            one.start <= other.end.saturating_add(GAP_MAX)
                && other.start <= one.end.saturating_add(GAP_MAX)
        };
        match ranges[at + 1..].iter().position(is_near) {
            Some(offset) => {
                let other = ranges.remove(at + 1 + offset);
                ranges[at] = one.start.min(other.start)..one.end.max(other.end);
            }
            None => at += 1,
        }
    }
    Some(match ranges.len() {
        1 => Selection::One(ranges.remove(0)),
        _ => Selection::Many(ranges),
    })
}

/// The value of `Content-Range`: `bytes 0-99/1000`. RFC 9110 section 14.4.
///
/// ```
/// use raddle_http::semantics::content_range;
/// assert_eq!(content_range(Some(&(0..100)), 1000), "bytes 0-99/1000");
/// assert_eq!(content_range(None, 1000), "bytes */1000");
/// ```
pub fn content_range(range: Option<&Range<u64>>, length: u64) -> String {
    match range {
        Some(range) => format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1)),
        None => format!("bytes */{length}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(value: &str, length: u64) -> Selection {
        parse(value.as_bytes(), length).unwrap_or(Selection::Whole)
    }

    #[test]
    fn the_examples_of_14_1_2() {
        assert_eq!(of("bytes=0-499", 10_000), Selection::One(0..500));
        assert_eq!(of("bytes=500-999", 10_000), Selection::One(500..1000));
        assert_eq!(of("bytes=-500", 10_000), Selection::One(9_500..10_000));
        assert_eq!(of("bytes=9500-", 10_000), Selection::One(9_500..10_000));
        assert_eq!(of("bytes=0-0,-1", 10_000), Selection::Many(vec![0..1, 9_999..10_000]));
        let parts = vec![0..1000, 4_500..5_500, 9_000..10_000];
        assert_eq!(of("bytes= 0-999, 4500-5499, -1000", 10_000), Selection::Many(parts));
        assert_eq!(of("bytes=500-600,601-999", 10_000), Selection::One(500..1000));
        assert_eq!(of("bytes=500-700,601-999", 10_000), Selection::One(500..1000));
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=x",
            "bytes=1",
            "bytes=2-1",
            "bytes=-",
            "bytes=--1",
            "bytes=1-x",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes=0-1;2-3",
            "bytes=0-1, x",
            "lines=0-1",
            "bytes 0-1",
            "bytes=0x1-2",
            "bytes=0--1",
        ] {
            assert_eq!(of(value, 100), Selection::Whole, "{value}");
        }
        assert_eq!(of("Bytes=0-1", 100), Selection::One(0..2), "units know no case");
    }

    #[test]
    fn what_lies_behind_the_end_is_not_satisfied() {
        for value in [
            "bytes=100-",
            "bytes=100-200",
            "bytes=-0",
            "bytes=99999999999999999999-",
            "bytes=100-,-0",
        ] {
            assert_eq!(of(value, 100), Selection::Unsatisfiable, "{value}");
        }
        assert_eq!(of("bytes=100-,0-0", 100), Selection::One(0..1), "the others count");
        assert_eq!(of("bytes=0-99999999999999999999", 100), Selection::One(0..100));
        assert_eq!(of("bytes=-99999999999999999999", 100), Selection::One(0..100));
        assert_eq!(of("bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(of("bytes=-1", 0), Selection::Whole, "the last byte of nothing");
    }

    #[test]
    fn abuse_is_ignored() {
        let many: Vec<String> = (0..17).map(|at| format!("{}-{}", at * 200, at * 200)).collect();
        assert_eq!(of(&format!("bytes={}", many.join(",")), 10_000), Selection::Whole);
        let Selection::Many(parts) = of(&format!("bytes={}", many[..16].join(",")), 10_000) else {
            panic!("sixteen are served")
        };
        assert_eq!(parts.len(), 16);
        assert_eq!(of("bytes=0-,0-,0-", 10_000), Selection::Whole);
    }

    proptest! {
        #[test]
        fn ranges_lie_within_and_apart(specs in prop::collection::vec((0_u64..3000, 0_u64..3000, 0..3), 1..6), length in 0_u64..2000) {
            let spec = |(a, b, kind): &(u64, u64, i32)| match kind {
                0 => format!("{}-{}", a.min(b), a.max(b)),
                1 => format!("{a}-"),
                _ => format!("-{a}"),
            };
            let text = format!("bytes={}", specs.iter().map(spec).collect::<Vec<_>>().join(","));
            let ranges = match of(&text, length) {
                Selection::Whole | Selection::Unsatisfiable => return Ok(()),
                Selection::One(range) => vec![range],
                Selection::Many(ranges) => { prop_assert!(ranges.len() > 1); ranges }
            };
            for (at, range) in ranges.iter().enumerate() {
                prop_assert!(range.start < range.end && range.end <= length, "{range:?}");
                for other in &ranges[..at] {
                    prop_assert!(range.end + GAP_MAX < other.start || other.end + GAP_MAX < range.start);
                }
            }
            // Every byte that was asked for is sent.
            for (a, b, kind) in specs {
                let wanted = match kind { 0 => a.min(b)..a.max(b) + 1, 1 => a..length, _ => length.saturating_sub(a)..length };
                let wanted = wanted.start..wanted.end.min(length);
                let is_sent = |range: &Range<u64>| range.start <= wanted.start && wanted.end <= range.end;
                prop_assert!(wanted.is_empty() || ranges.iter().any(is_sent), "{wanted:?} of {ranges:?}");
            }
        }
    }
}
