//! Catches a SIGHUP that drops somebody, that obeys half of a configuration, or that is heard by nobody.

#![allow(unsafe_code, reason = "signals")]

mod kit;

use kit::{Folder, PATIENCE, Server, raddle};
use raddle_http::semantics::hash_password;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

/// `ann:secret`.
const ANN: &str = "Authorization: Basic YW5uOnNlY3JldA==\r\n";

const HEAD: &str = "folder = \"site\"\nlisten = \"127.0.0.1:0\"\n";

/// A configuration beside folders with a page each: its path, and what keeps it there.
fn configured(name: &str, text: &str) -> (String, Folder) {
    let folder = Folder::new(name);
    for site in ["site", "other", "host"] {
        folder.file(&format!("{site}/index.html"), site);
        folder.file(&format!("{site}/private/index.html"), "private");
    }
    (folder.file("raddle.toml", format!("{HEAD}{text}")), folder)
}

fn served(path: &str) -> Server {
    Server::of(&mut raddle(&["serve", "-c", path]))
}

/// Tells it to read its configuration, and waits until it has.
fn reload(server: &mut Server, path: &str) {
    server.signal(libc::SIGHUP);
    assert_eq!(server.line(), format!("raddle: SIGHUP: read again: {path}"));
}

fn request(path: &str, fields: &str) -> String {
    let host = if fields.contains("Host: ") { "" } else { "Host: a\r\n" };
    format!("GET {path} HTTP/1.1\r\n{host}{fields}\r\n")
}

/// One answer on a connection that stays, with `Content-Length`: its head and its content.
fn ask(stream: &mut BufReader<TcpStream>, path: &str, fields: &str) -> (String, String) {
    stream.get_mut().write_all(request(path, fields).as_bytes()).expect("it is connected");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).expect("an answer") > 0, "the end: {head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.map_or(0, |length| length.parse().expect("a number"));
    let mut content = vec![0; length];
    stream.read_exact(&mut content).expect("an answer");
    (head, String::from_utf8(content).expect("text"))
}

#[test]
fn all_that_stands_there_is_exchanged_on_a_connection_that_stays() {
    let (path, folder) = configured("reloaded", "");
    let mut server = served(&path);
    let mut client = BufReader::new(server.connect());
    assert_eq!(ask(&mut client, "/", "").1, "site");
    let hash = hash_password("secret", 4).expect("a short password");
    folder.file("passwords", format!("ann:{hash}\n"));
    let more = r#"
[limits]
target_size = 100
[[headers]]
path = "**"
set = { X-New = "1" }
[[redirects]]
from = "/old"
to = "/"
[[auth]]
path = "/private/"
file = "passwords"
[[cors]]
path = "/"
origins = ["https://example.org"]
[[hosts]]
names = ["example.org"]
folder = "host"
"#;
    folder.file("raddle.toml", format!("{}{more}", HEAD.replace("\"site\"", "\"other\"")));
    reload(&mut server, &path);
    let (head, content) = ask(&mut client, "/", "Origin: https://example.org\r\n");
    assert_eq!(content, "other");
    assert!(head.contains("X-New: 1\r\n"), "{head}");
    assert!(head.contains("Access-Control-Allow-Origin: https://example.org\r\n"), "{head}");
    assert_eq!(ask(&mut client, "/", "Host: example.org\r\n").1, "host");
    assert!(ask(&mut client, "/old", "").0.starts_with("HTTP/1.1 308 "));
    assert!(ask(&mut client, "/private/", "").0.starts_with("HTTP/1.1 401 "));
    assert_eq!(ask(&mut client, "/private/", ANN).1, "private");
    // Whoever had the password before has to have the new one: only the file has changed.
    let other = hash_password("changed", 4).expect("a short password");
    folder.file("passwords", format!("ann:{other}\n"));
    assert_eq!(ask(&mut client, "/private/", ANN).1, "private", "nobody has said so");
    reload(&mut server, &path);
    assert!(ask(&mut client, "/private/", ANN).0.starts_with("HTTP/1.1 401 "));
    let long = format!("/{}", "x".repeat(100));
    assert!(ask(&mut client, &long, "").0.starts_with("HTTP/1.1 414 "));
    assert_eq!(server.stop(), "");
}

