//! `raddle-bench`: raddle beside its peers, measured in one run on one machine.
//!
//! | module | what it does |
//! |---|---|
//! | `pairs` | times two things in turns and says how their ratio is known |
//! | `report` | one line for each result: a table to read, or JSON |
//! | `floors` | what the processor and the kernel charge for the parts |
//! | `switch` | bodies and switches against corosensei, may's coroutines and kernel threads |
//! | `events` | a pass of the event queue against the number of its idle descriptors, on each backend |
//! | `echo` | echo servers, raddle's and others, driven by one client |
//! | `threads` | threads against kernel threads, tokio's tasks, may's coroutines and goroutines |
//! | `http` | web servers, raddle's and others, driven by a load generator |
//! | `load` | load generators, raddle's and others, against one server |
//! | `sendfile` | files over loopback, against a loop of blocking `sendfile` |
//! | `workqueue` | work items against rayon's pool and tokio's blocking one |
//!
//! `effort` is what there is to choose of all that start programs: rounds, quick ones, JSON. `generators` knows load generators: what they are told, and what they say.
//! `built` and `child` build, find and run the programs that are measured; `neighbours` tells what others have taken of the processors meanwhile.
//!
//! A further benchmark is a further module with a `run` like [`switch::run`], and a further [`Command`].
#![deny(unsafe_code)]

mod built;
mod child;
mod echo;
mod effort;
mod events;
mod floors;
mod generators;
mod http;
mod load;
mod neighbours;
mod pairs;
mod report;
mod sendfile;
mod switch;
mod threads;
mod workqueue;

use clap::{Args, Parser, Subcommand};
use pairs::Plan;
use report::Report;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Measures raddle side by side with its peers.
///
/// Each comparison is made of pairs: a block of raddle's, a block of the peer's, and so on in turns, so that whatever slows the
/// machine down meets both. A pair gives a ratio; the median of the ratios is reported with its 95 % confidence interval.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Switches between bodies; making, keeping and ending them
    #[command(after_long_help = switch::CASES)]
    Switch {
        #[command(flatten)]
        measuring: Measuring,

        /// How many suspended bodies to take the memory of; one takes some 10 KiB. Peers get fewer where they run out of mappings
        #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
        bodies: u32,
    },

    /// The event queue: a pass against the number of idle descriptors, on io_uring, epoll and poll
    #[command(after_long_help = events::CASES)]
    Events {
        #[command(flatten)]
        measuring: Measuring,
    },

    /// Threads: making them, switching, talking, sleeping, and being a neighbour
    #[command(after_long_help = threads::CASES)]
    Threads(threads::Options),

    /// Work items that sleep, compute, and do both, on a pool of workers
    #[command(after_long_help = workqueue::CASES)]
    Workqueue(workqueue::Options),

    /// Echo servers: raddle's modes, loops by hand on epoll and io_uring, tokio, may, Go
    #[command(after_long_help = echo::CASES)]
    Echo(echo::Options),

    /// Web servers: raddle's, nginx, hyper, may_minihttp, Go's
    #[command(after_long_help = http::CASES)]
    Http(http::Options),

    /// Load generators: raddle load, wrk, oha, h2load
    #[command(after_long_help = load::CASES)]
    Load(load::Options),

    /// Files over loopback: raddle's send_path, and a loop of blocking sendfile on kernel threads
    #[command(after_long_help = sendfile::CASES)]
    Sendfile(sendfile::Options),
}

/// What all benchmarks have in common.
#[derive(Args)]
struct Measuring {
    /// Print one JSON object a line, in place of a table
    #[arg(long)]
    json: bool,

    /// Pairs for each comparison; 41 by default, 11 with --quick
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(6..=1000))]
    rounds: Option<u16>,

    /// Blocks of 5 ms in place of 20, and fewer pairs: seconds in place of a minute, and wider intervals
    #[arg(long)]
    quick: bool,
}

impl Measuring {
    fn plan(&self) -> Plan {
        let (rounds, block_ms) = if self.quick { (11, 5) } else { (41, 20) };
        Plan {
            rounds: self.rounds.map_or(rounds, usize::from),
            block: Duration::from_millis(block_ms),
        }
    }
}

