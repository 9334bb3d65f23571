//! What the backends share: how a trial fails, and times.

use std::io;
use std::time::Duration;

/// What could not be opened, and at which step.
pub(crate) struct Failed {
    pub(crate) step: &'static str,
    pub(crate) error: io::Error,
    /// The wake channel is at fault, not the backend.
    pub(crate) is_wake: bool,
}

impl Failed {
    /// Names the step for an error of the backend's own.
    pub(super) fn at(step: &'static str) -> impl FnOnce(io::Error) -> Failed {
        move |error| Failed { step, error, is_wake: false }
    }

    /// Names the step for an error of the wake channel's.
    pub(super) fn of_wake(step: &'static str) -> impl FnOnce(io::Error) -> Failed {
        move |error| Failed { step, error, is_wake: true }
    }
}

/// How long the wake channel may take to be heard when it is tried.
pub(super) const TRIAL: Duration = Duration::from_secs(1);

/// A time as the kernel takes it.
pub(super) fn timespec(duration: Duration) -> libc::timespec {
    // What does not fit is longer than anybody waits.
    let tv_sec = libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX);
    libc::timespec { tv_sec, tv_nsec: duration.subsec_nanos().into() }
}
