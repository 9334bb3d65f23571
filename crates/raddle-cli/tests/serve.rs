//! `raddle serve`, run as its users run it: the example site, the access log, the end by signals.

mod kit;

use kit::{Folder, PATIENCE, Server, raddle};
use std::io::{Read, Write};
use std::net::TcpStream;

/// The example in the repository.
const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/site");

fn serve(folder: &str, arguments: &[&str]) -> Server {
    let mut command = raddle(&["serve", folder, "-l", "127.0.0.1:0"]);
    Server::of(command.args(arguments))
}

/// Asks on a connection that the server closes; the whole answer.
fn get(server: &Server, path: &str, fields: &str) -> String {
    let mut stream = server.connect();
    ask(&mut stream, path, &format!("{fields}Connection: close\r\n"));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer of text");
    answer
}

fn ask(stream: &mut TcpStream, path: &str, fields: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).expect("it is connected");
}

/// A folder with a file of so many bytes, too large for sockets' buffers.
fn folder_with_large_file(name: &str, bytes: usize) -> Folder {
    let folder = Folder::new(name);
    folder.file("large", kit::pattern(bytes, 1));
    folder
}

/// Reads an answer's head, and no more.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("heads are text")
}

#[test]
fn the_example_site_is_served() {
    let server = serve(SITE, &[]);
    let greeting = format!("raddle: listening on {0}: http://{0}/ is {SITE}\n", server.at);
    assert_eq!(server.greeting, greeting);
    let index = get(&server, "/", "");
    assert!(index.starts_with("HTTP/1.1 200 OK\r\n") && index.contains("<h1>The raddle</h1>"));
    // Whatever the page needs is there.
    for part in index.split(['"']).filter(|part| part.contains('.') && !part.contains(' ')) {
        let answer = get(&server, &format!("/{part}"), "");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{part}: {answer}");
    }
    let notes = get(&server, "/notes/", "");
    assert!(notes.contains("<caption>3 files</caption>"), "{notes}");
    assert!(get(&server, "/../secret", "").starts_with("HTTP/1.1 400 "));
    assert_eq!(server.stop(), "");
}

#[test]
fn options_change_what_is_there() {
    let server = serve(SITE, &["--no-listings", "--index", "1-winding.txt"]);
    assert!(get(&server, "/", "").starts_with("HTTP/1.1 404 "));
    assert!(get(&server, "/notes/", "").contains("\r\n\r\nWinding the warp\n"));
    server.stop();
}

#[test]
fn each_response_has_a_line_in_the_log() {
    for (form, expected) in [
        ("common", &["\"GET / HTTP/1.1\" 200 ", "\"GET /none HTTP/1.1\" 404 14\n"][..]),
        ("combined", &["\"GET / HTTP/1.1\" 200 ", " \"-\" \"a \\\"browser\\\"\"\n"]),
        (
            "json",
            &[
                "\"target\":\"/none\",",
                "\"status\":404,\"bytes\":14,",
                "\"agent\":\"a \\\"browser\\\"\"}\n",
            ],
        ),
    ] {
        let server = serve(SITE, &["--log", form]);
        get(&server, "/", "");
        get(&server, "/none", "User-Agent: a \"browser\"\r\n");
        server.signal(libc::SIGTERM);
        let (status, _, log) = server.end();
        assert!(status.success() && log.lines().count() == 2, "{status} {log}");
        assert!(expected.iter().all(|part| log.contains(part)), "{log}");
    }
}

#[test]
fn what_was_asked_for_is_sent_before_the_end() {
    const BYTES: usize = 64 << 20;
    let folder = folder_with_large_file("served-to-the-end", BYTES);
    let server = serve(folder.path(), &[]);
    let mut idle = server.connect();
    ask(&mut idle, "/large", "Range: bytes=0-0\r\n");
    read_head(&mut idle);
    idle.read_exact(&mut [0]).expect("one byte");
    let mut busy = server.connect();
    ask(&mut busy, "/large", "");
    assert!(read_head(&mut busy).contains("Content-Length: 67108864\r\n"));
    server.signal(libc::SIGTERM);
    assert_eq!(idle.read(&mut [0]).expect("it is closed"), 0);
    let mut content = vec![0; BYTES];
    busy.read_exact(&mut content).expect("all of it");
    assert!(content == kit::pattern(BYTES, 1));
    let (status, out, errors) = server.end();
    assert!(status.success() && out.is_empty() && errors.is_empty(), "{status} {out} {errors}");
}

