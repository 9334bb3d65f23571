//! A core's run queue: the two arrays, *active* and *expired*, of Ingo Molnar's O(1) scheduler (Linux 2.6.0 to 2.6.22,
//! `Documentation/scheduler/sched-design.txt` of those releases).
//!
//! ```text
//!             bitmap            lists, level 0 first
//!   active    0 1 0 .. 1 0      [ ] [a - b] [ ] .. [c] [ ]       picked from: the first set bit, then the front
//!   expired   0 0 0 .. 1 0      [ ] [ ]     [ ] .. [d - e] [ ]   has used up its slice; waits for the next round
//! ```
//!
//! Whoever still has some of its slice stands in *active*; when that is empty the two swap by their index, and a new
//! **round** begins. So everybody gets its slice once a round, whatever the levels: levels say who comes first, never who
//! comes at all. Push, pop and removal take constant time, however many threads are queued.
//!
//! Which level and which array a thread belongs to is the business of [`slice`](crate::slice); this is the data structure.
//! Members bring their links ([`Link`] stands in the thread's control block), so nothing is allocated. Access is exclusive:
//! the caller holds the core's lock. Keys may be pointers, for which neither the queue nor the links are `Send`: that its
//! lock and the control blocks' life make this sound only the caller can promise, so it wraps both.
//!
//! **A thief takes what would run last here**: from *expired* first, at the lowest level, whose threads wait for a round
//! to end. There it takes the *front*, which expired longest ago and is the coldest in the caches; the back has only just
//! been switched away from. Only then from *active*, where it takes the *back* of the lowest level: the front runs next, or
//! was preempted a moment ago and is warm. Linux's `move_tasks` looked through *expired* first for the same reason. What is
//! stolen keeps its array, so that moving gives nobody a second slice within a round. Whoever is *bound* to this core
//! ([`Link::bind`]) no thief takes.
//!
//! Rejected: a heap or tree by virtual runtime (CFS: fair without rounds, but logarithmic, and a sleeper's latency hangs
//! on how its lag is clamped); one FIFO with lock-free stealing (Go, tokio: no priorities, and a thread that woke waits
//! behind all that compute); lock-free lists (a thread is to be removed from the middle, and the lock is a core's own).

use crate::list::{List, Node};
use std::cell::Cell;

/// How many levels there are: one bit each in a word.
pub const LEVELS: usize = 64;

/// Where the links of a queue's members stand.
///
/// A member's link belongs to the queue while the member is in it. `link` must lead to the same place for the same key
/// all that time.
pub trait Links {
    /// What names a member: an index or a pointer.
    type Key: Copy + Eq;

    /// The link of `key`.
    fn link(&self, key: Self::Key) -> &Link<Self::Key>;
}

/// One member's link. Its content means something only to the queue that holds it.
#[derive(Debug)]
pub struct Link<K: Copy> {
    node: Node<K>,
    /// [`QUEUED`], the array's index and the level; 0 in no queue.
    place: Cell<u8>,
    /// Thieves leave it alone.
    is_bound: Cell<bool>,
}

const QUEUED: u8 = 1 << 7;
const ARRAY_SHIFT: u32 = 6;
const LEVEL_MASK: u8 = LEVELS as u8 - 1;

impl<K: Copy> Link<K> {
    /// Where in a link the byte stands that is 0 in no queue: for debuggers.
    pub const PLACE_OFFSET: usize = std::mem::offset_of!(Link<K>, place);

    /// A link of a member that is in no queue.
    pub const fn new() -> Link<K> {
        Link { node: Node::new(), place: Cell::new(0), is_bound: Cell::new(false) }
    }

    /// Whether thieves leave its member alone from now on. Only while the member is in no queue.
    pub fn bind(&self, is_bound: bool) {
        debug_assert!(!self.is_queued(), "Link::bind: this thread is in a queue");
        self.is_bound.set(is_bound);
    }

    /// What [`bind`](Link::bind) said last.
    #[inline]
    pub fn is_bound(&self) -> bool {
        self.is_bound.get()
    }

    /// Whether its member is in a queue. Ask under that queue's lock.
    pub fn is_queued(&self) -> bool {
        self.place.get() != 0
    }
}

impl<K: Copy> Default for Link<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// Which of the two arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Array {
    /// Threads of this round, which have some of their slice left.
    Active,
    /// Threads that wait for the next round.
    Expired,
}

/// Which end of a level's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Before its equals: a thread that was preempted and goes on where it stopped.
    Front,
    /// Behind its equals: everybody else.
    Back,
}

