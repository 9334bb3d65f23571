//! The runtime as a whole: its settings, and programs that run on it from their first line.
//!
//! There is one runtime for each process. It starts by itself when the first thread is spawned, with one core for each CPU
//! that the process may use; or with other settings, by [`Builder::start`] or the environment:
//!
//! | setting | variable | default |
//! |---|---|---|
//! | [`cores`](Builder::cores) | `RADDLE_CORES=2` | CPUs by affinity and cgroup quota |
//! | [`slice`](Builder::slice) | `RADDLE_SLICE=4ms`, `off` | 4 ms |
//! | [`stack_size`](Builder::stack_size) | `RADDLE_STACK=256K` | 256 KiB of address space a thread |
//! | [`signal`](Builder::signal) | `RADDLE_SIGNAL=SIGURG` | `SIGURG` |
//! | [`timer_slack`](Builder::timer_slack) | `RADDLE_TIMER_SLACK=80us`, `0` | 80 us |
//! | [`worker_keep_alive`](Builder::worker_keep_alive) | `RADDLE_KEEP_ALIVE=2s` | 2 s |
//! | [`dump_signal`](Builder::dump_signal) | `RADDLE_DUMP_SIGNAL=SIGUSR1`, `off` | `SIGQUIT` |
//! | [`trace`](Builder::trace) | `RADDLE_TRACE=out.json` | no trace |
//! | | `RADDLE_TRACE_EVENTS=65536` | the newest 65,535 events of each core |
//!
//! What a builder is told goes before the environment.

use crate::dumper::DumpSignal;
use crate::host::Host;
use crate::inspect;
use crate::machine::{Core, ThreadRef};
use crate::sched::{simulate, start};
use crate::settings::{self, Settings};
use crate::sys::clock;
use crate::thread;
use crate::thread::spawn::{Wishes, spawn_unchecked};
use crate::trace;
use std::io;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{ExitCode, Termination};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Settings of the runtime, before it starts.
///
/// ```
/// use raddle::{runtime::Builder, thread};
/// let runtime = Builder::new().cores(2).start()?;
/// assert_eq!(runtime.cores(), 2);
/// assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing before `start`"]
pub struct Builder {
    cores: Option<usize>,
    slice: Option<Duration>,
    stack_bytes: Option<usize>,
    signal: Option<i32>,
    timer_slack: Option<Duration>,
    worker_keep_alive: Option<Duration>,
    preemption: Option<bool>,
    dump_signal: Option<Option<i32>>,
    trace: Option<PathBuf>,
}

impl Builder {
    /// What the environment says, and defaults for the rest.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// How many threads run at once: 1 to 1024.
    pub fn cores(mut self, cores: usize) -> Builder {
        self.cores = Some(cores);
        self
    }

    /// How long a thread of normal priority runs before others that are ready get their turn: 50 us to 1 s.
    pub fn slice(mut self, slice: Duration) -> Builder {
        self.slice = Some(slice);
        self
    }

