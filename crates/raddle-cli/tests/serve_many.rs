//! Nine thousand connections on which nothing happens, and what a server does beside them.

mod kit;

use kit::{Folder, PATIENCE, Server, raddle};
use libtest_mimic::{Arguments, Failed, Trial};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Instant;

const COUNT: usize = 9_000;
/// Of the test itself, of the server, and those that it keeps for files.
const OTHERS: u64 = 1_400;

fn main() {
    let most = kit::most_descriptors();
    let lacks = most < COUNT as u64 + OTHERS;
    if lacks {
        eprintln!("ignored: {COUNT} idle connections; a process may have {most} descriptors here");
    }
    let trial = |name: &str, test: fn()| {
        let run = move || -> Result<(), Failed> {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(lacks)
    };
    let trials = vec![
        trial("nine_thousand_are_idle", nine_thousand_are_idle),
        trial("all_of_this_with_io_uring_forbidden", kit::again_with_io_uring_forbidden),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is connected");
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while !answer.ends_with(b"\r\n\r\nwelcome") {
        let count = stream.read(&mut piece).expect("an answer");
        assert!(count > 0, "an end after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..count]);
    }
}

fn nine_thousand_are_idle() {
    let folder = Folder::new("many");
    folder.file("site/index.html", "welcome");
    // However long it takes to make so many.
    let text = "folder = \"site\"\nlisten = \"127.0.0.1:0\"\n[times]\nhead_s = 3600\nidle_s = 3600\n[admin]\nlisten = \"./status\"\n";
    let config = folder.file("raddle.toml", text);
    let mut server = Server::of(&mut raddle(&["serve", "-c", &config]));
    server.line();
    // A third has never said anything.
    let mut idle: Vec<TcpStream> = (0..COUNT)
        .map(|number| {
            let mut stream = server.connect();
            if number % 3 > 0 {
                ask(&mut stream);
            }
            stream
        })
        .collect();
    until_there(&format!("{}/status", folder.path()));
    for stream in idle.iter_mut().step_by(97) {
        ask(stream);
    }
    (0..100).for_each(|_| ask(&mut server.connect()));
    server.signal(libc::SIGTERM);
    // Each is let go in good order, and none was before.
    for stream in &mut idle {
        assert_eq!(stream.read(&mut [0]).expect("an end in order"), 0);
    }
    let (status, _, errors) = server.end();
    assert!(status.success() && errors.is_empty(), "{status}: {errors}");
}

/// Waits until the server has taken all that have connected.
fn until_there(admin: &str) {
    let begun = Instant::now();
    loop {
        let mut stream = UnixStream::connect(admin).expect("it listens");
        let request = b"GET /status.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("it is connected");
        let mut status = String::new();
        stream.read_to_string(&mut status).expect("an answer");
        if status.contains(&format!("\"connections\":{COUNT}")) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{status}");
    }
}