#[test]
fn who_does_not_read_is_cut_off_in_the_end() {
    let folder = folder_with_large_file("served-in-vain", 64 << 20);
    let server = serve(folder.path(), &["--drain", "0"]);
    let mut stuck = server.connect();
    ask(&mut stuck, "/large", "");
    read_head(&mut stuck);
    server.signal(libc::SIGINT);
    let (status, _, errors) = server.end();
    assert!(status.success(), "{status}");
    let expected = "raddle: warning: 1 connection had not ended within 0 s, and was cut off\n";
    assert_eq!(errors, expected);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = folder_with_large_file("served-twice", 64 << 20);
    let mut server = serve(folder.path(), &[]);
    let mut stuck = server.connect();
    ask(&mut stuck, "/large", "");
    read_head(&mut stuck);
    server.signal(libc::SIGTERM);
    // It drains once nobody can connect any more.
    let begun = std::time::Instant::now();
    while TcpStream::connect(server.at).is_ok() {
        assert!(begun.elapsed() < PATIENCE && server.is_running());
    }
    server.signal(libc::SIGTERM);
    let (status, _, _) = server.end();
    assert_eq!(status.code(), Some(128 + libc::SIGTERM));
}

/// A configuration beside a folder `site` with one page: its path, and what keeps it there.
fn configured(name: &str, text: &str) -> (String, Folder) {
    let folder = Folder::new(name);
    for (page, content) in
        [("site/index.html", "index"), ("site/404.html", "not here"), ("site/assets/a.css", "")]
    {
        folder.file(page, content);
    }
    (folder.file("raddle.toml", text), folder)
}

#[test]
fn a_configuration_is_obeyed() {
    let (path, _folder) = configured(
        "configured",
        r#"
folder = "site"
listen = "127.0.0.1:0"
[error_pages]
404 = "404.html"
[[headers]]
path = "/assets/**"
set = { Cache-Control = "immutable" }
[[redirects]]
from = "/old/{*rest}"
to = "/"
[[redirects]]
from = "/moved/{*rest}"
to = "/assets/{*rest}"
"#,
    );
    let check = kit::output(&["serve", "-c", &path, "--check"]);
    assert_eq!(kit::text(&check.stdout), "raddle: the configuration is valid\n");
    assert!(check.status.success());
    let server = Server::of(&mut raddle(&["serve", "-c", &path]));
    assert!(get(&server, "/", "").ends_with("\r\n\r\nindex"));
    assert!(get(&server, "/none", "").ends_with("\r\n\r\nnot here"));
    assert!(get(&server, "/assets/a.css", "").contains("Cache-Control: immutable\r\n"));
    let answer = get(&server, "/old/a/b", "");
    assert!(answer.starts_with("HTTP/1.1 308 ") && answer.contains("Location: /\r\n"), "{answer}");
    let answer = get(&server, "/moved/%61.css?v=1", "");
    assert!(answer.contains("Location: /assets/a.css?v=1\r\n"), "{answer}");
    server.stop();
}

