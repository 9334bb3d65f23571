//! The servers, and how each is started.

use super::cases::Case;
use crate::built;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Peer {
    /// raddle echo: a thread for each connection
    Raddle,
    /// raddle echo --on queue --level
    RaddleQueueLevel,
    /// raddle echo --on queue --edge
    RaddleQueueEdge,
    /// raddle echo --on workqueue --bound
    RaddleWorkqueueBound,
    /// raddle echo --on workqueue --unbound
    RaddleWorkqueueUnbound,
    /// A loop on epoll, by hand
    Epoll,
    /// The same, and memory of each connection's own, as a stack's, is touched for each message
    EpollStacks,
    /// A loop on io_uring, by hand
    IoUring,
    /// tokio's tasks
    Tokio,
    /// may's coroutines
    May,
    /// Go's goroutines
    Go,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Peer::Raddle => "raddle",
            Peer::RaddleQueueLevel => "raddle_queue_level",
            Peer::RaddleQueueEdge => "raddle_queue_edge",
            Peer::RaddleWorkqueueBound => "raddle_workqueue_bound",
            Peer::RaddleWorkqueueUnbound => "raddle_workqueue_unbound",
            Peer::Epoll => "epoll",
            Peer::EpollStacks => "epoll_stacks",
            Peer::IoUring => "io_uring",
            Peer::Tokio => "tokio",
            Peer::May => "may",
            Peer::Go => "go",
        }
    }

    /// Ways of running that a user would choose between on one core. The best is reported.
    pub(super) fn flavors(self) -> &'static [Option<&'static str>] {
        match self {
            Peer::Tokio => &[Some("current_thread"), Some("multi_thread")],
            _ => &[None],
        }
    }

    /// The program, if it is there; else what to do about it.
    fn program(self) -> Result<PathBuf, String> {
        match self {
            Peer::Raddle
            | Peer::RaddleQueueLevel
            | Peer::RaddleQueueEdge
            | Peer::RaddleWorkqueueBound
            | Peer::RaddleWorkqueueUnbound => built::beside("raddle", "raddle-cli"),
            Peer::Epoll | Peer::EpollStacks | Peer::IoUring => {
                built::beside("raddle-bench-echo", "raddle-bench")
            }
            Peer::Tokio => built::beside("raddle-bench-tokio", "raddle-bench"),
            Peer::May => built::beside("raddle-bench-may", "raddle-bench"),
            Peer::Go => built::go(),
        }
    }
}

/// A server that can be started.
pub(super) struct Found {
    pub(super) peer: Peer,
    program: PathBuf,
}

impl Found {
    /// Starts it for that case, on one core, on any port.
    pub(super) fn command(
        &self,
        case: Case,
        flavor: Option<&'static str>,
        limit_s: u64,
    ) -> Command {
        let mut command = Command::new(&self.program);
        let on = |what, mode| vec!["echo", "0.0.0.0:0", "--on", what, mode];
        let words = match self.peer {
            Peer::Raddle => vec!["echo", "0.0.0.0:0", "--on", "threads"],
            Peer::RaddleQueueLevel => on("queue", "--level"),
            Peer::RaddleQueueEdge => on("queue", "--edge"),
            Peer::RaddleWorkqueueBound => on("workqueue", "--bound"),
            Peer::RaddleWorkqueueUnbound => on("workqueue", "--unbound"),
            Peer::Epoll => vec!["epoll"],
            Peer::EpollStacks => vec!["epoll_stacks"],
            Peer::IoUring => vec!["io_uring"],
            Peer::Tokio | Peer::May | Peer::Go => vec!["echo", "cores=1"],
        };
        command.args(words);
        if self.program.file_name().is_some_and(|name| name != "raddle") {
            command.arg(format!("buffer={}", case.buffer())).arg(format!("limit={limit_s}"));
            command.args(flavor.map(|flavor| format!("flavor={flavor}")));
        }
        // Otherwise it would have a core for each processor of the machine.
        command.env("RADDLE_CORES", "1").env("GOMAXPROCS", "1");
        command
    }
}

/// The servers of `peers`, and why others can't be had. One that was asked for by name must be there.
pub(super) fn find(peers: &[Peer], are_asked_for: bool) -> io::Result<(Vec<Found>, Vec<String>)> {
    built::build(built::BENCH)?;
    built::build(built::CLI)?;
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for &peer in peers {
        match peer.program() {
            Ok(program) => found.push(Found { peer, program }),
            Err(why) if are_asked_for => return Err(io::Error::other(why)),
            Err(why) => left_out.push(format!("{} is left out: {why}.", peer.name())),
        }
    }
    Ok((found, left_out))
}

/// One that is nowhere, for tests of what is said about it.
#[cfg(test)]
pub(super) fn found_for_tests(peer: Peer) -> Found {
    Found { peer, program: PathBuf::new() }
}
