//! `raddle serve` as a browser sees it: a folder's page, and a video in which somebody seeks.

mod kit;

use kit::{Folder, PATIENCE, Server, browser, raddle};
use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// A browser, and all that runs beside this test, may take so long.
const LONG: Duration = PATIENCE.saturating_mul(3);

fn main() {
    let found = browser::find();
    if found.is_none() {
        eprintln!("ignored: chromium loads pages; it is not installed");
    }
    let trial = |name: &str, test: fn(&str)| {
        let run = move || -> Result<(), Failed> {
            test(found.expect("it is ignored otherwise"));
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(found.is_none())
    };
    let trials = vec![
        trial("chromium_loads_a_folders_page", chromium_loads_a_folders_page),
        trial("chromium_seeks_in_a_video", chromium_seeks_in_a_video),
        trial("all_of_this_with_io_uring_forbidden", |_| kit::again_with_io_uring_forbidden()),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn chromium_loads_a_folders_page(browser: &str) {
    let folder = Folder::new("listed");
    for name in ["b.txt", "a b&c.txt", "<script>alert(1)</script>", "z/inner.txt", "\u{e4}.html"] {
        folder.file(&name.replace("</", "<\u{2215}"), name);
    }
    let server = Server::of(&mut raddle(&["serve", folder.path(), "-l", "127.0.0.1:0"]));
    let page = browser::loaded(browser, &format!("http://{}/?sort=name&order=desc", server.at));
    let at = |what: &str| page.find(what).unwrap_or_else(|| panic!("{what} in {page}"));
    // Folders come first.
    let order = ["<a href=\"./z/\">z/</a>", "\u{e4}.html</a>", "b.txt</a>", "a b&amp;c.txt</a>"];
    assert!(order.map(at).is_sorted(), "{page}");
    assert!(page.contains(" aria-sort=\"descending\"") && !page.contains("<script>"), "{page}");
    let page = browser::loaded(browser, &format!("http://{}/z/", server.at));
    assert!(page.contains("<a href=\"./inner.txt\">inner.txt</a>"), "{page}");
    server.stop();
}

/// An element of Matroska (RFC 8794): its number, its length in four bytes, its content.
fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    let length = (0x1000_0000 | content.len() as u32).to_be_bytes();
    [id, &length, content].concat()
}

fn number(id: &[u8], value: u32) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// A black picture of 16 x 16 points as a key frame of VP8 (RFC 6386).
const FRAME: [u8; 24] = [
    0x30, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x10, 0x00, 0x10, 0x00, 0x02, 0x00, 0x34, 0x25, 0xa4, 0x00,
    0x03, 0x70, 0x00, 0xfe, 0xfb, 0x94, 0x00, 0x00,
];

/// A video of so many seconds with a picture in each, behind so many bytes that say nothing: WebM, with an index in front.
fn video(seconds: u32, bytes_between: usize) -> Vec<u8> {
    let header =
        [element(&[0x42, 0x82], b"webm"), number(&[0x42, 0x87], 2), number(&[0x42, 0x85], 2)];
    let header = element(&[0x1a, 0x45, 0xdf, 0xa3], &header.concat());
    // The clock ticks in milliseconds.
    let duration = element(&[0x44, 0x89], &(seconds as f64 * 1000.0).to_be_bytes());
    let info =
        [number(&[0x2a, 0xd7, 0xb1], 1_000_000), duration, element(&[0x4d, 0x80], b"raddle")];
    let info = element(
        &[0x15, 0x49, 0xa9, 0x66],
        &[info.concat(), element(&[0x57, 0x41], b"raddle")].concat(),
    );
    let size = element(&[0xe0], &[number(&[0xb0], 16), number(&[0xba], 16)].concat());
    let track = [
        number(&[0xd7], 1),
        number(&[0x73, 0xc5], 1),
        number(&[0x83], 1),
        element(&[0x86], b"V_VP8"),
        size,
    ];
    let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &track.concat()));
    let cluster = |second: u32| {
        let block = [&[0x81, 0x00, 0x00, 0x80][..], &FRAME].concat();
        let parts = [number(&[0xe7], second * 1000), element(&[0xa3], &block)];
        let between = element(&[0xec], &vec![0; bytes_between]);
        [element(&[0x1f, 0x43, 0xb6, 0x75], &parts.concat()), between].concat()
    };
    let cues = |first: u32| {
        let each = cluster(0).len() as u32;
        let point = |second: u32| {
            let at = [number(&[0xf7], 1), number(&[0xf1], first + second * each)];
            let point = [number(&[0xb3], second * 1000), element(&[0xb7], &at.concat())];
            element(&[0xbb], &point.concat())
        };
        element(&[0x1c, 0x53, 0xbb, 0x6b], &(0..seconds).flat_map(point).collect::<Vec<u8>>())
    };
    let first = info.len() + tracks.len() + cues(0).len();
    let clusters: Vec<u8> = (0..seconds).flat_map(cluster).collect();
    let segment = [info, tracks, cues(first as u32), clusters].concat();
    [header, element(&[0x18, 0x53, 0x80, 0x67], &segment)].concat()
}

const PLAYER: &str = "<!doctype html><title>player</title><video muted preload=auto src=clip.webm></video><script>\
    const video = document.querySelector('video');\
    const tell = what => fetch('/told?' + what);\
    video.onerror = () => tell('error=' + encodeURIComponent(video.error.message));\
    video.onloadedmetadata = () => { video.currentTime = 50 };\
    video.onseeked = () => tell(`at=${video.currentTime}&of=${video.duration}&wide=${video.videoWidth}`);\
    </script>";

fn chromium_seeks_in_a_video(browser: &str) {
    let folder = Folder::new("watched");
    folder.file("site/index.html", PLAYER);
    folder.file("site/clip.webm", video(60, 512 << 10));
    let text =
        "folder = \"site\"\nlisten = \"127.0.0.1:0\"\nlog = \"json\"\nlog_file = \"access.log\"\n";
    let config = folder.file("raddle.toml", text);
    let server = Server::of(&mut raddle(&["serve", "-c", &config]));
    let shown = browser::Shown::begin(browser, &format!("http://{}/", server.at));
    let log = format!("{}/access.log", folder.path());
    let (begun, read) = (Instant::now(), || fs::read_to_string(&log).unwrap_or_default());
    while !read().contains("\"target\":\"/told?") {
        assert!(begun.elapsed() < LONG, "it tells nothing: {}", read());
        thread::sleep(Duration::from_millis(50));
    }
    drop(shown);
    server.signal(libc::SIGTERM);
    let (status, _, errors) = server.end();
    assert!(status.success() && errors.is_empty(), "{status}: {errors}");
    let lines = read();
    assert!(lines.contains("\"target\":\"/told?at=50&of=60&wide=16\""), "{lines}");
    // From the beginning, and from elsewhere; or it has that, and asks whether it is still right.
    let parts: Vec<&str> = lines.lines().filter(|line| line.contains("/clip.webm")).collect();
    let has = |line: &&&str, status: u16| line.contains(&format!("\"status\":{status},"));
    assert!(parts.iter().filter(|line| has(line, 206)).count() > 1, "{lines}");
    assert!(parts.iter().all(|line| has(&line, 206) || has(&line, 304)), "{lines}");
}
