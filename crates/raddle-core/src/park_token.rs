//! The token of `park` and `unpark`: at most one, and whoever waits for it.
//!
//! ```text
//!   EMPTY ◀──▶ PARKED: the ticket of the sleep      the thread, as it parks, and as it is back for whatever reason
//!     │           │
//!     └──▶ NOTIFIED ◀──┘                            whoever unparks; the thread takes it
//! ```
//!
//! The word holds the ticket of the sleep itself, so whoever unparks knows which sleep to end. With which sleeper the thread parks is
//! written before the ticket, and read by whoever has found the ticket. It is the same for ever, but for a thread that forks: in the
//! child it has another one, and there nobody has a ticket of before. (Two at a time could be mistaken for one another: the
//! numbers of their sleeps may be equal.)

use crate::state::Ticket;
use crate::sync::{AtomicPtr, AtomicU64, Ordering};
use std::ptr::NonNull;

// Tickets are multiples of 2^24 and not 0.
const EMPTY: u64 = 0;
const NOTIFIED: u64 = 1;

/// The token of a thread, whose sleeper is an `S`.
///
/// ```
/// use raddle_core::{park_token::ParkToken, state::State};
/// use std::ptr::NonNull;
/// let state = State::new();
/// let sleeper = NonNull::from(&state);
/// let token = ParkToken::new(sleeper);
/// let ticket = state.prepare();
/// assert!(token.park(sleeper, ticket));
/// assert_eq!(token.put(), Some((sleeper, ticket)));
/// assert!(token.back() && !token.take());
/// ```
#[derive(Debug)]
pub struct ParkToken<S> {
    word: AtomicU64,
    sleeper: AtomicPtr<S>,
}

impl<S> ParkToken<S> {
    /// No token. The thread sleeps with `sleeper`, most likely.
    #[inline]
    pub fn new(sleeper: NonNull<S>) -> ParkToken<S> {
        ParkToken { word: AtomicU64::new(EMPTY), sleeper: AtomicPtr::new(sleeper.as_ptr()) }
    }

    /// Takes the token if there is one. The thread itself.
    #[inline]
    pub fn take(&self) -> bool {
        // Acquire: what the one who unparked wrote before is seen by the one who was parked.
        self.word.load(Ordering::Relaxed) == NOTIFIED
            && self.word.swap(EMPTY, Ordering::Acquire) == NOTIFIED
    }

    /// Says that the thread parks under `ticket`. False if a token came first, which is taken. The thread itself.
    #[must_use = "with a token there is nothing to park for"]
    pub fn park(&self, sleeper: NonNull<S>, ticket: Ticket) -> bool {
        self.sleeper.store(sleeper.as_ptr(), Ordering::Relaxed);
        // Release: whoever finds the ticket finds the sleeper.
        match self.word.compare_exchange(
            EMPTY,
            ticket.to_bits(),
            Ordering::Release,
            Ordering::Acquire,
        ) {
            Ok(_) => true,
            Err(_) => {
                self.word.swap(EMPTY, Ordering::Acquire);
                false
            }
        }
    }

    /// The thread has stopped being parked, for whatever reason. Takes a token that came meanwhile; whether there was one. The thread
    /// itself.
    pub fn back(&self) -> bool {
        self.word.swap(EMPTY, Ordering::Acquire) == NOTIFIED
    }

    /// Puts a token in place: whose sleep to end, if the thread is parked.
    #[must_use = "a thread that is parked is to be woken"]
    pub fn put(&self) -> Option<(NonNull<S>, Ticket)> {
        match self.word.swap(NOTIFIED, Ordering::AcqRel) {
            EMPTY | NOTIFIED => None,
            bits => NonNull::new(self.sleeper.load(Ordering::Relaxed))
                .map(|sleeper| (sleeper, Ticket::from_bits(bits))),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::state::State;

    #[test]
    fn a_token_that_came_first_is_taken_and_there_is_but_one() {
        let state = State::new();
        let sleeper = NonNull::from(&state);
        let token = ParkToken::new(sleeper);
        assert!(!token.take());
        assert_eq!((token.put(), token.put()), (None, None));
        assert!(!token.park(sleeper, state.prepare()));
        assert!(!token.take() && !token.back());
    }

    #[test]
    fn whoever_unparks_twice_wakes_once() {
        let state = State::new();
        let sleeper = NonNull::from(&state);
        let token = ParkToken::new(sleeper);
        let ticket = state.prepare();
        assert!(token.park(sleeper, ticket));
        assert_eq!((token.put(), token.put()), (Some((sleeper, ticket)), None));
        assert!(token.back());
    }
}
