//! The server, the same for all generators: `respond` of `raddle-bench-echo`; and the control, a generator by hand: `ask` of the same.

use crate::built;
use crate::child::{self, Going};
use crate::generators::Job;
use raddle_bench::process;
use raddle_bench::subject::{PORT, Said};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// For so long it may take to start, and to run.
const LIMIT: Duration = Duration::from_secs(90);

/// The program, and the processor that it is to have.
pub(super) struct Responder {
    program: PathBuf,
    pub(super) processor: usize,
}

/// It runs.
pub(super) struct Serving {
    going: Going,
    pub(super) port: u16,
}

/// What a server that delays has done: from a request's coming to its answer's going, in nanoseconds: percentiles by their names, and all, sorted.
pub(super) struct Done {
    pub(super) percentiles: BTreeMap<String, f64>,
    pub(super) all: Vec<f64>,
}

impl Responder {
    pub(super) fn find(processor: usize) -> Result<Responder, String> {
        Ok(Responder { program: built::beside("raddle-bench-echo", "raddle-bench")?, processor })
    }

    /// Starts it with that delay; "" is none. Of what comes in so many seconds from the first request on it has no record.
    pub(super) fn start(&self, delay: &str, skip_s: u64) -> Result<Serving, String> {
        let mut command = Command::new(&self.program);
        command.args(["respond", &format!("delay={delay}"), &format!("skip={}", skip_s * 1000)]);
        command.arg(format!("limit={}", LIMIT.as_secs()));
        process::pin(&mut command, self.processor);
        process::end_with_parent(&mut command);
        let going = Going::start(&mut command, LIMIT)?;
        let port = serde_json::from_str::<Said>(&going.line).ok();
        let port = port.and_then(|said| said.figures.get(PORT)?.first().copied());
        let port = port.ok_or_else(|| format!("said what is no port: {}", going.line.trim()))?;
        Ok(Serving { going, port: port as u16 })
    }
}

impl Responder {
    /// The control in an open loop, on that processor: what it has seen.
    pub(super) fn ask(
        &self,
        job: &Job<'_>,
        rate: f64,
        skip_s: u64,
        processor: usize,
    ) -> Result<BTreeMap<String, f64>, String> {
        let Job { port, connections, seconds, .. } = job;
        let mut command = Command::new(&self.program);
        command.args(["ask", &format!("port={port}"), &format!("connections={connections}")]);
        command.args([format!("rate={rate}"), format!("skip={}", skip_s * 1000)]);
        command.arg(format!("ms={}", seconds * 1000));
        process::pin(&mut command, processor);
        process::end_with_parent(&mut command);
        let said = child::run(&mut command, LIMIT, None).map_err(|error| error.to_string())?;
        match said.remark {
            Some(why) => Err(format!("the control: {why}")),
            None => Ok(firsts(said)),
        }
    }
}

/// The first sample of each figure.
fn firsts(said: Said) -> BTreeMap<String, f64> {
    let first = |(name, values): (String, Vec<f64>)| Some((name, values.first().copied()?));
    said.figures.into_iter().filter_map(first).collect()
}

impl Serving {
    pub(super) fn id(&self) -> u32 {
        self.going.id()
    }

    /// Its record until now.
    pub(super) fn done(&self) -> Result<Done, String> {
        let failed = |error: std::io::Error| format!("the server's record: {error}");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
        stream.write_all(b"GET /record HTTP/1.1\r\n\r\n").map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        let said = answer
            .split_once("\r\n\r\n")
            .and_then(|(_, body)| serde_json::from_str::<Said>(body).ok());
        let mut said = said.ok_or_else(|| format!("the server's record is none: {answer}"))?;
        let all = said.figures.remove("all").unwrap_or_default();
        Ok(Done { percentiles: firsts(said), all })
    }
}
