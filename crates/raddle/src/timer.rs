//! Timers of sleeping threads: small nodes that lie close together, apart from the threads.
//!
//! ```text
//!   core ── wheel ──▶ node ◀──▶ node ◀──▶ node      48 bytes each, in chunks of the core's own
//!                       │         │         │
//!                       ▼         ▼         ▼
//!                     block     block     block     one to a page
//! ```
//!
//! A wheel moves timers from level to level, thousands at once if so many sleep. If they stood in the threads' blocks, each of these moves
//! would miss the caches of data and of addresses, several times.
//!
//! A core's nodes come from the kernel in chunks and are used again, the last one first. They never go back: there are as many as slept at
//! once.

#![allow(unsafe_code, reason = "nodes in memory from the kernel")]

use crate::sleeper::Sleep;
use crate::sys::{memory, task};
use raddle_core::wheel::{self, Timer, Wheel};
use std::cell::Cell;
use std::ptr::NonNull;

/// The first chunk's size. Each is twice as large as the one before, up to [`LARGEST_BYTES`].
const FIRST_BYTES: usize = 16 * 1024;
const LARGEST_BYTES: usize = 4 * 1024 * 1024;

/// One timer. All of it is under the lock of the core that it belongs to.
#[derive(Debug)]
struct Node {
    timer: Timer<TimerRef>,
    used: Cell<Use>,
}

/// What a node is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// It ends this sleep.
    Armed(Sleep),
    /// For nothing. The next one that is free.
    Free(Option<TimerRef>),
}

/// A node: never freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerRef(NonNull<Node>);

impl TimerRef {
    fn node(&self) -> &'static Node {
        // SAFETY: nodes are never freed, and are written before anybody has a reference.
        unsafe { self.0.as_ref() }
    }
}

/// A core's sleeping threads.
#[derive(Debug)]
pub(crate) struct Timers {
    wheel: Wheel<TimerRef>,
    free: Option<TimerRef>,
    /// Memory in which no node was made yet: so many would fit.
    fresh: *mut Node,
    fresh_count: usize,
    next_chunk_bytes: usize,
}

// SAFETY: all nodes, and what they lead to, are touched under the lock in which this stands.
unsafe impl Send for Timers {}

impl Timers {
    pub(crate) const fn new(now_ns: u64) -> Timers {
        Timers {
            wheel: Wheel::new(now_ns),
            free: None,
            fresh: std::ptr::null_mut(),
            fresh_count: 0,
            next_chunk_bytes: FIRST_BYTES,
        }
    }

    /// Arms a timer that ends `sleep`. Where the kernel has no memory for it, the process ends with a line that says so: the caller is
    /// inside the runtime and can't go back.
    pub(crate) fn arm(&mut self, sleep: Sleep, deadline_ns: u64) -> TimerRef {
        let timer = self.take();
        timer.node().used.set(Use::Armed(sleep));
        self.wheel.insert(&Nodes, timer, deadline_ns);
        timer
    }

    /// Takes back what [`arm`](Self::arm) gave, if it still runs. One that has run out may have been armed for another sleep by now.
    pub(crate) fn disarm(&mut self, timer: TimerRef, sleep: Sleep) {
        if timer.node().used.get() == Use::Armed(sleep) {
            self.wheel.remove(&Nodes, timer);
            self.give(timer);
        }
    }

    /// Takes out a timer that is due at `now_ns`: the sleep that ends.
    pub(crate) fn pop_due(&mut self, now_ns: u64) -> Option<Sleep> {
        let timer = self.wheel.pop_due(&Nodes, now_ns)?;
        let used = timer.node().used.get();
        self.give(timer);
        match used {
            Use::Armed(sleep) => Some(sleep),
            Use::Free(_) => unreachable!("a free timer stood in the wheel"),
        }
    }

    /// When to call [`pop_due`](Self::pop_due) next: see [`Wheel::next_deadline_ns`]. `u64::MAX`: never.
    pub(crate) fn next_deadline_ns(&self) -> u64 {
        self.wheel.next_deadline_ns().unwrap_or(u64::MAX)
    }

    fn give(&mut self, timer: TimerRef) {
        timer.node().used.set(Use::Free(self.free));
        self.free = Some(timer);
    }

    /// A node that nobody uses.
    fn take(&mut self) -> TimerRef {
        match self.free {
            Some(timer) => {
                match timer.node().used.get() {
                    Use::Free(next) => self.free = next,
                    Use::Armed(_) => unreachable!("a timer that is armed stood among the free"),
                }
                timer
            }
            None => self.make(),
        }
    }

    fn make(&mut self) -> TimerRef {
        if self.fresh_count == 0 {
            let (chunk, bytes) = new_chunk(self.next_chunk_bytes);
            self.fresh = chunk.cast().as_ptr();
            self.fresh_count = bytes / size_of::<Node>();
            self.next_chunk_bytes = (bytes * 2).min(LARGEST_BYTES);
        }
        let place = self.fresh;
        let node = Node { timer: Timer::new(), used: Cell::new(Use::Free(None)) };
        self.fresh_count -= 1;
        // SAFETY: the place lies in the chunk, which is never unmapped, is nobody else's, aligned to a page and divided into nodes.
        unsafe {
            place.write(node);
            self.fresh = place.add(1);
            TimerRef(NonNull::new_unchecked(place))
        }
    }
}

/// Memory of so many bytes, or of [`FIRST_BYTES`] where there is not as much.
fn new_chunk(bytes: usize) -> (NonNull<u8>, usize) {
    match memory::map(bytes) {
        Ok(chunk) => (chunk, bytes),
        Err(_) => match memory::map(FIRST_BYTES) {
            Ok(chunk) => (chunk, FIRST_BYTES),
            Err(_) => task::die(
                b"raddle: fatal: the kernel has no memory for timers of sleeping threads (RLIMIT_AS, vm.max_map_count)\n",
            ),
        },
    }
}

/// How the wheel finds a timer in its node.
struct Nodes;

impl wheel::Timers for Nodes {
    type Key = TimerRef;

    #[inline]
    fn timer(&self, timer: TimerRef) -> &Timer<TimerRef> {
        &timer.node().timer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_small() {
        assert!(size_of::<Node>() <= 48, "{} bytes", size_of::<Node>());
    }
}
