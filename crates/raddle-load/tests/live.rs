//! Runs over the kernel's sockets, against raddle's own server: what is asked arrives as it was meant, and what comes back is counted.

mod kit;

use kit::{ANSWER, listen, plan, read_head, target};
use raddle::net::UnixListener;
use raddle::sync::Mutex;
use raddle::thread;
use raddle::time::Duration;
use raddle_http::server::{Running, Server};
use raddle_http::tls::{Certificate, ClientTls, Tls};
use raddle_http::{Header, Method, Response};
use raddle_load::{
    Ask, CannotBegin, Detour, Outcome, Pace, Place, Plan, Run, Spacing, Step, Target, Url,
};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// So many requests by this plan.
fn run(mut plan: Plan, requests: u64) -> Outcome {
    (plan.requests, plan.time) = (Some(requests), None);
    let outcome = Run::new(plan).run(|_| ()).expect("the server is there");
    // What comes behind an answer is a failure that belongs to no request.
    let unasked = outcome.figures.failures.iter().filter(|(one, _)| one.what.contains("nobody"));
    let unasked: u64 = unasked.map(|(_, count)| count).sum();
    assert_eq!(outcome.figures.answers() + outcome.figures.failed_count() - unasked, requests);
    assert_eq!(outcome.figures.first_byte.count(), outcome.figures.answers());
    outcome
}

/// All are answered so.
fn assert_status(outcome: &Outcome, status: u16) {
    let figures = &outcome.figures;
    assert_eq!(figures.failures.keys().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    let statuses: Vec<u16> = figures.by_status.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [status]);
}

/// Counts requests, and answers each with what it was.
fn counting() -> (Running, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let server = Server::new().otherwise(move |request| {
        counted.fetch_add(1, Relaxed);
        let mut content = String::new();
        request.body().read_to_string(&mut content).expect("it is short");
        let field = request.headers().get_str("X-A").unwrap_or_default().to_owned();
        let text = format!("{} {field} {content}", request.method());
        Response::text(text)
    });
    (server.bind("127.0.0.1:0").unwrap(), count)
}

#[test]
fn every_request_is_asked_once() {
    let (server, count) = counting();
    for (depth, keeps) in [(1, true), (1, false), (7, true)] {
        let mut plan = plan(server.local_addr());
        (plan.connections, plan.depth, plan.keeps) = (10, depth, keeps);
        let outcome = run(plan, 1_000);
        assert_status(&outcome, 200);
        let connects = outcome.figures.connect.count();
        // A client that comes when all have been asked needs no connection.
        let expected = if keeps { 1..=10 } else { 1_000..=1_000 };
        assert!(expected.contains(&connects), "{depth} {keeps}: {connects}");
        // Those of a wave that were not to count any more are not asked either.
        assert_eq!(count.swap(0, Relaxed), 1_000);
    }
}

#[test]
fn methods_fields_and_content_arrive() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let server = Server::new().otherwise(move |request| {
        let mut content = String::new();
        request.body().read_to_string(&mut content).expect("it is short");
        let field = |name: &str| request.headers().get_str(name).unwrap_or_default().to_owned();
        let line = format!("{} {} {} {content}", request.method(), field("Host"), field("X-A"));
        kept.lock().unwrap().push(line);
        Response::text("x".repeat(100_000))
    });
    let server = server.bind("127.0.0.1:0").unwrap();
    let ask = |method, body: &[u8]| Ask {
        method,
        fields: vec![("X-A".to_owned(), "b".to_owned()), ("host".to_owned(), "c".to_owned())],
        body: body.to_vec(),
        closes: false,
    };
    for (method, body, expected) in [
        (Method::Post, &b"content"[..], "POST c b content"),
        (Method::Put, b"", "PUT c b "),
        (Method::Head, b"", "HEAD c b "),
    ] {
        let mut plan = Plan::new(vec![target(server.local_addr(), &ask(method, body))]);
        plan.depth = 3;
        let outcome = run(plan, 20);
        assert_status(&outcome, 200);
        assert_eq!(outcome.figures.bytes > 2_000_000, method != Method::Head);
        assert!(seen.lock().unwrap().drain(..).all(|line| line == expected), "{expected}");
    }
}

