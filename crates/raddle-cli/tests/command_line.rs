//! `raddle` at the command line: what it refuses, with which words and exit code; help, completions, manual pages; colours.

mod kit;

use kit::{Folder, PATIENCE, Server, failure, output, raddle, terminal, text};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::thread;

#[test]
fn what_makes_no_sense_is_refused_with_status_2() {
    for arguments in [
        &["ekko"][..],
        &["echo", "7777"],
        &["echo", "127.0.0.1:http"],
        &["echo", "::1:7777"],
        &["echo", "--on", "air"],
        &["echo", "--on", "queue", "--level", "--edge"],
        &["echo", "--cores", "0"],
        &["echo", "a:1", "b:1"],
        &["serve"],
        &["serve", ".", "-l", "8080"],
        &["serve", ".", "--log", "xml"],
        &["serve", ".", "--connections", "0"],
        &["serve", ".", "--drain", "soon"],
        &["serve", "a", "b"],
        &["completions", "nosh"],
        &["man"],
    ] {
        let output = output(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && errors.lines().count() == 1, "{arguments:?}: {errors}");
        let is_of_a_kind = errors.starts_with("raddle: error: ")
            && errors.ends_with("; --help tells more\n")
            && !errors.contains('\x1b');
        assert!(is_of_a_kind, "{errors}");
    }
    let output = output(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && text(&output.stderr).contains("Usage: "), "what there is");
}

#[test]
fn a_line_says_what_makes_no_sense() {
    for (arguments, expected) in [
        (
            &["echo", "--on", "air"][..],
            "invalid value 'air' for '--on <WHAT>' [possible values: threads, queue, workqueue]",
        ),
        (
            &["echo", "--bogus"],
            "unexpected argument '--bogus' found; a similar argument exists: '--bound'",
        ),
        (
            &["echo", "--cores", "x"],
            "invalid value 'x' for '--cores <N>': give a whole number from 1 to 1024",
        ),
        (
            &["load", "http://a/", "-n", "0"],
            "invalid value '0' for '--requests <N>': give a whole number from 1 on",
        ),
        (
            &["echo", "a\n\nUsage: b"],
            "invalid value 'a\\n\\nUsage: b' for '[ADDR]': \" b\" is no port from 0 to 65535; give HOST:PORT, such as 127.0.0.1:7777, [::1]:7777 or localhost:7777",
        ),
        (&["ec\nho"], "unrecognized subcommand 'ec\\nho'; a similar subcommand exists: 'echo'"),
        (&["echo", "--edge"], "--edge goes with '--on queue' only"),
        (&["completions"], "the following required arguments were not provided: <SHELL>"),
    ] {
        let output = output(arguments);
        assert_eq!(text(&output.stderr), format!("raddle: error: {expected}; --help tells more\n"));
    }
}

#[test]
fn what_is_quoted_leaves_a_message_in_one_line() {
    for arguments in [
        &["echo", "a\nb:70"][..],
        &["serve", "/no/a\nb"],
        &["serve", ".", "-l", "a\nb:70"],
        &["serve", ".", "-c", "/no/a\nb"],
        &["load", "https://127.0.0.1:1/", "--cacert", "/no/a\nb"],
        &["man", "/proc/a\nb"],
    ] {
        let line = failure(&mut raddle(arguments));
        assert!(line.starts_with("raddle: error: ") && line.contains(r"a\nb"), "{line}");
    }
}

#[test]
fn who_can_not_be_greeted_is_told_of_that() {
    for arguments in [&["echo", "127.0.0.1:0"][..], &["serve", ".", "-l", "127.0.0.1:0"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let mut command = raddle(arguments);
        command.stdout(full).stderr(Stdio::piped());
        let mut child = command.spawn().expect("cargo has built the program");
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe was asked for"));
        let mut line = String::new();
        // Of other things it may warn before.
        while !line.contains("standard output") {
            line.clear();
            assert!(errors.read_line(&mut line).expect("it prints text") > 0, "it has ended");
        }
        assert_eq!(
            line,
            "raddle: warning: the standard output can't be written: No space left on device (os error 28); it goes on\n"
        );
        child.kill().expect("a child of ours");
        child.wait().expect("a child of ours");
    }
}

/// What is said of a port that this process has.
fn is_taken_by_this_process(line: &str, at: &str) {
    let begin = format!("raddle: error: {at} is taken by another program (");
    let end = format!(", process {}); choose another port", std::process::id());
    assert!(line.starts_with(&begin) && line.ends_with(&end), "{line}");
}

#[test]
fn a_taken_port_is_refused_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let at = taken.local_addr().expect("it is bound").to_string();
    let line = failure(&mut raddle(&["echo", &at]));
    is_taken_by_this_process(&line, &at);
}

