//! `raddle load`, on one core. What it says is its own JSON.

use super::job::{Bad, Job, Shape, Summary, check};
use serde_json::Value;
use std::process::Command;

/// For that job. `grace` is for requests that are on their way when the time is over: the others give them up.
pub(super) fn arguments(command: &mut Command, job: &Job<'_>, grace: &str) {
    command.env("RADDLE_CORES", "1").args(["load", &job.url(), "--quiet", "--json", "-"]);
    command.arg("--connections").arg(job.connections.to_string());
    command.arg("--duration").arg(format!("{}s", job.seconds)).args(["--grace", grace]);
    match job.shape {
        Shape::Kept => {}
        Shape::Pipelined(depth) => _ = command.arg("--pipeline").arg(depth.to_string()),
        Shape::NewConnection => _ = command.arg("--new-connection"),
    }
}

/// Finds the report between those for people.
pub(super) fn parse(said: &str) -> Result<Summary, Bad> {
    let report = said.lines().find(|line| line.starts_with('{')).ok_or(Bad::NoResult)?;
    let report: Value =
        serde_json::from_str(report).map_err(|error| Bad::Said(format!("its report: {error}")))?;
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let answers = number(&report["answers"]);
    let of_status = report["by_status"].as_array().into_iter().flatten();
    let errors = of_status.filter(|one| one["status"].as_u64().is_some_and(|code| code >= 400));
    let errors: f64 = errors.map(|one| number(&one["latency"]["count"])).sum();
    check(
        answers,
        &[
            (errors, "answers were errors (4xx, 5xx)"),
            (number(&report["failed"]), "requests failed"),
        ],
    )?;
    let percentiles = report["latency"]["percentiles"].as_array();
    let percentile = |percent: f64| {
        let found = percentiles?.iter().find(|one| one["percent"].as_f64() == Some(percent))?;
        Some(found["ns"].as_f64()? / 1e3)
    };
    Ok(Summary {
        answers,
        rate: number(&report["rate"]),
        sent_rate: report["took_s"]
            .as_f64()
            .map(|took_s| (answers - number(&report["sent_late"])) / took_s),
        bytes: number(&report["bytes"]) + number(&report["unfinished_bytes"]),
        p50_us: percentile(50.0),
        p99_us: percentile(99.0),
    })
}

#[cfg(test)]
mod tests {
    use super::super::job::{JOB, words};
    use super::*;

    const SAID: &str = r#"{"answers":30,"rate":10.5,"sent_late":2,"took_s":2.5,"failed":0,"bytes":900,"unfinished_bytes":7,"by_status":[{"status":200,"latency":{"count":30}}],"latency":{"percentiles":[{"percent":50.0,"ns":1500},{"percent":99.0,"ns":90000}]}}"#;

    #[test]
    fn its_report_is_read() {
        let summary = parse(&format!("{SAID}\n")).expect("a good run");
        let expected = Summary {
            answers: 30.0,
            rate: 10.5,
            sent_rate: Some(11.2),
            bytes: 907.0,
            p50_us: Some(1.5),
            p99_us: Some(90.0),
        };
        assert_eq!(summary, expected);
        assert_eq!(parse("raddle: error: x"), Err(Bad::NoResult));
        let failed = parse(&SAID.replace("\"failed\":0", "\"failed\":3"));
        assert_eq!(failed, Err(Bad::Said("3 requests failed, of 30".to_owned())));
        let errors = parse(&SAID.replace("200", "503"));
        assert_eq!(errors, Err(Bad::Said("30 answers were errors (4xx, 5xx), of 30".to_owned())));
    }

    #[test]
    fn its_options_are_those_of_the_job() {
        let one = words(|command| arguments(command, &JOB, "0s"));
        assert!(one.starts_with("load http://127.0.0.1:7/a ") && one.contains("--duration 3s"));
        let job = Job { shape: Shape::Pipelined(16), ..JOB };
        assert!(words(|command| arguments(command, &job, "0s")).ends_with("--pipeline 16"));
    }
}
