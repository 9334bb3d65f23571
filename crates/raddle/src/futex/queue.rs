//! The queue of a bucket: those who wait, by address, first come first served.
//!
//! ```text
//!   heads ──▶ waiter at A ◀──▶ waiter at B ◀──▶ waiter at C        one for each address
//!                 │  ▲             │
//!                 ▼  │             ▼
//!             waiter at A        (alone)                            behind it those of the same address
//!                 │  ▲
//!                 ▼  │
//!             waiter at A  ◀── `tail` of the head
//! ```
//!
//! Addresses that share a bucket cost each other a step, not their waiters: whoever wakes finds the first at an address and
//! the last in as many steps as there are *addresses*. Removing one from the middle takes the same. Rejected: one
//! list of all (a wake would walk past every waiter of a popular neighbour); a tree for each bucket (with 4096 buckets
//! there is hardly ever a second address).
//!
//! Nodes live on their waiters' stacks. Everything here runs under the bucket's lock, and a node is linked only while its
//! waiter is in `wait`, which unlinks it, or finds it unlinked, before it returns.

#![allow(unsafe_code, reason = "an intrusive list through the waiters' stacks")]

use crate::sleeper::Sleep;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where a waiter enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

/// One who waits. All cells are the bucket's lock's.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it waits. Changes only under the locks of both buckets; its own waiter reads it without, and looks again.
    address: AtomicUsize,
    pub(super) sleep: Cell<Sleep>,
    /// The caller's.
    pub(super) tag: usize,
    /// How many came to this bucket before it.
    pub(super) number: Cell<u64>,
    is_linked: Cell<bool>,
    next: Cell<*const Node>,
    prev: Cell<*const Node>,
    // The first of an address only.
    tail: Cell<*const Node>,
    next_head: Cell<*const Node>,
    prev_head: Cell<*const Node>,
}

impl Node {
    pub(super) fn new(address: usize, tag: usize, sleep: Sleep) -> Node {
        Node {
            address: AtomicUsize::new(address),
            sleep: Cell::new(sleep),
            tag,
            number: Cell::new(0),
            is_linked: Cell::new(false),
            next: Cell::new(ptr::null()),
            prev: Cell::new(ptr::null()),
            tail: Cell::new(ptr::null()),
            next_head: Cell::new(ptr::null()),
            prev_head: Cell::new(ptr::null()),
        }
    }

    pub(super) fn address(&self) -> usize {
        self.address.load(Ordering::Relaxed)
    }

    /// Under the locks of the old and the new bucket, unlinked.
    pub(super) fn set_address(&self, address: usize) {
        debug_assert!(!self.is_linked.get());
        self.address.store(address, Ordering::Relaxed);
    }

    pub(super) fn is_linked(&self) -> bool {
        self.is_linked.get()
    }
}

/// Those who wait in one bucket.
#[derive(Debug)]
pub(super) struct Queue {
    heads: *const Node,
    came: u64,
}

// SAFETY: the nodes that it points to are touched by whoever holds the bucket's lock only, see above.
unsafe impl Send for Queue {}

impl Queue {
    pub(super) const fn new() -> Queue {
        Queue { heads: ptr::null(), came: 0 }
    }

    /// How many have come so far.
    pub(super) fn came(&self) -> u64 {
        self.came
    }

    /// The first who waits at `address`.
    pub(super) fn first(&self, address: usize) -> Option<&Node> {
        let mut head = self.heads;
        // SAFETY: linked nodes are alive: their waiters are in `wait`.
        while let Some(node) = unsafe { head.as_ref() } {
            if node.address() == address {
                return Some(node);
            }
            head = node.next_head.get();
        }
        None
    }

    /// Whether somebody waits behind `node`, the first of its address.
    pub(super) fn has_next(node: &Node) -> bool {
        !node.next.get().is_null()
    }

