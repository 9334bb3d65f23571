//! The timer wheel: hierarchical, after G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987,
//! scheme 7).
//!
//! ```text
//!   tick  = deadline / 2^15 ns, rounded up       32.8 us
//!   level   0: 256 slots of 1 tick                8.4 ms      a timer stands on the level of the highest group
//!           1: 256 slots of 256 ticks             2.1 s       of 8 bits in which its tick differs from the
//!           2: 256 slots of 256^2 ticks           9.2 min     wheel's, in the slot that this group names
//!           3:                                    39 h
//!           4:                                    1.1 years   what lies beyond stands in the last slot for now
//! ```
//!
//! As time enters a slot of a higher level, its timers are spread over the levels below (they *cascade*), as in tokio and
//! in Linux before 4.8, so each timer is exact to a tick, and is touched at most once a level. Slots are absolute (named
//! by the tick's own bits, as in tokio), so that of the occupied ones the first of the lowest level is always the next, and
//! a jump of the clock, however wide, visits occupied slots only: a bitmap a level finds them. The price is that a slot
//! cascades as a whole: with a hundred thousand timers in it, that one call takes milliseconds. So slots are many: a timer of up to two
//! seconds is touched twice, and of a hundred thousand in a second some eight hundred cascade at once.
//!
//! Deadlines are rounded *up* to a tick and the clock *down*, so nothing fires early, and no more than a tick late.
//!
//! Each slot keeps the earliest tick that was put into it, so that [`next_deadline_ns`](Wheel::next_deadline_ns) needs no
//! walk: a process with one timer an hour away wakes once, not once a level. A removed timer leaves its mark there, and
//! costs at most one look for nothing.
//!
//! Timers are intrusive: a [`Timer`] stands in whatever sleeps, nothing is allocated, arming and removing take constant
//! time. Access is exclusive, as with [`run_queue`](crate::run_queue): the same things hold for keys that are pointers.
//!
//! Rejected: Linux's wheel since 4.8 (never cascades, by letting far timers be up to an eighth late: made for time-outs
//! that are mostly cancelled, but a thread that sleeps for an hour expects to wake on time); a heap (logarithmic, and
//! removal needs an index kept up to date in each member); a tree (the same, and pointers to rebalance); more levels in
//! place of the clamp (a timer of years may be touched twice more); 64 slots a level, whose bitmap is one word (a third of the memory, and
//! eight times as many timers that cascade at once, most of them once more often: each touch misses the caches where many sleep).

use crate::list::{List, Node};
use std::cell::Cell;

/// How long a tick is: what timers are exact to.
pub const TICK_NS: u64 = 1 << TICK_BITS;

/// Deadlines up to this far ahead have a slot of their own; those beyond are looked at again when it has passed.
pub const RANGE_NS: u64 = (SLOTS as u64 - 1) << (TICK_BITS + SLOT_BITS * TOP as u32);

const TICK_BITS: u32 = 15;
const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 5;
const TOP: usize = LEVELS - 1;
/// Of a level's bitmap.
const WORDS: usize = SLOTS / u64::BITS as usize;

/// Where a wheel's timers stand.
///
/// A member's [`Timer`] belongs to the wheel while it is armed. `timer` must lead to the same place for the same key all
/// that time.
pub trait Timers {
    /// What names a timer: an index or a pointer.
    type Key: Copy + Eq;

    /// The timer of `key`.
    fn timer(&self, key: Self::Key) -> &Timer<Self::Key>;
}

/// One timer, to be embedded in what sleeps. Its content means something only to the wheel that it is armed in.
#[derive(Debug)]
pub struct Timer<K: Copy> {
    node: Node<K>,
    deadline_ns: Cell<u64>,
    /// Level times [`SLOTS`] plus slot, plus one; 0 if it isn't armed.
    place: Cell<u16>,
}

impl<K: Copy> Timer<K> {
    /// A timer that isn't armed.
    pub const fn new() -> Timer<K> {
        Timer { node: Node::new(), deadline_ns: Cell::new(0), place: Cell::new(0) }
    }

    /// Whether it is in a wheel. Ask under that wheel's lock.
    pub fn is_armed(&self) -> bool {
        self.place.get() != 0
    }

    /// The deadline for which it is or was armed last.
    pub fn deadline_ns(&self) -> u64 {
        self.deadline_ns.get()
    }
}

impl<K: Copy> Default for Timer<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot<K> {
    list: List<K>,
    /// No member fires before this tick. Means nothing while the list is empty.
    earliest: u64,
}

/// One level: its slots, and which of them have members.
#[derive(Debug)]
struct Level<K> {
    bitmap: [u64; WORDS],
    slots: [Slot<K>; SLOTS],
}

