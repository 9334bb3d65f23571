//! Content negotiation: which of several representations a client prefers. RFC 9110 section 12.

use crate::header::Header;
use crate::headers::Headers;
use crate::lex;

/// Which of the media types on offer the client likes best, by its `Accept`: the first one of those with the highest weight.
/// `None` if it wants none of them; without the field it takes the first. RFC 9110 section 12.5.1.
///
/// ```
/// use raddle_http::{Header, Headers, semantics::prefer_type};
///
/// let offered = ["text/html", "application/json"];
/// let mut headers = Headers::new();
/// assert_eq!(prefer_type(&headers, &offered), Some(0));
/// headers.add(Header::Accept, "application/*;q=0.8, text/html;q=0.5")?;
/// assert_eq!(prefer_type(&headers, &offered), Some(1));
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
pub fn prefer_type(headers: &Headers, offered: &[&str]) -> Option<usize> {
    if !headers.contains(Header::Accept) {
        return (!offered.is_empty()).then_some(0);
    }
    let weight = |offer: &str| {
        // The most specific range that fits decides, wherever it stands.
        let fits = headers.list(Header::Accept).filter_map(|element| {
            let (range, weight) = lex::weighted(element);
            let has_parameters = lex::split(element, b';')
                .skip(1)
                .map(lex::trim)
                .any(|part| !matches!(part, [b'q' | b'Q', b'=', ..] | []));
            // Offers have no parameters, so a range that wants one fits none.
            let specificity = if has_parameters { None } else { specificity(range, offer) };
            specificity.map(|specificity| (specificity, weight))
        });
        fits.max().map_or(0, |(_, weight)| weight)
    };
    best(offered.iter().map(|offer| weight(offer)))
}

/// Whether one of these types stands in `Accept` by its name, and is not ruled out: `*/*` names none.
///
/// ```
/// use raddle_http::{Header, Headers, semantics::names_type};
///
/// let mut request = Headers::new();
/// assert!(!names_type(&request, &["text/html"]));
/// request.add(Header::Accept, "image/png, */*;q=0.5")?;
/// assert!(!names_type(&request, &["text/html"]));
/// request.set(Header::Accept, "text/html, */*;q=0.5")?;
/// assert!(names_type(&request, &["text/html"]));
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
pub fn names_type(headers: &Headers, types: &[&str]) -> bool {
    headers.list(Header::Accept).any(|element| {
        let (range, weight) = lex::weighted(element);
        weight > 0 && types.iter().any(|one| range.eq_ignore_ascii_case(one.as_bytes()))
    })
}

/// How exactly a media range names a type: by name, by its first half, by `*/*`; `None` if it does not.
fn specificity(range: &[u8], offer: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(offer.as_bytes()) {
        return Some(2);
    }
    if range == b"*/*" {
        return Some(0);
    }
    let kind = range.strip_suffix(b"/*")?;
    let (offered_kind, _) = offer.split_once('/')?;
    kind.eq_ignore_ascii_case(offered_kind.as_bytes()).then_some(1)
}

/// The place of the first highest weight above 0.
fn best(weights: impl Iterator<Item = u16>) -> Option<usize> {
    let mut best = None;
    let mut highest = 0;
    for (at, weight) in weights.enumerate() {
        if weight > highest {
            (best, highest) = (Some(at), weight);
        }
    }
    best
}

/// A content coding that a file may be stored in. RFC 9110 section 8.4.1; `br` is RFC 7932, `zstd` RFC 8878.
///
/// ```
/// use raddle_http::semantics::Coding;
/// assert_eq!(Coding::Brotli.token(), "br");
/// assert_eq!(Coding::Gzip.suffix(), ".gz");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// None.
    Identity,
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// The value of `Content-Encoding`; `identity` is never sent. RFC 9110 section 8.4.
    ///
    /// ```
    /// assert_eq!(raddle_http::semantics::Coding::Zstd.token(), "zstd");
    /// ```
    pub fn token(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// What is appended to a file's name for its copy in this coding.
    ///
    /// ```
    /// assert_eq!(raddle_http::semantics::Coding::Brotli.suffix(), ".br");
    /// ```
    pub fn suffix(self) -> &'static str {
        match self {
            Coding::Identity => "",
            Coding::Gzip => ".gz",
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
        }
    }

    fn is_named(self, name: &[u8]) -> bool {
        // Section 8.4.1.3: the old name counts as well.
        name.eq_ignore_ascii_case(self.token().as_bytes())
            || (self == Coding::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
    }
}

