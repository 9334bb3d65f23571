//! Workqueues: functions to be called by and by, on workers that all queues share.
//!
//! ```
//! use raddle::workqueue::{Builder, Work};
//! use std::time::Duration;
//!
//! let queue = Builder::new("jobs").build()?;
//! // Once:
//! queue.queue(|| println!("by a worker"));
//! queue.queue_delayed(Duration::from_millis(2), || println!("two milliseconds later"));
//! // An item that is kept, queued again and again, and taken back:
//! let refresh = Work::new(|_| println!("refreshed"));
//! assert!(queue.queue_work(&refresh));
//! refresh.flush().unwrap();
//! queue.queue_work_delayed(Duration::from_secs(60), &refresh);
//! assert!(refresh.cancel());
//! // Waits for the rest.
//! queue.destroy().unwrap();
//! # std::io::Result::Ok(())
//! ```
//!
//! They are Linux's concurrency-managed workqueues (`Documentation/core-api/workqueue.rst`) as a library. Whoever has many small things to do
//! needs no thread for each, and no pool of its own: one core runs **one item at a time, but for those that sleep**. An item that waits for a
//! lock, a channel, a timer, another item, or blocks in the kernel, lets the next one begin on another worker; one that computes
//! does not. So a thousand items that compute have one stack in one cache, and a thousand that wait for one another never get stuck.
//!
//! # Which queue
//!
//! | | |
//! |---|---|
//! | [`Builder::new`] | not bound: as many items run at a time as there are cores, wherever there is room |
//! | [`bound`](Builder::bound) | an item runs on the core on which it was queued, or that [`queue_on`](Workqueue::queue_on) names; its worker stays there whatever it waits for |
//! | [`high_priority`](Builder::high_priority) | its items don't stand behind those of other queues, and their workers have the highest priority |
//! | [`max_active`](Builder::max_active) | no more of its items run or sleep at a time, on each core if it is bound; 256 if it is not told otherwise |
//! | [`ordered`](Builder::ordered) | one item after the other, in the order in which they were queued |
//!
//! A queue is cheap: a name and some counts. Each has its own `max_active`, its own [`flush`](Workqueue::flush) and its own
//! [`counters`](Workqueue::counters); workers belong to the runtime's pools, one for each core and priority, and one for each priority that is not
//! bound.
//!
//! # What holds
//!
//! - What is queued runs once. A [`Work`] that is pending is not queued again: that gives false.
//! - An item never runs on two workers at a time, whichever queues it is in. Queued while it runs, it runs once more.
//! - What was done before an item was queued, it sees; what it did is seen by who has waited for it.
//! - Items of one pool begin in the order in which they were queued; only an ordered queue's also end in it.
//! - A panic ends the item, not the worker: it is counted ([`Counters::panicked`]) and logged (by the `log` crate).
//! - Everything works from plain kernel threads as well, and in a simulation.
//!
//! Thread-locals are the worker's: an item finds there what some other item has left. A priority that it sets is gone with it.
//!
//! # Who waits for whom
//!
//! An item may wait for others, of its own queue as well: it sleeps, so they run. Two waits would never end, and are an error,
//! [`WouldDeadlock`]: that for itself, and that for all items of its own queue. What is not seen, as little as between locks: an item of one queue that
//! flushes another, one of which flushes the first; an item that waits for one that stands behind it, where `max_active` lets no other run.
//!
//! An item that computes for seconds holds up its pool, so also other queues' items: a thread is the better place for it.
//!
//! In a forked child the parent's queues have no workers; it makes its own.
//!
//! # Inside
//!
//! | module | what it does |
//! |---|---|
//! | `parts` | the nouns, and what guards each field |
//! | `pool` | how an item gets to a worker, and what becomes of it |
//! | `worker` | a worker's life |
//! | `delay` | items whose time has not come |
//! | `news` | tells those who wait |
//! | `pools`, `builder`, `queue`, `work` | what there is of each runtime, and what users see |

mod builder;
mod delay;
mod news;
mod parts;
mod pool;
mod pools;
mod queue;
#[cfg(test)]
mod tests;
mod work;
mod worker;

pub use builder::Builder;
pub use parts::Work;
pub use queue::{Counters, Workqueue};

use std::fmt;

/// An item can't wait for what would only come after its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldDeadlock;

impl fmt::Display for WouldDeadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a work item can't wait for itself, or for all items of its own queue")
    }
}

impl std::error::Error for WouldDeadlock {}