/// What [`RunQueue::pop`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Popped<K> {
    /// Who runs next.
    pub key: K,
    /// Its level.
    pub level: u8,
    /// Whether the arrays swapped: this is the first thread of a new round.
    pub new_round: bool,
}

/// A member and its place, as a thief or a dump sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed<K> {
    /// Who.
    pub key: K,
    /// Its level.
    pub level: u8,
    /// The array that it stands or stood in.
    pub array: Array,
}

/// One array: lists by level, and which of them have members.
#[derive(Debug)]
struct Levels<K> {
    bitmap: u64,
    len: usize,
    /// Of these, those that thieves leave alone.
    bound: usize,
    lists: [List<K>; LEVELS],
}

impl<K: Copy + Eq> Levels<K> {
    const fn new() -> Levels<K> {
        Levels { bitmap: 0, len: 0, bound: 0, lists: [const { List::new() }; LEVELS] }
    }

    /// The level that is picked first.
    fn first(&self) -> Option<u8> {
        (self.bitmap != 0).then(|| self.bitmap.trailing_zeros() as u8)
    }

    /// A member of `level` was taken out of its list.
    #[inline]
    fn took(&mut self, link: &Link<K>, level: u8, is_last: bool) {
        if is_last {
            self.bitmap &= !(1 << level);
        }
        self.len -= 1;
        if link.is_bound() {
            self.bound -= 1;
        }
        link.place.set(0);
    }

    /// How many a thief may take.
    fn movable(&self) -> usize {
        self.len - self.bound
    }
}

/// The queue: two arrays of lists. About 2 KiB, with keys as large as a pointer; it can be made in a constant.
///
/// ```
/// use raddle_core::run_queue::{Array, End, Link, Links, RunQueue};
///
/// struct Table(Vec<Link<usize>>);
/// impl Links for Table {
///     type Key = usize;
///     fn link(&self, key: usize) -> &Link<usize> {
///         &self.0[key]
///     }
/// }
///
/// let table = Table((0..3).map(|_| Link::new()).collect());
/// let mut queue = RunQueue::new();
/// queue.push(&table, 0, 40, Array::Active, End::Back);
/// queue.push(&table, 1, 5, Array::Active, End::Back);
/// queue.push(&table, 2, 5, Array::Expired, End::Back);
///
/// let order: Vec<_> =
///     std::iter::from_fn(|| queue.pop(&table)).map(|next| (next.key, next.new_round)).collect();
/// assert_eq!(order, [(1, false), (0, false), (2, true)]);
/// ```
#[derive(Debug)]
pub struct RunQueue<K> {
    arrays: [Levels<K>; 2],
    /// The index of the active one.
    active: u8,
}

impl<K: Copy + Eq> RunQueue<K> {
    /// An empty queue.
    pub const fn new() -> RunQueue<K> {
        RunQueue { arrays: [const { Levels::new() }; 2], active: 0 }
    }

    fn index(&self, array: Array) -> u8 {
        match array {
            Array::Active => self.active,
            Array::Expired => self.active ^ 1,
        }
    }

    fn array(&self, array: Array) -> &Levels<K> {
        let [first, second] = &self.arrays;
        if self.index(array) == 0 { first } else { second }
    }

    /// The array at `index`, 0 or 1. By comparing: arrays are no power of two in size, and a multiplication takes longer.
    #[inline]
    fn levels(&mut self, index: u8) -> &mut Levels<K> {
        let [first, second] = &mut self.arrays;
        if index == 0 { first } else { second }
    }

    /// Puts `key` at one end of the list `level` of `array`.
    ///
    /// # Panics
    ///
    /// If `level` is not below [`LEVELS`], or `key` is in a queue already.
    #[inline]
    pub fn push(&mut self, links: &impl Links<Key = K>, key: K, level: u8, array: Array, end: End) {
        assert!(usize::from(level) < LEVELS, "RunQueue::push: there is no level {level}");
        let link = links.link(key);
        assert!(!link.is_queued(), "RunQueue::push: this thread is in a queue already");
        let index = self.index(array);
        link.place.set(QUEUED | index << ARRAY_SHIFT | level);
        let levels = self.levels(index);
        let list = &mut levels.lists[usize::from(level)];
        match end {
            End::Front => list.push_front(key, |key| &links.link(key).node),
            End::Back => list.push_back(key, |key| &links.link(key).node),
        }
        levels.bitmap |= 1 << level;
        levels.len += 1;
        // Branches: as a pair of words both would be loaded at once, before the processor has them at hand.
        if link.is_bound() {
            levels.bound += 1;
        }
    }

