//! A slot for tickets: a question to one kernel thread, which a signal carries there. The signal may come late, twice, or from a
//! stranger; the thread may be gone.
//!
//! ```text
//!   free ──▶ sent ──▶ taken ──▶ answered
//!             └──▶ free: the thread is gone
//! ```
//!
//! A ticket has a number that is never used again. Whoever the signal reaches [takes](TicketSlot::take) the ticket of that number, or
//! nothing: once. As long as a ticket is out, what is asked must not change; so whoever asks waits until each is answered, or was
//! [given up](TicketSlot::give_up) before it was taken.

use crate::sync::{AtomicU64, Ordering, const_but_for_loom};

const FREE: u64 = 0;
const SENT: u64 = 1;
const TAKEN: u64 = 2;
const ANSWERED: u64 = 3;
/// How far the ticket is; above that its number.
const HOW_FAR: u64 = 3;
const NUMBER_SHIFT: u32 = 2;

/// How far a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowFar {
    /// There is none.
    Free,
    /// Nobody has taken it.
    Sent,
    /// Somebody is about to answer.
    Taken,
    /// The answer is in place, and seen.
    Answered,
}

/// The word.
///
/// ```
/// use raddle_core::ticket_slot::{HowFar, TicketSlot};
/// let slot = TicketSlot::new();
/// slot.send(5);
/// assert!(!slot.take(4) && slot.take(5) && !slot.take(5));
/// assert!(!slot.give_up(), "it will be answered");
/// slot.answer(5);
/// assert_eq!((slot.how_far(), slot.number()), (HowFar::Answered, 5));
/// ```
#[derive(Debug)]
pub struct TicketSlot(AtomicU64);

impl TicketSlot {
    const_but_for_loom! {
        /// A free one.
        pub fn new() -> TicketSlot {
            TicketSlot(AtomicU64::new(FREE))
        }
    }

    /// Puts a ticket in the slot, which is free or has an answer that was read. Whoever asks.
    pub fn send(&self, number: u64) {
        // Release: whoever takes it sees what is asked.
        self.0.store(number << NUMBER_SHIFT | SENT, Ordering::Release);
    }

    /// Takes the ticket of that number, if it is there: the caller answers. Whoever the signal reaches.
    #[must_use = "a ticket that was taken is to be answered"]
    pub fn take(&self, number: u64) -> bool {
        let (sent, taken) = (number << NUMBER_SHIFT | SENT, number << NUMBER_SHIFT | TAKEN);
        self.0.compare_exchange(sent, taken, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// The answer to the ticket that was taken is in place.
    pub fn answer(&self, number: u64) {
        self.0.store(number << NUMBER_SHIFT | ANSWERED, Ordering::Release);
    }

    /// The thread is gone. False if the ticket was taken all the same: then it will be answered. Whoever asks.
    pub fn give_up(&self) -> bool {
        let now = self.0.load(Ordering::Relaxed);
        now & HOW_FAR == SENT
            && self.0.compare_exchange(now, FREE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// In a forked child: tickets of the parent's mean nothing.
    pub fn forget(&self) {
        self.0.store(FREE, Ordering::Relaxed);
    }

    /// How far the ticket is.
    pub fn how_far(&self) -> HowFar {
        match self.0.load(Ordering::Acquire) & HOW_FAR {
            FREE => HowFar::Free,
            SENT => HowFar::Sent,
            TAKEN => HowFar::Taken,
            _ => HowFar::Answered,
        }
    }

    /// The number of the ticket. Whoever asks.
    pub fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed) >> NUMBER_SHIFT
    }
}

impl Default for TicketSlot {
    fn default() -> Self {
        Self::new()
    }
}
