//! The state word of a mutex: who holds it, whether somebody waits, whether somebody is on the way.
//!
//! ```text
//!   LOCKED   somebody holds it
//!   PARKED   somebody waits in the queue, or is about to
//!   WOKEN    one who waited was woken and has not arrived: nobody else needs to be woken
//!   OWED     one who waited was woken in vain for too long: the next release hands the lock to the first of the queue
//! ```
//!
//! The lock *barges*: who comes while it is free takes it, also before those who wait. A thread that locks and unlocks in a loop
//! then goes on at full speed, where a lock that is handed over on each release would switch threads each time. What bounds the
//! price is in two bits. With `WOKEN` set, a release wakes nobody: one thread at most is on its way, however often the lock
//! changes hands before it arrives. With `OWED` set, the release keeps the lock locked and passes it on, so that nobody is
//! overtaken for ever.
//!
//! The queue is the caller's, with a lock of its own. What must be decided under that lock is said at each method; everything
//! else happens without it. Why nobody sleeps for ever:
//!
//! 1. Whoever waits sets `PARKED` while it sees `LOCKED`, and then, under the queue's lock, enters the queue only if both
//!    are still set ([`may_sleep`](LockWord::may_sleep)).
//! 2. A release sees `PARKED`. Without `WOKEN` it [claims](LockWord::claim_wake) that bit and wakes the first of the queue; or it
//!    finds that somebody has taken the lock meanwhile, whose release will do the same.
//! 3. With `WOKEN`, whoever was woken arrives. It takes the lock and clears the bit, so that its own release wakes the next; or it
//!    finds the lock held, and clears the bit *while* it is held ([`announce`](LockWord::announce)), so that the holder's
//!    release does.
//! 4. If the queue turns out empty, the bits are cleared under its lock: who entered before was found, who comes after fails
//!    the test of 1.
//!
//! Taking the lock sets one bit whatever the others are (`lock bts`), and releasing it subtracts one (`lock xadd`): no loop,
//! also while others wait. Rejected: a compare-and-swap of the whole word, which fails as soon as anybody waits; a count of
//! those who wait, as Go's, which the queue's lock knows better; handing over on every release (a queue of eight costs a
//! switch an operation); clearing `PARKED` by whoever is woken last (it would have to know, and the queue changes).

use crate::sync::{AtomicU32, Ordering, const_but_for_loom};

const LOCKED: u32 = 1;
const PARKED: u32 = 2;
const WOKEN: u32 = 4;
const OWED: u32 = 8;

/// What a thread that wants the lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has not waited, or nobody has woken it since.
    Fresh,
    /// It was woken: the bit that says so is its own to clear.
    Woken,
}

/// What is left to do after [`LockWord::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "those who wait would wait for ever"]
pub enum Release {
    /// Nothing: the lock is free, and nobody needs to be woken.
    Done,
    /// The lock is free. Somebody waits: [`claim_wake`](LockWord::claim_wake), then wake one.
    Wake,
    /// The lock is still locked: give it to the first of the queue. If there is none, ask again.
    HandOver,
}

/// The state word.
///
/// ```
/// use raddle_core::lock_word::{LockWord, Release};
/// let word = LockWord::new();
/// assert!(word.try_lock());
/// assert!(!word.try_lock());
/// assert_eq!(word.release(), Release::Done);
/// ```
#[derive(Debug)]
pub struct LockWord(AtomicU32);

impl LockWord {
    const_but_for_loom! {
        /// The word of a lock that is free.
        pub fn new() -> LockWord {
            LockWord(AtomicU32::new(0))
        }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> bool {
        // Sets a bit that is set already if it fails: no harm. Acquire: what the last holder wrote is seen.
        self.0.fetch_or(LOCKED, Ordering::Acquire) & LOCKED == 0
    }

    /// As [`try_lock`](Self::try_lock), and says that whoever was woken has arrived, if that is the caller.
    #[inline]
    pub fn try_lock_as(&self, role: Role) -> bool {
        if role == Role::Fresh {
            return !self.is_locked() && self.try_lock();
        }
        let mut now = self.0.load(Ordering::Relaxed);
        while now & LOCKED == 0 {
            let taken = (now | LOCKED) & !WOKEN;
            match self.0.compare_exchange_weak(now, taken, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => now = changed,
            }
        }
        false
    }

    /// Whether somebody holds the lock, a moment ago.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & LOCKED != 0
    }

