//! Responses as a client reads them: what each of RFC 9112's framings means, at every split of the bytes.

mod fuzzed;
mod responder;

use fuzzed::{Answer, read_answers};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence::Direct;
use raddle_http::Method;
use raddle_http::protocol::{BadResponse, Fault, Limits, ResponseDecoder};

/// All answers on a stream, and why there is no more; the same at every place where the bytes may be split, and byte by byte.
fn read(method: Method, stream: &[u8]) -> (Vec<Answer>, Option<BadResponse>) {
    let whole = read_answers(method, [stream]);
    for at in 0..=stream.len() {
        let (one, other) = stream.split_at(at);
        assert_eq!(read_answers(method, [one, other]), whole, "{at}: {}", stream.escape_ascii());
    }
    assert_eq!(read_answers(method, stream.chunks(1)), whole, "{}", stream.escape_ascii());
    whole
}

/// The content of the answers, to GET, and whether the connection stays after each.
fn contents(stream: &str) -> Vec<(u16, String, bool)> {
    let (answers, bad) = read(Method::Get, stream.as_bytes());
    assert_eq!(bad, None, "{stream:?}");
    let content = |one: &Answer| String::from_utf8(one.content.clone()).unwrap();
    answers.iter().map(|one| (one.status, content(one), one.is_persistent)).collect()
}

fn one(status: u16, content: &str, is_persistent: bool) -> Vec<(u16, String, bool)> {
    vec![(status, content.to_owned(), is_persistent)]
}

fn bad(stream: &str) -> BadResponse {
    read(Method::Get, stream.as_bytes()).1.unwrap_or_else(|| panic!("{stream:?} is read"))
}

/// RFC 9112 section 6.3, case by case.
#[test]
fn content_ends_where_the_standard_says() {
    // 1: whatever the fields say.
    for code in [204, 304] {
        let stream = format!("HTTP/1.1 {code} \r\nContent-Length: 3\r\n\r\n");
        assert_eq!(contents(&stream), one(code, "", true));
    }
    let (answers, bad) =
        read(Method::Head, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!((answers[0].content.len(), answers[0].is_persistent, bad), (0, true, None));
    // 3: the coding goes before the length, and the connection is not used again.
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    assert_eq!(contents(both), one(200, "ab", false));
    // 4: chunked, or until the connection ends.
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nA: b\r\n\r\n";
    assert_eq!(contents(chunked), one(200, "abc", true));
    let coded = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    assert_eq!(contents(coded), one(200, "2\r\nab\r\n0\r\n\r\n", false));
    let old = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    assert_eq!(contents(old), one(200, "a", false));
    // 5: equal lengths are one.
    for lengths in ["Content-Length: 2, 2", "Content-Length: 2\r\nContent-Length: 2"] {
        assert_eq!(
            contents(&format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nab")),
            one(200, "ab", true)
        );
    }
    // 6 and 8.
    assert_eq!(contents("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), one(200, "", true));
    assert_eq!(contents("HTTP/1.1 200 OK\r\n\r\nab\r\n\r\n"), one(200, "ab\r\n\r\n", false));
}

#[test]
fn one_follows_the_other() {
    let stream = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na\
        HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 204 \r\n\r\n";
    let expected = [one(200, "a", true), one(404, "", true), one(204, "", true)].concat();
    assert_eq!(contents(stream), expected);
}

/// What is the same is not parsed again, and means the same; also to another method, and where one begins like the other.
#[test]
fn the_same_again_is_the_same() {
    let [one, other] =
        ["2", "22"].map(|length| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
    let content = "a".repeat(22);
    let stream = format!("{one}ab{one}cd{other}{content}{one}ef");
    let expected = [one_of("ab"), one_of("cd"), one_of(&content), one_of("ef")].concat();
    assert_eq!(contents(&stream), expected);
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(3);
    assert_eq!(contents(&format!("{interim}{one}ab{interim}{one}cd")), expected[..2]);
    let (answers, bad) = read(Method::Head, one.repeat(3).as_bytes());
    assert_eq!((answers.len(), bad), (3, None));
    let mut decoder = ResponseDecoder::new(&Limits::default());
    for (method, next) in [(Method::Get, 2), (Method::Head, 0), (Method::Get, 2)] {
        decoder.begin(method);
        assert_eq!(decoder.advance(one.as_bytes()).unwrap().0, one.len());
        assert_eq!(decoder.advance(b"ab").unwrap().0, next);
    }
}

fn one_of(content: &str) -> Vec<(u16, String, bool)> {
    one(200, content, true)
}

#[test]
fn connections_stay_as_the_server_says() {
    for (head, stays) in [
        ("1.1 200 OK\r\n", true),
        ("1.1 200 OK\r\nConnection: close\r\n", false),
        ("1.1 200 OK\r\nConnection: x, CLOSE\r\n", false),
        ("1.0 200 OK\r\n", false),
        ("1.0 200 OK\r\nConnection: Keep-Alive\r\n", true),
        ("1.1 101 \r\n", false),
    ] {
        let answer = contents(&format!("HTTP/{head}Content-Length: 0\r\n\r\n"));
        assert_eq!(answer[0].2, stays, "{head}");
    }
}

#[test]
fn what_is_wrong_has_a_name() {
    for (stream, expected) in [
        ("SSH-2.0-OpenSSH\r\n", BadResponse::NotHttp),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", BadResponse::NotHttp),
        ("HTTP/2.0 200 OK\r\n\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 600 No\r\n\r\n", BadResponse::Status),
        ("HTTP/1.1 200 OK\nA: b\n\n", BadResponse::BareLf),
        ("HTTP/1.1 200 OK\r\nA b\r\n\r\n", BadResponse::Field),
        ("HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n", BadResponse::Field),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", BadResponse::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", BadResponse::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2,\r\n\r\n", BadResponse::Length),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            BadResponse::Chunks(Fault::BadChunkSize),
        ),
        ("HTTP/1.1 200 OK\r\nCont", BadResponse::IncompleteHead),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", BadResponse::IncompleteContent),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
            BadResponse::IncompleteContent,
        ),
    ] {
        assert_eq!(bad(stream), expected, "{stream:?}");
    }
    let many = "A: b\r\n".repeat(129);
    assert_eq!(bad(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")), BadResponse::TooManyFields);
    let long = "b".repeat(32 << 10);
    let long = format!("HTTP/1.1 200 OK\r\nA: {long}\r\n\r\n");
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| read_answers(Method::Get, pieces).1;
    assert_eq!(read(&mut [long.as_bytes()].into_iter()), Some(BadResponse::HeadTooLarge));
    assert_eq!(read(&mut long.as_bytes().chunks(1)), Some(BadResponse::HeadTooLarge));
}

/// Words that make a response, in any order.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 404 \r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 304 x\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "A: b\r\n",
        "\r\n",
        "abc",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "\r",
        "\n",
        "HT",
        "\0",
    ]);
    prop::collection::vec(words, 0..14).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: Some(Box::new(Direct("tests/responses.proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn answers_do_not_depend_on_pieces(stream in streams(), is_head in any::<bool>()) {
        read(if is_head { Method::Head } else { Method::Get }, &stream);
    }
}
