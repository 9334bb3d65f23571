//! What its operator and its logs see of a real server: lines in files that are renamed, on full disks, in the way of nobody; what requests are
//! called; numbers; events that a server sends.

mod serve_kit;

use log::{Log, Metadata, Record};
use raddle::sync::channel;
use raddle_http::access::{AccessLog, Format};
use raddle_http::error_log::{ErrorLog, Form};
use raddle_http::metrics::Metrics;
use raddle_http::protocol::Limits;
use raddle_http::server::{Event, Events, Plugin, Running, Served, Server};
use raddle_http::{Body, Request, Response, current};
use serve_kit::{Case, Client, PATIENCE, finished};
use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const CASES: &[Case] = &[
    ("no_line_is_lost_when_a_log_is_renamed", no_line_is_lost_when_a_log_is_renamed),
    ("a_full_disk_is_one_warning", a_full_disk_is_one_warning),
    ("a_log_that_is_stuck_holds_up_nobody", a_log_that_is_stuck_holds_up_nobody),
    ("a_log_that_cannot_be_opened_anew_stays", a_log_that_cannot_be_opened_anew_stays),
    ("requests_have_names", requests_have_names),
    ("what_is_told_has_its_request", what_is_told_has_its_request),
    ("all_is_counted", all_is_counted),
    ("events_come_one_by_one", events_come_one_by_one),
    ("an_end_in_order_ends_events", an_end_in_order_ends_events),
    ("an_end_in_order_ends_those_who_only_send", an_end_in_order_ends_those_who_only_send),
    ("content_is_read_as_it_comes", content_is_read_as_it_comes),
];

fn main() -> ExitCode {
    serve_kit::main(CASES)
}

/// A log that is told to a test.
struct Told(Mutex<Vec<String>>);

