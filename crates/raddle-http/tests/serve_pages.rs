//! A folder served over real sockets: what stands around its files, and which version of one is sent.

mod serve_kit;
mod site_kit;

use serve_kit::Case;
use site_kit::{Site, write};
use std::fs::{self, File};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

const CASES: &[Case] = &[
    ("fields_go_by_path", fields_go_by_path),
    (
        "a_site_has_pages_of_its_own_for_what_is_not_there",
        a_site_has_pages_of_its_own_for_what_is_not_there,
    ),
    ("fields_reach_every_answer", fields_reach_every_answer),
    ("the_fallback_is_for_people", the_fallback_is_for_people),
    ("copies_are_not_listed_beside_their_files", copies_are_not_listed_beside_their_files),
    (
        "another_file_of_the_same_date_has_another_tag",
        another_file_of_the_same_date_has_another_tag,
    ),
];

fn main() -> ExitCode {
    serve_kit::main(CASES)
}

fn fields_go_by_path() {
    let files: &[(&str, &[u8])] = &[("a.html", b"a"), ("assets/a.css", b"a")];
    let site = Site::of(files, |files| {
        let files = files.header("**", "Cache-Control", "no-cache").expect("valid");
        files.header("/assets/**", "Cache-Control", "immutable").expect("valid")
    });
    let mut client = site.client();
    assert_eq!(client.get("/a.html", &[]).field("cache-control"), Some("no-cache"));
    let answer = client.get("/assets/a.css", &[]);
    assert_eq!(answer.field("cache-control"), Some("immutable"));
    let answer = client.get("/assets/a.css", &["If-None-Match: *"]);
    assert_eq!((answer.status, answer.field("cache-control")), (304, Some("immutable")));
}

fn a_site_has_pages_of_its_own_for_what_is_not_there() {
    let files: &[(&str, &[u8])] = &[
        ("404.html", b"<p>not here"),
        ("about.html", b"about"),
        ("app.html", b"app"),
        ("dir/x", b""),
    ];
    let site = Site::of(files, |files| {
        files.error_page(raddle_http::Status::NOT_FOUND, "/404.html").clean_urls(true)
    });
    let mut client = site.client();
    let answer = client.get("/none", &[]);
    assert_eq!((answer.status, answer.text()), (404, "<p>not here"));
    assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.field("etag"), None, "it is no version of what was asked for");
    assert_eq!(client.get("/about", &[]).text(), "about");
    assert_eq!(client.get("/dir", &[]).status, 301);
    assert_eq!(client.ask("POST", "/about", &[]).text(), "405 Method Not Allowed\n");
    drop((client, site));
    let site = Site::of(files, |files| files.fallback("app.html"));
    let mut client = site.client();
    let answer = client.get("/any/where", &["Accept: text/html"]);
    assert_eq!((answer.status, answer.text()), (200, "app"));
    assert_eq!(client.get("/any/data", &["Accept: application/json"]).status, 404);
    assert_eq!(client.get("/%00", &["Accept: text/html"]).status, 400);
}

/// A policy holds for a whole site, and how long a file may be kept only for files.
fn fields_reach_every_answer() {
    let files: &[(&str, &[u8])] =
        &[("a.html", b"a"), ("404.html", b"none"), ("list/x", b""), ("sub/index.html", b"sub")];
    let site = Site::of(files, |files| {
        let files = files.listings(true).error_page(raddle_http::Status::NOT_FOUND, "404.html");
        let files = files.header("/**", "X-Frame-Options", "DENY").expect("valid");
        let files = files.header("/**", "Vary", "Cookie").expect("valid");
        let files = files.header("/**", "Cache-Control", "max-age=60").expect("valid");
        files.header_always("/list/**", "Cache-Control", "no-store").expect("valid")
    });
    let mut client = site.client();
    for (method, path, fields, status, kept) in [
        ("GET", "/a.html", &[][..], 200, Some("max-age=60")),
        ("GET", "/a.html", &["If-None-Match: *"], 304, Some("max-age=60")),
        ("GET", "/a.html", &["Range: bytes=0-0"], 206, Some("max-age=60")),
        ("GET", "/a.html", &["Range: bytes=9-"], 416, None),
        ("GET", "/a.html", &["If-Match: \"x\""], 412, None),
        ("GET", "/sub", &[], 301, Some("max-age=60")),
        ("GET", "/list/", &[], 200, Some("no-store")),
        ("GET", "/none", &[], 404, None),
        ("GET", "/list/none", &[], 404, Some("no-store")),
        ("GET", "/.env", &[], 404, None),
        ("GET", "/%00", &[], 400, None),
        ("POST", "/a.html", &[], 405, None),
        ("OPTIONS", "/a.html", &[], 204, Some("max-age=60")),
    ] {
        let answer = client.ask(method, path, fields);
        assert_eq!((answer.status, answer.field("cache-control")), (status, kept), "{path}");
        assert_eq!(answer.field("x-frame-options"), Some("DENY"), "{path} {answer:?}");
        assert_eq!(answer.head.matches("Vary: Cookie\n").count(), 1, "{path} {answer:?}");
    }
    let listing = client.get("/list/", &[]);
    assert!(listing.head.contains("Vary: Accept\n"), "{listing:?}");
    assert_eq!(client.get("/sub", &[]).field("location"), Some("/sub/"));
}

