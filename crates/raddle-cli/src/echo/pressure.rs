//! What to do when a connection could not be accepted: mostly nothing, at the limit of descriptors wait.

use crate::say;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// For how long nothing is accepted when there is no descriptor left. Those who connect meanwhile wait in the kernel.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

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

/// Says it once that there is no room.
pub(super) struct Pressure {
    descriptors: u64,
    is_said: AtomicBool,
}

impl Pressure {
    /// For a process that may have so many descriptors.
    pub(super) fn new(descriptors: u64) -> Pressure {
        Pressure { descriptors, is_said: AtomicBool::new(false) }
    }

    /// Nothing more can be accepted for now, and that is why.
    pub(super) fn met(&self, error: &io::Error) {
        if self.is_said.swap(true, Relaxed) {
            return;
        }
        let go_on = "new connections wait until others end, all others are served";
        say::warning(&match error.raw_os_error() {
            Some(libc::EMFILE) => format!(
                "the limit of {} descriptors is reached: {go_on}; more can be had by `ulimit -Hn` or LimitNOFILE=",
                self.descriptors
            ),
            _ => format!("no room for another connection ({error}): {go_on}"),
        });
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
}
