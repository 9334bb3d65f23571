//! A request's target, in its four forms, and the host that it is for. RFC 9112 section 3.2.

use super::fault::Fault;
use crate::lex;
use crate::method::Method;
use std::ops::Range;

/// Which of the four forms a target has.
///
/// ```
/// use raddle_http::protocol::{Limits, RequestHead, TargetForm};
/// let head = RequestHead::parse(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &Limits::default()).unwrap();
/// assert_eq!(head.form(), TargetForm::Asterisk);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TargetForm {
    /// `/path?query`, the usual one. Section 3.2.1.
    #[default]
    Origin,
    /// `http://host/path?query`: to a proxy, or to whoever must accept it as well. Section 3.2.2.
    Absolute,
    /// `host:port`, with CONNECT only. Section 3.2.3.
    Authority,
    /// `*`, with OPTIONS only: the server as a whole. Section 3.2.4.
    Asterisk,
}

/// Where a target's parts stand in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) form: TargetForm,
    pub(super) is_https: bool,
    /// Host and port, if the target names them.
    pub(super) authority: Option<Range<usize>>,
    /// Empty where the form has none, and where a target stops behind its authority.
    pub(super) path: Range<usize>,
    /// Without the question mark.
    pub(super) query: Option<Range<usize>>,
}

/// Takes a target apart.
pub(super) fn parse(method: Method, target: &[u8]) -> Result<Target, Fault> {
    // What browsers send unescaped against RFC 3986 passes, such as `|`; a fragment never belongs into a request.
    if !target.iter().all(|byte| matches!(byte, b'!'..=b'~') && *byte != b'#') {
        return Err(Fault::BadTarget);
    }
    if method == Method::Connect {
        return match authority(target) {
            Some(Port::Given) => Ok(Target {
                form: TargetForm::Authority,
                authority: Some(0..target.len()),
                ..Target::default()
            }),
            _ => Err(Fault::BadTarget),
        };
    }
    if target.first() == Some(&b'/') {
        return Ok(path_and_query(target, 0, TargetForm::Origin));
    }
    if target == b"*" {
        return match method {
            Method::Options => Ok(Target { form: TargetForm::Asterisk, ..Target::default() }),
            _ => Err(Fault::BadTarget),
        };
    }
    absolute(method, target)
}

fn absolute(method: Method, target: &[u8]) -> Result<Target, Fault> {
    let scheme = target.windows(3).position(|three| three == b"://").ok_or(Fault::BadTarget)?;
    let is_https = match &target[..scheme] {
        name if name.eq_ignore_ascii_case(b"http") => false,
        name if name.eq_ignore_ascii_case(b"https") => true,
        _ => return Err(Fault::BadScheme),
    };
    let start = scheme + 3;
    let length = target[start..].iter().position(|byte| matches!(byte, b'/' | b'?'));
    let end = length.map_or(target.len(), |length| start + length);
    // An empty host and user information are errors: RFC 9110 sections 4.2.1 and 4.2.4.
    if end == start || target[start] == b':' || authority(&target[start..end]).is_none() {
        return Err(Fault::BadTarget);
    }
    let parts = path_and_query(target, end, TargetForm::Absolute);
    let is_whole_server =
        method == Method::Options && parts.path.is_empty() && parts.query.is_none();
    // An OPTIONS request without a path is for the server as a whole: section 3.2.4.
    let form = if is_whole_server { TargetForm::Asterisk } else { TargetForm::Absolute };
    Ok(Target { form, is_https, authority: Some(start..end), ..parts })
}

fn path_and_query(target: &[u8], start: usize, form: TargetForm) -> Target {
    let mark = memchr::memchr(b'?', &target[start..]).map(|at| start + at);
    Target {
        form,
        is_https: false,
        authority: None,
        path: start..mark.unwrap_or(target.len()),
        query: mark.map(|at| at + 1..target.len()),
    }
}

/// What an authority says about its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// Nothing, or only the colon.
    Default,
    Given,
}

/// Checks `host`, or `host:port`: RFC 3986 section 3.2.2. Nothing but syntax; a host may be empty.
pub(super) fn authority(text: &[u8]) -> Option<Port> {
    let (host_is_valid, rest) = match text {
        [b'[', rest @ ..] => {
            let end = rest.iter().position(|byte| *byte == b']')?;
            (is_ip_literal(&rest[..end]), &rest[end + 1..])
        }
        _ => (true, behind_name(text)),
    };
    let port = match rest {
        [] | [b':'] => Port::Default,
        [b':', digits @ ..] => {
            // Larger numbers name no port.
            lex::decimal(digits).filter(|port| *port <= 65535)?;
            Port::Given
        }
        _ => return None,
    };
    host_is_valid.then_some(port)
}

