//! The state word of a semaphore: its permits, and whether somebody waits for some.
//!
//! ```text
//!   63                                        1 0
//!   +------------------------------------------+-----------------+
//!   | permits                                  | SOMEBODY_WAITS  |
//!   +------------------------------------------+-----------------+
//! ```
//!
//! *First come, first served*: with somebody waiting, nobody else takes a permit, and permits that come back go to the first of the
//! queue as soon as there are enough for it.
//!
//! The queue is the caller's, with a lock of its own. What must be decided under that lock is said at each method. Why nobody sleeps
//! for ever:
//!
//! 1. Under the lock, whoever waits takes what it wants or sets the bit, in one step ([`take_or_wait`](Permits::take_or_wait)).
//! 2. Permits that come are added first. Who adds them finds the bit, and then grants, under the lock, to the first of the queue for
//!    whom there are enough ([`grant`](Permits::grant)): they are off the word before the waiter wakes. If it turns out to be gone they
//!    are [put back](Permits::put_back), and the next is looked at.
//! 3. Whoever leaves the queue by itself clears the bit if it was the last ([`left`](Permits::left)), and has those behind it looked at:
//!    they may want less.
//!
//! The bit is cleared under the lock only, with the queue empty.

use crate::sync::{AtomicUsize, Ordering, const_but_for_loom};

const SOMEBODY_WAITS: usize = 1;
const ONE: usize = 2;

/// What a semaphore was before permits were [added](Permits::add).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "those who wait would wait for ever"]
pub struct Before {
    /// So many permits were there.
    pub permits: usize,
    /// Somebody waited: the caller looks whom to [grant](Permits::grant) them.
    pub somebody_waits: bool,
}

/// The state word.
///
/// ```
/// use raddle_core::permits::Permits;
/// let permits = Permits::new(2);
/// assert!(permits.try_take(2) && !permits.try_take(1));
/// assert!(!permits.add(2).somebody_waits);
/// assert_eq!(permits.available(), 2);
/// ```
#[derive(Debug)]
pub struct Permits(AtomicUsize);

impl Permits {
    /// The most permits that there can be.
    pub const MOST: usize = usize::MAX >> 3;

    const_but_for_loom! {
        /// So many permits, [`MOST`](Self::MOST) at most.
        pub fn new(permits: usize) -> Permits {
            Permits(AtomicUsize::new(permits * ONE))
        }
    }

    /// Permits that are there at this moment.
    pub fn available(&self) -> usize {
        self.0.load(Ordering::Acquire) / ONE
    }

    /// Takes `count` permits, if there are so many and nobody waits.
    #[inline]
    pub fn try_take(&self, count: usize) -> bool {
        let take = |state| is_there(state, count).then(|| state - count * ONE);
        self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, take).is_ok()
    }

    /// Takes `count` permits, or says that somebody waits. Whether they were taken. Under the queue's lock.
    #[must_use = "permits that were taken are to be given back some time"]
    pub fn take_or_wait(&self, count: usize) -> bool {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let is_taken = is_there(now, count);
            let next = if is_taken { now - count * ONE } else { now | SOMEBODY_WAITS };
            match self.0.compare_exchange_weak(now, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return is_taken,
                Err(changed) => now = changed,
            }
        }
    }

    /// Adds `count` permits. The caller sees to it that there are [`MOST`](Self::MOST) at most.
    #[inline]
    pub fn add(&self, count: usize) -> Before {
        let before = self.0.fetch_add(count * ONE, Ordering::Release);
        Before { permits: before / ONE, somebody_waits: before & SOMEBODY_WAITS != 0 }
    }

    /// Takes `count` permits off for the first of the queue, if there are so many; `others` wait behind it. Under the queue's lock; if
    /// it is true the first is taken from the queue.
    #[must_use = "permits that were taken are to be handed over"]
    pub fn grant(&self, count: usize, others: bool) -> bool {
        let take = |state: usize| {
            let rest = state.checked_sub(count * ONE)?;
            Some(if others { rest } else { rest & !SOMEBODY_WAITS })
        };
        self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, take).is_ok()
    }

    /// Whoever `count` permits were granted is gone. The caller looks at the queue again afterwards.
    pub fn put_back(&self, count: usize) {
        self.0.fetch_add(count * ONE, Ordering::Release);
    }

    /// One has left the queue by itself; `others` are left. Under the queue's lock. The caller looks at the queue afterwards.
    pub fn left(&self, others: bool) {
        if !others {
            self.0.fetch_and(!SOMEBODY_WAITS, Ordering::Relaxed);
        }
    }
}

fn is_there(state: usize, count: usize) -> bool {
    state & SOMEBODY_WAITS == 0 && state / ONE >= count
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn nobody_passes_who_waits() {
        let permits = Permits::new(1);
        assert!(!permits.take_or_wait(2));
        assert!(!permits.try_take(1) && !permits.take_or_wait(1));
        assert_eq!(permits.add(1), Before { permits: 1, somebody_waits: true });
        assert!(permits.grant(2, true) && !permits.grant(1, false));
        permits.left(false);
        assert_eq!(permits.add(1), Before { permits: 0, somebody_waits: false });
        assert!(permits.try_take(1));
    }

    #[test]
    fn what_was_granted_in_vain_comes_back() {
        let permits = Permits::new(0);
        assert!(!permits.take_or_wait(3));
        assert!(permits.add(3).somebody_waits && permits.grant(3, false));
        permits.put_back(3);
        assert!(permits.try_take(3));
    }

    #[test]
    fn there_may_be_many() {
        let permits = Permits::new(Permits::MOST);
        assert!(permits.try_take(Permits::MOST));
        assert_eq!(permits.add(Permits::MOST).permits, 0);
        assert_eq!(permits.available(), Permits::MOST);
    }
}
