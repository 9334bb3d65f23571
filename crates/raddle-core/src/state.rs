//! The state word of a thread that can sleep: who may wake it, for what reason, and only once.
//!
//! ```text
//!   63                         24 23            8 7      0
//!   +----------------------------+---------------+--------+
//!   | number of the sleep        | reason        | phase  |
//!   +----------------------------+---------------+--------+
//!
//!            prepare (its own thread)
//!   AWAKE ────────────────────────────▶ PREPARING ──── retract (its own thread) ───▶ AWAKE
//!     ▲                                   │     │
//!     │                           wake ①  │     │ fall_asleep ② (whoever runs after it on its core)
//!     │                                   ▼     ▼
//!     └──── prepare, later ──────────── WOKEN ◀─ ASLEEP ── hold ──▶ HELD
//!                                           wake ③   ◀── dropped ──
//! ```
//!
//! A *sleep* has a number. Whoever is to wake the thread holds a [`Ticket`] with that number: a timer, a queue of a mutex, a
//! token that cancels. They may all try, at any time, also long after the sleep is over: the number gives a late one away, and of
//! those that are in time exactly one succeeds. So a waker never has to be taken back before the sleeper goes on,
//! and no lock orders time-outs against notifications.
//!
//! ① finds the thread still on its way to sleep: nothing is to be done, as the thread, or ② on its behalf, sees it.
//! ② says that the thread is off its stack, wholly saved. ③ is therefore the one that may make it runnable.
//!
//! HELD is asleep with somebody's finger on it: who prints backtraces *holds* a sleeping thread while it looks at the stack. A waker
//! that comes meanwhile spins, so a hold is short and its holder waits for nobody.
//!
//! The memory of the word must stay valid as long as anybody has a ticket, so words are never freed, only used again by a
//! later thread, which goes on counting where the former stopped. 2^40 sleeps of 50 ns pass in 15 hours; for a false match the
//! ticket must be as old, to the number.
//!
//! Rejected: a flag that every waker sets and the sleeper clears (a late time-out then wakes the next sleep); a lock around
//! sleeper and wakers (timers and queues have locks of their own, in opposite orders).

use crate::sync::{AtomicU64, Ordering, spin_loop};

/// Nobody may wake it: it runs, or is ready to.
const AWAKE: u64 = 0;
/// On its way to sleep: a waker that comes now is heard, but the thread is not off its stack yet.
const PREPARING: u64 = 1;
/// Off its stack: whoever wakes it must make it runnable.
const ASLEEP: u64 = 2;
/// Somebody has woken it; the reason stands beside it.
const WOKEN: u64 = 3;
/// Asleep, and somebody looks at its stack: whoever would wake it waits a moment.
const HELD: u64 = 4;

const PHASE: u64 = 0xff;
const REASON_SHIFT: u32 = 8;
const NUMBER_SHIFT: u32 = 24;
const NUMBER: u64 = u64::MAX << NUMBER_SHIFT;

/// One sleep of one thread: what a waker must present. The word itself is the caller's to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl Ticket {
    /// Bits that are 0 in every ticket's [number](Self::to_bits): for who wants to mark one that he keeps.
    ///
    /// ```
    /// use raddle_core::state::{State, Ticket};
    /// assert_eq!(State::new().prepare().to_bits() & Ticket::SPARE, 0);
    /// ```
    pub const SPARE: u64 = !NUMBER;

    /// The ticket as a number, to be kept in an atomic; [`from_bits`](Self::from_bits) is the way back. Never 0.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The ticket that [`to_bits`](Self::to_bits) gave.
    pub fn from_bits(bits: u64) -> Ticket {
        Ticket(bits)
    }
}

/// What a call of [`State::wake`] did, and so what is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a thread that was asleep must be made runnable"]
pub enum Woke {
    /// Nothing: the sleep is over, or somebody else was first.
    TooLate,
    /// The thread had not left its stack: it, or whoever runs after it, finds the reason.
    OnItsWay,
    /// The thread was asleep. The caller, and nobody else, makes it runnable.
    Asleep,
}

/// The state word.
///
/// ```
/// use raddle_core::state::{State, Woke};
/// let state = State::new();
/// let ticket = state.prepare();
/// assert_eq!(state.fall_asleep(ticket), Ok(()));
/// assert_eq!(state.wake(ticket, 7), Woke::Asleep);
/// assert_eq!(state.wake(ticket, 8), Woke::TooLate);
/// assert_eq!(state.reason(ticket), Some(7));
/// ```
#[derive(Debug)]
pub struct State(AtomicU64);