/// Each framing that ends an answer, over and over on one connection or on new ones.
#[test]
fn answers_of_every_form_are_read() {
    for (answer, per_connection) in [
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 9),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", 9),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na", 1),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", 1),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 1),
    ] {
        let at = listen(move |mut stream| {
            for _ in 0..per_connection {
                if !read_head(&mut stream) {
                    return;
                }
                // In two pieces, wherever that is.
                let (one, other) = answer.split_at(answer.len() / 2);
                stream.write_all(one.as_bytes()).unwrap();
                thread::yield_now();
                stream.write_all(other.as_bytes()).unwrap();
            }
        });
        let mut plan = plan(at);
        plan.connections = 1;
        let outcome = run(plan, 9);
        assert_status(&outcome, 200);
        assert_eq!(outcome.figures.connect.count(), 9 / per_connection, "{answer:?}");
        assert_eq!(outcome.figures.bytes, 9 * answer.len() as u64);
    }
}

#[test]
fn failures_are_told_apart() {
    for (answer, step, what) in [
        ("", Step::Closed, "before the answer"),
        ("HTTP/1.1 200", Step::Closed, "within the answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", Step::Closed, "within the answer"),
        ("SSH-2.0-x\r\n", Step::Protocol, "the answer is no HTTP"),
        ("HTTP/1.1 204 \r\n\r\nmore", Step::Protocol, "bytes that nobody has asked for"),
    ] {
        let at = listen(move |mut stream| {
            if read_head(&mut stream) {
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let outcome = run(plan(at), 3);
        let failures = &outcome.figures.failures;
        let told: Vec<_> =
            failures.iter().map(|(one, count)| (one.step, &*one.what, *count)).collect();
        assert_eq!(told, [(step, what, 3)], "{answer:?}");
    }
}

#[test]
fn targets_share_connections_by_their_weights() {
    let (one, one_count) = counting();
    let (other, other_count) = counting();
    let ask = Ask::default();
    let targets = vec![
        target(one.local_addr(), &ask).weighing(3),
        target(other.local_addr(), &ask),
        target(other.local_addr(), &ask).weighing(0),
    ];
    let mut plan = Plan::new(targets);
    (plan.connections, plan.depth) = (4, 2);
    assert_status(&run(plan, 4_000), 200);
    let (one, other) = (one_count.load(Relaxed), other_count.load(Relaxed));
    assert!(one + other == 4_000 && (800..1_200).contains(&other), "{one} {other}");
}

#[test]
fn a_unix_socket_is_a_place() {
    let path = std::env::temp_dir().join(format!("raddle-load-{}", std::process::id()));
    _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || Server::new().serve_one(&mut stream));
        }
    });
    let url: Url = "http://no-such-host.invalid/".parse().unwrap();
    let detour = Detour { socket: Some(path.clone()), address: None };
    let place = Arc::new(Place::of(&url, &detour, None).unwrap());
    let mut plan = Plan::new(vec![Target::new(&url, place, &Ask::default())]);
    let outcome = run(plan.clone(), 50);
    assert_status(&outcome, 404);
    // Of what comes over one, the kernel does not say when it came.
    plan.pace = Some(a_thousand_a_second());
    let outcome = run(plan, 50);
    std::fs::remove_file(&path).unwrap();
    assert_status(&outcome, 404);
    assert_eq!(outcome.figures.read_late.count(), 0);
}

fn a_thousand_a_second() -> Pace {
    Pace { rate: 1_000.0, spacing: Spacing::Even, ramp: Duration::ZERO }
}

