//! `raddle-bench load`: load generators, one after another, against one server, with a core each.
//!
//! The generators take turns, round by round, so that whatever slows the machine down meets all; a round of raddle's and a round of a peer's
//! are a pair. Generator and server are processes of their own, started anew for each round and pinned to a processor each.
//!
//! | module | what it does |
//! |---|---|
//! | `cases` | what generators are asked to do |
//! | `server` | the server, which is written by hand |
//! | `round` | one generator and the server, once; records of all rounds |
//! | `accuracy` | whether figures are right, beside the server's own record |
//! | `offered` | whether as much is sent as was to be |

mod accuracy;
mod cases;
mod offered;
mod round;
mod server;

use self::cases::{ACCURACY, ALL, OFFERED, Scale};
use self::round::Contender;
use self::server::Responder;
use crate::built;
use crate::effort::Effort;
use crate::generators::{Client, Generator};
use crate::report::{self, Each, Report, progress};
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use raddle_bench::process;
use std::io;

/// What the cases are, for whoever asks `--help`.
pub(crate) const CASES: &str = "\
Cases (case in the JSON):
  closed_1, closed_64, closed_1000   so many connections that are kept, each with one request on the way
  pipelined_64     16 requests sent together on each of 64
  new_connection_1, new_connection_64   a connection for each request (Connection: close)
  accuracy         an open loop at 2,000 requests a second against a server that answers after known delays and stamps what it did: fixed_5ms;
                   bimodal, 2 ms and each eighth time 20; stall_500ms, 5 ms and a stall each 5 s; each of them also by its name. Where it
                   stalls, closed loops beside it: raddle load's (raddle_closed), and wrk, which adds afterwards what it takes to have missed.
                   raddle_precise is with --precise; control is a generator by hand whose thread never sleeps: what it is off is the machine's
  offered          an open loop on 200 connections at 20, 40, 60 and 80 % of the limit, which is what comes of far too high a rate

Figures (bench in the JSON):
  load_cpu      CPU time of the generator's process for each request, ns: in the kernel too, softirqs on its behalf included
  load_rate     requests a second
  load_accuracy how far off the worst percentile from 50 to 99.9 is, percent of the server's record: beside the percentiles of that and
                waking up late to send, of any of the one with any of the other. For closed loops: their 99th percentile, beside that of those who come by the clock
  load_limit    requests a second that an open loop comes to
  load_offered  how far off the rate at which requests were sent within the time is from the one that was to be, percent

Bars: pass or miss at the head of the remark, passes in the JSON. Rates may be 0.1 % off, latencies 1 %; with 64 connections wrk takes at least 1.2
times raddle's CPU time, and with new connections no peer takes less of it or has a higher rate.

The server is one epoll loop written by hand, with the same answer of 13 bytes to everything. Where it was saturated and the generator was not, the
remark says so: then compare the CPU time. A round in which others took more than 3 % of the two processors is measured again, three times at most;
the remark says how many were disturbed all the same. A round in which an answer is an error or a connection fails is none.

Peers: raddle (raddle load, on one core); wrk (one thread), oha (one of tokio's), h2load (one thread, HTTP/1.1), if they are on the path.
Who is left out is said, and why. RADDLE_EVENT chooses the event queue's backend for raddle.

All cases take about a quarter of an hour, with --quick two minutes.";

/// What there is to choose.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) effort: Effort<7, 1>,

    /// Only these cases; all by default
    #[arg(long, value_name = "CASE,..", value_delimiter = ',', value_parser = case(), hide_possible_values = true)]
    only: Vec<String>,

    /// Only these peers; all that can be had by default
    #[arg(long, value_name = "PEER,..", value_delimiter = ',')]
    peers: Vec<Generator>,
}

/// A case by its name.
fn case() -> PossibleValuesParser {
    let delays = accuracy::ALL.iter().map(|known| known.case);
    let others = delays.chain([ACCURACY, OFFERED]);
    PossibleValuesParser::new(ALL.map(|case| case.name).into_iter().chain(others))
}

impl Options {
    fn scale(&self) -> Scale {
        Scale { rounds: self.effort.rounds(), measured_s: self.effort.pick(2, 1) }
    }

    fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|one| one == case)
    }
}

/// Measures what the options say. `each` gets the records of a case when it is done.
pub(crate) fn run(options: &Options, mut each: impl Each) -> io::Result<Report> {
    // Those that are started inherit it.
    process::raise_descriptors();
    let processors = process::processors().map_err(io::Error::other)?;
    let [for_server, for_client, ..] = processors[..] else {
        return Err(io::Error::other("server and generator need a processor each; one is there"));
    };
    built::build(built::BENCH)?;
    built::build(built::CLI)?;
    let (clients, left_out) = find(&options.peers, for_client)?;
    for line in &left_out {
        eprintln!("raddle-bench: {line}");
    }
    let responder = Responder::find(for_server).map_err(io::Error::other)?;
    let scale = options.scale();
    let mut report = Report { records: Vec::new(), notes: left_out };
    report.notes.extend(method(scale, for_server, for_client));
    let mut done = |records| report.take(records, &mut each);
    for case in ALL.iter().filter(|case| options.wants(case.name)) {
        let mut contenders: Vec<Contender> =
            clients.iter().map(|client| Contender::new(client, case)).collect();
        for turn in 1..=scale.rounds {
            for contender in &mut contenders {
                let (name, rounds) = (contender.name(), scale.rounds);
                progress(&format!("{}: {name}, round {turn} of {rounds}", case.name));
                contender.measure(case, scale, &responder);
            }
        }
        done(round::records(&contenders, case))?;
    }
    for known in &accuracy::ALL {
        if options.wants(ACCURACY) || options.wants(known.case) {
            done(accuracy::measure(known, &clients, scale.rounds.min(3), &responder))?;
        }
    }
    if options.wants(OFFERED) {
        done(offered::measure(&clients, scale.rounds.min(3), scale.measured_s, &responder))?;
    }
    Ok(report)
}

/// The generators that are there, and why others can't be had. One that was asked for by name must be there.
fn find(peers: &[Generator], processor: usize) -> io::Result<(Vec<Client>, Vec<String>)> {
    let are_asked_for = !peers.is_empty();
    let peers = if are_asked_for { peers } else { Generator::value_variants() };
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for &peer in peers {
        match Client::find(peer, processor) {
            Ok(client) => found.push(client),
            Err(why) if are_asked_for => return Err(io::Error::other(why)),
            Err(why) => left_out.push(format!("{} is left out: {why}.", peer.name())),
        }
    }
    match found.is_empty() {
        false => Ok((found, left_out)),
        true => {
            let why = left_out.join(" ");
            Err(io::Error::other(format!(
                "there is no load generator, so nothing can be measured: {why}"
            )))
        }
    }
}

fn method(scale: Scale, for_server: usize, for_client: usize) -> Vec<String> {
    let mut notes = report::first_notes();
    notes.push(format!(
        "Server on processor {for_server}, generator on {for_client}. Medians of {} rounds of {} s, the generators' in turns, each started anew; \
         below six samples, the interval is their range. --help says what the cases are.",
        scale.rounds, scale.measured_s,
    ));
    notes
}
