//! Fields by path: `Cache-Control` and others for what is asked for by paths that match a pattern. RFC 9111 section 5.2 for what they say.

use crate::header::Header;
use crate::headers::{Headers, InvalidField};
use crate::status::Status;

/// A pattern for paths: `*` is any text without a slash, `**` any text, `?` one character that is no slash.
///
/// A pattern with a slash is compared with the whole path, one without with the last name.
///
/// ```
/// use raddle_http::semantics::PathPattern;
///
/// assert!(PathPattern::new("*.css").matches("/styles/main.css"));
/// assert!(PathPattern::new("/assets/**").matches("/assets/a/b.png"));
/// assert!(!PathPattern::new("/assets/*").matches("/assets/a/b.png"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(Box<str>);

impl PathPattern {
    /// This pattern. Every text is one.
    ///
    /// ```
    /// assert!(raddle_http::semantics::PathPattern::new("/a").matches("/a"));
    /// ```
    pub fn new(pattern: &str) -> PathPattern {
        PathPattern(pattern.into())
    }

    /// Whether a path, decoded and normalized, with a slash before it, matches.
    ///
    /// ```
    /// use raddle_http::semantics::PathPattern;
    /// assert!(PathPattern::new("app-?.js").matches("/app-1.js"));
    /// ```
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let text = if self.0.contains('/') { path } else { last };
        glob(self.0.as_bytes(), text)
    }
}

/// Compares without recursion: after a mismatch the last `*` takes one byte more; if it may not, the last `**` does.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where to go on, for each of the two kinds: behind the stars, and with how much text before.
    let mut narrow: Option<(usize, usize)> = None;
    let mut wide: Option<(usize, usize)> = None;
    loop {
        match &pattern[at..] {
            [b'*', b'*', ..] => {
                at += 2;
                (wide, narrow) = (Some((at, read)), None);
                continue;
            }
            [b'*', ..] => {
                at += 1;
                narrow = Some((at, read));
                continue;
            }
            [] if read == text.len() => return true,
            [b'?', ..] if text.get(read).is_some_and(|byte| *byte != b'/') => {
                at += 1;
                read += 1;
                continue;
            }
            [byte, ..] if text.get(read) == Some(byte) && *byte != b'?' => {
                at += 1;
                read += 1;
                continue;
            }
            _ => {}
        }
        // Only within the text, and `*` only up to a slash.
        if let Some((behind, from)) = narrow
            && text.get(from).is_some_and(|byte| *byte != b'/')
        {
            narrow = Some((behind, from + 1));
            (at, read) = (behind, from + 1);
        } else if let Some((behind, from)) = wide
            && from < text.len()
        {
            (wide, narrow) = (Some((behind, from + 1)), None);
            (at, read) = (behind, from + 1);
        } else {
            return false;
        }
    }
}

/// Fields for responses, by the path that was asked for. Later rules replace what earlier ones have set.
///
/// ```
/// use raddle_http::{Header, Headers, semantics::FieldRules};
///
/// let mut rules = FieldRules::new();
/// rules.add("**", "Cache-Control", "no-cache")?;
/// rules.add("/assets/**", "Cache-Control", "max-age=31536000, immutable")?;
/// let mut headers = Headers::new();
/// rules.apply("/assets/a.css", &mut headers);
/// assert_eq!(headers.get(Header::CacheControl), Some(&b"max-age=31536000, immutable"[..]));
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FieldRules {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: PathPattern,
    /// One.
    field: Headers,
    is_for_errors: bool,
}

/// What says for how long a response may be kept.
const KEEPING: [Header; 2] = [Header::CacheControl, Header::Expires];

impl FieldRules {
    /// No rules.
    ///
    /// ```
    /// let mut headers = raddle_http::Headers::new();
    /// raddle_http::semantics::FieldRules::new().apply("/", &mut headers);
    /// assert!(headers.is_empty());
    /// ```
    pub fn new() -> FieldRules {
        FieldRules::default()
    }

    /// Adds a rule: paths that match get this field. `Cache-Control` and `Expires` are not for errors: who has asked for a file a moment too
    /// early would go on to find none for as long as they say.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it can't be sent.
    ///
    /// ```
    /// use raddle_http::semantics::FieldRules;
    /// assert!(FieldRules::new().add("*", "X-A", "1\n2").is_err());
    /// ```
    pub fn add(&mut self, pattern: &str, name: &str, value: &str) -> Result<(), InvalidField> {
        let is_keeping =
            Header::of(name.as_bytes()).is_some_and(|header| KEEPING.contains(&header));
        self.rule(pattern, (name, value), !is_keeping)
    }