impl State {
    /// The word of a thread that has not slept yet.
    pub fn new() -> State {
        State(AtomicU64::new(AWAKE))
    }

    /// The reason with which the last sleep was ended, if it was. For whoever has the woken thread in hand: else it is out of date
    /// at once.
    pub fn last_reason(&self) -> Option<u16> {
        let now = self.0.load(Ordering::Relaxed);
        (now & PHASE == WOKEN).then(|| reason_of(now))
    }

    /// Begins a sleep. Only the thread itself calls it, and not while another sleep is under way.
    #[inline]
    pub fn prepare(&self) -> Ticket {
        let before = self.0.load(Ordering::Relaxed);
        debug_assert!(
            matches!(before & PHASE, AWAKE | WOKEN),
            "a thread began to sleep while it slept"
        );
        let number = (before & NUMBER).wrapping_add(1 << NUMBER_SHIFT);
        // No exchange: late wakers compare with an earlier number and change nothing. Release, so that a waker that
        // finds the ticket anywhere finds the word prepared.
        self.0.store(number | PREPARING, Ordering::Release);
        Ticket(number)
    }

    /// Takes the preparation back: the thread goes on. `Err` with the reason if somebody has woken it already.
    ///
    /// Only the thread itself calls it.
    #[inline]
    pub fn retract(&self, ticket: Ticket) -> Result<(), u16> {
        self.leave_preparation(ticket, AWAKE)
    }

    /// Says that the thread is off its stack. `Err` with the reason if somebody has woken it: it is runnable, and the caller sees
    /// to it.
    #[inline]
    pub fn fall_asleep(&self, ticket: Ticket) -> Result<(), u16> {
        self.leave_preparation(ticket, ASLEEP)
    }

    #[inline]
    fn leave_preparation(&self, ticket: Ticket, phase: u64) -> Result<(), u16> {
        // Release at least: whoever wakes it may resume it, and needs to see it saved. More, for the sake of `under_way`: the
        // instruction is the same. Acquire: what its waker wrote before.
        match self.0.compare_exchange(
            ticket.0 | PREPARING,
            ticket.0 | phase,
            Ordering::SeqCst,
            Ordering::Acquire,
        ) {
            Ok(_) => Ok(()),
            Err(now) => {
                debug_assert_eq!(now & (NUMBER | PHASE), ticket.0 | WOKEN);
                Err(reason_of(now))
            }
        }
    }

    /// Wakes the thread from the sleep that `ticket` names, unless that is over or somebody was first.
    #[inline]
    pub fn wake(&self, ticket: Ticket, reason: u16) -> Woke {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let woke = match now & PHASE {
                _ if now & NUMBER != ticket.0 => return Woke::TooLate,
                PREPARING => Woke::OnItsWay,
                ASLEEP => Woke::Asleep,
                HELD => {
                    spin_loop();
                    now = self.0.load(Ordering::Relaxed);
                    continue;
                }
                _ => return Woke::TooLate,
            };
            let woken = ticket.0 | u64::from(reason) << REASON_SHIFT | WOKEN;
            match self.0.compare_exchange_weak(now, woken, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return woke,
                Err(changed) => now = changed,
            }
        }
    }

    /// Why the thread was woken from this sleep; `None` while it was not.
    #[inline]
    pub fn reason(&self, ticket: Ticket) -> Option<u16> {
        let now = self.0.load(Ordering::Acquire);
        (now & (NUMBER | PHASE) == ticket.0 | WOKEN).then(|| reason_of(now))
    }

    /// The sleep that is under way, on its way or asleep: for those who would end it whatever it is.
    ///
    /// A sender leaves a mark and then looks here; whoever runs after the sleeper says [`fall_asleep`](Self::fall_asleep) and then
    /// looks at the mark. If both are sequentially consistent, one of the two sees the other.
    ///
    /// ```
    /// use raddle_core::state::State;
    /// let state = State::new();
    /// assert!(state.under_way().is_none());
    /// let ticket = state.prepare();
    /// assert_eq!(state.under_way(), Some(ticket));
    /// assert_eq!(state.retract(ticket), Ok(()));
    /// assert!(state.under_way().is_none());
    /// ```
    pub fn under_way(&self) -> Option<Ticket> {
        let now = self.0.load(Ordering::SeqCst);
        matches!(now & PHASE, PREPARING | ASLEEP | HELD).then(|| Ticket(now & NUMBER))
    }

    /// Whether the thread is off its stack at this moment: for those who print lists of threads.
    pub fn is_asleep(&self) -> bool {
        matches!(self.0.load(Ordering::Relaxed) & PHASE, ASLEEP | HELD)
    }

    /// Keeps a sleeping thread asleep as long as the value lives, so that its stack can be looked at; `None` if it does not sleep, or
    /// somebody else holds it.
    ///
    /// Wakers spin meanwhile: the caller keeps it short, and waits for nobody.
    ///
    /// ```
    /// use raddle_core::state::{State, Woke};
    /// let state = State::new();
    /// assert!(state.hold().is_none());
    /// let ticket = state.prepare();
    /// assert_eq!(state.fall_asleep(ticket), Ok(()));
    /// drop(state.hold().expect("it sleeps"));
    /// assert_eq!(state.wake(ticket, 0), Woke::Asleep);
    /// ```
    pub fn hold(&self) -> Option<Held<'_>> {
        let now = self.0.load(Ordering::Relaxed);
        if now & PHASE != ASLEEP {
            return None;
        }
        // Acquire: what was saved before the thread fell asleep is about to be read.
        self.0
            .compare_exchange(now, now & !PHASE | HELD, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        Some(Held { state: self, asleep: now })
    }

    /// Undoes a [`hold`](State::hold) whose holder is gone: in a forked child, where it would be held for ever.
    ///
    /// ```
    /// use raddle_core::state::{State, Woke};
    /// let state = State::new();
    /// let ticket = state.prepare();
    /// state.fall_asleep(ticket).unwrap();
    /// std::mem::forget(state.hold());
    /// state.let_go();
    /// assert_eq!(state.wake(ticket, 0), Woke::Asleep);
    /// ```
    pub fn let_go(&self) {
        let now = self.0.load(Ordering::Relaxed);
        if now & PHASE == HELD {
            self.0.store(now & !PHASE | ASLEEP, Ordering::Relaxed);
        }
    }
}

