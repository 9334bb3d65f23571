//! Catches connections that a new configuration closes, requests that get half of each, and old ones that are kept.

mod serve_kit;

use raddle_http::protocol::Limits;
use raddle_http::server::{Plugin, Server};
use raddle_http::tls::{Certificate, Tls};
use raddle_http::{Request, Response};
use serve_kit::{Case, Client, PATIENCE, finished, started};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak, mpsc};
use std::thread;

const CASES: &[Case] = &[
    ("under_load_nobody_is_dropped", under_load_nobody_is_dropped),
    ("a_request_in_flight_is_finished_as_it_began", a_request_in_flight_is_finished_as_it_began),
    ("limits_are_exchanged_too", limits_are_exchanged_too),
    ("more_connections_may_come_than_before", more_connections_may_come_than_before),
    ("who_lets_in_sees_off", who_lets_in_sees_off),
    ("a_server_that_has_ended_keeps_nothing", a_server_that_has_ended_keeps_nothing),
    ("tls_begins_with_the_next_connection", tls_begins_with_the_next_connection),
];

fn main() -> ExitCode {
    serve_kit::main(CASES)
}

/// Says its number twice: by a plugin and by the handler.
struct Numbered(usize);

impl Plugin for Numbered {
    fn answered(&self, _: &raddle_http::protocol::RequestHead, response: &mut Response) {
        response.headers_mut().set("X-Edition", self.0.to_string()).expect("a number");
    }
}

fn numbered(number: usize, kept: &Arc<()>) -> Server {
    let kept = kept.clone();
    Server::new().plugin(Numbered(number)).otherwise(move |_| {
        let _kept = &kept;
        Response::text(number.to_string())
    })
}

fn under_load_nobody_is_dropped() {
    const CLIENTS: usize = 8;
    const EDITIONS: usize = 200;
    let mut kept: Vec<Arc<()>> = vec![Arc::new(())];
    let running = started(numbered(0, &kept[0]));
    let at = running.local_addr();
    let is_over = Arc::new(AtomicBool::new(false));
    let published = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (is_over, published) = (is_over.clone(), published.clone());
            thread::spawn(move || {
                let (mut connection, mut last, mut requests) = (Client::connect(at), 0, 0usize);
                while !is_over.load(SeqCst) {
                    let least = published.load(SeqCst);
                    // Half of them come anew each time.
                    if client % 2 == 0 {
                        connection = Client::connect(at);
                    }
                    let answer = connection.get("/", &[]);
                    let edition: usize = answer.text().parse().expect("a number");
                    assert_eq!(answer.field("x-edition"), Some(answer.text()), "half of each");
                    assert!(answer.status == 200 && edition >= least && edition >= last);
                    (last, requests) = (edition, requests + 1);
                }
                (last, requests)
            })
        })
        .collect();
    for edition in 1..=EDITIONS {
        kept.push(Arc::new(()));
        running.replace(numbered(edition, &kept[edition]));
        published.store(edition, SeqCst);
        // So that each is seen by somebody.
        let mut client = Client::connect(at);
        assert_eq!(client.get("/", &[]).text(), edition.to_string());
    }
    is_over.store(true, SeqCst);
    for client in clients {
        let (last, requests) = client.join().expect("each answer was whole");
        assert!(requests > 0 && last <= EDITIONS);
    }
    finished(&running);
    assert!(kept.iter().all(|kept| Arc::strong_count(kept) == 1), "an old one is kept");
}

