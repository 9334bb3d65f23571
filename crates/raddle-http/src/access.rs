//! An access log: a line for each response, in a form that other programs read.
//!
//! Connections give their lines to a thread of the log's own, which writes what has gathered by one call. If it is slower than they are, they
//! wait for it: no line is lost.

use crate::calendar::Civil;
use crate::header::Header;
use crate::json::quoted;
use crate::protocol::RequestHead;
use crate::server::{Plugin, Served};
use raddle::sync::channel::{self, Receiver, Sender};
use raddle::thread::{Builder, JoinHandle};
use std::fmt::Write as _;
use std::io::{self, Write};

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

/// The log, as a server's plugin.
///
/// ```
/// use raddle_http::{access::{AccessLog, Format}, server::Server};
///
/// let (log, writing) = AccessLog::new(Format::Common, std::io::stderr())?;
/// let server = Server::new().plugin(log);
/// // Its thread ends with the server: then all is written.
/// drop(server);
/// writing.join().unwrap();
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    lines: Sender<String>,
}

/// So many lines may wait.
const WAITING_MAX: usize = 1024;
/// So much goes out by one call.
const BATCH: usize = 64 << 10;

impl AccessLog {
    /// A log that writes to `to`, and its thread, which ends when the log is dropped and all is written.
    ///
    /// # Errors
    ///
    /// If no thread can be had.
    ///
    /// ```
    /// use raddle_http::access::{AccessLog, Format};
    /// let (log, writing) = AccessLog::new(Format::Json, Vec::new())?;
    /// drop(log);
    /// writing.join().unwrap();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(
        format: Format,
        to: impl Write + Send + 'static,
    ) -> io::Result<(AccessLog, JoinHandle<()>)> {
        let (lines, waiting) = channel::bounded(WAITING_MAX);
        let writing =
            Builder::new().name("access log".into()).spawn(move || write_all(&waiting, to))?;
        Ok((AccessLog { format, lines }, writing))
    }
}

fn write_all(waiting: &Receiver<String>, mut to: impl Write) {
    let mut has_failed = false;
    while let Ok(mut batch) = waiting.recv() {
        while batch.len() < BATCH
            && let Ok(line) = waiting.try_recv()
        {
            batch.push_str(&line);
        }
        let written = to.write_all(batch.as_bytes()).and_then(|()| to.flush());
        // A full disk is said once, until it has room again.
        if let Err(error) = &written
            && !has_failed
        {
            log::error!("the access log can't be written: {error}");
        }
        has_failed = written.is_err();
    }
}

impl Plugin for AccessLog {
    fn served(&self, served: &Served<'_>) {
        // The thread is there as long as this is.
        _ = self.lines.send(line(self.format, served));
    }
}

fn line(format: Format, served: &Served<'_>) -> String {
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
    line.push('\n');
    line
}

fn request_line(head: &RequestHead) -> String {
    format!("{} {} {}", head.method(), head.target(), head.version())
}

fn json(served: &Served<'_>, date: &Civil, referer: Option<&str>, agent: Option<&str>) -> String {
    let mut line = format!("{{\"time\":\"{}\"", date.iso_ms());
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
    use crate::protocol::Limits;
    use crate::status::Status;
    use std::time::{Duration, SystemTime};

    fn lines(head: Option<&RequestHead>) -> [String; 3] {
        let served = Served {
            head,
            peer: Some("[::1]:7".parse().unwrap()),
            status: Status::OK,
            content: 1024,
            is_whole: true,
            begun: SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
            took: Duration::from_micros(42),
        };
        [Format::Common, Format::Combined, Format::Json].map(|format| line(format, &served))
    }

    #[test]
    fn a_line_has_its_form() {
        let head = b"GET /a?b HTTP/1.1\r\nHost: c\r\nReferer: http://d/\r\nUser-Agent: e \"f\" \xff\t\r\n\r\n";
        let head = RequestHead::parse(head, &Limits::default()).unwrap();
        let [common, combined, json] = lines(Some(&head));
        let begins = "::1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b HTTP/1.1\" 200 1024";
        assert_eq!(common, format!("{begins}\n"));
        assert_eq!(combined, format!("{begins} \"http://d/\" \"e \\\"f\\\" \u{fffd}\"\n"));
        let expected = "{\"time\":\"1994-11-06T08:49:37.000Z\",\"peer\":\"[::1]:7\",\"method\":\"GET\",\"target\":\"/a?b\",\
            \"version\":\"HTTP/1.1\",\"host\":\"c\",\"status\":200,\"bytes\":1024,\"whole\":true,\"took_us\":42,\
            \"referer\":\"http://d/\",\"agent\":\"e \\\"f\\\" \u{fffd}\"}\n";
        assert_eq!(json, expected);
    }

    #[test]
    fn what_was_no_request_has_a_line_too() {
        let [common, combined, json] = lines(None);
        assert!(common.ends_with(" \"-\" 200 1024\n") && combined.ends_with(" \"-\" \"-\"\n"));
        assert!(!json.contains("method"), "{json}");
        assert_eq!(plain("a\n\x1b[31m\u{9b}\u{e9}"), "a\\x0a\\x1b[31m\\u009b\u{e9}");
    }
}
