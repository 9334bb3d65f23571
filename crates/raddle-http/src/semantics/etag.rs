//! Validators: what tells one version of a representation from another. RFC 9110 section 8.8.

use crate::date::Date;
use std::fmt;
use std::time::{Duration, SystemTime};

/// An entity tag. RFC 9110 section 8.8.3.
///
/// ```
/// use raddle_http::semantics::EntityTag;
///
/// let strong = EntityTag::parse(b"\"v1\"").unwrap();
/// let weak = EntityTag::parse(b"W/\"v1\"").unwrap();
/// assert!(strong.is_same(&weak));
/// assert!(!strong.is_identical(&weak) && strong.is_identical(&strong));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntityTag<'a> {
    opaque: &'a [u8],
    is_weak: bool,
}

impl<'a> EntityTag<'a> {
    /// Reads one tag; `None` if it is malformed. The `W` is case-sensitive.
    ///
    /// ```
    /// # use raddle_http::semantics::EntityTag;
    /// assert!(EntityTag::parse(b"\"\"").is_some());
    /// assert!(EntityTag::parse(b"v1").is_none() && EntityTag::parse(b"w/\"v1\"").is_none());
    /// ```
    pub fn parse(text: &'a [u8]) -> Option<EntityTag<'a>> {
        let (is_weak, quoted) = match text {
            [b'W', b'/', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let [b'"', opaque @ .., b'"'] = quoted else { return None };
        // No backslash escapes anything here.
        let is_valid = opaque.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..));
        is_valid.then_some(EntityTag { opaque, is_weak })
    }

    /// The strong comparison: both are strong, and equal. Section 8.8.3.2.
    ///
    /// ```
    /// # use raddle_http::semantics::EntityTag;
    /// let weak = EntityTag::parse(b"W/\"v1\"").unwrap();
    /// assert!(!weak.is_identical(&weak));
    /// ```
    pub fn is_identical(&self, other: &EntityTag<'_>) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    /// The weak comparison: equal, weak or not. Section 8.8.3.2.
    ///
    /// ```
    /// # use raddle_http::semantics::EntityTag;
    /// let weak = EntityTag::parse(b"W/\"v1\"").unwrap();
    /// assert!(weak.is_same(&weak));
    /// ```
    pub fn is_same(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// The tags of a list, as they stand in `If-Match`: a comma may stand within the quotes, and no backslash escapes them. The
/// list ends at what is malformed.
pub(super) fn tags(list: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', tail @ ..] = rest {
            rest = tail;
        }
        let start = if rest.starts_with(b"W/") { 2 } else { 0 };
        let opening = rest.get(start).filter(|byte| **byte == b'"').map(|_| start + 1)?;
        let length = memchr::memchr(b'"', &rest[opening..])?;
        let end = opening + length + 1;
        let tag = EntityTag::parse(&rest[..end])?;
        rest = &rest[end..];
        // Only a comma leads on to another one.
        let next = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        if !matches!(next, None | Some(b',')) {
            rest = &[];
        }
        Some(tag)
    })
}

impl fmt::Display for EntityTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weak = if self.is_weak { "W/" } else { "" };
        write!(f, "{weak}\"{}\"", String::from_utf8_lossy(self.opaque))
    }
}

impl fmt::Debug for EntityTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What identifies the version of a representation that would be sent: an entity tag, a date of the last change, both, or neither.
///
/// ```
/// use raddle_http::{Date, semantics::Validators};
///
/// let validators = Validators::none().with_tag("\"v1\"").with_date(Date::from_seconds(784111777));
/// assert_eq!(validators.tag(), Some("\"v1\""));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    tag: Option<Box<str>>,
    modified: Option<Date>,
}

impl Validators {
    /// Of what has no version.
    ///
    /// ```
    /// # use raddle_http::semantics::Validators;
    /// assert_eq!(Validators::none().tag(), None);
    /// ```
    pub fn none() -> Validators {
        Validators::default()
    }

