//! Doubly linked lists whose links stand in their members, for structures that one holder of a lock changes at a time.
//! Run queues, timer wheels and lists of work items are made of them.
//!
//! A scheduler must not allocate, so what it queues brings its own two links. A member is named by a key (an index, a
//! pointer); the caller says how to get from a key to its node, and this crate needs no unsafe code. Every operation
//! takes constant time, removal from the middle too: that is what the second link buys.
//!
//! Rejected: a circular list with its head among the nodes (saves a branch, but the head would need a key of its own);
//! a singly linked list (a timer that is cancelled, or a thread whose priority changes, would be searched for).

use std::cell::Cell;

/// A member's two links. Outside a list they mean nothing.
#[derive(Debug)]
pub struct Node<K: Copy> {
    next: Cell<Option<K>>,
    prev: Cell<Option<K>>,
}

impl<K: Copy> Node<K> {
    /// Links of a member that is in no list.
    pub const fn new() -> Node<K> {
        Node { next: Cell::new(None), prev: Cell::new(None) }
    }

    /// Who comes after the member in its list.
    pub fn next(&self) -> Option<K> {
        self.next.get()
    }

    /// Who comes before it.
    pub fn previous(&self) -> Option<K> {
        self.prev.get()
    }
}

impl<K: Copy> Default for Node<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// The two ends of a list. `node` must lead to the same node for a key as long as it is a member.
///
/// ```
/// use raddle_core::list::{List, Node};
/// let nodes: [Node<usize>; 3] = [const { Node::new() }; 3];
/// let mut list = List::new();
/// list.push_back(1, |key| &nodes[key]);
/// list.push_back(2, |key| &nodes[key]);
/// list.push_front(0, |key| &nodes[key]);
/// list.remove(1, |key| &nodes[key]);
/// assert_eq!((list.first(), nodes[0].next(), list.last()), (Some(0), Some(2), Some(2)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct List<K> {
    first: Option<K>,
    last: Option<K>,
}

impl<K: Copy + Eq> List<K> {
    /// An empty list.
    pub const fn new() -> List<K> {
        List { first: None, last: None }
    }

    /// The member at the front.
    pub fn first(&self) -> Option<K> {
        self.first
    }

    /// The member at the back.
    pub fn last(&self) -> Option<K> {
        self.last
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Puts `key`, which is in no list, behind all others.
    #[inline]
    pub fn push_back<'a>(&mut self, key: K, node: impl Fn(K) -> &'a Node<K>)
    where
        K: 'a,
    {
        let own = node(key);
        own.next.set(None);
        own.prev.set(self.last);
        match self.last.replace(key) {
            Some(last) => node(last).next.set(Some(key)),
            None => self.first = Some(key),
        }
    }

    /// Puts `key`, which is in no list, before all others.
    #[inline]
    pub fn push_front<'a>(&mut self, key: K, node: impl Fn(K) -> &'a Node<K>)
    where
        K: 'a,
    {
        let own = node(key);
        own.next.set(self.first);
        own.prev.set(None);
        match self.first.replace(key) {
            Some(first) => node(first).prev.set(Some(key)),
            None => self.last = Some(key),
        }
    }

    /// Takes the member at the front out.
    ///
    /// ```
    /// use raddle_core::list::{List, Node};
    /// let nodes: [Node<usize>; 2] = [const { Node::new() }; 2];
    /// let mut list = List::new();
    /// list.push_back(0, |key| &nodes[key]);
    /// list.push_back(1, |key| &nodes[key]);
    /// assert_eq!(list.pop_front(|key| &nodes[key]), Some(0));
    /// assert_eq!((list.first(), nodes[1].previous()), (Some(1), None));
    /// ```
    #[inline]
    pub fn pop_front<'a>(&mut self, node: impl Fn(K) -> &'a Node<K>) -> Option<K>
    where
        K: 'a,
    {
        let first = self.first?;
        self.first = node(first).next.get();
        match self.first {
            Some(next) => node(next).prev.set(None),
            None => self.last = None,
        }
        Some(first)
    }

    /// Takes `key` out, wherever it stands.
    ///
    /// # Panics
    ///
    /// If the links show that it is a member of another list. Of a member in the middle they don't.
    pub fn remove<'a>(&mut self, key: K, node: impl Fn(K) -> &'a Node<K>)
    where
        K: 'a,
    {
        let (next, prev) = (node(key).next.take(), node(key).prev.take());
        match prev {
            Some(prev) => node(prev).next.set(next),
            None => {
                assert!(self.first == Some(key), "a key was removed from a list that it isn't in");
                self.first = next;
            }
        }
        match next {
            Some(next) => node(next).prev.set(prev),
            None => {
                assert!(self.last == Some(key), "a key was removed from a list that it isn't in");
                self.last = prev;
            }
        }
    }
}

impl<K: Copy + Eq> Default for List<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn content(list: &List<usize>, nodes: &[Node<usize>]) -> Vec<usize> {
        std::iter::successors(list.first, |&key| nodes[key].next.get()).collect()
    }

    proptest! {
        /// Against the obvious model, walked forwards; backwards the links must mirror it.
        #[test]
        fn behaves_as_a_deque(steps in proptest::collection::vec((0u8..4, 0usize..16), 1..200)) {
            let nodes: Vec<Node<usize>> = (0..16).map(|_| Node::new()).collect();
            let mut list = List::new();
            let mut model: VecDeque<usize> = VecDeque::new();
            for (step, key) in steps {
                let at = model.iter().position(|&k| k == key);
                match (step, at) {
                    (0, None) => {
                        list.push_back(key, |k| &nodes[k]);
                        model.push_back(key);
                    }
                    (1, None) => {
                        list.push_front(key, |k| &nodes[k]);
                        model.push_front(key);
                    }
                    (3, _) => {
                        prop_assert_eq!(list.pop_front(|k| &nodes[k]), model.pop_front());
                    }
                    (_, Some(at)) => {
                        list.remove(key, |k| &nodes[k]);
                        model.remove(at);
                    }
                    _ => {}
                }
                prop_assert_eq!(content(&list, &nodes), Vec::from(model.clone()));
                let back: Vec<usize> =
                    std::iter::successors(list.last(), |&key| nodes[key].prev.get()).collect();
                prop_assert_eq!(back, model.iter().rev().copied().collect::<Vec<_>>());
                prop_assert_eq!(list.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    #[should_panic(expected = "a list that it isn't in")]
    fn a_stranger_at_an_end_is_noticed() {
        let nodes: Vec<Node<usize>> = (0..2).map(|_| Node::new()).collect();
        let (mut ours, mut theirs) = (List::new(), List::new());
        ours.push_back(0, |k| &nodes[k]);
        theirs.push_back(1, |k| &nodes[k]);
        ours.remove(1, |k| &nodes[k]);
    }
}
