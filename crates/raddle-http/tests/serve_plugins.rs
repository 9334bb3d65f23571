//! What plugins see of a connection: its five stages, in order, and its end in any case.

mod serve_kit;

use raddle::time::sleep;
use raddle_http::protocol::RequestHead;
use raddle_http::server::{Plugin, Served, Server};
use raddle_http::{Header, Request, Response, Status};
use serve_kit::{Case, Client, PATIENCE, finished, started};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

const CASES: &[Case] = &[
    ("plugins_see_every_stage", plugins_see_every_stage),
    ("plugins_see_every_connection_go", plugins_see_every_connection_go),
    ("a_client_that_goes_is_told_of", a_client_that_goes_is_told_of),
];

fn main() -> ExitCode {
    serve_kit::main(CASES)
}

fn server() -> Server {
    let server = Server::new()
        .route("/hello/{name}", |request| {
            Response::text(format!("hello, {}", request.param("name").expect("it is named")))
        })
        .and_then(|server| server.route("/panic", |_| panic!("on purpose")))
        .and_then(|server| {
            server.route("/echo", |request| match request.read_all(1 << 20) {
                Ok(content) => Response::text(content),
                Err(error) => Response::text(error.to_string()),
            })
        });
    server.expect("valid routes")
}

struct Stages(Arc<Mutex<Vec<String>>>);

impl Stages {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
}

impl Plugin for Stages {
    fn accepted(&self, peer: Option<SocketAddr>) -> bool {
        self.note(format!("accepted {}", peer.is_some()));
        true
    }

    fn arrived(&self, request: &mut Request<'_>) -> Option<Response> {
        self.note(format!("arrived {}", request.path()));
        (request.path() == "/forbidden").then(|| Response::new(Status::FORBIDDEN))
    }

    fn answered(&self, _: &RequestHead, response: &mut Response) {
        self.note(format!("answered {}", response.status().code()));
        response.headers_mut().add(Header::Server, "raddle").expect("valid");
    }

    fn served(&self, served: &Served<'_>) {
        self.note(format!("served {} {}", served.status.code(), served.content));
    }

    fn ended(&self, _: Option<SocketAddr>) {
        self.note("ended");
    }
}

fn plugins_see_every_stage() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let running = started(server().plugin(Stages(notes.clone())));
    let mut client = Client::connect(running.local_addr());
    let answer = client.get("/hello/a", &[]);
    assert_eq!((answer.status, answer.field("server")), (200, Some("raddle")));
    assert_eq!(client.get("/forbidden", &[]).status, 403);
    let answer = Client::connect(running.local_addr()).get("/panic", &[]);
    assert_eq!((answer.status, answer.field("server")), (500, Some("raddle")));
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.answer(false).status, 400);
    client.expect_end();
    drop(client);
    finished(&running);
    let expected = [
        "accepted true",
        "arrived /hello/a",
        "answered 200",
        "served 200 8",
        "arrived /forbidden",
        "answered 403",
        "served 403 0",
        "accepted true",
        "arrived /panic",
        "answered 500",
        "served 500 26",
        "ended",
        "served 400 47",
        "ended",
    ];
    assert_eq!(*notes.lock().unwrap(), expected);
}

/// Lets nobody in.
struct Closed;

impl Plugin for Closed {
    fn accepted(&self, _: Option<SocketAddr>) -> bool {
        false
    }
}

fn plugins_see_every_connection_go() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let greeted = || Stages(notes.clone());
    let running = started(server().plugin(greeted()).plugin(Closed).plugin(greeted()));
    Client::connect(running.local_addr()).expect_end();
    finished(&running);
    assert_eq!(std::mem::take(&mut *notes.lock().unwrap()), ["accepted true", "ended"]);
    // One that is cut off, in its handler or before.
    let (begun, begins) = mpsc::channel();
    let begun = Mutex::new(begun);
    let server = server().plugin(greeted()).otherwise(move |_| {
        begun.lock().unwrap().send(()).expect("the test lives");
        sleep(Duration::from_secs(3600));
        Response::text("awake")
    });
    let running = started(server);
    let mut client = Client::connect(running.local_addr());
    client.send("GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n");
    begins.recv_timeout(PATIENCE).expect("the handler runs");
    running.end();
    client.expect_end();
    assert!(running.wait_timeout(PATIENCE));
    let expected = ["accepted true", "arrived /sleep", "ended"];
    assert_eq!(std::mem::take(&mut *notes.lock().unwrap()), expected);
}

fn a_client_that_goes_is_told_of() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let running = started(server().plugin(Stages(notes.clone())));
    let mut client = Client::connect(running.local_addr());
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    drop(client);
    let begun = Instant::now();
    while !notes.lock().unwrap().iter().any(|note| note == "ended") {
        assert!(begun.elapsed() < PATIENCE, "{:?}", notes.lock().unwrap());
        std::thread::sleep(Duration::from_millis(5));
    }
    finished(&running);
    let notes = notes.lock().unwrap();
    assert!(notes.len() == 5 && notes[3].starts_with("served "), "{notes:?}");
}
