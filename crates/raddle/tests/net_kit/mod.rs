//! Runs each test of sockets in a child process of its own, once for each backend of the event queue: forced by `RADDLE_EVENT`, and as in
//! containers, where a seccomp filter forbids io_uring.
#![allow(dead_code, reason = "each test uses some of it")]

use libtest_mimic::{Arguments, Failed, Trial};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::io::Read;
use std::panic::catch_unwind;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A test's name, and the test.
pub(crate) type Case = (&'static str, fn());

/// Whose sockets a suite of tests uses, and on which threads.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) threads: Threads,
    pub(crate) cases: Vec<Case>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// Without raddle: once is enough.
    Std,
    Kernel,
    Raddle,
}

/// Tells a child which test it is.
const CHILD: &str = "RADDLE_NET_CHILD";
/// Tells a child to forbid io_uring.
const FORBIDS: &str = "RADDLE_NET_FORBIDS_RING";
/// What forces a backend.
const EVENT: &str = "RADDLE_EVENT";

/// For so long a child may run.
const PATIENCE: Duration = Duration::from_secs(120);

const BACKENDS: [&str; 4] = ["io_uring", "epoll", "poll", "io_uring forbidden"];

/// The `main` of a test binary.
pub(crate) fn main(suites: Vec<Suite>) -> ExitCode {
    if let Ok(name) = std::env::var(CHILD) {
        return child(&suites, &name);
    }
    let arguments = Arguments::from_args();
    let no_ring = ring().err();
    let no_filter = filter().err();
    for lack in [&no_ring, &no_filter].into_iter().flatten() {
        eprintln!("ignored where it is needed: {lack}");
    }
    let mut trials = Vec::new();
    for suite in &suites {
        let backends = if suite.threads == Threads::Std { &["std"][..] } else { &BACKENDS };
        for (case, _) in &suite.cases {
            for backend in backends {
                let name = format!("{}::{case}", suite.name);
                let lacks = match *backend {
                    "io_uring" => no_ring.is_some(),
                    "io_uring forbidden" => no_filter.is_some(),
                    _ => false,
                };
                let run = {
                    let name = name.clone();
                    move || run(&name, backend)
                };
                let trial = Trial::test(name, run).with_kind(*backend);
                trials.push(trial.with_ignored_flag(lacks));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn ring() -> Result<(), String> {
    let config = raddle_event::Config {
        backend: Some(raddle_event::BackendKind::IoUring),
        ..raddle_event::Config::default()
    };
    raddle_event::Queue::new(&config).map(drop).map_err(|error| error.to_string())
}

fn filter() -> Result<BpfProgram, String> {
    let architecture = std::env::consts::ARCH.try_into().map_err(|_| "no seccomp filter here")?;
    let rules = BTreeMap::from([(libc::SYS_io_uring_setup, vec![])]);
    let forbids = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, forbids, architecture);
    filter.and_then(TryInto::try_into).map_err(|error| error.to_string())
}

/// A child's run.
fn run(name: &str, backend: &str) -> Result<(), Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env_remove(EVENT).env(CHILD, name).stdout(Stdio::piped()).stderr(Stdio::piped());
    match backend {
        "std" => {}
        "io_uring forbidden" => {
            command.env(FORBIDS, "1");
        }
        _ => {
            command.env(EVENT, backend);
        }
    }
    let mut child = command.spawn()?;
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let reads = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.as_mut().map(|stderr| stderr.read_to_end(&mut text));
        let _ = stdout.as_mut().map(|stdout| stdout.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > PATIENCE {
            // A list of the threads that hang.
            // SAFETY: a signal to a child that was not waited for.
            unsafe { libc::kill(child.id() as i32, libc::SIGQUIT) };
            std::thread::sleep(Duration::from_secs(2));
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = reads.join().expect("it reads");
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{status}\n{text}").into()),
        None => Err(format!("hangs\n{text}").into()),
    }
}

fn child(suites: &[Suite], name: &str) -> ExitCode {
    if std::env::var_os(FORBIDS).is_some() {
        seccompiler::apply_filter(&filter().expect("it was made before")).expect("seccomp");
    }
    let (suite, case) = name.split_once("::").expect("a test of a suite");
    let suite = suites.iter().find(|one| one.name == suite).expect("a known suite");
    let (_, test) = *suite.cases.iter().find(|(name, _)| *name == case).expect("a known test");
    let result = match suite.threads {
        Threads::Raddle => raddle::thread::spawn(test).join(),
        Threads::Std | Threads::Kernel => catch_unwind(test),
    };
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Threads that are always ready, and done at once: who writes beside them has company.
pub(crate) struct Company {
    stop: Arc<AtomicBool>,
    threads: Vec<raddle::thread::JoinHandle<()>>,
}

impl Company {
    pub(crate) fn new() -> Company {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..4).map(|_| {
            let stop = stop.clone();
            raddle::thread::spawn(move || {
                while !stop.load(Relaxed) {
                    raddle::thread::yield_now();
                }
            })
        });
        Company { threads: threads.collect(), stop }
    }

    pub(crate) fn end(self) {
        self.stop.store(true, Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// The same programs with std's sockets, with raddle's on its threads, and with raddle's on kernel threads: in files of `net_work`.
#[allow(unused_macros, reason = "as above")]
macro_rules! suites {
    ($($file:ident: $($case:ident)+;)+) => {
        #[path = "net_work"]
        mod with_std {
            #[allow(unused_imports, reason = "each suite uses some of it")]
            pub(crate) use std::{net, os::unix::net as unix, thread, time};
            #[path = "unusual_by_descriptor.rs"]
            mod unusual;
            $(pub(crate) mod $file;)+
        }
        #[path = "net_work"]
        mod with_raddle {
            #[allow(unused_imports, reason = "each suite uses some of it")]
            pub(crate) use raddle::{net, net::unix, thread, time};
            #[path = "unusual_by_descriptor.rs"]
            mod unusual;
            $(pub(crate) mod $file;)+
        }
        #[path = "net_work"]
        mod on_kernel_threads {
            #[allow(unused_imports, reason = "each suite uses some of it")]
            pub(crate) use raddle::{net, net::unix};
            #[allow(unused_imports, reason = "as above")]
            pub(crate) use std::{thread, time};
            #[path = "unusual_by_descriptor.rs"]
            mod unusual;
            $(pub(crate) mod $file;)+
        }

        fn main() -> std::process::ExitCode {
            use net_kit::{Suite, Threads};
            net_kit::main(vec![
                Suite {
                    name: "with_std",
                    threads: Threads::Std,
                    cases: vec![$($((stringify!($case), with_std::$file::$case)),+),+],
                },
                Suite {
                    name: "with_raddle",
                    threads: Threads::Raddle,
                    cases: vec![$($((stringify!($case), with_raddle::$file::$case)),+),+],
                },
                Suite {
                    name: "on_kernel_threads",
                    threads: Threads::Kernel,
                    cases: vec![$($((stringify!($case), on_kernel_threads::$file::$case)),+),+],
                },
            ])
        }
    };
}

#[allow(unused_imports, reason = "as above")]
pub(crate) use suites;
