//! The rows, by what they are about; and short ways to write what many of them share.

mod connections;
mod content;
mod fields;
mod framing;
mod requests;
mod responses;

use crate::Row;

/// All of them.
pub(crate) fn all() -> Vec<Row> {
    [
        requests::rows(),
        fields::rows(),
        framing::rows(),
        connections::rows(),
        responses::rows(),
        content::rows(),
    ]
    .concat()
}

/// The `Date` of every answer.
const DATE: &str = "Date: Sun, 06 Nov 2022 08:49:37 GMT\r\n";

/// What an answer is expected to be.
#[derive(Clone)]
struct Expected {
    output: String,
    closes: bool,
}

impl Expected {
    /// The server closes behind it.
    fn closing(self) -> Expected {
        Expected { closes: true, ..self }
    }

    /// Another one follows.
    fn then(self, next: Expected) -> Expected {
        Expected { output: self.output + &next.output, closes: next.closes }
    }
}

/// These bytes; `{DATE}` stands for the date's field.
fn raw(output: &str) -> Expected {
    Expected { output: output.replace("{DATE}", DATE), closes: false }
}

/// 200 with that text.
fn text(text: &str) -> Expected {
    let length = text.len();
    let head = "HTTP/1.1 200 OK\r\n{DATE}Content-Type: text/plain; charset=utf-8\r\n";
    raw(&format!("{head}Content-Length: {length}\r\n\r\n{text}"))
}

/// What `/` answers.
fn hello() -> Expected {
    text("hello")
}

/// The same, and the connection ends.
fn last_hello() -> Expected {
    let head =
        "HTTP/1.1 200 OK\r\n{DATE}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n";
    raw(&format!("{head}Content-Length: 5\r\n\r\nhello")).closing()
}

/// What `/echo` answers.
fn echo(content: &str) -> Expected {
    let length = content.len();
    let head = "HTTP/1.1 200 OK\r\n{DATE}Content-Type: application/octet-stream\r\n";
    raw(&format!("{head}Content-Length: {length}\r\n\r\n{content}"))
}

/// A status without fields and content.
fn bare(status: &str) -> Expected {
    raw(&format!("HTTP/1.1 {status}\r\n{{DATE}}Content-Length: 0\r\n\r\n"))
}

/// The request is refused, and the connection closed.
fn refused(status: &str, why: &str) -> Expected {
    let text = format!("{status}: {why}\n");
    let length = text.len();
    let head = format!("HTTP/1.1 {status}\r\n{{DATE}}Connection: close\r\n");
    let fields = format!("Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n");
    raw(&format!("{head}{fields}\r\n{text}")).closing()
}

/// 400.
fn bad(why: &str) -> Expected {
    refused("400 Bad Request", why)
}

/// A row of the table.
fn row(
    section: &'static str,
    rule: &'static str,
    input: impl AsRef<[u8]>,
    expected: Expected,
) -> Row {
    let Expected { output, closes } = expected;
    Row { section, rule, input: input.as_ref().to_vec(), output, closes }
}

/// GET of that path with these lines, each of which ends with CRLF.
fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// POST to `/echo` with these lines and that body.
fn post(lines: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}")
}
