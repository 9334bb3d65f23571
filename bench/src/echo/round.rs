//! One server and the client, once; and what a server has shown in all its rounds.

use super::cases::{Case, Scale};
use super::peer::{Found, Peer};
use crate::child::{self, Going};
use crate::neighbours::{Neighbours, TOLERATED};
use raddle_bench::memory;
use raddle_bench::process::{end_with_parent, pin};
use raddle_bench::subject::{PORT, Said};
use raddle_bench::watched::Watched;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Where it takes place.
pub(super) struct Place {
    pub(super) client: PathBuf,
    /// The program `raddle`, whose `burst` is the client of a crowd; or what to do about it.
    pub(super) burst: Result<PathBuf, String>,
    /// The processors.
    pub(super) for_server: usize,
    pub(super) for_client: usize,
}

/// A server, and what was seen of it.
pub(super) struct Contender<'f> {
    found: &'f Found,
    pub(super) peer: Peer,
    pub(super) flavor: Option<&'static str>,
    /// What the rounds have said, in turn; `None` if one does not count.
    pub(super) rounds: Vec<Option<Said>>,
    /// System calls for each message, or why they are not known.
    pub(super) calls: Option<Result<f64, String>>,
    /// Rounds in which both were saturated.
    pub(super) both_saturated: usize,
    /// Rounds that don't count, as only the client was.
    pub(super) uncounted: usize,
    /// Rounds that others have disturbed, each time.
    pub(super) disturbed: usize,
    /// Why there are not more rounds.
    pub(super) failure: Option<String>,
}

/// Of one that has a tenth of its core idle this is not exceeded.
const SATURATED: f64 = 0.9;

