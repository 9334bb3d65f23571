//! `RwLock`: many readers or one writer.
//!
//! ```text
//!   31                30                29            0
//!   +-----------------+-----------------+-------------+
//!   | writers wait    | readers wait    | readers     |   all ones: a writer has it
//!   +-----------------+-----------------+-------------+
//! ```
//!
//! The protocol is that of std's futex lock. Readers and writers wait at two addresses: readers at the state, writers at a
//! counter that goes up whenever one of them is to be woken. Whoever leaves the lock free wakes one writer, or else all
//! readers. *Writers are preferred*: once one waits, no reader enters, so that a stream of readers ends; readers that wait
//! come after it. So a thread that reads must not read again: if a writer came in between, both wait for ever.
//!
//! Unlike std's, the count of woken writers is exact (`futex`), and who is cancelled while it waits takes its bit along: otherwise
//! readers would wait for a writer that is gone.

#![allow(unsafe_code, reason = "a lock hands out access to what it guards")]

use super::poison::{Flag, LockResult, TryLockError, TryLockResult, Unwinding};
use super::spinning;
use crate::cancel;
use crate::futex::{self, Ended, Request};
use crate::label::Label;
use crate::sched::enter::Here;
use crate::signals;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

const READERS: u32 = (1 << 30) - 1;
const WRITTEN: u32 = READERS;
const MOST_READERS: u32 = READERS - 1;
const READERS_WAIT: u32 = 1 << 30;
const WRITERS_WAIT: u32 = 1 << 31;

fn is_free(state: u32) -> bool {
    state & READERS == 0
}

/// Readers enter while no writer is there or waits; not before readers that wait, who would be forgotten.
fn is_readable(state: u32) -> bool {
    state & READERS < MOST_READERS && state & (READERS_WAIT | WRITERS_WAIT) == 0
}

struct RawRwLock {
    state: AtomicU32,
    /// Goes up when a writer is to be woken.
    writers: AtomicU32,
}

impl RawRwLock {
    const fn new() -> RawRwLock {
        RawRwLock { state: AtomicU32::new(0), writers: AtomicU32::new(0) }
    }

