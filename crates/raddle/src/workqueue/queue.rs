//! `Workqueue`: where items are queued, and waited for.

#![allow(unsafe_code, reason = "the core of the calling thread; a word that the runtime keeps")]

use super::parts::{Item, ItemOf, Lane, Numbers, Shared, Work};
use super::{WouldDeadlock, delay, news, pool, worker};
use crate::park;
use crate::sched::enter::Here;
use crate::sleeper::Reason;
use raddle_core::epochs::Until;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A queue of work items, which workers that it shares with all other queues run: see [the module](super).
///
/// Dropped, it is left to itself: what was queued still runs, items whose time has not come among it. [`destroy`](Workqueue::destroy) waits.
pub struct Workqueue {
    shared: Arc<Shared>,
}

/// What happened in a queue so far. The numbers of one core are of one moment, those of several of about the same.
///
/// Of what was queued, each item is delayed, waiting, active, finished or cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Items that were queued. One that was pending already does not count.
    pub queued: u64,
    /// Items that a worker has begun.
    pub started: u64,
    /// Items that are over, panicked ones among them.
    pub finished: u64,
    /// Items that ended by a panic.
    pub panicked: u64,
    /// Items that were taken back before they began.
    pub cancelled: u64,
    /// Items that run, or sleep.
    pub active: u64,
    /// Items that have not begun, but could for all that they know of time.
    pub waiting: u64,
    /// Items whose time has not come.
    pub delayed: u64,
}

impl Workqueue {
    pub(super) fn new(shared: Shared) -> Workqueue {
        Workqueue { shared: Arc::new(shared) }
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Queues a function, to be called once. A bound queue runs it on the calling thread's core; from a plain kernel thread the cores take
    /// turns.
    ///
    /// A panic of it is counted, logged, and goes no further.
    ///
    /// ```
    /// let queue = raddle::workqueue::Builder::new("jobs").build()?;
    /// queue.queue(|| println!("done by a worker"));
    /// queue.flush().unwrap();
    /// assert_eq!(queue.counters().finished, 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn queue(&self, run: impl FnOnce() + Send + 'static) {
        self.enqueue(once(run), None);
    }

    /// As [`queue`](Workqueue::queue), on the core with that index, from 0. In a queue that is not bound it makes no difference.
    ///
    /// # Panics
    ///
    /// If the runtime has no such core.
    pub fn queue_on(&self, core: usize, run: impl FnOnce() + Send + 'static) {
        self.enqueue(once(run), Some(core));
    }