impl<'f> Contender<'f> {
    /// Each way of running that server.
    pub(super) fn all(found: &'f Found) -> impl Iterator<Item = Contender<'f>> {
        found.peer.flavors().iter().map(|&flavor| Contender {
            found,
            peer: found.peer,
            flavor,
            rounds: Vec::new(),
            calls: None,
            both_saturated: 0,
            uncounted: 0,
            disturbed: 0,
            failure: None,
        })
    }

    /// One round, unless one has failed already: it would only fail again, and take its time.
    pub(super) fn measure(&mut self, case: Case, scale: &Scale, place: &Place) {
        if self.failure.is_some() {
            return;
        }
        let said = match (case.idle(), case.crowd()) {
            (Some(count), _) => self.idle(case, count, place),
            (_, Some(threads)) => self.crowd(case, threads, scale.crowds(), place),
            (None, None) => self.talk_undisturbed(case, scale, place),
        };
        match said {
            Ok(said) => self.take(said),
            Err(why) => self.failure = Some(why),
        }
    }

    /// A round, and again as long as others disturb it.
    fn talk_undisturbed(
        &mut self,
        case: Case,
        scale: &Scale,
        place: &Place,
    ) -> Result<Said, String> {
        const AGAIN_AT_MOST: usize = 3;
        for _ in 0..AGAIN_AT_MOST {
            let (said, others) =
                self.talk(case, scale.warm_ms(), scale.measured_ms(), "", place)?;
            if others <= TOLERATED {
                return Ok(said);
            }
        }
        let (said, others) = self.talk(case, scale.warm_ms(), scale.measured_ms(), "", place)?;
        self.disturbed += usize::from(others > TOLERATED);
        Ok(said)
    }

    /// A round that counts, or does not.
    pub(super) fn take(&mut self, said: Said) {
        let is_saturated = |who| value(&said, who).is_some_and(|busy| busy > SATURATED);
        let counts = match (is_saturated("client_busy"), is_saturated("server_busy")) {
            (false, _) => true,
            (true, true) => {
                self.both_saturated += 1;
                true
            }
            (true, false) => {
                self.uncounted += 1;
                false
            }
        };
        self.rounds.push(counts.then_some(said));
    }

    /// A short run more, in which system calls are counted.
    pub(super) fn count_calls(&mut self, case: Case, scale: &Scale, place: &Place) {
        if self.failure.is_none() {
            let said = self.talk(case, scale.warm_ms(), scale.counted_ms(), "count=1", place);
            let calls = said.map(|(said, _)| value(&said, "syscalls").unwrap_or(f64::NAN));
            self.calls = Some(calls);
        }
    }

    /// What the client says, and the share of the processors that others have taken; 0 where that is not known.
    fn talk(
        &self,
        case: Case,
        warm_ms: u64,
        measured_ms: u64,
        extra: &str,
        place: &Place,
    ) -> Result<(Said, f64), String> {
        let limit = Duration::from_millis(warm_ms + measured_ms) + Duration::from_secs(20);
        let (server, port) = self.serve(case, limit, place)?;
        let mut client = client(case, port, limit, place);
        client.arg(format!("pid={}", server.id()));
        client.arg(format!("warm={warm_ms}")).arg(format!("ms={measured_ms}"));
        client.args((!extra.is_empty()).then_some(extra));
        let watched = Neighbours::before([place.for_server, place.for_client], server.id());
        let said = child::run(&mut client, limit, None).map_err(|error| error.to_string())?;
        let others = watched.and_then(|watched| watched.share()).unwrap_or(0.0);
        match said.remark {
            Some(why) => Err(why),
            None => Ok((said, others)),
        }
    }

    /// What the server takes for each connection that is silent.
    fn idle(&self, case: Case, count: u64, place: &Place) -> Result<Said, String> {
        /// The last answers are out; what the server does after them is done soon.
        const SETTLE: Duration = Duration::from_millis(100);
        let limit = Duration::from_secs(60);
        let (server, port) = self.serve(case, limit, place)?;
        let memory = || memory::of_process(server.id()).map_err(|error| error.to_string());
        let before = memory()?;
        let client = Going::start(&mut client(case, port, limit, place), limit)?;
        thread::sleep(SETTLE);
        let taken = memory()?.saturating_sub(before);
        drop(client);
        Ok(Said::figures([("idle_bytes", taken as f64 / count as f64)]))
    }

    /// What a crowd meets. Of its client nothing is asked but that nobody fails: it is busy as long as the crowd is at the door.
    fn crowd(&self, case: Case, threads: u32, rounds: u32, place: &Place) -> Result<Said, String> {
        let limit = Duration::from_secs(60);
        let (server, port) = self.serve(case, limit, place)?;
        let watched = Watched::new(server.id() as usize, false)?;
        let before = watched.cpu_ns()?;
        let mut command = Command::new(place.burst.as_ref().map_err(Clone::clone)?);
        command.env("RADDLE_CORES", "1").args(["burst", &format!("127.0.0.1:{port}")]);
        command.arg(format!("--threads={threads}")).arg(format!("--rounds={rounds}"));
        command.args(["--json", "-"]).stdin(Stdio::null());
        pin(&mut command, place.for_client);
        end_with_parent(&mut command);
        let output = command.output().map_err(|error| format!("raddle burst: {error}"))?;
        let cpu = (watched.cpu_ns()? - before) as f64;
        crowd_said(&output.stdout, cpu).ok_or_else(|| {
            let why = String::from_utf8_lossy(&output.stderr);
            format!("raddle burst failed: {}", why.lines().last().unwrap_or("some had no echo"))
        })
    }

    fn serve(&self, case: Case, limit: Duration, place: &Place) -> Result<(Going, u16), String> {
        let mut command = self.found.command(case, self.flavor, limit.as_secs() + 10);
        pin(&mut command, place.for_server);
        let server = Going::start(&mut command, limit)?;
        let port = port(&server.line);
        let port = port.ok_or_else(|| format!("said what is no port: {}", server.line.trim()))?;
        Ok((server, port))
    }
}

fn client(case: Case, port: u16, limit: Duration, place: &Place) -> Command {
    let mut command = Command::new(&place.client);
    let (name, settings) = case.client();
    command.arg(name).args(settings).arg(format!("address=127.0.0.1:{port}"));
    command.arg(format!("limit={}", limit.as_secs() + 10));
    pin(&mut command, place.for_client);
    command
}

/// What `raddle burst` says, if nobody has failed; `cpu_ns` is the server's.
fn crowd_said(json: &[u8], cpu_ns: f64) -> Option<Said> {
    let said: serde_json::Value = serde_json::from_slice(json).ok()?;
    let count = said["trip"]["count"].as_f64().filter(|count| *count > 0.0)?;
    said["failed"].as_u64().filter(|failed| *failed == 0)?;
    let percentile = |row: &str, percent: f64| {
        let found = said[row]["percentiles"].as_array()?;
        let found = found.iter().find(|one| one["percent"].as_f64() == Some(percent))?;
        Some(found["ns"].as_f64()? / 1e3)
    };
    Some(Said::figures([
        ("rate", count / said["took_s"].as_f64()?),
        ("p50", percentile("trip", 50.0)?),
        ("p99", percentile("trip", 99.0)?),
        ("connect_p50", percentile("connect", 50.0)?),
        ("connect_p99", percentile("connect", 99.0)?),
        ("cpu", cpu_ns / count),
    ]))
}

/// Where a server listens, by its first line: JSON, or `raddle: listening on ADDR: ...`.
fn port(line: &str) -> Option<u16> {
    if let Ok(said) = serde_json::from_str::<Said>(line) {
        return value(&said, PORT).map(|port| port as u16);
    }
    let address = line.strip_prefix("raddle: listening on ")?.split(": ").next()?;
    address.rsplit_once(':')?.1.parse().ok()
}

/// The one sample of a figure.
pub(super) fn value(said: &Said, figure: &str) -> Option<f64> {
    said.figures.get(figure)?.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_counts_if_nobody_has_failed() {
        let row =
            r#"{"count":10,"percentiles":[{"percent":50.0,"ns":1000},{"percent":99.0,"ns":3000}]}"#;
        let json = format!(r#"{{"took_s":2.0,"connect":{row},"trip":{row},"failed":0}}"#);
        let said = crowd_said(json.as_bytes(), 50.0).expect("nobody has");
        assert_eq!((value(&said, "rate"), value(&said, "cpu")), (Some(5.0), Some(5.0)));
        assert_eq!((value(&said, "p50"), value(&said, "connect_p99")), (Some(1.0), Some(3.0)));
        let failed = json.replace("\"failed\":0", "\"failed\":1");
        assert_eq!(crowd_said(failed.as_bytes(), 50.0), None);
    }

    #[test]
    fn a_port_is_found_in_either_line() {
        assert_eq!(port(r#"{"figures":{"port":[7777.0]}}"#), Some(7777));
        let line = "raddle: listening on 0.0.0.0:34567: a thread for each connection, on 1 core\n";
        assert_eq!(port(line), Some(34567));
        assert_eq!(port("raddle: hello"), None);
    }
}
