//! `raddle-bench echo`: echo servers, one after another, driven by one client, with a core each.
//!
//! The servers take turns, round by round, so that whatever slows the machine down meets all; a round of raddle's and a round of a peer's
//! are a pair. Server and client are processes of their own, started anew for each round and pinned to a processor each.
//!
//! | module | what it does |
//! |---|---|
//! | `cases` | what the client does, and what is said of it |
//! | `peer` | the servers, and how each is started |
//! | `round` | one server and the client, once |
//! | `records` | makes records of all rounds |

mod cases;
mod peer;
mod records;
mod round;

use self::cases::{Case, Scale};
use self::peer::Peer;
use crate::built;
use crate::effort::Effort;
use crate::report::{self, Each, Record, Report, progress};
use clap::ValueEnum;
use raddle_bench::process;
use round::Contender;
use std::io;

/// What the cases are, for whoever asks `--help`.
pub(crate) const CASES: &str = "\
Cases (case in the JSON):
  pingpong_1, pingpong_64, pingpong_1000   so many connections, each with one message of 64 bytes on the way
  stream_16k    8 connections, each with 4 messages of 16 KiB on the way
  churn         64 at a time connect, send 64 bytes, receive them, close. Most of a connection is made on the client's side of the
                loopback device, so the client is held to 88 % of its core, and where the server has time left the rate is the
                client's: compare the CPU time
  burst_1000    1,000 threads come at once, connect, and send 13 bytes each, again and again: raddle burst, after kecho's bench
  idle_9000     connections that have had one message each and are silent

Figures (bench in the JSON):
  echo_rate     messages a second
  echo_p50, echo_p99   from sending a message to having it back, us; in churn from before the socket is made
  echo_connect_p50, echo_connect_p99   of a crowd: until there is a connection, us; echo_p50 and echo_p99 begin there
  echo_cpu      CPU time of the server's process for each message, ns: in the kernel too, softirqs on its behalf included
  echo_syscalls system calls of the server for each message, counted by perf in short runs of their own
  echo_idle_bytes      resident pages and page tables that the server's process has taken for each idle connection

A run counts if the client had a tenth of its core idle, or both were saturated: then the remark says so. One in which only the client was
does not count. One in which others took more than 3 % of the two processors (other processes, a virtual machine's host) is measured again,
three times at most; the remark says how many were disturbed all the same.

Peers: raddle (raddle echo, a thread for each connection), raddle_queue_level and raddle_queue_edge (raddle echo --on queue),
raddle_workqueue_bound and raddle_workqueue_unbound (--on workqueue); epoll and io_uring (the floors: servers of one thread, written by
hand); epoll_stacks (a floor for threads: for each message that loop touches 20 lines on each of two pages of the connection's own);
tokio (current_thread or the runtime of #[tokio::main], which is better), may, and go, if it is on the path: one task, coroutine, goroutine
for each connection, with a buffer as large as the case needs.
RADDLE_EVENT chooses the event queue's backend for raddle.

The client is written by hand on io_uring, and the same for all: one system call a round, so that it has time left where servers have not. raddle
load speaks HTTP; of a crowd the client is raddle burst.

All cases take about a quarter of an hour, with --quick a minute.";

/// What there is to choose.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) effort: Effort<7, 1>,

    /// Only these cases; all by default
    #[arg(long, value_name = "CASE,..", value_delimiter = ',')]
    only: Vec<Case>,

    /// Only these peers; all that can be had by default
    #[arg(long, value_name = "PEER,..", value_delimiter = ',')]
    peers: Vec<Peer>,
}

impl Options {
    fn scale(&self) -> Scale {
        Scale { is_quick: self.effort.quick, rounds: self.effort.rounds() }
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
    let peers =
        if options.peers.is_empty() { Peer::value_variants() } else { options.peers.as_slice() };
    let (found, left_out) = peer::find(peers, !options.peers.is_empty())?;
    for line in &left_out {
        eprintln!("raddle-bench: {line}");
    }
    let client = built::beside("raddle-bench-echo", "raddle-bench").map_err(io::Error::other)?;
    let scale = options.scale();
    let mut report = Report { records: Vec::new(), notes: left_out };
    report.notes.extend(method(&scale, for_server, for_client));
    let burst = built::beside("raddle", "raddle-cli");
    let place = round::Place { client, burst, for_server, for_client };
    for case in Case::value_variants() {
        if !options.only.is_empty() && !options.only.contains(case) {
            continue;
        }
        let mut contenders: Vec<Contender> = found.iter().flat_map(Contender::all).collect();
        for turn in 0..scale.rounds {
            for contender in &mut contenders {
                let (name, rounds) = (contender.peer.name(), scale.rounds);
                progress(&format!("{}: {name}, round {} of {rounds}", case.name(), turn + 1));
                contender.measure(*case, &scale, &place);
            }
        }
        for contender in contenders.iter_mut().filter(|_| case.has_syscalls()) {
            progress(&format!("{}: {}, system calls", case.name(), contender.peer.name()));
            contender.count_calls(*case, &scale, &place);
        }
        let contenders = records::best_flavors(contenders);
        let figures = case.figures();
        let records: Vec<Record> =
            figures.iter().flat_map(|figure| records::of(&contenders, *case, figure)).collect();
        report.take(records, &mut each)?;
    }
    Ok(report)
}

fn method(scale: &Scale, for_server: usize, for_client: usize) -> Vec<String> {
    let mut notes = report::first_notes();
    notes.push(format!(
        "Server on processor {for_server}, client on {for_client}. Medians of {} rounds of {} ms, the servers' in turns, each started anew; \
         below six samples, the interval is their range. --help says what the cases are, and when a run counts.",
        scale.rounds,
        scale.measured_ms(),
    ));
    notes
}
