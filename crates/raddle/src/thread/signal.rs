//! Signals from thread to thread: each has handlers and a mask of its own, and a signal that is sent to a thread reaches that thread.
//!
//! ```
//! use raddle::thread::{self, signal::{self, Handler, Signal}};
//! use std::{sync::mpsc, time::Duration};
//!
//! let (tell, told) = mpsc::channel();
//! let sleeper = thread::spawn(move || {
//!     signal::set_handler(Signal::USR1, Some(Handler::new(|_| println!("still here"))));
//!     tell.send(()).unwrap();
//!     thread::sleep(Duration::from_millis(10));
//! });
//! told.recv().unwrap();
//! sleeper.thread().send_signal(Signal::USR1).unwrap();
//! sleeper.join().unwrap();
//! ```
//!
//! # These are raddle's signals
//!
//! They pass between raddle's threads and know nothing of the kernel's, which are sent to processes and kernel threads: to wait for those is
//! [`raddle::signal`](crate::signal). A plain kernel thread can send these, but not be sent them: it has `pthread_kill`.
//!
//! # When a handler runs
//!
//! On its thread's own stack, as a call from a *safe point*, where it may do whatever code may: allocate, lock, wait,
//! send signals, panic. Safe points are
//!
//! - each call that waits: a lock, a channel, a sleep, a join, a park that finds nothing at once. A thread that waits there is woken,
//!   runs the handler, and goes on waiting, until the same deadline. Nothing that was meant for it is lost;
//! - [`yield_now`](super::yield_now) and [`check`], [`set_mask`] and its kin, [`set_handler`], and sending a signal to
//!   oneself;
//! - the beginning and the end of the thread's function.
//!
//! A thread that only computes sees its signals at its next safe point, as it is with cancellation. A wait in the kernel, be it in a
//! system call or in [`blocking`](crate::blocking), is not interrupted; nor is a `std` lock. Sections behind
//! [`cancel::shield`](crate::cancel::shield), and threads that unwind, see their signals afterwards.
//!
//! [`Condvar::wait`](crate::sync::Condvar::wait) may return early after a handler, as it always may.
//!
//! # What else is as in POSIX, and what is not
//!
//! - A signal that is masked stays pending, once however often it was sent, until it is unmasked. Ends the thread before, it is gone.
//! - While a handler runs its signal is masked; afterwards the mask is what it was before.
//! - Of several that have come, the lowest number is first.
//! - A signal without handler is ignored: nothing ends a thread but itself. It still wakes it for a moment.
//! - A new thread has its parent's mask, and its handlers too: those are the process's in POSIX, and here what comes closest.
//! - A panic in a handler unwinds out of the call that it interrupted, as a cancellation does; a lock that was held is poisoned.
//!   At the end of the thread's function it becomes the thread's result, unless that is a panic already.
//! - What the thread carries (a [`cancel::Token`](crate::cancel::Token), a deadline) reaches waits in handlers.
//! - In a forked child signals are seen where the thread asks or yields.

pub use crate::signals::{Handler, Signal, SignalSet};

use super::Thread;
use crate::signals;
use std::io;

impl Thread {
    /// Sends `signal` to this thread. When this returns the thread has been woken, if it waited; its handler may run later.
    ///
    /// From any thread, and from handlers. A thread that sends to itself has run the handler, unless the signal is masked.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the thread's function has returned; `Unsupported` for a plain kernel thread.
    ///
    /// ```
    /// use raddle::thread::{self, signal::Signal};
    /// let thread = thread::spawn(|| ());
    /// let handle = thread.thread().clone();
    /// thread.join().unwrap();
    /// assert!(handle.send_signal(Signal::USR1).is_err());
    /// ```
    pub fn send_signal(&self, signal: Signal) -> io::Result<()> {
        signals::send(&self.record, signal)
    }
}

