//! `Once`: something is done once, and everybody waits until it is.
//!
//! ```text
//!   INCOMPLETE ──▶ RUNNING ──▶ COMPLETE            all but COMPLETE may have a bit besides: somebody waits
//!        ▲            │
//!   POISONED ◀────────┘ it panicked, or was cancelled
//! ```
//!
//! Completed, it costs one load. Those who wait do so at the state's address; who has done it wakes all.

use crate::cancel;
use crate::futex::{self, Ended, Request};
use crate::label::Label;
use crate::signals;
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

const INCOMPLETE: u32 = 0;
const POISONED: u32 = 1;
const RUNNING: u32 = 2;
const COMPLETE: u32 = 3;
const PHASE: u32 = 3;
const SOMEBODY_WAITS: u32 = 4;

/// Does something once. As `std::sync::Once`.
///
/// ```
/// use raddle::sync::Once;
/// static START: Once = Once::new();
/// let mut times = 0;
/// START.call_once(|| times += 1);
/// START.call_once(|| times += 1);
/// assert_eq!(times, 1);
/// ```
pub struct Once {
    state: AtomicU32,
}

/// What [`Once::call_once_force`] tells its closure. As `std::sync::OnceState`.
pub struct OnceState {
    was_poisoned: bool,
}

impl OnceState {
    /// Whether an earlier closure panicked.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.was_poisoned
    }
}

/// Whoever runs the closure: says how it went, also when it unwinds.
struct Running<'a> {
    once: &'a Once,
    becomes: u32,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let before = self.once.state.swap(self.becomes, Ordering::AcqRel);
        if before & SOMEBODY_WAITS != 0 {
            futex::wake(self.once.address(), usize::MAX);
        }
    }
}

impl Once {
    /// Nothing has been done.
    #[must_use]
    pub const fn new() -> Once {
        Once { state: AtomicU32::new(INCOMPLETE) }
    }

    /// Runs `f`, unless a closure has been run already; waits while another thread runs one. After this it has been done, and what
    /// it wrote is seen.
    ///
    /// # Panics
    ///
    /// If an earlier closure panicked. Unwinds if the calling thread is cancelled while it waits. A closure that calls this for
    /// the same `Once` waits for ever.
    #[inline]
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        if !self.is_completed() {
            let mut f = Some(f);
            self.call(false, &mut |_| f.take().into_iter().for_each(|f| f()));
        }
    }

    /// As [`call_once`](Once::call_once), also if an earlier closure panicked.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits.
    #[inline]
    #[track_caller]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        if !self.is_completed() {
            let mut f = Some(f);
            self.call(true, &mut |state| f.take().into_iter().for_each(|f| f(state)));
        }
    }

    /// Whether it has been done.
    #[inline]
    pub fn is_completed(&self) -> bool {
        // Acquire: what the closure wrote is seen.
        self.state.load(Ordering::Acquire) == COMPLETE
    }

    /// Waits until it has been done by somebody.
    ///
    /// # Panics
    ///
    /// If the closure panicked. Unwinds if the calling thread is cancelled while it waits.
    #[track_caller]
    pub fn wait(&self) {
        self.wait_done(false);
    }

    /// As [`wait`](Once::wait), also past closures that panic, until one has not.
    #[track_caller]
    pub fn wait_force(&self) {
        self.wait_done(true);
    }

    #[cold]
    #[track_caller]
    fn call(&self, heeds_no_poison: bool, f: &mut dyn FnMut(&OnceState)) {
        loop {
            let now = self.state.load(Ordering::Acquire);
            match now & PHASE {
                COMPLETE => return,
                POISONED if !heeds_no_poison => poisoned(),
                RUNNING => self.wait_while(now),
                before => {
                    // Those who wait already stay counted.
                    let started = self.state.compare_exchange_weak(
                        now,
                        RUNNING | now & SOMEBODY_WAITS,
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    );
                    if started.is_err() {
                        continue;
                    }
                    let mut running = Running { once: self, becomes: POISONED };
                    f(&OnceState { was_poisoned: before == POISONED });
                    running.becomes = COMPLETE;
                    return;
                }
            }
        }
    }

    #[track_caller]
    fn wait_done(&self, heeds_no_poison: bool) {
        loop {
            let now = self.state.load(Ordering::Acquire);
            match now & PHASE {
                COMPLETE => return,
                POISONED if !heeds_no_poison => poisoned(),
                _ => self.wait_while(now),
            }
        }
    }

    /// Waits until the state is not `state`, perhaps.
    #[track_caller]
    fn wait_while(&self, state: u32) {
        let waits = state | SOMEBODY_WAITS;
        if state != waits
            && self
                .state
                .compare_exchange_weak(state, waits, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let request = Request::at(self.address(), Label::ONCE.at(self.address()));
        match futex::wait(&self.state, waits, request) {
            Ended::Cancelled => cancel::unwind(),
            Ended::Signalled => signals::deliver(),
            _ => {}
        }
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.state).addr()
    }
}

impl Default for Once {
    fn default() -> Once {
        Once::new()
    }
}

#[cold]
#[track_caller]
fn poisoned() -> ! {
    panic!("Once instance has previously been poisoned");
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl fmt::Debug for OnceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceState").field("poisoned", &self.is_poisoned()).finish()
    }
}
