//! Timeslices: how long a thread may run in a round, what waiting earns it, and where that puts it in the
//! [run queue](crate::run_queue).
//!
//! Every thread owns one slice a round, so shares of the processor are as the slices' lengths, and these are as the
//! priorities' weights: a step is a factor of 1.25, as with Linux's nice values, whose table of weights this is. The ends,
//! ten steps either way, are a factor of 9.3: a longer slice would stand in everybody's way, a shorter one would
//! cost more in switches than it runs.
//!
//! A thread is charged for the time that it really ran. Two numbers ([`Charge`]) hold its account:
//!
//! ```text
//!      0                                slice
//!      |=========earned=====|--------left--|.......used up.....|
//!
//!   left      until it expires. Runs down; used up, a new slice stands there and the thread goes to the expired array
//!   earned    the part of `left` that it has from waiting, not from a new round. Runs down with it
//! ```
//!
//! A thread that is preempted does not pay for time in which it was off the processor: it comes back with the next slice
//! ([`Charge::charge_without`]). Whoever has short slices would lose a tenth of them otherwise to the thread that watches over slices.
//!
//! Whoever sleeps earns what it was entitled to and didn't use: the time divided by the number of threads that would have
//! shared the core (all of it, as long as [nobody computes](Round::sharers) there). So what is earned says whether a thread uses less than its share (it *mostly waits*) or more (it
//! *computes*), at any load, and [`level`] puts those who wait before those who compute: they run after their event at
//! once, and shortly. It can't be faked: sleeping a microsecond earns less than that, and a thread that has expired begins
//! with nothing earned.
//!
//! A slice that is used up is used up, also when the thread happens to sleep just then: unless it has earned a third of the new one by
//! the time that it wakes, it waits for the next round ([`Charge::array_for`]). Two threads that wake each other all the time would have
//! the core for themselves otherwise.
//!
//! Nobody starves: levels order threads within a round, and every round ends. Of threads that compute, this is so by
//! construction. Those that wake could keep a round alive for ever, each with a good claim, if together they want more
//! than the core has: when a [`Round`] has become old, whoever wakes is put off to the next. This is Linux's
//! `STARVATION_LIMIT`, with one difference: there it looked at the expired array only, and threads at the low end of the
//! active one could wait without bound.
//!
//! Rejected: an average of sleep over time with a bonus (Linux 2.6's `sleep_avg`: decays by constants that somebody must
//! tune, and was fooled by threads that slept on purpose); splitting the parent's slice with a child (stops a fork bomb
//! from gaining, but an acceptor that spawns a thread for each connection would have nothing left after a burst).

use crate::run_queue::Array;

/// The slice of a thread of normal priority, unless the user sets another: a preemption costs a few microseconds, which is
/// a thousandth of it.
pub const BASE_SLICE_NS: u64 = 4_000_000;

/// Linux's `sched_prio_to_weight` for nice values from -10 to 10.
const WEIGHTS: [u16; 21] = [
    9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272,
    215, 172, 137, 110,
];

/// How much of the processor a thread gets beside others: -10 (most) to 10 (least), as nice values go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Priority(i8);

impl Priority {
    /// The longest slice: 9.3 times the normal one.
    pub const HIGHEST: Priority = Priority(-10);
    /// The normal slice.
    pub const NORMAL: Priority = Priority(0);
    /// The shortest slice: 9.3 times shorter than the normal one.
    pub const LOWEST: Priority = Priority(10);

    /// The priority that `nice` stands for; beyond -10 and 10, these.
    pub const fn new(nice: i32) -> Priority {
        if nice < -10 {
            Priority::HIGHEST
        } else if nice > 10 {
            Priority::LOWEST
        } else {
            Priority(nice as i8)
        }
    }

    /// The value, -10 to 10.
    pub const fn nice(self) -> i32 {
        self.0 as i32
    }

    /// Its share beside others: 1024 is normal, and each step a factor of 1.25.
    pub const fn weight(self) -> u32 {
        WEIGHTS[self.rank() as usize] as u32
    }

    const fn rank(self) -> u8 {
        (self.0 + 10) as u8
    }
}

