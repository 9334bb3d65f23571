//! A line of an access log, in each of its forms.

use crate::calendar::Civil;
use crate::header::Header;
use crate::json::quoted;
use crate::protocol::RequestHead;
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
    let field = |header| {
        let value = served.head.and_then(|head| head.headers().get(header));
        value.map(String::from_utf8_lossy)
    };
    let (referer, agent) = (field(Header::Referer), field(Header::UserAgent));
    if format == Format::Json {
        return json(served, &date, referer.as_deref(), agent.as_deref());
    }
    let peer = served.peer.map_or("-".to_owned(), |peer| peer.ip().to_string());
    let asked = served.head.map_or("-".to_owned(), |head| plain(&request_line(head)));
    let mut line =
        format!("{peer} - - [{}] \"{asked}\" {status} {}", date.common(), served.content);
    if format == Format::Combined {
        let shown = |value: Option<&str>| value.map_or("-".to_owned(), plain);
        let (referer, agent) = (shown(referer.as_deref()), shown(agent.as_deref()));
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

fn json(served: &Served<'_>, date: &Civil, referer: Option<&str>, agent: Option<&str>) -> String {
    let mut line = format!("{{\"time\":\"{}\"", date.iso_ms());
    _ = write!(line, ",\"id\":\"{}\"", served.id);
    if let Some(peer) = served.peer {
        _ = write!(line, ",\"peer\":\"{peer}\"");
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
            _ = write!(line, ",\"{name}\":{}", quoted(value));
        }
    }
    line.push_str("}\n");
    line
}

/// A client's text within quotes: nothing in it ends them, or the line, or speaks to a terminal.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '"' | '\\' => plain.extend(['\\', one]),
            '\0'..='\x1f' | '\x7f' => _ = write!(plain, "\\x{:02x}", one as u32),
            '\u{80}'..='\u{9f}' => _ = write!(plain, "\\u{:04x}", one as u32),
            _ => plain.push(one),
        }
    }
    plain
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
        let head = b"GET /a?b HTTP/1.1\r\nHost: c\r\nX-Request-ID: g-7\r\nReferer: http://d/\r\nUser-Agent: e \"f\" \xff\t\r\n\r\n";
        let head = RequestHead::parse(head, &Limits::default()).unwrap();
        let [common, combined, json] = lines(Some(&head));
        let begins = "::1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b HTTP/1.1\" 200 1024";
        assert_eq!(common, format!("{begins}\n"));
        assert_eq!(combined, format!("{begins} \"http://d/\" \"e \\\"f\\\" \u{fffd}\" \"g-7\"\n"));
        let expected = "{\"time\":\"1994-11-06T08:49:37.000Z\",\"id\":\"g-7\",\"peer\":\"[::1]:7\",\"method\":\"GET\",\"target\":\"/a?b\",\
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
        assert_eq!(plain("a\n\x1b[31m\u{9b}\u{e9}"), "a\\x0a\\x1b[31m\\u009b\u{e9}");
    }
}
