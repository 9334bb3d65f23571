//! The timer wheel against an ordered map: whatever is armed and removed, however the clock jumps, the same timers fire in
//! the same order, none of them early.

use proptest::prelude::*;
use raddle_core::random::Random;
use raddle_core::wheel::{RANGE_NS, TICK_NS, Timer, Timers, Wheel};
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const YEAR: u64 = 365 * 24 * HOUR;

struct Table(Vec<Timer<usize>>);
impl Timers for Table {
    type Key = usize;
    fn timer(&self, key: usize) -> &Timer<usize> {
        &self.0[key]
    }
}

fn table(size: usize) -> Table {
    Table((0..size).map(|_| Timer::new()).collect())
}

fn fired(wheel: &mut Wheel<usize>, table: &Table, now_ns: u64) -> Vec<usize> {
    let mut keys = Vec::new();
    wheel.expire(table, now_ns, &mut |key| keys.push(key));
    keys
}

/// What a wheel has to do, by the obvious means.
struct Model {
    now: u64,
    /// By tick and then by when it was armed.
    armed: BTreeMap<(u64, usize), usize>,
    inserted: usize,
    /// Whether the wheel's answers are exact: nothing was removed, and nothing lay beyond its range.
    is_exact: bool,
    is_in_range: bool,
}

impl Model {
    fn new(now_ns: u64) -> Model {
        let now = now_ns / TICK_NS;
        Model { now, armed: BTreeMap::new(), inserted: 0, is_exact: true, is_in_range: true }
    }

    fn insert(&mut self, key: usize, deadline_ns: u64) {
        self.armed.insert((deadline_ns.div_ceil(TICK_NS).max(self.now), self.inserted), key);
        self.inserted += 1;
        self.is_in_range &= deadline_ns.saturating_sub(self.now * TICK_NS) <= RANGE_NS;
    }

    fn remove(&mut self, key: usize) -> bool {
        let found = self.armed.iter().find(|&(_, &k)| k == key).map(|(&place, _)| place);
        found.is_some_and(|place| {
            self.is_exact = false;
            self.armed.remove(&place).is_some()
        })
    }

    fn expire(&mut self, now_ns: u64) -> Vec<(u64, usize)> {
        let now = now_ns / TICK_NS;
        if now < self.now {
            return Vec::new();
        }
        self.now = now;
        let later = self.armed.split_off(&(now + 1, 0));
        let due = std::mem::replace(&mut self.armed, later);
        due.into_iter().map(|((tick, _), key)| (tick, key)).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Arm a timer this far ahead.
    Insert(usize, u64),
    /// Arm one for this very time.
    InsertAt(usize, u64),
    Remove(usize),
    /// Let this much time pass.
    Pass(u64),
    /// Let time pass until the wheel asks to be looked at, less a nanosecond, and then that.
    PassToNext,
    /// A clock that goes back.
    Back(u64),
}

const KEYS: usize = 40;

/// Spans of all sizes, from nothing to centuries, with the edges of every level among them.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0u32..62, any::<u64>()).prop_map(|(bits, random)| random >> (63 - bits)),
        1 => (15u32..62, 0u64..3).prop_map(|(bits, near)| (1u64 << bits) + near - 1),
        1 => (0u32..6, 0u64..3).prop_map(|(level, near)| (TICK_NS << (8 * level)) + near * TICK_NS - TICK_NS),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..KEYS, span()).prop_map(|(key, ahead)| Step::Insert(key, ahead)),
        1 => (0..KEYS, any::<u64>()).prop_map(|(key, at)| Step::InsertAt(key, at)),
        1 => (0..KEYS, Just(u64::MAX)).prop_map(|(key, at)| Step::InsertAt(key, at)),
        2 => (0..KEYS).prop_map(Step::Remove),
        4 => span().prop_map(Step::Pass),
        4 => Just(Step::PassToNext),
        1 => span().prop_map(Step::Back),
    ]
}

