//! From a request's path to a file's: decoded, normalized, and never out of the root. RFC 3986 section 5.2.4, RFC 9110 section 17.3.
//!
//! This is the part that text can decide. Symbolic links are the server's: it opens what comes out of here beneath the root only
//! (`openat2` with `RESOLVE_BENEATH`).

use crate::percent;
use crate::status::Status;
use std::borrow::Cow;
use std::fmt;

/// A path below the root: no empty segments, no `.` and `..`, no NUL, and no slash that was encoded.
///
/// ```
/// use raddle_http::semantics::{CleanPath, PathFault};
///
/// let path = CleanPath::of("/a//b/./c%20d/../e/", false)?;
/// assert_eq!(path.as_bytes(), b"a/b/e");
/// assert!(path.is_folder());
/// assert_eq!(CleanPath::of("/../etc/passwd", false), Err(PathFault::AboveRoot));
/// assert_eq!(CleanPath::of("/.git/config", false), Err(PathFault::Hidden));
/// # Ok::<(), PathFault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanPath<'a> {
    relative: Cow<'a, [u8]>,
    is_folder: bool,
}

/// Why a path leads to no file.
///
/// ```
/// use raddle_http::{Status, semantics::PathFault};
/// assert_eq!(PathFault::Hidden.status(), Status::NOT_FOUND);
/// assert_eq!(PathFault::Nul.status(), Status::BAD_REQUEST);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// It does not begin with a slash.
    NotAbsolute,
    /// A `%` without two hexadecimal digits.
    BadEscape,
    /// An encoded slash: it would be part of a name, and no name may hold one.
    EncodedSlash,
    /// A NUL.
    Nul,
    /// More `..` than there are folders.
    AboveRoot,
    /// A name that begins with a dot.
    Hidden,
}

impl PathFault {
    /// The status that answers it. What is hidden is not found: that it exists is nobody's business.
    ///
    /// ```
    /// use raddle_http::{Status, semantics::PathFault};
    /// assert_eq!(PathFault::AboveRoot.status(), Status::BAD_REQUEST);
    /// ```
    pub fn status(self) -> Status {
        match self {
            PathFault::Hidden => Status::NOT_FOUND,
            _ => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathFault::NotAbsolute => "the path does not begin with a slash",
            PathFault::BadEscape => "a % without two hexadecimal digits",
            PathFault::EncodedSlash => "an encoded slash",
            PathFault::Nul => "a NUL",
            PathFault::AboveRoot => "the path leads above the root",
            PathFault::Hidden => "a name that begins with a dot",
        })
    }
}

impl std::error::Error for PathFault {}

impl<'a> CleanPath<'a> {
    /// Decodes and normalizes a request's path. Names that begin with a dot are refused unless `shows_hidden`, but for a `.well-known` in the
    /// root, which is there to be seen: RFC 8615.
    ///
    /// # Errors
    ///
    /// The first [`PathFault`].
    ///
    /// ```
    /// use raddle_http::semantics::CleanPath;
    /// assert_eq!(CleanPath::of("/%61%2e%2Ftxt", false).unwrap_err().to_string(), "an encoded slash");
    /// assert_eq!(CleanPath::of("/.well-known/security.txt", false).unwrap().as_bytes(), b".well-known/security.txt");
    /// ```
    pub fn of(path: &'a str, shows_hidden: bool) -> Result<CleanPath<'a>, PathFault> {
        let path = path.as_bytes();
        let [b'/', relative @ ..] = path else { return Err(PathFault::NotAbsolute) };
        if is_clean(path) {
            let (relative, is_folder) = match relative {
                [] => (relative, true),
                [relative @ .., b'/'] => (relative, true),
                _ => (relative, false),
            };
            return Ok(CleanPath { relative: Cow::Borrowed(relative), is_folder });
        }
        let mut clean = Vec::with_capacity(relative.len());
        let mut is_folder = true;
        for segment in relative.split(|byte| *byte == b'/') {
            let name = percent::decode(segment).ok_or(PathFault::BadEscape)?;
            is_folder = matches!(&name[..], b"" | b"." | b"..");
            match &name[..] {
                b"" | b"." => continue,
                b".." => leave(&mut clean)?,
                _ if name.contains(&b'/') => return Err(PathFault::EncodedSlash),
                _ if name.contains(&0) => return Err(PathFault::Nul),
                _ => {
                    let is_known = clean.is_empty() && &name[..] == b".well-known";
                    if name[0] == b'.' && !shows_hidden && !is_known {
                        return Err(PathFault::Hidden);
                    }
                    if !clean.is_empty() {
                        clean.push(b'/');
                    }
                    clean.extend_from_slice(&name);
                }
            }
        }
        Ok(CleanPath { relative: Cow::Owned(clean), is_folder })
    }

    /// The path from the root, without slashes at its ends; empty for the root itself. On Linux names are bytes.
    ///
    /// ```
    /// use raddle_http::semantics::CleanPath;
    /// assert_eq!(CleanPath::of("/", false).unwrap().as_bytes(), b"");
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        &self.relative
    }

