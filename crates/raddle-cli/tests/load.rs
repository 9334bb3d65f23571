//! `raddle load` and `raddle burst`, run as their users run them.

mod kit;

use kit::{Folder, PATIENCE, Server, failure, output, raddle, terminal, text};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Output, Stdio};
use std::time::Instant;

fn site(name: &str) -> (Folder, Server, String) {
    let folder = Folder::new(name);
    folder.file("a", "content");
    let server = Server::of(&mut raddle(&["serve", folder.path(), "-l", "127.0.0.1:0"]));
    let url = format!("http://{}/a", server.at);
    (folder, server, url)
}

/// What a run that goes well says: on the standard output, and on the error.
fn good(output: &Output) -> (&str, &str) {
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{errors}");
    (out, errors)
}

#[test]
fn a_table_is_the_end_of_a_run() {
    let (_folder, _server, url) = site("load-table");
    let done = output(&["load", &url, "-c", "4", "-n", "2000", "--pipeline", "3"]);
    let (out, errors) = good(&done);
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some(&*format!("GET {url}")));
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("4 connections; closed loop, 3 requests at once on each; ")
    );
    assert!(
        out.contains("\n2,000 answers, ") && out.contains("\nby status: 200: 2,000\n"),
        "{out}"
    );
    for row in ["latency ", "connect ", "first byte "] {
        assert!(out.lines().any(|line| line.starts_with(row) && line.ends_with('s')), "{out}");
    }
    // One line for each interval, and nothing that only a terminal understands.
    assert!(
        errors
            .lines()
            .all(|line| line.starts_with("raddle: ") && line.contains(" answers/s, p50 "))
    );
    assert!(!errors.contains(['\x1b', '\r']) && errors.lines().count() >= 1);
    let quiet = output(&["load", &url, "-n", "10", "-q", "-X", "HEAD"]);
    assert_eq!(good(&quiet).1, "");
}

#[test]
fn what_is_wrong_is_one_line() {
    let (folder, server, url) = site("load-wrong");
    let told = |arguments: &[&str]| failure(raddle(&["load"]).args(arguments));
    assert!(told(&["localhost:1/"]).starts_with("raddle: error: \"localhost:1/\" has no scheme"));
    let unknown = told(&["http://no-such-host.invalid/"]);
    assert!(
        unknown.starts_with("raddle: error: no-such-host.invalid:80 can't be resolved: "),
        "{unknown}"
    );
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(
        told(&[&format!("http://{closed}/")]),
        format!("raddle: error: http://{closed}/: connect: Connection refused (ECONNREFUSED, 111)")
    );
    let elsewhere = told(&[&url, "--unix", "/no/such/socket"]);
    assert_eq!(
        elsewhere,
        format!(
            "raddle: error: {url} at /no/such/socket: connect: No such file or directory (ENOENT, 2)"
        )
    );
    let missing = folder.path().to_owned() + "/missing/a.json";
    assert!(told(&[&url, "--json", &missing]).contains("missing/a.json: it can't be written: "));
    assert!(
        told(&[&url, "-b", "@/no/such/file"]).starts_with("raddle: error: --body: /no/such/file: ")
    );
    assert!(told(&[&url.replace("http:", "https:"), "-k"]).contains(": TLS handshake: "));
    for arguments in [
        &["load"][..],
        &["load", &url, "-c", "0"],
        &["load", &url, "-d", "5"],
        &["load", &url, "-d", "0s"],
        &["load", &url, "--timeout", "0s"],
        &["load", &url, "--poisson"],
        &["load", &url, "--rate", "0"],
        &["load", &url, "--fail-if", "p99>20"],
        &["load", &url, "-H", "a b: c"],
        &["load", &url, "-X", "CONNECT"],
        &["load", &url, "--rate", "5", "--pipeline", "2"],
    ] {
        assert_eq!(output(arguments).status.code(), Some(2), "{arguments:?}");
    }
    server.stop();
}

