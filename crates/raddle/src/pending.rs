//! The signals that were sent to a thread and have not reached it yet, and where the thread sleeps.

use crate::sleeper::Sleeper;
use crate::sys::task;
use raddle_core::pending;
use std::ops::Deref;
use std::ptr::NonNull;

#[derive(Debug)]
pub(crate) struct Pending {
    bits: pending::Pending,
    /// Where the thread sleeps. `None` for a kernel thread that is not raddle's.
    home: Option<NonNull<Sleeper>>,
}

/// What is left to do about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a thread may have to be woken"]
pub(crate) enum Sent {
    /// The thread looks when it unmasks it.
    Masked,
    /// The thread that sleeps there, or runs, is to look.
    Look(NonNull<Sleeper>),
    Ended,
    /// The kernel's threads have the kernel's signals.
    NotRaddles,
}

impl Pending {
    #[inline]
    pub(crate) fn new(home: Option<NonNull<Sleeper>>, mask: u64) -> Pending {
        Pending { bits: pending::Pending::new(mask), home }
    }

    /// Sends a signal. May let others run.
    pub(crate) fn send(&self, bit: u64, wait: impl FnMut()) -> Sent {
        let Some(home) = self.home else { return Sent::NotRaddles };
        match self.bits.send(bit, task::barrier, wait) {
            pending::Sent::Masked => Sent::Masked,
            pending::Sent::Look => Sent::Look(home),
            pending::Sent::Ended => Sent::Ended,
        }
    }
}

/// What the thread itself does with its bits.
impl Deref for Pending {
    type Target = pending::Pending;

    #[inline]
    fn deref(&self) -> &pending::Pending {
        &self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_threads_take_none() {
        assert_eq!(Pending::new(None, 0).send(1, || ()), Sent::NotRaddles);
    }
}
