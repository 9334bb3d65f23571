//! What can be wrong with a request: each way by name, with the status that answers it and the section that says so.

use crate::status::Status;
use std::fmt;

macro_rules! faults {
    ($($variant:ident $status:ident $section:literal $text:literal;)*) => {
        /// Why a request is refused. The connection is closed after the answer, always: where a request ends, and the next one
        /// begins, is in doubt, or the client has left the protocol.
        ///
        /// ```
        /// use raddle_http::{Status, protocol::Fault};
        ///
        /// assert_eq!(Fault::NoHost.status(), Status::BAD_REQUEST);
        /// assert_eq!(Fault::NoHost.to_string(), "no Host field");
        /// assert_eq!(Fault::NoHost.section(), "RFC 9112 3.2");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fault {
            $(
                #[doc = concat!($text, ": [`", stringify!($status), "`](Status::", stringify!($status), "), ", $section, ".")]
                $variant,
            )*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Fault] = &[$(Fault::$variant,)*];

            /// The status that answers it.
            ///
            /// ```
            /// use raddle_http::{Status, protocol::Fault};
            /// assert_eq!(Fault::TargetTooLong.status(), Status::URI_TOO_LONG);
            /// ```
            pub fn status(self) -> Status {
                match self {
                    $(Fault::$variant => Status::$status,)*
                }
            }

            /// Where the rule stands that the request breaks.
            ///
            /// ```
            /// assert_eq!(raddle_http::protocol::Fault::ObsFold.section(), "RFC 9112 5.2");
            /// ```
            pub fn section(self) -> &'static str {
                match self {
                    $(Fault::$variant => $section,)*
                }
            }
        }

        impl fmt::Display for Fault {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Fault::$variant => $text,)*
                })
            }
        }
    };
}

faults! {
    NotHttp BAD_REQUEST "RFC 9112 3" "this is no HTTP";
    BareLf BAD_REQUEST "RFC 9112 2.2" "a line ends without a carriage return";
    BareCr BAD_REQUEST "RFC 9112 2.2" "a carriage return within a line";
    RequestLine BAD_REQUEST "RFC 9112 3" "the request line is malformed";
    MethodTooLong NOT_IMPLEMENTED "RFC 9112 3" "the method's name is longer than any known one";
    TargetTooLong URI_TOO_LONG "RFC 9112 3" "the target is too long";
    BadTarget BAD_REQUEST "RFC 9112 3.2" "the target is malformed";
    BadScheme BAD_REQUEST "RFC 9112 3.2.2" "the target's scheme is neither http nor https";
    Misdirected MISDIRECTED_REQUEST "RFC 9110 7.4" "an https target on a connection without TLS";
    BadVersion HTTP_VERSION_NOT_SUPPORTED "RFC 9110 15.6.6" "only HTTP/1.0 and HTTP/1.1 are spoken here";
    ObsFold BAD_REQUEST "RFC 9112 5.2" "a line begins with white space";
    SpaceBeforeColon BAD_REQUEST "RFC 9112 5.1" "white space between a field's name and its colon";
    BadFieldName BAD_REQUEST "RFC 9110 5.1" "a field's name is malformed";
    BadFieldValue BAD_REQUEST "RFC 9110 5.5" "a control character in a field's value";
    TooManyFields REQUEST_HEADER_FIELDS_TOO_LARGE "RFC 6585 5" "too many fields";
    HeadTooLarge REQUEST_HEADER_FIELDS_TOO_LARGE "RFC 6585 5" "the fields are too large";
    NoHost BAD_REQUEST "RFC 9112 3.2" "no Host field";
    TwoHosts BAD_REQUEST "RFC 9112 3.2" "more than one Host field";
    BadHost BAD_REQUEST "RFC 9112 3.2" "the Host field is malformed";
    BadLength BAD_REQUEST "RFC 9112 6.3" "the Content-Length is malformed";
    TwoLengths BAD_REQUEST "RFC 9112 6.3" "more than one Content-Length";
    LengthAndCoding BAD_REQUEST "RFC 9112 6.3" "both Content-Length and Transfer-Encoding";
    CodingIn10 BAD_REQUEST "RFC 9112 6.1" "a Transfer-Encoding in HTTP/1.0";
    BadCoding BAD_REQUEST "RFC 9112 6.3" "the last transfer coding is not chunked";
    UnknownCoding NOT_IMPLEMENTED "RFC 9112 6.1" "a transfer coding other than chunked";
    BadExpectation EXPECTATION_FAILED "RFC 9110 10.1.1" "an expectation other than 100-continue";
    ContentTooLarge CONTENT_TOO_LARGE "RFC 9110 15.5.14" "the content is too large";
    BadChunkSize BAD_REQUEST "RFC 9112 7.1" "a chunk's size is malformed";
    BadChunkExtension BAD_REQUEST "RFC 9112 7.1.1" "a chunk's extension is malformed";
    ExtensionsTooLarge BAD_REQUEST "RFC 9112 7.1.1" "the chunks' extensions are too large";
    BadChunkEnd BAD_REQUEST "RFC 9112 7.1" "a chunk is longer than its size";
    IncompleteHead BAD_REQUEST "RFC 9112 8" "the request ends within its head";
    IncompleteBody BAD_REQUEST "RFC 9112 8" "the request ends within its content";
}

impl std::error::Error for Fault {}