fn expire(
    wheel: &mut Wheel<usize>,
    table: &Table,
    model: &mut Model,
    now_ns: u64,
) -> Result<(), TestCaseError> {
    let due = model.expire(now_ns);
    let tick = |key: usize| due.iter().find(|&&(_, k)| k == key).map(|&(tick, _)| tick);
    let mut keys = fired(wheel, table, now_ns);
    prop_assert!(keys.iter().all(|&key| table.0[key].deadline_ns() <= now_ns), "one fired early");
    let ticks: Vec<_> = keys.iter().map(|&key| tick(key)).collect();
    prop_assert_eq!(ticks, due.iter().map(|&(tick, _)| Some(tick)).collect::<Vec<_>>());
    let mut wanted: Vec<usize> = due.iter().map(|&(_, key)| key).collect();
    if !model.is_in_range {
        keys.sort();
        wanted.sort();
    }
    prop_assert_eq!(keys, wanted);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn behaves_as_an_ordered_map(
        start in prop_oneof![Just(0), span()],
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let table = table(KEYS);
        let mut wheel = Wheel::new(start);
        let mut model = Model::new(start);
        let mut now = start;
        for step in steps {
            match step {
                Step::Insert(key, _) | Step::InsertAt(key, _) if table.0[key].is_armed() => continue,
                Step::Insert(key, ahead) => {
                    wheel.insert(&table, key, now.saturating_add(ahead));
                    model.insert(key, now.saturating_add(ahead));
                }
                Step::InsertAt(key, at) => {
                    wheel.insert(&table, key, at);
                    model.insert(key, at);
                }
                Step::Remove(key) => {
                    prop_assert_eq!(wheel.remove(&table, key), model.remove(key));
                    prop_assert!(!table.0[key].is_armed());
                }
                Step::Pass(span) => {
                    now = now.saturating_add(span);
                    expire(&mut wheel, &table, &mut model, now)?;
                }
                Step::PassToNext => {
                    let Some(next) = wheel.next_deadline_ns() else { continue };
                    now = now.max(next.saturating_sub(1));
                    expire(&mut wheel, &table, &mut model, now)?;
                    now = now.max(next);
                    expire(&mut wheel, &table, &mut model, now)?;
                }
                Step::Back(span) => expire(&mut wheel, &table, &mut model, now.saturating_sub(span))?,
            }
            prop_assert_eq!(wheel.len(), model.armed.len());
            prop_assert_eq!(wheel.is_empty(), model.armed.is_empty());
            let first = model.armed.keys().next().map(|&(tick, _)| tick.saturating_mul(TICK_NS));
            let next = wheel.next_deadline_ns();
            prop_assert_eq!(next.is_some(), first.is_some());
            prop_assert!(next <= first, "{:?} is later than {:?}", next, first);
            if model.is_exact && model.is_in_range {
                prop_assert_eq!(next, first);
            }
        }
    }
}

/// From every place where a level begins, to every other: to the tick, whether it is reached at once or step by step.
#[test]
fn timers_at_the_edges_of_levels_fire_on_their_tick() {
    let edges: Vec<u64> = (0..6)
        .flat_map(|level| [1, 63, 64, 255, 256].map(|slots| slots << (8 * level)))
        .flat_map(|edge| [edge - 1, edge, edge + 1])
        .filter(|&edge| edge < u64::MAX / TICK_NS / 2)
        .collect();
    let table = table(1);
    for &start in &edges {
        for &ahead in &edges {
            let due = (start + ahead) * TICK_NS;
            for before in [1, TICK_NS, ahead * TICK_NS / 2] {
                let mut wheel = Wheel::new(start * TICK_NS);
                wheel.insert(&table, 0, due - TICK_NS.min(due) / 2);
                let early = due.saturating_sub(before);
                if early < due && due > start * TICK_NS {
                    assert_eq!(fired(&mut wheel, &table, early), [], "{start} + {ahead}");
                }
                assert!(wheel.next_deadline_ns().unwrap() <= due, "{start} + {ahead}");
                assert_eq!(fired(&mut wheel, &table, due), [0], "{start} + {ahead}");
                assert!(wheel.is_empty());
            }
        }
    }
}

/// How often an idle process wakes until all timers have fired.
fn looks(wheel: &mut Wheel<usize>, table: &Table) -> usize {
    let mut count = 0;
    while let Some(next) = wheel.next_deadline_ns() {
        count += 1;
        assert!(next < u64::MAX && count < 1_000, "it wakes for nothing, again and again");
        fired(wheel, table, next);
    }
    count
}

