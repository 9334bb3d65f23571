//! Status codes and their reason phrases. RFC 9110 section 15.

use std::fmt;

/// A response's status: three digits, of which the first is the class.
///
/// ```
/// use raddle_http::Status;
///
/// assert_eq!(Status::NOT_FOUND.code(), 404);
/// assert_eq!(Status::NOT_FOUND.to_string(), "404 Not Found");
/// assert!(Status::NOT_FOUND.is_error());
/// assert_eq!(Status::new(299).unwrap().reason(), "");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

macro_rules! statuses {
    ($($code:literal $name:ident $reason:literal, $source:literal;)*) => {
        impl Status {
            $(
                #[doc = concat!("`", $code, " ", $reason, "`: ", $source, ".")]
                pub const $name: Status = Status($code);
            )*

            /// The phrase that goes with the code; empty if none is registered. Clients ignore it: RFC 9112 section 4.
            ///
            /// ```
            /// assert_eq!(raddle_http::Status::OK.reason(), "OK");
            /// ```
            pub fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "",
                }
            }

            /// The whole status line, for codes that have a phrase: one copy when a response is written.
            pub(crate) fn line(self) -> Option<&'static str> {
                Some(match self.0 {
                    $($code => concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n"),)*
                    _ => return None,
                })
            }
        }
    };
}

statuses! {
    100 CONTINUE "Continue", "RFC 9110 section 15.2.1";
    101 SWITCHING_PROTOCOLS "Switching Protocols", "RFC 9110 section 15.2.2";
    103 EARLY_HINTS "Early Hints", "RFC 8297";
    200 OK "OK", "RFC 9110 section 15.3.1";
    201 CREATED "Created", "RFC 9110 section 15.3.2";
    202 ACCEPTED "Accepted", "RFC 9110 section 15.3.3";
    203 NON_AUTHORITATIVE_INFORMATION "Non-Authoritative Information", "RFC 9110 section 15.3.4";
    204 NO_CONTENT "No Content", "RFC 9110 section 15.3.5";
    205 RESET_CONTENT "Reset Content", "RFC 9110 section 15.3.6";
    206 PARTIAL_CONTENT "Partial Content", "RFC 9110 section 15.3.7";
    300 MULTIPLE_CHOICES "Multiple Choices", "RFC 9110 section 15.4.1";
    301 MOVED_PERMANENTLY "Moved Permanently", "RFC 9110 section 15.4.2";
    302 FOUND "Found", "RFC 9110 section 15.4.3";
    303 SEE_OTHER "See Other", "RFC 9110 section 15.4.4";
    304 NOT_MODIFIED "Not Modified", "RFC 9110 section 15.4.5";
    307 TEMPORARY_REDIRECT "Temporary Redirect", "RFC 9110 section 15.4.8";
    308 PERMANENT_REDIRECT "Permanent Redirect", "RFC 9110 section 15.4.9";
    400 BAD_REQUEST "Bad Request", "RFC 9110 section 15.5.1";
    401 UNAUTHORIZED "Unauthorized", "RFC 9110 section 15.5.2";
    402 PAYMENT_REQUIRED "Payment Required", "RFC 9110 section 15.5.3";
    403 FORBIDDEN "Forbidden", "RFC 9110 section 15.5.4";
    404 NOT_FOUND "Not Found", "RFC 9110 section 15.5.5";
    405 METHOD_NOT_ALLOWED "Method Not Allowed", "RFC 9110 section 15.5.6";
    406 NOT_ACCEPTABLE "Not Acceptable", "RFC 9110 section 15.5.7";
    407 PROXY_AUTHENTICATION_REQUIRED "Proxy Authentication Required", "RFC 9110 section 15.5.8";
    408 REQUEST_TIMEOUT "Request Timeout", "RFC 9110 section 15.5.9";
    409 CONFLICT "Conflict", "RFC 9110 section 15.5.10";
    410 GONE "Gone", "RFC 9110 section 15.5.11";
    411 LENGTH_REQUIRED "Length Required", "RFC 9110 section 15.5.12";
    412 PRECONDITION_FAILED "Precondition Failed", "RFC 9110 section 15.5.13";
    413 CONTENT_TOO_LARGE "Content Too Large", "RFC 9110 section 15.5.14";
    414 URI_TOO_LONG "URI Too Long", "RFC 9110 section 15.5.15";
    415 UNSUPPORTED_MEDIA_TYPE "Unsupported Media Type", "RFC 9110 section 15.5.16";
    416 RANGE_NOT_SATISFIABLE "Range Not Satisfiable", "RFC 9110 section 15.5.17";
    417 EXPECTATION_FAILED "Expectation Failed", "RFC 9110 section 15.5.18";
    421 MISDIRECTED_REQUEST "Misdirected Request", "RFC 9110 section 15.5.20";
    422 UNPROCESSABLE_CONTENT "Unprocessable Content", "RFC 9110 section 15.5.21";
    426 UPGRADE_REQUIRED "Upgrade Required", "RFC 9110 section 15.5.22";
    428 PRECONDITION_REQUIRED "Precondition Required", "RFC 6585";
    429 TOO_MANY_REQUESTS "Too Many Requests", "RFC 6585";
    431 REQUEST_HEADER_FIELDS_TOO_LARGE "Request Header Fields Too Large", "RFC 6585";
    451 UNAVAILABLE_FOR_LEGAL_REASONS "Unavailable For Legal Reasons", "RFC 7725";
    500 INTERNAL_SERVER_ERROR "Internal Server Error", "RFC 9110 section 15.6.1";
    501 NOT_IMPLEMENTED "Not Implemented", "RFC 9110 section 15.6.2";
    502 BAD_GATEWAY "Bad Gateway", "RFC 9110 section 15.6.3";
    503 SERVICE_UNAVAILABLE "Service Unavailable", "RFC 9110 section 15.6.4";
    504 GATEWAY_TIMEOUT "Gateway Timeout", "RFC 9110 section 15.6.5";
    505 HTTP_VERSION_NOT_SUPPORTED "HTTP Version Not Supported", "RFC 9110 section 15.6.6";
    511 NETWORK_AUTHENTICATION_REQUIRED "Network Authentication Required", "RFC 6585";
}

