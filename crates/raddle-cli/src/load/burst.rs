//! `raddle burst`: many threads connect to an echo server at the same moment.

use super::options::BurstOptions;
use super::outputs::Outputs;
use crate::{limits, say, text};
use raddle::net::lookup_host;
use raddle_load::{Burst, Crowd};
use std::io;
use std::process::ExitCode;

/// Runs all rounds, and tells what has come of them.
pub(crate) fn run(options: &BurstOptions) -> Result<ExitCode, String> {
    let most = limits::raise_descriptors();
    let mut builder = raddle::runtime::Builder::new();
    if let Some(cores) = options.cores {
        builder = builder.cores(usize::from(cores));
    }
    builder.start().map_err(failed)?;
    let at = &options.address;
    let resolved = lookup_host(at.as_str()).map_err(|error| format!("{at}: {error}"))?.next();
    let address = resolved.ok_or_else(|| format!("{at} has no address"))?;
    // Those of the program itself.
    if u64::from(options.threads) + 50 > most {
        say::warning(&format!(
            "{} need a descriptor each, and this process may have {most}: raise it with ulimit -n",
            text::count(options.threads.into(), "thread"),
        ));
    }
    let outputs = Outputs::open([
        (&options.json, Crowd::json),
        (&options.csv, Crowd::csv),
        (&options.gnuplot, Crowd::gnuplot),
        (&options.svg, Crowd::svg),
    ])?;
    let mut burst = Burst::new(address);
    burst.threads = options.threads as usize;
    burst.rounds = options.rounds as usize;
    burst.message = burst.message.iter().copied().cycle().take(options.size as usize).collect();
    burst.patience = options.timeout;
    let crowd = raddle::runtime::run(move || burst.run()).map_err(failed)?;
    if let (0, Some((failure, _))) = (crowd.trip.count(), crowd.failures.first_key_value()) {
        return Err(format!("{at}: {failure}"));
    }
    let wrong = outputs.write(&crowd, Crowd::table);
    wrong.iter().for_each(|why| say::error(why));
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn failed(error: io::Error) -> String {
    format!("burst: {error}")
}
