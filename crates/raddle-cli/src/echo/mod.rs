//! `raddle echo`: a TCP echo server, to try raddle out with and to measure it by.
//!
//! | module | what it does |
//! |---|---|
//! | `blocking` | serves in blocking calls, whatever a connection runs on |
//! | `threads`, `workqueue` | what it runs on: a thread, a work item |
//! | `queue` | serves on one bare event queue for each core |
//! | `crowd` | the connections that somebody waits for in a read |
//! | `delivery` | whether a client has what was sent to it |
//! | `pressure` | what errors of `accept` mean; the limit of descriptors |
//! | `stats` | counts and times |

mod blocking;
mod crowd;
mod delivery;
mod pressure;
mod queue;
mod stats;
mod threads;
mod workqueue;

use self::blocking::Blocking;
use self::pressure::Pressure;
use self::queue::Loops;
use self::stats::{Stats, Ticker};
use self::threads::Threads;
use self::workqueue::Items;
use crate::args::{EchoOptions, On};
use crate::drain::{Control, Drained};
use crate::{limits, listen, say, text};
use raddle::net::TcpListener;
use raddle_event::Mode;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// In what time a server finishes what it has begun.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Serves until a signal comes.
pub(crate) fn run(options: &EchoOptions) -> Result<ExitCode, String> {
    serve(options).map_err(advised)
}

fn serve(options: &EchoOptions) -> Result<ExitCode, String> {
    let pressure = Arc::new(Pressure::new(limits::raise_descriptors()));
    // Before any thread is made: they all inherit that the signals are blocked.
    let mut control = Control::new().map_err(failed)?;
    let stats = Stats::new();
    let begun = match options.on {
        On::Threads => begin_threads(options, &stats, &control, pressure.clone()),
        On::Workqueue => begin_workqueue(options, &stats, &control, pressure.clone()),
        On::Queue => begin_queue(options, &stats, &control, &pressure),
    };
    let (at, how, server) = begun?;
    pressure.leaves_room().map_err(failed)?;
    say::line(&format!("listening on {at}: {how}"));
    let mut ticker = Ticker::new(&stats);
    let tick = io::stderr().is_terminal().then_some(|| {
        // Nobody reads if this fails.
        _ = writeln!(io::stderr(), "{}", ticker.line());
    });
    control.until_signal(tick).map_err(failed)?;
    server.stop();
    let drained = control.drain(DRAIN_LIMIT, || server.is_done()).map_err(failed)?;
    let left = stats.totals().open();
    say::line(&stats.summary());
    match drained {
        Drained::All => {}
        Drained::Late => say::warning(&format!(
            "{} did not take what was sent within {} s, and {} cut off",
            text::count(left, "connection"),
            DRAIN_LIMIT.as_secs(),
            if left == 1 { "was" } else { "were" },
        )),
        Drained::Again(signal) => return Ok(ExitCode::from(128 + signal as u8)),
    }
    Ok(ExitCode::SUCCESS)
}

fn failed(error: io::Error) -> String {
    format!("echo: {error}")
}

/// With what to do, if there were too few descriptors.
fn advised(why: String) -> String {
    // Some quote it among other things that were tried.
    let limit = io::Error::from_raw_os_error(libc::EMFILE).to_string();
    if why.contains(&limit) { format!("{why}; {}", pressure::ADVICE) } else { why }
}

/// A server that runs, in whatever mode.
enum Server {
    Blocking(Blocking),
    Queue(Loops),
}

impl Server {
    fn stop(&self) {
        match self {
            Server::Blocking(blocking) => blocking.stop(),
            Server::Queue(loops) => loops.stop(),
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Server::Blocking(blocking) => blocking.is_done(),
            Server::Queue(loops) => loops.is_done(),
        }
    }
}

/// Where it listens, on what it stands in words, and itself.
type Begun = Result<(SocketAddr, String, Server), String>;

fn begin_threads(
    options: &EchoOptions,
    stats: &Arc<Stats>,
    control: &Control,
    pressure: Arc<Pressure>,
) -> Begun {
    let Ready { listener, at, cores } = on_runtime(options)?;
    let server = Blocking::start(listener, Threads, stats, control.notice(), pressure);
    let how = format!("a thread for each connection, on {}", text::count(cores as u64, "core"));
    Ok((at, how, Server::Blocking(server.map_err(failed)?)))
}

fn begin_workqueue(
    options: &EchoOptions,
    stats: &Arc<Stats>,
    control: &Control,
    pressure: Arc<Pressure>,
) -> Begun {
    let Ready { listener, at, cores } = on_runtime(options)?;
    let items = Items::new(options.bound.then_some(cores)).map_err(failed)?;
    let server = Blocking::start(listener, items, stats, control.notice(), pressure);
    let (bound, cores) = (options.bound, text::count(cores as u64, "core"));
    let bound = if bound { "bound" } else { "unbound" };
    let how = format!("a work item for each connection, {bound}, on {cores}");
    Ok((at, how, Server::Blocking(server.map_err(failed)?)))
}

/// What servers in blocking calls need.
struct Ready {
    listener: TcpListener,
    at: SocketAddr,
    cores: usize,
}

/// Binds the address, and starts the runtime.
fn on_runtime(options: &EchoOptions) -> Result<Ready, String> {
    let mut builder = raddle::runtime::Builder::new();
    if let Some(cores) = options.cores {
        builder = builder.cores(usize::from(cores));
    }
    let listener = listen::bind(&options.address, 1)?.remove(0);
    // A thread that accepts waits.
    listener.set_nonblocking(false).map_err(failed)?;
    let cores = builder.start().map_err(failed)?.cores();
    let at = listener.local_addr().map_err(failed)?;
    Ok(Ready { listener: listener.into(), at, cores })
}

fn begin_queue(
    options: &EchoOptions,
    stats: &Arc<Stats>,
    control: &Control,
    pressure: &Arc<Pressure>,
) -> Begun {
    let all = || thread::available_parallelism().map_or(1, NonZero::get);
    let cores = options.cores.map_or_else(all, usize::from);
    let (mode, triggered) = match options.edge {
        true => (Mode::Edge, "edge-triggered"),
        false => (Mode::Level, "level-triggered"),
    };
    let listeners = listen::bind(&options.address, cores)?;
    let at = listeners[0].local_addr().map_err(failed)?;
    let loops = Loops::start(listeners, mode, stats, control.notice(), pressure);
    let loops = loops.map_err(failed)?;
    let count = text::count(cores as u64, "loop");
    let how = format!("{count} on bare event queues ({}, {triggered})", loops.stands_on);
    Ok((at, how, Server::Queue(loops)))
}