    /// Whether the request's path ended like a folder's: with a slash, `.` or `..`.
    ///
    /// ```
    /// use raddle_http::semantics::CleanPath;
    /// assert!(!CleanPath::of("/a", false).unwrap().is_folder());
    /// ```
    pub fn is_folder(&self) -> bool {
        self.is_folder
    }
}

/// A path in the one form of several that mean the same, for comparing with routes: what need not be encoded is decoded, `.` and `..` are
/// gone. What is encoded for a reason stays: `%2F` is not a slash. RFC 3986 section 6.2.2, RFC 9110 section 4.2.3.
///
/// # Errors
///
/// [`PathFault::NotAbsolute`], [`PathFault::BadEscape`] and [`PathFault::AboveRoot`].
///
/// ```
/// use raddle_http::semantics::canonical;
///
/// assert_eq!(canonical("/%61pi/./v1/../%7ea%2fb").unwrap(), "/api/~a%2Fb");
/// assert!(canonical("/a/../..").is_err());
/// ```
pub fn canonical(path: &str) -> Result<Cow<'_, str>, PathFault> {
    if !path.starts_with('/') {
        return Err(PathFault::NotAbsolute);
    }
    let bytes = path.as_bytes();
    let is_plain = |bytes: &[u8]| !bytes.iter().any(|byte| matches!(byte, b'%' | b'.'));
    if is_plain(bytes) || !bytes.contains(&b'%') && bytes.windows(2).all(|two| two != b"/.") {
        return Ok(Cow::Borrowed(path));
    }
    let mut parts: Vec<String> = Vec::new();
    let mut rest = path[1..].split('/').peekable();
    while let Some(segment) = rest.next() {
        let segment = unreserved(segment)?;
        let is_last = rest.peek().is_none();
        match &segment[..] {
            "." => {}
            ".." => _ = parts.pop().ok_or(PathFault::AboveRoot)?,
            _ => {
                parts.push(segment);
                continue;
            }
        }
        if is_last {
            parts.push(String::new());
        }
    }
    Ok(Cow::Owned(format!("/{}", parts.join("/"))))
}

/// Decodes letters, digits, `-`, `.`, `_` and `~`; writes other escapes in upper case.
fn unreserved(segment: &str) -> Result<String, PathFault> {
    let mut text = String::with_capacity(segment.len());
    let mut pieces = segment.split('%');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits =
            piece.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.ok_or(PathFault::BadEscape)?;
        let byte = u8::from_str_radix(digits, 16).map_err(|_| PathFault::BadEscape)?;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(byte as char);
        } else {
            text.push('%');
            text.push_str(&digits.to_ascii_uppercase());
        }
        text.push_str(&piece[2..]);
    }
    Ok(text)
}

/// Whether nothing is to be done: no escape, no NUL, no empty segment, and none that begins with a dot.
fn is_clean(path: &[u8]) -> bool {
    let is_plain = |byte: &u8| *byte != b'%' && *byte != 0;
    path.iter().all(is_plain) && path.windows(2).all(|two| two != b"//" && two != b"/.")
}

