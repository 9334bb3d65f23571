//! A core's cache of free bodies.

#![allow(unsafe_code, reason = "turns slot numbers into bodies")]

use super::Shared;
use crate::body::Body;
use std::io;
use std::sync::Arc;

/// Bodies that a cache holds at most, and how many it hands over or fetches at once.
const HELD: usize = 64;
const BATCH: usize = HELD / 2;

/// Free bodies for one core, last in first out.
///
/// A cache belongs to whoever drives the core: it is `Send`, not `Sync`, and asks for `&mut self`. Nothing here waits for
/// another core. [`take`](Cache::take) reaches the kernel and libc's allocator only when neither the cache nor the
/// arena has a free body; [`give`](Cache::give) never does.
#[derive(Debug)]
pub struct Cache {
    shared: Arc<Shared>,
    /// Numbers of built slots; the last was given last.
    free: Vec<u32>,
}

impl Cache {
    pub(super) fn new(shared: Arc<Shared>) -> Cache {
        Cache { shared, free: Vec::with_capacity(HELD) }
    }

    /// A body that nothing runs on, with fresh thread-local storage.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` with an [`Exhausted`](crate::Exhausted) that says what ran out; `Unsupported` in a forked child, for an
    /// arena of its parent's.
    #[inline]
    pub fn take(&mut self) -> io::Result<Body> {
        self.shared.check_generation()?;
        let index = match self.free.pop() {
            Some(index) => index,
            None => self.fetch()?,
        };
        // SAFETY: a number in a cache is that of a built slot that is in no list, and now in no cache either.
        Ok(unsafe { self.shared.body(index) })
    }

    /// A body that is free already, from this cache or else a batch from the arena; `None` where [`take`](Self::take) would make one,
    /// and in a forked child. It never allocates, takes a lock or reaches the kernel: for a scheduler, whose kernel
    /// thread must not wait for what a preempted body holds.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let mut cache = raddle_context::Arena::new(Default::default())?.cache();
    /// assert!(cache.take_warm().is_none(), "none was made yet");
    /// let body = cache.take()?;
    /// cache.give(body);
    /// assert!(cache.take_warm().is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn take_warm(&mut self) -> Option<Body> {
        if !self.shared.is_of_this_process() {
            return None;
        }
        let index = self.free.pop().or_else(|| self.fetch_warm())?;
        // SAFETY: as in `take`.
        Some(unsafe { self.shared.body(index) })
    }

    /// Takes back a body whose run has ended: its last departure's `after` has run, or it was never started.
    ///
    /// A body that is suspended in the middle of its run must not be given back: what lives on its stack would be overwritten.
    ///
    /// # Panics
    ///
    /// If the body is another arena's.
    #[inline]
    pub fn give(&mut self, body: Body) {
        let index = self.shared.own_number(&body);
        if self.free.len() == HELD {
            self.hand_over(BATCH);
        }
        self.free.push(index);
    }

    /// Fetches a batch of warm bodies from the arena, or makes one body.
    #[cold]
    fn fetch(&mut self) -> io::Result<u32> {
        match self.fetch_warm() {
            Some(index) => Ok(index),
            None => self.shared.build(),
        }
    }

    /// Fetches a batch of warm bodies from the arena, of which one is given. The vector has room for them: nothing is allocated.
    #[cold]
    fn fetch_warm(&mut self) -> Option<u32> {
        self.free.extend(std::iter::from_fn(|| self.shared.warm.pop(&*self.shared)).take(BATCH));
        // The arena's top was used last, and should be used first here as well.
        self.free.reverse();
        self.free.pop()
    }

    /// Gives the arena the `count` bodies that have been here longest.
    fn hand_over(&mut self, count: usize) {
        self.free[..count].reverse();
        self.shared.warm.push_chain(&*self.shared, &self.free[..count]);
        self.free.drain(..count);
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.hand_over(self.free.len());
    }
}
