//! What a queue can be given before it is made.

use super::parts::{Lane, Pool, Pools, Shared};
use super::{Workqueue, worker};
use crate::thread::spawn::runtime;
use raddle_core::epochs::Epochs;
use raddle_core::list::List;
use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize};

/// So many items may be active, unless a queue is told otherwise: Linux's `WQ_DFL_ACTIVE` for a long time.
const MAX_ACTIVE: usize = 256;

/// Settings of a queue that is about to be made.
///
/// ```
/// use raddle::workqueue::Builder;
/// let log = Builder::new("log").ordered().build()?;
/// let crypto = Builder::new("crypto").bound().high_priority().max_active(4).build()?;
/// # drop((log, crypto));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing before `build`"]
pub struct Builder {
    name: String,
    is_bound: bool,
    is_high: bool,
    is_ordered: bool,
    max_active: Option<usize>,
}

impl Builder {
    /// A queue of that name, not bound, of normal priority; at most 256 of its items are active at a time.
    pub fn new(name: impl Into<String>) -> Builder {
        Builder {
            name: name.into(),
            is_bound: false,
            is_high: false,
            is_ordered: false,
            max_active: None,
        }
    }

    /// Items run on the core on which they are queued, or the one that [`queue_on`](Workqueue::queue_on) names: one at a time there, but for
    /// those that sleep. Without it they run on any.
    pub fn bound(mut self) -> Builder {
        self.is_bound = true;
        self
    }

    /// Items run before others that are ready, on threads of [the highest priority](crate::thread::Priority::HIGHEST).
    pub fn high_priority(mut self) -> Builder {
        self.is_high = true;
        self
    }

    /// How many items may be active, running or asleep, at a time: of a bound queue, on each core. Others wait in the order in which they
    /// were queued.
    pub fn max_active(mut self, items: usize) -> Builder {
        self.max_active = Some(items);
        self
    }

    /// Items run one after the other, in the order in which they were queued: the next begins when the one before is over, also if that
    /// sleeps. Not with [`bound`](Builder::bound).
    pub fn ordered(mut self) -> Builder {
        self.is_ordered = true;
        self
    }

    /// Makes the queue; the runtime starts if need be.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if nothing could ever be active, or an ordered queue is to be bound or to have several active; what keeps the runtime from
    /// starting, or a worker from being made.
    pub fn build(self) -> io::Result<Workqueue> {
        let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if self.max_active == Some(0) {
            return wrong("a workqueue with max_active 0 would never run anything");
        }
        if self.is_ordered && self.is_bound {
            return wrong("an ordered workqueue has one order: it can't be bound to each core");
        }
        if self.is_ordered && self.max_active.is_some_and(|items| items > 1) {
            return wrong("of an ordered workqueue one item is active at a time");
        }
        let max_active = if self.is_ordered { 1 } else { self.max_active.unwrap_or(MAX_ACTIVE) };
        let pools = Pools::of(runtime()?);
        let which = usize::from(self.is_high);
        let used: Vec<&'static Pool> = match self.is_bound {
            true => pools.of_cores.iter().map(|of_core| &of_core[which]).collect(),
            false => vec![&pools.unbound[which]],
        };
        used.iter().try_for_each(|pool| worker::ensure(pool))?;
        Ok(Workqueue::new(Shared {
            name: self.name,
            pools,
            lanes: used.into_iter().map(|pool| lane(pool, max_active)).collect(),
            is_bound: self.is_bound,
            turn: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
        }))
    }
}

fn lane(pool: &'static Pool, max_active: usize) -> Lane {
    Lane {
        pool,
        max_active,
        active: Cell::new(0),
        waiting: Cell::new(List::new()),
        delayed: Cell::new(List::new()),
        epochs: RefCell::new(Epochs::new()),
        numbers: Cell::default(),
        done: AtomicU64::new(0),
    }
}