/// What may stand in a `reg-name` as it is: `unreserved` and `sub-delims`.
const NAME: [bool; 256] = lex::alphanumerics_and(b"-._~!$&'()*+,;=");

/// What stands behind a `reg-name`, to which an IPv4 address belongs as well.
fn behind_name(mut text: &[u8]) -> &[u8] {
    loop {
        let plain = text.iter().position(|byte| !NAME[usize::from(*byte)]);
        text = &text[plain.unwrap_or(text.len())..];
        match text {
            [b'%', a, b, tail @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                text = tail;
            }
            _ => return text,
        }
    }
}

/// What stands between brackets: an IPv6 address, or one of the future.
fn is_ip_literal(text: &[u8]) -> bool {
    if let [b'v' | b'V', rest @ ..] = text {
        let Some(dot) = rest.iter().position(|byte| *byte == b'.') else { return false };
        let (version, address) = (&rest[..dot], &rest[dot + 1..]);
        let is_hex = !version.is_empty() && version.iter().all(u8::is_ascii_hexdigit);
        let is_plain = |byte: &u8| *byte == b':' || NAME[usize::from(*byte)];
        return is_hex && !address.is_empty() && address.iter().all(is_plain);
    }
    let text = str::from_utf8(text).unwrap_or_default();
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: Method, text: &str) -> Option<(TargetForm, &str, &str, Option<&str>)> {
        let target = parse(method, text.as_bytes()).ok()?;
        let authority = &text[target.authority.unwrap_or(0..0)];
        Some((target.form, authority, &text[target.path], target.query.map(|query| &text[query])))
    }

    #[test]
    fn each_form_goes_with_its_methods() {
        use TargetForm::*;
        let get = |text| parts(Method::Get, text);
        assert_eq!(get("/"), Some((Origin, "", "/", None)));
        assert_eq!(get("/a?b?c"), Some((Origin, "", "/a", Some("b?c"))));
        assert_eq!(get("/?"), Some((Origin, "", "/", Some(""))));
        assert_eq!(get("//a"), Some((Origin, "", "//a", None)));
        assert_eq!(get("HTTP://a:80/b?c"), Some((Absolute, "a:80", "/b", Some("c"))));
        assert_eq!(get("https://[::1]:8443"), Some((Absolute, "[::1]:8443", "", None)));
        assert_eq!(get("http://a?b"), Some((Absolute, "a", "", Some("b"))));
        assert_eq!(get("*"), None);
        assert_eq!(get("a:80"), None);
        assert_eq!(parts(Method::Options, "*"), Some((Asterisk, "", "", None)));
        assert_eq!(parts(Method::Options, "http://a"), Some((Asterisk, "a", "", None)));
        assert_eq!(parts(Method::Options, "http://a/"), Some((Absolute, "a", "/", None)));
        assert_eq!(parts(Method::Connect, "a:80"), Some((Authority, "a:80", "", None)));
        for text in ["a", "a:", "a:x", "/", "*", "http://a:80/", "a:65536"] {
            assert_eq!(parts(Method::Connect, text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in
            ["", "a", "?a", "/a#b", "/\u{e9}", "http:/a", "http://", "http:///a", "http://:80/"]
        {
            assert_eq!(parse(Method::Get, text.as_bytes()), Err(Fault::BadTarget), "{text}");
        }
        for text in ["http://u@a/", "http://u:p@a/", "http://a:b/", "http://[::1/", "http://[x]/"] {
            assert_eq!(parse(Method::Get, text.as_bytes()), Err(Fault::BadTarget), "{text}");
        }
        assert_eq!(parse(Method::Get, b"ftp://a/"), Err(Fault::BadScheme));
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for text in ["", "a", "a.b-c_d", "1.2.3.4", "a:", "a%2Db", "[::1]", "[::ffff:1.2.3.4]"] {
            assert_eq!(authority(text.as_bytes()), Some(Port::Default), "{text}");
        }
        for text in ["a:1", "[v1.a:b]:80", "[::1]:443", ":80"] {
            assert_eq!(authority(text.as_bytes()), Some(Port::Given), "{text}");
        }
        for text in ["a b", "a/b", "a@b", "a%", "a%2", "a%zz", "[", "[]", "[::1]x", "[v.a]", "[v1]"]
        {
            assert_eq!(authority(text.as_bytes()), None, "{text}");
        }
        for text in
            ["a,b c", "a:1:2", "::1", "a:-1", "a:99999999999999999999", "a\u{e9}", "[::1%25a]"]
        {
            assert_eq!(authority(text.as_bytes()), None, "{text}");
        }
    }
}
