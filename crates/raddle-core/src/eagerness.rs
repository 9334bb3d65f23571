//! When to wake an idle core for threads that wait on a busy one.
//!
//! To wake a core takes microseconds, of two cores' time, and moves what the threads work on from one cache to another. For threads
//! that compute that is nothing; for those that run for a tenth of a microsecond (they pass on a message, or do next to nothing in
//! a burst of a hundred thousand) it costs more than they do. Nobody knows beforehand, so experience decides: a core that was
//! woken and is idle again at once was woken in vain, and more have to wait before the next is. Whoever waits in vain for
//! that is found by the monitor, a millisecond later (where threads come and go quickly: after a few), and what comes of it is experience as
//! well.
//!
//! Rejected: always to wake (a burst of short threads wakes and loses the other core thousands of times, and two threads that talk to
//! one another are torn apart with each message); never for a single thread (it stands behind one that computes); idle cores that
//! look for work for a while before they sleep, as Go's do (they burn the processor of others, on a machine that is shared);
//! the average time between switches (a thread that spawns all the time does not switch, and is no reason to wake anybody).

use std::sync::atomic::{AtomicUsize, Ordering};

/// A woken core that was busy for so long was woken with reason, where waking takes no longer than it should.
const WORTH_NS: u64 = 20_000;
/// No more than so many ever have to wait.
const MOST: usize = 128;

/// How many threads have to wait before an idle core is woken for them. Its updates may be lost: it is a guess.
///
/// ```
/// use raddle_core::eagerness::Eagerness;
/// let eagerness = Eagerness::new();
/// assert!(eagerness.shall_help(1));
/// // It found a thread that ran for a moment.
/// eagerness.helper_is_idle_again(300, 0);
/// assert!(!eagerness.shall_help(1) && eagerness.shall_help(2));
/// // Woken by the monitor, it found one that computes.
/// eagerness.helper_is_idle_again(4_000_000, 0);
/// assert!(eagerness.shall_help(1));
/// ```
#[derive(Debug)]
pub struct Eagerness(AtomicUsize);

impl Eagerness {
    /// Eager.
    pub const fn new() -> Eagerness {
        Eagerness(AtomicUsize::new(1))
    }

    /// Whether a core that has nothing to do is to help one on which so many wait: to be woken for it, or not to go to sleep.
    #[inline]
    pub fn shall_help(&self, waiting: usize) -> bool {
        waiting >= self.0.load(Ordering::Relaxed)
    }

    /// How many looks in a row the monitor passes over a core whose threads wait, but come and go quickly, before it sends help all the same.
    pub fn patience(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) / 8).max(1) as u32
    }

    /// A core that was woken to help was busy for so long; to wake one takes at least `lag_ns` here, as far as is known.
    pub fn helper_is_idle_again(&self, busy_ns: u64, lag_ns: u64) {
        let before = self.0.load(Ordering::Relaxed);
        let after = if busy_ns < WORTH_NS.max(2 * lag_ns) {
            (before * 2).min(MOST)
        } else {
            (before / 2).max(1)
        };
        self.0.store(after, Ordering::Relaxed);
    }
}

impl Default for Eagerness {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_its_bounds() {
        let eagerness = Eagerness::new();
        for _ in 0..20 {
            eagerness.helper_is_idle_again(0, 0);
        }
        assert!(eagerness.shall_help(MOST) && !eagerness.shall_help(MOST - 1));
        assert_eq!(eagerness.patience(), 16);
        for _ in 0..20 {
            eagerness.helper_is_idle_again(WORTH_NS, 0);
        }
        assert!(eagerness.shall_help(1) && !eagerness.shall_help(0));
        assert_eq!(eagerness.patience(), 1);
    }
}