impl Log for Told {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target().starts_with("raddle_http") {
            self.0.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

static TOLD: Told = Told(Mutex::new(Vec::new()));

fn listen_to_the_log() {
    log::set_logger(&TOLD).expect("each test is a process of its own");
    log::set_max_level(log::LevelFilter::Info);
}

fn told() -> Vec<String> {
    TOLD.0.lock().unwrap().clone()
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("operating-{}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("cargo's own folder for this");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn hello(server: Server) -> Running {
    let server = server.otherwise(|_| Response::text("hello"));
    server.bind("127.0.0.1:0").expect("some port is free")
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn no_line_is_lost_when_a_log_is_renamed() {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 2000;
    const RENAMED: usize = 8;
    let folder = Folder::new();
    let path = folder.0.join("access.log");
    let (log, writing) = AccessLog::to_file(Format::Common, &path).expect("a folder of ours");
    let running = hello(Server::new().plugin(log.clone()));
    let at = running.local_addr();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            thread::spawn(move || {
                let mut client = Client::connect(at);
                for count in 0..REQUESTS {
                    assert_eq!(client.get(&format!("/{number}-{count}"), &[]).status, 200);
                }
            })
        })
        .collect();
    let mut renamed = Vec::new();
    for number in 0..RENAMED {
        let old = folder.0.join(format!("access.log.{number}"));
        fs::rename(&path, &old).expect("it is there");
        log.reopen();
        until("there is no new file", || path.exists());
        renamed.push(old);
    }
    clients.into_iter().for_each(|client| client.join().expect("all are answered"));
    finished(&running);
    drop((running, log));
    writing.join().expect("it does not panic");
    renamed.push(path);
    let read = |path| fs::read_to_string(path).expect("text");
    let lines: Vec<String> = renamed
        .iter()
        .flat_map(|path| read(path).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let target = |line: &String| line.split(' ').nth(6).map(str::to_owned).expect("a whole line");
    let seen: HashSet<String> = lines.iter().map(target).collect();
    assert_eq!((lines.len(), seen.len()), (CLIENTS * REQUESTS, CLIENTS * REQUESTS));
    assert!(lines.iter().all(|line| line.ends_with(" 200 5")), "{lines:?}");
}

fn a_full_disk_is_one_warning() {
    listen_to_the_log();
    let (log, writing) = AccessLog::to_file(Format::Json, "/dev/full").expect("Linux has it");
    let running = hello(Server::new().plugin(log.clone()));
    let mut client = Client::connect(running.local_addr());
    for _ in 0..5000 {
        assert_eq!(client.get("/", &[]).text(), "hello");
    }
    drop(client);
    finished(&running);
    let lost = log.lost_counter();
    drop((running, log));
    writing.join().expect("it does not panic");
    assert_eq!(lost.load(std::sync::atomic::Ordering::Relaxed), 5000);
    let told = told();
    assert!(told.len() == 1 && told[0].contains("can't be written: No space left"), "{told:?}");
}

/// Takes nothing before it is told to; then all.
struct Stuck(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Whoever is gone has told.
        _ = self.0.recv();
        self.1.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn a_log_that_is_stuck_holds_up_nobody() {
    listen_to_the_log();
    let (go, goes) = mpsc::channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let (log, writing) =
        AccessLog::new(Format::Common, Stuck(goes, written.clone())).expect("threads can be had");
    let running = hello(Server::new().plugin(log.clone()));
    let mut client = Client::connect(running.local_addr());
    const REQUESTS: usize = 4000;
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/", &[]).text(), "hello");
    }
    let lost = log.lost() as usize;
    assert!(lost > 0 && lost < REQUESTS, "{lost}");
    drop(go);
    until("it does not move", || told().len() == 2);
    assert_eq!(client.get("/last", &[]).text(), "hello");
    drop(client);
    finished(&running);
    drop((running, log));
    writing.join().expect("it does not panic");
    let text = String::from_utf8(written.lock().unwrap().clone()).expect("text");
    assert_eq!(text.lines().count(), REQUESTS - lost + 1);
    assert!(text.lines().last().is_some_and(|line| line.contains("GET /last ")));
    let told = told();
    assert!(told[0].starts_with("WARN the access log is stuck"), "{told:?}");
    assert!(told[1].starts_with(&format!("WARN the access log moves again; {lost} ")), "{told:?}");
}

fn a_log_that_cannot_be_opened_anew_stays() {
    listen_to_the_log();
    let folder = Folder::new();
    let (inner, elsewhere) = (folder.0.join("inner"), folder.0.join("elsewhere"));
    fs::create_dir(&inner).expect("a folder of ours");
    let path = inner.join("access.log");
    let (log, writing) = AccessLog::to_file(Format::Common, path).expect("a folder of ours");
    let running = hello(Server::new().plugin(log.clone()));
    let mut client = Client::connect(running.local_addr());
    fs::rename(&inner, &elsewhere).expect("a folder of ours");
    log.reopen();
    until("it does not say so", || !told().is_empty());
    assert_eq!(client.get("/after", &[]).status, 200);
    drop(client);
    finished(&running);
    drop((running, log));
    writing.join().expect("it does not panic");
    let text = fs::read_to_string(elsewhere.join("access.log")).expect("it is there");
    assert!(text.contains("GET /after "), "{text}");
    let told = told();
    assert!(told.len() == 1 && told[0].contains("the file from before stays in use"), "{told:?}");
}

/// Remembers what served requests were called.
struct Names(Arc<Mutex<Vec<String>>>);

impl Plugin for Names {
    fn served(&self, served: &Served<'_>) {
        self.0.lock().unwrap().push(served.id.to_string());
    }
}

fn requests_have_names() {
    let names = Arc::new(Mutex::new(Vec::new()));
    let server = Server::new()
        .plugin(Names(names.clone()))
        .tell_request_ids()
        .otherwise(|request| Response::text(request.id().to_string()));
    let running = server.bind("127.0.0.1:0").expect("some port is free");
    let mut client = Client::connect(running.local_addr());
    let mut seen = Vec::new();
    for (fields, given) in [
        (&[][..], None),
        (&["X-Request-ID: from-the-proxy.7"], Some("from-the-proxy.7")),
        (&["X-Request-ID: two words"], None),
        (&["X-Request-ID: a", "X-Request-ID: b"], None),
    ] {
        let answer = client.get("/", fields);
        assert_eq!(answer.field("x-request-id"), Some(answer.text()));
        assert!(given.is_none_or(|given| given == answer.text()), "{}", answer.text());
        seen.push(answer.text().to_owned());
    }
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.answer(false).status, 400);
    client.expect_end();
    let other = Client::connect(running.local_addr()).get("/", &[]);
    finished(&running);
    let names = names.lock().unwrap().clone();
    let fault = &names[4];
    assert_eq!(names[..4], seen);
    assert_eq!(names[5], other.text());
    let connection = seen[0].strip_suffix("-1").expect("the first one");
    assert_eq!(connection.len(), 16);
    assert_eq!(
        [&seen[2], &seen[3], fault].map(|name| name.strip_prefix(connection)),
        [Some("-3"), Some("-4"), Some("-5")]
    );
    assert!(!other.text().starts_with(connection) && other.text().ends_with("-1"));
}

/// A log into memory.
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn what_is_told_has_its_request() {
    let memory = Arc::new(Mutex::new(Vec::new()));
    let log = ErrorLog::new(Form::Json, Memory(memory.clone()));
    log::set_logger(Box::leak(Box::new(log))).expect("each test is a process of its own");
    log::set_max_level(log::LevelFilter::Warn);
    let server = Server::new().otherwise(|request| {
        log::info!("too little to be told");
        log::warn!("in {}", request.path());
        assert_ne!(request.path(), "/panic");
        Response::text("hello")
    });
    let running = server.bind("127.0.0.1:0").expect("some port is free");
    let mut client = Client::connect(running.local_addr());
    let here = client.stream.local_addr().expect("a socket of ours");
    client.get("/\u{22}", &["X-Request-ID: seven"]);
    assert_eq!(client.get("/panic", &["X-Request-ID: eight"]).status, 500);
    log::warn!("of nobody");
    finished(&running);
    let text = String::from_utf8(memory.lock().unwrap().clone()).expect("text");
    // Where io_uring is forbidden that is told, too.
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("not io_uring")).collect();
    let begins = |line: &str, request: &str| {
        line.contains(&format!(
            "\"level\":\"warn\",\"client\":\"{here}\",\"request\":\"{request}\","
        ))
    };
    assert_eq!(lines.len(), 4, "{text}");
    assert!(
        begins(lines[0], "seven") && lines[0].ends_with(",\"message\":\"in /\\\"\"}"),
        "{text}"
    );
    assert!(begins(lines[1], "eight"), "{text}");
    assert!(
        lines[2].contains("\"request\":\"eight\"") && lines[2].contains("has panicked"),
        "{text}"
    );
    assert!(!lines[3].contains("\"client\"") && lines[3].ends_with("\"of nobody\"}"), "{text}");
    assert!(current().is_none());
}

fn all_is_counted() {
    let metrics = Metrics::new();
    let server = Server::new()
        .plugin(metrics.clone())
        .limits(Limits { target_size: 100, ..Limits::default() })
        .route("/panic", |_| panic!("on purpose"))
        .and_then(|server| {
            server.route("/broken", |_| {
                Response::text(Body::writer(|_| Err(io::Error::other("the source has failed"))))
            })
        })
        .expect("valid routes");
    let running = hello(server);
    let at = running.local_addr();
    let mut client = Client::connect(at);
    for _ in 0..3 {
        client.get("/", &[]);
    }
    client.ask("HEAD", "/", &[]);
    client.ask("MERGE", "/", &[]);
    assert_eq!(Client::connect(at).get(&format!("/{}", "x".repeat(200)), &[]).status, 414);
    assert_eq!(Client::connect(at).get("/panic", &[]).status, 500);
    let mut broken = Client::connect(at);
    broken.send("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(broken.try_answer(false).is_err());
    drop(client);
    finished(&running);
    let counts = metrics.counts();
    assert_eq!(counts.by_class(), [0, 6, 0, 1, 1]);
    assert_eq!((counts.requests(), counts.connections, counts.bytes), (8, 4, 4 * 5 + 26 + 41));
    let troubles: Vec<_> = counts.troubles().filter(|(_, count)| *count > 0).collect();
    assert_eq!(troubles, [("malformed", 1), ("handler_panic", 1), ("broken_off", 1)]);
    assert_eq!((counts.errors(), counts.failures(), counts.latency.count()), (3, 1, 8));
    assert!(counts.latency.quantile(1.0) >= counts.latency.quantile(0.5));
    let mut page = raddle_http::metrics::Exposition::new();
    counts.expose(&mut page);
    for line in [
        "raddle_http_requests_total{method=\"GET\",status=\"2xx\"} 4",
        "raddle_http_requests_total{method=\"HEAD\",status=\"2xx\"} 1",
        "raddle_http_requests_total{method=\"other\",status=\"2xx\"} 1",
        "raddle_http_requests_total{method=\"other\",status=\"4xx\"} 1",
        "raddle_http_errors_total{kind=\"malformed\"} 1",
        "raddle_http_request_duration_seconds_bucket{le=\"+Inf\"} 8",
        "raddle_http_request_duration_seconds_count 8",
    ] {
        assert!(page.text().lines().any(|found| found == line), "{line} in {}", page.text());
    }
}

/// A server whose events a test sends.
fn with_events(quiet: Duration) -> (Running, channel::Sender<Event>) {
    let (send, sent) = channel::bounded(16);
    let server = Server::new().otherwise(move |request| {
        let sent = sent.clone();
        let last = Events::last_id(request).unwrap_or("none").to_owned();
        Events::response(request, move |events| {
            events.send(&Event::new(last).named("last"))?;
            events.relay(&sent, quiet)
        })
    });
    (server.bind("127.0.0.1:0").expect("some port is free"), send)
}

/// Reads on until that has come; all that has come.
fn read_until(client: &mut Client, seen: &mut Vec<u8>, what: &str) {
    while !String::from_utf8_lossy(seen).contains(what) {
        seen.extend(client.read_byte().expect("it comes"));
    }
}

fn events_come_one_by_one() {
    let (running, send) = with_events(Duration::from_millis(20));
    let mut client = Client::connect(running.local_addr());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 41\r\n\r\n");
    let mut seen = Vec::new();
    read_until(&mut client, &mut seen, "event: last\ndata: 41\n\n");
    let head = String::from_utf8_lossy(&seen).into_owned();
    for field in ["Content-Type: text/event-stream\r\n", "Cache-Control: no-store\r\n"] {
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(field), "{head}");
    }
    for number in 42..45 {
        // Each arrives before the next one is made.
        send.send(Event::new("a\nb").with_id(&number.to_string())).expect("it is relayed");
        read_until(&mut client, &mut seen, &format!("id: {number}\ndata: a\ndata: b\n\n"));
    }
    // While there are none the connection is kept alive, for as long as one likes.
    for _ in 0..3 {
        seen.clear();
        read_until(&mut client, &mut seen, ":\n\n");
    }
    // Nobody sends any more: the response ends in good order, and the connection goes on.
    drop(running.clone());
    drop(send);
    read_until(&mut client, &mut seen, "\r\n0\r\n\r\n");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.answer(false);
    assert_eq!(answer.text(), "event: last\ndata: none\n\n");
    drop(client);
    finished(&running);
}

fn an_end_in_order_ends_events() {
    let (running, send) = with_events(Duration::from_secs(3600));
    let mut client = Client::connect(running.local_addr());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut seen = Vec::new();
    read_until(&mut client, &mut seen, "data: none\n\n");
    running.drain();
    read_until(&mut client, &mut seen, "\r\n0\r\n\r\n");
    client.expect_end();
    assert!(running.wait_timeout(PATIENCE));
    drop(send);
}

/// Also of whoever only sends, and never looks whether that is to go on.
fn an_end_in_order_ends_those_who_only_send() {
    let server = Server::new().otherwise(|request| {
        Events::response(request, |events| {
            loop {
                events.send(&Event::new("still here"))?;
                raddle::thread::sleep(Duration::from_millis(10));
            }
        })
    });
    let running = server.bind("127.0.0.1:0").expect("some port is free");
    let mut client = Client::connect(running.local_addr());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut seen = Vec::new();
    read_until(&mut client, &mut seen, "data: still here\n\n");
    running.drain();
    read_until(&mut client, &mut seen, "\r\n0\r\n\r\n");
    client.expect_end();
    assert!(running.wait_timeout(PATIENCE));
}

fn content_is_read_as_it_comes() {
    let (came, comes) = mpsc::channel();
    let came = Mutex::new(came);
    let server = Server::new().otherwise(move |request: &mut Request<'_>| {
        let mut piece = [0; 4];
        let mut whole = Vec::new();
        while request.body().read_exact(&mut piece).is_ok() {
            came.lock().unwrap().send(piece).expect("the test lives");
            whole.extend(piece);
        }
        Response::text(whole)
    });
    let running = server.bind("127.0.0.1:0").expect("some port is free");
    let mut client = Client::connect(running.local_addr());
    for head in ["Content-Length: 12", "Transfer-Encoding: chunked"] {
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n"));
        for piece in ["abcd", "efgh", "ijkl"] {
            let is_chunked = head.ends_with("chunked");
            client.send(if is_chunked { format!("4\r\n{piece}\r\n") } else { piece.to_owned() });
            // The handler has it before the rest is sent.
            let seen = comes.recv_timeout(PATIENCE).expect("it comes");
            assert_eq!(seen, piece.as_bytes());
        }
        if head.ends_with("chunked") {
            client.send("0\r\n\r\n");
        }
        assert_eq!(client.answer(false).text(), "abcdefghijkl");
    }
    drop(client);
    finished(&running);
}
