//! How a storm is run as a test: each in a process of its own, because allocators take their settings from the environment.

#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

#[path = "../deadline/mod.rs"]
mod deadline;

use super::harness::Run;
use super::storm_work::{Storm, native, storm};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::{Command, ExitCode};
use std::time::Duration;

const CHILD: &str = "RADDLE_STORM_CHILD";
const SECONDS: &str = "RADDLE_STORM_SECONDS";
const SEED: &str = "RADDLE_STORM_SEED";
const AT_ONCE: &str = "RADDLE_STORM_BODIES";

/// A storm under an environment.
pub struct Variant {
    pub name: &'static str,
    pub environment: &'static [(&'static str, &'static str)],
    pub seconds: u64,
}

/// `main` of a storm test: runs one storm if this is the child of another, and the trials otherwise.
pub fn main(variants: &'static [Variant]) -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        child();
        return ExitCode::SUCCESS;
    }
    let trials = variants
        .iter()
        .map(|variant| {
            Trial::test(variant.name, move || run(variant))
                .with_ignored_flag(missing(variant).is_some())
        })
        .collect();
    for variant in variants {
        if let Some(what) = missing(variant) {
            println!("{} is skipped: {what}", variant.name);
        }
    }
    let mut arguments = Arguments::from_args();
    // They are timed and fill every CPU: one after the other.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn missing(variant: &Variant) -> Option<String> {
    if native::compiler().is_none() {
        return Some("there is no C++ compiler (c++, or $CXX)".to_owned());
    }
    let (_, library) = variant.environment.iter().find(|(key, _)| *key == "LD_PRELOAD")?;
    if cfg!(raddle_asan) && library.starts_with("libjemalloc") {
        return Some(
            "AddressSanitizer would be given back what another malloc has given".to_owned(),
        );
    }
    // The loader complains, and goes on.
    let tried = Command::new("/bin/true").env("LD_PRELOAD", library).output();
    let is_there = tried.is_ok_and(|out| out.stderr.is_empty());
    (!is_there).then(|| format!("{library} is not installed"))
}

/// A number from the environment, for runs by hand: `RADDLE_STORM_SECONDS=1200 cargo test --release --test storm`.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a whole number")))
}

fn run(variant: &Variant) -> Result<(), Failed> {
    let seconds = setting(SECONDS).unwrap_or(variant.seconds);
    let seed = setting(SEED).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| now.as_nanos() as u64)
    });
    println!("{}: {SEED}={seed} for {seconds} s", variant.name);
    let mut command = Command::new(std::env::current_exe()?);
    command.env(CHILD, "1").env(SECONDS, seconds.to_string()).env(SEED, seed.to_string());
    command.envs(variant.environment.iter().copied());
    // No new bodies after so many seconds; those that exist need as long again on a slow machine.
    let limit = Duration::from_secs(2 * seconds) + 2 * deadline::USUAL;
    let out =
        deadline::output(&mut command, limit).map_err(|error| format!("{SEED}={seed}: {error}"))?;
    print!("{}", String::from_utf8_lossy(&out.stdout));
    if out.status.success() {
        return Ok(());
    }
    Err(format!("{SEED}={seed}: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr)).into())
}

fn child() {
    storm(Storm {
        seed: setting(SEED).expect("the parent sets it"),
        length: Duration::from_secs(setting(SECONDS).expect("the parent sets it")),
        at_once: setting(AT_ONCE).unwrap_or(2000) as usize,
        run: Run { workers: 3, ..Run::default() },
    });
}
