//! The program as its users see it: what it prints, and what it refuses.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn raddle_bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_raddle-bench"))
        .args(arguments)
        .output()
        .expect("cargo has built the program")
}

#[test]
fn every_case_has_a_line_for_each_of_its_peers() {
    let arguments = ["switch", "--quick", "--json", "--rounds", "6", "--bodies", "100"];
    let output = raddle_bench(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "progress is for terminals");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let mut seen = Vec::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).expect("a line is an object");
        assert!(line.starts_with(r#"{"bench":"switch","case":""#), "{line}");
        assert!(value["value"].as_f64().is_some_and(|value| value >= 0.0), "{line}");
        let compared =
            value["unit"] == "ns" && !matches!(value["peer"].as_str(), Some("raddle" | "floor"));
        assert_eq!(value.get("ratio_low").is_some(), compared, "{line}");
        seen.push((value["case"].to_string(), value["peer"].to_string()));
    }
    let all = ["raddle", "corosensei", "may"].as_slice();
    let expected: Vec<_> = [
        ("switch", all),
        ("switch_body", all),
        ("switch_1000", all),
        ("body_warm", &["raddle", "corosensei", "may", "std"]),
        ("body_cold", all),
        ("body_bytes", all),
        ("body_mappings", all),
        ("wrfsbase", &["floor"]),
        ("rdtsc", &["floor"]),
        ("page_fault", &["floor"]),
        ("guard", &["floor"]),
    ]
    .into_iter()
    .flat_map(|(case, peers)| {
        peers.iter().map(move |peer| (format!("{case:?}"), format!("{peer:?}")))
    })
    .collect();
    assert_eq!(seen, expected);
}

/// `raddle-bench threads`, without cargo around it: everything that it starts has been built already.
fn threads(program: impl AsRef<Path>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program.as_ref());
    command.arg("threads").args(arguments).env_remove("CARGO");
    command
}

fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::str::from_utf8(&output.stdout).expect("JSON is text");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

#[test]
fn threads_of_one_peer_in_some_cases() {
    let arguments = ["--quick", "--json", "--only", "yield_pair,channel", "--peers", "std"];
    let output = threads(env!("CARGO_BIN_EXE_raddle-bench"), &arguments)
        .output()
        .expect("cargo has built the program");
    let lines = json_lines(&output);
    assert!(output.stderr.is_empty(), "progress is for terminals");
    let seen: Vec<_> = lines.iter().map(|line| (&line["bench"], &line["case"])).collect();
    let expected = [("yield_pair", "one_core"), ("channel", "one_core"), ("channel", "two_cores")];
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    for ((bench, case), expected) in seen.into_iter().zip(expected) {
        assert_eq!((bench.as_str(), case.as_str()), (Some(expected.0), Some(expected.1)));
    }
    for line in &lines {
        assert_eq!((&line["peer"], &line["unit"]), (&"std".into(), &"ns".into()), "{line}");
        // A machine with one processor has no second core, and says so.
        if line["case"] == "one_core" {
            assert_eq!(line["samples"], 3, "{line}");
            assert!(line["value"].as_f64().is_some_and(|ns| ns > 0.0), "{line}");
        }
    }
}

#[test]
fn events_draw_a_curve_for_each_backend() {
    let output = raddle_bench(&["events", "--quick", "--rounds", "6", "--json"]);
    let lines = json_lines(&output);
    for peer in ["epoll", "poll"] {
        let curve = lines.iter().filter(|line| line["peer"] == peer);
        let cases: Vec<_> = curve.map(|line| line["case"].as_str().unwrap_or_default()).collect();
        let expected =
            ["idle_10", "idle_100", "idle_1000", "idle_5000", "idle_15000", "operation", "wake"];
        assert_eq!(cases, expected, "{peer}");
    }
    // Where the limit of descriptors is lower there is no value, and a remark.
    let is_told = |line: &&Value| line["value"].is_number() || line["remark"].is_string();
    assert!(lines.iter().all(|line| is_told(&line) && line["unit"] == "ns"), "{lines:?}");
}

#[test]
fn echo_says_of_each_server_what_a_message_costs() {
    let arguments = ["--quick", "--json", "--only", "pingpong_1,churn,idle_9000"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_raddle-bench"));
    command.arg("echo").args(arguments).args(["--peers", "epoll,io_uring,tokio,may"]);
    let output = command.env_remove("CARGO").output().expect("cargo has built the program");
    if std::thread::available_parallelism().is_ok_and(|count| count.get() == 1) {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("server and client need a processor each"), "{errors}");
        return;
    }
    let lines = json_lines(&output);
    for peer in ["epoll", "io_uring", "tokio", "may"] {
        let own = lines.iter().filter(|line| line["peer"] == peer);
        let seen: Vec<_> =
            own.map(|line| (line["bench"].as_str(), line["case"].as_str())).collect();
        let talk = ["echo_rate", "echo_p50", "echo_p99", "echo_cpu", "echo_syscalls"];
        let expected =
            ["pingpong_1", "churn"].iter().flat_map(|case| talk.map(|bench| (bench, *case)));
        let expected = expected.chain([("echo_idle_bytes", "idle_9000")]);
        let expected: Vec<_> = expected.map(|(bench, case)| (Some(bench), Some(case))).collect();
        assert_eq!(seen, expected, "{peer}");
    }
    // Where io_uring is forbidden, descriptors are few or system calls can't be counted there is no value, and a remark.
    for line in &lines {
        let is_told = line["value"].as_f64().is_some_and(|value| value >= 0.0);
        assert!(is_told || line["remark"].is_string(), "{line}");
    }
}

