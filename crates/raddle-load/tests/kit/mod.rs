//! Servers whose behaviour is known, and plans for them.
#![allow(dead_code, reason = "each test file uses a part")]

use raddle::net::{TcpListener, TcpStream};
use raddle::thread;
use raddle_load::{Ask, Detour, Place, Plan, Target, Url};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

/// The answer to everything.
pub(crate) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Reads a head, behind which nothing comes before it is answered; false at the end.
pub(crate) fn read_head(stream: &mut TcpStream) -> bool {
    let (mut head, mut len) = ([0; 1024], 0);
    while !head[..len].ends_with(b"\r\n\r\n") {
        match stream.read(&mut head[len..]) {
            Ok(0) | Err(_) => return false,
            Ok(count) => len += count,
        }
    }
    true
}

/// Accepts for ever, a thread for each connection, which `serve` has.
pub(crate) fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    at
}

/// Answers each request when `wait` has returned.
pub(crate) fn answering(wait: impl Fn() + Send + Sync + 'static) -> SocketAddr {
    listen(move |mut stream| {
        while read_head(&mut stream) {
            wait();
            if stream.write_all(ANSWER).is_err() {
                return;
            }
        }
    })
}

pub(crate) fn target(at: SocketAddr, ask: &Ask) -> Target {
    let url: Url = format!("http://{at}/").parse().unwrap();
    let place = Arc::new(Place::of(&url, &Detour::default(), None).unwrap());
    Target::new(&url, place, ask)
}

/// GET, from there.
pub(crate) fn plan(at: SocketAddr) -> Plan {
    Plan::new(vec![target(at, &Ask::default())])
}