    #[inline]
    fn try_read(&self) -> bool {
        self.state
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |state| {
                is_readable(state).then(|| state + 1)
            })
            .is_ok()
    }

    #[inline]
    #[track_caller]
    fn read(&self) {
        let state = self.state.load(Ordering::Relaxed);
        let entered = is_readable(state)
            && self
                .state
                .compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if !entered {
            self.read_slowly();
        }
    }

    #[inline]
    fn unread(&self) {
        let state = self.state.fetch_sub(1, Ordering::Release) - 1;
        // Readers wait only if a writer does or did.
        if is_free(state) && state & (WRITERS_WAIT | READERS_WAIT) != 0 {
            self.wake(state);
        }
    }

    #[inline]
    fn try_write(&self) -> bool {
        self.state
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |state| {
                is_free(state).then_some(state | WRITTEN)
            })
            .is_ok()
    }

    #[inline]
    #[track_caller]
    fn write(&self) {
        if self.state.compare_exchange(0, WRITTEN, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.write_slowly();
        }
    }

    #[inline]
    fn unwrite(&self) {
        let state = self.state.fetch_sub(WRITTEN, Ordering::Release) - WRITTEN;
        if state != 0 {
            self.wake(state);
        }
    }

    /// A writer becomes a reader; readers that wait come in beside it, unless a writer waits.
    fn downgrade(&self) {
        let state = self.state.fetch_sub(WRITTEN - 1, Ordering::Release) - (WRITTEN - 1);
        if state & (READERS_WAIT | WRITERS_WAIT) == READERS_WAIT {
            self.state.fetch_and(!READERS_WAIT, Ordering::Relaxed);
            futex::wake(self.state_address(), usize::MAX);
        }
    }

    #[cold]
    #[track_caller]
    fn read_slowly(&self) {
        loop {
            // Whoever finds a writer at work looks for a while; behind one that waits there is nothing to look for.
            let mut state = self.spin(|state| state != WRITTEN);
            if is_readable(state) {
                let entered = self.state.compare_exchange_weak(
                    state,
                    state + 1,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                );
                if entered.is_ok() {
                    return;
                }
                continue;
            }
            assert!(state & READERS != MOST_READERS, "too many readers of one RwLock");
            if state & READERS_WAIT == 0 {
                // A lock that nobody holds will be released by nobody: it belongs to the writer that is on its way, whose
                // release finds this bit.
                let waits = state | READERS_WAIT;
                if self.exchange(state, waits).is_err() {
                    continue;
                }
                state = waits;
            }
            let request = Request::at(self.state_address(), Label::READ.at(self.state_address()));
            match futex::wait(&self.state, state, request) {
                Ended::Cancelled => cancel::unwind(),
                Ended::Signalled => signals::deliver(),
                _ => {}
            }
        }
    }

    #[cold]
    #[track_caller]
    fn write_slowly(&self) {
        // Once it has waited, others may wait behind it that it can't see: it keeps the bit for them.
        let mut others = 0;
        loop {
            let state = self.spin(|state| is_free(state) || state & WRITERS_WAIT != 0);
            if is_free(state) {
                let taken = self.state.compare_exchange_weak(
                    state,
                    state | WRITTEN | others,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                );
                if taken.is_ok() {
                    return;
                }
                continue;
            }
            if state & WRITERS_WAIT == 0 && self.exchange(state, state | WRITERS_WAIT).is_err() {
                continue;
            }
            others = WRITERS_WAIT;
            let turn = self.writers.load(Ordering::Acquire);
            // The lock may have been left meanwhile, before this turn was read: then nobody will call the next one.
            let state = self.state.load(Ordering::Relaxed);
            if is_free(state) || state & WRITERS_WAIT == 0 {
                continue;
            }
            let request =
                Request::at(self.writers_address(), Label::WRITE.at(self.state_address()));
            match futex::wait(&self.writers, turn, request) {
                Ended::Cancelled => {
                    self.writer_gave_up();
                    cancel::unwind();
                }
                Ended::Signalled => {
                    // A handler may take long, or panic: others shall not wait for a writer that is not there.
                    self.writer_gave_up();
                    others = 0;
                    signals::deliver();
                }
                _ => {}
            }
        }
    }

    /// Nobody may be left whose bit this was, and readers wait for it: all look again, and those who still wait say so.
    fn writer_gave_up(&self) {
        let _here = Here::enter();
        self.state.fetch_and(!(WRITERS_WAIT | READERS_WAIT), Ordering::Relaxed);
        self.writers.fetch_add(1, Ordering::Release);
        futex::wake(self.writers_address(), usize::MAX);
        futex::wake(self.state_address(), usize::MAX);
    }

    /// The lock was left free, with bits set: one writer goes on, or all readers.
    #[cold]
    fn wake(&self, mut state: u32) {
        let _here = Here::enter();
        // Whoever takes the lock meanwhile keeps the bits and wakes when it leaves.
        if state == WRITERS_WAIT {
            match self.exchange(state, 0) {
                Ok(_) => {
                    self.wake_writer();
                    return;
                }
                Err(now) => state = now,
            }
        }
        if state == READERS_WAIT | WRITERS_WAIT {
            if self.exchange(state, READERS_WAIT).is_err() {
                return;
            }
            if self.wake_writer() {
                return;
            }
            // There was none: it was cancelled, or had not begun to wait.
            state = READERS_WAIT;
        }
        if state == READERS_WAIT && self.exchange(state, 0).is_ok() {
            futex::wake(self.state_address(), usize::MAX);
        }
    }

    fn wake_writer(&self) -> bool {
        self.writers.fetch_add(1, Ordering::Release);
        futex::wake(self.writers_address(), 1) > 0
    }

    fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.state.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
    }

    /// Looks until `is_enough`, or long enough.
    fn spin(&self, is_enough: impl Fn(u32) -> bool) -> u32 {
        let mut turns = spinning::turns();
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if is_enough(state) || !turns.next() {
                return state;
            }
        }
    }

    fn state_address(&self) -> usize {
        ptr::from_ref(&self.state).addr()
    }

    fn writers_address(&self) -> usize {
        ptr::from_ref(&self.writers).addr()
    }
}