    /// As [`queue`](Workqueue::queue), when `delay` is over: not before, and most often within a millisecond. Who wants to cancel it, uses
    /// [`queue_work_delayed`](Workqueue::queue_work_delayed).
    ///
    /// # Panics
    ///
    /// If the first delayed item of all finds no memory for the thread that keeps time.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// let queue = raddle::workqueue::Builder::new("later").build()?;
    /// let (send, receive) = raddle::sync::mpsc::channel();
    /// let begun = Instant::now();
    /// queue.queue_delayed(Duration::from_millis(5), move || send.send(Instant::now()).unwrap());
    /// assert!(receive.recv().unwrap() - begun >= Duration::from_millis(5));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn queue_delayed(&self, delay: Duration, run: impl FnOnce() + Send + 'static) {
        self.enqueue_delayed(once(run), delay);
    }

    /// Queues an item. False if it is pending already, in this queue or another, and will run for that; or somebody
    /// [waits](Work::cancel_and_wait) for its end.
    ///
    /// One that runs just now is not pending: it will run again, when that is over.
    ///
    /// ```
    /// use raddle::workqueue::{Builder, Work};
    /// let queue = Builder::new("jobs").build()?;
    /// let mut runs = 0;
    /// let work = Work::new(move |work| {
    ///     runs += 1;
    ///     println!("run {runs} of {work:?}");
    /// });
    /// assert!(queue.queue_work(&work));
    /// work.flush().unwrap();
    /// assert!(queue.queue_work(&work), "again");
    /// # queue.flush().unwrap();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn queue_work(&self, work: &Work) -> bool {
        self.enqueue(work.item.clone(), None)
    }

    /// As [`queue_work`](Workqueue::queue_work), on the core with that index. In a queue that is not bound it makes no difference.
    ///
    /// # Panics
    ///
    /// If the runtime has no such core.
    pub fn queue_work_on(&self, core: usize, work: &Work) -> bool {
        self.enqueue(work.item.clone(), Some(core))
    }

    /// As [`queue_work`](Workqueue::queue_work), when `delay` is over. Until then the item is pending.
    ///
    /// # Panics
    ///
    /// As [`queue_delayed`](Workqueue::queue_delayed).
    pub fn queue_work_delayed(&self, delay: Duration, work: &Work) -> bool {
        self.enqueue_delayed(work.item.clone(), delay)
    }

    /// Waits until all items are over that were queued before the call, but for those whose time has not come. Items that are queued later
    /// don't matter.
    ///
    /// # Errors
    ///
    /// [`WouldDeadlock`] in an item of this queue: it would wait for its own end.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits.
    #[track_caller]
    pub fn flush(&self) -> Result<(), WouldDeadlock> {
        self.check_caller()?;
        let lanes = &self.shared.lanes;
        let close = |lane: &Lane| {
            let _here = Here::enter();
            lane.pool.open().close_epoch(lane)
        };
        // All of them before the first wait: whatever is queued from here on is later.
        let wanted: Vec<Until> = lanes.iter().map(close).collect();
        for (lane, mut until) in lanes.iter().zip(wanted) {
            while let Until::Done(wanted) | Until::Again(wanted) = until {
                news::wait_until(&lane.done, || lane.done.load(Ordering::SeqCst) >= wanted);
                until = match until {
                    Until::Again(_) => close(lane),
                    _ => Until::Now,
                };
            }
        }
        Ok(())
    }

    /// Waits until the queue is empty: also of what items queue meanwhile, and of what others do. Items whose time has not come don't count.
    ///
    /// # Errors
    ///
    /// [`WouldDeadlock`] in an item of this queue.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits.
    ///
    /// ```
    /// use raddle::workqueue::Builder;
    /// use std::sync::Arc;
    /// let queue = Arc::new(Builder::new("tree").build()?);
    /// fn grow(queue: &Arc<raddle::workqueue::Workqueue>, height: u32) {
    ///     let (here, up) = (queue.clone(), height - 1);
    ///     queue.queue(move || if up > 0 { (0..2).for_each(|_| grow(&here, up)) });
    /// }
    /// grow(&queue, 6);
    /// queue.drain().unwrap();
    /// assert_eq!(queue.counters().finished, 63);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn drain(&self) -> Result<(), WouldDeadlock> {
        self.check_caller()?;
        let in_flight = &self.shared.in_flight;
        news::wait_until(in_flight, || in_flight.load(Ordering::SeqCst) == 0);
        Ok(())
    }

    /// Cancels the items whose time has not come, and waits for all others.
    ///
    /// # Errors
    ///
    /// [`WouldDeadlock`] in an item of this queue, which is then left to itself, as if it had been dropped.
    ///
    /// # Panics
    ///
    /// Unwinds if the calling thread is cancelled while it waits; then, too, the queue is left to itself.
    #[track_caller]
    pub fn destroy(self) -> Result<(), WouldDeadlock> {
        self.check_caller()?;
        for lane in &self.shared.lanes {
            let first = || {
                let _here = Here::enter();
                lane.pool.open().first_delayed(lane)
            };
            while let Some(item) = first() {
                // False if its time came just now.
                Work { item }.cancel();
            }
        }
        self.drain()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        for lane in &self.shared.lanes {
            let numbers: Numbers = {
                let _here = Here::enter();
                lane.pool.open().numbers(lane)
            };
            counters.queued += numbers.queued;
            counters.started += numbers.started;
            counters.finished += numbers.finished;
            counters.panicked += numbers.panicked;
            counters.cancelled += numbers.cancelled;
            counters.delayed += numbers.delayed;
        }
        counters.active = counters.started - counters.finished;
        let begun = counters.started + counters.cancelled + counters.delayed;
        counters.waiting = counters.queued - begun;
        counters
    }

    /// Not in an item of this queue's: that would wait for itself.
    fn check_caller(&self) -> Result<(), WouldDeadlock> {
        let (queue, _) = worker::runs();
        if queue == Arc::as_ptr(&self.shared).cast() { Err(WouldDeadlock) } else { Ok(()) }
    }

    /// Whether the item is queued now, and was not before.
    fn enqueue(&self, item: Arc<Item>, core: Option<usize>) -> bool {
        // Taken along, to be dropped outside the runtime if they are not needed.
        let mut parts = Some((item.clone(), self.shared.clone()));
        let worker = {
            let here = Here::enter();
            let index = self.shared.lane_for(core, here.as_ref());
            let mut state = item.state.lock();
            let taken = if state.may_be_queued() { parts.take() } else { None };
            taken.and_then(|(item, queue)| pool::queue(item, &mut state, queue, index))
        };
        if let Some(worker) = worker {
            park::unpark(worker, Reason::READY);
        }
        parts.is_none()
    }

    fn enqueue_delayed(&self, item: Arc<Item>, delay: Duration) -> bool {
        if delay.is_zero() {
            return self.enqueue(item, None);
        }
        let keeper = delay::keeper(self.shared.pools);
        let delay_ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        let deadline_ns = self.shared.pools.runtime.now_ns().saturating_add(delay_ns);
        let mut parts = Some((item.clone(), self.shared.clone()));
        let is_first = {
            let here = Here::enter();
            let index = self.shared.lane_for(None, here.as_ref());
            let mut state = item.state.lock();
            let taken = if state.may_be_queued() { parts.take() } else { None };
            taken.is_some_and(|(item, queue)| {
                delay::put(item, &mut state, queue, index, deadline_ns)
            })
        };
        if is_first {
            keeper.unpark();
        }
        parts.is_none()
    }
}

impl Shared {
    /// Where an item goes that is queued from here.
    fn lane_for(&self, core: Option<usize>, here: Option<&Here>) -> usize {
        let cores = self.pools.runtime.cores.len();
        if let Some(core) = core {
            assert!(core < cores, "queued on core {core}, and there are {cores}");
        }
        if !self.is_bound {
            return 0;
        }
        core.unwrap_or_else(|| match here.map(|here| here.place().core()) {
            Some(core) if ptr::eq(core.runtime(), self.pools.runtime) => core.index,
            _ => self.turn.fetch_add(1, Ordering::Relaxed) % cores,
        })
    }
}

/// An item that runs once.
fn once(run: impl FnOnce() + Send + 'static) -> Arc<Item> {
    let mut run = Some(run);
    let call = move |_: &Work| {
        if let Some(run) = run.take() {
            run();
        }
    };
    Arc::new(ItemOf::new(call, false))
}

// As std's channels: it changes under locks that nothing unwinds from, and panics of items end at their workers.
impl UnwindSafe for Workqueue {}
impl RefUnwindSafe for Workqueue {}

impl fmt::Debug for Workqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workqueue")
            .field("name", &self.name())
            .field("is_bound", &self.shared.is_bound)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
