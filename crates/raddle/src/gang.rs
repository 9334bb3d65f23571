//! A gang: the threads that do the work items of one of a workqueue's pools, as far as the scheduler must know of them.
//!
//! They are called workers, as in Linux's workqueues; they are raddle threads, and have nothing to do with the kernel threads that
//! [`machine`](crate::machine) calls so.
//!
//! A thread's block names its gang while the thread counts as one that runs: from when it was woken for an item until it becomes idle. When
//! such a thread sleeps, or loses its core in the kernel, the scheduler counts it out, and wakes an idle one if items are left; when it
//! goes on it is counted in again. What the numbers mean is said in `raddle_core::gauge`, what follows from them in
//! `raddle_core::work_pool`.

#![allow(
    unsafe_code,
    reason = "nodes on the stacks of idle threads; pointers to gangs, which are never freed"
)]

use crate::sleeper::Sleep;
use crate::spin::Spin;
use raddle_core::gauge::Gauge;
use raddle_core::list::{List, Node};
use raddle_core::work_pool::{Counts, may_start_working, too_many_workers};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// All of it: never freed.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Gang {
    pub(crate) gauge: Gauge,
    idle: Spin<Idle>,
    /// Idle threads, and those that are being made: a copy, for those who only look.
    reserve: AtomicUsize,
}

#[derive(Debug)]
struct Idle {
    /// The last one that became idle is first.
    threads: List<IdleRef>,
    counts: Counts,
}

// SAFETY: nodes are touched under the lock in which this stands.
unsafe impl Send for Idle {}

/// An idle thread's place in the list: on its stack. Under the gang's lock, all of it.
#[derive(Debug)]
pub(crate) struct IdleNode {
    node: Node<IdleRef>,
    sleep: Cell<Option<Sleep>>,
    since_ns: Cell<u64>,
    is_linked: Cell<bool>,
}

impl IdleNode {
    pub(crate) const fn new() -> IdleNode {
        let (sleep, since_ns) = (Cell::new(None), Cell::new(0));
        IdleNode { node: Node::new(), sleep, since_ns, is_linked: Cell::new(false) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IdleRef(NonNull<IdleNode>);

/// What an idle thread finds when its sleep is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It was woken for an item, and counts as one that runs.
    Over,
    /// It is still idle.
    GoesOn,
    /// There are too many: it is a member no longer.
    Ends,
}

/// What is to become of surplus threads: see [`Gang::surplus`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Surplus {
    /// One that has just become idle ends then, if there are too many still.
    pub(crate) look_at_ns: Option<u64>,
    /// Of one whose time is over already: it is to be woken, as timed out.
    pub(crate) ends: Option<Sleep>,
}

impl Gang {
    /// What a block says: the gang among whose running workers its thread counts.
    #[inline]
    pub(crate) fn of(gang: &AtomicPtr<Gang>) -> Option<&'static Gang> {
        // SAFETY: gangs are never freed.
        unsafe { gang.load(Ordering::Relaxed).as_ref() }
    }

    pub(crate) fn new(width: usize) -> Gang {
        let idle = Idle { threads: List::new(), counts: Counts { width, ..Counts::default() } };
        Gang { gauge: Gauge::new(width), idle: Spin::new(idle), reserve: AtomicUsize::new(0) }
    }

    // All that follow: preemption is forbidden, or the caller is a kernel thread that is no worker.

    /// An idle thread, if one is needed: it counts as one that runs, and is to be woken.
    pub(crate) fn call_one(&self) -> Option<Sleep> {
        let mut idle = self.idle.lock();
        let first = idle.threads.first().filter(|_| self.gauge.needs_more())?;
        self.gauge.one_runs();
        idle.unlink(first);
        self.publish(&idle);
        // SAFETY: it was linked until a moment ago, and its thread does not leave its frame without the lock, which is held.
        unsafe { first.0.as_ref() }.sleep.take()
    }

    /// A thread that runs is about to sleep in its item: another one to be woken.
    #[inline]
    pub(crate) fn one_sleeps(&self) -> Option<Sleep> {
        if self.gauge.one_stops() { self.call_one() } else { None }
    }