/// Which of the codings on offer the client likes best, by its `Accept-Encoding`: the first one of those with the highest weight, so the
/// smallest should come first. `Identity` need not be on offer: it is what remains. `None` if the client has ruled out all, that one too.
/// RFC 9110 section 12.5.3.
///
/// Whatever is chosen, a response of which there are several says `Vary: Accept-Encoding`: section 12.5.5.
///
/// ```
/// use raddle_http::{Header, Headers, semantics::{Coding, prefer_coding}};
///
/// let offered = [Coding::Brotli, Coding::Gzip];
/// let mut headers = Headers::new();
/// assert_eq!(prefer_coding(&headers, &offered), Some(Coding::Identity));
/// headers.add(Header::AcceptEncoding, "gzip, br;q=0.9, *;q=0")?;
/// assert_eq!(prefer_coding(&headers, &offered), Some(Coding::Gzip));
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
pub fn prefer_coding(headers: &Headers, offered: &[Coding]) -> Option<Coding> {
    // Without the field any coding would do; but who says nothing may understand none.
    if !headers.contains(Header::AcceptEncoding) {
        return Some(Coding::Identity);
    }
    let told = |coding: Coding| {
        let mut rest = None;
        for element in headers.list(Header::AcceptEncoding) {
            let (name, weight) = lex::weighted(element);
            if coding.is_named(name) {
                return Some(weight);
            }
            if name == b"*" {
                rest = rest.or(Some(weight));
            }
        }
        rest
    };
    let chosen = best(offered.iter().map(|coding| told(*coding).unwrap_or(0)));
    match chosen.map(|at| offered[at]) {
        Some(coding) => {
            // The client may say that it likes the plain one better.
            let plain = told(Coding::Identity).unwrap_or(0);
            let is_better = plain > told(coding).unwrap_or(0);
            Some(if is_better { Coding::Identity } else { coding })
        }
        // Identity is acceptable unless it was ruled out.
        None => (told(Coding::Identity) != Some(0)).then_some(Coding::Identity),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &str, value: &str) -> Headers {
        let mut headers = Headers::new();
        headers.add(name, value).unwrap();
        headers
    }

    #[test]
    fn types_go_by_weight_then_specificity_then_order() {
        let offered = ["text/html", "application/json"];
        let rows = [
            ("", None),
            ("*/*", Some(0)),
            ("application/json", Some(1)),
            ("APPLICATION/JSON", Some(1)),
            ("text/*, application/json", Some(0)),
            ("text/*;q=0.3, application/json;q=0.4", Some(1)),
            ("text/html;q=0, */*", Some(1)),
            ("*/*, text/html;q=0", Some(1)),
            ("text/*;q=0.1, text/html;q=0.9, application/json;q=0.5", Some(0)),
            ("text/plain", None),
            ("text/html;q=0", None),
            ("text/html;level=1", None),
            ("text/html;level=1, */*;q=0.1", Some(0)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", Some(0)),
            ("*", None),
        ];
        for (value, expected) in rows {
            assert_eq!(prefer_type(&headers("Accept", value), &offered), expected, "{value}");
        }
        assert_eq!(prefer_type(&Headers::new(), &[]), None);
    }

    #[test]
    fn codings_go_by_weight_then_order() {
        use Coding::{Brotli, Gzip, Identity, Zstd};
        let offered = [Zstd, Brotli, Gzip];
        let rows = [
            ("", Some(Identity)),
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, br", Some(Brotli)),
            ("GZIP", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("deflate", Some(Identity)),
            ("*", Some(Zstd)),
            ("zstd;q=0, *", Some(Brotli)),
            ("gzip;q=0.5, identity", Some(Identity)),
            ("gzip;q=0.5, identity;q=0.1", Some(Gzip)),
            ("gzip;q=0.5, identity;q=0.5", Some(Gzip)),
            ("gzip;q=0", Some(Identity)),
            ("identity;q=0", None),
            ("*;q=0", None),
            ("*;q=0, identity;q=0.1", Some(Identity)),
            ("identity;q=0, gzip;q=0.1", Some(Gzip)),
            ("gzip;q=x", Some(Identity)),
        ];
        for (value, expected) in rows {
            let found = prefer_coding(&headers("Accept-Encoding", value), &offered);
            assert_eq!(found, expected, "{value}");
        }
        let plain = headers("Accept-Encoding", "*;q=0");
        assert_eq!(prefer_coding(&plain, &[]), None);
    }
}
