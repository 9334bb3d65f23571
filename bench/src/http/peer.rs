//! The servers, and how each is started.

use super::cases::Asked;
use super::folder::Folder;
use super::nginx;
use crate::built;
use crate::child::Going;
use raddle_bench::process;
use raddle_bench::subject::{PORT, Said};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Peer {
    /// raddle's: a thread for each connection
    Raddle,
    /// nginx, of one worker
    Nginx,
    /// hyper, on tokio's current_thread
    Hyper,
    /// may_minihttp, on may's coroutines
    MayMinihttp,
    /// Go's net/http
    Go,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Peer::Raddle => "raddle",
            Peer::Nginx => "nginx",
            Peer::Hyper => "hyper",
            Peer::MayMinihttp => "may_minihttp",
            Peer::Go => "go",
        }
    }

    /// The program, if it is there; else what to do about it.
    fn program(self) -> Result<PathBuf, String> {
        match self {
            Peer::Raddle => built::beside("raddle-bench-raddle-http", "raddle-bench"),
            Peer::Nginx => built::on_path("nginx"),
            Peer::Hyper => built::beside("raddle-bench-tokio", "raddle-bench"),
            Peer::MayMinihttp => built::beside("raddle-bench-may", "raddle-bench"),
            Peer::Go => built::go(),
        }
    }

    /// What it can't do, if it is asked for that.
    pub(super) fn lacks(self, asked: Asked) -> Option<&'static str> {
        (self == Peer::MayMinihttp && asked == Asked::Churn)
            .then_some("it closes no connection, whatever the client's head says")
    }
}

/// A server that can be started.
pub(super) struct Found {
    pub(super) peer: Peer,
    program: PathBuf,
}

/// A server that runs.
pub(super) struct Serving {
    going: Going,
    pub(super) port: u16,
}

impl Serving {
    pub(super) fn id(&self) -> u32 {
        self.going.id()
    }
}

/// For so long a server may take to start, and to run.
const LIMIT: Duration = Duration::from_secs(60);

impl Found {
    /// Starts it on that processor.
    pub(super) fn start(&self, folder: &Folder, processor: usize) -> Result<Serving, String> {
        let mut command = Command::new(&self.program);
        // Otherwise it would have a core for each processor of the machine.
        command.env("RADDLE_CORES", "1").env("GOMAXPROCS", "1");
        process::pin(&mut command, processor);
        process::end_with_parent(&mut command);
        if self.peer == Peer::Nginx {
            return start_nginx(command, folder);
        }
        command.args(["http", "cores=1", "flavor=current_thread"]);
        command.arg(format!("limit={}", LIMIT.as_secs()));
        command.arg(format!("folder={}", folder.site().display()));
        if self.peer == Peer::MayMinihttp {
            command.arg(format!("{PORT}={}", free_port()?));
        }
        let going = Going::start(&mut command, LIMIT)?;
        let port = serde_json::from_str::<Said>(&going.line).ok();
        let port = port.and_then(|said| said.figures.get(PORT)?.first().copied());
        let port = port.ok_or_else(|| format!("said what is no port: {}", going.line.trim()))?;
        Ok(Serving { going, port: port as u16 })
    }
}

/// It does not say when it serves: it does when it accepts.
fn start_nginx(mut command: Command, folder: &Folder) -> Result<Serving, String> {
    let port = free_port()?;
    fs::write(folder.path().join(nginx::CONFIGURATION), nginx::configuration(port))
        .map_err(|error| format!("its configuration can't be written: {error}"))?;
    command.arg("-p").arg(folder.path()).args(["-c", nginx::CONFIGURATION]);
    let serves = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    let going = Going::start_until(&mut command, LIMIT, serves)?;
    Ok(Serving { going, port })
}

/// One that nobody has at the moment, for servers that don't say which the kernel gave them.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.map_err(|error| format!("no port is free: {error}"))?.port())
}

/// The servers of `peers`, and why others can't be had. One that was asked for by name must be there.
pub(super) fn find(peers: &[Peer], are_asked_for: bool) -> io::Result<(Vec<Found>, Vec<String>)> {
    built::build(built::BENCH)?;
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
