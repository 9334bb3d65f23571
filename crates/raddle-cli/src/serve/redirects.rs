//! Addresses that lead elsewhere: which they are, and where each request for one goes.

use super::config::{Redirect, Source};
use raddle_http::semantics::canonical;
use raddle_http::{Params, Request, Response, Router, Status};
use std::fmt::Write;

/// Where a site's addresses lead that are others' by now.
pub(super) struct Redirects(Router<(Status, Target)>);

impl Redirects {
    /// Those that a configuration has; `key` stands before the names of its keys.
    pub(super) fn of(source: &Source, key: &str, wanted: &[Redirect]) -> Result<Redirects, String> {
        let mut redirects = Router::new();
        for redirect in wanted {
            let from = redirect.from.get_ref();
            let target = Target::parse(redirect.to.get_ref(), &names(from)).map_err(|what| {
                source.mistake(redirect.to.span(), &format!("{key}redirects.to: {what}"))
            })?;
            redirects.insert(from, (redirect.status.0, target)).map_err(|error| {
                source.mistake(redirect.from.span(), &format!("{key}redirects.from: {error}"))
            })?;
        }
        Ok(Redirects(redirects))
    }

    /// Where this request is led, if it is.
    pub(super) fn find(&self, request: &Request<'_>) -> Option<Response> {
        let path = canonical(request.path()).ok()?;
        let found = self.0.find(&path)?;
        let (status, target) = found.value;
        Some(Response::redirect(*status, &target.of(&found.params, request.query())))
    }
}

/// The names that a pattern binds. One that is malformed is the router's to refuse.
fn names(pattern: &str) -> Vec<&str> {
    let (mut names, mut rest) = (Vec::new(), pattern);
    while let Some((_, behind)) = rest.split_once('{') {
        rest = match behind.strip_prefix('{') {
            // Two are one that is meant.
            Some(behind) => behind,
            None => {
                let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
                names.push(name.trim_start_matches('*'));
                behind
            }
        };
    }
    names
}

/// An address, with names for what was asked for.
#[derive(Debug, Default)]
struct Target {
    pieces: Vec<Piece>,
    /// From the `#` on.
    fragment: Vec<Piece>,
    has_query: bool,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Name { name: String, is_in_query: bool },
}

/// What is said of a brace alone.
const BRACES: &str = "a { or } that belongs to no name is written %7B or %7D";

impl Target {
    /// Reads an address; the names are those that may stand in it. What is wrong with it is a text.
    fn parse(text: &str, names: &[&str]) -> Result<Target, String> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what =
                "an address has letters, digits and signs of ASCII only; encode others with %";
            return Err(what.to_owned());
        }
        let (mut target, mut rest) = (Target::default(), text);
        let mut is_in_fragment = false;
        while !rest.is_empty() {
            let at = text.len() - rest.len();
            let piece = if let Some(behind) = rest.strip_prefix('{') {
                let (name, behind) = behind.split_once('}').ok_or(BRACES)?;
                rest = behind;
                let name = name.trim_start_matches('*');
                if !names.contains(&name) {
                    return Err(format!("{{{name}}} is no name that `from` has"));
                }
                // In a host's name it would be the client that says who is meant.
                if behind_host(text).is_none_or(|start| at < start) {
                    return Err(format!("{{{name}}} may only stand behind the path's first slash"));
                }
                let is_in_query = target.has_query && !is_in_fragment;
                Piece::Name { name: name.to_owned(), is_in_query }
            } else {
                let begins_fragment = !is_in_fragment && rest.starts_with('#');
                is_in_fragment |= begins_fragment;
                let signs: &[char] = if is_in_fragment { &['{', '}'] } else { &['{', '}', '#'] };
                let skipped = usize::from(begins_fragment);
                let end = rest[skipped..].find(signs).map_or(rest.len(), |end| skipped + end);
                let (plain, behind) = rest.split_at(end);
                if behind.starts_with('}') {
                    return Err(BRACES.to_owned());
                }
                target.has_query |= !is_in_fragment && plain.contains('?');
                rest = behind;
                Piece::Text(plain.to_owned())
            };
            if is_in_fragment { &mut target.fragment } else { &mut target.pieces }.push(piece);
        }
        Ok(target)
    }

    /// The address for a request: with what it has asked for, and with its query if the address has none of its own.
    fn of(&self, params: &Params<'_>, query: Option<&str>) -> String {
        let mut text = String::new();
        self.pieces.iter().for_each(|piece| piece.add(&mut text, params));
        if let (Some(query), false) = (query, self.has_query) {
            _ = write!(text, "?{query}");
        }
        self.fragment.iter().for_each(|piece| piece.add(&mut text, params));
        text
    }
}