    /// Takes the thread that runs next: the first of the best level that is active.
    ///
    /// If none is active the arrays swap first, and the answer says so.
    #[inline]
    pub fn pop(&mut self, links: &impl Links<Key = K>) -> Option<Popped<K>> {
        let new_round = self.array(Array::Active).bitmap == 0;
        let array = if new_round { Array::Expired } else { Array::Active };
        let index = self.index(array);
        let levels = self.levels(index);
        let level = levels.first()?;
        // Not `remove`: that would ask the link where it stands, which nobody has at hand who comes from a switch.
        let list = &mut levels.lists[usize::from(level)];
        let key = list.pop_front(|key| &links.link(key).node)?;
        let is_last = list.is_empty();
        levels.took(links.link(key), level, is_last);
        self.active = index;
        Some(Popped { key, level, new_round })
    }

    /// Takes the thread that a thief should have: see the module's text. `None` if nobody is queued that may go.
    pub fn pop_for_thief(&mut self, links: &impl Links<Key = K>) -> Option<Placed<K>> {
        self.pop_first_expired(links).or_else(|| self.pop_last_active(links))
    }

    /// Moves half of the threads that are not bound (the larger half, and no more than `at_most`) to the thief's queue
    /// `into`; returns how many.
    ///
    /// Each keeps its level and its array. The bound keeps the time short for which both locks are held.
    pub fn steal_half(
        &mut self,
        links: &impl Links<Key = K>,
        into: &mut RunQueue<K>,
        at_most: usize,
    ) -> usize {
        let count = self.movable().div_ceil(2).min(at_most);
        for _ in 0..count {
            let Some(taken) = self.pop_for_thief(links) else { break };
            // From the active array they come last first.
            let end = match taken.array {
                Array::Active => End::Front,
                Array::Expired => End::Back,
            };
            into.push(links, taken.key, taken.level, taken.array, end);
        }
        count
    }

    /// Moves half of the threads that are active and not bound (the larger half, and no more than `at_most`) to the active array of
    /// `into`; returns how many. For a core that has finished its round before this one.
    ///
    /// They are those that would run last here, at the back of the lowest levels, and keep their order.
    pub fn steal_active(
        &mut self,
        links: &impl Links<Key = K>,
        into: &mut RunQueue<K>,
        at_most: usize,
    ) -> usize {
        let count = self.array(Array::Active).movable().div_ceil(2).min(at_most);
        for _ in 0..count {
            let Some(taken) = self.pop_last_active(links) else { break };
            into.push(links, taken.key, taken.level, Array::Active, End::Front);
        }
        count
    }

    /// Moves half of the threads that are expired and not bound (the larger half, and no more than `at_most`) to the active array of
    /// `into`, whose round is the one that they wait for; returns how many.
    pub fn steal_expired(
        &mut self,
        links: &impl Links<Key = K>,
        into: &mut RunQueue<K>,
        at_most: usize,
    ) -> usize {
        let count = self.array(Array::Expired).movable().div_ceil(2).min(at_most);
        for _ in 0..count {
            let Some(taken) = self.pop_first_expired(links) else { break };
            into.push(links, taken.key, taken.level, Array::Active, End::Back);
        }
        count
    }

    fn pop_first_expired(&mut self, links: &impl Links<Key = K>) -> Option<Placed<K>> {
        self.pop_last_level(links, Array::Expired, List::first, Node::next)
    }

    fn pop_last_active(&mut self, links: &impl Links<Key = K>) -> Option<Placed<K>> {
        self.pop_last_level(links, Array::Active, List::last, Node::previous)
    }

    /// Takes from the lowest level the first who is not bound, as `begin` and `step` lead through its list.
    fn pop_last_level(
        &mut self,
        links: &impl Links<Key = K>,
        array: Array,
        begin: fn(&List<K>) -> Option<K>,
        step: fn(&Node<K>) -> Option<K>,
    ) -> Option<Placed<K>> {
        let levels = self.array(array);
        let mut bitmap = levels.bitmap;
        while bitmap != 0 {
            let level = 63 - bitmap.leading_zeros() as u8;
            let begin = begin(&levels.lists[usize::from(level)]);
            let mut list = std::iter::successors(begin, |&key| step(&links.link(key).node));
            if let Some(key) = list.find(|&key| !links.link(key).is_bound()) {
                self.remove(links, key);
                return Some(Placed { key, level, array });
            }
            bitmap &= !(1 << level);
        }
        None
    }

