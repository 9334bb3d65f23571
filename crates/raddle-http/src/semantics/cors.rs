//! Cross-origin requests: which other sites' pages may read a response. The Fetch standard, section 3.3 ("CORS protocol").

use crate::header::Header;
use crate::headers::{Headers, InvalidField};
use crate::lex;
use crate::method::Method;
use std::fmt;

/// Who may read what.
///
/// ```
/// use raddle_http::{Header, Headers, Method, semantics::{Cors, CorsVerdict}};
///
/// let cors = Cors::for_origins(["https://a.example"])?.with_methods(&[Method::Get, Method::Put]);
/// let mut request = Headers::new();
/// request.add(Header::Origin, "https://a.example")?;
/// let mut response = Headers::new();
/// assert_eq!(cors.decide(Method::Get, &request, &mut response), CorsVerdict::Allowed);
/// assert_eq!(response.get(Header::AccessControlAllowOrigin), Some(&b"https://a.example"[..]));
/// assert_eq!(response.get(Header::Vary), Some(&b"Origin"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cors {
    /// None for all of them.
    origins: Option<Vec<String>>,
    methods: String,
    allowed: Allowed,
    exposed: String,
    with_credentials: bool,
    max_age_s: Option<u32>,
}

/// Which fields a preflight request may ask for.
#[derive(Clone, Debug)]
enum Allowed {
    All,
    Some(String),
}

/// What a request is, with regard to its origin.
///
/// ```
/// use raddle_http::semantics::CorsVerdict;
/// assert_ne!(CorsVerdict::Allowed, CorsVerdict::Preflight);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorsVerdict {
    /// It has no origin: it is no page's, or one of the same site. Serve it.
    NotCors,
    /// Serve it; the page may read the response.
    Allowed,
    /// Serve it; the browser keeps the response from the page. Refusing it would protect nothing: section 3.3.2 leaves that to browsers.
    Denied,
    /// It only asks what it may: answer 204, and the fields say it.
    Preflight,
}

/// A policy that browsers would not honour, or that would give every site what its users may see.
///
/// ```
/// use raddle_http::semantics::Cors;
/// assert!(Cors::for_any_origin().with_credentials().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCors;

impl fmt::Display for InvalidCors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an origin is scheme://host[:port], a field's name a token, and credentials need named origins")
    }
}

impl std::error::Error for InvalidCors {}

impl From<InvalidField> for InvalidCors {
    fn from(_: InvalidField) -> InvalidCors {
        InvalidCors
    }
}

impl Cors {
    fn new(origins: Option<Vec<String>>) -> Cors {
        Cors {
            origins,
            methods: "GET, HEAD, POST".to_owned(),
            allowed: Allowed::Some(String::new()),
            exposed: String::new(),
            with_credentials: false,
            max_age_s: None,
        }
    }

    /// Every page may read: for what is public anyway.
    ///
    /// ```
    /// # use raddle_http::{Header, Headers, Method, semantics::Cors};
    /// let mut request = Headers::new();
    /// request.add(Header::Origin, "https://a.example").unwrap();
    /// let mut response = Headers::new();
    /// Cors::for_any_origin().decide(Method::Get, &request, &mut response);
    /// assert_eq!(response.get(Header::AccessControlAllowOrigin), Some(&b"*"[..]));
    /// ```
    pub fn for_any_origin() -> Cors {
        Cors::new(None)
    }