    /// Address space of a usual thread, in bytes: a power of two from 64 KiB to 1 GiB. Memory is taken as it is touched.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_bytes = Some(bytes);
        self
    }

    /// The signal by which threads are preempted. The program must leave it alone.
    pub fn signal(mut self, signal: i32) -> Builder {
        self.signal = Some(signal);
        self
    }

    /// How long after the last time an idle core may next be woken for timers, at most 100 ms. A timer that comes alone is
    /// exact; where they come thick and fast each may be late by so much, and several share a wake-up.
    pub fn timer_slack(mut self, slack: Duration) -> Builder {
        self.timer_slack = Some(slack);
        self
    }

    /// For how long kernel threads that were made for blocked ones, and that nobody has needed since, are kept: 1 ms to a day. Then they
    /// end, but for a few. A program in which many threads block now and then need not make new ones each time.
    pub fn worker_keep_alive(mut self, time: Duration) -> Builder {
        self.worker_keep_alive = Some(time);
        self
    }

    /// Without preemption a thread runs until it waits or yields.
    pub fn preemption(mut self, preemption: bool) -> Builder {
        self.preemption = Some(preemption);
        self
    }

    /// Records what the scheduler does, and writes it to the file `path` when the process exits: a trace for
    /// <https://ui.perfetto.dev>, with a track for each core and each thread. `%p` in the name becomes the process's id.
    ///
    /// A process that is killed leaves an empty file, unless [`Runtime::write_trace`] was called before.
    pub fn trace(mut self, path: impl Into<PathBuf>) -> Builder {
        self.trace = Some(path.into());
        self
    }

    /// The signal that lists all threads on the standard error: what each does, what it waits for, its backtrace. `SIGQUIT`,
    /// `SIGUSR1`, `SIGUSR2`, `SIGHUP`, a real-time signal, or `None` for none. By default `SIGQUIT`, unless the program has a handler
    /// for it when the runtime starts.
    pub fn dump_signal(mut self, signal: Option<i32>) -> Builder {
        self.dump_signal = Some(signal);
        self
    }

    /// Starts the runtime.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if it has started; `InvalidInput` for a setting out of its bounds, here or in the environment; what
    /// raddle misses on this machine, by name; from making kernel threads.
    pub fn start(self) -> io::Result<Runtime> {
        let mut is_new = false;
        let runtime = start::get_or_start(|| {
            is_new = true;
            self.settings()
        })?;
        if !is_new {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the runtime of this process has started already; set it up before the first thread is spawned",
            ));
        }
        Ok(Runtime(runtime))
    }

    fn settings(self) -> io::Result<Settings> {
        let mut settings = settings::from_environment()?;
        if let Some(cores) = self.cores {
            settings.cores = within("cores", cores as u64, 1..=1024)? as usize;
        }
        if let Some(slice) = self.slice {
            let ns = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
            settings.slice_ns = within("slice (in ns)", ns, 50_000..=1_000_000_000)?;
        }
        if let Some(bytes) = self.stack_bytes {
            settings.stack_bytes = bytes;
        }
        if let Some(slack) = self.timer_slack {
            let ns = u64::try_from(slack.as_nanos()).unwrap_or(u64::MAX);
            let bounds = 0..=settings::TIMER_SLACK_AT_MOST_NS;
            settings.timer_slack_ns = within("timer_slack (in ns)", ns, bounds)?;
        }
        if let Some(time) = self.worker_keep_alive {
            let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            let bounds = settings::KEEP_ALIVE_NS;
            settings.keep_alive_ns = within("worker_keep_alive (in ns)", ns, bounds)?;
        }
        settings.signal = self.signal.unwrap_or(settings.signal);
        settings.preempts = self.preemption.unwrap_or(settings.preempts);
        match self.dump_signal {
            None => {}
            Some(None) => settings.dump = DumpSignal::Off,
            Some(Some(signal)) => {
                let wrong = |expected| {
                    let what = format!("dump_signal is {signal}; {expected}");
                    io::Error::new(io::ErrorKind::InvalidInput, what)
                };
                let signal = settings::check_dump_signal(signal).map_err(wrong)?;
                settings.dump = DumpSignal::Wished(signal);
            }
        }
        settings.trace = self.trace.or(settings.trace);
        Ok(settings)
    }
}

fn within(name: &str, value: u64, bounds: std::ops::RangeInclusive<u64>) -> io::Result<u64> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    let (low, high) = (bounds.start(), bounds.end());
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{name} is {value}; it must lie between {low} and {high}"),
    ))
}

/// The running runtime.
#[derive(Clone, Copy)]
pub struct Runtime(&'static crate::machine::Runtime);

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("cores", &self.cores()).finish_non_exhaustive()
    }
}

/// What happened since the runtime started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Threads that have not ended.
    pub threads: usize,
    /// Switches to a thread, or to nobody.
    pub dispatches: u64,
    /// Threads that had to give way.
    pub preemptions: u64,
    /// Threads that an idle core took from another.
    pub steals: u64,
    /// Cores that were taken from a blocked worker.
    pub handovers: u64,
    /// Kernel threads that run threads, or could: with a core, blocked, or as spares.
    pub workers: usize,
    /// Of these, those that have lost their core and still carry a thread: they are blocked in the kernel.
    pub workers_blocked: usize,
}

/// What happened on one core since the runtime started.
///
/// ```
/// use raddle::{runtime::Runtime, thread};
///
/// thread::spawn(|| {}).join().unwrap();
/// let cores = Runtime::get()?.core_counters();
/// assert!(cores.iter().map(|core| core.dispatches).sum::<u64>() > 0);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoreCounters {
    /// Switches to a thread, or to nobody.
    pub dispatches: u64,
    /// Threads that had to give way.
    pub preemptions: u64,
    /// Threads that it took from another core, being idle.
    pub steals: u64,
    /// How often it was taken from a blocked worker.
    pub handovers: u64,
    /// Threads that are ready and wait for their turn.
    pub ready: usize,
    /// For how long it had nothing to run, and its worker slept, in nanoseconds.
    pub idle_ns: u64,
}

/// The number of the core that the calling thread runs on, from 0; `None` on a kernel thread that is not raddle's. The next moment it may be
/// another: it is a hint where to count something so that cores do not get into each other's way.
///
/// ```
/// use raddle::{runtime, thread};
/// assert_eq!(runtime::current_core(), None);
/// assert!(thread::spawn(runtime::current_core).join().unwrap().is_some());
/// ```
#[inline]
pub fn current_core() -> Option<usize> {
    inspect::running_core()
}

impl Runtime {
    /// The process's runtime, which starts if need be.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`], but for `AlreadyExists`.
    pub fn get() -> io::Result<Runtime> {
        start::get_or_start(settings::from_environment).map(Runtime)
    }

    /// How many threads run at once.
    pub fn cores(self) -> usize {
        self.0.cores.len()
    }

