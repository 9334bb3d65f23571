//! Names of sites: whom a `Host` asks for. RFC 9110 section 7.2.

use std::collections::HashMap;
use std::fmt;

/// Values by the names of hosts. `*.example.org` is every name with one label more, unless that has a value of its own.
///
/// ```
/// use raddle_http::semantics::Hosts;
///
/// let mut hosts = Hosts::new();
/// hosts.insert("example.org", 1)?;
/// hosts.insert("*.example.org", 2)?;
/// assert_eq!(hosts.find("Example.org:8080"), Some(&1));
/// assert_eq!(hosts.find("www.example.org"), Some(&2));
/// assert_eq!(hosts.find("a.www.example.org"), None);
/// # Ok::<(), raddle_http::semantics::InvalidHost>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hosts<T>(HashMap<Box<str>, T>);

/// A text that names no host, or one that was there before.
///
/// ```
/// use raddle_http::semantics::Hosts;
/// let error = Hosts::new().insert("https://a/", ()).unwrap_err();
/// assert_eq!(error.to_string(), "a host is a name, an address, or *. and a name; without scheme and port");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHost(&'static str);

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidHost {}

impl<T> Default for Hosts<T> {
    fn default() -> Hosts<T> {
        Hosts::new()
    }
}

impl<T> Hosts<T> {
    /// None.
    ///
    /// ```
    /// assert_eq!(raddle_http::semantics::Hosts::<u8>::new().find("a"), None);
    /// ```
    pub fn new() -> Hosts<T> {
        Hosts(HashMap::new())
    }

    /// Gives a name a value. Names beyond ASCII stand as they are sent, `xn--` and so on; IPv6 addresses stand in brackets.
    ///
    /// # Errors
    ///
    /// [`InvalidHost`].
    ///
    /// ```
    /// # use raddle_http::semantics::Hosts;
    /// let mut hosts = Hosts::new();
    /// assert!(hosts.insert("[::1]", ()).is_ok() && hosts.insert("127.0.0.1", ()).is_ok());
    /// assert!(hosts.insert("a:80", ()).is_err() && hosts.insert("a.*", ()).is_err());
    /// ```
    pub fn insert(&mut self, name: &str, value: T) -> Result<(), InvalidHost> {
        let bare = name.strip_prefix("*.").unwrap_or(name);
        let is_label = |label: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.bytes().all(is_plain)
        };
        let is_address = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .is_some_and(|name| name.parse::<std::net::Ipv6Addr>().is_ok());
        if !is_address && !bare.split('.').all(is_label) {
            return Err(InvalidHost(
                "a host is a name, an address, or *. and a name; without scheme and port",
            ));
        }
        let name = name.to_ascii_lowercase().into_boxed_str();
        if self.0.contains_key(&name) {
            return Err(InvalidHost("a host that was there before"));
        }
        self.0.insert(name, value);
        Ok(())
    }

    /// The value for what a request has in `Host`, or in its target; the port and a dot at the end do not count.
    ///
    /// ```
    /// # use raddle_http::semantics::Hosts;
    /// let mut hosts = Hosts::new();
    /// hosts.insert("a", 1).unwrap();
    /// assert_eq!(hosts.find("A.:80"), Some(&1));
    /// ```
    pub fn find(&self, host: &str) -> Option<&T> {
        if self.0.is_empty() {
            return None;
        }
        let name = match host.rsplit_once(':') {
            // A colon in brackets is the address's own.
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.0.get(&*name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.0.get(&*format!("*.{parent}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_by_their_names() {
        let mut hosts = Hosts::new();
        for (at, name) in
            ["a.b", "*.a.b", "x.a.b", "[::1]", "10.0.0.1", "Localhost"].into_iter().enumerate()
        {
            hosts.insert(name, at).unwrap();
        }
        for (host, expected) in [
            ("a.b", Some(0)),
            ("A.B.", Some(0)),
            ("a.b:443", Some(0)),
            ("a.b.:", Some(0)),
            ("y.a.b", Some(1)),
            ("x.a.b", Some(2)),
            ("y.x.a.b", None),
            (".a.b", Some(1)),
            ("[::1]:80", Some(3)),
            ("[::1]", Some(3)),
            ("10.0.0.1:1", Some(4)),
            ("localhost", Some(5)),
            ("b", None),
            ("", None),
            ("*.b", None),
        ] {
            assert_eq!(hosts.find(host), expected.as_ref(), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let mut hosts = Hosts::new();
        hosts.insert("a.b", ()).unwrap();
        for name in ["", "*", "*.", "a..b", "a.", "a:80", "::1", "[a]", "A.b", "é", "a/", "*.*.a"]
        {
            assert!(hosts.insert(name, ()).is_err(), "{name}");
        }
    }
}