#[test]
fn a_mistake_is_named_with_file_line_and_key() {
    for (text, expected) in [
        ("listen = 8080", ":1: listen: invalid type: integer `8080`, expected a string"),
        ("\nlisten = \"8080\"", ":2: listen: no port; give HOST:PORT"),
        ("[times]\nhead_s = \"1\"", ":2: times.head_s: invalid type"),
        ("\n\nlisen = \"a:1\"", ":3: unknown field `lisen`, expected one of"),
        ("log = \"xml\"", ":1: log: unknown variant `xml`"),
        ("log = \"off\"\nlog = \"json\"", ":2: log: duplicate key"),
        ("[times]\nhead_s = 1\nhead_s = 2", ":3: head_s: duplicate key"),
        ("cores = 0", ":1: cores: 0 is not from 1 to 1024"),
        ("cores = 1025", ":1: cores: 1025 is not from 1 to 1024"),
        ("\nconnections = 0", ":2: connections: 0 is not from 1 to 4294967295"),
        ("drain_s = -1", ":1: drain_s: -1 is not from 0 to 86400"),
        ("[times]\nhead_s = 0", ":2: times.head_s: 0 is not from 1 to 86400"),
        ("[times]\ncontent_s = 0", ":2: times.content_s: 0 is not from 1 to 86400"),
        ("[limits]\nhead_size = 0", ":2: limits.head_size: 0 is not from 64 to 1048576"),
        ("[limits]\ntarget_size = 0", ":2: limits.target_size: 0 is not from 16 to 1048576"),
        ("[limits]\nfields = 200", ":2: limits.fields: 200 is not from 1 to 128"),
        ("[limits]\nrequests = 0", ":2: limits.requests: 0 is not from 1 to 4294967295"),
        ("index = []", ":1: index: there is none; give 1 name or more"),
        ("index = [\n\"a.html\",\n\"../x\"]", ":1: index: \"../x\" is no file in the folder"),
        ("index = [\"\"]", ":1: index: \"\" is no file in the folder"),
        (
            "[[hosts]]\nnames = [\"a\"]\nfolder = \"site\"\nindex = [\"/x\"]",
            ":4: hosts.index: \"/x\" is no file in the folder",
        ),
        ("[error_pages]\n200 = \"a\"", ":2: error_pages"),
        ("folder = ", ":1: "),
        ("\nfolder = \"none\"", ":2: folder: "),
        ("folder = \"site\"\nadmin = 3", ":2: admin: invalid type: integer `3`, expected a table"),
        (
            "folder = \"site\"\n[[redirects]]\nfrom = \"old\"\nto = \"/\"",
            ":3: redirects.from: old: a pattern begins with a slash",
        ),
        ("folder = \"site\"\n[[redirects]]\nfrom = \"/old\"\nto = \"/a b\"", ":4: redirects.to: "),
        (
            "folder = \"site\"\n[[redirects]]\nfrom = \"/old/{*rest}\"\nto = \"/new/{*rst}\"",
            ":4: redirects.to: {rst} is no name that `from` has",
        ),
        (
            "folder = \"site\"\n[[redirects]]\nfrom = \"/old\"\nto = \"/\"\nstatus = 200",
            ":5: redirects",
        ),
        (
            "folder = \"site\"\n[[headers]]\npath = \"*\"\nset = { ETag = \"1\" }",
            ":4: headers.set.ETag: ",
        ),
    ] {
        let (path, _folder) = configured("mistaken", text);
        let line = kit::failure(&mut raddle(&["serve", "-c", &path, "--check"]));
        assert!(line.starts_with(&format!("raddle: error: {path}{expected}")), "{text}: {line}");
    }
    let (path, _folder) = configured("homeless", "");
    let line = kit::failure(&mut raddle(&["serve", "-c", &path]));
    assert!(line.contains("no folder; give DIR"), "{line}");
    let line = kit::failure(&mut raddle(&["serve", "-c", "/no/such.toml"]));
    assert!(line.starts_with("raddle: error: /no/such.toml: it can't be read: "), "{line}");
}

#[test]
fn pages_that_are_not_there_are_a_warning() {
    let text = "folder = \"site\"\nfallback = \"app.html\"\nerror_pages = { 404 = \"404.html\" }";
    let (path, folder) = configured("pageless", text);
    folder.file("site/404.html", "nothing");
    let check = kit::output(&["serve", "-c", &path, "--check"]);
    assert!(check.status.success());
    let site = format!("{}/site", folder.path());
    let line = format!("raddle: warning: fallback: there is no file app.html in {site} so far\n");
    assert_eq!(kit::text(&check.stderr), line);
}

#[test]
fn what_is_printed_as_the_defaults_can_be_read_back() {
    let printed = kit::output(&["serve", "--print-config"]);
    let (path, _folder) = configured("defaults", kit::text(&printed.stdout));
    let check = kit::output(&["serve", "-c", &path, "--check", SITE]);
    assert!(printed.status.success() && check.status.success());
}

#[test]
fn all_of_this_with_io_uring_forbidden() {
    kit::again_with_io_uring_forbidden();
}
