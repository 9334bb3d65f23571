//! Request lines, targets, and hosts.

use super::{bad, bare, get, hello, last_hello, raw, refused, row, text};
use crate::Row;

const LINE: &str = "the request line is malformed";
const TARGET: &str = "the target is malformed";
const HOST: &str = "the Host field is malformed";
const VERSION: &str = "only HTTP/1.0 and HTTP/1.1 are spoken here";

pub(super) fn rows() -> Vec<Row> {
    let not_implemented = bare("501 Not Implemented");
    let options =
        raw("HTTP/1.1 204 No Content\r\n{DATE}Allow: GET, HEAD, OPTIONS, POST, PUT\r\n\r\n");
    let not_allowed = raw(
        "HTTP/1.1 405 Method Not Allowed\r\n{DATE}Allow: GET, HEAD, OPTIONS, POST, PUT\r\nContent-Length: 0\r\n\r\n",
    );
    let long = |count: usize| get(&format!("/{}", "x".repeat(count - 1)), "");
    vec![
        // RFC 9112 section 2.
        row("9112 2.1", "a request is answered", get("/", ""), hello()),
        row(
            "9112 2.2",
            "empty lines before a request are ignored",
            format!("\r\n\r\n{}", get("/", "")),
            hello(),
        ),
        row(
            "9112 2.2",
            "a line that ends with LF alone is refused",
            "GET / HTTP/1.1\nHost: a\n\n",
            bad("a line ends without a carriage return"),
        ),
        row(
            "9112 2.2",
            "an empty line of LF alone is refused",
            "\nGET / HTTP/1.1\r\n",
            bad("a line ends without a carriage return"),
        ),
        row(
            "9112 2.2",
            "a field line that ends with LF alone is refused",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            bad("a line ends without a carriage return"),
        ),
        row(
            "9112 2.2",
            "an end of LF alone is refused",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            bad("a line ends without a carriage return"),
        ),
        row(
            "9112 2.2",
            "a CR within the request line is refused",
            "GET /\rb HTTP/1.1\r\nHost: a\r\n\r\n",
            bad("a carriage return within a line"),
        ),
        row(
            "9112 2.2",
            "a CR at the beginning is refused",
            "\rGET / HTTP/1.1\r\n",
            bad("a carriage return within a line"),
        ),
        row(
            "9112 2.2",
            "white space between request line and fields is refused",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            bad("a line begins with white space"),
        ),
        row(
            "9112 2.2",
            "what is no HTTP is refused at its first byte",
            b"\x16\x03\x01\x02\x00",
            bad("this is no HTTP"),
        ),
        row(
            "9110 2.5",
            "a higher minor version counts as 1.1",
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            hello(),
        ),
        row(
            "9110 2.5",
            "1.9 as well, and what it demands",
            "GET / HTTP/1.9\r\n\r\n",
            bad("no Host field"),
        ),
        row(
            "9110 2.5",
            "an answer has the server's version",
            "GET / HTTP/1.0\r\n\r\n",
            last_hello(),
        ),
        row(
            "9110 15.6.6",
            "another major version is refused with 505",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            refused("505 HTTP Version Not Supported", VERSION),
        ),
        row(
            "9110 15.6.6",
            "HTTP/0.9 by name as well",
            "GET / HTTP/0.9\r\n\r\n",
            refused("505 HTTP Version Not Supported", VERSION),
        ),
        row(
            "9113 3.4",
            "the preface of HTTP/2 as well",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            refused("505 HTTP Version Not Supported", VERSION),
        ),
        row(
            "9112 2.3",
            "the version is case-sensitive",
            "GET / http/1.1\r\nHost: a\r\n\r\n",
            bad(LINE),
        ),
        row(
            "9112 2.3",
            "a version has two digits",
            "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
            bad(LINE),
        ),
        row(
            "9112 2.3",
            "a version of one digit is none",
            "GET / HTTP/1\r\nHost: a\r\n\r\n",
            bad(LINE),
        ),
        // Section 3.
        row(
            "9112 3",
            "a request line without version is refused",
            "GET /\r\nHost: a\r\n\r\n",
            bad(LINE),
        ),
        row("9112 3", "a request line of one word is refused", "GET\r\nHost: a\r\n\r\n", bad(LINE)),
        row(
            "9112 3",
            "two spaces before the target are refused",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            bad(LINE),
        ),
        row(
            "9112 3",
            "two spaces before the version are refused",
            "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            bad(LINE),
        ),
        row(
            "9112 3",
            "a tab for a space is refused",
            "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
            bad(LINE),
        ),
        row(
            "9112 3",
            "white space behind the version is refused",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            bad(LINE),
        ),
        row(
            "9112 3",
            "white space within the target is refused",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            bad(LINE),
        ),
        row(
            "9112 3",
            "a control character in the target is refused",
            "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
            bad(LINE),
        ),
        row("9112 3.1", "a method is a token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", bad(LINE)),
        row(
            "9112 3.1",
            "a method is case-sensitive",
            "get / HTTP/1.1\r\nHost: a\r\n\r\n",
            not_implemented.clone(),
        ),
        row(
            "9110 9.1",
            "an unknown method is answered with 501",
            "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
            not_implemented.clone(),
        ),
        row(
            "9112 3",
            "a method longer than any known is answered with 501",
            format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(23)),
            refused("501 Not Implemented", "the method's name is longer than any known one"),
        ),
        row(
            "9110 9.1",
            "a known method that is not allowed is answered with 405 and Allow",
            "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
            not_allowed.clone(),
        ),
        row("9112 3", "a target of the allowed length is served", long(100), bare("404 Not Found")),
        row(
            "9112 3",
            "a longer target is answered with 414",
            long(101),
            refused("414 URI Too Long", "the target is too long"),
        ),
        row(
            "9112 3",
            "a target without end is answered with 414",
            "GET /".to_owned() + &"x".repeat(1000),
            refused("414 URI Too Long", "the target is too long"),
        ),
        // Section 3.2.
        row(
            "9112 3.2",
            "a request of 1.1 without Host is refused",
            "GET / HTTP/1.1\r\n\r\n",
            bad("no Host field"),
        ),
        row(
            "9112 3.2",
            "two Host fields are refused",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            bad("more than one Host field"),
        ),
        row(
            "9112 3.2",
            "two Host fields are refused in 1.0, too",
            "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n",
            bad("more than one Host field"),
        ),
        row(
            "9112 3.2",
            "a list of hosts is no host",
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            bad(HOST),
        ),
        row(
            "9112 3.2",
            "a Host with a path is refused",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            bad(HOST),
        ),
        row(
            "9112 3.2",
            "a Host with a user is refused",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            bad(HOST),
        ),
        row(
            "9112 3.2",
            "a Host with two ports is refused",
            "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
            bad(HOST),
        ),
        row(
            "9112 3.2",
            "a Host with a port too large is refused",
            "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
            bad(HOST),
        ),
        row(
            "9112 3.2",
            "a Host may be empty",
            "GET /where HTTP/1.1\r\nHost:\r\n\r\n",
            text("/where  /where -"),
        ),
        row(
            "9112 3.2",
            "a Host may be an IPv6 address",
            "GET /where HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            text("/where [::1]:80 /where -"),
        ),
        row(
            "9112 3.2",
            "a malformed IPv6 address is refused",
            "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
            bad(HOST),
        ),
        row(
            "9112 3.2.1",
            "the query is what follows the first question mark",
            get("/where?a?b", ""),
            text("/where?a?b a /where a?b"),
        ),
        row("9112 3.2.1", "a path begins with a slash", get("where", ""), bad(TARGET)),
        row("9110 4.1", "a fragment is never sent", get("/where#a", ""), bad(TARGET)),
        row("9110 4.1", "a target is ASCII", get("/\u{e9}", ""), bad(TARGET)),
        row(
            "9112 3.2.2",
            "the absolute form is accepted",
            get("http://a/where", ""),
            text("http://a/where a /where -"),
        ),
        row(
            "9112 3.2.2",
            "its host counts, the Host field does not",
            get("http://b:81/where?c", ""),
            text("http://b:81/where?c b:81 /where c"),
        ),
        row(
            "9112 3.2.2",
            "a Host must be there all the same",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            bad("no Host field"),
        ),
        row("9110 4.2.3", "an empty path is that of the root", get("http://a", ""), hello()),
        row("9110 4.2.3", "a scheme is case-insensitive", get("HTTP://a/", ""), hello()),
        row("9110 4.2.1", "an empty host is refused", get("http:///", ""), bad(TARGET)),
        row("9110 4.2.4", "a user in a target is refused", get("http://u@a/", ""), bad(TARGET)),
        row(
            "9112 3.2.2",
            "another scheme is refused",
            get("ftp://a/", ""),
            bad("the target's scheme is neither http nor https"),
        ),
        row(
            "9110 7.4",
            "https is refused where there is no TLS",
            get("https://a/", ""),
            refused("421 Misdirected Request", "an https target on a connection without TLS"),
        ),
        row(
            "9112 3.2.3",
            "the authority form goes with CONNECT only",
            get("a:80", ""),
            bad(TARGET),
        ),
        row(
            "9112 3.2.3",
            "CONNECT takes the authority form",
            "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
            not_allowed.clone(),
        ),
        row(
            "9112 3.2.3",
            "CONNECT takes no other form",
            "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
            bad(TARGET),
        ),
        row(
            "9110 9.3.6",
            "CONNECT without a port is refused",
            "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
            bad(TARGET),
        ),
        row(
            "9110 9.3.6",
            "CONNECT to an empty port is refused",
            "CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n",
            bad(TARGET),
        ),
        row(
            "9112 3.2.4",
            "OPTIONS takes the asterisk form",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            options.clone(),
        ),
        row(
            "9112 3.2.4",
            "OPTIONS of a whole server may come in absolute form",
            "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
            options.clone(),
        ),
        row(
            "9110 9.3.7",
            "OPTIONS of a resource is answered",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n",
            options,
        ),
        row("9112 3.2.4", "no other method takes the asterisk form", get("*", ""), bad(TARGET)),
    ]
}
