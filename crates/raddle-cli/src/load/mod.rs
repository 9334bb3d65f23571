//! `raddle load`: a load generator for HTTP; `raddle burst`: a crowd for an echo server.
//!
//! | module | what it does |
//! |---|---|
//! | `options` | its command line |
//! | `prepare` | makes a plan of it |
//! | `scenario` | reads what visitors do from a file |
//! | `outputs` | files for figures, opened before the run |
//! | `live` | what is shown while it runs |
//! | `burst` | the other verb |

mod burst;
mod live;
mod options;
mod outputs;
mod prepare;
mod scenario;

pub(crate) use burst::run as run_burst;
pub(crate) use options::{BurstOptions, LoadCommand};

use self::live::Live;
use self::options::{LoadOptions, LoadVerb};
use self::outputs::{Outputs, print};
use crate::{limits, say};
use raddle::signal::{Signal, Signals};
use raddle_load::{About, End, Report, Run};
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whatever the command line says.
pub(crate) fn run(command: &LoadCommand) -> Result<ExitCode, String> {
    match &command.verb {
        None => measure(&command.options),
        Some(LoadVerb::Compare { before, after }) => compare(before, after),
    }
}

/// Reads two reports, and tells how they differ.
fn compare(before: &Path, after: &Path) -> Result<ExitCode, String> {
    let read = |path: &Path| {
        let told = |why: String| format!("{}: {why}", path.display());
        let text = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
        Report::from_json(&text).map_err(|error| told(error.to_string()))
    };
    print(&raddle_load::compare(&read(before)?, &read(after)?))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs, and tells what has come of it.
fn measure(options: &LoadOptions) -> Result<ExitCode, String> {
    limits::raise_descriptors();
    let mut builder = raddle::runtime::Builder::new();
    if let Some(cores) = options.cores {
        builder = builder.cores(usize::from(cores));
    }
    let cores = builder.start().map_err(|error| format!("load: {error}"))?.cores();
    let plan = prepare::plan(options, cores)?;
    let outputs = Outputs::open([
        (&options.json, Report::to_json),
        (&options.csv, raddle_load::csv),
        (&options.gnuplot, raddle_load::gnuplot),
        (&options.report, raddle_load::page),
    ])?;
    let about = about(options, &plan);
    let mut live = Live::new(options, &plan);
    let run = Run::new(plan);
    end_by_signal(&run).map_err(|error| format!("load: {error}"))?;
    let outcome = raddle::runtime::run(move || {
        let outcome = run.run(|interval| live.show(interval));
        live.end();
        outcome
    });
    let outcome = outcome.map_err(|error| error.to_string())?;
    let is_gone = matches!(outcome.end, End::Gone(_));
    let report = Report::of(&outcome, about);
    // What can't be written is told, and the others are written all the same.
    let mut failed = outputs.write(&report, raddle_load::table);
    if is_gone {
        failed.push(format!("the server is gone, so it ended early: {}", report.end));
    }
    for limit in &options.fail_if {
        if let Some(why) = limit.is_met_by(&report) {
            failed.push(format!("--fail-if '{limit}': {why}"));
        }
    }
    if report.answers == 0 && failed.is_empty() && report.end == "done" {
        failed.push("there was no answer".to_owned());
    }
    failed.iter().for_each(|why| say::error(why));
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The first SIGINT or SIGTERM ends the run early, with its report; the second one the process.
fn end_by_signal(run: &Run) -> io::Result<()> {
    let stopper = run.stopper();
    let signals = Signals::new([Signal::INT, Signal::TERM])?;
    raddle::thread::Builder::new().name("signals".into()).spawn(move || {
        if signals.wait().is_ok() {
            stopper.stop();
        }
        if let Ok(info) = signals.wait() {
            let number = if info.signal() == Signal::TERM { libc::SIGTERM } else { libc::SIGINT };
            std::process::exit(128 + number);
        }
    })?;
    Ok(())
}

fn about(options: &LoadOptions, plan: &raddle_load::Plan) -> About {
    let arrivals = match (options.rate, options.poisson) {
        (None, _) => "closed",
        (Some(_), false) => "even",
        (Some(_), true) => "poisson",
    };
    let (method, targets) = match (&options.scenario, &plan.scenario) {
        (Some(file), Some(scenario)) => {
            ("scenario".to_owned(), vec![format!("{} on {}", file.display(), scenario.base())])
        }
        _ => (prepare::method(options).to_string(), options.urls.clone()),
    };
    About {
        targets,
        method,
        connections: plan.connections,
        depth: plan.depth,
        keeps: plan.keeps,
        arrivals: arrivals.to_owned(),
        wanted_rate: options.rate,
        seed: plan.seed,
        warm_up_s: plan.warm_up.as_secs_f64(),
        begun_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
    }
}