impl<K: Copy + Eq> Level<K> {
    const fn new() -> Level<K> {
        let slots = [const { Slot { list: List::new(), earliest: 0 } }; SLOTS];
        Level { bitmap: [0; WORDS], slots }
    }

    fn mark(&mut self, slot: usize) {
        self.bitmap[slot / 64] |= 1 << (slot % 64);
    }

    fn clear(&mut self, slot: usize) {
        self.bitmap[slot / 64] &= !(1 << (slot % 64));
    }

    fn is_empty(&self) -> bool {
        self.bitmap == [0; WORDS]
    }

    /// How many slots behind `here` the first occupied one is, going round.
    fn ahead_of(&self, here: usize) -> Option<usize> {
        let (first, behind) = (here / 64, !0 << (here % 64));
        // The first word comes twice: what is behind `here`, and at last what is before.
        (0..=WORDS).find_map(|turn| {
            let mask = match turn {
                0 => behind,
                WORDS => !behind,
                _ => !0,
            };
            let word = (first + turn) % WORDS;
            let found = self.bitmap[word] & mask;
            let slot = word * 64 + found.trailing_zeros() as usize;
            (found != 0).then(|| (slot + SLOTS - here) % SLOTS)
        })
    }
}

/// An occupied slot, and the first tick that it stands for.
#[derive(Clone, Copy)]
struct Found {
    level: usize,
    slot: usize,
    start: u64,
}

/// The wheel. About 31 KiB, with keys as large as a pointer; it can be made in a constant.
///
/// ```
/// use raddle_core::wheel::{TICK_NS, Timer, Timers, Wheel};
///
/// struct Table(Vec<Timer<usize>>);
/// impl Timers for Table {
///     type Key = usize;
///     fn timer(&self, key: usize) -> &Timer<usize> {
///         &self.0[key]
///     }
/// }
///
/// let table = Table((0..3).map(|_| Timer::new()).collect());
/// let mut wheel = Wheel::new(0);
/// wheel.insert(&table, 0, 3_600_000_000_000);
/// wheel.insert(&table, 1, 5_000_000);
/// wheel.insert(&table, 2, 6_000_000);
/// assert!(wheel.remove(&table, 2));
///
/// let next = wheel.next_deadline_ns().unwrap();
/// assert!((5_000_000..5_000_000 + TICK_NS).contains(&next));
/// let mut fired = Vec::new();
/// wheel.expire(&table, next - 1, &mut |key| fired.push(key));
/// assert_eq!(fired, []);
/// wheel.expire(&table, next, &mut |key| fired.push(key));
/// assert_eq!(fired, [1]);
/// assert!(wheel.next_deadline_ns().unwrap() >= 3_600_000_000_000);
/// ```
#[derive(Debug)]
pub struct Wheel<K> {
    /// The wheel's time. What is due before it has fired; what is due at it may still stand in its slot.
    now: u64,
    len: usize,
    /// A bit for each level that has members.
    occupied: u8,
    levels: [Level<K>; LEVELS],
}

/// The number of the slot on `level` that `tick` falls into, counted from the beginning of time.
const fn absolute_slot(tick: u64, level: usize) -> u64 {
    tick >> (SLOT_BITS * level as u32)
}

const fn slot_of(tick: u64, level: usize) -> usize {
    absolute_slot(tick, level) as usize % SLOTS
}

impl<K: Copy + Eq> Wheel<K> {
    /// An empty wheel whose time is `now_ns`. In a constant 0 will do, for any clock that doesn't begin before it.
    pub const fn new(now_ns: u64) -> Wheel<K> {
        let levels = [const { Level::new() }; LEVELS];
        Wheel { now: now_ns / TICK_NS, len: 0, occupied: 0, levels }
    }

    /// Arms `key`'s timer. One whose deadline has passed fires with the next [`expire`](Wheel::expire).
    ///
    /// `u64::MAX`, with the last tick before it, is never reached.
    ///
    /// # Panics
    ///
    /// If the timer is armed already.
    pub fn insert(&mut self, timers: &impl Timers<Key = K>, key: K, deadline_ns: u64) {
        let timer = timers.timer(key);
        assert!(!timer.is_armed(), "Wheel::insert: this timer is armed already");
        timer.deadline_ns.set(deadline_ns);
        self.place(timers, key);
        self.len += 1;
    }

