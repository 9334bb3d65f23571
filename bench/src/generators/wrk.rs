//! The client: `wrk`, on one thread. Its scripts are Lua; one has it say its result as JSON, since what it prints for people is rounded.

use super::job::{Bad, Job, Shape, Summary, check};
use serde::Deserialize;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says how it went, as one line of JSON. It has no part in requests, so they are still made once and in C.
const SAY: &str = r#"done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"bytes":%d,"us":%d,"p50":%.1f,"p99":%.1f,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
"#;

/// What is before it for each shape.
fn script(shape: Shape) -> String {
    match shape {
        Shape::Pipelined(depth) => format!(
            "local all\ninit = function()\n  all = string.rep(wrk.format(), {depth})\nend\nrequest = function()\n  return all\nend\n{SAY}"
        ),
        Shape::NewConnection => format!("wrk.headers[\"Connection\"] = \"close\"\n{SAY}"),
        Shape::Kept => SAY.to_owned(),
    }
}

/// A folder for scripts, which wrk reads from files. It is removed with this.
pub(super) struct Scripts(PathBuf);

impl Scripts {
    pub(super) fn make() -> io::Result<Scripts> {
        let path = env::temp_dir().join(format!("raddle-bench-wrk-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Scripts(path))
    }

    /// The script for that shape, written if it is not there. If it can't be, wrk says that it finds none.
    pub(super) fn of(&self, shape: Shape) -> PathBuf {
        let name = match shape {
            Shape::Kept => "kept.lua".to_owned(),
            Shape::Pipelined(depth) => format!("pipelined-{depth}.lua"),
            Shape::NewConnection => "new.lua".to_owned(),
        };
        let file = self.0.join(name);
        if !file.exists() {
            _ = fs::write(&file, script(shape));
        }
        file
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        // Nobody could do anything about it.
        _ = fs::remove_dir_all(&self.0);
    }
}

/// For that job, with that script.
pub(super) fn arguments(command: &mut Command, job: &Job<'_>, script: &Path) {
    command.args(["--threads", "1", "--timeout", "10s"]);
    command.arg("--connections").arg(job.connections.to_string());
    command.arg("--duration").arg(format!("{}s", job.seconds));
    command.arg("--script").arg(script).arg(job.url());
}

/// What the script says.
#[derive(Debug, PartialEq, Deserialize)]
struct Said {
    requests: f64,
    bytes: f64,
    us: f64,
    p50: f64,
    p99: f64,
    connect: f64,
    read: f64,
    write: f64,
    status: f64,
    timeout: f64,
}

/// Finds the line of JSON between those for people. A rate in which errors have a part is none.
pub(super) fn parse(said: &str) -> Result<Summary, Bad> {
    let json = said.lines().find(|line| line.starts_with('{')).ok_or(Bad::NoResult)?;
    let said: Said = serde_json::from_str(json)
        .map_err(|error| Bad::Said(format!("it said {json}: {error}")))?;
    check(
        said.requests,
        &[
            (said.status, "answers were errors (4xx, 5xx)"),
            (said.connect, "connections failed"),
            (said.read, "reads failed"),
            (said.write, "writes failed"),
            (said.timeout, "answers took more than 10 s"),
        ],
    )?;
    Ok(Summary {
        answers: said.requests,
        rate: said.requests * 1e6 / said.us,
        sent_rate: None,
        bytes: said.bytes,
        p50_us: Some(said.p50),
        p99_us: Some(said.p99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://127.0.0.1:8080/hello
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   594.19us   95.40us   2.29ms   82.45%
    Req/Sec   107.62k     4.64k  112.10k    90.48%
  224763 requests in 2.10s, 31.51MB read
Requests/sec: 107041.11
Transfer/sec:     15.01MB
{\"requests\":224763,\"bytes\":33040161,\"us\":2099784,\"p50\":583.0,\"p99\":901.5,\"connect\":0,\"read\":0,\"write\":0,\"status\":0,\"timeout\":0}
";

    #[test]
    fn the_line_of_json_is_found_between_those_for_people() {
        let summary = parse(SAID).expect("a good run");
        assert_eq!((summary.answers, summary.rate as u64), (224_763.0, 107_041));
        assert_eq!((summary.p50_us, summary.p99_us), (Some(583.0), Some(901.5)));
        assert_eq!(
            parse("unable to connect to 127.0.0.1:1 Connection refused"),
            Err(Bad::NoResult)
        );
        assert!(matches!(parse("{\"requests\":1}"), Err(Bad::Said(_))), "half of a line");
    }

    #[test]
    fn a_run_with_errors_is_none() {
        for (field, what) in [
            ("status", "answers were errors (4xx, 5xx)"),
            ("connect", "connections failed"),
            ("read", "reads failed"),
            ("write", "writes failed"),
            ("timeout", "answers took more than 10 s"),
        ] {
            let said = SAID.replace(&format!("\"{field}\":0"), &format!("\"{field}\":7"));
            assert_eq!(parse(&said), Err(Bad::Said(format!("7 {what}, of 224763"))));
        }
    }

    #[test]
    fn only_pipelined_requests_are_made_by_a_script() {
        let makes = |shape| script(shape).contains("\nrequest = function");
        let pipelined = Shape::Pipelined(16);
        assert!(makes(pipelined) && script(pipelined).contains("wrk.format(), 16)"));
        assert!(!makes(Shape::Kept) && !makes(Shape::NewConnection));
        assert!(script(Shape::NewConnection).contains("[\"Connection\"] = \"close\""));
    }
}
