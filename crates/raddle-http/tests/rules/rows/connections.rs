//! Whether a connection goes on.

use super::{bare, get, hello, last_hello, post, raw, row};
use crate::Row;

pub(super) fn rows() -> Vec<Row> {
    let next = get("/", "");
    let kept = || {
        let head = "HTTP/1.1 200 OK\r\n{DATE}Connection: keep-alive\r\n";
        raw(&format!(
            "{head}Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello"
        ))
    };
    let old = |lines: &str| format!("GET / HTTP/1.0\r\n{lines}\r\n{next}");
    let missing = bare("404 Not Found");
    let all = (1..50).fold(raw(""), |all, _| all.then(hello())).then(last_hello());
    vec![
        row("9112 9.3", "a connection of 1.1 persists", next.repeat(3), hello().then(hello()).then(hello())),
        row("9112 9.3", "with close it does not, and what follows is not looked at", get("/", "Connection: close\r\n") + &next, last_hello()),
        row("9112 9.3", "close is case-insensitive, in a list, in any of several fields", get("/", "Connection: x\r\nConnection: y, CLOSE\r\n") + &next, last_hello()),
        row("9112 9.3", "close counts more than keep-alive", get("/", "Connection: keep-alive, close\r\n") + &next, last_hello()),
        row("9112 9.3", "what begins like close is not", get("/", "Connection: closed\r\n") + &next, hello().then(hello())),
        row("9112 9.3", "a connection of 1.0 ends", old(""), last_hello()),
        row("9112 9.3", "a connection of 1.0 persists on request, and is told so", old("Connection: Keep-Alive\r\n"), kept().then(hello())),
        row("9112 9.3", "a connection of 1.0 with close ends", old("Connection: close\r\n"), last_hello()),
        row("9112 9.3", "a later request may end it", next.clone() + &get("/", "Connection: close\r\n"), hello().then(last_hello())),
        row("9112 9.3.2", "pipelined requests are answered in order", format!("{}{}{}", get("/a", ""), post("Content-Length: 2\r\n", "hi"), get("/", "")), missing.clone().then(super::echo("hi")).then(hello())),
        row("9112 9.3.2", "empty lines between requests are ignored", format!("{next}\r\n{next}"), hello().then(hello())),
        row("9112 9.3.2", "what is wrong with a later request does not touch the earlier", next.clone() + "GET / HTTP/1.1\r\n\r\n", hello().then(super::bad("no Host field"))),
        row("9112 9.5", "after so many requests a connection ends", next.repeat(60), all),
        row("9112 9.6", "a handler may end it", get("/close", "") + &next, raw("HTTP/1.1 200 OK\r\n{DATE}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\r\nbye").closing()),
        row("9112 9.6", "content shorter than announced ends it", get("/short", "") + &next, raw("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 9\r\n\r\nhello").closing()),
        row("9112 9.2", "content longer than announced is cut", get("/long", "") + &next, raw("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 2\r\n\r\nhe").then(hello())),
        row("9110 7.8", "an upgrade hands the connection over", get("/upgrade", "Connection: upgrade\r\nUpgrade: echo\r\n") + &next, raw("HTTP/1.1 101 Switching Protocols\r\n{DATE}Connection: upgrade\r\nUpgrade: echo\r\n\r\n").closing()),
        row("9110 7.8", "an upgrade may be ignored", get("/", "Connection: upgrade\r\nUpgrade: h2c\r\n"), hello()),
    ]
}
