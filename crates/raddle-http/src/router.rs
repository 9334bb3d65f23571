//! Which handler a path belongs to: patterns with parameters, in a tree.

use crate::percent;
use std::borrow::Cow;
use std::fmt;

/// Values by pattern. `{id}` stands for one segment or a part of it, `{*rest}` for all that is left; text goes before parameters.
///
/// Paths are compared as they are: bring them into their one form first, with [`canonical`](crate::semantics::canonical).
///
/// ```
/// use raddle_http::Router;
///
/// let mut router = Router::new();
/// router.insert("/users/{id}", "user")?;
/// router.insert("/users/me", "me")?;
/// router.insert("/files/{*path}", "file")?;
/// let found = router.find("/users/a%20b").unwrap();
/// assert_eq!(*found.value, "user");
/// assert_eq!(found.params.get("id").as_deref(), Some("a b"));
/// assert_eq!(*router.find("/users/me").unwrap().value, "me");
/// assert_eq!(router.find("/files/a/b").unwrap().params.raw("path"), Some("a/b"));
/// assert!(router.find("/").is_none());
/// # Ok::<(), raddle_http::InvalidRoute>(())
/// ```
#[derive(Clone)]
pub struct Router<T> {
    tree: matchit::Router<T>,
    patterns: Vec<String>,
}

/// A pattern that can't be added: malformed, or in the way of another.
///
/// ```
/// use raddle_http::Router;
/// let mut router = Router::new();
/// router.insert("/{a}", 1).unwrap();
/// assert!(router.insert("/{b}", 2).unwrap_err().to_string().starts_with("/{b}: "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRoute {
    pattern: String,
    what: String,
}

impl fmt::Display for InvalidRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pattern, self.what)
    }
}

impl std::error::Error for InvalidRoute {}

/// What [`Router::find`] has found.
///
/// ```
/// let mut router = raddle_http::Router::new();
/// router.insert("/a", 7).unwrap();
/// assert_eq!(*router.find("/a").unwrap().value, 7);
/// ```
#[derive(Debug)]
pub struct Found<'a, T> {
    /// The pattern's value.
    pub value: &'a T,
    /// What the pattern's parameters stand for in the path.
    pub params: Params<'a>,
}

/// What the parameters of a pattern stand for. Up to four take no memory of their own.
///
/// ```
/// let mut router = raddle_http::Router::new();
/// router.insert("/{a}/{b}", ()).unwrap();
/// let found = router.find("/1/2").unwrap();
/// assert_eq!(found.params.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Params<'a>(Option<matchit::Params<'a, 'a>>);

impl<T> Default for Router<T> {
    fn default() -> Router<T> {
        Router::new()
    }
}

impl<T> Router<T> {
    /// Without patterns.
    ///
    /// ```
    /// assert!(raddle_http::Router::<()>::new().find("/").is_none());
    /// ```
    pub fn new() -> Router<T> {
        Router { tree: matchit::Router::new(), patterns: Vec::new() }
    }

    /// Adds a pattern.
    ///
    /// # Errors
    ///
    /// [`InvalidRoute`] if it does not begin with a slash, is malformed, or matches what another one matches and neither is more
    /// exact.
    ///
    /// ```
    /// # use raddle_http::Router;
    /// let mut router = Router::new();
    /// assert!(router.insert("/a/{b}", ()).is_ok());
    /// assert!(router.insert("a", ()).is_err() && router.insert("/{", ()).is_err());
    /// ```
    pub fn insert(&mut self, pattern: &str, value: T) -> Result<(), InvalidRoute> {
        let invalid = |what| InvalidRoute { pattern: pattern.to_owned(), what };
        if !pattern.starts_with('/') {
            return Err(invalid("a pattern begins with a slash".to_owned()));
        }
        self.tree.insert(pattern, value).map_err(|error| invalid(error.to_string()))?;
        self.patterns.push(pattern.to_owned());
        Ok(())
    }

    /// The value of the pattern that a path matches, and the parameters.
    ///
    /// ```
    /// # let mut router = raddle_http::Router::new();
    /// router.insert("/img/{name}.png", ()).unwrap();
    /// assert_eq!(router.find("/img/a.png").unwrap().params.raw("name"), Some("a"));
    /// assert!(router.find("/img/a.jpg").is_none());
    /// ```
    pub fn find<'a>(&'a self, path: &'a str) -> Option<Found<'a, T>> {
        let found = self.tree.at(path).ok()?;
        Some(Found { value: found.value, params: Params(Some(found.params)) })
    }

    /// All patterns, in the order in which they were added.
    ///
    /// ```
    /// # let mut router = raddle_http::Router::new();
    /// router.insert("/a", ()).unwrap();
    /// assert_eq!(router.patterns().collect::<Vec<_>>(), ["/a"]);
    /// ```
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(String::as_str)
    }
}

impl<T> fmt::Debug for Router<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.patterns).finish()
    }
}

impl<'a> Params<'a> {
    /// A parameter's text, decoded; `None` if there is none of that name, or it is no UTF-8.
    ///
    /// ```
    /// # let mut router = raddle_http::Router::new();
    /// router.insert("/{id}", ()).unwrap();
    /// assert_eq!(router.find("/a%2Fb").unwrap().params.get("id").as_deref(), Some("a/b"));
    /// assert!(router.find("/%ff").unwrap().params.get("id").is_none());
    /// ```
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        match percent::decode(self.raw(name)?.as_bytes())? {
            Cow::Borrowed(bytes) => str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        }
    }

    /// A parameter's text, as it was sent.
    ///
    /// ```
    /// assert_eq!(raddle_http::Params::default().raw("id"), None);
    /// ```
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.as_ref()?.get(name)
    }

    /// All names and texts, as they were sent.
    ///
    /// ```
    /// assert_eq!(raddle_http::Params::default().iter().count(), 0);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().flat_map(matchit::Params::iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_pattern_wins_whatever_the_order() {
        let patterns = ["/{*all}", "/a/{x}", "/a/b", "/a/{x}/c", "/a/pre-{x}"];
        for turn in 0..patterns.len() {
            let mut router = Router::new();
            let mut order = patterns;
            order.rotate_left(turn);
            order.iter().for_each(|pattern| router.insert(pattern, *pattern).unwrap());
            let find = |path: &str| router.find(path).map(|found| *found.value);
            assert_eq!(find("/a/b"), Some("/a/b"));
            assert_eq!(find("/a/z"), Some("/a/{x}"));
            assert_eq!(find("/a/pre-z"), Some("/a/pre-{x}"));
            assert_eq!(find("/a/z/c"), Some("/a/{x}/c"));
            assert_eq!(find("/a/z/d"), Some("/{*all}"));
            assert_eq!(find("/"), None, "a parameter is never empty");
            assert_eq!(find(""), None);
        }
    }

    #[test]
    fn patterns_that_clash_or_are_malformed_are_refused() {
        let mut router = Router::new();
        router.insert("/a/{x}", 1).unwrap();
        for pattern in ["/a/{y}", "/a/{x}", "", "a", "/{", "/{}", "/{*}", "/{*a}/b", "/a/{x}{y}"] {
            assert!(router.insert(pattern, 2).is_err(), "{pattern}");
        }
        assert_eq!(router.patterns().count(), 1);
    }
}
