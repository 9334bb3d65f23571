//! The client: `wrk`, on one thread. Its scripts are Lua; one has it say its result as JSON, since what it prints for people is rounded.

use super::cases::{Asked, Case, DEPTH};
use raddle_bench::process;
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Says how it went, as one line of JSON. It has no part in requests, so they are still made once and in C.
const SAY: &str = r#"done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"bytes":%d,"us":%d,"p50":%.1f,"p99":%.1f,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
"#;

/// The script for what is asked.
pub(super) fn script(asked: Asked) -> String {
    match asked {
        Asked::Pipelined => format!(
            "local all\ninit = function()\n  all = string.rep(wrk.format(), {DEPTH})\nend\nrequest = function()\n  return all\nend\n{SAY}"
        ),
        Asked::Churn => format!("wrk.headers[\"Connection\"] = \"close\"\n{SAY}"),
        Asked::File(..) | Asked::Handler => SAY.to_owned(),
    }
}

/// wrk, ready to be started.
pub(super) struct Wrk {
    pub(super) program: PathBuf,
    /// The processor that it has.
    pub(super) processor: usize,
}

impl Wrk {
    /// For that case, and so long. `script` is where the case's script lies.
    pub(super) fn command(&self, case: &Case, port: u16, seconds: u64, script: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--threads", "1", "--timeout", "10s"]);
        command.arg("--connections").arg(case.connections.to_string());
        command.arg("--duration").arg(format!("{seconds}s"));
        command.arg("--script").arg(script);
        command.arg(format!("http://127.0.0.1:{port}{}", case.asked.path()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process::pin(&mut command, self.processor);
        process::end_with_parent(&mut command);
        command
    }
}

/// What it says when it has ended.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Summary {
    requests: u64,
    bytes: u64,
    pub(super) us: u64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    connect: u64,
    read: u64,
    write: u64,
    status: u64,
    timeout: u64,
}

impl Summary {
    /// Finds the line of JSON between those for people, or says what went wrong.
    pub(super) fn parse(text: &str) -> Result<Summary, String> {
        let json = text.lines().find(|line| line.starts_with('{'));
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        let json =
            json.ok_or_else(|| format!("wrk failed: {}", last.unwrap_or("without a word").trim()))?;
        let summary: Summary =
            serde_json::from_str(json).map_err(|error| format!("wrk said {json}: {error}"))?;
        summary.check()
    }

    /// How many answers have come. Of large files parts count as well: when the time is over each connection has one on its way, and those would be
    /// the server's work for nothing.
    pub(super) fn answers(&self, asked: Asked) -> f64 {
        const LARGE: usize = 1 << 20;
        match asked {
            Asked::File(_, len) if len > LARGE => self.bytes as f64 / len as f64,
            _ => self.requests as f64,
        }
    }

    /// A rate in which errors have a part is none.
    fn check(self) -> Result<Summary, String> {
        let errors = [
            (self.status, "answers were errors (4xx, 5xx)"),
            (self.connect, "connections failed"),
            (self.read, "reads failed"),
            (self.write, "writes failed"),
            (self.timeout, "answers took more than 10 s"),
        ];
        match errors.into_iter().find(|(count, _)| *count > 0) {
            Some((count, what)) => Err(format!("{count} {what}, of {}", self.requests)),
            None if self.requests == 0 => Err("no answer was complete in that time".to_owned()),
            None => Ok(self),
        }
    }
}

/// The result of a wrk that was started.
pub(super) fn result(output: io::Result<std::process::Output>) -> Result<Summary, String> {
    let output = output.map_err(|error| format!("wrk: {error}"))?;
    let text = [output.stderr, output.stdout].concat();
    Summary::parse(&String::from_utf8_lossy(&text))
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
        let summary = Summary::parse(SAID).expect("a good run");
        assert_eq!((summary.requests, summary.us), (224_763, 2_099_784));
        assert_eq!((summary.p50, summary.p99), (583.0, 901.5));
        assert_eq!(summary.answers(Asked::Handler), 224_763.0);
    }

    #[test]
    fn parts_of_large_files_count() {
        let summary = Summary { bytes: 15 << 20, ..Summary::parse(SAID).expect("a good run") };
        assert_eq!(summary.answers(Asked::File("/10m.txt", 10 << 20)), 1.5);
        assert_eq!(summary.answers(Asked::File("/1k.txt", 1 << 10)), 224_763.0);
    }

    #[test]
    fn a_run_with_errors_is_none() {
        let with = |from, to| Summary::parse(&SAID.replace(from, to)).expect_err("an error");
        assert_eq!(
            with("\"status\":0", "\"status\":7"),
            "7 answers were errors (4xx, 5xx), of 224763"
        );
        assert_eq!(with("\"connect\":0", "\"connect\":1"), "1 connections failed, of 224763");
        assert_eq!(with("\"read\":0", "\"read\":3"), "3 reads failed, of 224763");
        assert_eq!(with("\"write\":0", "\"write\":3"), "3 writes failed, of 224763");
        assert!(with("\"timeout\":0", "\"timeout\":2").starts_with("2 answers took more"));
        assert_eq!(
            with("\"requests\":224763", "\"requests\":0"),
            "no answer was complete in that time"
        );
    }

    #[test]
    fn without_that_line_its_last_one_says_why() {
        let said = "unable to connect to 127.0.0.1:1 Connection refused\n\n";
        let why = Summary::parse(said).expect_err("no result");
        assert_eq!(why, "wrk failed: unable to connect to 127.0.0.1:1 Connection refused");
        assert_eq!(Summary::parse("").expect_err("no result"), "wrk failed: without a word");
        assert!(Summary::parse("{\"requests\":1}").expect_err("half").starts_with("wrk said {"));
    }

    #[test]
    fn only_pipelined_requests_are_made_by_a_script() {
        let makes = |asked| script(asked).contains("\nrequest = function");
        assert!(makes(Asked::Pipelined) && script(Asked::Pipelined).contains("wrk.format(), 16)"));
        assert!(!makes(Asked::Handler) && !makes(Asked::Churn));
        assert!(script(Asked::Churn).contains("[\"Connection\"] = \"close\""));
    }
}