/// The slice of a thread of `priority`, where one of normal priority has `base_ns`. Never 0.
///
/// ```
/// use raddle_core::slice::{Priority, slice_ns};
/// assert_eq!(slice_ns(4_000_000, Priority::NORMAL), 4_000_000);
/// assert_eq!(slice_ns(4_000_000, Priority::new(-1)), 4_988_281);
/// ```
pub const fn slice_ns(base_ns: u64, priority: Priority) -> u64 {
    // Weights have 14 bits: up to 2^50 ns (13 days) nothing overflows, and beyond nothing is exact.
    let weight = priority.weight() as u64;
    let slice = if base_ns < 1 << 50 { base_ns * weight / 1024 } else { base_ns / 1024 * weight };
    if slice == 0 { 1 } else { slice }
}

/// What [`Charge::charge`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some of the slice is left: it may run on, or goes back to the active array.
    GoesOn,
    /// The slice is used up and a new one in place: it goes to the expired array, if anybody else is there to run.
    Expired,
}

/// A thread's account: see the module's text.
///
/// ```
/// use raddle_core::slice::{Charge, Verdict};
/// let slice = 4_000_000;
/// let mut charge = Charge::new(slice);
/// assert_eq!(charge.charge(1_000_000, slice), Verdict::GoesOn);
/// assert_eq!(charge.left_ns(), 3_000_000);
/// assert_eq!(charge.charge(3_000_000, slice), Verdict::Expired);
/// assert_eq!((charge.left_ns(), charge.earned_ns()), (slice, 0));
/// charge.refill_after_sleep(8_000_000, 3, slice);
/// assert_eq!(charge.earned_ns(), 2_000_000);
/// ```
///
/// Two words: it is copied at each switch, and a byte behind them would be copied with its padding, for which the processor waits until
/// the byte has left its store buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    left_ns: u64,
    /// What it has earned, at most `left_ns`; and [`USED_UP`].
    earned: u64,
}

/// Its slice of this round is used up, and it has not been queued for the next one since.
const USED_UP: u64 = 1 << 63;

impl Charge {
    /// A thread without a parent, with a whole slice; as it was never seen to compute, as if it had earned that.
    pub const fn new(slice_ns: u64) -> Charge {
        Charge { left_ns: slice_ns, earned: slice_ns & !USED_UP }
    }

    /// A thread that this one spawns: a whole slice of its own, and its parent's standing.
    ///
    /// So a thread for a new connection runs as soon as the acceptor would, and those that a computing thread spawns
    /// stand beside it, not before.
    #[inline]
    pub const fn child(&self, parent_slice_ns: u64, child_slice_ns: u64) -> Charge {
        let parent = if parent_slice_ns == 0 { 1 } else { parent_slice_ns };
        let earned = self.earned_ns();
        let share = if earned < parent { earned } else { parent };
        let earned = if parent == child_slice_ns {
            // Most often: a division of this width takes as long as the rest of a short thread's accounts.
            share
        } else {
            (share as u128 * child_slice_ns as u128 / parent as u128) as u64
        };
        Charge { left_ns: child_slice_ns, earned: earned & !USED_UP }
    }

    /// How long it may still run in this round.
    #[inline]
    pub const fn left_ns(&self) -> u64 {
        self.left_ns
    }

    /// Whether its slice of this round is used up, and it was not queued for the next one since.
    #[inline]
    pub const fn is_used_up(&self) -> bool {
        self.earned & USED_UP != 0
    }

    /// How much of that it has earned by waiting.
    #[inline]
    pub const fn earned_ns(&self) -> u64 {
        self.earned & !USED_UP
    }

    /// It ran for `ran_ns`; its slices have `slice_ns`.
    ///
    /// What it ran too long (preemption comes late, and to some threads never) shortens the new slice, down to a tenth: so
    /// shares stay fair, and a debt that no round could repay is forgiven.
    #[inline]
    pub fn charge(&mut self, ran_ns: u64, slice_ns: u64) -> Verdict {
        if ran_ns < self.left_ns {
            self.left_ns -= ran_ns;
            self.set_earned(self.earned_ns().saturating_sub(ran_ns));
            return Verdict::GoesOn;
        }
        let debt = ran_ns - self.left_ns;
        self.left_ns = slice_ns.saturating_sub(debt).max(slice_ns / 10).max(1);
        self.earned = USED_UP;
        Verdict::Expired
    }

