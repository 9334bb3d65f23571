//! A time limit for whatever a piece of code waits for, in however many calls.
//!
//! The thread *carries* the deadline, and every wait respects it, as it does a token that was cancelled: the wait that
//! is under way then unwinds, up to here. So it reaches into code that knows nothing of it. What computes is not interrupted;
//! `cancel::checkpoint` is for that.
//!
//! Rejected: running the code on a thread of its own and waiting for that with a limit. It would have to be `Send` and `'static`, and the
//! thread would go on after nobody wants its result.

use super::Instant;
use crate::cancel::DeadlinePassed;
use crate::carry;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// The time was over before the code was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}

/// Runs `body`, whose waits all end after `duration`: the first that would last longer unwinds.
///
/// Destructors run on the way, and locks that `body` held are poisoned, as after a panic. A limit inside of another may be shorter, not
/// longer. Threads that `body` spawns have no part in it.
///
/// # Errors
///
/// If a wait was cut short. What `body` returns is `Ok`, however long it took to compute.
///
/// # Panics
///
/// What `body` panics with.
///
/// ```
/// use raddle::{sync::channel, time::{Duration, timeout}};
/// let (sender, receiver) = channel::unbounded();
/// sender.send(1).unwrap();
/// let both = timeout(Duration::from_millis(5), || (receiver.recv(), receiver.recv()));
/// assert!(both.is_err(), "there was no second message");
/// assert_eq!(timeout(Duration::from_millis(5), || 7), Ok(7));
/// ```
pub fn timeout<R>(duration: Duration, body: impl FnOnce() -> R) -> Result<R, Elapsed> {
    let Some(deadline) = Instant::after(duration) else { return Ok(body()) };
    let own_ns = deadline.as_ns();
    let former_ns = carry::replace_deadline(own_ns);
    if former_ns < own_ns {
        carry::replace_deadline(former_ns);
    }
    let result = catch_unwind(AssertUnwindSafe(body));
    carry::replace_deadline(former_ns);
    match result {
        Ok(value) => Ok(value),
        // An outer limit's deadline goes on, to where it was set.
        Err(payload) => match payload.downcast_ref::<DeadlinePassed>() {
            Some(passed) if passed.deadline_ns == own_ns => Err(Elapsed(())),
            _ => resume_unwind(payload),
        },
    }
}
