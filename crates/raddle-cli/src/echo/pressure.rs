//! What to do when a connection could not be accepted: mostly nothing, at the limit of descriptors wait.

use crate::say;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// For how long nothing is accepted when there is no descriptor left. Those who connect meanwhile wait in the kernel.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// With no connection open for so long, and no descriptor for one, none will ever be served. One that has just ended may still be about to
/// give back its own.
const HOPE: Duration = Duration::from_secs(1);

/// What to do if there are too few descriptors to serve anybody.
pub(super) const ADVICE: &str = "more can be had by `ulimit -n 1024` or LimitNOFILE=";

/// What follows from an error of `accept`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nobody waits to be accepted.
    Wait,
    /// This one has gone already; the next may be there.
    Again,
    /// There is no room; begin again after [`PAUSE`].
    Pause,
    /// The listener is of no use any more.
    Fail,
}

/// What the errors of `accept` mean, after accept(2).
pub(super) fn after(error: &io::Error) -> Next {
    match (error.kind(), error.raw_os_error().unwrap_or_default()) {
        (ErrorKind::WouldBlock, _) => Next::Wait,
        (ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset, _) => {
            Next::Again
        }
        // Of a network that had trouble when the connection began.
        (
            _,
            libc::ENETDOWN
            | libc::EPROTO
            | libc::ENOPROTOOPT
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EHOSTUNREACH
            | libc::EOPNOTSUPP
            | libc::ENETUNREACH
            | libc::ETIMEDOUT,
        ) => Next::Again,
        (_, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Next::Pause,
        _ => Next::Fail,
    }
}

/// Says it once that there is no room, and knows when there never will be.
pub(super) struct Pressure {
    descriptors: u64,
    is_said: AtomicBool,
    begun: Instant,
    /// When after that the limit was met although no connection was open, and none was accepted since; 0 if that is not so.
    alone_since_ns: AtomicU64,
}

impl Pressure {
    /// For a process that may have so many descriptors.
    pub(super) fn new(descriptors: u64) -> Pressure {
        Pressure {
            descriptors,
            is_said: AtomicBool::new(false),
            begun: Instant::now(),
            alone_since_ns: AtomicU64::new(0),
        }
    }

    /// Whether a connection can be accepted at all, as far as that can be known at the start.
    pub(super) fn leaves_room(&self) -> io::Result<()> {
        match io::stderr().as_fd().try_clone_to_owned() {
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => Err(self.no_room_ever()),
            _ => Ok(()),
        }
    }

    /// Nothing more can be accepted for now, and that is why, while so many connections are `open`.
    ///
    /// # Errors
    ///
    /// If none can ever be accepted.
    pub(super) fn met(&self, error: &io::Error, open: u64) -> io::Result<()> {
        if error.raw_os_error() != Some(libc::EMFILE) || open > 0 {
            self.relieved();
            self.warn(error, open);
            return Ok(());
        }
        // The descriptors are this process' own, so nobody else gives one back.
        let now_ns = self.begun.elapsed().as_nanos() as u64;
        let since_ns = match self.alone_since_ns.load(Relaxed) {
            0 => now_ns,
            since_ns => since_ns,
        };
        self.alone_since_ns.store(since_ns, Relaxed);
        match Duration::from_nanos(now_ns.saturating_sub(since_ns)) {
            waited if waited < HOPE => Ok(()),
            _ => Err(self.no_room_ever()),
        }
    }

    /// A connection was accepted, or there is one that may end.
    pub(super) fn relieved(&self) {
        // Mostly that is so already, and many who read it share its cache line.
        if self.alone_since_ns.load(Relaxed) != 0 {
            self.alone_since_ns.store(0, Relaxed);
        }
    }

    fn warn(&self, error: &io::Error, open: u64) {
        if self.is_said.swap(true, Relaxed) {
            return;
        }
        let go_on = match open {
            0 => "new connections wait until there is",
            _ => "new connections wait until others end, all others are served",
        };
        say::warning(&match error.raw_os_error() {
            Some(libc::EMFILE) => format!(
                "the limit of {} descriptors is reached: {go_on}; more can be had by `ulimit -Hn` or LimitNOFILE=",
                self.descriptors
            ),
            _ => format!("no room for another connection ({error}): {go_on}"),
        });
    }

    fn no_room_ever(&self) -> io::Error {
        io::Error::other(format!(
            "the limit of {} descriptors leaves none for a connection, as the server needs them itself; {ADVICE}",
            self.descriptors
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_consequence() {
        let next = |number| after(&io::Error::from_raw_os_error(number));
        assert_eq!(next(libc::EAGAIN), Next::Wait);
        assert_eq!(next(libc::ECONNABORTED), Next::Again);
        assert_eq!(next(libc::EHOSTUNREACH), Next::Again);
        assert_eq!(next(libc::EMFILE), Next::Pause);
        assert_eq!(next(libc::ENFILE), Next::Pause);
        assert_eq!(next(libc::EBADF), Next::Fail);
        assert_eq!(next(libc::EINVAL), Next::Fail);
    }

    #[test]
    fn a_limit_that_is_met_alone_for_long_is_met_for_ever() {
        let limit = io::Error::from_raw_os_error(libc::EMFILE);
        let long_ago = Instant::now().checked_sub(2 * HOPE).expect("the machine runs for longer");
        let pressure = Pressure { begun: long_ago, ..Pressure::new(16) };
        let met = |open| pressure.met(&limit, open).map_err(|error| error.to_string());
        let is_long_ago = || pressure.alone_since_ns.store(1, Relaxed);
        assert_eq!(met(0), Ok(()), "somebody may be about to end");
        is_long_ago();
        assert_eq!(met(1), Ok(()), "when that one ends there is room");
        assert_eq!(met(0), Ok(()));
        is_long_ago();
        pressure.relieved();
        assert_eq!(met(0), Ok(()), "one was accepted");
        is_long_ago();
        let why = met(0).expect_err("nobody could end");
        assert!(
            why.starts_with("the limit of 16 descriptors leaves none for a connection"),
            "{why}"
        );
        // The machine's limit others may keep to again.
        let machines = io::Error::from_raw_os_error(libc::ENFILE);
        assert!(pressure.met(&machines, 0).is_ok());
    }
}
