//! Field lines.

use super::{bad, get, hello, refused, row, text};
use crate::Row;

pub(super) fn rows() -> Vec<Row> {
    let colon = "white space between a field's name and its colon";
    let name = "a field's name is malformed";
    let value = "a control character in a field's value";
    let many = |count: usize| get("/", &"A: b\r\n".repeat(count - 1));
    let large = |size: usize| {
        let plain = get("/", "A: \r\n").len();
        get("/", &format!("A: {}\r\n", "b".repeat(size - plain)))
    };
    let too_many = refused("431 Request Header Fields Too Large", "too many fields");
    let too_large = refused("431 Request Header Fields Too Large", "the fields are too large");
    vec![
        row(
            "9112 5",
            "white space around a value is no part of it",
            get("/fields", "X: \t b \t\r\n"),
            text("Host=a\nX=b\n"),
        ),
        row(
            "9112 5",
            "white space within a value is",
            get("/fields", "X: b \t c\r\n"),
            text("Host=a\nX=b \\t c\n"),
        ),
        row("9112 5", "no white space is needed", get("/fields", "X:b\r\n"), text("Host=a\nX=b\n")),
        row(
            "9110 5.5",
            "a value may be empty",
            get("/fields", "X:\r\nY: \r\n"),
            text("Host=a\nX=\nY=\n"),
        ),
        row(
            "9110 5.5",
            "a value may hold bytes above 127, which mean nothing",
            b"GET /fields HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n",
            text("Host=a\nX=\\xff\n"),
        ),
        row("9110 5.1", "names are case-insensitive", "GET / HTTP/1.1\r\nhOST: a\r\n\r\n", hello()),
        row(
            "9110 5.3",
            "fields keep their order",
            get("/fields", "X: 2\r\nx: 1\r\n"),
            text("Host=a\nX=2\nx=1\n"),
        ),
        row("9110 5.1", "an unknown field is ignored", get("/", "Unheard-Of: !\r\n"), hello()),
        row(
            "9110 5.6.2",
            "a name may hold all token characters",
            get("/fields", "!#$%&'*+-.^_`|~9z: b\r\n"),
            text("Host=a\n!#$%&'*+-.^_`|~9z=b\n"),
        ),
        row(
            "9112 5.1",
            "white space before the colon is refused",
            get("/", "X : b\r\n"),
            bad(colon),
        ),
        row("9112 5.1", "a tab before the colon is refused", get("/", "X\t: b\r\n"), bad(colon)),
        row(
            "9112 5.1",
            "before Host's colon as well",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            bad(colon),
        ),
        row("9112 5", "a line without colon is refused", get("/", "X\r\n"), bad(name)),
        row("9112 5", "a line without name is refused", get("/", ": b\r\n"), bad(name)),
        row("9110 5.1", "white space within a name is refused", get("/", "X Y: b\r\n"), bad(name)),
        row("9110 5.1", "a name is ASCII", get("/", "\u{dc}: b\r\n"), bad(name)),
        row("9110 5.1", "no separator stands in a name", get("/", "X(Y): b\r\n"), bad(name)),
        row(
            "9112 5.2",
            "a folded line is refused",
            get("/", "X: b\r\n c\r\n"),
            bad("a line begins with white space"),
        ),
        row(
            "9112 5.2",
            "a line folded by a tab is refused",
            get("/", "X: b\r\n\tc\r\n"),
            bad("a line begins with white space"),
        ),
        row("9110 5.5", "a NUL in a value is refused", get("/", "X: b\0c\r\n"), bad(value)),
        row("9110 5.5", "a DEL in a value is refused", get("/", "X: b\x7fc\r\n"), bad(value)),
        row(
            "9110 5.5",
            "a CR in a value is refused",
            get("/", "X: b\rc\r\n"),
            bad("a carriage return within a line"),
        ),
        row(
            "9110 5.5",
            "a CR before the line's end is refused",
            get("/", "X: b\r\r\n"),
            bad("a carriage return within a line"),
        ),
        row("6585 5", "as many fields as are allowed are served", many(20), hello()),
        row("6585 5", "one more is answered with 431", many(21), too_many),
        row("6585 5", "as many bytes as are allowed are served", large(2_000), hello()),
        row("6585 5", "one more is answered with 431, too", large(2_001), too_large.clone()),
        row(
            "6585 5",
            "fields without end are answered with 431",
            get("/", "A: b\r\n").trim_end().to_owned() + &"b".repeat(5_000),
            too_large.clone(),
        ),
        row(
            "6585 5",
            "empty lines without end are answered with 431",
            "\r\n".repeat(2_000),
            too_large,
        ),
    ]
}