#[test]
fn in_an_open_loop_an_answer_is_there_when_it_has_come() {
    let (plain, _) = counting();
    let (secure, _, pem) = secure();
    let tls = ClientTls::trusting(&pem).unwrap();
    for closed in [plan(plain.local_addr()), secure_plan(secure.local_addr(), "localhost", &tls)] {
        let mut open = closed.clone();
        (open.pace, open.connections) = (Some(a_thousand_a_second()), 20);
        let figures = run(open, 1_000).figures;
        // The kernel begins to stamp a moment after it was asked to.
        let read_late = figures.read_late.count();
        assert!((1..=1_000).contains(&read_late), "{read_late} stamps");
        assert_eq!(figures.latency().count(), 1_000);
        assert!(figures.service.min() > 0, "an answer came before it was asked for");
        assert_eq!(run(closed, 100).figures.read_late.count(), 0);
    }
}

/// A server with a certificate for `localhost`, and that certificate.
fn secure() -> (Running, Tls, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = Tls::new(Certificate::from_pem(pem.as_bytes(), key.as_bytes()).unwrap());
    let server = Server::new().tls(tls.clone()).otherwise(|request| {
        let host = request.headers().get_str(Header::Host).unwrap_or_default().to_owned();
        Response::text(host)
    });
    (server.bind("127.0.0.1:0").unwrap(), tls, pem.into_bytes())
}

fn secure_plan(at: SocketAddr, host: &str, tls: &ClientTls) -> Plan {
    let url: Url = format!("https://{host}:{}/", at.port()).parse().unwrap();
    let detour = Detour { address: Some(at.to_string()), socket: None };
    let place = Arc::new(Place::of(&url, &detour, Some(tls)).unwrap());
    Plan::new(vec![Target::new(&url, place, &Ask::default())])
}

#[test]
fn handshakes_are_made_and_measured() {
    let (server, tls, pem) = secure();
    let client = ClientTls::trusting(&pem).unwrap();
    for (client, resumed) in [(client.clone(), false), (client.resuming(), true)] {
        let before = tls.handshakes();
        let mut plan = secure_plan(server.local_addr(), "localhost", &client);
        plan.keeps = false;
        let outcome = run(plan, 20);
        assert_status(&outcome, 200);
        assert_eq!(outcome.figures.handshake.count(), 20);
        let after = tls.handshakes();
        assert_eq!(after.resumed - before.resumed > 10, resumed, "{before:?} {after:?}");
    }
}

#[test]
fn who_is_not_to_be_trusted_is_not_asked() {
    let (server, _, pem) = secure();
    let trusting = ClientTls::trusting(&pem).unwrap();
    let error = |plan| match Run::new(plan).run(|_| ()) {
        Err(CannotBegin::Unreachable(_, failure)) => failure,
        other => panic!("{other:?}"),
    };
    let at = server.local_addr();
    let failure = error(secure_plan(at, "example.org", &trusting));
    assert_eq!(failure.step, Step::Handshake);
    assert!(failure.what.contains("not valid for name"), "{failure}");
    let stranger = ClientTls::trusting(&secure().2).unwrap();
    let failure = error(secure_plan(at, "localhost", &stranger));
    assert!(failure.what.contains("certificate"), "{failure}");
    assert_status(&run(secure_plan(at, "example.org", &ClientTls::trusting_anyone()), 2), 200);
}

#[test]
fn a_run_is_stopped_with_what_it_has() {
    let at = listen(|mut stream| {
        for _ in 0..5 {
            if !read_head(&mut stream) {
                return;
            }
            stream.write_all(ANSWER).unwrap();
        }
        // No more: whoever asks waits.
        _ = stream.read(&mut [0; 1000]);
        thread::park();
    });
    let mut plan = plan(at);
    (plan.time, plan.connections) = (Some(std::time::Duration::from_secs(3600)), 2);
    plan.interval = std::time::Duration::from_millis(20);
    let run = Run::new(plan);
    let stopper = run.stopper();
    let mut answers = 0;
    let outcome = run.run(|interval| {
        answers += interval.answers;
        if answers == 10 {
            stopper.stop();
        }
    });
    let outcome = outcome.unwrap();
    assert_eq!(outcome.end, raddle_load::End::Stopped);
    assert_eq!((outcome.figures.answers(), outcome.figures.unfinished), (10, 2));
}