#[test]
fn http_says_of_each_server_what_a_request_costs() {
    let arguments = ["--quick", "--json", "--only", "handler_1,churn_1"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_raddle-bench"));
    command.arg("http").args(arguments).args([
        "--client",
        "wrk",
        "--peers",
        "raddle,hyper,may_minihttp",
    ]);
    let output = command.env_remove("CARGO").output().expect("cargo has built the program");
    if !output.status.success() {
        // Both are said in one line; what else may fail is a remark.
        let errors = String::from_utf8_lossy(&output.stderr);
        let lacks = ["`wrk` is not on the path", "server and client need a processor each"];
        assert!(lacks.iter().any(|lack| errors.contains(lack)), "{errors}");
        return;
    }
    let lines = json_lines(&output);
    let all = ["http_rate", "http_p50", "http_p99", "http_cpu", "http_syscalls", "http_rss"];
    for peer in ["raddle", "hyper", "may_minihttp"] {
        let own = lines.iter().filter(|line| line["peer"] == peer);
        let seen: Vec<_> =
            own.map(|line| (line["bench"].as_str(), line["case"].as_str())).collect();
        let expected =
            ["handler_1", "churn_1"].iter().flat_map(|case| all.map(|bench| (bench, *case)));
        let expected: Vec<_> = expected.map(|(bench, case)| (Some(bench), Some(case))).collect();
        assert_eq!(seen, expected, "{peer}");
    }
    for line in &lines {
        let is_told = line["value"].as_f64().is_some_and(|value| value > 0.0);
        let may_lack = line["bench"] == "http_syscalls" || line["peer"] == "may_minihttp";
        assert!(is_told || may_lack && line["remark"].is_string(), "{line}");
    }
}

#[test]
fn without_its_client_http_measures_nothing_and_says_so() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raddle-bench"));
    let command =
        command.args(["http", "--quick", "--client", "wrk"]).env_remove("CARGO").env("PATH", "");
    let output = command.output().expect("cargo has built the program");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_said = ["`wrk` is not on the path", "need a processor each"];
    assert!(
        errors.lines().count() == 1 && is_said.iter().any(|said| errors.contains(said)),
        "{errors}"
    );
}

/// Those that are not there are named; it may be all of them, since `raddle` is another package's.
#[test]
fn load_says_of_each_generator_what_a_request_costs() {
    let arguments = ["load", "--quick", "--json", "--only", "new_connection_1"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_raddle-bench"));
    let output = command.args(arguments).env_remove("CARGO").output();
    let output = output.expect("cargo has built the program");
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let lacks = ["there is no load generator", "server and generator need a processor each"];
        assert!(lacks.iter().any(|lack| errors.contains(lack)), "{errors}");
        return;
    }
    let lines = json_lines(&output);
    for peer in ["raddle", "wrk", "oha", "h2load"] {
        let own = lines.iter().filter(|line| line["peer"] == peer);
        let seen: Vec<_> =
            own.map(|line| (line["case"].as_str(), line["bench"].as_str())).collect();
        let expected =
            ["load_cpu", "load_rate"].map(|bench| (Some("new_connection_1"), Some(bench)));
        match errors.contains(&format!("{peer} is left out: ")) {
            true => assert_eq!(seen, []),
            false => assert_eq!(seen, expected, "{peer}"),
        }
    }
    for line in &lines {
        let is_told = line["value"].as_f64().is_some_and(|value| value > 0.0);
        assert!(is_told || line["peer"] == "h2load" && line["remark"].is_string(), "{line}");
    }
}

#[test]
fn what_a_peer_does_not_have_is_said_in_one_line() {
    let arguments = ["--quick", "--json", "--only", "yield_pair", "--rounds", "1"];
    let mut command = threads(env!("CARGO_BIN_EXE_raddle-bench"), &arguments);
    let output = command.env("PATH", "").output().expect("cargo has built the program");
    let errors = String::from_utf8_lossy(&output.stderr);
    let go = errors.lines().filter(|line| line.starts_with("raddle-bench: go is left out: `go` "));
    assert_eq!(go.count(), 1, "{errors}");
    let lines = json_lines(&output);
    for peer in ["std", "tokio", "may"] {
        let one = lines.iter().find(|line| line["peer"] == peer).expect("it has been built");
        assert!(one["value"].is_number() && one["ratio_low"].is_null(), "{one}");
    }
    assert!(lines.iter().all(|line| line["peer"] != "go"), "{lines:?}");
}

#[test]
fn a_program_that_is_not_there_is_missed_by_name() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alone");
    std::fs::create_dir_all(&folder).expect("cargo's own folder for this");
    let alone = folder.join("raddle-bench");
    std::fs::copy(env!("CARGO_BIN_EXE_raddle-bench"), &alone).expect("it has been built");
    let output = threads(alone, &["--quick", "--only", "yield_pair", "--peers", "may"])
        .output()
        .expect("a copy runs as well");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    let what_to_do =
        "raddle-bench-may is not beside raddle-bench; `cargo build --release -p raddle-bench`";
    assert!(errors.contains(what_to_do), "{errors}");
}

#[test]
fn what_makes_no_sense_is_refused_with_status_2() {
    for arguments in [
        &["switch", "--rounds", "5"][..],
        &["switch", "--bodies", "none"],
        &["events", "--rounds", "2"],
        &["threads", "--only", "spwan_join"],
        &["threads", "--peers", "tokyo"],
        &["threads", "--rounds", "0"],
        &["echo", "--only", "pingpong_63"],
        &["echo", "--peers", "std"],
        &["http", "--only", "handler_63"],
        &["http", "--peers", "std"],
        &["http", "--client", "oha"],
        &["load", "--only", "closed_63"],
        &["load", "--peers", "ab"],
        &["swich"],
        &[],
    ] {
        let output = raddle_bench(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}
