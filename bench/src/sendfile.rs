//! `raddle-bench sendfile`: files over loopback, by raddle's `send_path` and by a loop of blocking `sendfile` on kernel threads.
//!
//! A round is a server and a client, processes of their own on a processor each. The two servers take turns, so that whatever slows the machine or its
//! disk down meets both; what they show in one round is a pair.

use crate::built;
use crate::child::{self, Going};
use crate::effort::Effort;
use crate::pairs::Estimate;
use crate::report::{self, Each, Record, Report, Unit, progress};
use raddle_bench::files;
use raddle_bench::process::{self, pin};
use raddle_bench::subject::{PORT, Said};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What the cases are, for whoever asks `--help`.
pub(crate) const CASES: &str = "\
Cases (case in the JSON): 100 files of 1 MiB, all once
  warm_1, warm_20, warm_100   so many connections at once, each of which asks for the next file when it has one; files in the page cache
  cold_1, cold_20, cold_100   the same, after their pages were dropped (posix_fadvise, DONTNEED): from the disk, names and inodes cached

Figures (bench in the JSON):
  sendfile_time   from the first request until all files have arrived, ms
  sendfile_cpu    CPU time of the server's process meanwhile, ms: in the kernel too

Peers: raddle (a thread for each connection, which calls fs::send_path), std (a kernel thread for each, which opens the file and calls sendfile
until it is sent). The client reads and throws away. A server has one processor, the client another one. What the servers' sockets send is not
paced (congestion control: reno), as by BBR it would be: over loopback that leaves both servers idle most of the time.
RADDLE_EVENT chooses the event queue's backend for raddle.";

/// What there is to choose.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) effort: Effort<21, 3>,

    /// Where the files are made, and removed afterwards; by default beside this program
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

struct Case {
    name: &'static str,
    connections: usize,
    is_warm: bool,
}

const fn case(name: &'static str, connections: usize, is_warm: bool) -> Case {
    Case { name, connections, is_warm }
}

const ALL: &[Case] = &[
    case("warm_1", 1, true),
    case("warm_20", 20, true),
    case("warm_100", 100, true),
    case("cold_1", 1, false),
    case("cold_20", 20, false),
    case("cold_100", 100, false),
];

/// What a round says, and what it is called in the report.
const FIGURES: &[(&str, &str)] = &[("ms", "sendfile_time"), ("cpu_ms", "sendfile_cpu")];

/// raddle is the first: the other is compared with it.
const PEERS: &[&str] = &["raddle", "std"];

/// For so long a program may run.
const LIMIT: Duration = Duration::from_secs(60);

/// What is needed for a round.
struct Place {
    servers: Vec<PathBuf>,
    client: PathBuf,
    folder: Folder,
    for_server: usize,
    for_client: usize,
}

/// Where the files are, which are removed with it.
struct Folder(PathBuf);

