//! Where a core's holder keeps threads that were just made or have just woken, without the queue's lock: short ones come and go so.
//!
//! They stand in the order in which they run, whatever their levels. The holder enters and leaves by plain stores; others, a thief or whoever lists
//! threads, empty it into the core's queue, under that queue's lock (`sched::newborns`).

#![allow(unsafe_code, reason = "a lock hands out exclusive access to what it guards")]

use crate::sys::task;
use raddle_core::biased_word::BiasedWord;
use std::cell::UnsafeCell;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many there may be: more than wake at a time, mostly, or yield to one another. A spawner lets them run before that, unless it has found
/// that they take long.
pub(crate) const MOST: usize = 1024;

/// Those of one core.
#[derive(Debug)]
pub(crate) struct Nursery<K> {
    word: BiasedWord,
    /// Their levels, a bit each, and perhaps some of those that were there since it was empty last. Written inside.
    levels: AtomicU64,
    threads: UnsafeCell<Threads<K>>,
}

// SAFETY: the word gives the threads to one at a time; `Send` of the keys is what that takes.
unsafe impl<K: Send> Sync for Nursery<K> {}

/// First in, first out.
#[derive(Debug)]
pub(crate) struct Threads<K> {
    first: usize,
    count: usize,
    places: [Option<K>; MOST],
}

impl<K: Copy> Threads<K> {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Puts one behind the others; false if there is no room.
    #[inline]
    pub(crate) fn push(&mut self, key: K) -> bool {
        if self.count == MOST {
            return false;
        }
        self.places[(self.first + self.count) % MOST] = Some(key);
        self.count += 1;
        true
    }

    /// The one that so many are before.
    #[inline]
    pub(crate) fn peek(&self, at: usize) -> Option<K> {
        if at < self.count { self.places[(self.first + at) % MOST] } else { None }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<K> {
        self.count = self.count.checked_sub(1)?;
        let first = self.places[self.first % MOST];
        self.first = (self.first + 1) % MOST;
        first
    }
}

/// The holder is inside.
#[derive(Debug)]
pub(crate) struct Inside<'a, K>(&'a Nursery<K>);

/// Somebody else has it.
#[derive(Debug)]
pub(crate) struct Claimed<'a, K>(&'a Nursery<K>);

impl<K> Nursery<K> {
    pub(crate) const fn new() -> Nursery<K> {
        Nursery {
            word: BiasedWord::new(),
            levels: AtomicU64::new(0),
            threads: UnsafeCell::new(Threads {
                first: 0,
                count: 0,
                places: [const { None }; MOST],
            }),
        }
    }

    /// The best level on which one waits, if there are any; or a better one, of somebody who has gone.
    #[inline]
    pub(crate) fn best_level(&self) -> u8 {
        self.levels.load(Ordering::Relaxed).trailing_zeros() as u8
    }

    /// Whether all that wait are of `level`.
    #[inline]
    pub(crate) fn is_all_of(&self, level: u8) -> bool {
        self.levels.load(Ordering::Relaxed) == 1 << level
    }

    /// One of this level is put in, alone or beside those that are there. Inside.
    #[inline]
    pub(crate) fn note_level(&self, level: u8, is_first: bool) {
        let others = if is_first { 0 } else { self.levels.load(Ordering::Relaxed) };
        self.levels.store(others | 1 << level, Ordering::Relaxed);
    }

    /// Goes inside, unless somebody else claims it, who holds the queue's lock. Inside no lock is waited for.
    ///
    /// # Safety
    ///
    /// The caller is the core's holder, with preemption forbidden, and not inside.
    #[inline]
    pub(crate) unsafe fn enter(&self) -> Option<Inside<'_, K>> {
        let is_in = self.word.try_enter();
        // Not `then_some`: that would make the guard, and drop it.
        is_in.then(|| Inside(self))
    }

    /// Leaves, for an [`Inside`] that was [kept](Inside::keep).
    ///
    /// # Safety
    ///
    /// The holder is inside on behalf of the caller, and no reference to the threads is left.
    #[inline]
    pub(crate) unsafe fn release(&self) {
        self.word.leave();
    }

    /// Takes it from the holder for a moment.
    ///
    /// # Safety
    ///
    /// The caller holds the lock of the core's queue, and is not the holder inside.
    #[cold]
    pub(crate) unsafe fn claim(&self) -> Claimed<'_, K> {
        self.word.claim(task::barrier, task::yield_processor);
        Claimed(self)
    }
}

impl<K> Inside<'_, K> {
    /// Stays inside: somebody else will [release](Nursery::release) it, on the other side of a switch.
    #[inline]
    pub(crate) fn keep(self) {
        mem::forget(self);
    }
}

impl<K> Deref for Inside<'_, K> {
    type Target = Threads<K>;

    #[inline]
    fn deref(&self) -> &Threads<K> {
        // SAFETY: the holder is inside as long as `self` lives, and nobody else.
        unsafe { &*self.0.threads.get() }
    }
}

impl<K> DerefMut for Inside<'_, K> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Threads<K> {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { &mut *self.0.threads.get() }
    }
}

impl<K> Drop for Inside<'_, K> {
    #[inline]
    fn drop(&mut self) {
        self.0.word.leave();
    }
}

impl<K: Copy> Claimed<'_, K> {
    pub(crate) fn len(&self) -> usize {
        // SAFETY: claimed as long as `self` lives, and the reference ends here.
        unsafe { &*self.0.threads.get() }.len()
    }

    pub(crate) fn pop(&mut self) -> Option<K> {
        // SAFETY: claimed as long as `self` lives, and the reference ends here.
        unsafe { &mut *self.0.threads.get() }.pop()
    }
}

impl<K> Drop for Claimed<'_, K> {
    fn drop(&mut self) {
        self.0.word.give_back();
    }
}
