//! oha, on one of tokio's threads. It says JSON if it is asked to; held against version 1.16.

use super::job::{Bad, Job, Shape, Summary, check};
use serde_json::Value;
use std::process::Command;

pub(super) fn arguments(command: &mut Command, job: &Job<'_>) {
    command.env("TOKIO_WORKER_THREADS", "1");
    command.args(["--no-tui", "--output-format", "json", "--no-color"]);
    command.args(["-c", &job.connections.to_string(), "-z", &format!("{}s", job.seconds)]);
    if job.shape == Shape::NewConnection {
        command.arg("--disable-keepalive");
    }
    command.arg(job.url());
}

/// Answers are in it by status; those that failed, by their error. Its own `requestsPerSec` counts those as well that it has given up at the end.
pub(super) fn parse(said: &str) -> Result<Summary, Bad> {
    let at = said.find('{').ok_or(Bad::NoResult)?;
    let report: Value = serde_json::from_str(&said[at..])
        .map_err(|error| Bad::Said(format!("its report: {error}")))?;
    let counts = |name: &str, counts: fn(&str) -> bool| -> f64 {
        let all = report[name].as_object().into_iter().flatten();
        all.filter(|(key, _)| counts(key)).filter_map(|(_, count)| count.as_f64()).sum()
    };
    let answers = counts("statusCodeDistribution", |_| true);
    check(
        answers,
        &[
            (
                counts("statusCodeDistribution", |code| code >= "4"),
                "answers were errors (4xx, 5xx)",
            ),
            // When the time is over those that are on their way are given up.
            (counts("errorDistribution", |why| !why.contains("deadline")), "requests failed"),
        ],
    )?;
    let us = |percentile: &str| Some(report["latencyPercentiles"][percentile].as_f64()? * 1e6);
    let total_s = report["summary"]["total"].as_f64().ok_or(Bad::NoResult)?;
    Ok(Summary {
        answers,
        rate: answers / total_s,
        sent_rate: None,
        // Of contents, without heads.
        bytes: report["summary"]["totalData"].as_f64().unwrap_or(0.0),
        p50_us: us("p50"),
        p99_us: us("p99"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::job::{JOB, words};
    use super::*;

    /// As version 1.16 says it, shortened.
    const SAID: &str = r#"{
  "summary": {"successRate": 1.0, "total": 2.0, "requestsPerSec": 51.0, "totalData": 1300},
  "latencyPercentiles": {"p50": 0.0015, "p99": 0.09},
  "statusCodeDistribution": {"200": 100},
  "errorDistribution": {"aborted due to deadline": 2}
}"#;

    #[test]
    fn its_report_is_read() {
        let summary = parse(SAID).expect("a good run");
        assert_eq!((summary.answers, summary.rate, summary.bytes), (100.0, 50.0, 1300.0));
        assert_eq!((summary.p50_us, summary.p99_us), (Some(1500.0), Some(90_000.0)));
        let failed = parse(&SAID.replace("aborted due to deadline", "connection refused"));
        assert_eq!(failed, Err(Bad::Said("2 requests failed, of 100".to_owned())));
        assert!(matches!(parse(&SAID.replace("200", "404")), Err(Bad::Said(_))));
        assert_eq!(parse("error: x"), Err(Bad::NoResult));
    }

    #[test]
    fn its_options_are_those_of_the_job() {
        let job = Job { shape: Shape::NewConnection, ..JOB };
        let words = words(|command| arguments(command, &job));
        assert!(words.ends_with("-c 64 -z 3s --disable-keepalive http://127.0.0.1:7/a"), "{words}");
    }
}