    /// The calling thread, which runs, becomes idle at `now_ns`: `sleep` ends that, unless there is an item after all. False if so.
    ///
    /// # Safety
    ///
    /// The node stays where it is until [`rest_on`](Self::rest_on) says that it is over, or the end.
    pub(crate) unsafe fn rest(&self, node: &IdleNode, sleep: Sleep, now_ns: u64) -> bool {
        let mut idle = self.idle.lock();
        if self.gauge.one_stops() {
            self.gauge.one_runs();
            return false;
        }
        node.sleep.set(Some(sleep));
        node.since_ns.set(now_ns);
        idle.link(IdleRef(NonNull::from(node)));
        self.publish(&idle);
        true
    }

    /// The sleep of an idle thread is over, for whatever reason; `next` is the one that it would begin. `may_end`: it has been idle for long.
    pub(crate) fn rest_on(&self, node: &IdleNode, next: Sleep, may_end: bool) -> Rest {
        let mut idle = self.idle.lock();
        if !node.is_linked.get() {
            return Rest::Over;
        }
        if may_end && too_many_workers(&idle.counts) {
            idle.unlink(IdleRef(NonNull::from(node)));
            idle.counts.workers -= 1;
            self.publish(&idle);
            return Rest::Ends;
        }
        node.sleep.set(Some(next));
        Rest::GoesOn
    }

    /// What is to become of surplus threads, when one has become idle or ended, at `now_ns`; nobody shall have needed them for `keep_ns`.
    pub(crate) fn surplus(&self, now_ns: u64, keep_ns: u64) -> Surplus {
        let idle = self.idle.lock();
        if !too_many_workers(&idle.counts) {
            return Surplus::default();
        }
        // The last of the list is idle for longest, as others are called before it.
        // SAFETY: linked, and its thread does not leave its frame without the lock, which is held.
        let longest = idle.threads.last().map(|node| unsafe { node.0.as_ref() });
        let ends = longest.filter(|node| now_ns.saturating_sub(node.since_ns.get()) >= keep_ns);
        Surplus {
            look_at_ns: Some(now_ns.saturating_add(keep_ns)),
            ends: ends.and_then(|node| node.sleep.get()),
        }
    }

    /// Whether the caller is to make a thread: none is in reserve, or coming. Then it counts as coming.
    pub(crate) fn shall_make_one(&self) -> bool {
        let mut idle = self.idle.lock();
        let shall = !may_start_working(&idle.counts);
        idle.counts.coming += usize::from(shall);
        self.publish(&idle);
        shall
    }

    /// The one that was to come can't be made.
    pub(crate) fn none_comes(&self) {
        let mut idle = self.idle.lock();
        idle.counts.coming -= 1;
        self.publish(&idle);
    }

    /// The calling thread is the one that was to come. It counts as one that runs.
    pub(crate) fn arrive(&self) {
        let mut idle = self.idle.lock();
        idle.counts.coming -= 1;
        idle.counts.workers += 1;
        self.gauge.one_runs();
        self.publish(&idle);
    }

    /// Whether a thread is in reserve, or comes.
    pub(crate) fn has_reserve(&self) -> bool {
        self.reserve.load(Ordering::Relaxed) > 0
    }

    fn publish(&self, idle: &Idle) {
        self.reserve.store(idle.counts.idle + idle.counts.coming, Ordering::Relaxed);
    }
}

impl Idle {
    fn link(&mut self, node: IdleRef) {
        self.threads.push_front(node, node_of);
        // SAFETY: the caller's own.
        unsafe { node.0.as_ref() }.is_linked.set(true);
        self.counts.idle += 1;
    }

    fn unlink(&mut self, node: IdleRef) {
        self.threads.remove(node, node_of);
        // SAFETY: it was linked, and its thread does not leave its frame without the lock, which is held.
        unsafe { node.0.as_ref() }.is_linked.set(false);
        self.counts.idle -= 1;
    }
}

fn node_of<'a>(key: IdleRef) -> &'a Node<IdleRef> {
    // SAFETY: asked for nodes that are linked, or are just being so, under the lock: until they are not, they stay where they are.
    unsafe { &(*key.0.as_ptr()).node }
}
