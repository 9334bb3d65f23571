//! Basic authentication, against hashed passwords. RFC 7617.

use crate::header::Header;
use crate::headers::Headers;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::fmt;

/// What a client says it is.
///
/// ```
/// use raddle_http::{Header, Headers, semantics::Credentials};
///
/// let mut headers = Headers::new();
/// headers.add(Header::Authorization, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")?;
/// let credentials = Credentials::of(&headers).unwrap();
/// assert_eq!((credentials.user(), credentials.password()), ("Aladdin", &b"open sesame"[..]));
/// # Ok::<(), raddle_http::InvalidField>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: Vec<u8>,
}

impl Credentials {
    /// Reads `Authorization`; `None` if it is not there, of another scheme, or malformed. RFC 7617 section 2.
    ///
    /// ```
    /// # use raddle_http::{Headers, semantics::Credentials};
    /// assert!(Credentials::of(&Headers::new()).is_none());
    /// ```
    pub fn of(headers: &Headers) -> Option<Credentials> {
        let mut values = headers.get_all(Header::Authorization);
        let value = values.next()?;
        let space = memchr::memchr(b' ', value)?;
        if values.next().is_some() || !value[..space].eq_ignore_ascii_case(b"Basic") {
            return None;
        }
        let decoded = STANDARD.decode(crate::lex::trim(&value[space..])).ok()?;
        let colon = memchr::memchr(b':', &decoded)?;
        let has_control = decoded.iter().any(u8::is_ascii_control);
        let user = str::from_utf8(&decoded[..colon]).ok().filter(|_| !has_control)?;
        Some(Credentials { user: user.to_owned(), password: decoded[colon + 1..].to_vec() })
    }

    /// The name, without colons.
    ///
    /// ```
    /// # use raddle_http::{Header, Headers, semantics::Credentials};
    /// let mut headers = Headers::new();
    /// headers.add(Header::Authorization, "basic YTpi").unwrap();
    /// assert_eq!(Credentials::of(&headers).unwrap().user(), "a");
    /// ```
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password.
    ///
    /// ```
    /// # use raddle_http::{Header, Headers, semantics::Credentials};
    /// let mut headers = Headers::new();
    /// headers.add(Header::Authorization, "basic YTpi").unwrap();
    /// assert_eq!(Credentials::of(&headers).unwrap().password(), b"b");
    /// ```
    pub fn password(&self) -> &[u8] {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    /// Without the password: logs are read by many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Users and their passwords' bcrypt hashes, as `htpasswd -B` writes them.
///
/// Checking a password takes as long as its hash was made to take, some ten milliseconds and more: whoever serves many requests of a
/// user remembers whom it has let in.
///
/// ```
/// use raddle_http::{Header, Headers, semantics::{Credentials, Users, hash_password}};
///
/// let users = Users::parse(&format!("a:{}\n", hash_password("b", 4).unwrap())).unwrap();
/// let mut headers = Headers::new();
/// headers.add(Header::Authorization, "Basic YTpi").unwrap();
/// assert!(users.verify(&Credentials::of(&headers).unwrap()));
/// ```
#[derive(Clone)]
pub struct Users {
    hashes: HashMap<String, String>,
    /// What an unknown user's password is checked against, so that it takes as long.
    decoy: String,
}

/// A line of a password file that is of no use.
///
/// ```
/// use raddle_http::semantics::Users;
/// let error = Users::parse("# users\nann:secret\n").unwrap_err();
/// assert_eq!(error.to_string(), "line 2: no bcrypt hash; make one with `raddle serve --hash-password` or `htpasswd -B`");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUsers {
    line: usize,
    what: &'static str,
}

impl InvalidUsers {
    /// Which line, from 1.
    ///
    /// ```
    /// assert_eq!(raddle_http::semantics::Users::parse("ann").unwrap_err().line(), 1);
    /// ```
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong with it, without the line's number.
    ///
    /// ```
    /// assert_eq!(raddle_http::semantics::Users::parse("ann").unwrap_err().what(), "not user:hash");
    /// ```
    pub fn what(&self) -> &'static str {
        self.what
    }
}

impl fmt::Display for InvalidUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for InvalidUsers {}

/// A hash of the password "": nobody's, and checked all the same. Of cost 10, as `htpasswd` makes them by request.
const DECOY: &str = "$2b$10$abcdefghijklmnopqrstuuZT1pYFvzUiBv7OnZ1lCQ8d1QbnnMZ9W";

