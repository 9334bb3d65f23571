//! What debuggers, profilers and unwinders see of a body: a stack like any thread's, which ends at its first frame.
//!
//! gdb and perf look at this test's own binary, run again with the name of a scenario in the environment.

mod deadline;
#[path = "debuggers_work/gdb.rs"]
mod gdb;
mod gdb_kit;
#[path = "debuggers_work/perf.rs"]
mod perf;
#[path = "debuggers_work/scenarios.rs"]
mod scenarios;
mod stage;
#[path = "debuggers_work/unwinding.rs"]
mod unwinding;

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Names the scenario that this process shall play.
const SCENARIO: &str = "RADDLE_DEBUGGERS_SCENARIO";

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(SCENARIO) {
        let scenario = scenarios::ALL.iter().find(|scenario| scenario.0 == name);
        scenario.expect("a scenario's name").1();
        return ExitCode::SUCCESS;
    }
    let trials = [
        group("unwinding", unwinding::TRIALS, Ok(())),
        group("gdb", gdb::TRIALS, gdb::usable()),
        group("gdb", gdb::GCORE_TRIALS, gdb::usable().and_then(|()| gdb::no_shadow_memory())),
        group("gdb", gdb::CORE_TRIALS, gdb::usable().and_then(|()| gdb::kernel_writes_cores())),
        group("perf", perf::TRIALS, perf::usable()),
    ];
    let mut arguments = Arguments::from_args();
    // Scenarios share flags, and perf wants a CPU.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// A trial by its name.
type Named = (&'static str, fn() -> Result<(), Failed>);

fn group(tool: &str, trials: &'static [Named], usable: Result<(), String>) -> Vec<Trial> {
    if let Err(why) = &usable {
        let names: Vec<_> = trials.iter().map(|trial| trial.0).collect();
        println!("{tool}: {} skipped: {why}", names.join(", "));
    }
    trials
        .iter()
        .map(|&(name, run)| {
            Trial::test(format!("{tool}::{name}"), run).with_ignored_flag(usable.is_err())
        })
        .collect()
}

/// A tool that must not take for ever, ready to be given arguments.
fn tool(name: &str, scenario: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "120", name]).env(SCENARIO, scenario);
    command
}

/// A file for a tool's output.
fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("debuggers-{}-{name}", std::process::id()))
}

/// Whether `wanted` occur in `names` in this order, perhaps with others between, and both end the same.
fn in_order(names: &[&str], wanted: &[&str]) -> bool {
    let mut rest = names.iter();
    names.last() == wanted.last() && wanted.iter().all(|one| rest.any(|name| name == one))
}