    /// Takes `key` out, wherever it stands; false if it is in no queue.
    ///
    /// # Panics
    ///
    /// If it is in another queue and stands at the end of its list there. Elsewhere in a list that can't be seen, and the
    /// counts of both queues will be wrong.
    pub fn remove(&mut self, links: &impl Links<Key = K>, key: K) -> bool {
        let link = links.link(key);
        let place = link.place.get();
        if place == 0 {
            return false;
        }
        let level = place & LEVEL_MASK;
        let levels = self.levels(place >> ARRAY_SHIFT & 1);
        let list = &mut levels.lists[usize::from(level)];
        list.remove(key, |key| &links.link(key).node);
        let is_last = list.is_empty();
        levels.took(link, level, is_last);
        true
    }

    /// The level of what [`pop`](RunQueue::pop) would take in this round, if anything.
    ///
    /// ```
    /// use raddle_core::run_queue::{Array, End, Link, Links, RunQueue};
    /// # struct Table([Link<usize>; 2]);
    /// # impl Links for Table {
    /// #     type Key = usize;
    /// #     fn link(&self, key: usize) -> &Link<usize> {
    /// #         &self.0[key]
    /// #     }
    /// # }
    /// # let table = Table([Link::new(), Link::new()]);
    /// let mut queue = RunQueue::new();
    /// queue.push(&table, 0, 5, Array::Expired, End::Back);
    /// assert_eq!(queue.peek_active_level(), None, "whoever waits for the next round is not before anybody in this one");
    /// queue.push(&table, 1, 40, Array::Active, End::Back);
    /// assert_eq!(queue.peek_active_level(), Some(40));
    /// ```
    pub fn peek_active_level(&self) -> Option<u8> {
        self.array(Array::Active).first()
    }

    /// The thread that [`pop`](Self::pop) would take, if it is of the active array, and the one behind it on its level, whose link is not looked
    /// at: for whoever wants to have them at hand.
    ///
    /// ```
    /// use raddle_core::run_queue::{Array, End, Link, Links, RunQueue};
    /// # struct Table([Link<usize>; 2]);
    /// # impl Links for Table {
    /// #     type Key = usize;
    /// #     fn link(&self, key: usize) -> &Link<usize> {
    /// #         &self.0[key]
    /// #     }
    /// # }
    /// # let table = Table([Link::new(), Link::new()]);
    /// let mut queue = RunQueue::new();
    /// queue.push(&table, 0, 5, Array::Active, End::Back);
    /// queue.push(&table, 1, 5, Array::Active, End::Back);
    /// assert_eq!(queue.peek_two(&table), Some((0, Some(1))));
    /// ```
    #[inline]
    pub fn peek_two(&self, links: &impl Links<Key = K>) -> Option<(K, Option<K>)> {
        let active = self.array(Array::Active);
        let first = active.lists[usize::from(active.first()?)].first()?;
        Some((first, links.link(first).node.next()))
    }

    /// How many threads are queued, in both arrays.
    pub fn len(&self) -> usize {
        self.arrays[0].len + self.arrays[1].len
    }

    /// How many threads are queued in `array`.
    pub fn len_of(&self, array: Array) -> usize {
        self.array(array).len
    }

    /// How many of those that are queued may go to other cores.
    #[inline]
    pub fn movable(&self) -> usize {
        self.arrays[0].movable() + self.arrays[1].movable()
    }

    /// Whether nobody is queued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All members in the order in which they would be popped, for dumps.
    pub fn iter<'a, L: Links<Key = K>>(&'a self, links: &'a L) -> Iter<'a, L> {
        Iter { queue: self, links, array: Array::Active, left: u64::MAX, next: None }
    }
}

impl<K: Copy + Eq> Default for RunQueue<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// The members of a queue: see [`RunQueue::iter`].
pub struct Iter<'a, L: Links> {
    queue: &'a RunQueue<L::Key>,
    links: &'a L,
    array: Array,
    /// The levels of `array` that were not entered yet.
    left: u64,
    next: Option<(L::Key, u8)>,
}

impl<L: Links> Iterator for Iter<'_, L> {
    type Item = Placed<L::Key>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, level)) = self.next {
                self.next = self.links.link(key).node.next().map(|next| (next, level));
                return Some(Placed { key, level, array: self.array });
            }
            let levels = self.queue.array(self.array);
            let bitmap = levels.bitmap & self.left;
            if bitmap != 0 {
                let level = bitmap.trailing_zeros() as u8;
                self.left &= !(1 << level);
                self.next = levels.lists[usize::from(level)].first().map(|key| (key, level));
            } else if self.array == Array::Active {
                (self.array, self.left) = (Array::Expired, u64::MAX);
            } else {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
