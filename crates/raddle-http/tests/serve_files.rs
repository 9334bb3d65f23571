//! A folder served over real sockets: which file a path leads to, and which none; conditions, ranges, codings, listings.

mod serve_kit;
mod site_kit;

use raddle_http::files::Files;
use raddle_http::server::Server;
use serve_kit::{Answer, Case, Client, PATIENCE};
use site_kit::{Site, write};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, ExitCode};
use std::time::Duration;

const CASES: &[Case] = &[
    ("files_are_what_they_are", files_are_what_they_are),
    ("folders_have_an_index_or_are_not_found", folders_have_an_index_or_are_not_found),
    ("nothing_escapes", nothing_escapes),
    ("conditions_are_weighed", conditions_are_weighed),
    ("ranges_are_cut_out", ranges_are_cut_out),
    ("several_ranges_come_in_parts", several_ranges_come_in_parts),
    ("a_large_file_arrives_whole", a_large_file_arrives_whole),
    ("copies_in_other_codings_are_preferred", copies_in_other_codings_are_preferred),
    ("changes_are_seen", changes_are_seen),
    ("other_methods_are_refused", other_methods_are_refused),
    ("listings_are_sorted_and_harmless", listings_are_sorted_and_harmless),
    ("hidden_names_are_shown_to_those_who_want_it", hidden_names_are_shown_to_those_who_want_it),
    ("a_prefix_leads_to_a_folder", a_prefix_leads_to_a_folder),
    ("curl_agrees", curl_agrees),
];

fn main() -> ExitCode {
    serve_kit::main(CASES)
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 % 251) as u8).collect()
}

