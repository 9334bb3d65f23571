//! Whether a thread is wholly over, who waits for that (the one joiner), and how many references to its record there are.
//!
//! ```text
//!   63                         24 23              1   0
//!   +----------------------------+-----------------+---+
//!   | ticket of the joiner's     | references      | E |
//!   | sleep; 0: nobody joins     |                 |   |
//!   +----------------------------+-----------------+---+
//!
//!   0, n, - ── join ──▶ ticket, n, - ── end ──▶ 0, n - 1, ENDED
//!      └─────────────────── end ──────────────────▲
//! ```
//!
//! The joiner puts the ticket of its sleep here, or finds that the thread has ended. One that was woken for another reason comes again
//! with another ticket, in place of the old one. The thread may have found that before: then it wakes too late, and the joiner finds
//! the end.
//!
//! There is *one* joiner, with one sleeper. Two could be mistaken for one another: the numbers of their sleeps may be equal, and the
//! thread that has found the ticket of the first would end a sleep of the second.
//!
//! The references are counted as `Arc`'s are, for what the last one must not free by itself. The thread has one, which it gives up with the
//! exchange by which it ends: from then on whoever has joined it may free the record, so whom to wake is read before. Who has the only
//! reference gives it up without an exchange: nobody else can make another one out of it, so what the count says then stays true.

use crate::state::Ticket;
use crate::sync::{AtomicPtr, AtomicU64, Ordering, fence};
use std::ptr::{self, NonNull};

/// The thread is over, and has given up its reference.
const ENDED: u64 = 1;
/// One reference.
const ONE: u64 = 2;
/// All references.
const COUNT: u64 = TICKET - ONE;
/// The lowest bit of a ticket: they are multiples of it, and not 0.
const TICKET: u64 = 1 << 24;
/// How many references there may be, half of what fits: as many threads may be about to find that there are too many.
const MOST: u64 = COUNT / ONE / 2;

/// What a thread finds as it ends.
#[derive(Debug)]
#[must_use = "the joiner would wait for ever; what nobody frees is lost"]
pub enum End<S> {
    /// Others have references, and this sleep is to be ended, if any.
    Seen(Option<(NonNull<S>, Ticket)>),
    /// The thread's reference was the last.
    Last,
}

/// The word of a thread, whose joiner sleeps with an `S`.
///
/// ```
/// use raddle_core::{end_word::{End, EndWord}, state::State};
/// use std::ptr::NonNull;
/// let joiner = State::new();
/// let word = EndWord::new(2);
/// let ticket = joiner.prepare();
/// assert!(word.join(NonNull::from(&joiner), ticket));
/// assert!(matches!(word.end(), End::Seen(Some((_, found))) if found == ticket));
/// assert!(word.has_ended());
/// assert!(word.give_up());
/// ```
#[derive(Debug)]
pub struct EndWord<S> {
    word: AtomicU64,
    joiner: AtomicPtr<S>,
}

impl<S> EndWord<S> {
    /// The word of a thread that is about to begin, with so many references to its record.
    #[inline]
    pub fn new(references: u32) -> EndWord<S> {
        EndWord {
            word: AtomicU64::new(u64::from(references) * ONE),
            joiner: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Whether the thread is wholly over. What it wrote is seen then.
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.word.load(Ordering::Acquire) & ENDED != 0
    }

    /// The joiner sleeps under `ticket` from now on. False if the thread has ended.
    #[inline]
    #[must_use = "a thread that has ended wakes nobody"]
    pub fn join(&self, sleeper: NonNull<S>, ticket: Ticket) -> bool {
        self.joiner.store(sleeper.as_ptr(), Ordering::Relaxed);
        let mut now = self.word.load(Ordering::Relaxed);
        loop {
            if now & ENDED != 0 {
                fence(Ordering::Acquire);
                return false;
            }
            let next = now & COUNT | ticket.to_bits();
            // Release: the thread that finds the ticket finds the sleeper.
            match self.word.compare_exchange_weak(now, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => now = changed,
            }
        }
    }

    /// The thread is over, and gives up its reference: whose sleep to end. Once, by the thread.
    #[inline]
    pub fn end(&self) -> End<S> {
        let mut now = self.word.load(Ordering::Acquire);
        loop {
            if now & COUNT == ONE {
                return End::Last;
            }
            let joiner = self.joiner.load(Ordering::Relaxed);
            let next = ((now & COUNT) - ONE) | ENDED;
            // Release: who finds the end finds all that the thread did. Acquire, the next time: who finds a ticket finds the sleeper.
            match self.word.compare_exchange_weak(now, next, Ordering::Release, Ordering::Acquire) {
                Ok(_) if now < TICKET => return End::Seen(None),
                Ok(_) => {
                    let ticket = Ticket::from_bits(now & !(TICKET - 1));
                    return End::Seen(NonNull::new(joiner).map(|joiner| (joiner, ticket)));
                }
                Err(changed) => now = changed,
            }
        }
    }

    /// One reference more, by somebody who has one.
    ///
    /// # Panics
    ///
    /// If there are four million.
    #[inline]
    pub fn add(&self) {
        let before = self.word.fetch_add(ONE, Ordering::Relaxed);
        if (before & COUNT) / ONE >= MOST {
            self.word.fetch_sub(ONE, Ordering::Relaxed);
            panic!("a thread has too many handles: {MOST}");
        }
    }

    /// Gives up the caller's reference. True: it was the last, and what they led to is the caller's alone, after all uses by others.
    #[inline]
    #[must_use = "what nobody frees is lost"]
    pub fn give_up(&self) -> bool {
        // With one left it is the caller's, and nobody can make another: no exchange is needed.
        if self.word.load(Ordering::Acquire) & COUNT == ONE {
            return true;
        }
        if self.word.fetch_sub(ONE, Ordering::Release) & COUNT != ONE {
            return false;
        }
        fence(Ordering::Acquire);
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::state::State;

    #[test]
    fn whoever_is_last_frees() {
        let word = EndWord::<State>::new(2);
        word.add();
        assert!(!word.give_up());
        assert!(matches!(word.end(), End::Seen(None)));
        assert!(word.has_ended() && word.give_up());
        let unseen = EndWord::<State>::new(2);
        assert!(!unseen.give_up());
        assert!(matches!(unseen.end(), End::Last));
    }

    #[test]
    fn a_joiner_and_references_do_not_disturb_one_another() {
        let (word, joiner) = (EndWord::new(2), State::new());
        let first = joiner.prepare();
        assert!(word.join(NonNull::from(&joiner), first));
        assert!(joiner.retract(first).is_ok());
        let second = joiner.prepare();
        word.add();
        assert!(word.join(NonNull::from(&joiner), second) && !word.give_up());
        let End::Seen(seen) = word.end() else { panic!("others have references") };
        assert_eq!(seen, Some((NonNull::from(&joiner), second)));
        assert!(!word.join(NonNull::from(&joiner), first));
        word.add();
        assert!(!word.give_up() && word.give_up());
    }

    #[test]
    #[should_panic(expected = "too many handles")]
    fn too_many_references_are_refused() {
        let word = EndWord::<State>::new(MOST as u32);
        word.add();
    }
}