    /// Puts a timer where it belongs at the wheel's present time.
    fn place(&mut self, timers: &impl Timers<Key = K>, key: K) {
        let timer = timers.timer(key);
        let mut tick = timer.deadline_ns.get().div_ceil(TICK_NS).max(self.now);
        let differs = (tick ^ self.now).checked_ilog2().unwrap_or(0);
        let level = ((differs / SLOT_BITS) as usize).min(TOP);
        if level == TOP {
            // The top level goes round: its slots are the 255 that come next. Behind the last of them the tick that
            // counts is the one at which to look again.
            let last = absolute_slot(self.now, TOP) + SLOTS as u64 - 1;
            if absolute_slot(tick, TOP) > last {
                tick = last << (SLOT_BITS * TOP as u32);
            }
        }
        let index = slot_of(tick, level);
        let slot = &mut self.levels[level].slots[index];
        slot.earliest = if slot.list.is_empty() { tick } else { slot.earliest.min(tick) };
        slot.list.push_back(key, |key| &timers.timer(key).node);
        self.levels[level].mark(index);
        self.occupied |= 1 << level;
        timer.place.set((level * SLOTS + index + 1) as u16);
    }

    /// Takes a timer out of its slot.
    fn displace(&mut self, timers: &impl Timers<Key = K>, key: K) -> bool {
        let timer = timers.timer(key);
        let Some(place) = timer.place.get().checked_sub(1) else { return false };
        let (level, index) = (usize::from(place) / SLOTS, usize::from(place) % SLOTS);
        let of_level = &mut self.levels[level];
        let list = &mut of_level.slots[index].list;
        list.remove(key, |key| &timers.timer(key).node);
        if list.is_empty() {
            of_level.clear(index);
            self.occupied &= !(u8::from(of_level.is_empty()) << level);
        }
        timer.place.set(0);
        true
    }

    /// Takes `key`'s timer out; false if it wasn't armed: it has fired, or never was.
    ///
    /// # Panics
    ///
    /// If it is armed in another wheel and stands at the end of a list there. Elsewhere in a list that can't be seen, and
    /// the counts of both wheels will be wrong.
    pub fn remove(&mut self, timers: &impl Timers<Key = K>, key: K) -> bool {
        let removed = self.displace(timers, key);
        self.len -= usize::from(removed);
        removed
    }

    /// The occupied slot that comes next.
    fn next_slot(&self) -> Option<Found> {
        if self.occupied == 0 {
            return None;
        }
        let level = self.occupied.trailing_zeros() as usize;
        // Counted from the present slot on. Below the top level none lies before it, so nothing goes round there.
        let ahead = self.levels[level].ahead_of(slot_of(self.now, level))?;
        let absolute = absolute_slot(self.now, level) + ahead as u64;
        let start = absolute << (SLOT_BITS * level as u32);
        Some(Found { level, slot: absolute as usize % SLOTS, start })
    }

    /// When to call [`expire`](Wheel::expire) next; `None` if nothing is armed.
    ///
    /// Never later than the first deadline's tick. It is that tick, unless the timer that was first in its slot has been
    /// removed or all deadlines lie beyond [`RANGE_NS`]: then it is a time at which to look again, and a removed timer
    /// causes at most one such look. It may have passed: then something is due.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let next = self.next_slot()?;
        let earliest = self.levels[next.level].slots[next.slot].earliest;
        Some(earliest.saturating_mul(TICK_NS))
    }

    /// Takes one timer that is due at `now_ns`, the earliest; `None` if there is no more, and then the wheel's time is
    /// `now_ns`.
    ///
    /// For a caller that wants to do something between two of them, as to arm others. Timers of the same tick come in the
    /// order in which they were armed.
    pub fn pop_due(&mut self, timers: &impl Timers<Key = K>, now_ns: u64) -> Option<K> {
        let now = now_ns / TICK_NS;
        // A clock that went back: nothing may fire before the wheel's time comes again.
        if now < self.now {
            return None;
        }
        while let Some(next) = self.next_slot().filter(|next| next.start <= now) {
            self.now = next.start;
            if next.level == 0 {
                let key = self.levels[0].slots[next.slot].list.first()?;
                self.remove(timers, key);
                return Some(key);
            }
            self.cascade(timers, next);
        }
        self.now = now;
        None
    }

    /// Spreads a slot, which the wheel's time has just entered, over the levels below.
    fn cascade(&mut self, timers: &impl Timers<Key = K>, found: Found) {
        while let Some(key) = self.levels[found.level].slots[found.slot].list.first() {
            self.displace(timers, key);
            self.place(timers, key);
        }
    }

    /// Takes all timers that are due at `now_ns`, in the order of their ticks, and gives each key to `fired`.
    ///
    /// A clock that goes back is as one that stands still.
    pub fn expire(
        &mut self,
        timers: &impl Timers<Key = K>,
        now_ns: u64,
        fired: &mut impl FnMut(K),
    ) {
        while let Some(key) = self.pop_due(timers, now_ns) {
            fired(key);
        }
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is armed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<K: Copy + Eq> Default for Wheel<K> {
    fn default() -> Self {
        Self::new(0)
    }
}
