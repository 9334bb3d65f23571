//! Who may compute something expensive now, who waits for it, and who is sent away.

use raddle::sync::{Semaphore, SemaphorePermit};
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many at once, and so many more that wait for their turn.
///
/// Whoever waits holds a connection, and is answered when all before him are: a queue without an end is an answer that nobody waits for
/// any more.
pub(super) struct Turns {
    free: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// There are too many who wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crowded;

/// One who waits, until it has waited or was cancelled.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    pub(super) fn new(at_once: usize, waiting_max: usize) -> Turns {
        Turns { free: Semaphore::new(at_once), waiting: AtomicUsize::new(0), waiting_max }
    }

    /// The same, with room for so many who wait.
    pub(super) fn with_waiting_max(self, waiting_max: usize) -> Turns {
        Turns { waiting_max, ..self }
    }

    /// A turn, when it has come.
    pub(super) fn take(&self) -> Result<SemaphorePermit<'_>, Crowded> {
        if let Some(turn) = self.free.try_acquire() {
            return Ok(turn);
        }
        // A count, and nothing is published by it.
        let one_more = |count| (count < self.waiting_max).then_some(count + 1);
        let counted = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        let _waiting = counted.map(|_| Waiting(&self.waiting)).map_err(|_| Crowded)?;
        Ok(self.free.acquire())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raddle::thread;

    #[test]
    fn some_have_turns_some_wait_and_others_are_sent_away() {
        let turns = Turns::new(1, 2);
        let first = turns.take().unwrap();
        thread::scope(|scope| {
            let waiters = [0, 1].map(|_| scope.spawn(|| turns.take().map(drop)));
            while turns.waiting.load(Ordering::Relaxed) < 2 {
                thread::yield_now();
            }
            assert_eq!(turns.take().err(), Some(Crowded));
            drop(first);
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == Ok(())));
        });
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
        assert!(turns.take().is_ok());
        let none = Turns::new(0, 2).with_waiting_max(0);
        assert_eq!(none.take().err(), Some(Crowded));
    }

    #[test]
    fn who_is_cancelled_waits_no_more() {
        let turns = Turns::new(0, 1);
        let token = raddle::cancel::Token::new();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| token.carry(|| turns.take().is_ok()));
            while turns.waiting.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            token.cancel();
            assert!(waiter.join().unwrap().is_err());
        });
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
    }
}