    /// Pages of these origins may read. An origin is compared as browsers write it: in lower case, without a slash at the end.
    ///
    /// # Errors
    ///
    /// [`InvalidCors`] if one is no origin; `null`, which any sandboxed page has, is none.
    ///
    /// ```
    /// # use raddle_http::semantics::Cors;
    /// assert!(Cors::for_origins(["https://a.example:8443", "http://localhost"]).is_ok());
    /// assert!(Cors::for_origins(["a.example"]).is_err() && Cors::for_origins(["https://a/"]).is_err());
    /// ```
    pub fn for_origins<'a>(
        origins: impl IntoIterator<Item = &'a str>,
    ) -> Result<Cors, InvalidCors> {
        let checked = origins.into_iter().map(|origin| {
            let (scheme, host) = origin.split_once("://").ok_or(InvalidCors)?;
            let is_plain = |byte: u8| matches!(byte, b'!'..=b'~') && byte != b'/' && byte != b',';
            let is_origin = !scheme.is_empty()
                && !host.is_empty()
                && scheme.bytes().chain(host.bytes()).all(is_plain);
            is_origin.then(|| origin.to_ascii_lowercase()).ok_or(InvalidCors)
        });
        Ok(Cors::new(Some(checked.collect::<Result<_, _>>()?)))
    }

    /// These methods may be used, instead of GET, HEAD and POST.
    ///
    /// ```
    /// # use raddle_http::{Method, semantics::Cors};
    /// let cors = Cors::for_any_origin().with_methods(&[Method::Delete]);
    /// ```
    pub fn with_methods(self, methods: &[Method]) -> Cors {
        Cors { methods: Method::list(methods), ..self }
    }

    /// These fields may be sent, beside the few that always may; `*` for all.
    ///
    /// # Errors
    ///
    /// [`InvalidCors`] if one is no field's name.
    ///
    /// ```
    /// # use raddle_http::semantics::Cors;
    /// assert!(Cors::for_any_origin().with_headers(["Content-Type", "X-Token"]).is_ok());
    /// assert!(Cors::for_any_origin().with_headers(["X Token"]).is_err());
    /// ```
    pub fn with_headers<'a>(
        self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Cors, InvalidCors> {
        let names = joined(names)?;
        let allowed = if names == "*" { Allowed::All } else { Allowed::Some(names) };
        Ok(Cors { allowed, ..self })
    }

    /// These fields of a response may be read, beside the few that always may.
    ///
    /// # Errors
    ///
    /// [`InvalidCors`] if one is no field's name.
    ///
    /// ```
    /// # use raddle_http::semantics::Cors;
    /// assert!(Cors::for_any_origin().exposing(["ETag", "Content-Range"]).is_ok());
    /// ```
    pub fn exposing<'a>(
        self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Cors, InvalidCors> {
        Ok(Cors { exposed: joined(names)?, ..self })
    }

    /// Requests may carry cookies and passwords.
    ///
    /// # Errors
    ///
    /// [`InvalidCors`] if every origin is allowed: then every site could read what this one shows its users.
    ///
    /// ```
    /// # use raddle_http::semantics::Cors;
    /// assert!(Cors::for_origins(["https://a.example"]).unwrap().with_credentials().is_ok());
    /// ```
    pub fn with_credentials(self) -> Result<Cors, InvalidCors> {
        match self.origins {
            Some(_) => Ok(Cors { with_credentials: true, ..self }),
            None => Err(InvalidCors),
        }
    }

    /// Browsers may remember a preflight's answer for so many seconds.
    ///
    /// ```
    /// # use raddle_http::semantics::Cors;
    /// let cors = Cors::for_any_origin().with_max_age(600);
    /// ```
    pub fn with_max_age(self, seconds: u32) -> Cors {
        Cors { max_age_s: Some(seconds), ..self }
    }

    /// Decides about a request, and adds to the response what the browser has to know.
    ///
    /// ```
    /// use raddle_http::{Header, Headers, Method, semantics::{Cors, CorsVerdict}};
    ///
    /// let mut request = Headers::new();
    /// request.add(Header::Origin, "https://a.example").unwrap();
    /// request.add(Header::AccessControlRequestMethod, "GET").unwrap();
    /// let mut response = Headers::new();
    /// let verdict = Cors::for_any_origin().decide(Method::Options, &request, &mut response);
    /// assert_eq!(verdict, CorsVerdict::Preflight);
    /// assert_eq!(response.get(Header::AccessControlAllowMethods), Some(&b"GET, HEAD, POST"[..]));
    /// ```
    pub fn decide(&self, method: Method, request: &Headers, response: &mut Headers) -> CorsVerdict {
        let mut add = |header: Header, value: &[u8]| {
            response
                .add(header, value)
                .expect("checked when the policy was made, or by the parser");
        };
        let is_preflight =
            method == Method::Options && request.contains(Header::AccessControlRequestMethod);
        // Caches must tell origins apart as soon as the answer depends on them, also if there is none.
        if self.origins.is_some() {
            add(Header::Vary, b"Origin");
        }
        let Some(origin) = request.get(Header::Origin) else { return CorsVerdict::NotCors };
        let is_allowed = self.origins.as_ref().is_none_or(|origins| {
            origins.iter().any(|one| origin.eq_ignore_ascii_case(one.as_bytes()))
        });
        if !is_allowed {
            return if is_preflight { CorsVerdict::Preflight } else { CorsVerdict::Denied };
        }
        let echoed = if self.origins.is_some() { origin } else { b"*" };
        add(Header::AccessControlAllowOrigin, echoed);
        if self.with_credentials {
            add(Header::AccessControlAllowCredentials, b"true");
        }
        if !is_preflight {
            if !self.exposed.is_empty() {
                add(Header::AccessControlExposeHeaders, self.exposed.as_bytes());
            }
            return CorsVerdict::Allowed;
        }
        add(Header::AccessControlAllowMethods, self.methods.as_bytes());
        match &self.allowed {
            Allowed::Some(names) if names.is_empty() => {}
            Allowed::Some(names) => add(Header::AccessControlAllowHeaders, names.as_bytes()),
            // `*` does not count with credentials, nor ever for Authorization: so what was asked for is repeated.
            Allowed::All => {
                if let Some(asked) = request.get(Header::AccessControlRequestHeaders) {
                    add(Header::AccessControlAllowHeaders, asked);
                    add(Header::Vary, b"Access-Control-Request-Headers");
                }
            }
        }
        if let Some(seconds) = self.max_age_s {
            add(Header::AccessControlMaxAge, seconds.to_string().as_bytes());
        }
        CorsVerdict::Preflight
    }
}

