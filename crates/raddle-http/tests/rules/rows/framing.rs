//! Where a request's content ends.

use super::{bad, echo, get, hello, last_hello, post, raw, refused, row, text};
use crate::Row;

pub(super) fn rows() -> Vec<Row> {
    let length = "the Content-Length is malformed";
    let two = "more than one Content-Length";
    let coding = "the last transfer coding is not chunked";
    let size = "a chunk's size is malformed";
    let end = "a chunk is longer than its size";
    let too_large = refused("413 Content Too Large", "the content is too large");
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let trailers = |section: &str| {
        let head = "POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}1\r\nx\r\n0\r\n{section}\r\n")
    };
    let unknown = refused("501 Not Implemented", "a transfer coding other than chunked");
    let next = get("/", "");
    vec![
        // RFC 9112 section 6.3.
        row(
            "9112 6.3",
            "content has the length that it says",
            post("Content-Length: 5\r\n", "hello"),
            echo("hello"),
        ),
        row(
            "9112 6.3",
            "what follows it is the next request",
            post("Content-Length: 5\r\n", "hello") + &next,
            echo("hello").then(hello()),
        ),
        row(
            "9112 6.3",
            "without length there is no content",
            post("", "") + &next,
            echo("").then(hello()),
        ),
        row(
            "9112 6.3",
            "a length of zero is one",
            post("Content-Length: 0\r\n", "") + &next,
            echo("").then(hello()),
        ),
        row(
            "9110 8.6",
            "a length may have zeros in front",
            post("Content-Length: 005\r\n", "hello"),
            echo("hello"),
        ),
        row(
            "9110 9.3.1",
            "GET may have content, which is framed",
            get("/echo", "Content-Length: 5\r\n") + "hello" + &next,
            echo("hello").then(hello()),
        ),
        row(
            "9112 6.3",
            "a length with a sign is refused",
            post("Content-Length: +5\r\n", "hello"),
            bad(length),
        ),
        row(
            "9112 6.3",
            "a negative length is refused",
            post("Content-Length: -5\r\n", "hello"),
            bad(length),
        ),
        row(
            "9112 6.3",
            "a hexadecimal length is refused",
            post("Content-Length: 0x5\r\n", "hello"),
            bad(length),
        ),
        row(
            "9112 6.3",
            "an empty length is refused",
            post("Content-Length:\r\n", "hello"),
            bad(length),
        ),
        row(
            "9112 6.3",
            "a length of words is refused",
            post("Content-Length: five\r\n", "hello"),
            bad(length),
        ),
        row(
            "9112 6.3",
            "a length with a space is refused",
            post("Content-Length: 5 5\r\n", "hello"),
            bad(length),
        ),
        row(
            "9112 6.3",
            "two different lengths are refused",
            post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
            bad(two),
        ),
        row(
            "9112 6.3",
            "two equal lengths are refused",
            post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
            bad(two),
        ),
        row(
            "9112 6.3",
            "a list of lengths is refused",
            post("Content-Length: 5, 5\r\n", "hello"),
            bad(two),
        ),
        row(
            "9112 6.3",
            "a refused length ends the connection, whatever follows",
            post("Content-Length: x\r\n", "") + &next,
            bad(length),
        ),
        row(
            "9110 15.5.14",
            "content of the allowed length is served",
            post("Content-Length: 1000\r\n", &"x".repeat(1000)),
            echo(&"x".repeat(1000)),
        ),
        row(
            "9110 15.5.14",
            "a length above the limit is answered with 413",
            post("Content-Length: 1001\r\n", ""),
            too_large.clone(),
        ),
        row(
            "9110 8.6",
            "a length that overflows is answered with 413",
            post("Content-Length: 99999999999999999999\r\n", ""),
            too_large.clone(),
        ),
        // Section 6.1.
        row(
            "9112 6.1",
            "chunked content is decoded",
            chunked("3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
            echo("hello"),
        ),
        row(
            "9112 6.1",
            "what follows it is the next request, too",
            chunked("5\r\nhello\r\n0\r\n\r\n") + &next,
            echo("hello").then(hello()),
        ),
        row(
            "9112 7",
            "codings are case-insensitive",
            post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"),
            echo(""),
        ),
        row(
            "9110 5.6.1",
            "empty elements of a list are ignored",
            post("Transfer-Encoding: , chunked ,\r\n", "0\r\n\r\n"),
            echo(""),
        ),
        row(
            "9112 6.3",
            "both length and coding are refused",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            bad("both Content-Length and Transfer-Encoding"),
        ),
        row(
            "9112 6.3",
            "both are refused in the other order",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
            bad("both Content-Length and Transfer-Encoding"),
        ),
        row(
            "9112 6.3",
            "both are refused even if the coding is unknown",
            post("Transfer-Encoding: x\r\nContent-Length: 5\r\n", "hello"),
            bad("both Content-Length and Transfer-Encoding"),
        ),
        row(
            "9112 6.1",
            "a coding in 1.0 is refused",
            "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            bad("a Transfer-Encoding in HTTP/1.0"),
        ),
        row(
            "9112 6.3",
            "a coding that does not end with chunked is refused",
            post("Transfer-Encoding: gzip\r\n", ""),
            bad(coding),
        ),
        row(
            "9112 6.3",
            "identity is no coding",
            post("Transfer-Encoding: identity\r\n", ""),
            bad(coding),
        ),
        row(
            "9112 6.3",
            "an empty coding is refused",
            post("Transfer-Encoding:\r\n", ""),
            bad(coding),
        ),
        row(
            "9112 6.3",
            "chunked before another is refused",
            post("Transfer-Encoding: chunked, gzip\r\n", ""),
            bad(coding),
        ),
        row(
            "9112 6.1",
            "chunked twice is refused",
            post("Transfer-Encoding: chunked, chunked\r\n", ""),
            bad(coding),
        ),
        row(
            "9112 6.1",
            "chunked twice in two fields is refused",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""),
            bad(coding),
        ),
        row(
            "9112 7.1",
            "chunked has no parameters",
            post("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"),
            bad(coding),
        ),
        row(
            "9112 6.1",
            "what looks like chunked is not",
            post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
            bad(coding),
        ),
        row(
            "9112 6.1",
            "an unknown coding is answered with 501",
            post("Transfer-Encoding: gzip, chunked\r\n", ""),
            unknown.clone(),
        ),
        row(
            "9112 6.1",
            "an unknown coding in a field before is answered with 501",
            post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", ""),
            unknown,
        ),
        // Section 7.1.
        row(
            "9112 7.1",
            "sizes are hexadecimal, in any case",
            chunked("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
            echo("01234567890123456789"),
        ),
        row(
            "9112 7.1",
            "sizes may have zeros in front",
            chunked("0005\r\nhello\r\n000\r\n\r\n"),
            echo("hello"),
        ),
        row(
            "9112 7.1",
            "a chunk may hold what looks like its end",
            chunked("5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
            echo("0\r\n\r\n"),
        ),
        row("9112 7.1", "an empty size is refused", chunked("\r\n"), bad(size)),
        row("9112 7.1", "a size of other letters is refused", chunked("g\r\n"), bad(size)),
        row("9112 7.1", "a size with a sign is refused", chunked("-1\r\n"), bad(size)),
        row(
            "9112 7.1",
            "a size with a prefix is refused",
            chunked("0x5\r\nhello\r\n0\r\n\r\n"),
            bad(size),
        ),
        row(
            "9112 7.1",
            "white space before a size is refused",
            chunked(" 5\r\nhello\r\n0\r\n\r\n"),
            bad(size),
        ),
        row(
            "9112 7.1",
            "white space behind a size is refused",
            chunked("5 \r\nhello\r\n0\r\n\r\n"),
            bad(size),
        ),
        row(
            "9112 7.1",
            "a size of more than 64 bits is refused",
            chunked("fffffffffffffffff\r\n"),
            bad(size),
        ),
        row(
            "9112 7.1",
            "a size that ends with LF alone is refused",
            chunked("5\nhello\r\n0\r\n\r\n"),
            bad("a line ends without a carriage return"),
        ),
        row(
            "9112 7.1",
            "a size that ends with CR alone is refused",
            chunked("5\rhello\r\n0\r\n\r\n"),
            bad("a carriage return within a line"),
        ),
        row(
            "9112 7.1",
            "a chunk longer than its size is refused",
            chunked("4\r\nhello\r\n0\r\n\r\n"),
            bad(end),
        ),
        row(
            "9112 7.1",
            "a chunk shorter than its size is refused",
            chunked("6\r\nhello\r\n0\r\n\r\n"),
            bad(end),
        ),
        row(
            "9112 7.1",
            "a chunk that ends with LF alone is refused",
            chunked("5\r\nhello\n0\r\n\r\n"),
            bad(end),
        ),
        row(
            "9112 7.1",
            "chunks above the limit are answered with 413",
            chunked(&format!("3e8\r\n{}\r\n1\r\n", "x".repeat(1000))),
            too_large.clone(),
        ),
        row(
            "9112 7.1",
            "a chunk that overflows all limits is answered with 413",
            chunked("ffffffffffffffff\r\n"),
            too_large,
        ),
        row(
            "9112 7.1.1",
            "extensions are ignored",
            chunked("5;a;b=\"c;\"\r\nhello\r\n0;d\r\n\r\n"),
            echo("hello"),
        ),
        row(
            "9112 7.1.1",
            "white space before an extension is ignored",
            chunked("5 ;a\r\nhello\r\n0\r\n\r\n"),
            echo("hello"),
        ),
        row(
            "9112 7.1.1",
            "an extension with LF alone is refused",
            chunked("5;a\nhello\r\n0\r\n\r\n"),
            bad("a line ends without a carriage return"),
        ),
        row(
            "9112 7.1.1",
            "an extension with a control character is refused",
            chunked("5;a\x01\r\nhello\r\n0\r\n\r\n"),
            bad("a chunk's extension is malformed"),
        ),
        row(
            "9112 7.1.1",
            "extensions above the limit are refused",
            chunked(&format!("5;{}\r\n", "a".repeat(21))),
            bad("the chunks' extensions are too large"),
        ),
        row(
            "9112 7.1.2",
            "trailers are read apart from the fields",
            trailers("X: 1\r\nContent-Length: 9\r\n"),
            text("X=1\nContent-Length=9\n"),
        ),
        row("9112 7.1.2", "without trailers there are none", trailers(""), text("")),
        row(
            "9112 7.1.2",
            "malformed trailers are refused",
            trailers("X : 1\r\n"),
            bad("white space between a field's name and its colon"),
        ),
        row(
            "9112 7.1.2",
            "folded trailers are refused",
            trailers("X: 1\r\n 2\r\n"),
            bad("a line begins with white space"),
        ),
        row(
            "9112 7.1.2",
            "trailers above the limit are refused",
            trailers(&format!("X: {}\r\n", "1".repeat(100))),
            refused("431 Request Header Fields Too Large", "the fields are too large"),
        ),
        // Section 8.
        row(
            "9112 8",
            "a head that stops is refused",
            "GET / HTTP/1.1\r\nHost:",
            bad_at_end("the request ends within its head"),
        ),
        row(
            "9112 8",
            "content that stops is refused",
            post("Content-Length: 5\r\n", "hell"),
            bad_at_end("the request ends within its content"),
        ),
        row(
            "9112 8",
            "chunks that stop are refused",
            chunked("5\r\nhello\r\n"),
            bad_at_end("the request ends within its content"),
        ),
        row(
            "9112 8",
            "a last chunk without its empty line is refused",
            chunked("5\r\nhello\r\n0\r\n"),
            bad_at_end("the request ends within its content"),
        ),
        row("9112 8", "nothing at all is no request", "", raw("")),
        row("9112 8", "empty lines are no request", "\r\n\r\n", raw("")),
        // RFC 9110 section 10.1.1.
        row(
            "9110 10.1.1",
            "whoever waits is told to go on",
            post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
            raw("HTTP/1.1 100 Continue\r\n\r\n").then(echo("hello")),
        ),
        row(
            "9110 10.1.1",
            "the expectation is case-insensitive",
            post("Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            raw("HTTP/1.1 100 Continue\r\n\r\n").then(echo("")),
        ),
        row(
            "9110 10.1.1",
            "without content there is nothing to go on with",
            post("Expect: 100-continue\r\n", ""),
            echo(""),
        ),
        row(
            "9110 10.1.1",
            "a client of 1.0 is told nothing",
            "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
            raw(
                "HTTP/1.1 200 OK\r\n{DATE}Connection: keep-alive\r\nContent-Type: application/octet-stream\r\nContent-Length: 5\r\n\r\nhello",
            ),
        ),
        row(
            "9110 10.1.1",
            "a final answer instead ends the connection",
            "POST /ignore HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            last_hello(),
        ),
        row(
            "9110 10.1.1",
            "another expectation is answered with 417",
            post("Expect: the unexpected\r\n", ""),
            refused("417 Expectation Failed", "an expectation other than 100-continue"),
        ),
        // Content that nobody reads.
        row(
            "9112 9.3",
            "unread content does not become a request",
            "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n"
                .to_owned()
                + &next,
            hello().then(hello()),
        ),
        row(
            "9112 9.3",
            "unread chunks do not become a request",
            format!(
                "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n{next}"
            ),
            hello().then(hello()),
        ),
        row(
            "9112 9.3",
            "more unread content than is worth it ends the connection",
            "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n".to_owned()
                + &"x".repeat(101)
                + &next,
            last_hello(),
        ),
        row(
            "9112 9.3",
            "more unread chunks than are worth it end the connection",
            format!(
                "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n{}\r\n0\r\n\r\n{next}",
                "x".repeat(101)
            ),
            hello().closing(),
        ),
        row(
            "9112 9.3",
            "unread chunks that are malformed end the connection",
            format!(
                "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n{next}"
            ),
            hello().closing(),
        ),
    ]
}

/// 400 once the client has ended: the server has not closed before.
fn bad_at_end(why: &str) -> super::Expected {
    super::Expected { closes: false, ..bad(why) }
}
