//! From plain HTTP to TLS.

use crate::request::Request;
use crate::response::Response;
use crate::status::Status;

/// A handler that leads each request to the same address with `https`, on this port: 308, so that methods stay what they are.
///
/// ```
/// use raddle_http::{server::Server, tls};
/// let server = Server::new().otherwise(tls::redirect(8443)).bind("127.0.0.1:0")?;
/// # std::io::Result::Ok(())
/// ```
pub fn redirect(port: u16) -> impl Fn(&mut Request<'_>) -> Response + Send + Sync + 'static {
    move |request| {
        let host = request.head().host().map(without_port).unwrap_or_default();
        if host.is_empty() {
            // HTTP/1.0 need not say it.
            let text =
                "This address leads to https://, and the request does not say to which host\n";
            return Response::text(text).with_status(Status::BAD_REQUEST);
        }
        let path = request.path();
        let (mark, query) = request.query().map_or(("", ""), |query| ("?", query));
        let location = match port {
            443 => format!("https://{host}{path}{mark}{query}"),
            port => format!("https://{host}:{port}{path}{mark}{query}"),
        };
        Response::redirect(Status::PERMANENT_REDIRECT, &location)
    }
}

/// `[::1]:80` is an address and a port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_what_follows_the_address() {
        for (host, expected) in
            [("a", "a"), ("a:80", "a"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]"), ("a:", "a")]
        {
            assert_eq!(without_port(host), expected);
        }
    }
}
