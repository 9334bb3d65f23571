//! `raddle-bench workqueue`: items of work that sleep, compute, and do both, on raddle's workqueues, rayon's pool and tokio's threads for
//! calls that block. As in `threads`, each peer is a program of its own, and a measurement a process.

use crate::effort::Effort;
use crate::report::{Each, Report, Unit};
use crate::threads::cases::Group;
use crate::threads::peer::{Peer, one_of};
use crate::threads::{programs, rounds};
use raddle_bench::work::turns_for;
use std::io;
use std::time::Duration;

/// What the cases are, for whoever asks `--help`.
pub(crate) const CASES: &str = "\
Cases, on two cores, and what they are called in the JSON (bench, and case in brackets):
  workqueue_sleep    2,000 items, queued in a row by one thread, each of which sleeps 1 ms; items a second (rate)
  workqueue_compute  200,000 items that compute 1 us each; items a second (rate); raddle's bound queue on one core (rate_bound)
  workqueue_mix      20,000 items in a row, every tenth of which sleeps 1 ms, while the others compute 1 us (rate); and five such
                     items every millisecond for two seconds: how long after it was queued an item begins (p50, p99)
  workqueue_alone    one item at a time that does nothing: how long it takes until whoever queued it goes on (p50, p99)

Peers: raddle (an unbound queue, 512 items active at most); rayon (`spawn` on a pool of two threads); tokio (`spawn_blocking`, 512
threads at most). Whoever queues is a thread of raddle's, or the main thread. Bursts are measured the second time: pools have their
threads then.";

/// Those that have pools.
const PEERS: &[Peer] = &[Peer::Raddle, Peer::Rayon, Peer::Tokio];

/// What there is to choose.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) effort: Effort<11, 3>,

    /// Only these peers
    #[arg(long, value_name = "PEER,..", value_delimiter = ',', value_parser = one_of(PEERS))]
    peers: Vec<Peer>,
}

/// Measures all cases. `each` gets the records of a case when it is done.
pub(crate) fn run(options: &Options, mut each: impl Each) -> io::Result<Report> {
    let peers = if options.peers.is_empty() { PEERS } else { options.peers.as_slice() };
    let programs = programs::find(peers, !options.peers.is_empty())?;
    let mut report = Report { records: Vec::new(), notes: programs.left_out };
    let rounds = options.effort.rounds();
    report
        .notes
        .push(format!("Medians of {rounds} rounds, a process for each, the peers' in turns."));
    for group in groups(options.effort.quick, rounds) {
        report.take(rounds::measure(&group, &programs.found)?, &mut each)?;
    }
    Ok(report)
}

fn groups(is_quick: bool, rounds: usize) -> Vec<Group> {
    let pick = |full: usize, quick: usize| if is_quick { quick } else { full };
    let turns = turns_for(Duration::from_micros(1));
    let on =
        |case, peers: &[Peer]| Group::new(case, 2, peers, rounds).set("turns", turns).limit(60);
    let group = |case| on(case, PEERS);
    let rate = Unit::OpsPerSecond;
    vec![
        group("items_sleep").set("n", pick(2000, 400)).figure(
            "rate",
            "workqueue_sleep",
            "rate",
            rate,
        ),
        group("items_compute").set("n", pick(200_000, 20_000)).figure(
            "rate",
            "workqueue_compute",
            "rate",
            rate,
        ),
        on("items_compute", &[Peer::Raddle])
            .set("n", pick(200_000, 20_000))
            .set("kind", "bound")
            .figure("rate", "workqueue_compute", "rate_bound", rate),
        group("items_mix").set("n", pick(20_000, 2000)).figure(
            "rate",
            "workqueue_mix",
            "rate",
            rate,
        ),
        group("items_stream")
            .set("ms", pick(2000, 300))
            .set("each", 5)
            .figure("p50", "workqueue_mix", "p50", Unit::Us)
            .figure("p99", "workqueue_mix", "p99", Unit::Us),
        group("items_alone")
            .set("n", pick(20_000, 2000))
            .figure("p50", "workqueue_alone", "p50", Unit::Us)
            .figure("p99", "workqueue_alone", "p99", Unit::Us),
    ]
}
