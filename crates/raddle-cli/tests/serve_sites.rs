//! `raddle serve` with a configuration: who may see what, who else may read it, and which site a name has.

#![allow(unsafe_code, reason = "a terminal of our own")]

mod kit;

use kit::{Folder, Server, raddle, text};
use raddle_http::semantics::hash_password;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

/// `ann:secret`, and `ann:wrong`.
const ANN: &str = "Authorization: Basic YW5uOnNlY3JldA==\r\n";
const WRONG: &str = "Authorization: Basic YW5uOndyb25n\r\n";

/// A configuration beside two folders, `site` and `other`: its path, and what keeps it there.
fn configured(name: &str, text: &str) -> (String, Folder) {
    let folder = Folder::new(name);
    for (page, content) in [
        ("site/index.html", "index"),
        ("site/401.html", "a page for 401"),
        ("site/private/index.html", "private"),
        ("site/api/a.txt", "a"),
        ("other/index.html", "other index"),
        ("other/main.html", "other main"),
        ("other/404.html", "other 404"),
    ] {
        folder.file(page, content);
    }
    let text = format!("folder = \"site\"\nlisten = \"127.0.0.1:0\"\n{text}");
    (folder.file("raddle.toml", text), folder)
}

fn served(path: &str) -> Server {
    Server::of(&mut raddle(&["serve", "-c", path]))
}

/// A request on a connection that the server closes; the whole answer.
fn ask(server: &Server, method: &str, path: &str, fields: &str) -> String {
    let host = if fields.contains("Host: ") { "" } else { "Host: a\r\n" };
    let request = format!("{method} {path} HTTP/1.1\r\n{host}{fields}Connection: close\r\n\r\n");
    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).expect("it is connected");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer of text");
    answer
}

fn get(server: &Server, path: &str, fields: &str) -> String {
    ask(server, "GET", path, fields)
}

/// The one line of a configuration that is refused, behind the file's name.
fn mistake(name: &str, text: &str) -> String {
    let (path, folder) = configured(name, text);
    folder.file("passwords", "# users\nann:secret\n");
    folder.file("empty", "# nobody\n");
    let line = kit::failure(&mut raddle(&["serve", "-c", &path, "--check"]));
    let line = line.strip_prefix(&format!("raddle: error: {path}:")).expect("the file is named");
    line.replace(folder.path(), "")
}

#[test]
fn a_folder_is_for_its_users() {
    let hash = hash_password("secret", 4).expect("a short password");
    for key in [format!("users = [\"ann:{hash}\"]"), "file = \"passwords\"".to_owned()] {
        let auth = format!(
            "[error_pages]\n401 = \"401.html\"\n[[redirects]]\nfrom = \"/private/old\"\nto = \"/\"\n\
             [[auth]]\npath = \"/private/\"\nrealm = \"the house\"\n{key}\n"
        );
        let (path, folder) = configured("guarded", &auth);
        folder.file("passwords", format!("# users\nann:{hash}\n"));
        let server = served(&path);
        for path in
            ["/private/", "/%70rivate/", "/private", "/private/none", "/private/old", "//private/"]
        {
            for fields in ["", WRONG, "Authorization: Bearer x\r\n"] {
                let answer = get(&server, path, fields);
                assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{path}: {answer}");
                assert!(answer.ends_with("\r\n\r\na page for 401"), "{answer}");
                let field =
                    "\r\nWWW-Authenticate: Basic realm=\"the house\", charset=\"UTF-8\"\r\n";
                assert!(answer.contains(field), "{answer}");
            }
        }
        assert!(get(&server, "/private/", ANN).ends_with("\r\n\r\nprivate"));
        assert!(get(&server, "/private/none", ANN).starts_with("HTTP/1.1 404 "));
        assert!(get(&server, "/private/old", ANN).starts_with("HTTP/1.1 308 "));
        assert!(get(&server, "/private/", WRONG).starts_with("HTTP/1.1 401 "), "ann is known");
        assert!(get(&server, "/", "").ends_with("\r\n\r\nindex"));
        assert_eq!(server.stop(), "");
    }
}