    /// As [`add`](FieldRules::add), and for errors, too, whatever the field is.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it can't be sent.
    ///
    /// ```
    /// use raddle_http::{Headers, Status, semantics::FieldRules};
    /// let mut rules = FieldRules::new();
    /// rules.add("**", "Cache-Control", "max-age=60")?;
    /// rules.add_always("**", "Cache-Control", "no-store")?;
    /// let mut headers = Headers::new();
    /// rules.apply_to(Status::NOT_FOUND, "/a", &mut headers);
    /// assert_eq!(headers.get("Cache-Control"), Some(&b"no-store"[..]));
    /// # Ok::<(), raddle_http::InvalidField>(())
    /// ```
    pub fn add_always(
        &mut self,
        pattern: &str,
        name: &str,
        value: &str,
    ) -> Result<(), InvalidField> {
        self.rule(pattern, (name, value), true)
    }

    fn rule(
        &mut self,
        pattern: &str,
        (name, value): (&str, &str),
        is_for_errors: bool,
    ) -> Result<(), InvalidField> {
        let mut field = Headers::new();
        field.add(name, value)?;
        self.rules.push(Rule { pattern: PathPattern::new(pattern), field, is_for_errors });
        Ok(())
    }

    /// Whether there are none.
    ///
    /// ```
    /// assert!(raddle_http::semantics::FieldRules::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Sets the fields that a path's rules demand of a response that is no error.
    ///
    /// ```
    /// use raddle_http::{Headers, semantics::FieldRules};
    /// let mut rules = FieldRules::new();
    /// rules.add("*.woff2", "Cache-Control", "max-age=86400").unwrap();
    /// let mut headers = Headers::new();
    /// rules.apply("/a.html", &mut headers);
    /// assert!(headers.is_empty());
    /// ```
    pub fn apply(&self, path: impl AsRef<[u8]>, headers: &mut Headers) {
        self.apply_to(Status::OK, path, headers);
    }

    /// Sets the fields that a path's rules demand of a response of this status.
    ///
    /// ```
    /// use raddle_http::{Headers, Status, semantics::FieldRules};
    /// let mut rules = FieldRules::new();
    /// rules.add("**", "Cache-Control", "max-age=86400").unwrap();
    /// rules.add("**", "X-Frame-Options", "DENY").unwrap();
    /// let mut headers = Headers::new();
    /// rules.apply_to(Status::NOT_FOUND, "/a.html", &mut headers);
    /// assert_eq!(headers.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["X-Frame-Options"]);
    /// ```
    pub fn apply_to(&self, status: Status, path: impl AsRef<[u8]>, headers: &mut Headers) {
        let path = path.as_ref();
        for rule in &self.rules {
            let is_meant = rule.is_for_errors || !status.is_error();
            if is_meant && rule.pattern.matches(path) {
                for (name, value) in rule.field.iter() {
                    headers.set(name, value).expect("it was valid when the rule was added");
                }
            }
        }
    }

    /// Of a response that has become an error: takes out what is not for one, and was demanded of `path` before.
    pub(crate) fn apply_to_failed(&self, status: Status, path: &[u8], headers: &mut Headers) {
        KEEPING.iter().for_each(|header| _ = headers.remove(*header));
        self.apply_to(status, path, headers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_what_they_say() {
        let rows = [
            ("*", "/a/b", true),
            ("b", "/a/b", true),
            ("b", "/a/bc", false),
            ("*.js", "/x.js", true),
            ("*.js", "/x.js.map", false),
            ("*.*.js", "/a.b.c.js", true),
            ("/*", "/a", true),
            ("/*", "/a/b", false),
            ("/**", "/a/b", true),
            ("/**/x", "/a/b/x", true),
            ("/a/**", "/a/", true),
            ("/a/**", "/a", false),
            ("/**/a*c", "/x/abc/abc", true),
            ("/**/a*c", "/x/a/c", false),
            ("/*/b/**/d", "/a/b/c/c/d", true),
            ("/*/b/**/d", "/a/x/b/c/d", false),
            ("?", "/a", true),
            ("/a?b", "/a/b", false),
            ("", "/a", false),
            ("", "/", true),
            ("/", "/", true),
        ];
        for (pattern, path, expected) in rows {
            assert_eq!(PathPattern::new(pattern).matches(path), expected, "{pattern} {path}");
        }
    }

    /// The definition, written down.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| model(rest, &text[at..])),
            [b'*', rest @ ..] => {
                let free = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
                (0..=free).any(|at| model(rest, &text[at..]))
            }
            [b'?', rest @ ..] => {
                text.first().is_some_and(|byte| *byte != b'/') && model(rest, &text[1..])
            }
            [byte, rest @ ..] => text.first() == Some(byte) && model(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_its_definition(
            pattern in prop::collection::vec(prop::sample::select(b"ab/?**".to_vec()), 0..8),
            text in prop::collection::vec(prop::sample::select(b"ab/".to_vec()), 0..10),
        ) {
            prop_assert_eq!(glob(&pattern, &text), model(&pattern, &text));
        }
    }
}
