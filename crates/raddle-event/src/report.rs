//! What was tried at a queue's start.

use crate::config::{BackendKind, WakeKind};
use std::fmt;

/// Which backend and wake channel a queue has, and what was tried before and did not work.
///
/// ```
/// use raddle_event::{Config, Queue};
///
/// # fn main() -> std::io::Result<()> {
/// let queue = Queue::new(&Config::default())?;
/// println!("{}", queue.report());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the queue stands on.
    pub backend: BackendKind,
    /// Through what it is woken.
    pub wake: WakeKind,
    /// What failed, in the order in which it was tried.
    pub failures: Vec<Failure>,
}

/// Something that was tried and does not work here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// With which backend.
    pub backend: BackendKind,
    /// Of a wake channel: which.
    pub wake: Option<WakeKind>,
    /// What failed.
    pub step: &'static str,
    /// Why, as a number of `errno(3)`, if the kernel gave one.
    pub errno: Option<i32>,
    /// Why, in words.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.backend)?;
        if let Some(wake) = self.wake {
            write!(to, " with {wake}")?;
        }
        write!(to, ": {}: {}", self.step, self.message)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}, woken by {}", self.backend, self.wake)?;
        for failure in &self.failures {
            write!(to, "; not {failure}")?;
        }
        Ok(())
    }
}
