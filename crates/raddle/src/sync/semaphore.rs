//! `Semaphore`: permits that threads take and give back.
//!
//! The word is `raddle_core::permits`', the queue is that of [`futex`].
//!
//! *First come, first served*, also for those who want many: with somebody waiting, nobody else takes a permit, and a permit
//! that comes back goes to the first as soon as there are enough for it. So who wants ten is not passed for ever by those who
//! want one. The price is that a busy semaphore hands over where a mutex would barge; who needs the speed of that takes a mutex.
//!
//! *Cancel and timeout against a permit that comes*: permits are taken off the word before their waiter is woken, and put back
//! if it turns out to be gone. When the first of the queue gives up, those behind may want less: they are looked at.

use crate::cancel;
use crate::futex::{self, Ended, Request};
use crate::host;
use crate::label::Label;
use crate::signals;
use raddle_core::permits::Permits;
use std::cell::Cell;
use std::fmt;
use std::ptr;
use std::time::Duration;

/// Permits that threads take, wait for, and give back. `std` has none; the API is `tokio`'s, without its `async`.
///
/// ```
/// use raddle::sync::Semaphore;
/// let seats = Semaphore::new(2);
/// let (one, two) = (seats.acquire(), seats.acquire());
/// assert!(seats.try_acquire().is_none());
/// drop(one);
/// assert_eq!(seats.available_permits(), 1);
/// # drop(two);
/// ```
pub struct Semaphore {
    word: Permits,
}

/// Permits that were taken; dropped, they go back.
#[derive(Debug)]
#[must_use = "permits go back at once if they are not kept"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

impl Semaphore {
    /// The most permits that a semaphore can have.
    pub const MAX_PERMITS: usize = Permits::MOST;

    /// A semaphore with `permits` permits.
    ///
    /// # Panics
    ///
    /// If that is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    #[must_use]
    pub const fn new(permits: usize) -> Semaphore {
        assert!(permits <= Semaphore::MAX_PERMITS, "too many permits");
        Semaphore { word: Permits::new(permits) }
    }

    /// Takes a permit; waits until there is one.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits.
    #[track_caller]
    pub fn acquire(&self) -> SemaphorePermit<'_> {
        self.acquire_many(1)
    }

    /// Takes `count` permits, all at once; waits until there are so many.
    ///
    /// # Panics
    ///
    /// If `count` is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS). Unwinds if the calling thread is cancelled while it waits.
    #[track_caller]
    pub fn acquire_many(&self, count: usize) -> SemaphorePermit<'_> {
        self.wait_for(count, None);
        SemaphorePermit { semaphore: self, count }
    }

    /// Takes a permit, if there is one and nobody waits for it.
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `count` permits, if there are so many and nobody waits for them.
    ///
    /// # Panics
    ///
    /// As [`acquire_many`](Semaphore::acquire_many).
    pub fn try_acquire_many(&self, count: usize) -> Option<SemaphorePermit<'_>> {
        assert!(count <= Semaphore::MAX_PERMITS, "too many permits");
        // Not `then_some`: a permit that was made and dropped would put back what nobody took.
        self.word.try_take(count).then(|| SemaphorePermit { semaphore: self, count })
    }

    /// Takes a permit; waits for it for `timeout` at most.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits.
    ///
    /// ```
    /// use raddle::sync::Semaphore;
    /// use std::time::Duration;
    /// assert!(Semaphore::new(0).acquire_timeout(Duration::from_millis(1)).is_none());
    /// ```
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<SemaphorePermit<'_>> {
        let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let deadline_ns = host::now_ns().saturating_add(ns);
        let is_taken = self.wait_for(1, Some(deadline_ns));
        is_taken.then(|| SemaphorePermit { semaphore: self, count: 1 })
    }

    /// Adds permits, or gives back those that a [forgotten](SemaphorePermit::forget) permit stood for.
    ///
    /// # Panics
    ///
    /// If there are more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS) then.
    pub fn add_permits(&self, count: usize) {
        let too_many = "too many permits";
        assert!(count <= Semaphore::MAX_PERMITS, "{too_many}");
        let before = self.word.add(count);
        assert!(before.permits + count <= Semaphore::MAX_PERMITS, "{too_many}");
        if before.somebody_waits {
            self.grant();
        }
    }

    /// Permits that are there at this moment.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.word.available()
    }

    /// Whether `count` permits were taken; false after the deadline.
    #[track_caller]
    fn wait_for(&self, count: usize, deadline_ns: Option<u64>) -> bool {
        assert!(count <= Semaphore::MAX_PERMITS, "too many permits");
        if self.word.try_take(count) {
            return true;
        }
        loop {
            let got = Cell::new(false);
            // Takes them, or says that it waits.
            let is_needed = || {
                got.set(self.word.take_or_wait(count));
                !got.get()
            };
            let left = |_, others: bool| self.word.left(others);
            let waits_for = Label::SEMAPHORE.at(self.address());
            let usual = Request::at(self.address(), waits_for);
            let request = Request { tag: count, deadline_ns, ..usual };
            match futex::wait_with(request, is_needed, || (), left) {
                // Whoever woke it has taken them for it.
                Ended::Woken(_) => return true,
                Ended::LookAgain | Ended::Moved(_) if got.get() => return true,
                Ended::LookAgain | Ended::Moved(_) => {}
                Ended::TimedOut => {
                    self.grant();
                    return false;
                }
                Ended::Cancelled => {
                    self.grant();
                    cancel::unwind();
                }
                Ended::Signalled => {
                    self.grant();
                    signals::deliver();
                }
            }
        }
    }

    /// Gives permits to those who wait, from the first on, as far as they go.
    #[cold]
    fn grant(&self) {
        let takes = |count: usize, others: bool| self.word.grant(count, others);
        futex::wake_while(self.address(), takes, |count| self.word.put_back(count));
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.word).addr()
    }
}

impl SemaphorePermit<'_> {
    /// How many permits it stands for.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Keeps the permits for ever, unless [`Semaphore::add_permits`] adds others.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        self.semaphore.add_permits(self.count);
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("permits", &self.available_permits())
            .finish_non_exhaustive()
    }
}