/// Who asks for a script takes anything, and can do nothing with a page.
fn the_fallback_is_for_people() {
    let site = Site::of(&[("app.html", b"app")], |files| files.fallback("app.html"));
    let mut client = site.client();
    for (path, fields, status) in [
        ("/any/where", &[][..], 200),
        ("/any/where", &["Accept: */*"], 200),
        ("/any.where/", &["Accept: */*"], 404),
        ("/any.where/x", &["Accept: */*"], 200),
        ("/app.123.js", &[], 404),
        ("/app.123.js", &["Accept: */*"], 404),
        ("/a.png", &["Accept: image/avif,image/*,*/*;q=0.8"], 404),
        ("/a.png", &["Accept: text/*"], 404),
        ("/a.png", &["Accept: text/html;q=0, */*"], 404),
        ("/user/jo.smith", &["Accept: text/html,application/xhtml+xml,*/*;q=0.8"], 200),
        ("/user/jo.smith", &["Accept: application/xhtml+xml"], 200),
        ("/any/data", &["Accept: application/json"], 404),
    ] {
        assert_eq!(client.get(path, fields).status, status, "{path} {fields:?}");
    }
}

fn copies_are_not_listed_beside_their_files() {
    let files: &[(&str, &[u8])] = &[
        ("a.css", b"a"),
        ("a.css.br", b"a"),
        ("a.css.gz", b"a"),
        ("old.css", b"a"),
        ("alone.gz", b"a"),
        ("sub/x", b"a"),
        ("sub.zst", b"a"),
    ];
    for has_copies in [true, false] {
        let site = Site::of(files, |files| files.listings(true).compressed(has_copies));
        // From before the last change: nobody gets it for the file.
        write(&site.root().join("old.css.gz"), b"a", 1000);
        let page = site.get("/", &[]);
        for name in ["a.css", "old.css", "old.css.gz", "alone.gz", "sub.zst"] {
            assert!(page.text().contains(&format!("./{name}\"")), "{name}");
        }
        for name in ["a.css.br", "a.css.gz"] {
            assert_eq!(page.text().contains(&format!("./{name}\"")), !has_copies, "{name}");
            assert_eq!(site.get(&format!("/{name}"), &[]).status, 200);
        }
        assert!(!page.text().contains("class=\"\""), "{}", page.text());
    }
}

/// `mv` keeps the date, and what is deployed has that of its archive.
fn another_file_of_the_same_date_has_another_tag() {
    let site = Site::of(&[("a.txt", b"one 456789")], |files| files.freshness(Duration::ZERO));
    let (now, next) = (site.root().join("a.txt"), site.root().join("next"));
    write(&next, b"two 456789", 100);
    let date = SystemTime::now() - Duration::from_secs(50);
    for path in [&now, &next] {
        let file = File::options().write(true).open(path).expect("a file of ours");
        file.set_modified(date).expect("a file of ours");
    }
    let mut client = site.client();
    let tag = client.get("/a.txt", &[]).field("etag").expect("files have tags").to_owned();
    assert_eq!(client.get("/a.txt", &[&format!("If-None-Match: {tag}")]).status, 304);
    fs::rename(next, now).expect("a folder of ours");
    let answer = client.get("/a.txt", &[&format!("If-None-Match: {tag}")]);
    assert_eq!((answer.status, answer.text()), (200, "two 456789"));
    // Whoever has half of the old one gets all of the new one.
    let answer = client.get("/a.txt", &["Range: bytes=4-", &format!("If-Range: {tag}")]);
    assert_eq!((answer.status, answer.text()), (200, "two 456789"));
    let tag = answer.field("etag").expect("files have tags");
    assert!(tag.starts_with('"') && tag.len() < 24, "{tag} goes with each request");
}
