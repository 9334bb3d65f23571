//! The names of the standard fields, numbered, so that a field that is not there is not looked for.

use std::fmt;

macro_rules! headers {
    ($($variant:ident $name:literal;)*) => {
        /// A standard field, RFC 9110 section 18.4 and its like. Names are compared without regard to case.
        ///
        /// Looking one up in [`Headers`](crate::Headers) by this number is a bit test if it is not there; by a string it
        /// is the search for the number first.
        ///
        /// ```
        /// use raddle_http::Header;
        ///
        /// assert_eq!(Header::of(b"content-LENGTH"), Some(Header::ContentLength));
        /// assert_eq!(Header::IfNoneMatch.as_str(), "If-None-Match");
        /// assert_eq!(Header::of(b"X-My-Own"), None);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Header {
            $(
                #[doc = concat!("`", $name, "`.")]
                $variant,
            )*
        }

        impl Header {
            /// All of them.
            pub(crate) const ALL: &[Header] = &[$(Header::$variant,)*];

            /// The name as it is usually written.
            ///
            /// ```
            /// assert_eq!(raddle_http::Header::Etag.as_str(), "ETag");
            /// ```
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Header::$variant => $name,)*
                }
            }
        }
    };
}

headers! {
    Accept "Accept";
    AcceptEncoding "Accept-Encoding";
    AcceptLanguage "Accept-Language";
    AcceptRanges "Accept-Ranges";
    AccessControlAllowCredentials "Access-Control-Allow-Credentials";
    AccessControlAllowHeaders "Access-Control-Allow-Headers";
    AccessControlAllowMethods "Access-Control-Allow-Methods";
    AccessControlAllowOrigin "Access-Control-Allow-Origin";
    AccessControlExposeHeaders "Access-Control-Expose-Headers";
    AccessControlMaxAge "Access-Control-Max-Age";
    AccessControlRequestHeaders "Access-Control-Request-Headers";
    AccessControlRequestMethod "Access-Control-Request-Method";
    Age "Age";
    Allow "Allow";
    Authorization "Authorization";
    CacheControl "Cache-Control";
    Connection "Connection";
    ContentDisposition "Content-Disposition";
    ContentEncoding "Content-Encoding";
    ContentLanguage "Content-Language";
    ContentLength "Content-Length";
    ContentLocation "Content-Location";
    ContentRange "Content-Range";
    ContentSecurityPolicy "Content-Security-Policy";
    ContentType "Content-Type";
    Cookie "Cookie";
    Date "Date";
    Etag "ETag";
    Expect "Expect";
    Expires "Expires";
    Forwarded "Forwarded";
    Host "Host";
    IfMatch "If-Match";
    IfModifiedSince "If-Modified-Since";
    IfNoneMatch "If-None-Match";
    IfRange "If-Range";
    IfUnmodifiedSince "If-Unmodified-Since";
    KeepAlive "Keep-Alive";
    LastModified "Last-Modified";
    Link "Link";
    Location "Location";
    Origin "Origin";
    Range "Range";
    Referer "Referer";
    RetryAfter "Retry-After";
    Server "Server";
    SetCookie "Set-Cookie";
    StrictTransportSecurity "Strict-Transport-Security";
    Te "TE";
    Trailer "Trailer";
    TransferEncoding "Transfer-Encoding";
    Upgrade "Upgrade";
    UserAgent "User-Agent";
    Vary "Vary";
    Via "Via";
    WwwAuthenticate "WWW-Authenticate";
    XContentTypeOptions "X-Content-Type-Options";
    XForwardedFor "X-Forwarded-For";
    XRequestId "X-Request-Id";
}

/// One bit each has to do, in [`Headers`](crate::Headers).
const _: () = assert!(Header::ALL.len() <= 64);

const SLOTS: usize = 256;

/// Where a name stands in the table: from its length and three of its bytes. The multipliers are chosen so that no two names
/// share a place, which the table's making checks.
const fn slot(name: &[u8]) -> usize {
    let length = name.len();
    if length == 0 {
        return 0;
    }
    let (first, middle, late) = (name[0], name[length / 2], name[length.saturating_sub(3)]);
    // Letters in lower case; what this does to other bytes is the same each time, which is all that counts.
    let (first, middle, late) = (first | 0x20, middle | 0x20, late | 0x20);
    (length * 196 + first as usize * 182 + middle as usize * 231 + late as usize * 226) % SLOTS
}