fn a_request_in_flight_is_finished_as_it_began() {
    let (entered, has_entered) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let (entered, may_go) = (std::sync::Mutex::new(entered), std::sync::Mutex::new(may_go));
    let kept = Arc::new(());
    let first = numbered(1, &kept).route("/slow", move |_: &mut Request<'_>| {
        entered.lock().unwrap().send(()).expect("the test waits");
        may_go.lock().unwrap().recv().expect("the test says so");
        Response::text("old")
    });
    let running = started(first.expect("a valid route"));
    let mut client = Client::connect(running.local_addr());
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    has_entered.recv_timeout(PATIENCE).expect("the handler is called");
    running.replace(numbered(2, &Arc::new(())));
    assert_eq!(Arc::strong_count(&kept), 2, "it is in use");
    // Its next request waits behind it already.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    go.send(()).expect("the handler waits");
    let answer = client.answer(false);
    assert_eq!((answer.text(), answer.field("x-edition")), ("old", Some("1")));
    let answer = client.answer(false);
    assert_eq!((answer.text(), answer.field("x-edition")), ("2", Some("2")));
    assert_eq!(Arc::strong_count(&kept), 1, "nobody uses it any more");
    finished(&running);
}

fn limits_are_exchanged_too() {
    let running = started(Server::new());
    let mut client = Client::connect(running.local_addr());
    let long = format!("/{}", "x".repeat(100));
    assert_eq!(client.get(&long, &[]).status, 404);
    let limits = Limits { target_size: 50, ..Limits::default() };
    // Of this head a part has come before.
    client.send(format!("GET {long} HTTP"));
    running.replace(Server::new().limits(limits));
    client.send("/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer(false).status, 414);
    client.expect_end();
    finished(&running);
}

fn more_connections_may_come_than_before() {
    let running = started(Server::new().connections_max(1));
    let mut first = Client::connect(running.local_addr());
    assert_eq!(first.get("/", &[]).status, 404);
    let mut second = Client::connect(running.local_addr());
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    running.replace(Server::new().connections_max(2));
    assert_eq!(second.answer(false).status, 404);
    assert_eq!((first.get("/", &[]).status, running.connections()), (404, 2));
    finished(&running);
}

/// Counts whoever is connected.
#[derive(Default)]
struct Present(AtomicUsize, AtomicUsize);

impl Plugin for Present {
    fn accepted(&self, _: Option<SocketAddr>) -> bool {
        self.0.fetch_add(1, SeqCst);
        true
    }

    fn ended(&self, _: Option<SocketAddr>) {
        self.1.fetch_add(1, SeqCst);
    }
}

fn who_lets_in_sees_off() {
    let (old, new) = (Arc::new(Present::default()), Arc::new(Present::default()));
    let running = started(Server::new().plugin(old.clone()));
    let mut before = Client::connect(running.local_addr());
    assert_eq!(before.get("/", &[]).status, 404);
    running.replace(Server::new().plugin(new.clone()));
    assert_eq!(before.get("/", &[]).status, 404);
    let mut after = Client::connect(running.local_addr());
    assert_eq!(after.get("/", &[]).status, 404);
    finished(&running);
    let counts = |present: &Present| (present.0.load(SeqCst), present.1.load(SeqCst));
    assert_eq!((counts(&old), counts(&new)), ((1, 1), (1, 1)));
    assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (1, 1));
}

fn a_server_that_has_ended_keeps_nothing() {
    let kept = Arc::new(());
    let running = started(Server::new());
    finished(&running);
    let weak: Weak<()> = Arc::downgrade(&kept);
    running.replace(numbered(1, &kept));
    drop(kept);
    assert!(weak.upgrade().is_none());
}

fn tls_begins_with_the_next_connection() {
    let running = started(Server::new());
    let mut plain = Client::connect(running.local_addr());
    assert_eq!(plain.get("/", &[]).status, 404);
    let certificate = Certificate::self_signed(["localhost"]).expect("a host name");
    running.replace(Server::new().tls(Tls::new(certificate)));
    assert_eq!(plain.get("/", &[]).status, 404, "as it began");
    let mut late = Client::connect(running.local_addr());
    let answer = late.get("/", &[]);
    assert_eq!((answer.status, answer.text()), (400, "This is a TLS port: ask for https://\n"));
    finished(&running);
}
