//! Connections of a real server: requests of all forms, content in both directions, limits, faults, the end.

mod serve_kit;

use raddle::time::sleep;
use raddle_http::protocol::Limits;
use raddle_http::server::{Server, Times};
use raddle_http::{Body, Request, Response};
use serve_kit::{Case, Client, PATIENCE, finished, started};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

const CASES: &[Case] = &[
    ("one_connection_serves_many_requests", one_connection_serves_many_requests),
    ("pipelined_requests_are_answered_in_order", pipelined_requests_are_answered_in_order),
    ("so_many_answers_are_gathered_and_no_more", so_many_answers_are_gathered_and_no_more),
    ("requests_arrive_byte_by_byte", requests_arrive_byte_by_byte),
    ("content_goes_in_and_out", content_goes_in_and_out),
    ("a_client_that_asks_first_is_told_to_continue", a_client_that_asks_first_is_told_to_continue),
    ("responses_are_streamed", responses_are_streamed),
    ("old_clients_are_served", old_clients_are_served),
    ("faults_are_named_and_end_the_connection", faults_are_named_and_end_the_connection),
    ("a_handler_that_panics_answers_500", a_handler_that_panics_answers_500),
    ("unread_content_is_no_next_request", unread_content_is_no_next_request),
    ("slow_heads_are_cut_off", slow_heads_are_cut_off),
    ("slow_content_is_cut_off", slow_content_is_cut_off),
    ("slow_readers_are_cut_off", slow_readers_are_cut_off),
    ("who_stops_reading_is_reset_in_time", who_stops_reading_is_reset_in_time),
    ("idle_connections_are_closed", idle_connections_are_closed),
    ("connections_have_so_many_requests", connections_have_so_many_requests),
    ("more_connections_wait", more_connections_wait),
    ("an_end_lets_requests_finish", an_end_lets_requests_finish),
    ("an_end_by_force_stops_handlers", an_end_by_force_stops_handlers),
    ("who_was_idle_for_a_while_is_served_again", who_was_idle_for_a_while_is_served_again),
    ("hundreds_of_connections_are_idle", hundreds_of_connections_are_idle),
];

fn main() -> ExitCode {
    serve_kit::main(CASES)
}

fn server() -> Server {
    let server = Server::new()
        .route("/hello/{name}", |request| {
            Response::text(format!("hello, {}", request.param("name").expect("it is named")))
        })
        .and_then(|server| server.route("/echo", echo))
        .and_then(|server| server.route("/panic", |_| panic!("on purpose")))
        .and_then(|server| server.route("/large", |_| Response::text(vec![b'x'; 8 << 20])))
        .and_then(|server| server.route("/ignore", |_| Response::text("ignored")));
    server.expect("valid routes")
}

fn echo(request: &mut Request<'_>) -> Response {
    match request.read_all(64 << 20) {
        Ok(content) => Response::of_type("application/octet-stream", content),
        Err(error) => Response::text(error.to_string()),
    }
}

fn one_connection_serves_many_requests() {
    let running = started(server());
    let mut client = Client::connect(running.local_addr());
    for count in 0..100 {
        let answer = client.get(&format!("/hello/{count}"), &[]);
        assert_eq!((answer.status, answer.text()), (200, &*format!("hello, {count}")));
        assert!(answer.field("date").is_some_and(|date| date.ends_with(" GMT")));
    }
    let answer = client.ask("HEAD", "/hello/you", &[]);
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("10")));
    assert_eq!(client.get("/nowhere", &[]).status, 404);
    assert_eq!(client.get("/hello/%41%2f..", &[]).text(), "hello, A/..");
    assert_eq!(client.get("/x/../hello/b", &[]).text(), "hello, b");
    assert_eq!(client.get("/..", &[]).status, 400);
    assert_eq!(client.ask("OPTIONS", "*", &[]).status, 204);
    let answer = client.get("/hello/last", &["Connection: close"]);
    assert!(answer.says_close());
    client.expect_end();
    finished(&running);
}