impl Status {
    /// The status of that code; `None` unless it is from 100 to 599.
    ///
    /// ```
    /// use raddle_http::Status;
    /// assert_eq!(Status::new(200), Some(Status::OK));
    /// assert_eq!(Status::new(600), None);
    /// ```
    pub const fn new(code: u16) -> Option<Status> {
        if code >= 100 && code <= 599 { Some(Status(code)) } else { None }
    }

    /// The three digits.
    ///
    /// ```
    /// assert_eq!(raddle_http::Status::CREATED.code(), 201);
    /// ```
    pub const fn code(self) -> u16 {
        self.0
    }

    /// 1xx: more will follow. RFC 9110 section 15.2.
    ///
    /// ```
    /// assert!(raddle_http::Status::CONTINUE.is_informational());
    /// ```
    pub const fn is_informational(self) -> bool {
        self.0 < 200
    }

    /// 2xx. RFC 9110 section 15.3.
    ///
    /// ```
    /// assert!(raddle_http::Status::NO_CONTENT.is_success());
    /// ```
    pub const fn is_success(self) -> bool {
        self.0 >= 200 && self.0 < 300
    }

    /// 3xx. RFC 9110 section 15.4.
    ///
    /// ```
    /// assert!(raddle_http::Status::SEE_OTHER.is_redirection());
    /// ```
    pub const fn is_redirection(self) -> bool {
        self.0 >= 300 && self.0 < 400
    }

    /// 4xx and 5xx. RFC 9110 sections 15.5 and 15.6.
    ///
    /// ```
    /// assert!(raddle_http::Status::FORBIDDEN.is_error());
    /// ```
    pub const fn is_error(self) -> bool {
        self.0 >= 400
    }

    /// Whether a response of this status never has content, whatever was asked: 1xx, 204, 304. RFC 9112 section 6.3.
    ///
    /// ```
    /// use raddle_http::Status;
    /// assert!(Status::NOT_MODIFIED.is_bodiless() && !Status::RESET_CONTENT.is_bodiless());
    /// ```
    pub const fn is_bodiless(self) -> bool {
        self.0 < 200 || self.0 == 204 || self.0 == 304
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            "" => write!(f, "{}", self.0),
            reason => write!(f, "{} {reason}", self.0),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