fn files_are_what_they_are() {
    let (middle, large) = (pattern(16 << 10), pattern((16 << 10) + 1));
    let files: &[(&str, &[u8])] = &[
        ("a.html", b"<p>a"),
        ("style.css", b"p{}"),
        ("empty.txt", b""),
        ("sub/deep/b.json", b"{}"),
        ("with space & \u{e9}.txt", b"space"),
        ("middle.bin", &middle),
        ("large.bin", &large),
    ];
    let site = Site::of(files, |files| files);
    let mut client = site.client();
    let rows: [(&str, &str, &[u8]); 8] = [
        ("/a.html", "text/html; charset=utf-8", b"<p>a"),
        ("//./sub/../a.html", "text/html; charset=utf-8", b"<p>a"),
        ("/style.css?v=1", "text/css; charset=utf-8", b"p{}"),
        ("/empty.txt", "text/plain; charset=utf-8", b""),
        ("/sub/deep/b.json", "application/json", b"{}"),
        ("/with%20space%20&%20%C3%A9.txt", "text/plain; charset=utf-8", b"space"),
        ("/middle.bin", "application/octet-stream", &middle),
        ("/large.bin", "application/octet-stream", &large),
    ];
    // Twice: the second time they are known.
    for (path, media, content) in rows.iter().chain(&rows) {
        let answer = client.get(path, &[]);
        assert_eq!((answer.status, answer.field("content-type")), (200, Some(*media)), "{path}");
        assert!(answer.body == *content, "{path}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.field("accept-ranges"), Some("bytes"));
        assert!(answer.field("etag").is_some_and(|tag| tag.starts_with('"')), "{answer:?}");
        assert!(answer.field("last-modified").is_some());
        let head = client.ask("HEAD", path, &[]);
        assert_eq!(head.status, 200);
        let without_date = |answer: &Answer| {
            let lines = answer.head.lines().filter(|line| !line.starts_with("Date: "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(without_date(&head), without_date(&answer), "HEAD says what GET says");
    }
    for path in ["/none", "/a.html/", "/a.html/x", "/sub/none", "/empty.txt/..%20"] {
        assert_eq!(client.get(path, &[]).status, 404, "{path}");
    }
}

fn folders_have_an_index_or_are_not_found() {
    let files: &[(&str, &[u8])] =
        &[("index.html", b"root"), ("sub/index.html", b"sub"), ("bare/file", b"file")];
    let site = Site::of(files, |files| files);
    let mut client = site.client();
    assert_eq!(client.get("/", &[]).text(), "root");
    assert_eq!(client.get("/sub/", &[]).text(), "sub");
    assert_eq!(client.get("/sub/.", &[]).text(), "sub");
    let answer = client.get("/sub?a=b", &[]);
    assert_eq!((answer.status, answer.field("location")), (301, Some("/sub/?a=b")));
    // Not to another host.
    let answer = client.get("//sub", &[]);
    assert_eq!((answer.status, answer.field("location")), (301, Some("/sub/")));
    assert_eq!(client.get("/bare/", &[]).status, 404);
    assert_eq!(client.get("/bare/file", &[]).text(), "file");
}

fn nothing_escapes() {
    let files: &[(&str, &[u8])] = &[
        ("ok", b"ok"),
        (".env", b"secret"),
        (".git/config", b"secret"),
        ("sub/ok", b"ok"),
        (".well-known/security.txt", b"ok"),
    ];
    let site = Site::of(files, |files| files.listings(true));
    fs::write(site.base.join("secret"), "secret").expect("a folder of ours");
    let link = |to: &str, at: &str| symlink(to, site.root().join(at)).expect("a folder of ours");
    link("../secret", "out");
    link("/etc/passwd", "passwd");
    link("..", "up");
    link("/", "slash");
    link("ok", "alias");
    link("../ok", "sub/alias");
    link("loop", "loop");
    let fifo =
        std::ffi::CString::new(site.root().join("fifo").to_str().expect("text")).expect("no NUL");
    // The client would wait for ever if it were opened as a file.
    assert!(
        Command::new("mkfifo")
            .arg(fifo.to_str().expect("text"))
            .status()
            .is_ok_and(|status| status.success())
    );
    let rows = [
        ("/ok", 200),
        ("/alias", 200),
        ("/sub/alias", 200),
        ("/.well-known/security.txt", 200),
        ("/../secret", 400),
        ("/%2e%2e/secret", 400),
        ("/sub/../../secret", 400),
        ("/sub/..%2f..%2fsecret", 400),
        ("/..%5csecret", 404),
        ("/ok%00.html", 400),
        ("/%zz", 400),
        ("/out", 404),
        ("/passwd", 404),
        ("/up/secret", 404),
        ("/up/", 404),
        ("/slash/etc/passwd", 404),
        ("/loop", 404),
        ("/.env", 404),
        ("/%2eenv", 404),
        ("/.git/config", 404),
        ("/.git/", 404),
        ("/fifo", 403),
        ("/%2fetc/passwd", 400),
        ("//etc/passwd", 404),
    ];
    let mut client = site.client();
    for (path, status) in rows {
        let answer = client.get(path, &[]);
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.text().contains("secret") && !answer.text().contains("root:"), "{path}");
    }
    let long = format!("/{}", "x".repeat(300));
    assert_eq!(client.get(&long, &[]).status, 404);
    let page = client.get("/", &[]);
    for name in ["out", "passwd", "up", "slash", "loop", "fifo", ".env", ".git"] {
        assert!(
            !page.text().contains(&format!("./{name}\""))
                && !page.text().contains(&format!("./{name}/")),
            "{name}"
        );
    }
    assert!(page.text().contains("./alias\"") && page.text().contains("./sub/\""));
}

fn conditions_are_weighed() {
    let site = Site::of(&[("a.txt", b"0123456789")], |files| files);
    let mut client = site.client();
    let plain = client.get("/a.txt", &[]);
    let tag = plain.field("etag").expect("files have tags").to_owned();
    let date = plain.field("last-modified").expect("files have dates").to_owned();
    let (past, future) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 2089 08:49:37 GMT");
    let rows: &[(&[String], u16)] = &[
        (&[format!("If-None-Match: {tag}")], 304),
        (&[format!("If-None-Match: W/{tag}")], 304),
        (&[format!("If-None-Match: \"x\", {tag}")], 304),
        (&["If-None-Match: *".into()], 304),
        (&["If-None-Match: \"x\"".into()], 200),
        (&[format!("If-Modified-Since: {date}")], 304),
        (&[format!("If-Modified-Since: {future}")], 304),
        (&[format!("If-Modified-Since: {past}")], 200),
        (&["If-Modified-Since: yesterday".into()], 200),
        (&["If-None-Match: \"x\"".into(), format!("If-Modified-Since: {date}")], 200),
        (&[format!("If-Match: {tag}")], 200),
        (&["If-Match: *".into()], 200),
        (&[format!("If-Match: W/{tag}")], 412),
        (&["If-Match: \"x\"".into()], 412),
        (&[format!("If-Unmodified-Since: {date}")], 200),
        (&[format!("If-Unmodified-Since: {past}")], 412),
        (&[format!("If-Match: {tag}"), format!("If-Unmodified-Since: {past}")], 200),
        (&[format!("If-Match: {tag}"), format!("If-None-Match: {tag}")], 304),
        (&["Range: bytes=2-3".into()], 206),
        (&["Range: bytes=2-3".into(), format!("If-Range: {tag}")], 206),
        (&["Range: bytes=2-3".into(), format!("If-Range: {date}")], 206),
        (&["Range: bytes=2-3".into(), "If-Range: \"x\"".into()], 200),
        (&["Range: bytes=2-3".into(), format!("If-Range: W/{tag}")], 200),
        (&["Range: bytes=2-3".into(), format!("If-Range: {past}")], 200),
        (&["Range: bytes=2-3".into(), format!("If-None-Match: {tag}")], 304),
        (&["Range: bytes=2-3".into(), "If-Match: \"x\"".into()], 412),
    ];
    for (fields, status) in rows {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let answer = client.get("/a.txt", &fields);
        assert_eq!(answer.status, *status, "{fields:?}");
        let expected = match status {
            200 => "0123456789",
            206 => "23",
            304 => "",
            _ => "412 Precondition Failed\n",
        };
        assert_eq!(answer.text(), expected, "{fields:?}");
        if *status == 304 {
            assert_eq!(answer.field("etag"), Some(&*tag));
            assert_eq!(answer.field("content-type"), None);
        }
    }
}

fn ranges_are_cut_out() {
    for size in [1000, 100_000] {
        let content = pattern(size);
        let site = Site::of(&[("a.bin", &content)], |files| files);
        let mut client = site.client();
        for (range, cut) in [
            ("0-0", 0..1),
            ("0-99", 0..100),
            ("100-", 100..size),
            ("-100", size - 100..size),
            ("-9999999", 0..size),
            ("10-9999999", 10..size),
            ("5-5,7-7", 5..8),
        ] {
            let answer = client.get("/a.bin", &[&format!("Range: bytes={range}")]);
            let said = format!("bytes {}-{}/{size}", cut.start, cut.end - 1);
            assert_eq!(
                (answer.status, answer.field("content-range")),
                (206, Some(&*said)),
                "{range}"
            );
            assert!(answer.body == content[cut], "{range}");
        }
        for range in ["bytes=1-0", "bytes=x", "lines=1-2", "bytes=0-1,,x"] {
            let answer = client.get("/a.bin", &[&format!("Range: {range}")]);
            assert!(answer.status == 200 && answer.body == content, "{range}");
        }
        let answer = client.get("/a.bin", &["Range: bytes=9999999-"]);
        let said = format!("bytes */{size}");
        assert_eq!((answer.status, answer.field("content-range")), (416, Some(&*said)));
        let answer = client.ask("HEAD", "/a.bin", &["Range: bytes=0-0"]);
        assert_eq!(
            (answer.status, answer.field("content-length")),
            (200, Some(&*size.to_string()))
        );
    }
}

fn several_ranges_come_in_parts() {
    let content = pattern(100_000);
    let site = Site::of(&[("a.bin", &content)], |files| files);
    let mut client = site.client();
    let answer = client.get("/a.bin", &["Range: bytes=0-9,50000-69999,-5"]);
    assert_eq!(answer.status, 206);
    let media = answer.field("content-type").expect("it has a type");
    let boundary = media.strip_prefix("multipart/byteranges; boundary=").expect("it is in parts");
    let mut expected = Vec::new();
    for cut in [0..10, 50_000..70_000, 99_995..100_000] {
        let (first, last) = (cut.start, cut.end - 1);
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {first}-{last}/100000\r\n\r\n"
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&content[cut]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(answer.body == expected);
    // The connection goes on.
    assert_eq!(client.get("/a.bin", &["Range: bytes=0-0"]).body, content[..1]);
}

fn a_large_file_arrives_whole() {
    let content = pattern(20 << 20);
    let site = Site::of(&[("a.bin", &content), ("small", b"small")], |files| files);
    let mut client = site.client();
    for _ in 0..2 {
        client.send("GET /small HTTP/1.1\r\nHost: a\r\n\r\nGET /a.bin HTTP/1.1\r\nHost: a\r\n\r\nGET /small HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer(false).text(), "small");
        assert!(client.answer(false).body == content);
        assert_eq!(client.answer(false).text(), "small");
    }
    let answer = client.get("/a.bin", &["Range: bytes=1000001-"]);
    assert!(answer.body == content[1_000_001..]);
}

fn copies_in_other_codings_are_preferred() {
    let files: &[(&str, &[u8])] = &[
        ("a.css", b"plain"),
        ("a.css.gz", b"gzip"),
        ("a.css.br", b"brotli"),
        ("b.js", b"plain"),
        ("b.js.gz", b"gzip"),
        ("c.js", b"plain"),
    ];
    let site = Site::of(files, |files| files);
    // From before the last change.
    write(&site.root().join("c.js.gz"), b"old", 1000);
    let mut client = site.client();
    let rows = [
        ("/a.css", "", "plain", None),
        ("/a.css", "gzip, deflate, br", "brotli", Some("br")),
        ("/a.css", "gzip, br;q=0.5", "gzip", Some("gzip")),
        ("/a.css", "br;q=0, gzip;q=0, identity;q=0", "plain", None),
        ("/b.js", "br, zstd", "plain", None),
        ("/b.js", "gzip", "gzip", Some("gzip")),
        ("/c.js", "gzip", "plain", None),
        ("/a.css.gz", "gzip", "gzip", None),
    ];
    let mut tags = std::collections::BTreeMap::new();
    for (path, accepts, content, coding) in rows {
        let fields = [&*format!("Accept-Encoding: {accepts}")];
        let answer = client.get(path, &fields);
        assert_eq!(
            (answer.text(), answer.field("content-encoding")),
            (content, coding),
            "{path} {accepts}"
        );
        let varies = !matches!(path, "/c.js" | "/a.css.gz");
        assert_eq!(answer.field("vary"), varies.then_some("Accept-Encoding"), "{path}");
        if path == "/a.css" {
            assert_eq!(answer.field("content-type"), Some("text/css; charset=utf-8"));
            let tag = answer.field("etag").expect("files have tags").to_owned();
            assert_eq!(tags.entry(coding).or_insert_with(|| tag.clone()), &tag);
            let again = client.get(path, &[fields[0], &format!("If-None-Match: {tag}")]);
            assert_eq!((again.status, again.field("vary")), (304, Some("Accept-Encoding")));
        }
    }
    let mut all: Vec<&String> = tags.values().collect();
    all.dedup();
    assert_eq!(all.len(), 3, "each coding has a tag of its own");
    drop(site);
    let site = Site::of(files, |files| files.compressed(false));
    assert_eq!(site.get("/a.css", &["Accept-Encoding: gzip"]).text(), "plain");
}

fn changes_are_seen() {
    let site = Site::of(&[("a.txt", b"old")], |files| files.freshness(Duration::from_millis(50)));
    let mut client = site.client();
    let first = client.get("/a.txt", &[]);
    assert_eq!(first.text(), "old");
    let until = |client: &mut Client, status: u16, text: &str| {
        let begun = std::time::Instant::now();
        loop {
            let answer = client.get("/a.txt", &[]);
            if answer.status == status && (status != 200 || answer.text() == text) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{answer:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    // As long as it was, in place, and dated as it was.
    write(&site.root().join("a.txt"), b"new", 100);
    let second = until(&mut client, 200, "new");
    assert_ne!(first.field("etag"), second.field("etag"));
    fs::remove_file(site.root().join("a.txt")).expect("a file of ours");
    until(&mut client, 404, "");
    write(&site.root().join("a.txt"), b"again", 0);
    let just_now = until(&mut client, 200, "again");
    // It may change within the same moment: no promise yet.
    assert!(just_now.field("etag").is_some_and(|tag| tag.starts_with("W/")), "{just_now:?}");
    let begun = std::time::Instant::now();
    while client.get("/a.txt", &[]).field("etag").is_none_or(|tag| tag.starts_with("W/")) {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn other_methods_are_refused() {
    let site = Site::of(&[("a.txt", b"a")], |files| files);
    let mut client = site.client();
    let answer = client.ask("OPTIONS", "/a.txt", &[]);
    assert_eq!((answer.status, answer.field("allow")), (204, Some("GET, HEAD, OPTIONS")));
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
        let answer = client.ask(method, "/a.txt", &[]);
        assert_eq!(
            (answer.status, answer.field("allow")),
            (405, Some("GET, HEAD, OPTIONS")),
            "{method}"
        );
    }
    // RFC 9110 section 9.1: nobody knows these, here or elsewhere.
    for method in ["BREW", "get"] {
        let answer = client.ask(method, "/a.txt", &[]);
        assert_eq!((answer.status, answer.field("allow")), (501, None), "{method}");
    }
    // Nobody reads these chunks before the answer, so it is the last.
    for size in ["xyz", "-1", "11111111111111111", "0"] {
        let mut client = site.client();
        let head = "POST /a.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{size}\r\n\r\n"));
        let answer = client.answer(false);
        assert!(answer.status == 405 && answer.says_close(), "{size}: {answer:?}");
        client.expect_end();
    }
}

fn listings_are_sorted_and_harmless() {
    let files: &[(&str, &[u8])] = &[
        ("b2.txt", b"22"),
        ("b10.txt", b"1"),
        ("<i>&\"x\".txt", b"333"),
        ("sub/c.txt", b""),
        ("a:b.txt", b""),
    ];
    let site = Site::of(files, |files| files.listings(true));
    let mut client = site.client();
    let order = |page: &Answer, names: &[&str]| {
        let at = |name: &&str| {
            page.text().find(*name).unwrap_or_else(|| panic!("{name}: {}", page.text()))
        };
        assert!(names.iter().map(at).is_sorted(), "{}", page.text());
    };
    let page = client.get("/", &[]);
    assert_eq!((page.status, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(
        page.field("content-security-policy"),
        Some("default-src 'none'; style-src 'unsafe-inline'")
    );
    order(
        &page,
        &[
            "./sub/\"",
            "&lt;i&gt;&amp;&quot;x&quot;.txt<",
            "\"./a%3Ab.txt\"",
            "./b2.txt",
            "./b10.txt",
        ],
    );
    assert!(!page.text().contains("<i>") && page.text().contains("1 folder, 4 files"));
    order(
        &client.get("/?sort=size&order=desc", &[]),
        &["./sub/", "&lt;i&gt;", "./b2.txt", "./b10.txt"],
    );
    assert!(client.get("/sub/", &[]).text().contains("href=\"../\""));
    assert_eq!(client.get("/sub", &[]).field("location"), Some("/sub/"));
    let json = client.get("/", &["Accept: application/json"]);
    assert_eq!(
        (json.field("content-type"), json.field("vary")),
        (Some("application/json"), Some("Accept"))
    );
    assert!(
        json.text()
            .starts_with("{\"path\":\"/\",\"entries\":[\n{\"name\":\"sub\",\"type\":\"folder\","),
        "{}",
        json.text()
    );
    // Every link leads somewhere.
    for link in page.text().split("href=\"./").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert_eq!(client.get(&format!("/{link}"), &[]).status, 200, "{link}");
    }
}

fn hidden_names_are_shown_to_those_who_want_it() {
    let site = Site::of(&[(".env", b"shown")], |files| files.listings(true).hidden(true));
    assert_eq!(site.get("/.env", &[]).text(), "shown");
    assert!(site.get("/", &[]).text().contains("./.env"));
}

fn a_prefix_leads_to_a_folder() {
    let site = Site::of(&[("sub/a.txt", b"a")], |files| files);
    let files = Files::new(site.root()).expect("it is there");
    let server = Server::new().route("/static/{*path}", move |request| {
        let path = request.path()["/static".len()..].to_owned();
        files.serve_path(request, &path)
    });
    let running = server.expect("a valid route").bind("127.0.0.1:0").expect("some port is free");
    let mut client = Client::connect(running.local_addr());
    assert_eq!(client.get("/static/sub/a.txt", &[]).text(), "a");
    assert_eq!(client.get("/sub/a.txt", &[]).status, 404);
    running.drain();
    assert!(running.wait_timeout(PATIENCE));
}

fn curl_agrees() {
    let content = pattern(300_000);
    let site = Site::of(&[("a.bin", &content), ("index.html", b"index")], |files| files);
    let at = site.running.local_addr();
    let run = |arguments: &[&str], path: &str| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60"]).args(arguments).arg(format!("http://{at}{path}"));
        command.output()
    };
    let output = run(&[], "/a.bin").expect("it is installed");
    assert!(output.status.success() && output.stdout == content);
    let output = run(&["-r", "1000-1999"], "/a.bin").expect("it ran before");
    assert!(output.stdout == content[1000..2000]);
    let output = run(
        &["-o", "/dev/null", "-w", "%{http_code} %{num_connects}", "-H", "If-None-Match: *"],
        "/a.bin",
    );
    assert_eq!(output.expect("it ran before").stdout, b"304 1");
    let output = run(&["-d", "content"], "/").expect("it ran before");
    assert_eq!(output.stdout, b"405 Method Not Allowed\n");
}