    /// As [`charge`](Self::charge), for a thread that was off the processor for `stolen_ns` of the time that it ran: the kernel had others to
    /// run there, or a virtual machine's host. That comes back to it: of this slice, or with the next one.
    ///
    /// The slice has ended all the same if the clock says so: to preempt it a second time for the rest would cost as much as the rest. No more
    /// than a slice comes back.
    ///
    /// ```
    /// use raddle_core::slice::{Charge, Verdict};
    /// let slice = 4_000_000;
    /// let mut charge = Charge::new(slice);
    /// assert_eq!(charge.charge_without(slice, 100_000, slice), Verdict::Expired);
    /// assert_eq!(charge.left_ns(), slice + 100_000);
    /// ```
    #[inline]
    pub fn charge_without(&mut self, ran_ns: u64, stolen_ns: u64, slice_ns: u64) -> Verdict {
        let verdict = self.charge(ran_ns, slice_ns);
        let back = stolen_ns.min(ran_ns).min(slice_ns);
        self.left_ns = self.left_ns.saturating_add(back);
        verdict
    }

    /// Nobody else wants to run: it begins the new slice at once.
    #[inline]
    pub fn run_on(&mut self) {
        self.earned &= !USED_UP;
    }

    /// In which array it is queued now, if it would be `wanted` by what happened to it: in the expired one if its slice is used up.
    ///
    /// ```
    /// use raddle_core::{run_queue::Array, slice::Charge};
    /// let slice = 4_000_000;
    /// let mut charge = Charge::new(slice);
    /// let _ = charge.charge(slice, slice);
    /// charge.refill_after_sleep(1_000, 0, slice);
    /// assert_eq!(charge.array_for(Array::Active), Array::Expired);
    /// assert_eq!(charge.array_for(Array::Active), Array::Active);
    /// ```
    #[inline]
    #[must_use]
    pub fn array_for(&mut self, wanted: Array) -> Array {
        let is_used_up = self.is_used_up();
        self.earned &= !USED_UP;
        if is_used_up { Array::Expired } else { wanted }
    }

    /// It slept for `slept_ns` beside `runnable` other threads that shared its core: it earns its part of that time, until it has a
    /// whole slice.
    #[inline]
    pub fn refill_after_sleep(&mut self, slept_ns: u64, runnable: usize, slice_ns: u64) {
        // Most often, of those that mostly wait: a division is saved.
        let earns_nothing = slept_ns == 0 && self.left_ns <= slice_ns;
        let is_full = self.earned_ns() == slice_ns && self.left_ns == slice_ns;
        if !earns_nothing && !is_full {
            let sharers = (runnable as u64).saturating_add(1);
            // Alone, mostly, where threads are brief: a division takes as long as the rest.
            let entitled = if sharers == 1 { slept_ns } else { slept_ns / sharers };
            self.left_ns = self.left_ns.saturating_add(entitled).min(slice_ns);
            self.set_earned(self.earned_ns().saturating_add(entitled).min(self.left_ns));
        }
        if self.earned_ns() >= slice_ns.div_ceil(3) {
            // It mostly waits.
            self.earned &= !USED_UP;
        }
    }

    fn set_earned(&mut self, earned_ns: u64) {
        self.earned = self.earned & USED_UP | earned_ns & !USED_UP;
    }

    /// Its level in the run queue: [`level`] of what it has earned.
    #[inline]
    pub fn level(&self, priority: Priority, slice_ns: u64) -> u8 {
        level(priority, self.earned_ns(), slice_ns)
    }
}

const RANKS: u8 = WEIGHTS.len() as u8;

/// The level for threads that are to run only when nobody else wants to. [`level`] never gives it.
pub const IDLE_LEVEL: u8 = 63;

/// The level of a thread that has earned `earned_ns` of its slice by waiting: 0 to 62.
///
/// Three classes: it waits (two thirds of a slice earned, or more), in between (a third), it computes. In each, a level
/// for each priority. The class comes first: a thread that waits is gone again soon, whereas before one that computes,
/// even of the highest priority, it would stand for nine slices.
///
/// ```
/// use raddle_core::slice::{Priority, level};
/// let waits = level(Priority::LOWEST, 4_000_000, 4_000_000);
/// let computes = level(Priority::HIGHEST, 0, 4_000_000);
/// assert!(waits < computes);
/// ```
#[inline]
pub const fn level(priority: Priority, earned_ns: u64, slice_ns: u64) -> u8 {
    // Not three times what it has earned: that would have to be looked after.
    let third = slice_ns.div_ceil(3);
    let class = if earned_ns >= slice_ns - slice_ns / 3 {
        0
    } else if earned_ns >= third {
        1
    } else {
        2
    };
    class * RANKS + priority.rank()
}

