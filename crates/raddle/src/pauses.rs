//! Pauses between attempts, where the kernel has no readiness that could be waited for.

use crate::cancel;
use crate::host;
use crate::label::WaitsFor;
use crate::park::Wait;
use crate::signals;
use crate::sleeper::Reason;
use std::io;

/// Each pause is twice as long as the one before, up to a limit.
#[derive(Debug)]
pub(crate) struct Pauses {
    next_ns: u64,
    longest_ns: u64,
    deadline_ns: Option<u64>,
}

impl Pauses {
    /// For a peer that is about to make room.
    pub(crate) fn short(deadline_ns: Option<u64>) -> Pauses {
        Pauses { next_ns: 100_000, longest_ns: 10_000_000, deadline_ns }
    }

    /// For something that the whole process or machine lacks.
    pub(crate) fn long() -> Pauses {
        Pauses { next_ns: 5_000_000, longest_ns: 1_000_000_000, deadline_ns: None }
    }

    /// Sleeps until the next attempt.
    ///
    /// # Errors
    ///
    /// `TimedOut`: there is no next attempt.
    #[track_caller]
    pub(crate) fn pause(&mut self, waits_for: WaitsFor) -> io::Result<()> {
        let now = host::now_ns();
        if self.deadline_ns.is_some_and(|at| now >= at) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let until = now.saturating_add(self.next_ns).min(self.deadline_ns.unwrap_or(u64::MAX));
        self.next_ns = (self.next_ns * 2).min(self.longest_ns);
        loop {
            match Wait::begin(waits_for).park(Some(until)) {
                Reason::TIMED_OUT => return Ok(()),
                Reason::CANCELLED => cancel::unwind(),
                Reason::SIGNALLED => signals::deliver(),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;

    #[test]
    fn they_grow_up_to_a_limit_and_end_with_the_deadline() {
        let mut pauses = Pauses::short(None);
        let mut lengths = Vec::new();
        let waits_for = Label::OUTPUT.at(0);
        for _ in 0..9 {
            lengths.push(pauses.next_ns / 100_000);
            pauses.pause(waits_for).unwrap();
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        let start = host::now_ns();
        let mut pauses = Pauses::short(Some(start + 1_000_000));
        let error = loop {
            if let Err(error) = pauses.pause(waits_for) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((1_000_000..500_000_000).contains(&(host::now_ns() - start)));
    }
}
