//! `Mutex`: the raw lock around a value.
//!
//! As std's to the letter, so that `use std::sync` can become `use raddle::sync`. It parks threads of raddle's, and kernel threads
//! too, in one queue, so either kind waits for the other. Guards are not `Send`, as std's are not, though nothing here
//! would mind: code that is generic over both should not compile with one only.

#![allow(unsafe_code, reason = "a lock hands out exclusive access to what it guards")]

use super::poison::{Flag, LockResult, TryLockError, TryLockResult, Unwinding};
use super::raw::RawMutex;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A value that one thread at a time may touch. As `std::sync::Mutex`.
///
/// ```
/// use raddle::sync::{Arc, Mutex};
/// use raddle::thread;
///
/// let sum = Arc::new(Mutex::new(0));
/// let adders: Vec<_> = (1..=10)
///     .map(|number| {
///         let sum = sum.clone();
///         thread::spawn(move || *sum.lock().unwrap() += number)
///     })
///     .collect();
/// for adder in adders {
///     adder.join().unwrap();
/// }
/// assert_eq!(*sum.lock().unwrap(), 55);
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    poison: Flag,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one thread at a time, which needs it to be Send and no more.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: a mutex that moves takes its value along.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

/// Exclusive access to a mutex's value; dropped, the lock is released. As `std::sync::MutexGuard`.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    unwinding: Unwinding,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    /// A mutex around `value`, free.
    #[inline]
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { raw: RawMutex::new(), poison: Flag::new(), value: UnsafeCell::new(value) }
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned; the value is in the error.
    pub fn into_inner(self) -> LockResult<T> {
        let poison = self.poison;
        poison.check(self.value.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock; waits as long as somebody else has it.
    ///
    /// # Errors
    ///
    /// If a thread panicked, or was cancelled, while it held the lock. The guard is in the error: the lock is taken.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits. A thread that takes a lock which it holds already waits for ever.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.raw.lock();
        self.guard()
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it is not; `Poisoned`, with the guard, as [`lock`](Mutex::lock).
    ///
    /// ```
    /// use raddle::sync::Mutex;
    /// let mutex = Mutex::new(1);
    /// let held = mutex.lock().unwrap();
    /// assert!(mutex.try_lock().is_err());
    /// drop(held);
    /// assert_eq!(*mutex.try_lock().unwrap(), 1);
    /// ```
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        if !self.raw.try_lock() {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.guard()?)
    }

    /// Whether a thread panicked while it held the lock. By the time the caller looks at the answer it may be another one.
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Makes a poisoned mutex usable again: the caller has seen to the value.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The value, without locking: nobody else can have the lock.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned; the value is in the error.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let Mutex { poison, value, .. } = self;
        poison.check(value.get_mut())
    }

    /// The lock has just been taken.
    #[inline]
    fn guard(&self) -> LockResult<MutexGuard<'_, T>> {
        let unwinding = self.poison.taken();
        self.poison.check(MutexGuard { lock: self, unwinding, not_send: PhantomData })
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Gives the lock up without releasing it: a condition variable will.
    pub(super) fn suspend(self) -> (&'a Mutex<T>, Unwinding) {
        let parts = (self.lock, self.unwinding);
        std::mem::forget(self);
        parts
    }

    /// The lock was taken again.
    pub(super) fn resume(lock: &'a Mutex<T>) -> LockResult<MutexGuard<'a, T>> {
        lock.guard()
    }
}

impl<T: ?Sized> Mutex<T> {
    pub(super) fn raw(&self) -> &RawMutex {
        &self.raw
    }

    /// About to release a lock whose guard was suspended.
    pub(super) fn note_release(&self, unwinding: Unwinding) {
        self.poison.released(unwinding);
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.poison.released(self.unwinding);
        self.lock.raw.unlock();
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held as long as the guard lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => debug.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => debug.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => debug.field("data", &format_args!("<locked>")),
        };
        debug.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}