fn pipelined_requests_are_answered_in_order() {
    let running = started(server());
    let mut client = Client::connect(running.local_addr());
    for round in 0..20 {
        let name = |at| format!("{round}-{at}");
        let requests: String = (0..64)
            .map(|at| format!("GET /hello/{} HTTP/1.1\r\nHost: a\r\n\r\n", name(at)))
            .collect();
        client.send(requests);
        for at in 0..64 {
            assert_eq!(client.answer(false).text(), format!("hello, {}", name(at)));
        }
    }
    // More than the buffers of both sides hold, between small ones.
    client.send(
        "GET /hello/a HTTP/1.1\r\nHost: a\r\n\r\nGET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3),
    );
    for _ in 0..3 {
        assert_eq!(client.answer(false).text(), "hello, a");
        assert_eq!(client.answer(false).body.len(), 8 << 20);
    }
    finished(&running);
}

/// Who sends ahead has the first answers before a later one is made.
fn so_many_answers_are_gathered_and_no_more() {
    let may_answer = Arc::new(AtomicBool::new(false));
    let server = server().limits(Limits { pipelined: 3, ..Limits::default() }).route("/wait", {
        let may_answer = may_answer.clone();
        move |_| {
            while !may_answer.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(1));
            }
            Response::text("at last")
        }
    });
    let running = started(server.expect("a valid route"));
    let mut client = Client::connect(running.local_addr());
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let requests: String = ["/hello/0", "/hello/1", "/hello/2", "/wait"].map(ask).concat();
    client.send(requests);
    for at in 0..3 {
        assert_eq!(client.answer(false).text(), format!("hello, {at}"));
    }
    may_answer.store(true, Ordering::Relaxed);
    assert_eq!(client.answer(false).text(), "at last");
    finished(&running);
}

fn requests_arrive_byte_by_byte() {
    let running = started(server());
    let mut client = Client::connect(running.local_addr());
    client.stream.set_nodelay(true).expect("a socket of ours");
    for byte in
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    {
        client.send([*byte]);
    }
    assert_eq!(client.answer(false).text(), "abc");
    finished(&running);
}

fn content_goes_in_and_out() {
    let running = started(server());
    let mut client = Client::connect(running.local_addr());
    for size in [0, 1, 4095, 4096, 4097, 100_000, 5 << 20] {
        let content: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
        client.send(&content);
        assert_eq!(client.answer(false).body, content);
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in content.chunks(10_000) {
            client.send(format!("{:x}\r\n", piece.len()));
            client.send(piece);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.answer(false).body, content);
    }
    finished(&running);
}

fn a_client_that_asks_first_is_told_to_continue() {
    let running = started(server());
    let mut client = Client::connect(running.local_addr());
    let head = "HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    client.send(format!("POST /echo {head}"));
    assert_eq!(client.answer(false).status, 100);
    client.send("hi");
    assert_eq!(client.answer(false).text(), "hi");
    // A handler that does not want it answers at once, and nobody knows what comes next.
    client.send(format!("POST /ignore {head}"));
    let answer = client.answer(false);
    assert!(answer.status == 200 && answer.says_close());
    client.stream.shutdown(std::net::Shutdown::Write).expect("it is connected");
    client.expect_end();
    finished(&running);
}

