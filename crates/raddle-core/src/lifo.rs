//! A lock-free last-in-first-out list of indices: R. K. Treiber's stack (1986) with a tag against ABA.
//!
//! A free list that several cores share must neither lose a slot nor make anybody wait: whoever holds a lock may
//! be descheduled by the kernel. Indices in place of pointers leave room for the tag beside them in one word, need
//! no reclamation scheme (the links live in a table that outlives the list), and let loom model it.
//!
//! ```text
//!   head: | tag, 32 bits | index + 1, 32 bits |      0 in the low half: empty
//!              |
//!              +-- counts every change, so that a head that was popped and pushed back between another
//!                  core's read and its compare-exchange is seen as changed (until 2^32 changes fall
//!                  between the two, which no core is stopped for)
//! ```
//!
//! Rejected: a mutex (a holder that the kernel deschedules stops every core), a list for each core with stealing (a
//! burst that one core frees would be out of reach of the others without a walk over all of them).

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Where the links of a list's members stand: a word for each index that may ever be pushed.
///
/// A member's word belongs to the list while the member is in it.
pub trait Links {
    /// The word in which the list keeps what follows `index`.
    fn link(&self, index: u32) -> &Link;
}

/// One member's link. Its content means something only to the list.
#[derive(Debug)]
pub struct Link(AtomicU32);

impl Link {
    /// A link of a member that is in no list.
    pub fn new() -> Link {
        Link(AtomicU32::new(NONE))
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

const NONE: u32 = 0;

/// The list itself: one word. The links are the caller's, so that members cost nothing while they are elsewhere.
///
/// ```
/// use raddle_core::lifo::{Lifo, Link, Links};
///
/// struct Table(Vec<Link>);
/// impl Links for Table {
///     fn link(&self, index: u32) -> &Link {
///         &self.0[index as usize]
///     }
/// }
///
/// let table = Table((0..4).map(|_| Link::new()).collect());
/// let free = Lifo::new();
/// free.push(&table, 2);
/// free.push_chain(&table, &[0, 1]);
/// assert_eq!(free.pop(&table), Some(0));
/// assert_eq!(free.pop(&table), Some(1));
/// assert_eq!(free.pop(&table), Some(2));
/// assert_eq!(free.pop(&table), None);
/// ```
#[derive(Debug)]
pub struct Lifo {
    head: AtomicU64,
}

/// The head's two halves.
fn unpack(head: u64) -> (u32, u32) {
    ((head >> 32) as u32, head as u32)
}

/// A head that names `member` (an index plus one, or [`NONE`]) and differs from one with tag `tag`.
fn successor(tag: u32, member: u32) -> u64 {
    u64::from(tag.wrapping_add(1)) << 32 | u64::from(member)
}

impl Lifo {
    /// An empty list.
    pub fn new() -> Lifo {
        Lifo { head: AtomicU64::new(0) }
    }

    /// Puts `index` on top. It must be in no list now, and below `u32::MAX`.
    pub fn push(&self, links: &impl Links, index: u32) {
        self.push_chain(links, &[index]);
    }

    /// Puts all of `indices` on top with one exchange; the first of them ends up on top of the others.
    ///
    /// None of them may be in a list now. An empty slice does nothing.
    pub fn push_chain(&self, links: &impl Links, indices: &[u32]) {
        let (Some(&first), Some(&last)) = (indices.first(), indices.last()) else { return };
        for pair in indices.windows(2) {
            links.link(pair[0]).0.store(pair[1] + 1, Ordering::Relaxed);
        }
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let (tag, top) = unpack(head);
            links.link(last).0.store(top, Ordering::Relaxed);
            // Release: whoever pops a member sees its link and whatever its owner wrote before giving it.
            match self.head.compare_exchange_weak(
                head,
                successor(tag, first + 1),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes the member on top, if there is one.
    pub fn pop(&self, links: &impl Links) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let (tag, top) = unpack(head);
            if top == NONE {
                return None;
            }
            // Perhaps popped and in use elsewhere by now: then this reads a stale word, and the tag gives it away.
            let below = links.link(top - 1).0.load(Ordering::Relaxed);
            match self.head.compare_exchange_weak(
                head,
                successor(tag, below),
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(top - 1),
                Err(now) => head = now,
            }
        }
    }

    /// Whether nothing is in the list at this moment; by the time the caller acts on it, it may be otherwise.
    pub fn is_empty(&self) -> bool {
        unpack(self.head.load(Ordering::Relaxed)).1 == NONE
    }
}

impl Default for Lifo {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Table(Vec<Link>);
    impl Links for Table {
        fn link(&self, index: u32) -> &Link {
            &self.0[index as usize]
        }
    }

    proptest! {
        /// Against the obvious model, a `Vec`: whatever is pushed and popped in whatever order.
        #[test]
        fn behaves_as_a_vec(steps in proptest::collection::vec(0usize..4, 1..200)) {
            let table = Table((0..64).map(|_| Link::new()).collect());
            let list = Lifo::new();
            let mut model: Vec<u32> = Vec::new();
            let mut outside: Vec<u32> = (0..64).collect();
            for step in steps {
                if step == 0 {
                    let got = list.pop(&table);
                    prop_assert_eq!(got, model.pop());
                    outside.extend(got);
                } else {
                    let chain: Vec<u32> = outside.drain(..step.min(outside.len())).collect();
                    list.push_chain(&table, &chain);
                    model.extend(chain.iter().rev());
                }
                prop_assert_eq!(list.is_empty(), model.is_empty());
            }
        }
    }
}
