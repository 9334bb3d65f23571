//! `Condvar`: waiting for what a mutex guards to become different.
//!
//! A waiter enters the queue *before* it releases the mutex, so who changes the value under the mutex and then notifies, finds it:
//! no counter is needed, and a notification wakes exactly one, the first who came.
//!
//! ```text
//!   waiter: enter the condvar's queue ── release the mutex ── park ── take the mutex
//!   notify: first of the queue ──┬── mutex free: wake it
//!                                └── mutex held: move it to the mutex's queue; the release wakes it
//! ```
//!
//! Whoever notifies mostly holds the mutex. Woken at once, the waiter would run into it and park again: two switches for
//! nothing, and as many for each of a thousand waiters. So it is *moved* (Linux's `FUTEX_CMP_REQUEUE`, parking_lot's
//! `unpark_requeue`): its node carries the mutex's address, and what it wakes for is having the lock.
//!
//! *Timeout against notify*: one of them ends the sleep, the other finds it ended. A waiter that was moved has been notified, whatever its
//! deadline says later. *Cancel against notify*: who is cancelled in the queue leaves it, and a notification goes to the next; who
//! was notified first returns as usual, and hears of the cancellation at its next wait.

use super::mutex::MutexGuard;
use super::poison::{LockResult, map};
use super::raw::RawMutex;
use crate::cancel;
use crate::futex::{self, Ended, MovedOne, Request};
use crate::host;
use crate::label::{Label, WaitsFor};
use crate::signals;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Lets threads wait for what a [`Mutex`](super::Mutex) guards to change. As `std::sync::Condvar`.
///
/// Each wait may use another mutex: std forbids that, here it makes no difference.
///
/// ```
/// use raddle::sync::{Condvar, Mutex};
/// use raddle::thread;
///
/// let (is_open, opened) = (Mutex::new(false), Condvar::new());
/// thread::scope(|s| {
///     s.spawn(|| {
///         *is_open.lock().unwrap() = true;
///         opened.notify_one();
///     });
///     let open = opened.wait_while(is_open.lock().unwrap(), |open| !*open).unwrap();
///     assert!(*open);
/// });
/// ```
#[derive(Debug, Default)]
pub struct Condvar {
    /// Somebody waits, or did a moment ago. Written under the queue's lock.
    has_waiters: AtomicBool,
}