    /// Of a file, by its size, the time of its last change, to the nanosecond, and `version`, a number for whatever else tells it from the
    /// file that had its name before: `mv` and `cp -p` bring others of the same size and time. `coding` tells apart what is
    /// derived from it, `""` for the file itself: each content coding has a tag of its own, section 8.8.3.3.
    ///
    /// A file that was changed less than a second ago may change again without showing it. Its tag is weak, and no date is told: so
    /// nobody holds a date whose second was not over yet, and dates that clients bring back are strong, section 8.8.2.2. Nor is a date told
    /// that lies in the future: section 8.8.2.1.
    ///
    /// ```
    /// use raddle_http::semantics::Validators;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let modified = SystemTime::UNIX_EPOCH + Duration::from_nanos(784111777_000000001);
    /// let validators = Validators::of_file(1024, modified, 0, "", modified + Duration::from_secs(1));
    /// assert_eq!(validators.tag(), Some("\"ae1b981bc490a01-400\""));
    /// assert_eq!(validators.modified().unwrap().seconds(), 784111777);
    /// let other = Validators::of_file(1024, modified, 1, "", modified + Duration::from_secs(1));
    /// assert_ne!(other.tag(), validators.tag());
    /// let validators = Validators::of_file(1024, modified, 0, "gz", modified);
    /// assert_eq!((validators.tag(), validators.modified()), (Some("W/\"ae1b981bc490a01-400-gz\""), None));
    /// ```
    pub fn of_file(
        size: u64,
        modified: SystemTime,
        version: u64,
        coding: &str,
        now: SystemTime,
    ) -> Validators {
        let age = now.duration_since(modified).or_else(|ahead| {
            let ahead = ahead.duration();
            // Far ahead is a wrong clock, not a change just now.
            if ahead < Duration::from_secs(1) { Err(ahead) } else { Ok(ahead) }
        });
        let is_settled = age.is_ok_and(|age| age >= Duration::from_secs(1));
        let is_past = modified + Duration::from_secs(1) <= now;
        let weak = if is_settled { "" } else { "W/" };
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let separator = if coding.is_empty() { "" } else { "-" };
        // One number for both: files of one time differ if their versions do. The tag goes with each request.
        let number = since.as_nanos() as u64 ^ spread(version);
        let tag = format!("{weak}\"{number:x}-{size:x}{separator}{coding}\"");
        Validators { tag: Some(tag.into()), modified: is_past.then(|| Date::from(modified)) }
    }

    /// With this tag, quotes and all.
    ///
    /// # Panics
    ///
    /// If it is malformed: tags are made by the program, not by its users.
    ///
    /// ```
    /// # use raddle_http::semantics::Validators;
    /// assert_eq!(Validators::none().with_tag("W/\"7\"").tag(), Some("W/\"7\""));
    /// ```
    pub fn with_tag(self, tag: &str) -> Validators {
        assert!(EntityTag::parse(tag.as_bytes()).is_some(), "{tag} is no entity tag");
        Validators { tag: Some(tag.into()), ..self }
    }

    /// With this date of the last change.
    ///
    /// ```
    /// # use raddle_http::{Date, semantics::Validators};
    /// let date = Date::from_seconds(1);
    /// assert_eq!(Validators::none().with_date(date).modified(), Some(date));
    /// ```
    pub fn with_date(self, modified: Date) -> Validators {
        Validators { modified: Some(modified), ..self }
    }

    /// The tag, for the field `ETag`.
    ///
    /// ```
    /// # use raddle_http::semantics::Validators;
    /// assert_eq!(Validators::none().tag(), None);
    /// ```
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The date, for the field `Last-Modified`.
    ///
    /// ```
    /// # use raddle_http::semantics::Validators;
    /// assert_eq!(Validators::none().modified(), None);
    /// ```
    pub fn modified(&self) -> Option<Date> {
        self.modified
    }

    /// The tag, parsed.
    pub(super) fn entity_tag(&self) -> Option<EntityTag<'_>> {
        self.tag().and_then(|tag| EntityTag::parse(tag.as_bytes()))
    }
}

/// Another number for each, with no likeness left to times: SplitMix64's finalizer, which is a bijection, and has 0 where it is.
fn spread(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags_are_read_as_far_as_they_are_well_formed() {
        let read = |text: &str| -> Vec<String> {
            tags(text.as_bytes()).map(|tag| tag.to_string()).collect()
        };
        assert_eq!(read(r#""a", W/"b" ,, "c,d""#), [r#""a""#, r#"W/"b""#, r#""c,d""#]);
        assert_eq!(read(r#""a\", "b""#), [r#""a\""#, r#""b""#], "a backslash is a character");
        assert_eq!(read(r#""a" "b""#), [r#""a""#]);
        assert_eq!(read(r#""a", b, "c""#), [r#""a""#]);
        assert_eq!(read(r#""a"#), Vec::<String>::new());
        assert_eq!(read(r#"w/"a""#), Vec::<String>::new());
        assert_eq!(read("\"a b\""), Vec::<String>::new(), "a space is no character of a tag");
        assert_eq!(read(""), Vec::<String>::new());
    }

    #[test]
    fn the_comparisons_are_those_of_the_table_in_8_8_3_2() {
        let rows = [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ];
        for (a, b, is_identical, is_same) in rows {
            let [a, b] = [a, b].map(|text| EntityTag::parse(text.as_bytes()).unwrap());
            assert_eq!((a.is_identical(&b), a.is_same(&b)), (is_identical, is_same), "{a} {b}");
        }
    }

    #[test]
    fn a_file_that_may_yet_change_unseen_has_weak_validators() {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(10_500);
        let at = |millis| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            let validators = Validators::of_file(1, modified, 0, "", now);
            let is_weak = validators.tag().unwrap().starts_with("W/");
            (is_weak, validators.modified().map(Date::seconds))
        };
        assert_eq!(at(11_499), (true, None));
        assert_eq!(at(11_500), (false, Some(10)));
        assert_eq!(at(10_000), (true, None));
        assert_eq!(at(1_000), (false, None), "a file from far ahead has no date that may be told");
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
        let old = Validators::of_file(1, before, 0, "", SystemTime::UNIX_EPOCH);
        assert_eq!(old.tag(), Some("\"0-1\""));
    }
}
