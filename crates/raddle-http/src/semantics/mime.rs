//! Which media type a file has, by its name. RFC 9110 section 8.3.

use std::path::Path;

/// The value of `Content-Type` for a file of that name: by its extension, in UTF-8 if it is text. `application/octet-stream` if nobody
/// knows.
///
/// ```
/// use raddle_http::semantics::content_type;
///
/// assert_eq!(content_type("index.html"), "text/html; charset=utf-8");
/// assert_eq!(content_type("photo.JPG"), "image/jpeg");
/// assert_eq!(content_type("Makefile"), "application/octet-stream");
/// ```
pub fn content_type(name: impl AsRef<Path>) -> &'static str {
    let guess = mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream");
    match guess {
        "text/html" => "text/html; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        "text/csv" => "text/csv; charset=utf-8",
        "text/markdown" => "text/markdown; charset=utf-8",
        "text/xml" => "text/xml; charset=utf-8",
        // RFC 9239 has made the other names of JavaScript obsolete.
        "text/javascript" | "application/javascript" | "application/x-javascript" => {
            "text/javascript; charset=utf-8"
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_site_consists_of_is_known() {
        let rows = [
            ("a.htm", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
            ("a.mp4", "video/mp4"),
            ("a.webm", "video/webm"),
            ("a.pdf", "application/pdf"),
            ("a.tar.gz", "application/gzip"),
            ("a.unheard-of", "application/octet-stream"),
            (".html", "application/octet-stream"),
        ];
        for (name, expected) in rows {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }
}
