//! What is asked for: a request, made once as bytes.

use crate::place::Place;
use crate::url::Url;
use raddle_http::Method;
use std::fmt::Write;
use std::sync::Arc;

/// A request that is sent again and again, as these bytes.
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) method: Method,
    pub(crate) place: Arc<Place>,
    pub(crate) weight: u32,
    pub(crate) name: String,
}

/// What a request says beside its URL.
///
/// ```
/// use raddle_http::Method;
/// use raddle_load::Ask;
/// let ask = Ask { method: Method::Post, body: b"x".to_vec(), ..Ask::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// Fields. They go before those that are sent by themselves: `Host`, `User-Agent`, `Accept`, `Content-Length`, `Connection`.
    pub fields: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
    /// Whether the server is told that this is the connection's only request.
    pub closes: bool,
}

impl Default for Ask {
    fn default() -> Ask {
        Ask { method: Method::Get, fields: Vec::new(), body: Vec::new(), closes: false }
    }
}

impl Target {
    /// A request for `url`, to be sent to `place`.
    ///
    /// ```
    /// use raddle_load::{Ask, Detour, Place, Target, Url};
    /// use std::sync::Arc;
    /// let url: Url = "http://127.0.0.1:1/a".parse()?;
    /// let place = Arc::new(Place::of(&url, &Detour::default(), None)?);
    /// let target = Target::new(&url, place, &Ask::default());
    /// assert!(target.bytes().starts_with(b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(url: &Url, place: Arc<Place>, ask: &Ask) -> Target {
        let mut head = format!("{} {} HTTP/1.1\r\n", ask.method, url.target());
        let has = |name: &str| ask.fields.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut field = |name: &str, value: &str| {
            _ = write!(head, "{name}: {value}\r\n");
        };
        if !has("Host") {
            field("Host", &url.authority());
        }
        if !has("User-Agent") {
            field("User-Agent", concat!("raddle/", env!("CARGO_PKG_VERSION")));
        }
        if !has("Accept") {
            field("Accept", "*/*");
        }
        // RFC 9110 section 8.6: also for no content, where the method suggests some.
        let suggests = matches!(ask.method, Method::Post | Method::Put | Method::Patch);
        if !has("Content-Length") && (suggests || !ask.body.is_empty()) {
            field("Content-Length", &ask.body.len().to_string());
        }
        if ask.closes && !has("Connection") {
            field("Connection", "close");
        }
        for (name, value) in &ask.fields {
            field(name, value);
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&ask.body);
        Target {
            bytes: bytes.into_boxed_slice(),
            method: ask.method,
            place,
            weight: 1,
            name: url.to_string(),
        }
    }

    /// The same, asked for so often beside others.
    #[must_use]
    pub fn weighing(self, weight: u32) -> Target {
        Target { weight, ..self }
    }

    /// How often it is asked for beside others.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