/// A sleeping thread that nobody can wake while this lives: see [`State::hold`].
#[derive(Debug)]
#[must_use = "dropped, the thread can be woken again"]
pub struct Held<'a> {
    state: &'a State,
    asleep: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // No exchange: while the word says HELD nobody else changes it. Release: whoever wakes the thread next comes after the look.
        self.state.0.store(self.asleep, Ordering::Release);
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

fn reason_of(word: u64) -> u16 {
    (word >> REASON_SHIFT) as u16
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_late_waker_does_not_reach_the_next_sleep() {
        let state = State::new();
        let first = state.prepare();
        assert_eq!(state.retract(first), Ok(()));
        let second = state.prepare();
        assert_ne!(first, second);
        assert_eq!(state.wake(first, 1), Woke::TooLate);
        assert_eq!(state.fall_asleep(second), Ok(()));
        assert_eq!(state.wake(first, 1), Woke::TooLate);
        assert_eq!(state.wake(second, 2), Woke::Asleep);
        assert_eq!(state.reason(second), Some(2));
        assert_eq!(state.reason(first), None);
    }

    #[test]
    fn a_waker_that_comes_early_is_heard() {
        let state = State::new();
        let ticket = state.prepare();
        assert_eq!(state.wake(ticket, 3), Woke::OnItsWay);
        assert_eq!(state.fall_asleep(ticket), Err(3));
        assert_eq!(state.retract(ticket), Err(3));
        assert_eq!(state.wake(ticket, 4), Woke::TooLate);
    }

    #[test]
    fn a_thread_is_held_by_one_at_a_time_and_only_asleep() {
        let state = State::new();
        let ticket = state.prepare();
        assert!(state.hold().is_none());
        assert_eq!(state.fall_asleep(ticket), Ok(()));
        let held = state.hold();
        assert!(held.is_some() && state.is_asleep() && state.hold().is_none());
        assert_eq!(state.reason(ticket), None);
        drop(held);
        assert_eq!(state.wake(ticket, 5), Woke::Asleep);
        assert!(state.hold().is_none());
    }

    #[test]
    fn every_reason_fits() {
        let state = State::new();
        for reason in [0, 1, 255, 256, u16::MAX] {
            let ticket = state.prepare();
            assert_eq!(state.wake(ticket, reason), Woke::OnItsWay);
            assert_eq!(state.reason(ticket), Some(reason));
        }
    }

    #[test]
    fn a_ticket_survives_its_bits() {
        let state = State::new();
        let ticket = state.prepare();
        assert_ne!(ticket.to_bits(), 0);
        assert_eq!(Ticket::from_bits(ticket.to_bits()), ticket);
    }
}
