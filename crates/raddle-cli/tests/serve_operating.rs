//! `raddle serve` as whoever runs it sees it: the admin listener, its page in a browser, logs that are renamed, mistakes.

mod kit;

use kit::{Folder, PATIENCE, Server, raddle, until_arrived};
use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The example in the repository.
const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/site");

const CHECKS: &[(&str, fn())] = &[
    ("metrics_are_prometheus_own_format", metrics_are_prometheus_own_format),
    ("health_ends_before_the_server", health_ends_before_the_server),
    ("the_status_is_json_and_a_page_of_its_own", the_status_is_json_and_a_page_of_its_own),
    ("a_unix_socket_serves_as_well", a_unix_socket_serves_as_well),
    ("logs_are_renamed_under_load", logs_are_renamed_under_load),
    ("the_error_log_says_who_and_which", the_error_log_says_who_and_which),
    ("mistakes_are_named", mistakes_are_named),
    ("all_of_this_with_io_uring_forbidden", kit::again_with_io_uring_forbidden),
];

fn main() {
    let arguments = Arguments::from_args();
    let trial = |(name, check): &(&'static str, fn())| {
        let check = *check;
        Trial::test(*name, move || -> Result<(), Failed> {
            check();
            Ok(())
        })
    };
    let mut trials: Vec<Trial> = CHECKS.iter().map(trial).collect();
    let browser = kit::browser::find();
    if browser.is_none() {
        eprintln!("ignored: chromium loads the page; it is not installed");
    }
    let is_missing = browser.is_none();
    let loads = move || {
        chromium_loads_the_page(browser.expect("it is ignored otherwise"));
        Ok(())
    };
    trials.push(Trial::test("chromium_loads_the_page", loads).with_ignored_flag(is_missing));
    libtest_mimic::run(&arguments, trials).exit();
}

/// A server with an admin listener, and where that is.
fn watched(folder: &str, arguments: &[&str]) -> (Server, String) {
    let mut command = raddle(&["serve", folder, "-l", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let mut server = Server::of(command.args(arguments));
    let line = server.line();
    let place = line.strip_prefix("raddle: its status is at http://");
    let at = place.and_then(|place| place.strip_suffix("/status"));
    let at = at.unwrap_or_else(|| panic!("{line:?}")).to_owned();
    (server, at)
}

/// Sends a request, and reads until the connection's end.
fn ask(mut stream: impl Read + Write, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("it is connected");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer of text");
    answer
}

fn get(at: &str, path: &str) -> String {
    let stream = TcpStream::connect(at).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
    ask(stream, path)
}

/// An answer's content, if it is 200.
fn content(answer: &str) -> &str {
    let (head, content) = answer.split_once("\r\n\r\n").expect("a whole answer");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    content
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Values by name and labels, as a strict reader of the format has them.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut kinds, mut values) = (HashMap::new(), BTreeMap::new());
    let (mut helped, mut family) = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and a text");
            assert!(!help.is_empty() && !kinds.contains_key(name), "{line}");
            helped = name;
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a kind");
            assert!(name == helped && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            kinds.insert(name, kind);
            family = name;
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let name = series.split('{').next().expect("a name");
        let part = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} within {family}"));
        let is_histogram = kinds[family] == "histogram";
        assert!(if is_histogram {
            ["_bucket", "_sum", "_count"].contains(&part)
        } else {
            part.is_empty()
        });
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        assert!(name.bytes().all(is_name) && name.starts_with(['r', 'p']), "{line}");
        if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            let labels = labels.strip_prefix('{').and_then(|labels| labels.strip_suffix("\"}"));
            for label in labels.expect("braces").split("\",") {
                let (name, value) = label.split_once("=\"").expect("a label");
                assert!(name.bytes().all(is_name) && !value.contains('"'), "{line}");
            }
        }
        let value = if value == "+Inf" { f64::INFINITY } else { value.parse().expect("a number") };
        assert!(values.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }
    values
}