/// Gives the calling thread a handler for `signal`, or takes it away; says which there was.
///
/// What has come before finds the former one. On a plain kernel thread it serves threads that it spawns.
///
/// ```
/// use raddle::thread::{self, signal::{self, Handler, Signal}};
/// use std::sync::{Arc, atomic::{AtomicI32, Ordering}};
///
/// let seen = Arc::new(AtomicI32::new(0));
/// let theirs = seen.clone();
/// thread::spawn(move || {
///     let note = Handler::new(move |signal| theirs.store(signal.number(), Ordering::Relaxed));
///     assert!(signal::set_handler(Signal::USR1, Some(note)).is_none());
///     thread::current().send_signal(Signal::USR1).unwrap();
/// })
/// .join()
/// .unwrap();
/// assert_eq!(seen.load(Ordering::Relaxed), Signal::USR1.number());
/// ```
pub fn set_handler(signal: Signal, handler: Option<Handler>) -> Option<Handler> {
    signals::replace_handler(signal, handler)
}

/// A safe point: handlers of signals that have come to the calling thread run now. For loops that compute long.
///
/// ```
/// raddle::thread::spawn(|| (0..1_000).for_each(|_| raddle::thread::signal::check())).join().unwrap();
/// ```
pub fn check() {
    signals::check();
}

/// The calling thread's mask.
///
/// ```
/// use raddle::thread::signal::{self, SignalSet};
/// assert_eq!(raddle::thread::spawn(signal::mask).join().unwrap(), SignalSet::EMPTY);
/// ```
pub fn mask() -> SignalSet {
    SignalSet::from_bits(signals::mask())
}

/// From here on `mask` is the calling thread's mask: those signals stay pending. Says what it was.
///
/// What was pending and is unmasked by this is handled before it returns.
///
/// ```
/// use raddle::thread::{self, signal::{self, Signal, SignalSet}};
/// thread::spawn(|| {
///     let former = signal::set_mask(SignalSet::ALL);
///     thread::current().send_signal(Signal::USR1).unwrap();
///     assert_eq!(signal::pending(), Signal::USR1.into());
///     signal::set_mask(former);
///     assert!(signal::pending().is_empty());
/// })
/// .join()
/// .unwrap();
/// ```
pub fn set_mask(mask: SignalSet) -> SignalSet {
    SignalSet::from_bits(signals::replace_mask(mask.bits()))
}

/// Adds signals to the calling thread's mask. Says what it was.
///
/// ```
/// use raddle::thread::signal::{self, Signal};
/// raddle::thread::spawn(|| {
///     let former = signal::block(Signal::USR1);
///     assert!(former.is_empty() && signal::mask().contains(Signal::USR1));
/// })
/// .join()
/// .unwrap();
/// ```
pub fn block(signals: impl Into<SignalSet>) -> SignalSet {
    let mask = signals::mask() | signals.into().bits();
    SignalSet::from_bits(signals::replace_mask(mask))
}

/// Takes signals out of the calling thread's mask. Says what it was. What was pending of them is handled before it returns.
///
/// ```
/// use raddle::thread::signal::{self, Signal, SignalSet};
/// raddle::thread::spawn(|| {
///     signal::block(SignalSet::ALL);
///     signal::unblock(Signal::USR1);
///     assert!(!signal::mask().contains(Signal::USR1));
/// })
/// .join()
/// .unwrap();
/// ```
pub fn unblock(signals: impl Into<SignalSet>) -> SignalSet {
    let mask = signals::mask() & !signals.into().bits();
    SignalSet::from_bits(signals::replace_mask(mask))
}

/// Signals that have come to the calling thread and were not handled yet: those that are masked, above all.
///
/// ```
/// use raddle::thread::signal;
/// assert!(raddle::thread::spawn(signal::pending).join().unwrap().is_empty());
/// ```
pub fn pending() -> SignalSet {
    SignalSet::from_bits(signals::pending())
}
