//! Request methods. RFC 9110 section 9; PATCH is RFC 5789.

use crate::lex;
use std::fmt;

/// The longest name that a method may have. Of the registered ones, `UPDATEREDIRECTREF` has 17 characters.
const NAME_MAX: usize = 22;

/// What a request asks for. Names are case-sensitive, RFC 9110 section 9.1.
///
/// ```
/// use raddle_http::Method;
///
/// assert_eq!(Method::from_bytes(b"GET"), Some(Method::Get));
/// assert!(Method::Get.is_safe() && Method::Put.is_idempotent());
/// let other = Method::from_bytes(b"PROPFIND").unwrap();
/// assert_eq!(other.as_str(), "PROPFIND");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Transfer a current representation. Section 9.3.1.
    Get,
    /// As GET, without the content. Section 9.3.2.
    Head,
    /// Process the content, as the resource sees fit. Section 9.3.3.
    Post,
    /// Replace the resource's state by the content. Section 9.3.4.
    Put,
    /// Remove the resource. Section 9.3.5.
    Delete,
    /// Make a tunnel. Section 9.3.6.
    Connect,
    /// Say which options there are. Section 9.3.7.
    Options,
    /// Send the request back. Section 9.3.8.
    Trace,
    /// Change the resource as the content says. RFC 5789.
    Patch,
    /// Any other.
    Extension(ExtensionMethod),
}

/// The name of a method that is not one of [`Method`]'s own. Only [`Method::from_bytes`] makes them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExtensionMethod {
    length: u8,
    name: [u8; NAME_MAX],
}

impl Method {
    /// The method of that name; `None` if it is no token, or longer than 22 characters, which no registered one is.
    ///
    /// ```
    /// # use raddle_http::Method;
    /// assert_eq!(Method::from_bytes(b"GE T"), None);
    /// assert_ne!(Method::from_bytes(b"get"), Some(Method::Get));
    /// ```
    pub fn from_bytes(name: &[u8]) -> Option<Method> {
        Some(match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ if lex::is_token(name) && name.len() <= NAME_MAX => {
                let mut bytes = [0; NAME_MAX];
                bytes[..name.len()].copy_from_slice(name);
                Method::Extension(ExtensionMethod { length: name.len() as u8, name: bytes })
            }
            _ => return None,
        })
    }

    /// The name, as it stands in a request line.
    ///
    /// ```
    /// assert_eq!(raddle_http::Method::Options.as_str(), "OPTIONS");
    /// ```
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Extension(other) => other.as_str(),
        }
    }

    /// The value of `Allow`, which 405 must have and the answer to OPTIONS should. RFC 9110 section 10.2.1.
    ///
    /// ```
    /// use raddle_http::Method;
    /// assert_eq!(Method::list(&[Method::Get, Method::Head]), "GET, HEAD");
    /// ```
    pub fn list(methods: &[Method]) -> String {
        methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Whether it asks for nothing but information. RFC 9110 section 9.2.1.
    ///
    /// ```
    /// use raddle_http::Method;
    /// assert!(Method::Head.is_safe() && !Method::Delete.is_safe());
    /// ```
    pub fn is_safe(&self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace)
    }

    /// Whether doing it twice is the same as doing it once. RFC 9110 section 9.2.2.
    ///
    /// ```
    /// use raddle_http::Method;
    /// assert!(Method::Delete.is_idempotent() && !Method::Post.is_idempotent());
    /// ```
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }
}

impl ExtensionMethod {
    /// The name.
    ///
    /// ```
    /// use raddle_http::Method;
    /// let Some(Method::Extension(name)) = Method::from_bytes(b"REPORT") else { panic!() };
    /// assert_eq!(name.as_str(), "REPORT");
    /// ```
    pub fn as_str(&self) -> &str {
        let name = &self.name[..usize::from(self.length)];
        str::from_utf8(name).expect("tokens are ASCII, and no other name gets here")
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ExtensionMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_method() {
        let names = [
            "GET",
            "HEAD",
            "POST",
            "PUT",
            "DELETE",
            "CONNECT",
            "OPTIONS",
            "TRACE",
            "PATCH",
            "get",
            "M-SEARCH",
            "!#$%&'*+-.^_`|~09azAZ",
        ];
        for name in names {
            assert_eq!(Method::from_bytes(name.as_bytes()).unwrap().to_string(), name);
        }
        let longest = [b'A'; NAME_MAX];
        assert!(Method::from_bytes(&longest).is_some());
        for name in [&b""[..], b"GET ", b"G\0T", b"G\xe9T", &[b'A'; NAME_MAX + 1]] {
            assert_eq!(Method::from_bytes(name), None);
        }
    }
}
