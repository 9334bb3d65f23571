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
//! A core's nodes come from the kernel in chunks and are used again, the last one first. They never go back: there are as many as threads had
//! one at once. A thread has one while it sleeps with a time-out, and after that until it runs out, for its next such sleep.

#![allow(unsafe_code, reason = "nodes in memory from the kernel")]

use crate::sleeper::{Sleep, Sleeper};
use crate::sys::{memory, task};
use raddle_core::state::Ticket;
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
    /// It ends this sleep. [Marked](early): it stands there since an earlier sleep of the same thread, and this one may last longer.
    Armed(Sleep),
    /// For nothing. The next one that is free.
    Free(Option<TimerRef>),
}

/// In the number of a sleep: a third kind of use would take a word more of each node.
const EARLY: u64 = 1;
const _: () = assert!(EARLY & Ticket::SPARE == EARLY);

/// The same sleep, marked.
fn early(sleep: Sleep) -> Sleep {
    Sleep { ticket: Ticket::from_bits(sleep.ticket.to_bits() | EARLY), ..sleep }
}

/// The sleep without its mark, and whether it had one.
fn unmarked(sleep: Sleep) -> (Sleep, bool) {
    let bits = sleep.ticket.to_bits();
    (Sleep { ticket: Ticket::from_bits(bits & !EARLY), ..sleep }, bits & EARLY != 0)
}

/// What a timer that was due is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// This sleep ends.
    Now(Sleep),
    /// A sleep that ends later: it stands in the wheel again.
    Later,
}

/// A node: never freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerRef(NonNull<Node>);

impl TimerRef {
    /// Whether it is armed for a sleep of `sleeper`'s.
    fn is_of(self, sleeper: NonNull<Sleeper>) -> bool {
        match self.node().used.get() {
            Use::Armed(sleep) => sleep.sleeper == sleeper,
            Use::Free(_) => false,
        }
    }

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

    /// Has `timer`, which [`arm`](Self::arm) gave to the same thread for an earlier sleep, end this one, if it still runs and is not later
    /// than that. If it is, it is taken back. Most waits with a time-out end early, and each costs nothing in the wheel so.
    pub(crate) fn rearm(&mut self, timer: TimerRef, sleep: Sleep, deadline_ns: u64) -> bool {
        if !timer.is_of(sleep.sleeper) {
            return false;
        }
        let node = timer.node();
        if node.timer.deadline_ns() <= deadline_ns {
            node.used.set(Use::Armed(early(sleep)));
            return true;
        }
        self.take_back(timer);
        false
    }

    /// Takes back what [`arm`](Self::arm) gave for a sleep of `sleeper`'s, if it still runs. One that has run out may be another's by now.
    pub(crate) fn disarm(&mut self, timer: TimerRef, sleeper: NonNull<Sleeper>) {
        if timer.is_of(sleeper) {
            self.take_back(timer);
        }
    }

    fn take_back(&mut self, timer: TimerRef) {
        self.wheel.remove(&Nodes, timer);
        self.give(timer);
    }

    /// Takes out a timer that is due at `now_ns`. `until_ns` says when a sleep is to end that an earlier timer was kept for; 0 if it is over.
    pub(crate) fn pop_due(&mut self, now_ns: u64, until_ns: impl Fn(Sleep) -> u64) -> Option<Due> {
        let timer = self.wheel.pop_due(&Nodes, now_ns)?;
        let Use::Armed(marked) = timer.node().used.get() else {
            unreachable!("a free timer stood in the wheel");
        };
        let (sleep, is_early) = unmarked(marked);
        let until_ns = if is_early { until_ns(sleep) } else { 0 };
        if until_ns > now_ns {
            timer.node().used.set(Use::Armed(sleep));
            self.wheel.insert(&Nodes, timer, until_ns);
            return Some(Due::Later);
        }
        self.give(timer);
        Some(Due::Now(sleep))
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
    use crate::sleeper::Kind;

    fn sleep_of(sleeper: &Sleeper) -> Sleep {
        let sleep = Sleep::prepare(NonNull::from(sleeper));
        assert_eq!(sleep.retract(), Ok(()));
        sleep
    }

    #[test]
    fn a_timer_that_is_kept_ends_the_later_sleep_when_that_is_due() {
        let ms = 1_000_000;
        let sleeper = Sleeper::new(Kind::Thread);
        let mut timers = Timers::new(0);
        let (first, second) = (sleep_of(&sleeper), sleep_of(&sleeper));
        let timer = timers.arm(first, 10 * ms);
        assert!(timers.rearm(timer, second, 30 * ms), "it is early enough");
        let until = |sleep| if sleep == second { 30 * ms } else { 0 };
        assert_eq!(timers.pop_due(20 * ms, until), Some(Due::Later));
        assert_eq!(timers.pop_due(20 * ms, until), None);
        assert_eq!(timers.pop_due(31 * ms, until), Some(Due::Now(second)));
        assert_eq!(timers.pop_due(u64::MAX / 2, until), None);
    }

    #[test]
    fn a_timer_that_is_kept_and_of_no_use_any_more_is_free() {
        let sleeper = Sleeper::new(Kind::Thread);
        let mut timers = Timers::new(0);
        let timer = timers.arm(sleep_of(&sleeper), 1_000_000);
        let sleep = sleep_of(&sleeper);
        assert!(timers.rearm(timer, sleep, 5_000_000));
        assert_eq!(timers.pop_due(2_000_000, |_| 0), Some(Due::Now(sleep)), "which is over");
        let other = Sleeper::new(Kind::Thread);
        assert_eq!(timers.arm(sleep_of(&other), 9_000_000), timer, "it is used again");
        assert!(!timers.rearm(timer, sleep, 9_000_000), "by another");
        timers.disarm(timer, sleep.sleeper);
        assert!(timers.pop_due(10_000_000, |_| 0).is_some());
    }

    #[test]
    fn a_timer_that_is_too_late_is_taken_back() {
        let sleeper = Sleeper::new(Kind::Thread);
        let mut timers = Timers::new(0);
        let timer = timers.arm(sleep_of(&sleeper), 9_000_000);
        assert!(!timers.rearm(timer, sleep_of(&sleeper), 1_000_000));
        assert_eq!(timers.pop_due(u64::MAX / 2, |_| 0), None);
    }

    #[test]
    fn a_node_is_small() {
        assert!(size_of::<Node>() <= 48, "{} bytes", size_of::<Node>());
    }
}