/// Whether a thread that woke on level `woken` should preempt the one that runs, whose level is `running` *now*.
///
/// Charge the running one first, or a thread that has computed since it woke keeps its good name. And whom
/// [`Round::array_for_woken`] puts off preempts nobody.
#[inline]
pub const fn may_preempt(woken: u8, running: u8) -> bool {
    woken < running
}

/// A core's current round: when it began and what was used up in it.
///
/// ```
/// use raddle_core::run_queue::Array;
/// use raddle_core::slice::{BASE_SLICE_NS, Round};
/// let mut round = Round::new(0);
/// assert_eq!(round.array_for_woken(BASE_SLICE_NS, BASE_SLICE_NS), Array::Active);
/// // A second later the round still lasts, and nobody has used up a slice in it.
/// assert_eq!(round.array_for_woken(1_000_000_000, BASE_SLICE_NS), Array::Expired);
/// round.begin(1_000_000_000);
/// assert_eq!(round.array_for_woken(1_000_000_000, BASE_SLICE_NS), Array::Active);
/// ```
///
/// **Rounds of several cores keep step**, so that threads that compute get equal shares wherever they are queued: a core that has
/// finished its round takes over threads of others that are still to run in theirs ([`RunQueue::steal_active`]), if those are not ahead
/// of it, before it begins another one; and if they are behind, such as wait there for a round that it has finished
/// ([`RunQueue::steal_expired`]). Three such threads on two cores get two thirds of a core each. This is distributed weighted
/// round robin (Li, Baumberger, Hahn: Efficient and scalable multiprocessor fair scheduling using distributed weighted round-robin,
/// PPoPP 2009). Only rounds in which a slice was used up count: threads that yield begin new ones all the time.
///
/// [`RunQueue::steal_active`]: crate::run_queue::RunQueue::steal_active
/// [`RunQueue::steal_expired`]: crate::run_queue::RunQueue::steal_expired
#[derive(Clone, Copy, Debug)]
pub struct Round {
    began_ns: u64,
    used_ns: u64,
    /// How often a thread was given the core.
    runs: u64,
    number: u64,
}

impl Round {
    /// A round is old when it has lasted this many times the slices that were used up in it, and one longest slice.
    ///
    /// In a core whose threads all compute the factor is 1. At 4, threads that wake may take three quarters of a core
    /// from those that compute before anybody is put off.
    pub const STARVATION_LIMIT: u64 = 4;

    /// A round of threads that all run [shortly](Self::SHORT_NS), and none of which has used up a slice, is old after this many slices.
    ///
    /// They wait for events; if together they want all of the core, each earns just what it uses, and by chance some seem to compute: these
    /// would stand behind the others for a tenth of a second.
    pub const QUICK_LIMIT: u64 = 2;

    /// Less than that, on an average, is short.
    pub const SHORT_NS: u64 = 100_000;

    /// A round that begins at `now_ns`.
    pub const fn new(now_ns: u64) -> Round {
        Round { began_ns: now_ns, used_ns: 0, runs: 0, number: 0 }
    }

    /// The arrays have swapped.
    pub fn begin(&mut self, now_ns: u64) {
        let number = self.number + u64::from(self.is_full());
        *self = Round { number, ..Round::new(now_ns) };
    }

