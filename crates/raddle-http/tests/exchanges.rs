//! Answers that go out in the wait for the next request: every byte goes out once, also where that wait is broken off halfway.

use raddle::io::{Read, Target, Write};
use raddle_http::Response;
use raddle_http::server::{Server, Transport};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};

/// A client that asks for one thing after the other.
struct Client {
    questions: VecDeque<Vec<u8>>,
    heard: Vec<u8>,
    /// Of this many bytes, an exchange sends no more, and says that its time is over.
    breaks_after: Option<usize>,
    exchanges: usize,
}

impl Client {
    fn new(breaks_after: Option<usize>) -> Client {
        let question =
            |name: &str| format!("GET /hello/{name} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
        let questions = ["ann", "ben", "cho"].map(question).into();
        Client { questions, heard: Vec::new(), breaks_after, exchanges: 0 }
    }

    /// What it has heard but for dates.
    fn text(&self) -> String {
        let text = String::from_utf8(self.heard.clone()).unwrap();
        text.split_inclusive('\n').filter(|line| !line.starts_with("Date: ")).collect()
    }
}

impl Read for Client {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let question = self.questions.pop_front().unwrap_or_default();
        to[..question.len()].copy_from_slice(&question);
        Ok(question.len())
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Client {}

impl Transport for Client {
    fn can_exchange(&self) -> bool {
        true
    }

    fn exchange(&mut self, bytes: &mut &[u8], to: &mut [u8]) -> io::Result<usize> {
        self.exchanges += 1;
        let count = self.breaks_after.map_or(bytes.len(), |most| most.min(bytes.len()));
        self.heard.extend_from_slice(&bytes[..count]);
        *bytes = &bytes[count..];
        if self.breaks_after.is_some() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.read(to)
    }
}

fn served(breaks_after: Option<usize>) -> Client {
    let server = Server::new().route("/hello/{name}", |request| {
        Response::text(format!("hello, {}", request.param("name").expect("it is named")))
    });
    let mut client = Client::new(breaks_after);
    server.expect("a valid route").serve_one(&mut client).unwrap();
    client
}

#[test]
fn an_answer_and_the_next_question_are_one_wait() {
    let client = served(None);
    assert_eq!(client.exchanges, 3);
    assert_eq!(client.text().matches("HTTP/1.1 200 OK\r\n").count(), 3);
    assert!(client.text().ends_with("\r\n\r\nhello, cho"));
}

#[test]
fn one_that_is_broken_off_says_the_rest_and_waits_on() {
    let whole = served(None).text();
    for breaks_after in [0, 1, 20, usize::MAX] {
        let client = served(Some(breaks_after));
        assert_eq!((client.exchanges, client.text()), (3, whole.clone()), "{breaks_after}");
    }
}