#[test]
fn an_idle_process_wakes_once_for_each_timer() {
    let table = table(101);
    for start in [0, 12_345_678_901_234, 3 * YEAR + 1] {
        for ahead in [1, TICK_NS, 3 * SECOND, HOUR, 1_000 * HOUR, YEAR] {
            let mut wheel = Wheel::new(start);
            wheel.insert(&table, 0, start + ahead);
            assert_eq!(looks(&mut wheel, &table), 1, "{start} + {ahead}");
        }
        // What lies beyond the wheel's range costs a look each time that range has passed.
        let mut wheel = Wheel::new(start);
        wheel.insert(&table, 0, start + 100 * YEAR);
        let most = (100 * YEAR / RANGE_NS) as usize + 3;
        assert!((2..=most).contains(&looks(&mut wheel, &table)));
        // Time-outs that were removed before they came: a look at most for each.
        let mut wheel = Wheel::new(start);
        wheel.insert(&table, 0, start + HOUR);
        for key in 1..=100 {
            wheel.insert(&table, key, start + key as u64 * 17 * SECOND);
        }
        for key in 1..=100 {
            assert!(wheel.remove(&table, key));
        }
        assert_eq!(looks(&mut wheel, &table), 1, "slots without members are forgotten");
    }
}

/// A removed timer leaves its mark in a slot that others still use.
#[test]
fn a_removed_timer_costs_one_look_at_most() {
    let table = table(2);
    let mut wheel = Wheel::new(0);
    wheel.insert(&table, 0, 10_000 * TICK_NS);
    wheel.insert(&table, 1, 10_200 * TICK_NS);
    assert!(wheel.remove(&table, 0));
    assert_eq!(wheel.next_deadline_ns(), Some(10_000 * TICK_NS));
    assert_eq!(looks(&mut wheel, &table), 2);
}

/// A laptop that slept for a month: everything that came due fires at once, in order, and nothing else.
#[test]
fn a_jump_of_the_clock_fires_what_came_due() {
    let count = 20_000;
    let table = table(count);
    let mut random = Random::from_seed(5);
    let mut wheel = Wheel::new(0);
    for key in 0..count {
        wheel.insert(&table, key, random.below(2_000 * HOUR));
    }
    let jump = 720 * HOUR;
    let keys = fired(&mut wheel, &table, jump);
    let ticks: Vec<u64> =
        keys.iter().map(|&key| table.0[key].deadline_ns().div_ceil(TICK_NS)).collect();
    assert!(ticks.is_sorted());
    let due =
        (0..count).filter(|&key| table.0[key].deadline_ns().div_ceil(TICK_NS) * TICK_NS <= jump);
    assert_eq!(keys.len(), due.count());
    assert_eq!(wheel.len(), count - keys.len());
    assert_eq!(fired(&mut wheel, &table, u64::MAX).len(), count - keys.len());
}

#[test]
fn what_is_armed_for_the_past_fires_with_the_next_look() {
    let table = table(3);
    let mut wheel = Wheel::new(YEAR);
    wheel.insert(&table, 0, YEAR);
    wheel.insert(&table, 1, 0);
    assert!(wheel.next_deadline_ns().unwrap() <= YEAR);
    // The clock went back: what isn't due by it doesn't fire.
    assert_eq!(fired(&mut wheel, &table, YEAR - HOUR), []);
    let mut keys = fired(&mut wheel, &table, YEAR + TICK_NS);
    keys.sort();
    assert_eq!(keys, [0, 1]);
}

/// One popped timer may be armed again, or arm others, before the next is taken.
#[test]
fn timers_may_be_armed_between_two_that_are_due() {
    let table = table(2);
    let mut wheel = Wheel::new(0);
    wheel.insert(&table, 0, SECOND);
    wheel.insert(&table, 1, 3 * SECOND);
    let mut order = Vec::new();
    while let Some(key) = wheel.pop_due(&table, 5 * SECOND) {
        order.push(key);
        if key == 0 && order.len() < 4 {
            wheel.insert(&table, 0, (1 + order.len() as u64) * SECOND);
        }
    }
    assert_eq!(order, [0, 0, 1, 0]);
}

#[test]
fn never_is_never() {
    let table = table(1);
    let mut wheel = Wheel::new(0);
    wheel.insert(&table, 0, u64::MAX);
    assert_eq!(fired(&mut wheel, &table, u64::MAX), []);
    assert_eq!(wheel.next_deadline_ns(), Some(u64::MAX));
    assert!(wheel.remove(&table, 0));
    assert_eq!(wheel.next_deadline_ns(), None);
}

#[test]
fn it_can_be_made_in_a_constant() {
    const WHEEL: Wheel<usize> = Wheel::new(0);
    assert!(WHEEL.is_empty());
    const { assert!(size_of::<Wheel<std::ptr::NonNull<u8>>>() <= 31 * 1024) };
    const { assert!(RANGE_NS > YEAR) };
}

#[test]
#[should_panic(expected = "armed already")]
fn nobody_is_armed_twice() {
    let table = table(1);
    let mut wheel = Wheel::new(0);
    wheel.insert(&table, 0, 1);
    wheel.insert(&table, 0, 2);
}
