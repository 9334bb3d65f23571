//! `raddle-bench events`: what a pass through the event queue costs, against how many idle descriptors are registered with it.
//!
//! It is the reason for epoll: a pass of poll's looks at every descriptor. A pass makes one of two descriptors ready, waits, gets one
//! event and reads; the others are idle all the time.

use crate::pairs::{Block, Estimate, Plan, Subject};
use crate::report::{Record, Report, Unit, progress};
use raddle_bench::process;
use raddle_event::{BackendKind, Config, Events, Interest, Mode, Queue};
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// What the cases are, for whoever asks `--help`.
pub(crate) const CASES: &str = "\
Cases:
  idle_10 .. idle_15000   one pass with so many idle descriptors registered: a byte written, a wait, one event, the byte read
  operation               one receive submitted and completed: a byte written, a submission, a wait
  wake                    one wake by another handle in the same thread, and the wait that reports it: no system call is needed
                          for the wake

Peers: io_uring, epoll, poll (the queue's backends); floor (the byte written and read, without a queue).";

const BENCH: &str = "events";

/// How many idle descriptors. What is busy, and the queue itself, come on top.
const IDLE: [(&str, usize); 5] = [
    ("idle_10", 10),
    ("idle_100", 100),
    ("idle_1000", 1_000),
    ("idle_5000", 5_000),
    ("idle_15000", 15_000),
];

/// Measures all cases on all backends that work here.
pub(crate) fn run(plan: &Plan) -> io::Result<Report> {
    let limit = process::raise_descriptors();
    let mut report = Report { records: Vec::new(), notes: Vec::new() };
    report.notes.push(format!("One thread; medians of {} blocks.", plan.rounds));
    report.records.push(floor(plan)?);
    for backend in BackendKind::ALL {
        let config = Config { backend: Some(backend), ..Config::default() };
        if let Err(error) = Queue::new(&config) {
            report.notes.push(format!("No {backend}: {error}"));
            continue;
        }
        for (case, idle) in IDLE {
            progress(&format!("{backend}: {case}"));
            if idle + 64 > limit {
                let remark = format!("the limit of descriptors is {limit}");
                let missing = Record::missing(BENCH, case, backend.name(), Unit::Ns);
                report.records.push(missing.with_remark(Some(remark)));
                continue;
            }
            report.records.push(pass(plan, &config, case, idle)?);
        }
        report.records.push(operation(plan, &config)?);
        report.records.push(wake(plan, &config)?);
    }
    report.records.sort_by_key(|record| order(record.case));
    Ok(report)
}

/// Cases as `CASES` lists them.
fn order(case: &str) -> usize {
    let names = IDLE.iter().map(|(name, _)| *name).chain(["operation", "wake"]);
    names.into_iter().position(|name| name == case).map_or(0, |at| at + 1)
}

fn measured(
    plan: &Plan,
    case: &'static str,
    peer: &'static str,
    mut once: impl FnMut() -> io::Result<()>,
) -> io::Result<Record> {
    let work =
        move |operations: u64| Block::time(operations, || (0..operations).try_for_each(|_| once()));
    let samples = Subject::new(peer, Box::new(work)).measure(plan)?;
    let count = samples.len();
    Ok(Record::timed(BENCH, case, peer, Estimate::of(&samples)).of_samples(count))
}

fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (here, there) = UnixStream::pair()?;
    there.set_nonblocking(true)?;
    Ok((here, there))
}

fn floor(plan: &Plan) -> io::Result<Record> {
    let (mut here, mut there) = pair()?;
    measured(plan, "write_read", "floor", move || {
        here.write_all(b"x")?;
        there.read_exact(&mut [0])
    })
}

fn pass(plan: &Plan, config: &Config, case: &'static str, idle: usize) -> io::Result<Record> {
    let mut queue = Queue::new(config)?;
    let mut events = Events::with_capacity(64);
    let peer = queue.report().backend.name();
    // eventfds that nobody writes to: one descriptor each.
    let idle: Vec<OwnedFd> = (0..idle).map(|_| eventfd()).collect::<io::Result<_>>()?;
    for (key, fd) in idle.iter().enumerate() {
        queue.register(fd, key as u64, Interest::READ, Mode::Level)?;
    }
    let (mut here, mut there) = pair()?;
    queue.register(&there, u64::MAX - 1, Interest::READ, Mode::Level)?;
    measured(plan, case, peer, move || {
        here.write_all(b"x")?;
        if queue.wait(&mut events, None)? != 1 {
            return Err(io::Error::other("an idle descriptor was reported"));
        }
        there.read_exact(&mut [0])
    })
}

fn operation(plan: &Plan, config: &Config) -> io::Result<Record> {
    let mut queue = Queue::new(config)?;
    let mut events = Events::with_capacity(64);
    let peer = queue.report().backend.name();
    let (mut here, there) = pair()?;
    let there = Arc::new(there);
    let mut buffer = Some(Vec::with_capacity(16));
    measured(plan, "operation", peer, move || {
        here.write_all(b"x")?;
        let operation = queue.read(1, &there, buffer.take().unwrap_or_default(), None)?;
        queue.wait(&mut events, None)?;
        buffer = events.take_buffer(operation);
        match &buffer {
            Some(buffer) if buffer.len() == 1 => Ok(()),
            _ => Err(io::Error::other("the byte did not come")),
        }
    })
}

fn wake(plan: &Plan, config: &Config) -> io::Result<Record> {
    let mut queue = Queue::new(config)?;
    let mut events = Events::with_capacity(64);
    let peer = queue.report().backend.name();
    let waker = queue.waker();
    measured(plan, "wake", peer, move || {
        waker.wake();
        match queue.wait(&mut events, None)? {
            1 => Ok(()),
            _ => Err(io::Error::other("the wake was not reported")),
        }
    })
}

#[allow(unsafe_code, reason = "a system call that makes a descriptor")]
fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
