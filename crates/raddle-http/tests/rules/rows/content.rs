//! Conditions and ranges.

use super::{get, hello, raw, row};
use crate::Row;
use crate::responder::FILE;

const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const META: &str =
    "ETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Ranges: bytes\r\n";

pub(super) fn rows() -> Vec<Row> {
    let next = get("/", "");
    let file = str::from_utf8(FILE).unwrap();
    let ask = |lines: &str| get("/file", lines) + &next;
    let whole = || {
        let fields = format!("{META}Content-Type: text/plain\r\nContent-Length: 144\r\n");
        raw(&format!("HTTP/1.1 200 OK\r\n{{DATE}}{fields}\r\n{file}")).then(hello())
    };
    let part = |range: &str, content: &str| {
        let range = format!("Content-Type: text/plain\r\nContent-Range: bytes {range}/144\r\n");
        let head = format!("HTTP/1.1 206 Partial Content\r\n{{DATE}}{META}{range}");
        raw(&format!("{head}Content-Length: {}\r\n\r\n{content}", content.len())).then(hello())
    };
    let parts = |ranges: &[(&str, &str)]| {
        let part = |(range, content): &(&str, &str)| {
            let head = format!(
                "\r\n--BOUNDARY\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/144\r\n"
            );
            format!("{head}\r\n{content}")
        };
        let content = ranges.iter().map(part).collect::<String>() + "\r\n--BOUNDARY--\r\n";
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\n{{DATE}}{META}Content-Type: multipart/byteranges; boundary=BOUNDARY\r\n"
        );
        raw(&format!("{head}Content-Length: {}\r\n\r\n{content}", content.len())).then(hello())
    };
    let same = || raw("HTTP/1.1 304 Not Modified\r\n{DATE}ETag: \"v1\"\r\n\r\n").then(hello());
    let failed =
        || raw("HTTP/1.1 412 Precondition Failed\r\n{DATE}Content-Length: 0\r\n\r\n").then(hello());
    let unsatisfied = || {
        let fields = "ETag: \"v1\"\r\nContent-Range: bytes */144\r\nContent-Length: 0\r\n";
        raw(&format!("HTTP/1.1 416 Range Not Satisfiable\r\n{{DATE}}{fields}\r\n")).then(hello())
    };
    let range = |value: &str| ask(&format!("Range: {value}\r\n"));
    let if_range = |value: &str| ask(&format!("Range: bytes=0-1\r\nIf-Range: {value}\r\n"));
    let many: Vec<String> = (0..17).map(|at| format!("{at}-{at}")).collect();
    vec![
        row("9110 9.3.1", "without conditions all is sent, with its validators", ask(""), whole()),
        row("9110 13.1.1", "If-Match with the current tag", ask("If-Match: \"x\", \"v1\"\r\n"), whole()),
        row("9110 13.1.1", "If-Match with *", ask("If-Match: *\r\n"), whole()),
        row("9110 13.1.1", "If-Match with another tag", ask("If-Match: \"v2\"\r\n"), failed()),
        row("9110 13.1.1", "If-Match compares strongly", ask("If-Match: W/\"v1\"\r\n"), failed()),
        row("9110 13.1.2", "If-None-Match with the current tag", ask("If-None-Match: \"x\", \"v1\"\r\n"), same()),
        row("9110 13.1.2", "If-None-Match with *", ask("If-None-Match: *\r\n"), same()),
        row("9110 13.1.2", "If-None-Match compares weakly", ask("If-None-Match: W/\"v1\"\r\n"), same()),
        row("9110 13.1.2", "If-None-Match with another tag", ask("If-None-Match: \"v2\"\r\n"), whole()),
        row("9110 13.1.2", "If-None-Match of HEAD", format!("HEAD /file HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"v1\"\r\n\r\n{next}"), same()),
        row("9110 13.1.3", "If-Modified-Since the very second", ask(&format!("If-Modified-Since: {SAME}\r\n")), same()),
        row("9110 13.1.3", "If-Modified-Since before", ask(&format!("If-Modified-Since: {OLD}\r\n")), whole()),
        row("9110 13.1.3", "If-Modified-Since is ignored with If-None-Match", ask(&format!("If-None-Match: \"v2\"\r\nIf-Modified-Since: {SAME}\r\n")), whole()),
        row("9110 13.1.3", "If-Modified-Since is ignored if it is no date", ask("If-Modified-Since: today\r\n"), whole()),
        row("9110 5.6.7", "dates come in two obsolete forms, too", ask("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n"), same()),
        row("9110 5.6.7", "the other one", ask("If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n"), same()),
        row("9110 13.1.4", "If-Unmodified-Since the very second", ask(&format!("If-Unmodified-Since: {SAME}\r\n")), whole()),
        row("9110 13.1.4", "If-Unmodified-Since before", ask(&format!("If-Unmodified-Since: {OLD}\r\n")), failed()),
        row("9110 13.1.4", "If-Unmodified-Since is ignored with If-Match", ask(&format!("If-Match: \"v1\"\r\nIf-Unmodified-Since: {OLD}\r\n")), whole()),
        row("9110 13.2.2", "what protects comes before what saves", ask(&format!("If-None-Match: \"v1\"\r\nIf-Unmodified-Since: {OLD}\r\n")), failed()),
        row("9110 13.2.2", "what saves comes before ranges", ask("If-None-Match: \"v1\"\r\nRange: bytes=0-1\r\n"), same()),
        row("9110 14.2", "a range from the beginning", range("bytes=0-4"), part("0-4", "01234")),
        row("9110 14.1.2", "a range to the end", range("bytes=142-"), part("142-143", "yz")),
        row("9110 14.1.2", "a range at the end", range("bytes=-3"), part("141-143", "xyz")),
        row("9110 14.1.2", "a range beyond the end is cut", range("bytes=140-999"), part("140-143", "wxyz")),
        row("9110 14.1.2", "the end of more than there is is all of it", range("bytes=-999"), part("0-143", file)),
        row("9110 14.2", "a range behind the end can't be satisfied", range("bytes=144-"), unsatisfied()),
        row("9110 14.2", "an empty end can't be satisfied", range("bytes=-0"), unsatisfied()),
        row("9110 14.2", "another unit is ignored", range("lines=0-1"), whole()),
        row("9110 14.1.1", "a range that ends before it begins is ignored", range("bytes=5-4"), whole()),
        row("9110 14.2", "a malformed range is ignored", range("bytes=a-b"), whole()),
        row("9110 14.2", "Range is for GET only", format!("HEAD /file HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n{next}"), raw(&format!("HTTP/1.1 200 OK\r\n{{DATE}}{META}Content-Type: text/plain\r\nContent-Length: 144\r\n\r\n")).then(hello())),
        row("9110 15.3.7.2", "several ranges come in parts", range("bytes=0-1,-2"), parts(&[("0-1", "01"), ("142-143", "yz")])),
        row("9110 15.3.7.2", "in the order in which they were asked for", range("bytes=-2,0-1"), parts(&[("142-143", "yz"), ("0-1", "01")])),
        row("9110 15.3.7.2", "one of several that is left comes without parts", range("bytes=0-1,999-"), part("0-1", "01")),
        row("9110 15.3.7.2", "near ones come as one", range("bytes=0-1,4-5"), part("0-5", "012345")),
        row("9110 14.2", "too many ranges are ignored", range(&format!("bytes={}", many.join(","))), whole()),
        row("9110 14.2", "ranges that overlap again and again are ignored", range("bytes=0-,0-,0-"), whole()),
        row("9110 13.1.5", "If-Range with the current tag", if_range("\"v1\""), part("0-1", "01")),
        row("9110 13.1.5", "If-Range with another tag", if_range("\"v2\""), whole()),
        row("9110 13.1.5", "If-Range compares strongly", if_range("W/\"v1\""), whole()),
        row("9110 13.1.5", "If-Range with the date", if_range(SAME), part("0-1", "01")),
        row("9110 13.1.5", "If-Range with another date", if_range(OLD), whole()),
        row("9110 13.1.5", "If-Range without Range is ignored", ask("If-Range: \"v2\"\r\n"), whole()),
    ]
}