#[test]
fn mistakes_about_users_are_named() {
    let hash = hash_password("secret", 4).expect("a short password");
    let valid = format!("users = [\"ann:{hash}\"]");
    for (text, expected) in [
        (
            format!("path = \"/private\"\n{valid}"),
            "4: auth.path: a folder begins and ends with a slash",
        ),
        (format!("path = \"/*/\"\n{valid}"), "4: auth.path: a folder's own name is wanted"),
        (
            format!("path = \"/a/\"\n{valid}\n[[auth]]\npath = \"/a/\"\n{valid}"),
            "7: auth.path: a folder that was",
        ),
        ("path = \"/a/\"".to_owned(), "4: auth: nobody could see the folder; give users"),
        (
            "path = \"/a/\"\nfile = \"empty\"".to_owned(),
            "4: auth: nobody could see the folder; give users",
        ),
        (
            "path = \"/a/\"\nusers = [\n\"ann:secret\"]".to_owned(),
            "6: auth.users: no bcrypt hash; make one with `raddle",
        ),
        ("path = \"/a/\"\nusers = [\"\"]".to_owned(), "5: auth.users: not user:hash"),
        (
            format!("path = \"/a/\"\nusers = [\n\"ann:{hash}\",\n\"ann:{hash}\"]"),
            "7: auth.users: a user who was there",
        ),
        (
            format!("path = \"/a/\"\n{valid}\nfile = \"passwords\""),
            "6: auth.file: /passwords:2: no bcrypt hash;",
        ),
        (
            "path = \"/a/\"\nfile = \"none\"".to_owned(),
            "5: auth.file: /none: it can't be read: No such file",
        ),
        ("path = \"/a/\"\nuser = []".to_owned(), "5: auth: unknown field `user`"),
        (valid.clone(), "3: auth: missing field `path`"),
    ] {
        let line = mistake("mistaken-auth", &format!("[[auth]]\n{text}\n"));
        assert!(line.starts_with(expected), "{text}: {line}");
    }
}