fn metrics_are_prometheus_own_format() {
    let (server, at) = watched(SITE, &["--cores", "2"]);
    for _ in 0..3 {
        content(&get(&server.at.to_string(), "/"));
    }
    assert!(get(&server.at.to_string(), "/none").starts_with("HTTP/1.1 404 "));
    let mut bad = server.connect();
    bad.write_all(b"nonsense\r\n\r\n").expect("it is connected");
    bad.read_to_end(&mut Vec::new()).expect("an answer");
    let answer = get(&at, "/metrics");
    assert!(answer.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    let values = parse(content(&answer));
    let value = |name: &str| *values.get(name).unwrap_or_else(|| panic!("no {name}: {values:?}"));
    for (name, expected) in [
        ("raddle_http_requests_total{method=\"GET\",status=\"2xx\"}", 3.0),
        ("raddle_http_requests_total{method=\"GET\",status=\"4xx\"}", 1.0),
        ("raddle_http_requests_total{method=\"other\",status=\"4xx\"}", 1.0),
        ("raddle_http_errors_total{kind=\"malformed\"}", 1.0),
        ("raddle_http_errors_total{kind=\"too_slow\"}", 0.0),
        ("raddle_http_connections_total", 5.0),
        ("raddle_http_request_duration_seconds_count", 5.0),
        ("raddle_draining", 0.0),
        ("raddle_cores", 2.0),
        ("raddle_workers{state=\"blocked\"}", 0.0),
    ] {
        // A worker may be blocked for a moment.
        assert!(
            value(name) == expected || name.starts_with("raddle_workers"),
            "{name}: {}",
            value(name)
        );
    }
    for at_least in [
        "raddle_threads",
        "raddle_workers{state=\"other\"}",
        "raddle_core_dispatches_total{core=\"0\"}",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_max_fds",
        "raddle_http_response_content_bytes_total",
    ] {
        assert!(value(at_least) > 0.0, "{at_least}");
    }
    assert!(values.contains_key("raddle_core_idle_seconds_total{core=\"1\"}"));
    let mut counts: Vec<(f64, f64)> = values
        .iter()
        .filter_map(|(series, count)| {
            let bound = series.strip_prefix("raddle_http_request_duration_seconds_bucket{le=\"")?;
            let bound = bound.strip_suffix("\"}").expect("one label");
            Some((
                if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a bound") },
                *count,
            ))
        })
        .collect();
    counts.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(counts.len() > 10 && counts.is_sorted_by_key(|(_, count)| *count), "{counts:?}");
    assert_eq!(counts.last(), Some(&(f64::INFINITY, 5.0)));
    assert!(get(&at, "/nothing").starts_with("HTTP/1.1 404 "));
    server.stop();
}

fn health_ends_before_the_server() {
    let folder = Folder::new("unhealthy");
    folder.file("large", kit::pattern(64 << 20, 1));
    let (server, at) = watched(folder.path(), &[]);
    assert_eq!(content(&get(&at, "/health")), "ok\n");
    // Whoever has not got all keeps it from its end.
    let mut stuck = server.connect();
    stuck.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is connected");
    stuck.read_exact(&mut [0]).expect("an answer");
    server.signal(libc::SIGTERM);
    until("it does not drain", || get(&at, "/health").starts_with("HTTP/1.1 503 "));
    assert!(get(&at, "/health").ends_with("\r\n\r\ndraining\n"));
    assert!(content(&get(&at, "/metrics")).contains("\nraddle_draining 1\n"));
    assert!(content(&get(&at, "/status.json")).contains("\"state\":\"draining\""));
    drop(stuck);
    let (status, out, errors) = server.end();
    assert!(status.success() && out.is_empty() && errors.is_empty(), "{status} {out} {errors}");
}

fn the_status_is_json_and_a_page_of_its_own() {
    let (server, at) = watched(SITE, &[]);
    content(&get(&server.at.to_string(), "/"));
    let read = |path: &str| -> serde_json::Value {
        serde_json::from_str(content(&get(&at, path))).expect("JSON")
    };
    let mut status = read("/status.json");
    until("no second passes", || {
        status = read("/status.json");
        status["points"].as_array().is_some_and(|points| points.len() >= 2)
    });
    assert_eq!(status["state"], "serving");
    assert_eq!(status["requests"], 1);
    assert_eq!(status["by_class"]["2xx"], 1);
    assert_eq!(status["listening"][0], server.at.to_string());
    let points = status["points"].as_array().expect("a list");
    let cores = status["cores"].as_array().expect("a list").len();
    for point in points {
        let loads = point["loads"].as_array().expect("a list");
        assert_eq!(loads.len(), cores);
        assert!(loads.iter().all(|load| (0.0..=1.0).contains(&load.as_f64().expect("a number"))));
    }
    // Who has the first one gets the others.
    let first = points[0]["number"].as_u64().expect("a number");
    let later = read(&format!("/status.json?after={first}"));
    assert_eq!(later["points"][0]["number"], first + 1);
    let page = get(&at, "/status");
    let policy =
        "\r\nContent-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self';";
    assert!(page.contains(policy), "{page}");
    for (part, kind) in [("status.css", "text/css"), ("status.js", "text/javascript")] {
        let answer = get(&at, &format!("/{part}"));
        assert!(answer.contains(&format!("\r\nContent-Type: {kind}; charset=utf-8\r\n")));
        assert!(content(&page).contains(&format!("\"{part}\"")));
    }
    // Nothing that a page of its own would need from elsewhere, or that the policy forbids.
    for elsewhere in ["//", "style=", "onclick", "<style", "<script>"] {
        let text = content(&page).replace("http://www.w3.org/2000/svg", "").replace("xmlns=", "");
        assert!(!text.contains(elsewhere), "{elsewhere}");
    }
    assert!(get(&at, "/").contains("\r\nLocation: /status\r\n"));
    server.stop();
}

fn chromium_loads_the_page(browser: &str) {
    let (server, at) = watched(SITE, &[]);
    for _ in 0..20 {
        content(&get(&server.at.to_string(), "/"));
    }
    // Of one second alone there is no line.
    until("no second passes", || get(&at, "/status.json").contains("\"number\":2,"));
    let page = kit::browser::loaded(browser, &format!("http://{at}/status"));
    for expected in [
        "data-state=\"serving\" role=\"status\">serving</p>",
        &format!("id=\"where\" class=\"soft\">{}</p>", server.at),
        "class=\"area ochre\"",
        "aria-label=\"Requests a second. ",
        "aria-label=\"load of core 0, in percent\"",
        "<td class=\"n\">20</td>",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    server.stop();
}

fn a_unix_socket_serves_as_well() {
    let folder = Folder::new("admin-socket");
    let path = folder.file("admin.sock", "");
    fs::remove_file(&path).expect("a file of ours");
    // One that was left behind is no obstacle.
    drop(UnixListener::bind(&path).expect("a folder of ours"));
    let config = folder.file(
        "raddle.toml",
        format!(
            "folder = \"{SITE}\"\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"./admin.sock\"\n"
        ),
    );
    let mut server = Server::of(&mut raddle(&["serve", "-c", &config]));
    assert!(server.line().ends_with("admin.sock, for http://localhost/status"));
    let connect = || UnixStream::connect(&path).expect("it listens");
    assert_eq!(content(&ask(connect(), "/health")), "ok\n");
    assert!(!parse(content(&ask(connect(), "/metrics"))).is_empty());
    // One that is in use is.
    let line = kit::failure(&mut raddle(&["serve", "-c", &config]));
    assert!(
        line.contains("raddle.toml:4: admin.listen: ") && line.ends_with("somebody else has it"),
        "{line}"
    );
    assert_eq!(content(&ask(connect(), "/health")), "ok\n");
    server.stop();
    assert!(!Path::new(&path).exists());
}

fn logs_are_renamed_under_load() {
    const REQUESTS: usize = 1500;
    let folder = Folder::new("renamed-logs");
    let config = folder.file(
        "raddle.toml",
        format!(
            "folder = \"{SITE}\"\nlisten = \"127.0.0.1:0\"\nlog = \"json\"\nlog_file = \"access.log\"\ntell_request_ids = true\n\
             [error_log]\nfile = \"error.log\"\n"
        ),
    );
    let server = Server::of(&mut raddle(&["serve", "-c", &config]));
    let path = |name: &str| format!("{}/{name}", folder.path());
    let mut stream = server.connect();
    let asking = thread::spawn(move || {
        let mut answers = String::new();
        for number in 0..REQUESTS {
            let end = if number + 1 == REQUESTS { "Connection: close\r\n" } else { "" };
            let request = format!("GET /{number} HTTP/1.1\r\nHost: a\r\n{end}\r\n");
            stream.write_all(request.as_bytes()).expect("it is connected");
            // One after the other: an answer ends with its line of text.
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).expect("an answer");
            answers.push_str(kit::text(&piece[..count]));
        }
        stream.read_to_string(&mut answers).expect("an answer");
        answers
    });
    for number in 0..3 {
        for log in ["access.log", "error.log"] {
            fs::rename(path(log), path(&format!("{log}.{number}"))).expect("it is there");
        }
        server.signal(libc::SIGUSR1);
        for log in ["access.log", "error.log"] {
            until("there is no new file", || Path::new(&path(log)).exists());
        }
    }
    let answers = asking.join().expect("all are answered");
    server.stop();
    let names = ["access.log.0", "access.log.1", "access.log.2", "access.log"];
    let lines: String =
        names.iter().map(|name| fs::read_to_string(path(name)).expect("text")).collect();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect();
    let targets: Vec<_> = (0..REQUESTS).map(|number| format!("/{number}")).collect();
    assert_eq!(
        lines.iter().map(|line| line["target"].as_str().expect("text")).collect::<Vec<_>>(),
        targets
    );
    // The ids are those that clients have been told.
    let told = answers.lines().filter_map(|line| line.strip_prefix("X-Request-Id: "));
    let logged = lines.iter().map(|line| line["id"].as_str().expect("text"));
    assert_eq!(told.collect::<Vec<_>>(), logged.collect::<Vec<_>>());
}

fn the_error_log_says_who_and_which() {
    let folder = Folder::new("error-log");
    folder.file("site/large", kit::pattern(64 << 20, 1));
    let config = folder.file(
        "raddle.toml",
        "folder = \"site\"\nlisten = \"127.0.0.1:0\"\n[error_log]\nform = \"json\"\nlevel = \"debug\"\n",
    );
    let server = Server::of(&mut raddle(&["serve", "-c", &config, "--drain", "0"]));
    let mut stream = server.connect();
    let here = stream.local_addr().expect("a socket of ours").to_string();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nX-Request-ID: seven\r\n\r\n")
        .expect("it is connected");
    until_arrived(&stream);
    stream.read_exact(&mut [0]).expect("an answer");
    // What has not been read makes a reset of it.
    drop(stream);
    server.until_said("seven");
    let mut stuck = server.connect();
    stuck.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is connected");
    stuck.read_exact(&mut [0]).expect("an answer");
    server.signal(libc::SIGTERM);
    let (status, _, errors) = server.end();
    assert!(status.success(), "{status} {errors}");
    let lines: Vec<serde_json::Value> =
        errors.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let lost = lines.iter().find(|line| line["request"] == "seven").expect(&errors);
    assert_eq!(
        (&lost["level"], &lost["client"]),
        (&"debug".into(), &here.as_str().into()),
        "{errors}"
    );
    let cut = lines.iter().find(|line| line["level"] == "warn").expect(&errors);
    let message = cut["message"].as_str().expect("text");
    assert!(
        message.ends_with("had not ended within 0 s, and was cut off")
            || message.ends_with("were cut off"),
        "{errors}"
    );
}

fn mistakes_are_named() {
    let folder = Folder::new("mistaken-operation");
    for (text, expected) in [
        ("log_file = \"a\"", ":1: log_file: nothing is logged; give log = \"combined\""),
        ("log = \"json\"\nlog_file = \"no/such/log\"", ":2: log_file: "),
        ("[error_log]\nform = \"xml\"", ":2: error_log.form: unknown variant `xml`"),
        ("[error_log]\nlevel = \"loud\"", ":2: error_log.level: unknown variant `loud`"),
        ("[error_log]\nfile = \"no/such/log\"", ":2: error_log.file: "),
        ("[admin]\nlisten = \"9090\"", ":2: admin.listen: no port; give HOST:PORT"),
        ("[admin]\nlissen = \"a:1\"", ":2: admin: unknown field `lissen`"),
    ] {
        let path = folder.file("raddle.toml", format!("{text}\n"));
        let line = kit::failure(&mut raddle(&["serve", SITE, "-c", &path, "--check"]));
        assert!(line.starts_with(&format!("raddle: error: {path}{expected}")), "{text}: {line}");
    }
    let path = folder.file("raddle.toml", "[admin]\nlisten = \"no/such/folder/socket\"\n");
    let line = kit::failure(&mut raddle(&["serve", SITE, "-l", "127.0.0.1:0", "-c", &path]));
    assert!(line.ends_with("the socket can't be made: there is no such folder"), "{line}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let at = taken.local_addr().expect("it has one").to_string();
    let line = kit::failure(&mut raddle(&["serve", SITE, "-l", "127.0.0.1:0", "--admin", &at]));
    assert!(line.starts_with(&format!("raddle: error: admin.listen: {at} is taken ")), "{line}");
}