    /// What happened so far. The numbers are of about the same moment.
    pub fn counters(self) -> Counters {
        let mut counters =
            Counters { threads: self.0.live_threads() as usize, ..Counters::default() };
        for core in &self.0.cores {
            counters.dispatches += core.dispatches.load(Ordering::Relaxed);
            counters.preemptions += core.counters.preemptions.load(Ordering::Relaxed);
            counters.steals += core.counters.steals.load(Ordering::Relaxed);
            counters.handovers += core.counters.handovers.load(Ordering::Relaxed);
        }
        counters.workers = self.0.workers().count();
        counters.workers_blocked = self.0.homeless.load(Ordering::Relaxed);
        counters
    }

    /// What happened on each core so far.
    pub fn core_counters(self) -> Vec<CoreCounters> {
        let now = clock::now_ns();
        let of_core = |core: &Core| CoreCounters {
            dispatches: core.dispatches.load(Ordering::Relaxed),
            preemptions: core.counters.preemptions.load(Ordering::Relaxed),
            steals: core.counters.steals.load(Ordering::Relaxed),
            handovers: core.counters.handovers.load(Ordering::Relaxed),
            ready: core.waiting.load(Ordering::Relaxed),
            idle_ns: core.counters.idle.total_ns(now),
        };
        self.0.cores.iter().map(of_core).collect()
    }

    /// Writes what the trace has so far, in place of what was written before. Recording goes on, and the process's exit writes
    /// again.
    ///
    /// # Errors
    ///
    /// `Unsupported` without a trace; from writing the file.
    pub fn write_trace(self) -> io::Result<()> {
        trace::write()
    }

    /// How long the runtime's clock says it is since some fixed moment: `CLOCK_MONOTONIC`.
    #[doc(hidden)]
    pub fn now_ns(self) -> u64 {
        clock::now_ns()
    }
}

/// Runs `main` as a raddle thread named `main`, and waits for it.
///
/// # Panics
///
/// As `main` does; and if the runtime can't start, with what is missing.
pub fn run<T: Send + 'static>(main: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::Builder::new().name("main".into()).spawn(main);
    match thread.unwrap_or_else(|error| panic!("raddle can't start: {error}")).join() {
        Ok(value) => value,
        Err(payload) => resume_unwind(payload),
    }
}

/// What `#[raddle::main]` becomes.
#[doc(hidden)]
pub fn run_main<T: Termination + 'static>(builder: Builder, body: fn() -> T) -> ExitCode {
    if let Err(error) = builder.start() {
        return cannot_start(&error);
    }
    // Reported on the thread itself: what a main returns need not be Send.
    let main = move || body().report();
    match thread::Builder::new().name("main".into()).spawn(main).map(thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // The panic was printed. 101 is what a panicking main gives.
        Ok(Err(_)) => ExitCode::from(101),
        Err(error) => cannot_start(&error),
    }
}

/// Says why, in one line.
fn cannot_start(error: &io::Error) -> ExitCode {
    let why = error.to_string();
    // What the machine lacks begins with a subject of its own.
    let start = if why.starts_with("raddle ") { "" } else { "raddle can't start: " };
    eprintln!("{start}{why}");
    ExitCode::FAILURE
}

/// What `#[raddle::test]` becomes.
#[doc(hidden)]
pub fn run_test<T: Termination + 'static>(builder: Builder, body: fn() -> T) {
    if let Err(error) = builder.start() {
        // Another test of this process was first: it shares that one's runtime.
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "raddle can't start: {error}");
    }
    // An ExitCode tells what it is only in this way.
    let code = run(move || format!("{:?}", body().report()));
    assert_eq!(code, format!("{:?}", ExitCode::SUCCESS), "the test returned an error");
}

/// Runs `main` on a simulated host, on the calling kernel thread: as the first thread of a runtime of its own with one core. Returns
/// when `main` has ended; threads that are left are abandoned where they wait.
///
/// # Errors
///
/// `Deadlock` if every thread waits for something that will never happen; as [`Builder::start`]; `InvalidInput` on a raddle thread.
///
/// # Panics
///
/// As `main` does.
#[allow(unsafe_code, reason = "'static is what the contract asks for")]
pub fn simulate<T: Send + 'static>(
    host: Box<dyn Host>,
    main: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    if ThreadRef::running().is_some() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a simulation is driven by a kernel thread of its own, not by a raddle thread",
        ));
    }
    let runtime = simulate::runtime(host, 256 * 1024)?;
    let wishes = Wishes { name: Some("main".into()), ..Wishes::default() };
    // SAFETY: what is 'static outlives every thread.
    let spawned = unsafe { spawn_unchecked(runtime, wishes, main, None) }?;
    match simulate::drive(runtime, || spawned.thread.record.has_ended())? {
        Ok(()) => match spawned.take().expect("a thread that has ended has left a result") {
            Ok(value) => Ok(value),
            Err(payload) => resume_unwind(payload),
        },
        Err(stuck) => Err(io::Error::new(
            io::ErrorKind::Deadlock,
            format!("the simulated program is stuck: all of its {} threads wait", stuck.threads),
        )),
    }
}
