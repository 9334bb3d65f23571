//! `raddle serve`: who accepts, how many, from whom, and whose the port is. Run as its users run it.

mod kit;

use kit::{Folder, Server, raddle};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// A folder with one page.
fn site(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.file("index.html", "welcome");
    folder
}

fn serve(folder: &Folder, arguments: &[&str]) -> Server {
    let mut command = raddle(&["serve", folder.path(), "-l", "127.0.0.1:0", "--cores", "2"]);
    Server::of(command.args(arguments))
}

/// A server with such a configuration, beside its folder.
fn configured(folder: &Folder, text: &str) -> Server {
    let path = folder.file("raddle.toml", format!("folder = \".\"\n{text}"));
    Server::of(&mut raddle(&["serve", "-c", &path, "-l", "127.0.0.1:0", "--cores", "2"]))
}

/// Asks; the answer's head, and the connection, which stays.
fn ask(stream: &TcpStream) -> String {
    ask_for(stream, "/")
}

fn ask_for(mut stream: &TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is connected");
    read_answer(stream)
}

/// Reads an answer with a length; its head.
fn read_answer(mut stream: &TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("heads are text");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut content = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
    stream.read_exact(&mut content).expect("its content");
    head
}

fn is_closed(mut stream: &TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0))
}

/// How many sockets listen on the server's port.
fn listeners(server: &Server) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let local = format!("0100007F:{:04X} 00000000:0000 0A ", server.at.port());
    table.lines().filter(|line| line.contains(&local)).count()
}

#[test]
fn each_way_has_its_listeners_and_serves_to_the_end() {
    let folder = site("dispatched");
    for (way, sockets) in [("reuseport", 2), ("fair", 1), ("balanced", 2)] {
        let server = serve(&folder, &["--dispatch", way]);
        assert_eq!(listeners(&server), sockets, "{way}");
        let streams: Vec<TcpStream> = (0..16).map(|_| server.connect()).collect();
        for stream in &streams {
            assert!(ask(stream).starts_with("HTTP/1.1 200 OK\r\n"));
        }
        // Who has asked when it is told to end is answered.
        let late: Vec<TcpStream> = (0..16).map(|_| server.connect()).collect();
        for mut stream in &late {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("connected");
        }
        late.iter().for_each(kit::until_arrived);
        server.signal(libc::SIGTERM);
        for stream in &late {
            assert!(read_answer(stream).starts_with("HTTP/1.1 200 OK\r\n"), "{way}");
        }
        assert!(streams.iter().all(is_closed));
        let (status, _, errors) = server.end();
        assert!(status.success() && errors.is_empty(), "{status} {errors}");
    }
}

/// Those who connect faster than they are taken: an acceptor that looks for its end only where it waits goes on and on.
#[test]
fn a_flood_keeps_nobody_from_ending() {
    let folder = site("flooded");
    for way in ["reuseport", "fair", "balanced"] {
        for over_capacity in ["drop", "resist", "busy"] {
            let text = format!("dispatch = \"{way}\"\nover_capacity = \"{over_capacity}\"\n");
            let server = configured(&folder, &text);
            let flood = kit::Flood::begin(&server);
            // It would warn of those whom it has taken and not served when its time to finish is over.
            server.stop();
            flood.end();
        }
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_its_holder() {
    let folder = site("taken");
    let server = serve(&folder, &[]);
    let at = server.at.to_string();
    for arguments in [&["--dispatch", "fair"][..], &["--dispatch", "reuseport"]] {
        let mut command = raddle(&["serve", folder.path(), "-l", &at]);
        let line = kit::failure(command.args(arguments));
        let expected = format!("raddle: error: {at} is taken by another program (raddle, process ");
        assert!(line.starts_with(&expected), "{line}");
        assert!(line.ends_with("); choose another port"), "{line}");
    }
    // Nobody was disturbed by that.
    assert!(ask(&server.connect()).starts_with("HTTP/1.1 200 OK\r\n"));
    server.stop();
    let alone = serve(&folder, &["--dispatch", "fair"]);
    let at = alone.at.to_string();
    let line =
        kit::failure(&mut raddle(&["serve", folder.path(), "-l", &at, "--allow-shared-sockets"]));
    assert!(line.contains("taken by another program, which does not share it (raddle,"), "{line}");
    alone.stop();
}

#[test]
fn those_who_allow_it_share_a_port() {
    let folder = site("shared");
    let first = serve(&folder, &["--allow-shared-sockets"]);
    let at = first.at.to_string();
    let mut command = raddle(&["serve", folder.path(), "-l", &at, "--allow-shared-sockets"]);
    let second = Server::of(&mut command);
    assert_eq!(first.at, second.at);
    let line = kit::failure(&mut raddle(&["serve", folder.path(), "-l", &at]));
    assert!(line.contains("taken by another program"), "{line}");
    first.stop();
    for _ in 0..8 {
        assert!(ask(&second.connect()).starts_with("HTTP/1.1 200 OK\r\n"));
    }
    second.stop();
}

#[test]
fn those_who_are_too_many_get_what_is_configured() {
    let folder = site("crowded");
    for (over_capacity, told) in [("drop", false), ("busy", true)] {
        let text = format!("connections = 2\nover_capacity = \"{over_capacity}\"\n");
        let server = configured(&folder, &text);
        let inside = [server.connect(), server.connect()];
        inside.iter().for_each(|stream| assert!(ask(stream).contains(" 200 OK\r\n")));
        let third = server.connect();
        if told {
            let head = read_answer(&third);
            assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
            assert!(head.contains("Retry-After: 1\r\n"), "{head}");
        }
        assert!(is_closed(&third));
        drop(third);
        inside.iter().for_each(|stream| assert!(ask(stream).contains(" 200 OK\r\n")));
        server.stop();
    }
}

/// Nobody has said how many may come, and more are there than descriptors.
#[test]
fn clients_that_do_nothing_leave_descriptors_for_files() {
    let folder = site("starved");
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 128; exec \"$0\" \"$@\"", kit::RADDLE]);
    shell.args(["serve", folder.path(), "-l", "127.0.0.1:0", "--cores", "2"]);
    let server = Server::of(&mut shell);
    let first = server.connect();
    assert!(ask(&first).starts_with("HTTP/1.1 200 OK\r\n"));
    let idle: Vec<TcpStream> = (0..200).map(|_| server.connect()).collect();
    // Each of these would take one more.
    for number in 0..40 {
        folder.file(&format!("{number}.html"), "page");
        let head = ask_for(&first, &format!("/{number}.html"));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{number}: {head}");
    }
    drop(idle);
    server.stop();
}

