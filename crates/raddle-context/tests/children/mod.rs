//! Cases that each run in a process of their own, because they end it, change it for good (a signal handler, an opened
//! library) or may hang. The test binary starts itself anew with the case's name in the environment.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

#[path = "../deadline/mod.rs"]
mod deadline;

use libtest_mimic::{Arguments, Failed, Trial};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

const CASE: &str = "RADDLE_TEST_CASE";

type Check = Box<dyn Fn(&Finished) -> Result<(), Failed> + Send + Sync>;

/// What runs in the child, and what the parent wants to see of it.
pub struct Case {
    name: String,
    /// Why it can't run here.
    missing: Option<String>,
    run: Box<dyn Fn() + Send + Sync>,
    check: Check,
}

impl Case {
    /// A case that passes if it returns.
    pub fn new(name: impl Into<String>, run: impl Fn() + Send + Sync + 'static) -> Case {
        Case {
            name: name.into(),
            missing: None,
            run: Box::new(run),
            check: Box::new(|child| child.expect(child.status.success(), "it succeeds")),
        }
    }

    /// A case that ends in a way of its own.
    pub fn checked(
        mut self,
        check: impl Fn(&Finished) -> Result<(), Failed> + Send + Sync + 'static,
    ) -> Case {
        self.check = Box::new(check);
        self
    }

    /// Counts as ignored if `missing` says why.
    pub fn unless(mut self, missing: Option<impl Into<String>>) -> Case {
        self.missing = self.missing.or(missing.map(Into::into));
        self
    }
}

/// A child that has ended.
#[derive(Debug)]
pub struct Finished {
    pub id: u32,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    pub fn expect(&self, holds: bool, what: &str) -> Result<(), Failed> {
        if holds {
            return Ok(());
        }
        let Finished { status, stdout, stderr, .. } = self;
        Err(format!("expected that {what}\nit ended with {status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}").into())
    }

    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

/// `main` of a test made of cases.
pub fn main(cases: Vec<Case>) -> ExitCode {
    if let Ok(wanted) = std::env::var(CASE) {
        let case = cases.iter().find(|case| case.name == wanted);
        no_core_dump();
        (case.unwrap_or_else(|| panic!("{CASE}={wanted}: no such case")).run)();
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    // Most of them fill every CPU.
    arguments.test_threads = Some(1);
    for case in &cases {
        if let Some(why) = &case.missing {
            println!("{} is skipped: {why}", case.name);
        }
    }
    let trials = cases.into_iter().map(|case| {
        let ignored = case.missing.is_some();
        Trial::test(case.name.clone(), move || {
            let child = start(&case.name)?;
            (case.check)(&child)
        })
        .with_ignored_flag(ignored)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Starts this program anew for the case, and waits for it.
fn start(name: &str) -> Result<Finished, Failed> {
    let child = Command::new(std::env::current_exe()?)
        .env(CASE, name)
        .env("RUST_BACKTRACE", "0")
        // Read by AddressSanitizer only: faults are these tests' own business.
        .env("ASAN_OPTIONS", "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_abort=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let id = child.id();
    let out = deadline::finish(child, deadline::USUAL)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Finished { id, status: out.status, stdout: text(&out.stdout), stderr: text(&out.stderr) })
}

/// Cases that die on purpose shall not fill the disk.
fn no_core_dump() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a local; it concerns this process only.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
}
