//! A line of an access log, in each of its forms.

use crate::calendar::Civil;
use crate::header::Header;
use crate::json::quoted;
use crate::protocol::RequestHead;
use crate::semantics::Credentials;
use crate::server::Served;
use std::fmt::Write as _;

/// The form of an access log's lines.
///
/// ```
/// use raddle_http::access::Format;
/// assert_ne!(Format::Common, Format::Json);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET / HTTP/1.1" 200 1024`: the NCSA's.
    Common,
    /// The same with the client's `Referer` and `User-Agent`: Apache's.
    Combined,
    /// An object in each line.
    Json,
}

/// What was served, as a line with its end.
pub(super) fn line(format: Format, has_ids: bool, served: &Served<'_>) -> String {
    let date = Civil::of(served.begun);
    let status = served.status.code();
    let field = |header| served.head.and_then(|head| head.headers().get(header));
    let (referer, agent) = (field(Header::Referer), field(Header::UserAgent));
    // As the client calls itself, be its password right or wrong.
    let credentials = served.head.and_then(|head| Credentials::of(head.headers()));
    let user = credentials.as_ref().map(Credentials::user).filter(|user| !user.is_empty());
    if format == Format::Json {
        return json(served, &date, user, [referer, agent]);
    }
    let peer = served.peer.map_or("-".to_owned(), |peer| peer.ip().to_string());
    // A space would be the next column's.
    let user = user.map_or("-".to_owned(), |user| plain(user.as_bytes()).replace(' ', "\\x20"));
    let asked = served.head.map_or("-".to_owned(), |head| plain(request_line(head).as_bytes()));
    let mut line =
        format!("{peer} - {user} [{}] \"{asked}\" {status} {}", date.common(), served.content);
    if format == Format::Combined {
        let shown = |value: Option<&[u8]>| value.map_or("-".to_owned(), plain);
        let (referer, agent) = (shown(referer), shown(agent));
        _ = write!(line, " \"{referer}\" \"{agent}\"");
    }
    if has_ids {
        // A client's own word for it has nothing that would end it.
        _ = write!(line, " \"{}\"", served.id);
    }
    line.push('\n');
    line
}

fn request_line(head: &RequestHead) -> String {
    format!("{} {} {}", head.method(), head.target(), head.version())
}

fn json(
    served: &Served<'_>,
    date: &Civil,
    user: Option<&str>,
    [referer, agent]: [Option<&[u8]>; 2],
) -> String {
    let mut line = format!("{{\"time\":\"{}\"", date.iso_ms());
    _ = write!(line, ",\"id\":\"{}\"", served.id);
    if let Some(peer) = served.peer {
        _ = write!(line, ",\"peer\":\"{peer}\"");
    }
    if let Some(user) = user {
        _ = write!(line, ",\"user\":{}", quoted(user));
    }
    if let Some(head) = served.head {
        let (method, target) = (head.method(), quoted(head.target()));
        _ = write!(
            line,
            ",\"method\":\"{method}\",\"target\":{target},\"version\":\"{}\"",
            head.version()
        );
        if let Some(host) = head.host() {
            _ = write!(line, ",\"host\":{}", quoted(host));
        }
    }
    _ = write!(
        line,
        ",\"status\":{},\"bytes\":{},\"whole\":{},\"took_us\":{}",
        served.status.code(),
        served.content,
        served.is_whole,
        served.took.as_micros()
    );
    if let Some(trouble) = served.trouble {
        _ = write!(line, ",\"trouble\":{}", quoted(&trouble.to_string()));
    }
    for (name, value) in [("referer", referer), ("agent", agent)] {
        if let Some(value) = value {
            _ = write!(line, ",\"{name}\":{}", quoted(&String::from_utf8_lossy(value)));
        }
    }
    line.push_str("}\n");
    line
}

/// A client's text within quotes: nothing in it ends them, or the line, or speaks to a terminal.
///
/// Bytes that are no text are written as nginx does it, and what is text for all the world stays.
fn plain(text: &[u8]) -> String {
    let mut plain = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for one in chunk.valid().chars() {
            match one {
                '"' | '\\' => plain.extend(['\\', one]),
                '\0'..='\x1f' | '\x7f'..='\u{9f}' => {
                    escape(&mut plain, one.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => plain.push(one),
            }
        }
        escape(&mut plain, chunk.invalid());
    }
    plain
}

fn escape(to: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| _ = write!(to, "\\x{byte:02X}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{ConnectionId, RequestId};
    use crate::protocol::{Fault, Limits};
    use crate::server::Trouble;
    use crate::status::Status;
    use std::time::{Duration, SystemTime};

    fn lines(head: Option<&RequestHead>) -> [String; 3] {
        let given = head.and_then(|head| RequestId::given(head.headers()));
        let served = Served {
            head,
            id: given.unwrap_or_else(|| RequestId::made(ConnectionId::next(), 1)),
            peer: Some("[::1]:7".parse().unwrap()),
            status: Status::OK,
            content: 1024,
            is_whole: true,
            trouble: head.is_none().then_some(Trouble::Fault(Fault::BareLf)),
            begun: SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
            took: Duration::from_micros(42),
        };
        [Format::Common, Format::Combined, Format::Json]
            .map(|format| line(format, format == Format::Combined, &served))
    }

    #[test]
    fn a_line_has_its_form() {
        let head = b"GET /a?b HTTP/1.1\r\nHost: c\r\nX-Request-ID: g-7\r\nReferer: http://d/\r\nAuthorization: Basic YSBuOmI=\r\nUser-Agent: e \"f\" \xff\t\r\n\r\n";
        let head = RequestHead::parse(head, &Limits::default()).unwrap();
        let [common, combined, json] = lines(Some(&head));
        let begins = "::1 - a\\x20n [06/Nov/1994:08:49:37 +0000] \"GET /a?b HTTP/1.1\" 200 1024";
        assert_eq!(common, format!("{begins}\n"));
        assert_eq!(combined, format!("{begins} \"http://d/\" \"e \\\"f\\\" \\xFF\" \"g-7\"\n"));
        let expected = "{\"time\":\"1994-11-06T08:49:37.000Z\",\"id\":\"g-7\",\"peer\":\"[::1]:7\",\"user\":\"a n\",\"method\":\"GET\",\"target\":\"/a?b\",\
            \"version\":\"HTTP/1.1\",\"host\":\"c\",\"status\":200,\"bytes\":1024,\"whole\":true,\"took_us\":42,\
            \"referer\":\"http://d/\",\"agent\":\"e \\\"f\\\" \u{fffd}\"}\n";
        assert_eq!(json, expected);
    }

    #[test]
    fn what_was_no_request_has_a_line_too() {
        let [common, combined, json] = lines(None);
        assert!(common.ends_with(" \"-\" 200 1024\n") && combined.contains(" \"-\" \"-\" \""));
        let trouble = ",\"trouble\":\"a line ends without a carriage return\"";
        assert!(!json.contains("method") && json.contains(trouble), "{json}");
        let spoken = "a\n\x1b[31m\u{9b}\u{e9}".as_bytes();
        assert_eq!(plain(spoken), "a\\x0A\\x1B[31m\\xC2\\x9B\u{e9}");
        assert_eq!(plain(b"\xffa\xe2\x82b"), "\\xFFa\\xE2\\x82b");
    }
}
