//! `Once`: something is done once, and everybody waits until it is.
//!
//! Completed, it costs one load of the word (`raddle_core::once_word`). Those who wait do so at its address; who has done it wakes all.

use crate::cancel;
use crate::futex::{self, Ended, Request};
use crate::label::Label;
use crate::signals;
use raddle_core::once_word::{OnceWord, Phase, Seen};
use std::fmt;
use std::ptr;

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
    word: OnceWord,
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
    is_done: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.once.word.end(self.is_done) {
            futex::wake(self.once.address(), usize::MAX);
        }
    }
}

impl Once {
    /// Nothing has been done.
    #[must_use]
    pub const fn new() -> Once {
        Once { word: OnceWord::new() }
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
        self.word.is_complete()
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
            let seen = self.word.look();
            match seen.phase() {
                Phase::Complete => return,
                Phase::Poisoned if !heeds_no_poison => poisoned(),
                Phase::Running => self.wait_while(seen),
                before => {
                    if !self.word.begin(seen) {
                        continue;
                    }
                    let mut running = Running { once: self, is_done: false };
                    f(&OnceState { was_poisoned: before == Phase::Poisoned });
                    running.is_done = true;
                    return;
                }
            }
        }
    }

    #[track_caller]
    fn wait_done(&self, heeds_no_poison: bool) {
        loop {
            let seen = self.word.look();
            match seen.phase() {
                Phase::Complete => return,
                Phase::Poisoned if !heeds_no_poison => poisoned(),
                _ => self.wait_while(seen),
            }
        }
    }

    /// Waits until the word is not what was seen, perhaps.
    #[track_caller]
    fn wait_while(&self, seen: Seen) {
        let Some(seen) = self.word.announce(seen) else { return };
        let request = Request::at(self.address(), Label::ONCE.at(self.address()));
        match futex::wait(request, || self.word.is_still(seen)) {
            Ended::Cancelled => cancel::unwind(),
            Ended::Signalled => signals::deliver(),
            _ => {}
        }
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.word).addr()
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