/// What `--hash-password` prints when this is its input.
fn hashed(input: &str) -> std::process::Output {
    let mut command = raddle(&["serve", "--hash-password", "ann"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("cargo has built the program");
    let mut pipe = child.stdin.take().expect("a pipe was asked for");
    // It may have seen enough before.
    _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    child.wait_with_output().expect("a child of ours")
}

#[test]
fn a_password_is_hashed_for_the_configuration() {
    let output = hashed("secret\nwhat follows is not read");
    let line = text(&output.stdout).trim_end();
    assert!(output.status.success() && line.starts_with("ann:$2b$10$"), "{line}");
    assert_eq!(text(&output.stderr), "", "nobody is asked");
    let auth = format!("[[auth]]\npath = \"/private/\"\nusers = ['{line}']\n");
    let (path, _folder) = configured("hashed", &auth);
    let server = served(&path);
    assert!(get(&server, "/private/", ANN).ends_with("\r\n\r\nprivate"));
    server.stop();
    let too_long = "x".repeat(72);
    for (input, expected) in [
        ("", "not empty"),
        ("\n", "not empty"),
        ("a\tb", "a line of text"),
        (&too_long, "the password is too long; bcrypt sees 71 bytes at most"),
    ] {
        let output = hashed(input);
        assert_eq!(output.status.code(), Some(1), "{input}");
        assert!(text(&output.stderr).contains(expected), "{input}");
        assert!(output.stdout.is_empty(), "{input}");
    }
    for arguments in [&["--hash-password", "a:b"][..], &["--hash-password", "a", "dir"]] {
        let output = kit::output(&[&["serve"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

/// Both ends of a terminal.
fn terminal() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    let nothing = std::ptr::null_mut();
    // SAFETY: the library writes two numbers; name, settings and size are not wanted.
    let result = unsafe {
        libc::openpty(&raw mut ours, &raw mut theirs, nothing, std::ptr::null(), std::ptr::null())
    };
    assert_eq!(result, 0, "no terminal can be had");
    // SAFETY: both were just made, and nobody else knows of them.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

fn echoes(terminal: &OwnedFd) -> bool {
    let mut settings = std::mem::MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: the library writes the settings to where there is room for them; zeros are some, too.
    let settings = unsafe {
        assert_eq!(libc::tcgetattr(terminal.as_raw_fd(), settings.as_mut_ptr()), 0);
        settings.assume_init()
    };
    settings.c_lflag & libc::ECHO != 0
}

/// Reads what the terminal shows until it ends like that.
fn until(ours: &mut File, shown: &mut String, end: &str) {
    while !shown.ends_with(end) {
        let mut byte = [0];
        ours.read_exact(&mut byte).expect("the terminal is open");
        shown.push(char::from(byte[0]));
    }
}

#[test]
fn a_terminal_does_not_show_the_password() {
    for (second, expected) in [("s3cret\n", Some(0)), ("another\n", Some(1)), ("", None)] {
        let (mut ours, theirs) = terminal();
        let copy = || theirs.try_clone().expect("a descriptor of ours");
        let mut command = raddle(&["serve", "--hash-password", "ann"]);
        command.stdin(copy()).stderr(copy()).stdout(Stdio::piped());
        // What a shell runs in the background ignores SIGINT, and so would what that starts.
        let hears = || {
            // SAFETY: allowed between fork and exec, and touches no memory.
            unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
            Ok(())
        };
        // SAFETY: it makes that call and no other.
        unsafe { command.pre_exec(hears) };
        let child = command.spawn().expect("cargo has built the program");
        let mut shown = String::new();
        until(&mut ours, &mut shown, "password: ");
        ours.write_all(b"s3cret\n").expect("the terminal is open");
        until(&mut ours, &mut shown, "again: ");
        assert!(!echoes(&theirs));
        match second {
            // Who interrupts it gets his terminal back.
            "" => {
                let pid = i32::try_from(child.id()).expect("a process id");
                // SAFETY: a child of ours that has not been waited for.
                assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
            }
            _ => ours.write_all(second.as_bytes()).expect("the terminal is open"),
        }
        let output = child.wait_with_output().expect("a child of ours");
        assert_eq!(output.status.code(), expected, "{second}");
        assert!(echoes(&theirs) && !shown.contains("s3"), "{shown}");
        let is_hashed = text(&output.stdout).starts_with("ann:$2b$10$");
        assert_eq!(is_hashed, expected == Some(0));
    }
}

const ORIGIN: &str = "Origin: https://a.example\r\n";
const PREFLIGHT: &str = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n";

#[test]
fn pages_of_other_sites_read_what_they_may() {
    let hash = hash_password("secret", 4).expect("a short password");
    let (path, _folder) = configured(
        "origins",
        &format!(
            "[[cors]]\npath = \"/\"\norigins = [\"*\"]\n\
             [[cors]]\npath = \"/private/\"\norigins = [\"https://a.example\"]\nmethods = [\"PUT\"]\n\
             headers = [\"X-A\", \"X-B\"]\nexpose = [\"ETag\"]\ncredentials = true\nmax_age_s = 60\n\
             [[auth]]\npath = \"/private/\"\nusers = [\"ann:{hash}\"]\n"
        ),
    );
    let server = served(&path);
    let has = |answer: &str, fields: &[&str]| {
        fields.iter().all(|field| answer.contains(&format!("\r\n{field}\r\n")))
    };
    let open = get(&server, "/api/a.txt", ORIGIN);
    assert!(
        has(&open, &["Access-Control-Allow-Origin: *"]) && open.ends_with("\r\n\r\na"),
        "{open}"
    );
    let plain = get(&server, "/api/a.txt", "");
    assert!(!plain.contains("Access-Control") && !plain.contains("Vary: Origin"), "{plain}");
    // No password is asked for, as browsers have none there.
    let preflight = ask(&server, "OPTIONS", "/private/", PREFLIGHT);
    assert!(preflight.starts_with("HTTP/1.1 204 "), "{preflight}");
    let fields = [
        "Access-Control-Allow-Origin: https://a.example",
        "Access-Control-Allow-Methods: PUT",
        "Access-Control-Allow-Headers: X-A, X-B",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Max-Age: 60",
        "Vary: Origin",
    ];
    assert!(has(&preflight, &fields), "{preflight}");
    assert_eq!(preflight.matches("Vary: Origin").count(), 1);
    let other = ask(&server, "OPTIONS", "/private/", &PREFLIGHT.replace("a.example", "b.example"));
    assert!(other.starts_with("HTTP/1.1 204 ") && !other.contains("Access-Control"), "{other}");
    for (fields, status) in [("", "401"), (ANN, "200")] {
        let answer = get(&server, "/private/", &format!("{ORIGIN}{fields}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let expected = [
            "Access-Control-Allow-Origin: https://a.example",
            "Access-Control-Expose-Headers: ETag",
        ];
        assert!(has(&answer, &expected) && has(&answer, &["Vary: Origin"]), "{answer}");
        let answer = get(&server, "/private/", fields);
        assert!(has(&answer, &["Vary: Origin"]) && !answer.contains("Access-Control"), "{answer}");
    }
    // What only looks like one is no preflight.
    let answer = ask(&server, "OPTIONS", "/private/", "Access-Control-Request-Method: PUT\r\n");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(server.stop(), "");
}

#[test]
fn mistakes_about_origins_are_named() {
    for (text, expected) in [
        ("path = \"/a\"\norigins = [\"*\"]", "4: cors.path: a folder begins"),
        ("path = \"/a/\"\norigins = []", "5: cors.origins: nobody;"),
        (
            "path = \"/a/\"\norigins = [\"https://a/\"]",
            "5: cors.origins: an origin is scheme://host",
        ),
        ("path = \"/a/\"\norigins = [\"*\", \"https://a\"]", "5: cors.origins: an origin is"),
        (
            "path = \"/a/\"\norigins = [\"*\"]\nmethods = [\"GE T\"]",
            "6: cors.methods: a method is a token",
        ),
        (
            "path = \"/a/\"\norigins = [\"*\"]\nheaders = [\"a b\"]",
            "6: cors.headers: a field's name",
        ),
        ("path = \"/a/\"\norigins = [\"*\"]\nexpose = [\"\"]", "6: cors.expose: a field's name"),
        (
            "path = \"/a/\"\norigins = [\"*\"]\ncredentials = true",
            "6: cors.credentials: with origins = [\"*\"]",
        ),
        ("path = \"/a/\"", "3: cors: missing field `origins`"),
    ] {
        let line = mistake("mistaken-cors", &format!("[[cors]]\n{text}\n"));
        assert!(line.starts_with(expected), "{text}: {line}");
    }
}

#[test]
fn hosts_have_sites_of_their_own() {
    let hash = hash_password("secret", 4).expect("a short password");
    let (path, folder) = configured(
        "hosts",
        &format!(
            "listings = false\n[[redirects]]\nfrom = \"/old\"\nto = \"/first\"\n\
             [[hosts]]\nnames = [\"b.example\", \"*.b.example\"]\nfolder = \"other\"\nindex = [\"main.html\"]\n\
             error_pages = {{ 404 = \"404.html\" }}\n\
             [[hosts.headers]]\npath = \"**\"\nset = {{ X-Site = \"other\" }}\n\
             [[hosts.redirects]]\nfrom = \"/old\"\nto = \"/second\"\n\
             [[hosts]]\nnames = [\"c.example\"]\nfolder = \"other\"\nlistings = true\nindex = [\"none.html\"]\n\
             [[auth]]\npath = \"/private/\"\nusers = [\"ann:{hash}\"]\n"
        ),
    );
    folder.file("other/private/index.html", "other private");
    let server = served(&path);
    let at = |host: &str, path: &str| get(&server, path, &format!("Host: {host}\r\n"));
    for host in ["b.example", "B.example.:80", "www.b.example"] {
        let answer = at(host, "/");
        assert!(
            answer.ends_with("\r\n\r\nother main") && answer.contains("\r\nX-Site: other\r\n"),
            "{answer}"
        );
        assert!(at(host, "/none").ends_with("\r\n\r\nother 404"));
        assert!(at(host, "/old").contains("\r\nLocation: /second\r\n"));
    }
    for host in ["a", "x.www.b.example", "127.0.0.1", "bb.example"] {
        let answer = at(host, "/");
        assert!(answer.ends_with("\r\n\r\nindex") && !answer.contains("X-Site"), "{answer}");
        assert!(at(host, "/none").ends_with("\r\n\r\n404 Not Found\n"));
        assert!(at(host, "/old").contains("\r\nLocation: /first\r\n"));
        assert!(at(host, "/api/").starts_with("HTTP/1.1 404 "), "the first has no listings");
    }
    assert!(at("c.example", "/").contains("main.html</a>"));
    // A target that is a whole address goes before the field.
    let answer = get(&server, "http://b.example/", "Host: a\r\n");
    assert!(answer.ends_with("\r\n\r\nother main"), "{answer}");
    for host in ["a", "b.example", "c.example"] {
        assert!(at(host, "/private/").starts_with("HTTP/1.1 401 "), "{host}");
    }
    assert_eq!(server.stop(), "");
    let server = Server::of(&mut raddle(&["serve", "-c", &path, "--no-listings"]));
    let answer = get(&server, "/", "Host: c.example\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 "), "an option goes before each site: {answer}");
    server.stop();
}

/// A site's policy stands in what is no file, too.
#[test]
fn fields_reach_every_answer_of_a_site() {
    let hash = hash_password("secret", 4).expect("a short password");
    let (path, _folder) = configured(
        "dressed",
        &format!(
            "[[headers]]\npath = \"/**\"\nset = {{ X-Site = \"first\", Cache-Control = \"max-age=9\" }}\n\
             [[redirects]]\nfrom = \"/old\"\nto = \"/\"\n\
             [[auth]]\npath = \"/private/\"\nusers = [\"ann:{hash}\"]\n\
             [[cors]]\npath = \"/api/\"\norigins = [\"*\"]\n\
             [[hosts]]\nnames = [\"b.example\"]\nfolder = \"other\"\n\
             [[hosts.headers]]\npath = \"/**\"\nset = {{ X-Site = \"other\", Cache-Control = \"no-store\" }}\nalways = true\n"
        ),
    );
    let server = served(&path);
    for (method, path, fields, status) in [
        ("GET", "/", "", 200),
        ("GET", "/api/", "", 200),
        ("GET", "/api", "", 301),
        ("GET", "/old", "", 308),
        ("GET", "/none", "", 404),
        ("GET", "/%zz", "", 400),
        ("GET", "/private/", "", 401),
        ("POST", "/", "", 405),
        ("OPTIONS", "*", "", 204),
        ("OPTIONS", "/api/", PREFLIGHT, 204),
    ] {
        for (host, site, of_errors) in [("a", "first", false), ("b.example", "other", true)] {
            let answer = ask(&server, method, path, &format!("{fields}Host: {host}\r\n"));
            if site == "other" && answer.starts_with("HTTP/1.1 404 ") {
                continue;
            }
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
            assert!(answer.contains(&format!("\r\nX-Site: {site}\r\n")), "{path}: {answer}");
            let is_kept = answer.contains("\r\nCache-Control: ");
            assert_eq!(is_kept, of_errors || status < 400, "{path}: {answer}");
        }
    }
    assert_eq!(server.stop(), "");
}

#[test]
fn mistakes_about_hosts_are_named() {
    for (text, expected) in [
        ("names = [\"a\"]\nfolder = \"none\"", "5: hosts.folder: /none: there is no such folder"),
        ("names = []\nfolder = \"other\"", "4: hosts.names: nobody could ask for it"),
        ("names = [\"a\",\n\"a:80\"]\nfolder = \"other\"", "5: hosts.names: a host is a name"),
        (
            "names = [\"a\"]\nfolder = \"other\"\n[[hosts]]\nnames = [\"A\"]\nfolder = \"other\"",
            "7: hosts.names: a host that was there before",
        ),
        (
            "names = [\"a\"]\nfolder = \"other\"\n[[hosts.headers]]\npath = \"*\"\nset = { ETag = \"1\" }",
            "8: hosts.headers.set.ETag: it can't be set",
        ),
        (
            "names = [\"a\"]\nfolder = \"other\"\n[[hosts.redirects]]\nfrom = \"a\"\nto = \"/\"",
            "7: hosts.redirects.from: a: a pattern begins with a slash",
        ),
        ("folder = \"other\"", "3: hosts: missing field `names`"),
        ("names = [\"a\"]\nfolder = \"other\"\ndrain_s = 1", "6: hosts: unknown field `drain_s`"),
    ] {
        let line = mistake("mistaken-hosts", &format!("[[hosts]]\n{text}\n"));
        assert!(line.starts_with(expected), "{text}: {line}");
    }
}

#[test]
fn all_of_this_with_io_uring_forbidden() {
    kit::again_with_io_uring_forbidden();
}
