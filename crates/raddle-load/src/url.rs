//! URLs of what is to be asked for: as much of RFC 3986 as a client of HTTP needs.
//!
//! Rejected: the crate `url`, which follows the browsers' rules, repairs what is wrong and brings tables for names in all scripts. Here a mistake
//! is to be told, not repaired.

use std::error::Error;
use std::fmt;

/// An `http` or `https` URL, taken apart.
///
/// ```
/// use raddle_load::Url;
/// let url: Url = "https://example.org:8443/a?b".parse()?;
/// assert_eq!((url.is_https(), url.host(), url.port(), url.target()), (true, "example.org", 8443, "/a?b"));
/// assert_eq!("example.org/a".parse::<Url>().unwrap_err().to_string(), "\"example.org/a\" has no scheme: write http:// or https:// before it");
/// # Ok::<(), raddle_load::BadUrl>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    is_https: bool,
    host: String,
    port: u16,
    has_port: bool,
    target: String,
}

/// What is wrong with a URL, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl(String);

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadUrl {}

impl Url {
    /// Whether it is to be asked for over TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host: a name or an address, an IPv6 one without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; the scheme's own if none was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as they stand in a request.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The same host, asked for something else: a path, which may have a query.
    ///
    /// # Errors
    ///
    /// If it is no path, or has in it what must be percent-encoded.
    pub(crate) fn with_target(&self, target: &str) -> Result<Url, BadUrl> {
        if !target.starts_with('/') {
            return Err(BadUrl(format!("{target:?} does not begin with /")));
        }
        let scheme = if self.is_https { "https" } else { "http" };
        format!("{scheme}://{}{target}", self.authority()).parse()
    }

    /// What `Host` says: with the port if one was given.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        if self.has_port { format!("{host}:{}", self.port) } else { host }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.target)
    }
}

impl std::str::FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Url, BadUrl> {
        let bad = |what: String| BadUrl(format!("{text:?} {what}"));
        if let Some(wrong) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(bad(format!(
                "has {wrong:?} in it: percent-encode what is not a visible ASCII character"
            )));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(bad("has no scheme: write http:// or https:// before it".to_owned()));
        };
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => {
                return Err(bad(format!(
                    "begins with {scheme}://, but only http and https are spoken here"
                )));
            }
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(bad(
                "has a user in it: send it as a field, -H 'Authorization: ...'".to_owned()
            ));
        }
        let (host, port) = split(authority).map_err(bad)?;
        let has_port = port.is_some();
        let port = match port {
            None if is_https => 443,
            None => 80,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => {
                    return Err(bad(format!(
                        "has {port:?} for a port, which is none from 1 to 65535"
                    )));
                }
            },
        };
        let target = match target {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            target => target.to_owned(),
        };
        Ok(Url { is_https, host: host.to_owned(), port, has_port, target })
    }
}

/// Host and port.
fn split(authority: &str) -> Result<(&str, Option<&str>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or("has a bracket that is not closed")?;
            host.parse::<std::net::Ipv6Addr>()
                .map_err(|_| format!("has {host:?} in brackets, which is no IPv6 address"))?;
            match behind.strip_prefix(':') {
                None if !behind.is_empty() => {
                    return Err(format!("has {behind:?} behind its address"));
                }
                port => (host, port),
            }
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("has an IPv6 address without brackets around it".to_owned());
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_odd = |c: char| !(c.is_ascii_alphanumeric() || "-._:".contains(c));
    if let Some(odd) = host.chars().find(|c| is_odd(*c)) {
        return Err(format!("has {odd:?} in its host"));
    }
    match host.is_empty() {
        true => Err("has no host".to_owned()),
        false => Ok((host, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, u16, String) {
        let url: Url = text.parse().unwrap();
        (url.host().to_owned(), url.authority(), url.port(), url.target().to_owned())
    }

    #[test]
    fn urls_are_taken_apart() {
        let part = |host: &str, authority: &str, port, target: &str| {
            (host.to_owned(), authority.to_owned(), port, target.to_owned())
        };
        assert_eq!(parts("http://a"), part("a", "a", 80, "/"));
        assert_eq!(parts("HTTPS://a.b-c/?d#e"), part("a.b-c", "a.b-c", 443, "/?d"));
        assert_eq!(parts("http://a?b"), part("a", "a", 80, "/?b"));
        assert_eq!(parts("http://[::1]:81/x@y:z"), part("::1", "[::1]:81", 81, "/x@y:z"));
        assert_eq!(
            parts("http://127.0.0.1:8080/a#b"),
            part("127.0.0.1", "127.0.0.1:8080", 8080, "/a")
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (text, why) in [
            ("", "no scheme"),
            ("localhost:80", "no scheme"),
            ("ftp://a/", "only http and https"),
            ("http://", "no host"),
            ("http:///a", "no host"),
            ("http://a:x/", "no"),
            ("http://a:0/", "none from 1"),
            ("http://a:65536/", "none from 1"),
            ("http://u:p@a/", "Authorization"),
            ("http://::1/", "without brackets"),
            ("http://[::1/", "not closed"),
            ("http://[a]/", "no IPv6"),
            ("http://[::1]x/", "behind its address"),
            ("http://a/ b", "percent-encode"),
            ("http://a/\u{e4}", "percent-encode"),
            ("http://a,b/", "in its host"),
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