fn joined<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String, InvalidCors> {
    let names: Vec<&str> = names.into_iter().collect();
    let are_tokens = names.iter().all(|name| lex::is_token(name.as_bytes()));
    are_tokens.then(|| names.join(", ")).ok_or(InvalidCors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(cors: &Cors, method: Method, fields: &[(&str, &str)]) -> (CorsVerdict, String) {
        let mut request = Headers::new();
        fields.iter().for_each(|(name, value)| request.add(*name, value).unwrap());
        let mut response = Headers::new();
        let verdict = cors.decide(method, &request, &mut response);
        let field = |(name, value): (&str, &[u8])| format!("{name}: {}\n", value.escape_ascii());
        (verdict, response.iter().map(field).collect())
    }

    #[test]
    fn pages_read_what_the_policy_says() {
        use CorsVerdict::*;
        let named = Cors::for_origins(["https://A.example"]).unwrap();
        let named = named.with_credentials().unwrap().exposing(["ETag"]).unwrap();
        let vary = "Vary: Origin\n".to_owned();
        assert_eq!(decide(&named, Method::Get, &[]), (NotCors, vary.clone()));
        assert_eq!(decide(&named, Method::Get, &[("Origin", "null")]), (Denied, vary.clone()));
        let other = [("Origin", "https://a.example.org")];
        assert_eq!(decide(&named, Method::Put, &other), (Denied, vary.clone()));
        let ours = decide(&named, Method::Get, &[("Origin", "https://a.example")]);
        let fields = "Access-Control-Allow-Origin: https://a.example\nAccess-Control-Allow-Credentials: true\nAccess-Control-Expose-Headers: ETag\n";
        assert_eq!(ours, (Allowed, vary + fields));
        let any = Cors::for_any_origin();
        let fields = "Access-Control-Allow-Origin: *\n".to_owned();
        assert_eq!(decide(&any, Method::Get, &[("Origin", "null")]), (Allowed, fields));
        assert_eq!(decide(&any, Method::Get, &[]), (NotCors, String::new()));
    }

    #[test]
    fn preflights_learn_what_they_may() {
        let asks = [
            ("Origin", "https://a"),
            ("Access-Control-Request-Method", "PUT"),
            ("Access-Control-Request-Headers", "authorization,x"),
        ];
        let cors = Cors::for_any_origin()
            .with_methods(&[Method::Put])
            .with_headers(["*"])
            .unwrap()
            .with_max_age(60);
        let (verdict, fields) = decide(&cors, Method::Options, &asks);
        assert_eq!(verdict, CorsVerdict::Preflight);
        assert_eq!(
            fields,
            "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Methods: PUT\n\
             Access-Control-Allow-Headers: authorization,x\nVary: Access-Control-Request-Headers\n\
             Access-Control-Max-Age: 60\n"
        );
        let other = Cors::for_origins(["https://b"]).unwrap();
        let denied = decide(&other, Method::Options, &asks);
        assert_eq!(denied, (CorsVerdict::Preflight, "Vary: Origin\n".to_owned()));
        let plain = decide(&cors, Method::Options, &asks[..1]);
        assert_eq!(plain.0, CorsVerdict::Allowed, "OPTIONS by itself is no preflight");
    }
}