#[test]
fn a_client_has_what_is_configured() {
    let folder = site("limited");
    let text = "over_capacity = \"busy\"\n[client_limits]\nconnections = 2\nrequests_per_s = 1\nburst = 3\n";
    let server = configured(&folder, text);
    let inside = [server.connect(), server.connect()];
    // One comes in each second: with more requests than a test has seconds some are refused.
    let heads: Vec<String> = (0..100).map(|turn| ask(&inside[turn % 2])).collect();
    assert!(heads[..3].iter().all(|head| head.starts_with("HTTP/1.1 200 OK\r\n")));
    let refused = heads.iter().find(|head| head.starts_with("HTTP/1.1 429 "));
    assert!(refused.expect("they were too many").contains("Retry-After: 1\r\n"));
    let third = server.connect();
    let head = read_answer(&third);
    assert!(head.starts_with("HTTP/1.1 429 ") && head.contains("Connection: close\r\n"));
    assert!(is_closed(&third));
    drop(third);
    server.stop();
}

#[test]
fn who_is_exempt_has_no_limits() {
    let folder = site("exempt");
    let text = "over_capacity = \"busy\"\n[client_limits]\nconnections = 1\nrequests_per_s = 1\nexempt = [\"127.0.0.0/8\"]\n";
    let server = configured(&folder, text);
    let inside: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
    for turn in 0..100 {
        let head = ask(&inside[turn % 10]);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    }
    server.stop();
}

#[test]
fn mistakes_are_named() {
    let folder = site("unlimited");
    for (text, expected) in [
        (
            "dispatch = \"best\"",
            ":1: dispatch: unknown variant `best`, expected one of `reuseport`, `fair`, `balanced`",
        ),
        ("over_capacity = 1", ":1: over_capacity"),
        (
            "[client_limits]\nconnections = 0",
            ":2: client_limits.connections: 0 is not from 1 to 4294967295",
        ),
        (
            "[client_limits]\nrequests_per_s = 2000000",
            ":2: client_limits.requests_per_s: 2000000 is not from 1 to 1000000",
        ),
        (
            "[client_limits]\n\nburst = 3",
            ":3: client_limits.burst: of which rate? give requests_per_s, too",
        ),
        ("[client_limits]\nrate = 3", ":2: client_limits: unknown field `rate`"),
        (
            "[client_limits]\nexempt = [\"10.0.0.1/8\"]",
            ":2: client_limits.exempt: \"10.0.0.1/8\": there are bits behind the first 8; 10.0.0.0/8 is",
        ),
    ] {
        let path = folder.file("raddle.toml", text);
        let line = kit::failure(&mut raddle(&["serve", folder.path(), "-c", &path, "--check"]));
        assert!(line.starts_with(&format!("raddle: error: {path}{expected}")), "{text}: {line}");
    }
}

#[test]
fn all_of_this_with_io_uring_forbidden() {
    kit::again_with_io_uring_forbidden();
}