#[test]
fn figures_are_written_in_every_form() {
    let (folder, _server, url) = site("load-forms");
    let file = |name: &str| format!("{}/{name}", folder.path());
    let [json, csv, gnuplot, page] = ["a.json", "a.csv", "a.dat", "a.html"].map(file);
    let mut run = raddle(&[
        "load",
        &url,
        "-d",
        "2200ms",
        "--rate",
        "200",
        "--poisson",
        "--seed",
        "7",
        "-c",
        "50",
    ]);
    run.args(["--json", &json, "--csv", &csv, "--gnuplot", &gnuplot, "--report", &page]);
    let done = run.output().unwrap();
    let (out, _) = good(&done);
    assert!(
        out.contains("open loop, 200 requests/s at random (seed 7)")
            && out.contains("\nschedule slip ")
    );
    let read = |path: &str| fs::read_to_string(path).unwrap();
    assert!(
        read(&json)
            .starts_with("{\"format\":\"raddle-load 1\",\"run\":{\"targets\":[\"http://127.0.0.1:")
    );
    let csv = read(&csv);
    assert!(csv.starts_with("until_s,took_s,answers,"));
    let untils: Vec<&str> =
        csv.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    // On a busy machine one may have been slept over.
    assert!(untils.len() <= 3 && untils.last() == Some(&"2.200"), "{csv}");
    let answers = csv.lines().skip(1).map(|line| line.split(',').nth(2).unwrap());
    let answers: u64 = answers.map(|count| count.parse::<u64>().unwrap()).sum();
    // What came after the end is in the table only.
    let line = out.lines().find(|line| line.contains(" answers, ")).unwrap();
    let all: u64 = line.split(' ').next().unwrap().parse().unwrap();
    assert!(0 < answers && answers <= all && all < 1_000, "{csv} {out}");
    assert_eq!(read(&gnuplot).split("\n\n\n").count(), 2, "two blocks");
    let page = read(&page);
    assert_eq!(page.matches("<svg ").count(), 3);
    assert!(
        page.contains("prefers-color-scheme:dark") && !page.contains("http://www"),
        "nothing is loaded"
    );
    // The same run differs from itself by nothing.
    let same = output(&["load", "compare", &json, &json]);
    let (same, _) = good(&same);
    assert!(
        same.lines().any(|line| line.starts_with("answers/s ") && line.contains("+0.0 %")),
        "{same}"
    );
    let no_report = folder.file("b.json", "{}");
    let told = failure(&mut raddle(&["load", "compare", &json, &no_report]));
    assert!(told.contains("b.json: it is no report of raddle load: "), "{told}");
    let output = output(&["load", &url, "-n", "5", "-q", "--json", "-"]);
    assert!(good(&output).0.starts_with('{') && good(&output).0.ends_with("}\n"));
}

#[test]
fn several_are_drawn_by_their_weights() {
    let (folder, _server, url) = site("load-weights");
    folder.file("b@0", "content");
    let odd = url.replace("/a", "/b@0");
    // Alone it is what it says.
    let alone = output(&["load", &odd, "-n", "5", "-q"]);
    assert!(good(&alone).0.contains("\nby status: 200: 5\n"));
    let both = output(&["load", &odd, &url, "-n", "50", "-q"]);
    assert!(good(&both).0.contains("\nby status: 200: 50\n"), "{}", good(&both).0);
    let none = failure(&mut raddle(&["load", &odd, &odd, "-n", "5"]));
    assert!(none.ends_with("all URLs have the weight 0: nothing would be asked for"), "{none}");
}

/// What was measured is told, whatever happens to one of the files.
#[test]
fn limits_and_full_disks_are_told_after_the_table() {
    let (folder, _server, url) = site("load-full");
    // The table itself, too.
    let kept = folder.path().to_owned() + "/a.json";
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = raddle(&["load", &url, "-n", "9", "-q", "--json", &kept]);
    let done = command.stdout(full).output().unwrap();
    let errors = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1));
    let why = "raddle: error: the standard output can't be written: No space left on device";
    assert!(errors.starts_with(why) && errors.lines().count() == 1, "{errors}");
    assert!(fs::read_to_string(&kept).unwrap().ends_with("}\n"), "what was measured is kept");
    for (arguments, why) in [
        (
            ["--json", "/dev/full"],
            "raddle: error: /dev/full: it can't be written: No space left on device",
        ),
        (["--fail-if", "p50 >= 1ns"], "raddle: error: --fail-if 'p50 >= 1ns': it is "),
        (["--fail-if", "failed<1"], "raddle: error: --fail-if 'failed<1': it is 0"),
    ] {
        let done = raddle(&["load", &url, "-n", "9", "-q"]).args(arguments).output().unwrap();
        let (out, errors) = (text(&done.stdout), text(&done.stderr));
        assert_eq!(done.status.code(), Some(1), "{out}{errors}");
        assert!(out.contains("\n9 answers, ") && errors.starts_with(why), "{out}{errors}");
        assert_eq!(errors.lines().count(), 1);
    }
    assert!(output(&["load", &url, "-n", "9", "--fail-if", "failed>0"]).status.success());
}

/// On a terminal one line is drawn again and again, and nothing of it stays.
#[test]
fn a_terminal_has_a_bar() {
    let (_folder, _server, url) = site("load-bar");
    let (mut ours, theirs) = terminal();
    let mut command = raddle(&["load", &url, "-n", "300", "-c", "3"]);
    let status = command.stdout(Stdio::null()).stderr(theirs).status().unwrap();
    assert_eq!(status.code(), Some(0));
    drop(command);
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    // The end of the other side is an error here.
    while let Ok(count @ 1..) = ours.read(&mut piece) {
        seen.extend_from_slice(&piece[..count]);
    }
    let seen = text(&seen);
    let drawn: Vec<&str> = seen.split("\r\x1b[K").collect();
    let [first, .., last, end] = &drawn[..] else { panic!("{seen:?}") };
    assert!(first.is_empty() && end.is_empty(), "it is cleared in the end: {seen:?}");
    // It does not wrap, however narrow the terminal is.
    assert!(
        last.starts_with("\x1b[?7l[####################] ") && last.ends_with("\x1b[?7h"),
        "{last:?}"
    );
    assert!(last.contains(" answers/s, p50 ") && last.contains(['▁', '▄', '█']), "{last:?}");
    assert!(!seen.contains('\n'), "{seen:?}");
}

