//! `Work`: an item that its owner keeps, queues again, takes back, and waits for.

use super::parts::{ItemOf, Work};
use super::{WouldDeadlock, delay, news, pool, worker};
use crate::sched::enter::Here;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Work {
    /// An item that calls `run`, which gets the item, each time that it has been queued. It is not queued yet.
    ///
    /// A panic of `run` is counted and logged; the item can be queued again.
    ///
    /// ```
    /// use raddle::workqueue::{Builder, Work};
    /// use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
    /// let queue = Arc::new(Builder::new("jobs").build()?);
    /// let left = Arc::new(AtomicU32::new(3));
    /// let (again, count) = (queue.clone(), left.clone());
    /// let work = Work::new(move |work| {
    ///     if count.fetch_sub(1, Ordering::Relaxed) > 1 {
    ///         again.queue_work(work);
    ///     }
    /// });
    /// queue.queue_work(&work);
    /// queue.drain().unwrap();
    /// assert_eq!(left.load(Ordering::Relaxed), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(run: impl FnMut(&Work) + Send + 'static) -> Work {
        Work { item: Arc::new(ItemOf::new(run, true)) }
    }

    /// Whether the item is queued, and has not begun.
    pub fn is_pending(&self) -> bool {
        let _here = Here::enter();
        self.item.state.lock().pending.is_some()
    }

    /// Takes the item back, if it is queued and no worker has it. Whether it was: then it does not run for that.
    ///
    /// It may run at the moment; [`cancel_and_wait`](Work::cancel_and_wait) waits for that.
    ///
    /// ```
    /// use raddle::workqueue::{Builder, Work};
    /// let queue = Builder::new("jobs").build()?;
    /// let work = Work::new(|_| unreachable!("it was cancelled"));
    /// queue.queue_work_delayed(std::time::Duration::from_secs(3600), &work);
    /// assert!(work.cancel());
    /// assert!(!work.cancel(), "there is nothing to cancel any more");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn cancel(&self) -> bool {
        self.withdraw(0).0
    }

    /// Takes the item back, as [`cancel`](Work::cancel), and waits until it does not run any more. Meanwhile it can't be queued, by itself or
    /// others: to queue it gives false. So when this returns nothing of it is left, unless somebody queues it anew.
    ///
    /// # Errors
    ///
    /// [`WouldDeadlock`] in the item itself. It was not cancelled.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits. The item has been cancelled then.
    #[track_caller]
    pub fn cancel_and_wait(&self) -> Result<bool, WouldDeadlock> {
        self.check_caller()?;
        let (was_queued, last) = self.withdraw(1);
        let _refuses = Refuses(self);
        self.wait_for(last);
        Ok(was_queued)
    }

    /// Waits until the item has run as often as it has been queued so far, or has been cancelled. One whose time has not come is waited for
    /// as well.
    ///
    /// # Errors
    ///
    /// [`WouldDeadlock`] in the item itself.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits.
    #[track_caller]
    pub fn flush(&self) -> Result<(), WouldDeadlock> {
        self.check_caller()?;
        let last = {
            let _here = Here::enter();
            self.item.state.lock().last
        };
        self.wait_for(last);
        Ok(())
    }

    #[track_caller]
    fn wait_for(&self, run: u64) {
        let settled = &self.item.settled;
        news::wait_until(settled, || settled.load(Ordering::SeqCst) >= run);
    }

    fn check_caller(&self) -> Result<(), WouldDeadlock> {
        let (_, item) = worker::runs();
        if item == ptr::from_ref(&*self.item).cast() { Err(WouldDeadlock) } else { Ok(()) }
    }

    /// Takes it back, if it is to be had, and refuses it to those who queue it, so many times. Whether it was, and the number of its last run.
    fn withdraw(&self, refusals: u32) -> (bool, u64) {
        let (withdrawn, from_delays, last) = {
            let _here = Here::enter();
            let mut state = self.item.state.lock();
            state.refusals += refusals;
            let withdrawn = pool::withdraw(&self.item, &mut state);
            let delayed = withdrawn.as_ref().filter(|withdrawn| withdrawn.was_delayed);
            let from_delays =
                delayed.and_then(|withdrawn| delay::take(&self.item, withdrawn.queue.pools));
            (withdrawn, from_delays, state.last)
        };
        drop(from_delays);
        if let Some(withdrawn) = &withdrawn {
            news::tell(&withdrawn.news, &withdrawn.queue, Some(&self.item));
        }
        (withdrawn.is_some(), last)
    }
}

/// The item is refused to those who queue it as long as this lives.
struct Refuses<'a>(&'a Work);

impl Drop for Refuses<'_> {
    fn drop(&mut self) {
        let _here = Here::enter();
        self.0.item.state.lock().refusals -= 1;
    }
}

// What it runs only workers touch, who catch its panics, and the rest changes under locks that nothing unwinds from.
impl UnwindSafe for Work {}
impl RefUnwindSafe for Work {}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (is_pending, runs) = {
            let _here = Here::enter();
            let state = self.item.state.lock();
            (state.pending.is_some(), state.running.is_some())
        };
        f.debug_struct("Work")
            .field("is_pending", &is_pending)
            .field("runs", &runs)
            .finish_non_exhaustive()
    }
}