    /// Links a node.
    ///
    /// # Safety
    ///
    /// It stays where it is, and alive, until it is unlinked.
    pub(super) unsafe fn insert(&mut self, node: &Node, end: End) {
        debug_assert!(!node.is_linked.get());
        node.is_linked.set(true);
        node.number.set(self.came);
        self.came += 1;
        node.next.set(ptr::null());
        node.prev.set(ptr::null());
        let this = ptr::from_ref(node);
        match self.first(node.address()) {
            None => {
                node.tail.set(this);
                node.prev_head.set(ptr::null());
                node.next_head.set(self.heads);
                // SAFETY: linked nodes are alive.
                if let Some(second) = unsafe { self.heads.as_ref() } {
                    second.prev_head.set(this);
                }
                self.heads = this;
            }
            Some(head) if end == End::Back => {
                let last = head.tail.get();
                node.prev.set(last);
                // SAFETY: as above.
                unsafe { (*last).next.set(this) };
                head.tail.set(this);
            }
            Some(head) => {
                node.next.set(head);
                head.prev.set(this);
                node.tail.set(head.tail.get());
                let head: *const Node = head;
                // SAFETY: as above.
                self.replace_head(unsafe { &*head }, Some(node));
            }
        }
    }

    /// Unlinks a node, wherever it stands.
    pub(super) fn remove(&mut self, node: &Node) {
        debug_assert!(node.is_linked.get());
        node.is_linked.set(false);
        // SAFETY: linked nodes are alive, and so are their neighbours.
        let (prev, next) = unsafe { (node.prev.get().as_ref(), node.next.get().as_ref()) };
        match (prev, next) {
            (None, None) => self.replace_head(node, None),
            (None, Some(next)) => {
                next.prev.set(ptr::null());
                next.tail.set(node.tail.get());
                self.replace_head(node, Some(next));
            }
            (Some(prev), Some(next)) => {
                prev.next.set(next);
                next.prev.set(prev);
            }
            (Some(prev), None) => {
                prev.next.set(ptr::null());
                if let Some(head) = self.first(node.address()) {
                    head.tail.set(prev);
                }
            }
        }
    }

    /// Puts `new`, or nobody, in the place of `old` among the heads.
    fn replace_head(&mut self, old: &Node, new: Option<&Node>) {
        let (before, after) = (old.prev_head.get(), old.next_head.get());
        let new = new.map_or((after, before), |new| {
            new.prev_head.set(before);
            new.next_head.set(after);
            (ptr::from_ref(new), ptr::from_ref(new))
        });
        // SAFETY: linked nodes are alive.
        unsafe {
            match before.as_ref() {
                Some(before) => before.next_head.set(new.0),
                None => self.heads = new.0,
            }
            if let Some(after) = after.as_ref() {
                after.prev_head.set(new.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;
    use crate::park::Wait;
    use std::collections::VecDeque;

    /// Random operations against a list for each address.
    #[test]
    fn waiters_leave_by_address_in_the_order_in_which_they_came() {
        let wait = Wait::begin(Label::FUTEX.at(0));
        let sleep = wait.sleep();
        let nodes: Vec<Node> = (0..40).map(|tag| Node::new(tag % 5, tag, sleep)).collect();
        let mut queue = Queue::new();
        let mut model: Vec<VecDeque<usize>> = vec![VecDeque::new(); 5];
        let mut chance = 88_172_645_463_325_252_u64;
        for _ in 0..100_000 {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let tag = (chance >> 8) as usize % nodes.len();
            let (node, address) = (&nodes[tag], tag % 5);
            match (node.is_linked(), chance % 4) {
                (false, 0) => {
                    // SAFETY: `nodes` stay where they are.
                    unsafe { queue.insert(node, End::Front) };
                    model[address].push_front(tag);
                }
                (false, _) => {
                    // SAFETY: as above.
                    unsafe { queue.insert(node, End::Back) };
                    model[address].push_back(tag);
                }
                (true, 0 | 1) => {
                    queue.remove(node);
                    model[address].retain(|&other| other != tag);
                }
                (true, _) => {
                    let first = ptr::from_ref(queue.first(address).unwrap());
                    // SAFETY: one of `nodes`.
                    let first = unsafe { &*first };
                    assert_eq!(Some(first.tag), model[address].pop_front());
                    assert_eq!(Queue::has_next(first), !model[address].is_empty());
                    queue.remove(first);
                }
            }
            for (address, line) in model.iter().enumerate() {
                assert_eq!(queue.first(address).map(|node| node.tag), line.front().copied());
            }
        }
        wait.retract();
    }
}
