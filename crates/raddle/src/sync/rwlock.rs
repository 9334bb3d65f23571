//! `RwLock`: many readers or one writer. The word is `raddle_core::rwlock_word`'s, the queues are those of [`futex`].
//!
//! Readers wait at the word, writers at an address of their own. Writers are preferred: once one waits, no reader enters. So a thread
//! that reads must not read again: if a writer came in between, both wait for ever.
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
use raddle_core::rwlock_word::{RwLockWord, Seen, Wake};
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;

struct RawRwLock {
    word: RwLockWord,
}

impl RawRwLock {
    const fn new() -> RawRwLock {
        RawRwLock { word: RwLockWord::new() }
    }

    #[inline]
    fn try_read(&self) -> bool {
        self.word.try_read()
    }

    #[inline]
    #[track_caller]
    fn read(&self) {
        if !self.word.try_read_at(self.word.look()) {
            self.read_slowly();
        }
    }

    #[inline]
    fn unread(&self) {
        if let Some(left) = self.word.unread() {
            self.wake(left);
        }
    }

    #[inline]
    fn try_write(&self) -> bool {
        self.word.try_write()
    }

    #[inline]
    #[track_caller]
    fn write(&self) {
        if !self.word.try_write_at_once() {
            self.write_slowly();
        }
    }

    #[inline]
    fn unwrite(&self) {
        if let Some(left) = self.word.unwrite() {
            self.wake(left);
        }
    }

    /// A writer becomes a reader; readers that wait come in beside it, unless a writer waits.
    fn downgrade(&self) {
        if self.word.downgrade() {
            self.wake_readers();
        }
    }

    #[cold]
    #[track_caller]
    fn read_slowly(&self) {
        loop {
            // Whoever finds a writer at work looks for a while; behind one that waits there is nothing to look for.
            let seen = self.spin(|seen| !seen.is_written());
            if seen.is_readable() {
                if self.word.try_read_at(seen) {
                    return;
                }
                continue;
            }
            assert!(!seen.is_full(), "too many readers of one RwLock");
            let Some(seen) = self.word.announce_reader(seen) else { continue };
            let address = self.readers_address();
            let request = Request::at(address, Label::READ.at(address));
            match futex::wait(request, || self.word.is_still(seen)) {
                Ended::Cancelled => cancel::unwind(),
                Ended::Signalled => signals::deliver(),
                _ => {}
            }
        }
    }

    #[cold]
    #[track_caller]
    fn write_slowly(&self) {
        let mut has_waited = false;
        loop {
            let seen = self.spin(|seen| seen.is_free() || seen.has_waiting_writer());
            if seen.is_free() {
                if self.word.try_write_at(seen, has_waited) {
                    return;
                }
                continue;
            }
            if !self.word.announce_writer(seen) {
                continue;
            }
            has_waited = true;
            let Some(turn) = self.word.turn() else { continue };
            let waits_for = Label::WRITE.at(self.readers_address());
            let request = Request::at(self.writers_address(), waits_for);
            match futex::wait(request, || self.word.is_turn(turn)) {
                Ended::Cancelled => {
                    self.writer_gave_up();
                    cancel::unwind();
                }
                Ended::Signalled => {
                    // A handler may take long, or panic: others shall not wait for a writer that is not there.
                    self.writer_gave_up();
                    has_waited = false;
                    signals::deliver();
                }
                _ => {}
            }
        }
    }

    fn writer_gave_up(&self) {
        let _here = Here::enter();
        self.word.give_up();
        futex::wake(self.writers_address(), usize::MAX);
        self.wake_readers();
    }

    /// The lock was left free, with bits set: one writer goes on, or all readers.
    #[cold]
    fn wake(&self, left: Seen) {
        let _here = Here::enter();
        match self.word.claim_wake(left) {
            Wake::Nobody => {}
            Wake::Writer => {
                self.wake_writer();
            }
            Wake::WriterElseReaders => {
                if !self.wake_writer() && self.word.claim_readers() {
                    self.wake_readers();
                }
            }
            Wake::Readers => self.wake_readers(),
        }
    }

    fn wake_writer(&self) -> bool {
        futex::wake(self.writers_address(), 1) > 0
    }

    fn wake_readers(&self) {
        futex::wake(self.readers_address(), usize::MAX);
    }

    /// Looks until `is_enough`, or long enough.
    fn spin(&self, is_enough: impl Fn(Seen) -> bool) -> Seen {
        let mut turns = spinning::turns();
        loop {
            let seen = self.word.look();
            if is_enough(seen) || !turns.next() {
                return seen;
            }
        }
    }

    /// Where readers wait: the lock's address to whoever lists threads.
    fn readers_address(&self) -> usize {
        ptr::from_ref(&self.word).addr()
    }

    /// Where writers wait: inside of the word, so that it is no other lock's.
    fn writers_address(&self) -> usize {
        self.readers_address() + size_of::<RwLockWord>() / 2
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
