//! What the kernel does with a signal: while somebody listens, a handler of ours; before and after, what it did before.
//!
//! A handler belongs to the whole process, whatever kernel thread the signal arrives on. It runs on the alternate stack, with all signals blocked, and
//! restarts what it interrupts.
//!
//! Rejected: signals that are blocked everywhere, and a `signalfd(2)` (a mask belongs to each kernel thread, also to those that others have made
//! already, and children inherit it: they could not be ended); the bare event queue's watch, which is that.

#![allow(unsafe_code, reason = "a signal handler")]

use super::ear::Ears;
use super::info::Info;
use crate::per_process::PerProcess;
use crate::signals::{Signal, SignalSet};
use crate::sync::{Mutex, PoisonError};
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Who listens in this process.
pub(super) static HEARING: PerProcess<Hearing> = PerProcess::new();

/// The ears, and what is to be done when nobody listens any more.
pub(super) struct Hearing {
    pub(super) ears: Ears,
    taken: Mutex<BTreeMap<Signal, Taken>>,
}

/// A signal that comes to our handler.
struct Taken {
    listeners: usize,
    former: libc::sigaction,
}

impl fmt::Debug for Hearing {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Hearing").field("ears", &self.ears).finish_non_exhaustive()
    }
}

impl Hearing {
    pub(super) fn new() -> Hearing {
        Hearing { ears: Ears::new(), taken: Mutex::new(BTreeMap::new()) }
    }

    /// One more listens to these: from here on they come to our handler. All of them, or none if one of them can't.
    ///
    /// # Errors
    ///
    /// From `sigaction(2)`.
    pub(super) fn attend(&self, signals: SignalSet) -> io::Result<()> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = SignalSet::EMPTY;
        for signal in signals.iter() {
            if let Some(one) = taken.get_mut(&signal) {
                one.listeners += 1;
            } else {
                match exchange(signal, Some(&ours())) {
                    // Inherited by a forked child, as an action; but what it stands for is the parent's.
                    Ok(former) if is_ours(&former) => {
                        taken.insert(signal, Taken { listeners: 1, former: default() });
                    }
                    Ok(former) => {
                        taken.insert(signal, Taken { listeners: 1, former });
                    }
                    Err(error) => {
                        release(&mut taken, done);
                        return Err(error);
                    }
                }
            }
            done = done.with(signal);
        }
        Ok(())
    }

    /// One less listens to these.
    pub(super) fn let_go(&self, signals: SignalSet) {
        release(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner), signals);
    }
}

/// Signals that nobody listens to any more do what they did before; unless somebody has taken them meanwhile.
fn release(taken: &mut BTreeMap<Signal, Taken>, signals: SignalSet) {
    for signal in signals.iter() {
        let Some(one) = taken.get_mut(&signal) else { continue };
        one.listeners -= 1;
        if one.listeners > 0 {
            continue;
        }
        let former = one.former;
        taken.remove(&signal);
        if exchange(signal, None).is_ok_and(|now| is_ours(&now)) {
            // What could be set once can be set again.
            let _ = exchange(signal, Some(&former));
        }
    }
}

/// `sigaction(2)`: what was there.
fn exchange(signal: Signal, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut former = default();
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: reads and writes live structures. Our own handler keeps to what handlers may do; others are put back where they were.
    let result = unsafe { libc::sigaction(signal.number(), new, &raw mut former) };
    if result == 0 { Ok(former) } else { Err(io::Error::last_os_error()) }
}

fn default() -> libc::sigaction {
    // SAFETY: integers and a function's address, which is none: `SIG_DFL`.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn ours() -> libc::sigaction {
    let mut action = default();
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // Handlers don't pile up on the alternate stack.
    // SAFETY: fills a set.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    action
}

fn is_ours(action: &libc::sigaction) -> bool {
    action.sa_sigaction == on_signal as *const () as usize
}

/// On whatever kernel thread the signal arrives, at any instruction. It calls nothing of libc's but what handlers may, and leaves `errno` alone.
extern "C" fn on_signal(number: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    match HEARING.get() {
        Some(hearing) => {
            // SAFETY: the kernel's argument.
            if let Some(info) = unsafe { Info::of_handler(info) } {
                hearing.ears.tell(info);
            }
        }
        // A forked child, where nobody listens: as if raddle were not there. It takes effect when this returns.
        // SAFETY: both may be called in handlers.
        None => unsafe {
            libc::signal(number, libc::SIG_DFL);
            libc::raise(number);
        },
    }
}