/// Whether a wait ended because its time was over. As `std::sync::WaitTimeoutResult`, which others can't make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was over before a notification came.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition variable that nobody waits for.
    #[must_use]
    pub const fn new() -> Condvar {
        Condvar { has_waiters: AtomicBool::new(false) }
    }

    /// Releases the mutex, waits for a notification, and takes the mutex again. It may also return without one: the caller looks
    /// whether what it waits for has come.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned; the guard is in the error.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits, without having taken the mutex again: it is not poisoned.
    #[track_caller]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.wait_until(guard, self.label(), None).0
    }

    /// As [`wait`](Condvar::wait), until `condition` is false.
    ///
    /// # Errors
    ///
    /// As [`wait`](Condvar::wait).
    #[track_caller]
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        self.wait_as(self.label(), guard, condition)
    }

    /// As [`wait_while`](Condvar::wait_while), for what a condition variable is a part of.
    #[track_caller]
    pub(super) fn wait_as<'a, T: ?Sized>(
        &self,
        waits_for: WaitsFor,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut *guard) {
            guard = self.wait_until(guard, waits_for, None).0?;
        }
        Ok(guard)
    }

    /// As [`wait`](Condvar::wait), for `timeout` at most, but for the time that taking the mutex again needs.
    ///
    /// # Errors
    ///
    /// As [`wait`](Condvar::wait).
    ///
    /// ```
    /// use raddle::sync::{Condvar, Mutex};
    /// use std::time::Duration;
    ///
    /// let mutex = Mutex::new(());
    /// let never = Condvar::new();
    /// let (_guard, result) = never.wait_timeout(mutex.lock().unwrap(), Duration::from_millis(1)).unwrap();
    /// assert!(result.timed_out());
    /// ```
    #[track_caller]
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let (guard, timed_out) = self.wait_until(guard, self.label(), Some(deadline_in(timeout)));
        map(guard, |guard| (guard, WaitTimeoutResult(timed_out)))
    }

    /// As [`wait_timeout`](Condvar::wait_timeout), until `condition` is false. The time is that of all waits together.
    ///
    /// # Errors
    ///
    /// As [`wait`](Condvar::wait).
    #[track_caller]
    pub fn wait_timeout_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let deadline_ns = deadline_in(timeout);
        let mut timed_out = false;
        loop {
            if !condition(&mut *guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            if timed_out {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            let (again, is_over) = self.wait_until(guard, self.label(), Some(deadline_ns));
            timed_out = is_over;
            match again {
                Ok(again) => guard = again,
                again => return map(again, |guard| (guard, WaitTimeoutResult(is_over))),
            }
        }
    }

    /// Wakes one who waits, if there is any.
    ///
    /// The caller need not hold the mutex; but who changes what is waited for without it may come between a waiter's look and
    /// its wait.
    #[inline]
    pub fn notify_one(&self) {
        // Relaxed: who waits has released the mutex, and the caller has held it since: that orders the two.
        if self.has_waiters.load(Ordering::Relaxed) {
            self.wake_first(u64::MAX);
        }
    }

    /// Wakes all who wait.
    #[inline]
    pub fn notify_all(&self) {
        if self.has_waiters.load(Ordering::Relaxed) {
            self.wake_all();
        }
    }

    #[cold]
    fn wake_first(&self, before: u64) -> bool {
        let moved = futex::move_one(
            self.address(),
            before,
            Label::MUTEX,
            |mutex| mutex_at(mutex).is_some_and(RawMutex::takes_waiter),
            |others| self.has_waiters.store(others, Ordering::Relaxed),
        );
        moved != MovedOne::Nobody
    }

    #[cold]
    fn wake_all(&self) {
        // Who waits again meanwhile is not meant.
        let before = futex::came(self.address());
        while self.wake_first(before) {}
    }

    fn label(&self) -> WaitsFor {
        Label::CONDVAR.at(self.address())
    }

    fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// Whether the time was over, beside the lock.
    #[track_caller]
    fn wait_until<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        waits_for: WaitsFor,
        deadline_ns: Option<u64>,
    ) -> (LockResult<MutexGuard<'a, T>>, bool) {
        let (mutex, unwinding) = guard.suspend();
        let raw = mutex.raw();
        let tag = ptr::from_ref(raw).expose_provenance();
        let request = Request { tag, deadline_ns, ..Request::at(self.address(), waits_for) };
        let is_needed = || {
            self.has_waiters.store(true, Ordering::Relaxed);
            true
        };
        let release = || {
            mutex.note_release(unwinding);
            raw.unlock();
        };
        let left = |address, others| {
            if address == tag {
                raw.waiter_left(others);
            } else {
                self.has_waiters.store(others, Ordering::Relaxed);
            }
        };
        let ended = futex::wait_with(request, is_needed, release, left);
        match ended {
            Ended::Cancelled => cancel::unwind(),
            // Without the lock, which a handler may want. A notification that comes meanwhile may find nobody here, so the wait is
            // over.
            Ended::Signalled => signals::deliver(),
            _ => {}
        }
        raw.lock_after(ended);
        (MutexGuard::resume(mutex), ended == Ended::TimedOut)
    }
}

/// The lock whose address a waiter's tag is.
#[allow(unsafe_code, reason = "a lock that a waiter has borrowed, reached through its tag")]
fn mutex_at<'a>(tag: usize) -> Option<&'a RawMutex> {
    // SAFETY: tags of a condvar's waiters are addresses of locks that they have borrowed, exposed in `wait_until`; this is used
    // under the queue's lock only, so the waiter has not returned.
    unsafe { ptr::with_exposed_provenance::<RawMutex>(tag).as_ref() }
}

fn deadline_in(timeout: Duration) -> u64 {
    let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    host::now_ns().saturating_add(ns)
}