impl Piece {
    fn add(&self, to: &mut String, params: &Params<'_>) {
        match self {
            Piece::Text(text) => to.push_str(text),
            Piece::Name { name, is_in_query } => {
                let value = params.raw(name).unwrap_or_default();
                // Two slashes at the beginning would be followed by a host, which is the client's word.
                let value = if to == "/" { value.trim_start_matches('/') } else { value };
                let kept: &[u8] = if *is_in_query { b"-._~/%" } else { b"-._~/%!$&'()*+,;=:@" };
                for byte in value.bytes() {
                    // Escapes that came stay what they are.
                    match byte.is_ascii_alphanumeric() || kept.contains(&byte) {
                        true => to.push(byte.into()),
                        false => _ = write!(to, "%{byte:02X}"),
                    }
                }
            }
        }
    }
}

/// Where an address says nothing of hosts and schemes any more: behind the first slash of its path, or what begins query or fragment.
fn behind_host(text: &str) -> Option<usize> {
    let end = text.find(['/', '?', '#', '{']).unwrap_or(text.len());
    let has_host = text[end..].starts_with("//");
    // `https:/` is taken for `https://` by browsers, and what follows for a host.
    if text[..end].contains(':') && !has_host {
        return None;
    }
    let start = if has_host { end + 2 } else { 0 };
    text[start..].find(['/', '?', '#']).map(|at| start + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(from: &str, to: &str, path: &str, query: Option<&str>) -> String {
        let mut router = Router::new();
        router.insert(from, Target::parse(to, &names(from)).unwrap()).unwrap();
        let path = canonical(path).unwrap();
        let found = router.find(&path).unwrap();
        found.value.of(&found.params, query)
    }

    #[test]
    fn what_was_asked_for_stands_for_its_name() {
        let rows = [
            ("/old/{*rest}", "/sub/{*rest}", "/old/a/b", None, "/sub/a/b"),
            ("/old/{*rest}", "/sub/{rest}", "/old/a/b", Some("q=1"), "/sub/a/b?q=1"),
            ("/u/{id}/{*rest}", "/{*rest}/of/{id}", "/u/7/x", None, "/x/of/7"),
            ("/v{n}.html", "/{n}", "/v2.html", None, "/2"),
            (
                "/old/{*rest}",
                "https://b.example/{*rest}",
                "/old/a",
                Some("q"),
                "https://b.example/a?q",
            ),
            ("/old/{*rest}", "//b.example/{*rest}", "/old//a", None, "//b.example//a"),
            ("/old/{*rest}", "/new?", "/old/a", Some("q"), "/new?"),
            ("/old/{*rest}", "/new?a=b", "/old/a", Some("q"), "/new?a=b"),
            ("/old", "/new#top", "/old", Some("q#"), "/new?q##top"),
            ("/old/{a}", "/new#{a}", "/old/b", Some("q"), "/new?q#b"),
            ("/{{old}}/{a}", "/{a}", "/{old}/b", None, "/b"),
        ];
        for (from, to, path, query, expected) in rows {
            assert_eq!(led(from, to, path, query), expected, "{from} {to} {path}");
        }
    }

    #[test]
    fn nothing_that_was_asked_for_means_more_than_it_did() {
        let rows = [
            // What is encoded stays so, and what should have been is.
            ("/{*a}", "/n/{*a}", "/a%20b/%2f%3f%0d%0aX:%25", "/n/a%20b/%2F%3F%0D%0AX:%25"),
            ("/{*a}", "/n/{*a}", "/a|b\"<\\>", "/n/a%7Cb%22%3C%5C%3E"),
            ("/{*a}", "/n?a={*a}", "/b&c=d+e;f/g%26", "/n?a=b%26c%3Dd%2Be%3Bf/g%26"),
            // No host but the site's.
            ("/{*a}", "/{*a}", "//evil.example/b", "/evil.example/b"),
            ("/old/{*a}", "/{*a}", "/old////evil.example", "/evil.example"),
            ("/old/{*a}", "/{*a}", "/old/\\evil.example", "/%5Cevil.example"),
            ("/old/{*a}", "/{*a}", "/old/https://evil.example", "/https://evil.example"),
        ];
        for (from, to, path, expected) in rows {
            assert_eq!(led(from, to, path, None), expected, "{from} {to} {path}");
        }
    }

    #[test]
    fn addresses_that_would_lead_astray_are_refused() {
        let behind = "{a} may only stand behind the path's first slash";
        for (to, expected) in [
            ("/{b}", "{b} is no name that `from` has"),
            ("/{}", "{} is no name that `from` has"),
            ("/{a", BRACES),
            ("/a}", BRACES),
            ("{a}", behind),
            ("{a}/b", behind),
            ("https:{a}/", behind),
            ("https:/{a}", behind),
            ("javascript:?{a}", behind),
            ("https://{a}/", behind),
            ("https://b.example{a}", behind),
            ("https://b.example:{a}/c", behind),
            ("//{a}", behind),
            (
                "/a b",
                "an address has letters, digits and signs of ASCII only; encode others with %",
            ),
        ] {
            assert_eq!(Target::parse(to, &["a"]).unwrap_err(), expected, "{to}");
        }
        assert!(Target::parse("b?{a}", &["a"]).is_ok());
    }
}
