//! The state word of a readers-writer lock, and the count by which its writers are called.
//!
//! ```text
//!   31                30                29            0
//!   +-----------------+-----------------+-------------+
//!   | WRITERS_WAIT    | READERS_WAIT    | readers     |   all ones: a writer has it
//!   +-----------------+-----------------+-------------+
//! ```
//!
//! The protocol is that of std's futex lock. Readers and writers wait at two addresses: readers at the state, as long as it is what
//! they saw, writers at a *turn* that goes up whenever one of them is called. Whoever leaves the lock free wakes one writer, or else
//! all readers. *Writers are preferred*: once one waits, no reader enters, so that a stream of readers ends; readers that wait come
//! after it.
//!
//! Why nobody sleeps for ever:
//!
//! 1. Who waits has set its bit while somebody held the lock, or, a reader, while the other bit was set. It sleeps only if the word is
//!    still what it saw ([`is_still`](RwLockWord::is_still)), or no turn has been called ([`is_turn`](RwLockWord::is_turn)); both are
//!    asked when a waker would find it.
//! 2. Who leaves the lock free with bits set [claims](RwLockWord::claim_wake) them, by an exchange of the whole word. If that fails
//!    somebody has taken the lock with the bits, and sees to them when it leaves.
//! 3. One bit stands for all writers. So a writer that has waited keeps the bit set as it takes the lock: there may be others.
//! 4. A writer that gives up may have been the last one, and readers wait because of its bit. So it clears both and wakes everybody
//!    ([`give_up`](RwLockWord::give_up)); those who still have to wait say so again.
//!
//! 2 needs the exact count of woken writers: with readers waiting as well, whoever calls a writer that turns out to be gone goes on to
//! the readers.

use crate::sync::{AtomicU32, Ordering, const_but_for_loom};

const READERS: u32 = (1 << 30) - 1;
/// A writer has it.
const WRITTEN: u32 = READERS;
const MOST_READERS: u32 = READERS - 1;
/// Readers wait, or are about to.
const READERS_WAIT: u32 = 1 << 30;
/// Writers wait, or are about to.
const WRITERS_WAIT: u32 = 1 << 31;

/// The word at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen(u32);

impl Seen {
    /// Neither a reader nor a writer has the lock.
    #[inline]
    pub fn is_free(self) -> bool {
        self.0 & READERS == 0
    }

    /// A writer has the lock, and nobody waits.
    #[inline]
    pub fn is_written(self) -> bool {
        self.0 == WRITTEN
    }

    /// Readers enter while no writer is there or waits; nor before readers that wait, who would then wait for them as well.
    #[inline]
    pub fn is_readable(self) -> bool {
        self.0 & READERS < MOST_READERS && self.0 & (READERS_WAIT | WRITERS_WAIT) == 0
    }

    /// There are as many readers as can be counted.
    pub fn is_full(self) -> bool {
        self.0 & READERS == MOST_READERS
    }

    /// A writer waits.
    #[inline]
    pub fn has_waiting_writer(self) -> bool {
        self.0 & WRITERS_WAIT != 0
    }
}

/// How often writers were called: what one of them waits at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(u32);

/// Whom to wake: see [`RwLockWord::claim_wake`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "those who wait would wait for ever"]
pub enum Wake {
    /// Whoever has taken the lock meanwhile sees to it.
    Nobody,
    /// One writer.
    Writer,
    /// One writer; if there was none, readers, after a [second claim](RwLockWord::claim_readers).
    WriterElseReaders,
    /// All readers.
    Readers,
}

/// The state word.
///
/// ```
/// use raddle_core::rwlock_word::RwLockWord;
/// let word = RwLockWord::new();
/// assert!(word.try_read() && word.try_read() && !word.try_write());
/// assert_eq!((word.unread(), word.unread()), (None, None));
/// assert!(word.try_write() && !word.try_read());
/// assert_eq!(word.unwrite(), None);
/// ```
#[derive(Debug)]
pub struct RwLockWord {
    state: AtomicU32,
    turn: AtomicU32,
}

impl RwLockWord {
    const_but_for_loom! {
        /// The word of a lock that is free.
        pub fn new() -> RwLockWord {
            RwLockWord { state: AtomicU32::new(0), turn: AtomicU32::new(0) }
        }
    }