#[test]
fn another_place_is_connected_to() {
    let folder = Folder::new("load-place");
    folder.file("a", "content");
    let socket = folder.path().to_owned() + "/admin";
    let options = ["serve", folder.path(), "-l", "127.0.0.1:0", "--admin", &socket];
    let server = Server::of(&mut raddle(&options));
    let at = server.at.to_string();
    let by_address =
        output(&["load", "http://no-such-host.invalid/a", "--connect-to", &at, "-n", "20", "-q"]);
    assert!(good(&by_address).0.contains("\nby status: 200: 20\n"), "{}", good(&by_address).0);
    let by_path = output(&[
        "load",
        "http://no-such-host.invalid/status",
        "--unix",
        &socket,
        "-n",
        "20",
        "-q",
    ]);
    assert!(good(&by_path).0.contains("\nby status: 200: 20\n"), "{}", good(&by_path).0);
}

/// A run that goes on until something happens to it; it has begun.
fn endless(url: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut run = raddle(&["load", url, "-d", "1h", "-c", "2"]);
    let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(run.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert!(line.starts_with("raddle: 1 s: "), "{line}");
    (run, errors)
}

fn end(
    mut run: Child,
    mut errors: BufReader<std::process::ChildStderr>,
) -> (Option<i32>, String, String) {
    let begun = Instant::now();
    let (mut out, mut told) = (String::new(), String::new());
    run.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    errors.read_to_string(&mut told).unwrap();
    assert!(begun.elapsed() < PATIENCE);
    (run.wait().unwrap().code(), out, told)
}

#[test]
fn a_signal_ends_it_with_the_table() {
    let (_folder, server, url) = site("load-signal");
    let (run, errors) = endless(&url);
    let pid = run.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let (code, out, told) = end(run, errors);
    assert_eq!(code, Some(0), "{told}");
    assert!(out.contains("by status: 200: ") && !told.contains("error"), "{out}{told}");
    server.stop();
}

#[test]
fn a_server_that_dies_ends_it_with_the_table() {
    let (_folder, server, url) = site("load-dies");
    let (run, errors) = endless(&url);
    drop(server);
    let (code, out, told) = end(run, errors);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        out.contains("by status: 200: ")
            && out.contains("connect: Connection refused (ECONNREFUSED, 111)"),
        "{out}"
    );
    let last = told.lines().last().unwrap();
    assert!(
        last.starts_with("raddle: error: the server is gone, so it ended early: connect: "),
        "{told}"
    );
}

#[test]
fn a_burst_is_told_by_thread() {
    let server = Server::start(&[], &[]);
    let folder = Folder::new("burst");
    let file = |name: &str| format!("{}/{name}", folder.path());
    let [csv, gnuplot, svg] = ["a.csv", "a.dat", "a.svg"].map(file);
    let at = server.at.to_string();
    let mut run = raddle(&["burst", &at, "-n", "100", "--rounds", "3", "--size", "70000"]);
    let done = run.args(["--csv", &csv, "--gnuplot", &gnuplot, "--svg", &svg]).output().unwrap();
    let (out, errors) = good(&done);
    assert_eq!(errors, "");
    for row in ["connect ", "round trip ", "  a thread's mean "] {
        assert!(out.lines().any(|line| line.starts_with(row)), "{out}");
    }
    let read = |path: &str| fs::read_to_string(path).unwrap();
    assert_eq!(read(&csv).lines().count(), 101);
    assert!(read(&csv).lines().skip(1).all(|line| line.split(',').nth(1) == Some("3")));
    assert_eq!(read(&gnuplot).lines().filter(|line| !line.starts_with('#')).count(), 100);
    assert!(read(&svg).starts_with("<svg ") && read(&svg).contains("xmlns="));
    let json = output(&["burst", &at, "-n", "10", "--rounds", "2", "--json", "-"]);
    let json: serde_json::Value = serde_json::from_str(good(&json).0).unwrap();
    assert_eq!((&json["trip"]["count"], &json["failed"]), (&20.into(), &0.into()));
    assert!(server.stop().contains("320 connections"));
    let gone = failure(&mut raddle(&["burst", &at, "-n", "3", "--rounds", "1"]));
    assert!(gone.contains("Connection refused (ECONNREFUSED, 111)"), "{gone}");
}