fn leave(clean: &mut Vec<u8>) -> Result<(), PathFault> {
    if clean.is_empty() {
        return Err(PathFault::AboveRoot);
    }
    clean.truncate(clean.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(path: &str) -> Result<(String, bool), PathFault> {
        let clean = CleanPath::of(path, false)?;
        Ok((String::from_utf8_lossy(clean.as_bytes()).into_owned(), clean.is_folder()))
    }

    #[test]
    fn paths_are_decoded_and_normalized() {
        let rows = [
            ("/", "", true),
            ("//", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b.c", "a/b.c", false),
            ("//a///b//", "a/b", true),
            ("/./a/./b/.", "a/b", true),
            ("/a/b/..", "a", true),
            ("/a/../b", "b", false),
            ("/a/%2e%2E/b", "b", false),
            ("/%61%20%c3%a9", "a \u{e9}", false),
            ("/a%5cb", "a\\b", false),
            ("/%252e%252e/a", "%2e%2e/a", false),
            ("/a..b/c.", "a..b/c.", false),
            ("/.well-known/x", ".well-known/x", false),
            ("/a/../.well-known", ".well-known", false),
        ];
        for (path, clean, is_folder) in rows {
            assert_eq!(of(path), Ok((clean.to_owned(), is_folder)), "{path}");
        }
    }

    #[test]
    fn nothing_leads_out() {
        use PathFault::*;
        let rows = [
            ("", NotAbsolute),
            ("a", NotAbsolute),
            ("*", NotAbsolute),
            ("/..", AboveRoot),
            ("/../", AboveRoot),
            ("/%2e%2e/etc", AboveRoot),
            ("/.%2e/etc", AboveRoot),
            ("/a/../../etc", AboveRoot),
            ("/a/..//../etc", AboveRoot),
            ("/..%2fetc", EncodedSlash),
            ("/a%2Fb", EncodedSlash),
            ("/a%00.html", Nul),
            ("/a\0", Nul),
            ("/%", BadEscape),
            ("/%g0", BadEscape),
            ("/.git", Hidden),
            ("/a/.b", Hidden),
            ("/%2egit", Hidden),
            ("/...", Hidden),
            ("/a/.well-known", Hidden),
            ("/.git/../a", Hidden),
            ("/.well-known2", Hidden),
        ];
        for (path, fault) in rows {
            assert_eq!(of(path), Err(fault), "{path}");
        }
        assert!(CleanPath::of("/.git", true).is_ok());
        assert_eq!(CleanPath::of("/..", true), Err(AboveRoot));
    }

    #[test]
    fn equal_paths_have_one_form() {
        let rows = [
            ("/", "/"),
            ("/a//b/", "/a//b/"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/../c", "/a/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/%7B%c3%a9%20", "/%7B%C3%A9%20"),
            ("/.a", "/.a"),
            ("/a%2f..%2fb", "/a%2F..%2Fb"),
        ];
        for (path, expected) in rows {
            assert_eq!(canonical(path).unwrap(), expected, "{path}");
            assert_eq!(canonical(expected).unwrap(), expected, "{path}");
        }
        assert_eq!(canonical("/a/../.."), Err(PathFault::AboveRoot));
        for path in ["/%", "/%4", "/%4g", "/%+1", "/%\u{e9}"] {
            assert_eq!(canonical(path), Err(PathFault::BadEscape), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_is_a_path_below_the_root(
            parts in prop::collection::vec(prop::sample::select(vec![
                "/", "/", ".", "..", "%2e", "%2f", "%2F", "%00", "%", "a", "b", "%61", "%", "\\", "é", "%ff", ".well-known",
            ]), 0..12),
            shows_hidden: bool,
        ) {
            let path = format!("/{}", parts.concat());
            if let Ok(clean) = CleanPath::of(&path, shows_hidden) {
                let bytes = clean.as_bytes();
                prop_assert!(!bytes.contains(&0));
                if !bytes.is_empty() {
                    for segment in bytes.split(|byte| *byte == b'/') {
                        prop_assert!(!matches!(segment, b"" | b"." | b".."), "{path}");
                        prop_assert!(shows_hidden || segment[0] != b'.' || segment == b".well-known");
                    }
                }
                // Clean paths of plain characters are what they were.
                if !bytes.contains(&b'%') && let Ok(text) = std::str::from_utf8(bytes) {
                    let again = format!("/{text}");
                    let again = CleanPath::of(&again, true).unwrap();
                    prop_assert_eq!(again.as_bytes(), bytes);
                }
            }
        }
    }
}
