//! Spin locks for the scheduler's own structures.
//!
//! What they guard takes tens of nanoseconds, they are held only where preemption is forbidden, and nobody who holds one
//! calls anything that could block. So a waiter spins; if the kernel took the holder's processor away, it lets the kernel run
//! somebody else. A lock that parks would have to be built from these.

#![allow(unsafe_code, reason = "a lock hands out exclusive access to what it guards")]

use crate::sys::{clock, task};
use raddle_core::spin_word::SpinWord;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::mem;
use std::ops::{Deref, DerefMut};

/// A value that one at a time may touch, with preemption forbidden.
#[derive(Debug)]
pub(crate) struct Spin<T> {
    word: SpinWord,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one thread at a time; `Send` of the value is what that takes.
unsafe impl<T: Send> Sync for Spin<T> {}

/// Exclusive access to a locked value.
#[derive(Debug)]
pub(crate) struct Locked<'a, T> {
    lock: &'a Spin<T>,
}

/// When a waiter supposes that the holder has no processor.
const PATIENCE_NS: u64 = 4_000;

impl<T> Spin<T> {
    pub(crate) const fn new(value: T) -> Spin<T> {
        Spin { word: SpinWord::new(), value: UnsafeCell::new(value) }
    }

    /// Takes the lock. The caller runs with preemption forbidden, or on a kernel thread that is no worker.
    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_, T> {
        if !self.word.try_take() {
            self.contend();
        }
        Locked { lock: self }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Locked<'_, T>> {
        let was_free = self.word.try_take();
        // Not `then_some`: that would make the guard, and drop it, of a lock that somebody else holds.
        was_free.then(|| Locked { lock: self })
    }

    /// The value, where nobody else knows of the lock yet.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// For those who only look.
    pub(crate) fn is_locked(&self) -> bool {
        self.word.is_taken()
    }

    #[cold]
    fn contend(&self) {
        let begun_ns = clock::coarse_ns();
        loop {
            while self.word.is_taken() {
                if clock::coarse_ns().saturating_sub(begun_ns) < PATIENCE_NS {
                    spin_loop();
                } else {
                    task::yield_processor();
                }
            }
            if self.word.try_take() {
                return;
            }
        }
    }

    /// Releases a lock whose guard was [kept](Locked::keep).
    ///
    /// # Safety
    ///
    /// The lock is held on behalf of the caller, and no reference to the value is left.
    #[inline]
    pub(crate) unsafe fn release(&self) {
        self.word.release();
    }
}

impl<T> Locked<'_, T> {
    /// Leaves the lock locked: somebody else will [release](Spin::release) it, on the other side of a switch.
    #[inline]
    pub(crate) fn keep(self) {
        mem::forget(self);
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held as long as `self` lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Locked<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: held by `self`, whose borrow ends here.
        unsafe { self.lock.release() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_in_vain_leaves_the_lock_to_its_holder() {
        let spin = Spin::new(1);
        let held = spin.lock();
        assert!(spin.try_lock().is_none());
        assert!(spin.try_lock().is_none(), "the first attempt released what it did not hold");
        drop(held);
        assert_eq!(spin.try_lock().map(|value| *value), Some(1));
    }
}