/// A value that many may read or one may write. As `std::sync::RwLock`.
///
/// Writers are preferred: while one waits, no further reader enters. So a thread that holds a read guard must not ask for a second one.
///
/// ```
/// use raddle::sync::RwLock;
/// let lock = RwLock::new(5);
/// {
///     let (one, two) = (lock.read().unwrap(), lock.try_read().unwrap());
///     assert_eq!(*one + *two, 10);
///     assert!(lock.try_write().is_err());
/// }
/// *lock.write().unwrap() += 1;
/// assert_eq!(lock.into_inner().unwrap(), 6);
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    poison: Flag,
    value: UnsafeCell<T>,
}

// SAFETY: as a mutex's; shared guards in several threads need the value to be Sync besides.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// SAFETY: a lock that moves takes its value along.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}

impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

/// Shared access to a lock's value. As `std::sync::RwLockReadGuard`.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    not_send: PhantomData<*mut ()>,
}

/// Exclusive access to a lock's value. As `std::sync::RwLockWriteGuard`.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    unwinding: Unwinding,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<T> RwLock<T> {
    /// A lock around `value`, free.
    #[inline]
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { raw: RawRwLock::new(), poison: Flag::new(), value: UnsafeCell::new(value) }
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// If the lock is poisoned; the value is in the error.
    pub fn into_inner(self) -> LockResult<T> {
        let poison = self.poison;
        poison.check(self.value.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Shared access; waits as long as a writer has the lock, or waits for it.
    ///
    /// # Errors
    ///
    /// If a writer panicked, or was cancelled, while it held the lock. Readers don't poison. The guard is in the error.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits. If there are 2^30 readers.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.raw.read();
        self.poison.check(RwLockReadGuard { lock: self, not_send: PhantomData })
    }

    /// Shared access, if it is to be had at once.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, also while a writer waits; `Poisoned`, with the guard.
    #[inline]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        if !self.raw.try_read() {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.poison.check(RwLockReadGuard { lock: self, not_send: PhantomData })?)
    }

    /// Exclusive access; waits as long as anybody else has the lock.
    ///
    /// # Errors
    ///
    /// As [`read`](RwLock::read).
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.raw.write();
        self.write_guard()
    }

    /// Exclusive access, if it is to be had at once.
    ///
    /// # Errors
    ///
    /// `WouldBlock`; `Poisoned`, with the guard.
    #[inline]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        if !self.raw.try_write() {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.write_guard()?)
    }

    fn write_guard(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let unwinding = self.poison.taken();
        self.poison.check(RwLockWriteGuard { lock: self, unwinding, not_send: PhantomData })
    }

    /// Whether a writer panicked while it held the lock.
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Makes a poisoned lock usable again.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The value, without locking.
    ///
    /// # Errors
    ///
    /// If the lock is poisoned; the value is in the error.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let RwLock { poison, value, .. } = self;
        poison.check(value.get_mut())
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Turns exclusive access into shared access, without letting a writer in between.
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let lock = this.lock;
        std::mem::forget(this);
        lock.raw.downgrade();
        RwLockReadGuard { lock, not_send: PhantomData }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unread();
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.poison.released(self.unwinding);
        self.lock.raw.unwrite();
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: no writer comes in as long as the guard lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: nobody else comes in as long as the guard lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => debug.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => debug.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => debug.field("data", &format_args!("<locked>")),
        };
        debug.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}