fn main() -> ExitCode {
    let printed = match CommandLine::parse().command {
        Command::Switch { measuring, bodies } => check()
            .and_then(|()| switch::run(&measuring.plan(), bodies as usize))
            .and_then(|report| print(&report, measuring.json)),
        Command::Events { measuring } => {
            events::run(&measuring.plan()).and_then(|report| print(&report, measuring.json))
        }
        // raddle's program says itself if raddle can't run here: its peers can.
        Command::Threads(options) => show(options.effort.json, |each| threads::run(&options, each)),
        Command::Workqueue(options) => {
            show(options.effort.json, |each| workqueue::run(&options, each))
        }
        Command::Sendfile(options) => {
            show(options.effort.json, |each| sendfile::run(&options, each))
        }
        Command::Http(options) => show(options.effort.json, |each| http::run(&options, each)),
        Command::Load(options) => show(options.effort.json, |each| load::run(&options, each)),
        Command::Echo(options) => show(options.effort.json, |each| echo::run(&options, each)),
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough, `head` for instance.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("raddle-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether raddle can run here at all; its own words if not.
fn check() -> io::Result<()> {
    Ok(raddle_context::check()?)
}

/// What a case gives at once, as JSON; or all of it in the end, as a table.
fn show(
    json: bool,
    run: impl FnOnce(&mut dyn FnMut(&Report) -> io::Result<()>) -> io::Result<Report>,
) -> io::Result<()> {
    if json {
        run(&mut |case| print(case, true)).map(drop)
    } else {
        print(&run(&mut |_| Ok(()))?, false)
    }
}

fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        report.write_json(&mut out)?
    } else {
        report.write_table(&mut out)?
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn quick_can_still_be_told_its_rounds() {
        let plan = |args: &[&str]| {
            let Command::Switch { measuring, .. } =
                CommandLine::try_parse_from(args).expect("valid arguments").command
            else {
                panic!("that is `switch`")
            };
            (measuring.plan().rounds, measuring.plan().block.as_millis())
        };
        assert_eq!(plan(&["raddle-bench", "switch"]), (41, 20));
        assert_eq!(plan(&["raddle-bench", "switch", "--quick"]), (11, 5));
        assert_eq!(plan(&["raddle-bench", "switch", "--quick", "--rounds", "8"]), (8, 5));
    }

    #[test]
    fn cases_of_threads_are_known_by_the_names_of_their_figures_too() {
        for only in ["sleeping_bytes,hog_lateness_p99,idle_wakeups", "spawn_join,preempt_cost_pct"]
        {
            let arguments = ["raddle-bench", "threads", "--only", only, "--peers", "std,go"];
            assert!(CommandLine::try_parse_from(arguments).is_ok(), "{only}");
        }
    }

    #[test]
    fn workqueue_offers_those_who_have_pools() {
        let parse = |peers| {
            CommandLine::try_parse_from(["raddle-bench", "workqueue", "--peers", peers]).map(drop)
        };
        assert!(parse("raddle,rayon,tokio").is_ok());
        for other in ["std", "may", "go"] {
            let why = parse(other).expect_err(other).to_string();
            assert!(why.contains("[possible values: raddle, rayon, tokio]"), "{why}");
        }
    }

    #[test]
    fn echo_knows_cases_and_peers_as_the_json_calls_them() {
        let only = [
            "--only",
            "pingpong_1,pingpong_64,pingpong_1000,stream_16k,churn,burst_1000,idle_9000",
        ];
        let peers = [
            "--peers",
            "raddle,raddle_queue_level,raddle_queue_edge,raddle_workqueue_bound,raddle_workqueue_unbound,epoll,io_uring,tokio,may,go",
        ];
        let arguments = [&["raddle-bench", "echo"][..], &only, &peers].concat();
        assert!(CommandLine::try_parse_from(arguments).is_ok());
    }

    #[test]
    fn http_knows_cases_and_peers_as_the_json_calls_them() {
        for case in ["file1k", "file100k", "file10m", "handler", "pipelined", "churn"] {
            let only = format!("{case}_1,{case}_64,{case}_1000");
            let peers = "raddle,nginx,hyper,may_minihttp,go";
            let arguments = ["raddle-bench", "http", "--only", &only, "--peers", peers];
            assert!(CommandLine::try_parse_from(arguments).is_ok(), "{only}");
        }
    }

    #[test]
    fn load_knows_cases_and_peers_as_the_json_calls_them() {
        let only = "closed_1,closed_64,closed_1000,pipelined_64,new_connection_1,new_connection_64,accuracy,offered";
        let peers = "raddle,wrk,oha,h2load";
        let arguments = ["raddle-bench", "load", "--only", only, "--peers", peers];
        assert!(CommandLine::try_parse_from(arguments).is_ok());
    }

    #[test]
    fn too_few_rounds_for_an_interval_are_refused() {
        assert!(
            CommandLine::try_parse_from(["raddle-bench", "switch", "--rounds", "5"]).is_err(),
            "five pairs have no 95 % interval"
        );
    }
}