    /// Whether a slice was used up in it: whoever finishes such a round looks for those who are still at it elsewhere.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.used_ns > 0
    }

    /// Whether a core that has finished this round may take over threads that wait for their turn in `other`, another core's.
    pub fn may_help(&self, other: &Round) -> bool {
        other.number <= self.number
    }

    /// Whether those who wait in `other` for its next round wait for this one, or one that is long past.
    pub fn is_ahead_of(&self, other: &Round) -> bool {
        other.number < self.number
    }

    /// Another core's round is further on than this one, which is over: the next has its number, or this core, long idle, would run
    /// after the others for as many rounds as it missed.
    pub fn catch_up(&mut self, other: &Round) {
        self.number = self.number.max(other.number.saturating_sub(1));
    }

    /// A thread is given the core.
    #[inline]
    pub fn one_runs(&mut self) {
        self.runs += 1;
    }

    /// A thread has used up a slice of `slice_ns`.
    pub fn slice_used(&mut self, slice_ns: u64) {
        self.used_ns = self.used_ns.saturating_add(slice_ns);
    }

    /// Whether the round has lasted so long that those at its end starve.
    #[inline]
    pub fn is_old(&self, now_ns: u64, base_ns: u64) -> bool {
        let longest = slice_ns(base_ns, Priority::HIGHEST);
        let limit = self.used_ns.saturating_add(longest).saturating_mul(Self::STARVATION_LIMIT);
        let lasted = self.lasted_ns(now_ns);
        lasted > limit
            || self.is_quick(lasted) && lasted > base_ns.saturating_mul(Self::QUICK_LIMIT)
    }

    fn lasted_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.began_ns)
    }

    /// All have run shortly.
    fn is_quick(&self, lasted_ns: u64) -> bool {
        !self.is_full() && self.runs.saturating_mul(Self::SHORT_NS) > lasted_ns
    }

    /// With how many others a thread that wakes has shared its core, as far as what it [earns](Charge::refill_after_sleep) goes, where so
    /// many are queued: with none, as long as all run shortly.
    ///
    /// Many alike that wait for events, and together want all of the core, are at their share, each of them. What they earn would be what
    /// they use, give or take the hazards of the queue; some would seem to compute, and stand behind all others for a tenth of a second. Where
    /// nobody computes, there is nobody to tell them from.
    #[inline]
    pub fn sharers(&self, queued: usize, now_ns: u64) -> usize {
        if self.is_quick(self.lasted_ns(now_ns)) { 0 } else { queued }
    }

    /// Where a thread goes that wakes, is new or yields: to the active array, or, if the round is old, to the next one.
    ///
    /// A thread that was preempted stays active: it is of this round.
    #[inline]
    pub fn array_for_woken(&self, now_ns: u64, base_ns: u64) -> Array {
        if self.is_old(now_ns, base_ns) { Array::Expired } else { Array::Active }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> impl Iterator<Item = Priority> {
        (-10..=10).map(Priority::new)
    }

    #[test]
    fn a_step_of_priority_is_a_factor_of_a_quarter() {
        for (above, below) in all().zip(all().skip(1)) {
            let factor = f64::from(above.weight()) / f64::from(below.weight());
            assert!((factor / 1.25 - 1.0).abs() < 0.03, "{above:?}: {factor}");
        }
        let ends = f64::from(Priority::HIGHEST.weight()) / f64::from(Priority::NORMAL.weight());
        assert!((9.0..10.0).contains(&ends));
    }

    #[test]
    fn a_round_of_short_runs_is_old_soon() {
        let mut round = Round::new(0);
        let late = (Round::QUICK_LIMIT + 1) * BASE_SLICE_NS;
        (0..late / 5_000).for_each(|_| round.one_runs());
        assert_eq!(round.array_for_woken(BASE_SLICE_NS, BASE_SLICE_NS), Array::Active);
        assert_eq!(round.array_for_woken(late, BASE_SLICE_NS), Array::Expired);
        // Somebody computes in it after all.
        round.slice_used(BASE_SLICE_NS);
        assert_eq!(round.array_for_woken(late, BASE_SLICE_NS), Array::Active);
    }

    #[test]
    fn values_beyond_the_ends_are_the_ends() {
        for (nice, priority) in [
            (i32::MIN, Priority::HIGHEST),
            (-20, Priority::HIGHEST),
            (-10, Priority::HIGHEST),
            (0, Priority::NORMAL),
            (10, Priority::LOWEST),
            (19, Priority::LOWEST),
            (i32::MAX, Priority::LOWEST),
        ] {
            assert_eq!(Priority::new(nice), priority, "nice {nice}");
        }
        assert_eq!(Priority::default(), Priority::NORMAL);
        assert_eq!(slice_ns(1, Priority::LOWEST), 1);
        assert_eq!(slice_ns(u64::MAX, Priority::NORMAL), u64::MAX - 1023);
    }

    #[test]
    fn levels_are_by_class_and_then_by_priority() {
        let slice = 3_000;
        let mut before = None;
        for earned in [2_000, 1_000, 999] {
            for priority in all() {
                let level = level(priority, earned, slice);
                assert!(Some(level) > before, "{priority:?} with {earned}");
                before = Some(level);
            }
        }
        assert_eq!(before, Some(IDLE_LEVEL - 1));
        assert_eq!(level(Priority::NORMAL, 1_999, slice), level(Priority::NORMAL, 1_000, slice));
        assert_eq!(level(Priority::NORMAL, 0, slice), level(Priority::NORMAL, 999, slice));
    }

    #[test]
    fn equals_do_not_preempt_each_other() {
        let (waits, computes) = (level(Priority::NORMAL, 3, 3), level(Priority::NORMAL, 0, 3));
        assert!(may_preempt(waits, computes));
        assert!(!may_preempt(waits, waits));
        assert!(!may_preempt(computes, waits));
    }

    #[test]
    fn a_debt_shortens_the_next_slice_but_never_below_a_tenth() {
        for (ran, left) in [(1_000, 1_000), (1_300, 700), (1_899, 101), (2_000, 100), (9_999, 100)]
        {
            let mut charge = Charge::new(1_000);
            assert_eq!(charge.charge(ran, 1_000), Verdict::Expired);
            assert_eq!((charge.left_ns(), charge.earned_ns()), (left, 0), "after {ran}");
        }
    }

    #[test]
    fn a_child_stands_where_its_parent_stands() {
        let slice = slice_ns(BASE_SLICE_NS, Priority::NORMAL);
        let long = slice_ns(BASE_SLICE_NS, Priority::HIGHEST);
        let mut parent = Charge::new(slice);
        for _ in 0..3 {
            for (child_slice, priority) in [(slice, Priority::NORMAL), (long, Priority::HIGHEST)] {
                let child = parent.child(slice, child_slice);
                let class = |level: u8| level / RANKS;
                assert_eq!(child.left_ns(), child_slice);
                assert_eq!(
                    class(child.level(priority, child_slice)),
                    class(parent.level(Priority::NORMAL, slice))
                );
            }
            parent.charge(slice * 2 / 5, slice);
        }
    }

    #[test]
    fn a_round_of_threads_that_compute_never_gets_old() {
        for priority in all() {
            let slice = slice_ns(BASE_SLICE_NS, priority);
            let mut round = Round::new(7);
            for n in 1..1_000 {
                // Noticed late, by half.
                let now = 7 + n * (slice + slice / 2);
                assert!(!round.is_old(now, BASE_SLICE_NS), "{priority:?}, thread {n}");
                round.slice_used(slice);
            }
            let last = 7 + (999 * slice + slice_ns(BASE_SLICE_NS, Priority::HIGHEST)) * 4;
            assert!(!round.is_old(last, BASE_SLICE_NS));
            assert!(round.is_old(last + 1, BASE_SLICE_NS));
            round.begin(last + 1);
            assert!(!round.is_old(last + 1, BASE_SLICE_NS));
        }
    }

    proptest! {
        /// Whatever happens to a thread, also changes of its priority: something is left, and it has earned no more than
        /// that.
        #[test]
        fn an_account_stays_in_order(
            steps in proptest::collection::vec((any::<bool>(), 0u64..20_000, 0usize..9, 1u64..9_000), 1..100),
        ) {
            let mut charge = Charge::new(5_000);
            for (runs, ns, runnable, slice) in steps {
                let before = charge;
                if runs {
                    match charge.charge(ns, slice) {
                        Verdict::GoesOn => prop_assert_eq!(charge.left_ns(), before.left_ns() - ns),
                        Verdict::Expired => prop_assert!(ns >= before.left_ns()),
                    }
                    prop_assert!(charge.earned_ns() <= before.earned_ns());
                } else {
                    charge.refill_after_sleep(ns, runnable, slice);
                    prop_assert!(charge.left_ns() <= slice);
                    let entitled = ns / (runnable as u64 + 1);
                    prop_assert!(charge.earned_ns() <= before.earned_ns() + entitled);
                }
                prop_assert!(charge.left_ns() > 0);
                prop_assert!(charge.earned_ns() <= charge.left_ns());
                prop_assert!(charge.level(Priority::LOWEST, slice) < IDLE_LEVEL);
            }
        }
    }
}
