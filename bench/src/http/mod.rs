//! `raddle-bench http`: web servers, one after another, driven by `raddle load` or wrk, with a core each.
//!
//! The servers take turns, round by round, so that whatever slows the machine down meets all; a round of raddle's and a round of a peer's
//! are a pair. Server and client are processes of their own, started anew for each round and pinned to a processor each.
//!
//! | module | what it does |
//! |---|---|
//! | `cases` | what the client asks for, and what is said of it |
//! | `folder` | the site, and what else lies in files meanwhile |
//! | `peer` | the servers, and how each is started |
//! | `nginx` | nginx's configuration |
//! | `round` | one server and the client, once |
//! | `records` | makes records of all rounds |

mod cases;
mod folder;
mod nginx;
mod peer;
mod records;
mod round;

use self::cases::{ALL, Case, FIGURES, Scale};
use self::folder::Folder;
use self::peer::Peer;
use self::round::{Contender, Place};
use crate::built;
use crate::effort::Effort;
use crate::generators::{Client, Generator};
use crate::report::{self, Each, Record, Report, progress};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use raddle_bench::process;
use std::io;

/// What the cases are, for whoever asks `--help`.
pub(crate) const CASES: &str = "\
Cases (case in the JSON), each on 1, 64 and 1000 connections: file1k_1, file1k_64, file1k_1000, and so on
  file1k, file100k, file10m   a file of 1 KiB, 100 KiB, 10 MiB, in the page cache; of 10 MiB, parts count too: on 1000 connections a thousand are
              on their way when the time is over
  handler     a function's answer, Hello, World!, of 13 bytes
  pipelined   the same, 16 requests sent together, latencies are until all are answered
  churn       the same, a new connection for each request (Connection: close); latencies are with the handshake, wrk's without

Figures (bench in the JSON):
  http_rate     requests a second
  http_p50, http_p99   from sending a request to having its answer, us, as the client says it
  http_cpu      CPU time of the server's process for each request, ns: in the kernel too, softirqs on its behalf included
  http_syscalls system calls of the server for each request, counted by perf in a run of its own
  http_rss      resident pages and page tables of the server's process in the midst of that run, files that it maps included

Where the client was saturated the rate is its own, and the remark says so: compare the CPU time. A round in which others took more than 3 %
of the two processors (other processes, a virtual machine's host) is measured again, three times at most; the remark says how many were
disturbed all the same. A round in which an answer is an error or a connection fails is none.

Peers, on one core each:
  raddle        raddle_http::server with a handler and a folder: what raddle serve is made of
  nginx         if it is on the path: one process, access log off, sendfile, tcp_nopush, open_file_cache for a minute, multi_accept; its
                configuration is written to a temporary folder, and its handler is `return 200`
  hyper         on tokio's current_thread, with pipeline_flush; files by tokio::fs, 64 KiB at a time
  may_minihttp  on one worker; files read whole; no churn, for it closes no connection
  go            net/http and its FileServer, if go is on the path
Who is left out is said, and why. RADDLE_EVENT chooses the event queue's backend for raddle.

The client is raddle load, on one core, the cheapest a request (raddle-bench load); --client wrk has wrk in its place, on one thread.

All cases take an hour, with --quick ten minutes.";

/// What there is to choose.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) effort: Effort<5, 1>,

    /// Only these cases; all by default
    #[arg(long, value_name = "CASE,..", value_delimiter = ',', value_parser = case(), hide_possible_values = true)]
    only: Vec<Case>,

    /// Only these peers; all that can be had by default
    #[arg(long, value_name = "PEER,..", value_delimiter = ',')]
    peers: Vec<Peer>,

    /// Who asks
    #[arg(long, value_name = "GENERATOR", default_value = "raddle", value_parser = client())]
    client: Generator,
}

/// A case by its name.
fn case() -> impl TypedValueParser<Value = Case> {
    let names = PossibleValuesParser::new(ALL.map(|case| case.name));
    names.try_map(|name| {
        ALL.into_iter().find(|case| case.name == name).ok_or("there is no such case")
    })
}

/// Those that can do all cases.
fn client() -> impl TypedValueParser<Value = Generator> {
    PossibleValuesParser::new(["raddle", "wrk"]).map(|name| match name.as_str() {
        "wrk" => Generator::Wrk,
        _ => Generator::Raddle,
    })
}

impl Options {
    fn scale(&self) -> Scale {
        Scale { rounds: self.effort.rounds(), measured_s: self.effort.pick(3, 1) }
    }
}

/// Measures what the options say. `each` gets the records of a case when it is done.
pub(crate) fn run(options: &Options, mut each: impl Each) -> io::Result<Report> {
    // Those that are started inherit it.
    process::raise_descriptors();
    let processors = process::processors().map_err(io::Error::other)?;
    let [for_server, for_client, ..] = processors[..] else {
        return Err(io::Error::other("server and client need a processor each; one is there"));
    };
    built::build(built::CLI)?;
    let client = Client::find(options.client, for_client).map_err(|why| {
        io::Error::other(format!("{why}: it is the client, so nothing can be measured"))
    })?;
    let peers =
        if options.peers.is_empty() { Peer::value_variants() } else { options.peers.as_slice() };
    let (found, left_out) = peer::find(peers, !options.peers.is_empty())?;
    for line in &left_out {
        eprintln!("raddle-bench: {line}");
    }
    let scale = options.scale();
    let mut report = Report { records: Vec::new(), notes: left_out };
    report.notes.extend(method(&scale, for_server, &client));
    let place = Place { client, folder: Folder::make()?, for_server };
    for case in &ALL {
        if !options.only.is_empty() && !options.only.contains(case) {
            continue;
        }
        let contenders = found.iter().map(|found| Contender::new(found, case));
        let mut contenders: Vec<Contender> = contenders.collect();
        for turn in 1..=scale.rounds {
            for contender in &mut contenders {
                let (name, rounds) = (contender.peer.name(), scale.rounds);
                progress(&format!("{}: {name}, round {turn} of {rounds}", case.name));
                contender.measure(case, &scale, &place);
            }
        }
        for contender in &mut contenders {
            progress(&format!("{}: {}, system calls", case.name, contender.peer.name()));
            contender.count(case, &place);
        }
        let figures = FIGURES.iter();
        let records: Vec<Record> =
            figures.flat_map(|figure| records::of(&contenders, case, figure)).collect();
        report.take(records, &mut each)?;
    }
    Ok(report)
}

fn method(scale: &Scale, for_server: usize, client: &Client) -> Vec<String> {
    let mut notes = report::first_notes();
    notes.push(format!(
        "Server on processor {for_server}, {} on {}. Medians of {} rounds of {} s, the servers' in turns, each started anew; \
         below six samples, the interval is their range. --help says what the cases are.",
        client.generator.client_name(), client.processor, scale.rounds, scale.measured_s,
    ));
    notes
}
