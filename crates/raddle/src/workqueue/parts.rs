//! The parts: what a workqueue is made of. Only the nouns, so that modules that act on them need no circles.
//!
//! ```text
//!   Workqueue ── Shared ──┬── Lane ── waiting, delayed      Pools ──┬── Pool (core 0) ── ready ── gang: its workers
//!                         ├── Lane ── ...           each lane ──▶   ├── Pool (core 1) ── ...
//!                         └── (one, if unbound)     has its pool    └── Pool (unbound) ── ...
//! ```
//!
//! A queue has a *lane* in each pool that its items may go to: one for each core, or one. An item that may begin stands in the pool's
//! list; with `max_active` of the lane's there or under way, the next ones wait in the lane.
//!
//! What guards a field is said above it. Locks are taken in the order: item, pool, delays; a gang's after any of them. A list's membership
//! owns a reference to the item, which whoever takes the item out takes over.

#![allow(unsafe_code, reason = "items in lists; cells that a protocol guards")]

use crate::gang::Gang;
use crate::machine::{Core, Runtime};
use crate::spin::Spin;
use crate::thread::{Priority, Thread};
use raddle_core::epochs::Epochs;
use raddle_core::list::{List, Node};
use raddle_core::wheel::{self, Timer, Wheel};
use std::cell::{Cell, RefCell, UnsafeCell};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};

/// An item of work that can be queued again and again: see [`workqueue`](super). Clones are the same item.
///
/// It never runs twice at a time: queued again while it runs, by any queue, it runs once more afterwards.
#[derive(Clone)]
pub struct Work {
    pub(super) item: Arc<Item>,
}

/// What of an item all share.
pub(super) type Item = ItemOf<dyn FnMut(&Work) + Send>;

pub(super) struct ItemOf<F: ?Sized> {
    // Constant.
    /// Whether there are handles of it: somebody may wait for it.
    pub(super) has_handles: bool,

    // The lock of its lane's pool.
    pub(super) node: Node<ItemRef>,
    pub(super) standing: Cell<Standing>,
    pub(super) lane: Cell<*const Lane>,
    /// In its lane's count of items.
    pub(super) epoch: Cell<u64>,

    // The lock of the delays.
    pub(super) timer: Timer<ItemRef>,
    /// For which run the timer is armed, or was.
    pub(super) armed_for: Cell<u64>,

    // Its lock.
    pub(super) state: Spin<State>,

    // Atomic.
    /// All runs up to this one are over or cancelled.
    pub(super) settled: AtomicU64,

    // The worker's that runs it.
    pub(super) run: UnsafeCell<F>,
}

// SAFETY: cells are guarded as said above each; `run` is moved to the worker that runs it, one at a time, which is what Send allows.
unsafe impl<F: ?Sized + Send> Send for ItemOf<F> {}
// SAFETY: as above.
unsafe impl<F: ?Sized + Send> Sync for ItemOf<F> {}

/// Where an item that was queued stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// In no list: a worker has it, or nobody.
    Out,
    /// In its pool's list.
    Ready,
    /// In its lane's list of those that wait until fewer are active.
    Waiting,
    /// In its lane's list of those whose time has not come.
    Delayed,
}

/// What happens to an item.
#[derive(Debug)]
pub(super) struct State {
    /// It was queued, and has not begun. Then: by which queue, in which of its lanes.
    pub(super) pending: Option<(Arc<Shared>, usize)>,
    /// A worker has taken it, and found that it runs: whoever runs it hands it back.
    pub(super) is_deferred: bool,
    /// How often it was queued: runs are numbered from 1.
    pub(super) last: u64,
    /// The run that is under way.
    pub(super) running: Option<u64>,
    /// How many wait that it is no longer queued nor runs: meanwhile it can't be queued.
    pub(super) refusals: u32,
}

impl<F> ItemOf<F> {
    pub(super) fn new(run: F, has_handles: bool) -> ItemOf<F> {
        ItemOf {
            has_handles,
            node: Node::new(),
            standing: Cell::new(Standing::Out),
            lane: Cell::new(ptr::null()),
            epoch: Cell::new(0),
            timer: Timer::new(),
            armed_for: Cell::new(0),
            state: Spin::new(State {
                pending: None,
                is_deferred: false,
                last: 0,
                running: None,
                refusals: 0,
            }),
            settled: AtomicU64::new(0),
            run: UnsafeCell::new(run),
        }
    }
}

/// An item in a list, or in somebody's hands: whoever has it owns a reference or borrows one.
#[derive(Clone, Copy)]
pub(super) struct ItemRef(NonNull<Item>);

impl PartialEq for ItemRef {
    fn eq(&self, other: &ItemRef) -> bool {
        self.0.addr() == other.0.addr()
    }
}

impl Eq for ItemRef {}

// SAFETY: items are Send and Sync, and references to them are counted.
unsafe impl Send for ItemRef {}

impl fmt::Debug for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Item({:#x})", self.0.addr())
    }
}

impl ItemRef {
    /// Borrowed.
    pub(super) fn of(item: &Arc<Item>) -> ItemRef {
        // SAFETY: an Arc's pointer is not null.
        ItemRef(unsafe { NonNull::new_unchecked(Arc::as_ptr(item).cast_mut()) })
    }