/// Each slot's header, or none. Filled by the compiler, which refuses two in one place.
const TABLE: [Option<Header>; SLOTS] = {
    let mut table = [None; SLOTS];
    let mut at = 0;
    while at < Header::ALL.len() {
        let header = Header::ALL[at];
        let slot = slot(header.as_str().as_bytes());
        assert!(table[slot].is_none(), "two names share a slot: choose other multipliers");
        table[slot] = Some(header);
        at += 1;
    }
    table
};

impl Header {
    /// Which standard field this is the name of.
    ///
    /// ```
    /// use raddle_http::Header;
    /// assert_eq!(Header::of(b"te"), Some(Header::Te));
    /// ```
    pub fn of(name: &[u8]) -> Option<Header> {
        let header = TABLE[slot(name)]?;
        is_named(name, header.as_str().as_bytes()).then_some(header)
    }

    /// Its bit in a set of 64.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// Whether a name is the standard one, apart from case. Several bytes at a time: each request has names to be found, and each response.
fn is_named(name: &[u8], standard: &[u8]) -> bool {
    if name.len() != standard.len() {
        return false;
    }
    let (eights, rest) = name.as_chunks::<8>();
    let (standard_eights, standard_rest) = standard.as_chunks::<8>();
    let (fours, rest) = rest.as_chunks::<4>();
    let (standard_fours, standard_rest) = standard_rest.as_chunks::<4>();
    let eight = |(a, b): (&[u8; 8], &[u8; 8])| {
        differ_by_case_at_most(u64::from_ne_bytes(*a), u64::from_ne_bytes(*b))
    };
    let four = |(a, b): (&[u8; 4], &[u8; 4])| {
        differ_by_case_at_most(u32::from_ne_bytes(*a).into(), u32::from_ne_bytes(*b).into())
    };
    let one = |(a, b): (&u8, &u8)| differ_by_case_at_most((*a).into(), (*b).into());
    eights.iter().zip(standard_eights).all(eight)
        && fours.iter().zip(standard_fours).all(four)
        && rest.iter().zip(standard_rest).all(one)
}

/// Whether the bytes of `word` are those of `standard`, which are letters and hyphens, or letters in the other case.
fn differ_by_case_at_most(word: u64, standard: u64) -> bool {
    /// What a letter's two cases differ by, and what letters have and a hyphen has not.
    const CASE: u64 = 0x2020_2020_2020_2020;
    const LETTER: u64 = 0x4040_4040_4040_4040;
    let differing = word ^ standard;
    differing & !CASE == 0 && (differing << 1) & !standard & LETTER == 0
}

/// [`differ_by_case_at_most`] knows no other bytes.
const _: () = {
    let mut at = 0;
    while at < Header::ALL.len() {
        let mut name = Header::ALL[at].as_str().as_bytes();
        while let [byte, rest @ ..] = name {
            assert!(byte.is_ascii_alphabetic() || *byte == b'-', "a letter or a hyphen");
            name = rest;
        }
        at += 1;
    }
};

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_any_case_leads_to_its_number() {
        for header in Header::ALL {
            let name = header.as_str();
            for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                assert_eq!(Header::of(name.as_bytes()), Some(*header), "{name}");
                assert_eq!(Header::of(&name.as_bytes()[1..]), None, "{name}");
            }
        }
        assert_eq!(Header::of(b""), None);
        assert_eq!(Header::of("Höst".as_bytes()), None);
    }

    #[test]
    fn names_are_compared_as_std_does() {
        for header in Header::ALL {
            let standard = header.as_str().as_bytes();
            for at in 0..standard.len() {
                for byte in 0..=u8::MAX {
                    let mut name = standard.to_vec();
                    name[at] = byte;
                    let is_alike = name.eq_ignore_ascii_case(standard);
                    assert_eq!(is_named(&name, standard), is_alike, "{name:?}");
                }
            }
        }
    }
}