    /// The word now.
    #[inline]
    pub fn look(&self) -> Seen {
        Seen(self.state.load(Ordering::Relaxed))
    }

    /// Enters as a reader, if it may.
    #[inline]
    pub fn try_read(&self) -> bool {
        self.state
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |state| {
                Seen(state).is_readable().then(|| state + 1)
            })
            .is_ok()
    }

    /// Enters as a reader, if the word is [readable](Seen::is_readable) and still what was seen. May fail for nothing.
    #[inline]
    pub fn try_read_at(&self, seen: Seen) -> bool {
        seen.is_readable()
            && self
                .state
                .compare_exchange_weak(seen.0, seen.0 + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Says that a reader is going to wait, as it saw that it must. `None` if the word has changed: look again.
    ///
    /// A lock that nobody holds will be released by nobody: it belongs to the writer that is on its way, whose release finds this bit.
    #[must_use = "nobody wakes who sleeps without having said so"]
    pub fn announce_reader(&self, seen: Seen) -> Option<Seen> {
        let waits = seen.0 | READERS_WAIT;
        let is_said = seen.0 == waits || self.exchange(seen.0, waits).is_ok();
        is_said.then_some(Seen(waits))
    }

    /// Whether a reader that has announced itself may sleep. Asked when a waker would find it.
    #[must_use = "nobody wakes who sleeps against this answer"]
    pub fn is_still(&self, seen: Seen) -> bool {
        self.state.load(Ordering::SeqCst) == seen.0
    }

    /// A reader leaves. What it has left, if it left the lock free and somebody waits: to be [claimed](Self::claim_wake).
    #[inline]
    #[must_use = "those who wait would wait for ever"]
    pub fn unread(&self) -> Option<Seen> {
        let left = Seen(self.state.fetch_sub(1, Ordering::Release) - 1);
        // Readers wait only if a writer does or did.
        (left.is_free() && left.0 != 0).then_some(left)
    }

    /// Takes the lock as a writer, if nobody has it.
    #[inline]
    pub fn try_write(&self) -> bool {
        self.state
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |state| {
                Seen(state).is_free().then_some(state | WRITTEN)
            })
            .is_ok()
    }

    /// Takes the lock as a writer, if nobody has it and nobody waits.
    #[inline]
    pub fn try_write_at_once(&self) -> bool {
        self.state.compare_exchange(0, WRITTEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes the lock as a writer, if it is still what was seen, free. One that `has_waited` can't tell whether others wait behind it:
    /// it keeps the bit for them. May fail for nothing.
    pub fn try_write_at(&self, seen: Seen, has_waited: bool) -> bool {
        let others = if has_waited { WRITERS_WAIT } else { 0 };
        self.state
            .compare_exchange_weak(
                seen.0,
                seen.0 | WRITTEN | others,
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Says that a writer is going to wait, as it saw that it must. False if the word has changed: look again.
    #[must_use = "nobody wakes who sleeps without having said so"]
    pub fn announce_writer(&self, seen: Seen) -> bool {
        seen.has_waiting_writer() || self.exchange(seen.0, seen.0 | WRITERS_WAIT).is_ok()
    }

    /// The turn that a writer which has announced itself waits at. `None`: look again.
    #[must_use = "a writer waits at a turn, or looks again"]
    pub fn turn(&self) -> Option<Turn> {
        let turn = Turn(self.turn.load(Ordering::Acquire));
        // The lock may have been left meanwhile, before this turn was read: then nobody will call the next one.
        let now = self.look();
        (!now.is_free() && now.has_waiting_writer()).then_some(turn)
    }

    /// Whether no writer has been called since; then one may sleep. Asked when a waker would find it.
    #[must_use = "nobody wakes who sleeps against this answer"]
    pub fn is_turn(&self, turn: Turn) -> bool {
        self.turn.load(Ordering::SeqCst) == turn.0
    }

    /// A writer leaves. What it has left, if somebody waits: to be [claimed](Self::claim_wake).
    #[inline]
    #[must_use = "those who wait would wait for ever"]
    pub fn unwrite(&self) -> Option<Seen> {
        let left = self.state.fetch_sub(WRITTEN, Ordering::Release) - WRITTEN;
        (left != 0).then_some(Seen(left))
    }

    /// A writer becomes a reader. Whether to wake all readers that wait: they come in beside it, unless a writer waits.
    #[must_use = "those who wait would wait for longer than they must"]
    pub fn downgrade(&self) -> bool {
        let left = self.state.fetch_sub(WRITTEN - 1, Ordering::Release) - (WRITTEN - 1);
        let wakes = left & (READERS_WAIT | WRITERS_WAIT) == READERS_WAIT;
        if wakes {
            self.state.fetch_and(!READERS_WAIT, Ordering::Relaxed);
        }
        wakes
    }

    /// The lock was left free, with bits set: whom the caller wakes. A writer has been called by then.
    pub fn claim_wake(&self, left: Seen) -> Wake {
        let mut state = left.0;
        // Whoever takes the lock meanwhile keeps the bits and wakes when it leaves.
        if state == WRITERS_WAIT {
            match self.exchange(state, 0) {
                Ok(_) => {
                    self.call_writer();
                    return Wake::Writer;
                }
                Err(now) => state = now,
            }
        }
        if state == READERS_WAIT | WRITERS_WAIT {
            if self.exchange(state, READERS_WAIT).is_err() {
                return Wake::Nobody;
            }
            self.call_writer();
            return Wake::WriterElseReaders;
        }
        if state == READERS_WAIT && self.claim_readers() { Wake::Readers } else { Wake::Nobody }
    }

    /// There was no writer: it was cancelled, or had not begun to wait. Whether to wake all readers.
    #[must_use = "those who wait would wait for ever"]
    pub fn claim_readers(&self) -> bool {
        self.exchange(READERS_WAIT, 0).is_ok()
    }

    /// A writer that has announced itself waits no longer. The caller wakes all, readers and writers: nobody may be left whose bit this
    /// was, and readers wait for it; those who still wait say so.
    pub fn give_up(&self) {
        self.state.fetch_and(!(WRITERS_WAIT | READERS_WAIT), Ordering::Relaxed);
        self.call_writer();
    }

    fn call_writer(&self) {
        self.turn.fetch_add(1, Ordering::Release);
    }

    fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.state.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
    }
}

impl Default for RwLockWord {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_waits_keeps_readers_out() {
        let word = RwLockWord::new();
        assert!(word.try_read());
        assert!(word.announce_writer(word.look()) && word.turn().is_some());
        assert!(!word.try_read() && !word.look().is_readable());
        let left = word.unread().expect("a writer waits");
        assert_eq!(word.claim_wake(left), Wake::Writer);
        assert!(word.try_write_at(word.look(), true));
        // It may not be the last one that waited.
        assert!(word.unwrite().is_some());
    }

    #[test]
    fn a_turn_that_was_called_is_over() {
        let word = RwLockWord::new();
        assert!(word.try_write() && word.announce_writer(word.look()));
        let turn = word.turn().expect("somebody has the lock");
        assert!(word.is_turn(turn));
        let left = word.unwrite().expect("a writer waits");
        assert_eq!(word.claim_wake(left), Wake::Writer);
        assert!(!word.is_turn(turn));
        assert_eq!(word.turn(), None, "the lock is free: nobody calls the next one");
    }

    #[test]
    fn readers_come_after_the_writer_that_was_first_or_instead_of_it() {
        let word = RwLockWord::new();
        assert!(word.try_write() && word.announce_writer(word.look()));
        let seen = word.announce_reader(word.look()).expect("nobody else is here");
        assert!(word.is_still(seen));
        let left = word.unwrite().expect("both wait");
        assert_eq!(word.claim_wake(left), Wake::WriterElseReaders);
        assert!(word.claim_readers() && word.look().is_readable());
    }

    #[test]
    fn who_takes_the_lock_before_the_claim_takes_the_duty_to_wake() {
        let word = RwLockWord::new();
        assert!(word.try_write() && word.announce_writer(word.look()));
        let left = word.unwrite().expect("a writer waits");
        assert!(word.try_write());
        assert_eq!(word.claim_wake(left), Wake::Nobody);
        assert_eq!(word.unwrite(), Some(left));
    }

    #[test]
    fn a_writer_that_becomes_a_reader_lets_readers_in() {
        let word = RwLockWord::new();
        assert!(word.try_write() && word.announce_reader(word.look()).is_some());
        assert!(word.downgrade() && word.try_read());
        assert!(word.announce_writer(word.look()));
        assert!(word.unread().is_none() && word.unread().is_some());
    }
}