fn responses_are_streamed() {
    let (go, goes) = mpsc::channel::<()>();
    let goes = Arc::new(Mutex::new(goes));
    let server = server()
        .route("/events", move |_| {
            let goes = goes.clone();
            let events = Body::writer(move |to| {
                for count in 0..3 {
                    write!(to, "data: {count}\n\n")?;
                    to.flush()?;
                    goes.lock().unwrap().recv().expect("the test lives");
                }
                Ok(())
            });
            Response::of_type("text/event-stream", events)
        })
        .and_then(|server| {
            server.route("/reader/{length}", |request| {
                let length = request.param("length").and_then(|length| length.parse().ok());
                let reader = Box::new(std::io::repeat(b'r').take(100_000));
                Response::text(Body::Reader { length, reader })
            })
        })
        .and_then(|server| {
            server.route("/broken", |_| {
                Response::text(Body::writer(|to| {
                    to.write_all(b"half")?;
                    Err(std::io::Error::other("the source has failed"))
                }))
            })
        })
        .expect("valid routes");
    let running = started(server);
    let mut client = Client::connect(running.local_addr());
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut seen = Vec::new();
    for count in 0..3 {
        // Each event arrives before the next one is made.
        let event = format!("data: {count}\n\n");
        while !String::from_utf8_lossy(&seen).contains(&event) {
            seen.extend(client.read_byte().expect("it comes"));
        }
        go.send(()).expect("the handler waits");
    }
    while !seen.ends_with(b"0\r\n\r\n") {
        seen.extend(client.read_byte().expect("it comes"));
    }
    let answer = client.get("/reader/unknown", &[]);
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.body, vec![b'r'; 100_000]);
    let answer = client.get("/reader/70000", &[]);
    assert_eq!((answer.field("content-length"), answer.body.len()), (Some("70000"), 70_000));
    // Less than was announced: the end comes too early, and the client sees it.
    client.send("GET /reader/100001 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.try_answer(false).is_err());
    let mut client = Client::connect(running.local_addr());
    client.send(
        "GET /hello/first HTTP/1.1\r\nHost: a\r\n\r\nGET /broken HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.answer(false).text(), "hello, first");
    assert!(client.try_answer(false).is_err());
    finished(&running);
}

fn old_clients_are_served() {
    let running = started(server());
    let mut client = Client::connect(running.local_addr());
    client.send("GET /hello/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer(false);
    assert_eq!((answer.text(), answer.field("connection")), ("hello, a", Some("keep-alive")));
    client.send("GET /hello/b HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer(false).text(), "hello, b");
    client.expect_end();
    finished(&running);
}

fn faults_are_named_and_end_the_connection() {
    const OK: &str = "GET /hello/a HTTP/1.1\r\nHost: a\r\n\r\n";
    let long = "x".repeat(9000);
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\n";
    let rows = [
        ("HELO\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(101)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", format!("A: {long}\r\n").repeat(4)), 431),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n".to_owned(), 417),
        (format!("{post}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
        (format!("{post}Content-Length: 1\r\nContent-Length: 1\r\n\r\na"), 400),
        (format!("{post}Content-Length: -1\r\n\r\n"), 400),
        (format!("{post}Content-Length: 99999999999\r\n\r\n"), 413),
        (format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n"), 501),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nx\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n"), 413),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(), 501),
    ];
    let running = started(server());
    for (request, status) in rows {
        let mut client = Client::connect(running.local_addr());
        // What follows in the same packet is no request any more.
        client.send(format!("{OK}{request}{OK}"));
        assert_eq!(client.answer(false).text(), "hello, a", "{request}");
        let answer = client.answer(false);
        assert_eq!(answer.status, status, "{request}");
        if request.starts_with("CONNECT") {
            continue;
        }
        assert!(answer.says_close(), "{request}");
        client.expect_end();
    }
    finished(&running);
}

fn a_handler_that_panics_answers_500() {
    let running = started(server());
    for _ in 0..3 {
        let mut client = Client::connect(running.local_addr());
        let answer = client.get("/panic", &[]);
        assert!(answer.status == 500 && answer.says_close(), "{answer:?}");
        client.expect_end();
    }
    assert_eq!(Client::connect(running.local_addr()).get("/hello/a", &[]).status, 200);
    finished(&running);
}

fn unread_content_is_no_next_request() {
    let running = started(server());
    let mut client = Client::connect(running.local_addr());
    let smuggled = "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = smuggled.len();
    client.send(format!(
        "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{smuggled}"
    ));
    assert_eq!(client.answer(false).text(), "ignored");
    assert_eq!(client.get("/hello/a", &[]).text(), "hello, a");
    // Of much the rest is not waited for; the answer arrives nevertheless.
    client.send("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    client.send(vec![b'x'; 100_000]);
    let answer = client.answer(false);
    assert!(answer.text() == "ignored" && answer.says_close());
    client.expect_end();
    finished(&running);
}

/// Limits that a test can wait for, and time enough for those who keep to them.
fn short(times: Times) -> Server {
    server().times(Times { linger: Duration::from_millis(200), ..times })
}

/// Others are served while somebody is slow.
fn serves(at: SocketAddr) {
    assert_eq!(Client::connect(at).get("/hello/other", &[]).text(), "hello, other");
}

fn slow_heads_are_cut_off() {
    let running = started(short(Times { head: Duration::from_millis(500), ..Times::default() }));
    let mut client = Client::connect(running.local_addr());
    let begun = Instant::now();
    // One byte at a time: what counts is the whole.
    let mut sent = 0;
    for byte in b"GET /hello/a HTTP/1.1\r\nX-Long: ".iter().chain([&b'x'; 1000]) {
        if client.stream.write_all(&[*byte]).is_err() || begun.elapsed() > Duration::from_secs(2) {
            break;
        }
        sent += 1;
        serves(running.local_addr());
        std::thread::sleep(Duration::from_millis(30));
    }
    assert!(sent < 1000 && begun.elapsed() >= Duration::from_millis(500));
    let answer = client.answer(false);
    assert!(answer.status == 408 && answer.says_close());
    // Who says nothing at all is not answered.
    let mut client = Client::connect(running.local_addr());
    client.expect_end();
    finished(&running);
}

fn slow_content_is_cut_off() {
    let times = Times { content: Duration::from_millis(300), rate_min: 1000, ..Times::default() };
    let running = started(short(times));
    let mut client = Client::connect(running.local_addr());
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    for _ in 0..1000 {
        if client.stream.write_all(b"x").is_err() {
            break;
        }
        serves(running.local_addr());
        std::thread::sleep(Duration::from_millis(10));
        client.stream.set_nonblocking(true).expect("a socket of ours");
        let is_answered = client.stream.peek(&mut [0]).is_ok();
        client.stream.set_nonblocking(false).expect("a socket of ours");
        if is_answered {
            break;
        }
    }
    let answer = client.answer(false);
    assert!(answer.status == 408 && answer.says_close());
    client.expect_end();
    finished(&running);
}

fn slow_readers_are_cut_off() {
    let times =
        Times { content: Duration::from_millis(300), rate_min: 1 << 30, ..Times::default() };
    let running = started(short(times));
    let mut client = Client::connect(running.local_addr());
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4));
    let (mut count, mut piece) = (0, [0; 4096]);
    // It reads on, slowly; the end comes all the same.
    while let Ok(read @ 1..) = client.stream.read(&mut piece) {
        count += read;
        serves(running.local_addr());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(count < 32 << 20, "all came");
    finished(&running);
}

/// Within the time for one part, and by a reset, or else the kernel would keep what was not taken.
fn who_stops_reading_is_reset_in_time() {
    const LIMIT: Duration = Duration::from_secs(4);
    let path = std::env::temp_dir().join(format!("raddle-http-slow-{}", std::process::id()));
    std::fs::write(&path, vec![b'x'; 50 << 20]).expect("a file of ours");
    let file = Arc::new(raddle::fs::File::open(&path).expect("it is there"));
    std::fs::remove_file(&path).expect("a file of ours");
    // A part is a mebibyte at most.
    let times = Times { content: LIMIT, rate_min: 1 << 30, ..Times::default() };
    let server = Server::new()
        .times(times)
        .otherwise(move |_| Response::text(Body::File { file: file.clone(), range: 0..50 << 20 }));
    let running = started(server);
    let mut client = Client::connect(running.local_addr());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.stream.read_exact(&mut vec![0; 8 << 20]).expect("it comes");
    let stopped = Instant::now();
    while running.connections() > 0 {
        assert!(stopped.elapsed() < PATIENCE, "it is held");
        std::thread::sleep(Duration::from_millis(10));
    }
    let held = stopped.elapsed();
    assert!(held < LIMIT + LIMIT * 3 / 4, "{held:?}");
    let rest = client.stream.read_to_end(&mut Vec::new());
    assert_eq!(rest.expect_err("it is no end").kind(), std::io::ErrorKind::ConnectionReset);
    finished(&running);
}

fn idle_connections_are_closed() {
    let running = started(short(Times { idle: Duration::from_millis(200), ..Times::default() }));
    let mut client = Client::connect(running.local_addr());
    assert_eq!(client.get("/hello/a", &[]).status, 200);
    client.expect_end();
    finished(&running);
}

fn connections_have_so_many_requests() {
    let running = started(server().limits(Limits { requests: 3, ..Limits::default() }));
    let mut client = Client::connect(running.local_addr());
    for count in 1..=3 {
        let answer = client.get("/hello/a", &[]);
        assert_eq!(answer.says_close(), count == 3);
    }
    client.expect_end();
    finished(&running);
}

fn more_connections_wait() {
    let running = started(server().connections_max(2));
    let mut clients = [0, 1].map(|_| Client::connect(running.local_addr()));
    for client in &mut clients {
        assert_eq!(client.get("/hello/a", &[]).status, 200);
    }
    let mut third = Client::connect(running.local_addr());
    third.send("GET /hello/third HTTP/1.1\r\nHost: a\r\n\r\n");
    third.stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket of ours");
    assert!(third.try_answer(false).is_err(), "there is no room yet");
    third.stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
    drop(clients);
    assert_eq!(third.answer(false).text(), "hello, third");
    drop(third);
    finished(&running);
}

fn an_end_lets_requests_finish() {
    let (begun, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let (begun, goes) = (Mutex::new(begun), Mutex::new(goes));
    let server = server()
        .route("/wait", move |_| {
            begun.lock().unwrap().send(()).expect("the test lives");
            goes.lock().unwrap().recv().expect("the test lives");
            Response::text("done")
        })
        .expect("a valid route");
    let running = started(server);
    let mut idle = Client::connect(running.local_addr());
    assert_eq!(idle.get("/hello/a", &[]).status, 200);
    let mut busy = Client::connect(running.local_addr());
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    begins.recv_timeout(PATIENCE).expect("the handler runs");
    running.drain();
    idle.expect_end();
    assert!(!running.wait_timeout(Duration::from_millis(50)), "one is busy");
    go.send(()).expect("the handler waits");
    let answer = busy.answer(false);
    assert!(answer.text() == "done" && answer.says_close());
    busy.expect_end();
    assert!(running.wait_timeout(PATIENCE));
    assert!(std::net::TcpStream::connect(running.local_addr()).is_err(), "nobody listens");
}

fn an_end_by_force_stops_handlers() {
    let (begun, begins) = mpsc::channel();
    let begun = Mutex::new(begun);
    let server = server()
        .route("/sleep", move |_| {
            begun.lock().unwrap().send(()).expect("the test lives");
            sleep(Duration::from_secs(3600));
            Response::text("awake")
        })
        .expect("a valid route");
    let running = started(server);
    let mut client = Client::connect(running.local_addr());
    client.send("GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n");
    begins.recv_timeout(PATIENCE).expect("the handler runs");
    running.end();
    client.expect_end();
    assert!(running.wait_timeout(PATIENCE));
}

fn hundreds_of_connections_are_idle() {
    const COUNT: usize = 400;
    let running = started(server());
    let mut clients: Vec<Client> =
        (0..COUNT).map(|_| Client::connect(running.local_addr())).collect();
    for client in &mut clients {
        client.send("GET /hello/a HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer(false).text(), "hello, a");
    }
    assert_eq!(running.connections(), COUNT);
    finished(&running);
    clients.iter_mut().for_each(Client::expect_end);
}

fn who_was_idle_for_a_while_is_served_again() {
    let running = started(server());
    let mut client = Client::connect(running.local_addr());
    for _ in 0..2 {
        assert_eq!(client.get("/hello/a", &[]).text(), "hello, a");
        // Its buffers are gone by now. More than the first read takes:
        std::thread::sleep(Duration::from_millis(1500));
        let long = format!("X-Long: {}", "x".repeat(3000));
        assert_eq!(client.get("/hello/b", &[&long]).text(), "hello, b");
    }
    finished(&running);
}
