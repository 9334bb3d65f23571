//! `torture`: everything that threads may do, at random, for as long as one likes. See `raddle_tests::torture`.
#![deny(unsafe_code)]

use clap::Parser;
use raddle_tests::torture::{self, Settings, allocator::Guarded};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Guarded = Guarded;

/// Does everything that threads may do, at random, and checks what must hold
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How long new operations are begun
    #[arg(long, default_value_t = 10, value_name = "N")]
    seconds: u64,
    /// Decides the choices of all actors; by default taken from the clock
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Raddle threads that act
    #[arg(long, default_value_t = 1000, value_name = "N")]
    threads: usize,
    /// RADDLE_SLICE, like 100us
    #[arg(long, value_name = "TIME")]
    slice: Option<String>,
    /// RADDLE_CORES
    #[arg(long, value_name = "N")]
    cores: Option<usize>,
    /// RADDLE_SLICE=off
    #[arg(long, conflicts_with = "slice")]
    no_preemption: bool,
    /// Only these operations
    #[arg(long, value_delimiter = ',', value_name = "OP")]
    only: Vec<String>,
    /// Shows the operations and ends
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        torture::names().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let slice = if arguments.no_preemption { Some("off".to_owned()) } else { arguments.slice };
    torture::set_runtime(arguments.cores, slice.as_deref());
    let settings = Settings {
        time: Duration::from_secs(arguments.seconds),
        seed: arguments.seed.unwrap_or_else(torture::seed_by_the_clock),
        threads: arguments.threads.max(1),
        only: arguments.only,
        shows_progress: std::io::stderr().is_terminal(),
    };
    println!(
        "torture --seed {} --threads {} --seconds {}, RADDLE_CORES={} RADDLE_SLICE={}",
        settings.seed,
        settings.threads,
        arguments.seconds,
        std::env::var("RADDLE_CORES").unwrap_or_default(),
        std::env::var("RADDLE_SLICE").unwrap_or_default(),
    );
    match torture::run(settings) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("torture: {error}");
            ExitCode::FAILURE
        }
    }
}
