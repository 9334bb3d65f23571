//! What `raddle-bench workqueue` measures of rayon: a pool with as many threads as the case has cores, which takes work by `spawn`.
#![deny(unsafe_code)]

use raddle_bench::items::{self, Items};
use raddle_bench::subject::{self, Arguments, CORES, Said};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    subject::main(run)
}

fn run(arguments: &Arguments) -> Result<Said, String> {
    let builder = ThreadPoolBuilder::new().num_threads(arguments.number(CORES)?);
    let pool = builder.build().map_err(|error| format!("no pool: {error}"))?;
    items::run(&Pool(pool), arguments)
}

struct Pool(ThreadPool);

impl Items for Pool {
    fn queue(&self, run: impl FnOnce() + Send + 'static) {
        self.0.spawn(run);
    }

    fn sleep(time: Duration) {
        std::thread::sleep(time);
    }
}