#[test]
fn a_folder_that_is_none_is_refused_in_one_line() {
    let line = failure(&mut raddle(&["serve", "/no/such"]));
    assert_eq!(line, "raddle: error: /no/such: there is no such folder");
    let line = failure(&mut raddle(&["serve", "/proc/self/exe"]));
    assert!(line.starts_with("raddle: error: /proc/self/exe is no folder; "), "{line}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let at = taken.local_addr().expect("it is bound").to_string();
    let line = failure(&mut raddle(&["serve", "/", "-l", &at]));
    is_taken_by_this_process(&line, &at);
}

#[test]
fn two_servers_never_share_a_port() {
    // Each of them shares its port between its own loops.
    let server = Server::start(&["--on", "queue", "--cores", "2"], &[]);
    let at = server.at.to_string();
    let line = failure(&mut raddle(&["echo", &at, "--on", "queue", "--cores", "2"]));
    assert!(line.contains("is taken by another program"), "{line}");
    server.stop();
}

#[test]
fn a_name_that_nobody_knows_is_refused_in_one_line() {
    let line = failure(&mut raddle(&["echo", "name.invalid:7777"]));
    assert!(
        line.starts_with("raddle: error: name.invalid:7777: the host can't be found "),
        "{line}"
    );
}

#[test]
fn a_backend_that_does_not_exist_is_refused_in_one_line() {
    let line = failure(raddle(&["echo", "127.0.0.1:0"]).env("RADDLE_EVENT", "kqueue"));
    assert!(line.contains("RADDLE_EVENT=kqueue: give one of io_uring, epoll, poll"), "{line}");
}

#[test]
fn help_says_what_there_is() {
    let all = output(&["--help"]);
    assert!(all.status.success() && text(&all.stdout).contains("raddle echo 0.0.0.0:7 --on queue"));
    let echo = output(&["echo", "--help"]);
    let echo = text(&echo.stdout);
    assert!(echo.contains("127.0.0.1:7777") && echo.contains("SIGTERM"), "{echo}");
    let serve = output(&["serve", "--help"]);
    let serve = text(&serve.stdout);
    assert!(serve.contains("127.0.0.1:8080") && serve.contains("--no-listings"), "{serve}");
    let load = output(&["load", "--help"]);
    let load = text(&load.stdout);
    assert!(
        load.contains("raddle load compare a.json b.json") && load.contains("--rate"),
        "{load}"
    );
    let burst = output(&["burst", "--help"]);
    assert!(text(&burst.stdout).contains("[default: 1000]"));
    let helps = [echo, serve, load, text(&burst.stdout)];
    assert!(
        helps.iter().flat_map(|help| help.lines()).all(|line| line.len() <= 100),
        "it fits into a terminal"
    );
    let version = output(&["--version"]);
    assert_eq!(text(&version.stdout).trim_end(), concat!("raddle ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_know_the_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = output(&["completions", shell]);
        let script = text(&output.stdout);
        assert!(output.status.success() && script.contains("cores"), "{shell}");
    }
}

#[test]
fn every_verb_has_a_manual_page() {
    let base = Folder::new("man");
    let folder = Path::new(base.path()).join("new");
    let name = folder.to_str().expect("cargo's folders are text");
    assert!(output(&["man", name]).status.success());
    let page = fs::read_to_string(folder.join("raddle-echo.1")).expect("it was written");
    assert!(page.starts_with(".ie") || page.contains(".TH raddle-echo 1"), "{page}");
    for page in [
        "raddle.1",
        "raddle-serve.1",
        "raddle-load.1",
        "raddle-load-compare.1",
        "raddle-burst.1",
        "raddle-completions.1",
        "raddle-man.1",
    ] {
        assert!(folder.join(page).exists(), "{page}");
    }
    let line = failure(&mut raddle(&["man", "/proc/no/such"]));
    assert!(
        line.starts_with("raddle: error: /proc/no/such: the manual pages could not be"),
        "{line}"
    );
}

#[test]
fn a_terminal_has_a_line_a_second() {
    let (mut ours, theirs) = terminal();
    let mut command = raddle(&["echo", "127.0.0.1:0"]);
    let child = command.stderr(theirs).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("cargo has built the program");
    drop(command);
    let mut greeting = [0; 256];
    let count = child.stdout.as_mut().expect("a pipe").read(&mut greeting).expect("it speaks");
    let greeting = text(&greeting[..count]).to_owned();
    let at = greeting.split(' ').find_map(|word| word.strip_suffix(':')?.parse().ok());
    let at: std::net::SocketAddr = at.unwrap_or_else(|| panic!("no address in {greeting:?}"));
    let mut client = std::net::TcpStream::connect_timeout(&at, PATIENCE).expect("it listens");
    client.write_all(b"hello").expect("it is connected");
    client.read_exact(&mut [0; 5]).expect("it is served");
    let lines = thread::spawn(move || {
        let mut seen = Vec::new();
        let mut piece = [0; 4096];
        // The end of the other side is an error here.
        while let Ok(count) = ours.read(&mut piece)
            && seen.iter().filter(|&&byte| byte == b'\n').count() < 2
        {
            seen.extend_from_slice(&piece[..count]);
        }
        seen
    });
    let lines = lines.join().expect("it reads only");
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    let lines = text(&lines);
    let mut lines = lines.lines();
    let line = lines.next().expect("two were waited for");
    assert!(line.starts_with("1 connection, ") && line.contains(" messages/s, "), "{line}");
    assert!(lines.next().is_some_and(|line| line.starts_with("1 connection, 0 messages/s")));
}

#[test]
fn errors_are_coloured_for_those_who_want_it() {
    for (no_color, is_coloured) in [(None, true), (Some("1"), false), (Some(""), true)] {
        let (mut ours, theirs) = terminal();
        let mut command = raddle(&["man", "/proc/no/such"]);
        command.envs(no_color.map(|value| ("NO_COLOR", value))).env("TERM", "xterm").stderr(theirs);
        let status = command.status().expect("cargo has built the program");
        assert_eq!(status.code(), Some(1));
        drop(command);
        // The line may come in pieces.
        let mut seen = Vec::new();
        while !seen.ends_with(b"\n") {
            let mut piece = [0; 4096];
            let count = ours.read(&mut piece).expect("it is still in there");
            seen.extend_from_slice(&piece[..count]);
        }
        let seen = text(&seen);
        assert_eq!(seen.contains("\x1b[1;31merror:"), is_coloured, "{no_color:?}: {seen:?}");
    }
}