    /// Says that the caller is going to wait. False if the lock has become free: try again.
    ///
    /// After true, one who was woken is [`Fresh`](Role::Fresh) again. `is_owed`: it has waited too long.
    #[must_use = "if the lock is free nobody wakes who goes to sleep"]
    pub fn announce(&self, role: Role, is_owed: bool) -> bool {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            if now & LOCKED == 0 {
                return false;
            }
            let mut wanted = now | PARKED;
            if role == Role::Woken {
                wanted &= !WOKEN;
            }
            if is_owed {
                wanted |= OWED;
            }
            if wanted == now {
                return true;
            }
            match self.0.compare_exchange_weak(now, wanted, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => now = changed,
            }
        }
    }

    /// Whether one who has announced itself may enter the queue. Asked under the queue's lock.
    #[inline]
    #[must_use = "nobody wakes who sleeps against this answer"]
    pub fn may_sleep(&self) -> bool {
        let waits = LOCKED | PARKED;
        self.0.load(Ordering::Relaxed) & waits == waits
    }

    /// Releases the lock, or says to whom it is owed. Only for the holder.
    #[inline]
    pub fn release(&self) -> Release {
        if self.0.load(Ordering::Relaxed) & OWED != 0 {
            return Release::HandOver;
        }
        // Release: whoever takes it sees what was written. OWED may be set since the look above: then the next release
        // sees it.
        let before = self.0.fetch_sub(LOCKED, Ordering::Release);
        if before & (PARKED | WOKEN) == PARKED { Release::Wake } else { Release::Done }
    }

    /// After [`Release::Wake`]: whether the caller is the one to wake somebody. Then it takes the first from the queue, and
    /// calls [`taken`](Self::taken) or [`nobody_waits`](Self::nobody_waits) under the queue's lock.
    #[must_use = "the bit is set, and whoever set it must wake somebody"]
    pub fn claim_wake(&self) -> bool {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            // Somebody who has the lock, or who is on the way, sees to it.
            if now & (LOCKED | PARKED | WOKEN) != PARKED {
                return false;
            }
            let claimed = now | WOKEN;
            match self.0.compare_exchange_weak(now, claimed, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => now = changed,
            }
        }
    }

    /// The first of the queue was taken from it, or one has left it by itself; `others` are left. Under the queue's lock.
    #[inline]
    pub fn taken(&self, others: bool) {
        let gone = if others { OWED } else { OWED | PARKED };
        if self.0.load(Ordering::Relaxed) & gone != 0 {
            self.0.fetch_and(!gone, Ordering::Relaxed);
        }
    }

    /// The queue was empty for one who has [claimed](Self::claim_wake). Under the queue's lock.
    pub fn nobody_waits(&self) {
        self.0.fetch_and(!(OWED | PARKED | WOKEN), Ordering::Relaxed);
    }
}

impl Default for LockWord {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_is_woken() {
        let word = LockWord::new();
        assert!(word.try_lock());
        assert!(word.announce(Role::Fresh, false) && word.may_sleep());
        assert_eq!(word.release(), Release::Wake);
        assert!(word.claim_wake());
        word.taken(true);
        // Another one barges, and wakes nobody: the first is on its way.
        assert!(word.try_lock());
        assert_eq!(word.release(), Release::Done);
        assert!(word.try_lock_as(Role::Woken));
        assert_eq!(word.release(), Release::Wake);
    }

    #[test]
    fn who_takes_the_lock_before_the_claim_takes_the_duty_to_wake() {
        let word = LockWord::new();
        assert!(word.try_lock() && word.announce(Role::Fresh, false));
        assert_eq!(word.release(), Release::Wake);
        assert!(word.try_lock());
        assert!(!word.claim_wake());
        assert_eq!(word.release(), Release::Wake);
    }

    #[test]
    fn what_is_owed_is_handed_over_with_the_lock_locked() {
        let word = LockWord::new();
        assert!(word.try_lock() && word.announce(Role::Fresh, false));
        assert_eq!(word.release(), Release::Wake);
        assert!(word.claim_wake());
        word.taken(true);
        assert!(word.try_lock());
        assert!(word.announce(Role::Woken, true));
        assert_eq!(word.release(), Release::HandOver);
        assert!(word.is_locked());
        word.taken(false);
        assert_eq!(word.release(), Release::Done);
        assert!(word.try_lock());
    }

    #[test]
    fn an_empty_queue_leaves_nothing_behind() {
        let word = LockWord::new();
        assert!(word.try_lock() && word.announce(Role::Fresh, true));
        assert_eq!(word.release(), Release::HandOver);
        word.taken(false);
        assert!(!word.may_sleep());
        assert_eq!(word.release(), Release::Done);
    }
}
