//! The protocol's version. RFC 9110 section 2.5.

use std::fmt;

/// Which minor version of HTTP/1 a message has. A higher one than 1.1 counts as 1.1, as RFC 9110 section 2.5 says.
///
/// ```
/// use raddle_http::Version;
/// assert!(Version::Http10 < Version::Http11);
/// assert_eq!(Version::Http11.to_string(), "HTTP/1.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0, RFC 1945: connections close unless the client asks, and nothing is chunked.
    Http10,
    /// HTTP/1.1, RFC 9112.
    Http11,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        })
    }
}
