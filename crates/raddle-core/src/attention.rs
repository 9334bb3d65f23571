//! The mark that calls a thread to look at its signals, and the sleep that it must not sleep over.
//!
//! ```text
//!   whoever sends                                the thread, or whoever runs after it
//!   the bit is set (`pending`); mark it          PREPARING ─▶ ASLEEP (`state`, an exchange)
//!   is a sleep under way? end it                 is the mark set? end the sleep
//! ```
//!
//! Both write before they look, with full barriers: either the sender finds the sleep, or whoever publishes it finds the mark. A thread
//! that answers takes the mark back *before* it looks at the bits: whoever sends later sets it anew. So each safe point needs to look at
//! the mark only.

use crate::state::{State, Ticket};
use crate::sync::{AtomicU32, Ordering};

/// The mark. It stands in the cache line of the state word, which is written at each sleep.
///
/// ```
/// use raddle_core::{attention::Attention, state::State};
/// let (attention, state) = (Attention::new(), State::new());
/// assert!(attention.call(&state).is_none() && attention.is_called());
/// attention.answer();
/// let ticket = state.prepare();
/// assert_eq!(attention.call(&state), Some(ticket));
/// ```
#[derive(Debug)]
pub struct Attention(AtomicU32);

impl Attention {
    /// Not called.
    pub fn new() -> Attention {
        Attention(AtomicU32::new(0))
    }

    /// Calls the thread of `state`: which sleep of its to end, if one is under way.
    #[must_use = "a thread that sleeps hears nothing"]
    pub fn call(&self, state: &State) -> Option<Ticket> {
        self.remember();
        state.under_way()
    }

    /// The thread, at a moment when it could not answer, calls itself for later.
    pub fn remember(&self) {
        self.0.store(1, Ordering::SeqCst);
    }

    /// Whether the thread was called: for its safe points.
    #[inline]
    pub fn is_called(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Whether the sleep is to be ended that has just been published ([`State::fall_asleep`]).
    #[inline]
    #[must_use = "a thread that sleeps hears nothing"]
    pub fn forbids_sleep(&self) -> bool {
        self.0.load(Ordering::SeqCst) != 0
    }

    /// Takes the mark back. The thread looks at its signals afterwards.
    pub fn answer(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// A new thread has the memory of a former one, whose senders may still be about.
    #[inline]
    pub fn begin(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Default for Attention {
    fn default() -> Self {
        Self::new()
    }
}
