//! nghttp2's h2load, over HTTP/1.1 and on one thread. It prints for people; its latencies have no percentiles.

use super::job::{Bad, Job, Shape, Summary, check};
use std::process::Command;

pub(super) fn arguments(command: &mut Command, job: &Job<'_>) {
    command.args(["--h1", "--threads=1"]);
    command.arg(format!("--clients={}", job.connections));
    command.arg(format!("--duration={}", job.seconds));
    if let Shape::Pipelined(depth) = job.shape {
        command.arg(format!("--max-concurrent-streams={depth}"));
    }
    command.arg(job.url());
}

/// `finished in 3.00s, 50.50 req/s, 1KB/s`, and counts below it. Those of its requests that the end of the time cuts off are neither done nor failed.
pub(super) fn parse(said: &str) -> Result<Summary, Bad> {
    let line = |start: &str| said.lines().find_map(|line| line.trim().strip_prefix(start));
    let rate = line("finished in ").and_then(|rest| rest.split(", ").nth(1));
    let rate = rate.and_then(|word| word.strip_suffix(" req/s")?.parse().ok());
    let rate: f64 = rate.ok_or(Bad::NoResult)?;
    // `N name`, with commas between.
    let count = |line: Option<&str>, name: &str| -> Result<f64, Bad> {
        let found = line.and_then(|line| {
            line.split([',', '('])
                .find_map(|word| word.trim().strip_suffix(name)?.trim().parse().ok())
        });
        found.ok_or(Bad::NoResult)
    };
    let (requests, status) = (line("requests: "), line("status codes: "));
    let answers = count(requests, "succeeded")?;
    check(
        answers,
        &[
            (count(status, "4xx")?, "answers were errors (4xx)"),
            (count(status, "5xx")?, "answers were errors (5xx)"),
            (count(requests, "failed")?, "requests failed"),
            (count(requests, "timeout")?, "answers took too long"),
        ],
    )?;
    let bytes = line("traffic: ").and_then(|rest| {
        let (_, rest) = rest.split_once('(')?;
        rest.split_once(')')?.0.parse().ok()
    });
    Ok(Summary {
        answers,
        rate,
        bytes: bytes.unwrap_or(0.0),
        sent_rate: None,
        p50_us: None,
        p99_us: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::job::{JOB, words};
    use super::*;

    const SAID: &str = "starting benchmark...
finished in 3.00s, 1234.50 req/s, 117.29KB/s
requests: 3704 total, 3768 started, 3704 done, 3704 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 3704 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 351.88KB (360328) total, 94.04KB (96304) headers (space savings 0.00%), 47.02KB (48152) data
";

    #[test]
    fn its_lines_are_read() {
        let summary = parse(SAID).expect("a good run");
        let expected = Summary {
            answers: 3704.0,
            rate: 1234.5,
            bytes: 360_328.0,
            sent_rate: None,
            p50_us: None,
            p99_us: None,
        };
        assert_eq!(summary, expected);
        let failed = parse(&SAID.replace("0 failed", "5 failed"));
        assert_eq!(failed, Err(Bad::Said("5 requests failed, of 3704".to_owned())));
        assert!(matches!(parse(&SAID.replace("0 5xx", "1 5xx")), Err(Bad::Said(_))));
        assert_eq!(parse("unrecognized option"), Err(Bad::NoResult));
    }

    #[test]
    fn its_options_are_those_of_the_job() {
        let job = Job { shape: Shape::Pipelined(16), ..JOB };
        let words = words(|command| arguments(command, &job));
        assert!(words.ends_with("--max-concurrent-streams=16 http://127.0.0.1:7/a"), "{words}");
    }
}