    /// With the reference.
    pub(super) fn from_arc(item: Arc<Item>) -> ItemRef {
        let borrowed = ItemRef::of(&item);
        let _ = Arc::into_raw(item);
        borrowed
    }

    /// Takes the reference over.
    ///
    /// # Safety
    ///
    /// It is from [`from_arc`](Self::from_arc), or was taken out of a list, and is taken over once.
    pub(super) unsafe fn into_arc(self) -> Arc<Item> {
        // SAFETY: the caller's.
        unsafe { Arc::from_raw(self.0.as_ptr()) }
    }

    /// A second reference.
    pub(super) fn second(self) -> Arc<Item> {
        // SAFETY: whoever has an `ItemRef` has, or borrows, a reference, so it is alive, and the pointer is an Arc's.
        unsafe {
            Arc::increment_strong_count(self.0.as_ptr());
            Arc::from_raw(self.0.as_ptr())
        }
    }

    /// Asks for the item's memory, without waiting.
    pub(super) fn prefetch(self) {
        const LINES: usize = size_of::<ItemOf<[usize; 4]>>().div_ceil(64);
        raddle_context::prefetch(self.0.as_ptr().cast(), LINES);
    }

    pub(super) fn item<'a>(self) -> &'a Item {
        // SAFETY: as above; nobody keeps it for longer than that.
        unsafe { &*self.0.as_ptr() }
    }
}

/// The links of a list's member.
pub(super) fn node_of<'a>(key: ItemRef) -> &'a Node<ItemRef> {
    &key.item().node
}

/// A queue's share in a pool. Its fields stand in the order of how often they change.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Lane {
    // The lock of its pool.
    pub(super) numbers: Cell<Numbers>,
    /// Items in the pool's list, or under way.
    pub(super) active: Cell<usize>,
    // Constant.
    pub(super) max_active: usize,

    // The lock of its pool.
    pub(super) epochs: RefCell<Epochs>,
    pub(super) waiting: Cell<List<ItemRef>>,
    pub(super) delayed: Cell<List<ItemRef>>,

    // Constant.
    pub(super) pool: &'static Pool,

    // Atomic.
    /// A copy of how far the epochs are over: those who flush wait at it.
    pub(super) done: AtomicU64,
}

// SAFETY: cells are touched under the lock of the lane's pool.
unsafe impl Send for Lane {}
// SAFETY: as above.
unsafe impl Sync for Lane {}

/// What happened in a lane, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    pub(super) queued: u64,
    pub(super) delayed: u64,
    pub(super) started: u64,
    pub(super) finished: u64,
    pub(super) panicked: u64,
    pub(super) cancelled: u64,
}

/// What all that belong to a queue share: its handle, and its items while they are queued or run.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Shared {
    // Atomic.
    /// Items that are queued, but for those whose time has not come, or under way: those who drain wait at it. First, beside the count of
    /// references, which changes with it.
    pub(super) in_flight: AtomicUsize,

    // Constant.
    pub(super) name: String,
    pub(super) pools: &'static Pools,
    /// One for each core, or one.
    pub(super) lanes: Box<[Lane]>,
    pub(super) is_bound: bool,

    // Atomic.
    /// Where the next item goes that is queued from elsewhere.
    pub(super) turn: AtomicUsize,
}

/// Items that are ready, and the workers that take them. Never freed.
///
/// What changes with each item is in its first cache line.
#[repr(C, align(64))]
pub(super) struct Pool {
    // Its lock.
    pub(super) ready: Spin<List<ItemRef>>,

    // Its own locks, and atomic.
    pub(super) gang: Gang,

    // Constant.
    pub(super) runtime: &'static Runtime,
    /// Whose workers are bound to that core.
    pub(super) core: Option<&'static Core>,
    pub(super) priority: Priority,
    pub(super) name: String,

    // Atomic.
    /// When a worker could not be made last; 0: never.
    pub(super) failed_ns: AtomicU64,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.name)
    }
}

/// All pools of a runtime. Never freed.
pub(super) struct Pools {
    pub(super) runtime: &'static Runtime,
    /// Those of another runtime.
    pub(super) next: Cell<*const Pools>,
    /// Of each core, of normal priority and of high.
    pub(super) of_cores: Box<[[Pool; 2]]>,
    pub(super) unbound: [Pool; 2],
    pub(super) delays: Delays,
}

// SAFETY: `next` is written before anybody else can see it; the rest is Sync.
unsafe impl Sync for Pools {}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").field("cores", &self.of_cores.len()).finish_non_exhaustive()
    }
}

/// Items whose time has not come.
#[derive(Debug)]
pub(super) struct Delays {
    pub(super) waiting: Spin<DelayWheel>,
    /// Keeps time. Made when it is needed first.
    pub(super) keeper: OnceLock<Thread>,
}

#[derive(Debug)]
pub(super) struct DelayWheel {
    /// A box: pools are made on some thread's stack, and it is large.
    pub(super) wheel: Box<Wheel<ItemRef>>,
    /// When the keeper looks by itself.
    pub(super) wakes_at_ns: u64,
}

// SAFETY: items are Send, and all of it is under the lock in which it stands.
unsafe impl Send for DelayWheel {}

/// How the wheel finds a timer in its item.
pub(super) struct Timers;

impl wheel::Timers for Timers {
    type Key = ItemRef;

    fn timer(&self, key: ItemRef) -> &Timer<ItemRef> {
        &key.item().timer
    }
}