#[test]
fn what_is_wrong_changes_nothing_and_is_said() {
    let (path, folder) = configured("reloaded-badly", "");
    let mut server = served(&path);
    let mut client = BufReader::new(server.connect());
    let after = "; SIGHUP changes nothing, it serves as before";
    for (count, (text, expected)) in [
        ("lisen = \"a:1\"\n", format!("{path}:3: unknown field `lisen`")),
        (
            "[[redirects]]\nfrom = \"old\"\nto = \"/\"\n",
            format!("{path}:4: redirects.from: old: a pattern begins with a slash"),
        ),
        (
            "[[auth]]\npath = \"/\"\nfile = \"none\"\n",
            format!("{path}:5: auth.file: {}/none: it can't be read", folder.path()),
        ),
        ("[[hosts]]\nnames = [\"a\"]\nfolder = \"none\"\n", format!("{path}:5: hosts.folder: ")),
        ("[tls]\nself_signed = \"yes\"\n", format!("{path}:4: tls.self_signed: ")),
    ]
    .into_iter()
    .enumerate()
    {
        folder.file("raddle.toml", format!("{}{text}", HEAD.replace("\"site\"", "\"other\"")));
        server.signal(libc::SIGHUP);
        let line = server.error(count + 1);
        assert!(line.starts_with(&format!("raddle: error: {expected}")), "{text}: {line}");
        assert!(line.ends_with(after), "{line}");
        assert_eq!(ask(&mut client, "/", "").1, "site", "{text}");
    }
    folder.file("raddle.toml", HEAD.replace("\"site\"", "\"other\""));
    reload(&mut server, &path);
    assert_eq!(ask(&mut client, "/", "").1, "other");
    server.signal(libc::SIGTERM);
    assert!(server.end().0.success());
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_obeyed() {
    let (path, folder) = configured("reloaded-in-part", "cores = 1\n");
    let mut server = served(&path);
    let other = "folder = \"other\"\nlisten = \"127.0.0.1:1\"\ncores = 2\n";
    folder.file("raddle.toml", other);
    for count in [2, 4] {
        reload(&mut server, &path);
        let line = server.error(count);
        assert_eq!(line, "raddle: warning: cores: that changes with a restart only");
    }
    let mut client = BufReader::new(server.connect());
    assert_eq!(ask(&mut client, "/", "").1, "other");
    server.signal(libc::SIGTERM);
    let (status, _, errors) = server.end();
    assert!(status.success());
    assert!(errors.contains("warning: listen: that changes with a restart only\n"), "{errors}");
}

#[test]
fn under_load_none_is_dropped() {
    let (path, folder) = configured("reloaded-under-load", "");
    let mut server = served(&path);
    let (at, is_over) = (server.at, Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let is_over = is_over.clone();
            thread::spawn(move || {
                let connect = || {
                    let stream = TcpStream::connect_timeout(&at, PATIENCE).expect("it listens");
                    stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
                    BufReader::new(stream)
                };
                let (mut stream, mut counts) = (connect(), [0u32; 2]);
                while !is_over.load(SeqCst) {
                    if number % 2 == 0 {
                        stream = connect();
                    }
                    let (head, content) = ask(&mut stream, "/", "");
                    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                    counts[usize::from(content == "other")] += 1;
                }
                counts
            })
        })
        .collect();
    for round in 0..40 {
        let site = if round % 2 == 0 { "\"other\"" } else { "\"site\"" };
        folder.file("raddle.toml", HEAD.replace("\"site\"", site));
        reload(&mut server, &path);
        let mut client = BufReader::new(server.connect());
        assert_eq!(ask(&mut client, "/", "").1, site.trim_matches('"'));
    }
    // Several at once are one, or some.
    (0..20).for_each(|_| server.signal(libc::SIGHUP));
    server.line();
    is_over.store(true, SeqCst);
    let counts: Vec<[u32; 2]> =
        clients.into_iter().map(|one| one.join().expect("all answers were whole")).collect();
    assert!(counts.iter().all(|count| count[0] + count[1] > 0), "{counts:?}");
    server.signal(libc::SIGTERM);
    let (status, _, errors) = server.end();
    assert!(status.success() && errors.is_empty(), "{status} {errors}");
}

#[test]
fn without_a_configuration_the_folder_is_opened_again() {
    let folder = Folder::new("reloaded-without");
    folder.file("site/index.html", "first");
    folder.file("new/index.html", "second");
    let site = format!("{}/site", folder.path());
    let mut server = Server::of(&mut raddle(&["serve", &site, "-l", "127.0.0.1:0"]));
    let mut client = BufReader::new(server.connect());
    std::fs::rename(&site, format!("{}/old", folder.path())).expect("a folder of ours");
    std::fs::rename(format!("{}/new", folder.path()), &site).expect("a folder of ours");
    assert_eq!(ask(&mut client, "/", "").1, "first", "a folder, not its name");
    server.signal(libc::SIGHUP);
    let line = server.line();
    assert!(line.contains("read again: no configuration (there is no -c)"), "{line}");
    assert_eq!(ask(&mut client, "/", "").1, "second");
    assert_eq!(server.stop(), "");
}

#[test]
fn while_it_ends_it_reads_nothing_any_more() {
    let (path, folder) = configured("reloaded-too-late", "");
    folder.file("site/large", kit::pattern(64 << 20, 1));
    let mut server = served(&path);
    let mut busy = server.connect();
    busy.write_all(request("/large", "").as_bytes()).expect("it is connected");
    busy.read_exact(&mut [0; 100]).expect("an answer");
    server.signal(libc::SIGTERM);
    let begun = std::time::Instant::now();
    while TcpStream::connect(server.at).is_ok() {
        assert!(begun.elapsed() < PATIENCE && server.is_running());
    }
    server.signal(libc::SIGHUP);
    let line = server.error(1);
    assert_eq!(line, "raddle: warning: SIGHUP: it ends, and reads no configuration any more");
    let mut rest = Vec::new();
    busy.read_to_end(&mut rest).expect("all of it");
    assert!(rest.len() > 64 << 20);
    assert!(server.end().0.success());
}

#[test]
fn all_of_this_with_io_uring_forbidden() {
    kit::again_with_io_uring_forbidden();
}