impl Users {
    /// Reads the lines of a password file: `user:hash`. Empty lines, and such as begin with `#`, are left out.
    ///
    /// # Errors
    ///
    /// [`InvalidUsers`] at the first line that is neither. Other hashes than bcrypt's are refused: they are too cheap to break.
    ///
    /// ```
    /// # use raddle_http::semantics::Users;
    /// assert!(Users::parse("").is_ok());
    /// ```
    pub fn parse(text: &str) -> Result<Users, InvalidUsers> {
        let mut hashes = HashMap::new();
        let mut decoy = DECOY.to_owned();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let invalid = |what| InvalidUsers { line: at + 1, what };
            let (user, hash) = line.split_once(':').ok_or(invalid("not user:hash"))?;
            if hash.parse::<bcrypt::HashParts>().is_err() {
                return Err(invalid(
                    "no bcrypt hash; make one with `raddle serve --hash-password` or `htpasswd -B`",
                ));
            }
            if hashes.insert(user.to_owned(), hash.to_owned()).is_some() {
                return Err(invalid("a user who was there before"));
            }
            decoy.replace_range(4..6, &hash[4..6]);
        }
        Ok(Users { hashes, decoy })
    }

    /// Whether there is nobody.
    ///
    /// ```
    /// assert!(raddle_http::semantics::Users::parse("# none\n").unwrap().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether the user is one of these, and the password his. Takes as long for a user who is not.
    ///
    /// ```
    /// # use raddle_http::{Header, Headers, semantics::{Credentials, Users, hash_password}};
    /// let users = Users::parse(&format!("a:{}", hash_password("c", 4).unwrap())).unwrap();
    /// let mut headers = Headers::new();
    /// headers.add(Header::Authorization, "Basic YTpi").unwrap();
    /// assert!(!users.verify(&Credentials::of(&headers).unwrap()));
    /// ```
    pub fn verify(&self, credentials: &Credentials) -> bool {
        let hash = self.hashes.get(&credentials.user);
        let is_right = bcrypt::verify(&credentials.password, hash.unwrap_or(&self.decoy));
        hash.is_some() && is_right.unwrap_or(false)
    }
}

impl fmt::Debug for Users {
    /// The names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.hashes.keys()).finish()
    }
}

/// A password's hash, for a password file. `cost` is from 4 to 31: each one more takes twice as long; 10 is about 50 ms.
///
/// # Errors
///
/// `None` if the cost is none, or the password has 72 bytes or more: of longer ones bcrypt would not see the end.
///
/// ```
/// use raddle_http::semantics::hash_password;
/// assert!(hash_password("secret", 4).unwrap().starts_with("$2b$04$"));
/// assert!(hash_password(&"x".repeat(72), 4).is_none());
/// ```
pub fn hash_password(password: &str, cost: u32) -> Option<String> {
    bcrypt::non_truncating_hash(password, cost).ok()
}

/// The value of `WWW-Authenticate` in a 401: RFC 7617 section 2, RFC 9110 section 11.6.1. What can't stand in a quoted string is left out.
///
/// ```
/// use raddle_http::semantics::challenge;
/// assert_eq!(challenge("the \"house\""), "Basic realm=\"the house\", charset=\"UTF-8\"");
/// ```
pub fn challenge(realm: &str) -> String {
    let is_plain = |c: &char| !c.is_control() && !matches!(c, '"' | '\\');
    let realm: String = realm.chars().filter(is_plain).collect();
    format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(value: &str) -> Option<(String, String)> {
        let mut headers = Headers::new();
        headers.add(Header::Authorization, value).unwrap();
        let found = Credentials::of(&headers)?;
        Some((found.user, String::from_utf8(found.password).unwrap()))
    }

    #[test]
    fn credentials_are_read_as_rfc_7617_writes_them() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(credentials("BASIC  YTpiOmM="), pair("a", "b:c"), "a password may hold colons");
        assert_eq!(credentials("Basic dGVzdDoxMjPCow=="), pair("test", "123\u{a3}"));
        assert_eq!(credentials("Basic Og=="), pair("", ""));
        for value in
            ["", "Basic", "Basic ", "Basic YQ==", "Basic YTpi=", "Basic Y", "Bearer YTpi", "YTpi"]
        {
            assert_eq!(credentials(value), None, "{value}");
        }
        assert_eq!(credentials("Basic YToKYg=="), None, "a line feed in the password");
        let mut twice = Headers::new();
        twice.add("Authorization", "Basic YTpi").unwrap();
        twice.add("Authorization", "Basic YTpi").unwrap();
        assert!(Credentials::of(&twice).is_none());
    }

    #[test]
    fn the_right_password_gets_in_and_no_other() {
        let hash = hash_password("open sesame", 4).unwrap();
        let users =
            Users::parse(&format!("\n# c\nAladdin:{}\n", hash.replace("$2b$", "$2y$"))).unwrap();
        let verify = |user: &str, password: &str| {
            users.verify(&Credentials { user: user.into(), password: password.into() })
        };
        assert!(verify("Aladdin", "open sesame"));
        assert!(!verify("Aladdin", "open sesam") && !verify("aladdin", "open sesame"));
        assert!(!verify("nobody", "") && !verify("", ""));
    }

    #[test]
    fn an_unknown_user_costs_as_much() {
        let users = Users::parse(&format!("a:{}", hash_password("b", 5).unwrap())).unwrap();
        let decoy: bcrypt::HashParts = users.decoy.parse().unwrap();
        assert_eq!(decoy.get_cost(), 5);
        assert!(DECOY.parse::<bcrypt::HashParts>().is_ok());
    }

    #[test]
    fn files_with_other_hashes_are_refused() {
        let hash = hash_password("b", 4).unwrap();
        let lines = ["a", "a:b", "a:{SHA}x", "a:$apr1$x$y", "a:$2b$04$short"];
        for line in lines {
            assert_eq!(Users::parse(line).unwrap_err().line(), 1, "{line}");
        }
        assert_eq!(Users::parse(&format!("a:{hash}\na:{hash}")).unwrap_err().line(), 2);
    }

    #[test]
    fn debugging_shows_no_secret() {
        let secret = Credentials { user: "a".into(), password: b"hunter2".to_vec() };
        assert_eq!(format!("{secret:?}"), "Credentials { user: \"a\", .. }");
        let users = Users::parse(&format!("a:{}", hash_password("b", 4).unwrap())).unwrap();
        assert_eq!(format!("{users:?}"), "{\"a\"}");
    }
}