impl Folder {
    fn make(path: PathBuf) -> io::Result<Folder> {
        fs::create_dir_all(&path)?;
        let folder = Folder(path);
        files::make(&folder.0)?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody could do anything about it.
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Measures all cases. `each` gets the records of a case when it is done.
pub(crate) fn run(options: &Options, mut each: impl Each) -> io::Result<Report> {
    built::build(built::BENCH)?;
    let processors = process::processors().map_err(io::Error::other)?;
    let [for_server, for_client, ..] = processors[..] else {
        return Err(io::Error::other("server and client need a processor each; one is there"));
    };
    let beside = |name: &str| built::beside(name, "raddle-bench").map_err(io::Error::other);
    let servers: io::Result<Vec<PathBuf>> =
        PEERS.iter().map(|peer| beside(&format!("raddle-bench-{peer}"))).collect();
    let client = beside("raddle-bench-echo")?;
    let own = format!("raddle-bench-files-{}", std::process::id());
    let folder = match &options.folder {
        Some(folder) => folder.join(own),
        None => client.with_file_name(own),
    };
    progress("writing the files");
    let folder = Folder::make(folder)?;
    let place = Place { servers: servers?, client, folder, for_server, for_client };
    let rounds = options.effort.rounds();
    let mut report = Report { records: Vec::new(), notes: notes(rounds, &place) };
    for case in ALL {
        let mut all: Vec<Vec<Said>> = PEERS.iter().map(|_| Vec::new()).collect();
        for round in 1..=rounds {
            progress(&format!("{}: round {round} of {rounds}", case.name));
            for (server, said) in place.servers.iter().zip(&mut all) {
                said.push(place.round(server, case)?);
            }
        }
        let records = FIGURES.iter().flat_map(|figure| records(case, figure, &all)).collect();
        report.take(records, &mut each)?;
    }
    Ok(report)
}

fn notes(rounds: usize, place: &Place) -> Vec<String> {
    let mut notes = report::first_notes();
    notes.push(format!(
        "Servers on processor {}, the client on {}. Medians of {rounds} rounds, the servers' in turns, each started anew; below six samples, the \
         interval is their range.",
        place.for_server, place.for_client,
    ));
    notes
}

impl Place {
    /// One server and the client, once.
    fn round(&self, server: &Path, case: &Case) -> io::Result<Said> {
        let limit = format!("limit={}", LIMIT.as_secs());
        let folder = format!("folder={}", self.folder.0.display());
        let mut command = Command::new(server);
        command.args(["sendfile", &folder, &limit]);
        // Otherwise it would have a core for each processor of the machine.
        command.env("RADDLE_CORES", "1");
        pin(&mut command, self.for_server);
        let server = match Going::start(&mut command, LIMIT) {
            Ok(server) => server,
            Err(why) => return Ok(Said::remark(why)),
        };
        let said: Said = serde_json::from_str(&server.line)?;
        let port = value(&said, PORT).unwrap_or_default();
        let mut client = Command::new(&self.client);
        client.args(["fetch", &folder, &limit, &format!("address=127.0.0.1:{port}")]);
        client.arg(format!("n={}", case.connections)).arg(format!("pid={}", server.id()));
        client.arg(format!("warm={}", u8::from(case.is_warm)));
        pin(&mut client, self.for_client);
        child::run(&mut client, LIMIT, None)
    }
}

/// The one sample of a figure.
fn value(said: &Said, figure: &str) -> Option<f64> {
    said.figures.get(figure)?.first().copied()
}

/// A figure of each server; of those after the first compared with it, round by round.
fn records(case: &Case, figure: &(&str, &'static str), all: &[Vec<Said>]) -> Vec<Record> {
    let numbers = |rounds: &[Said]| -> Vec<Option<f64>> {
        rounds.iter().map(|said| value(said, figure.0)).collect()
    };
    let base = numbers(&all[0]);
    let one = |(at, rounds): (usize, &Vec<Said>)| {
        let own = numbers(rounds);
        let samples: Vec<f64> = own.iter().copied().flatten().collect();
        let remark = rounds.iter().find_map(|said| said.remark.clone());
        if samples.is_empty() {
            return Record::missing(figure.1, case.name, PEERS[at], Unit::Ms).with_remark(remark);
        }
        let estimate = Estimate::of(&samples);
        let record = Record::counted(figure.1, case.name, PEERS[at], estimate.median, Unit::Ms);
        let record =
            record.between(estimate).of_samples(samples.len()).with_remark(remark.or(busy(rounds)));
        let pairs = base.iter().zip(&own).filter_map(|(base, own)| Some(((*base)?, (*own)?)));
        let (ratios, differences): (Vec<f64>, Vec<f64>) =
            pairs.map(|(base, own)| (own / base, own - base)).unzip();
        match at == 0 || ratios.is_empty() {
            true => record,
            false => record.compared(Estimate::of(&ratios), Estimate::of(&differences)),
        }
    };
    all.iter().enumerate().map(one).collect()
}

/// If the client had less than a tenth of its processor idle, what is measured may be the client.
fn busy(rounds: &[Said]) -> Option<String> {
    const SATURATED: f64 = 0.9;
    let busy = rounds.iter().filter_map(|said| value(said, "client_busy"));
    let count = busy.filter(|busy| *busy > SATURATED).count();
    (count > 0).then(|| format!("the client was saturated in {count} of {} rounds", rounds.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(ms: &[f64]) -> Vec<Said> {
        ms.iter().map(|ms| Said::figures([("ms", *ms), ("client_busy", *ms / 100.0)])).collect()
    }

    fn json(all: &[Vec<Said>]) -> Vec<serde_json::Value> {
        let records = records(&ALL[0], &FIGURES[0], all);
        records.iter().map(|record| serde_json::to_value(record).expect("JSON")).collect()
    }

    #[test]
    fn servers_are_compared_round_by_round() {
        let json = json(&[said(&[10.0, 20.0, 30.0]), said(&[20.0, 40.0, 60.0])]);
        assert_eq!((&json[0]["value"], &json[1]["value"]), (&20.0.into(), &40.0.into()));
        assert_eq!((&json[1]["ratio_low"], &json[1]["ratio_high"]), (&2.0.into(), &2.0.into()));
        assert!(json[0]["ratio"].is_null() && json[0]["remark"].is_null());
    }

    #[test]
    fn what_is_not_known_says_why() {
        let json =
            json(&[said(&[10.0, 95.0]), vec![Said::remark("no disk"), said(&[40.0]).remove(0)]]);
        assert_eq!(json[0]["remark"], "the client was saturated in 1 of 2 rounds");
        assert_eq!((&json[1]["remark"], &json[1]["samples"]), (&"no disk".into(), &1.into()));
        let ratio = json[1]["ratio"].as_f64().expect("one pair");
        assert!((ratio - 40.0 / 95.0).abs() < 1e-3, "{ratio}");
    }
}
