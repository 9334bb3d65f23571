//! The program as its users see it: what it prints, and what it refuses.

use serde_json::Value;
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

#[test]
fn what_makes_no_sense_is_refused_with_status_2() {
    for arguments in
        [&["switch", "--rounds", "5"][..], &["switch", "--bodies", "none"], &["swich"], &[]]
    {
        let output = raddle_bench(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}
