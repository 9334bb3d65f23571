//! What a response says about itself.

use super::{bare, get, hello, raw, row};
use crate::Row;

pub(super) fn rows() -> Vec<Row> {
    let next = get("/", "");
    let head = |path: &str| format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n{next}");
    let chunks =
        "HTTP/1.1 200 OK\r\n{DATE}Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n";
    vec![
        row("9110 6.6.1", "every answer has a date, also one that is an error", get("/none", ""), bare("404 Not Found")),
        row("9112 4", "a status without phrase keeps its space", get("/299", ""), raw("HTTP/1.1 299 \r\n{DATE}Content-Length: 0\r\n\r\n")),
        row("9112 6.1", "content of unknown length is chunked", get("/stream", "") + &next, raw(&format!("{chunks}\r\n")).then(hello())),
        row("9110 6.5.1", "trailers go to who reads them, without what frames", get("/stream", "TE: gzip, trailers\r\n") + &next, raw(&format!("{chunks}X-Sum: 5\r\n\r\n")).then(hello())),
        row("9112 6.1", "a client of 1.0 gets no chunks, but an end", "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", raw("HTTP/1.1 200 OK\r\n{DATE}Connection: close\r\n\r\nhello").closing()),
        row("9110 9.3.2", "HEAD has the fields of GET, and no content", head("/"), raw("HTTP/1.1 200 OK\r\n{DATE}Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\n").then(hello())),
        row("9110 9.3.2", "HEAD of unknown length says no length", head("/stream"), raw("HTTP/1.1 200 OK\r\n{DATE}\r\n").then(hello())),
        row("9110 8.6", "HEAD may tell a length that was not made", head("/described"), raw("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 77\r\n\r\n").then(hello())),
        row("9110 8.6", "a GET does not believe it", get("/described", "") + &next, bare("200 OK").then(hello())),
        row("9110 9.3.2", "a refused HEAD has no content either", "HEAD / HTTP/1.1\r\n\r\n", raw("HTTP/1.1 400 Bad Request\r\n{DATE}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 31\r\n\r\n").closing()),
        row("9110 8.6", "204 has neither content nor length", get("/204", "") + &next, raw("HTTP/1.1 204 No Content\r\n{DATE}\r\n").then(hello())),
        row("9110 15.3.6", "205 has no content, and says so", get("/205", "") + &next, raw("HTTP/1.1 205 Reset Content\r\n{DATE}Content-Length: 0\r\n\r\n").then(hello())),
        row("9110 15.4.5", "304 has no content, and may tell its length", get("/304", "") + &next, raw("HTTP/1.1 304 Not Modified\r\n{DATE}Content-Length: 5\r\n\r\n").then(hello())),
        row("9110 15.2", "103 goes ahead of the answer", get("/hints", ""), raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").then(hello())),
        row("9110 15.2", "a client of 1.0 gets no 1xx", "GET /hints HTTP/1.0\r\n\r\n", super::last_hello()),
        row("9112 6", "a handler's framing is not believed", get("/forged", "") + &next, raw("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: now\r\nContent-Length: 5\r\n\r\nhello").then(hello())),
    ]
}
