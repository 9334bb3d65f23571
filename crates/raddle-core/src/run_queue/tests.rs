//! The queue against its model, and what thieves take.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

struct Table(Vec<Link<usize>>);
impl Links for Table {
    type Key = usize;
    fn link(&self, key: usize) -> &Link<usize> {
        &self.0[key]
    }
}

fn table(size: usize) -> Table {
    Table((0..size).map(|_| Link::new()).collect())
}

/// Every fifth is bound.
fn table_with_bound(size: usize) -> Table {
    let table = table(size);
    table.0.iter().enumerate().for_each(|(key, link)| link.bind(is_bound(key)));
    table
}

fn is_bound(key: usize) -> bool {
    key.is_multiple_of(5)
}

/// Takes from the lowest level the one that a thief should have of it.
fn take_for_thief(lists: &mut [VecDeque<usize>], array: Array) -> Option<(usize, usize)> {
    lists.iter_mut().enumerate().rev().find_map(|(level, list)| {
        let at = match array {
            Array::Active => list.iter().rposition(|&key| !is_bound(key)),
            Array::Expired => list.iter().position(|&key| !is_bound(key)),
        };
        Some((level, list.remove(at?)?))
    })
}

/// The same by the obvious means: a deque for each level of each array.
struct Model([Vec<VecDeque<usize>>; 2]);

impl Model {
    fn new() -> Model {
        Model(std::array::from_fn(|_| vec![VecDeque::new(); LEVELS]))
    }

    fn lists(&mut self, array: Array) -> &mut Vec<VecDeque<usize>> {
        &mut self.0[array as usize]
    }

    fn pop(&mut self) -> Option<Popped<usize>> {
        let new_round = self.0[0].iter().all(VecDeque::is_empty);
        if new_round {
            self.0.swap(0, 1);
        }
        let level = self.0[0].iter().position(|list| !list.is_empty())?;
        let key = self.0[0][level].pop_front()?;
        Some(Popped { key, level: level as u8, new_round })
    }

    fn pop_for_thief(&mut self) -> Option<Placed<usize>> {
        [Array::Expired, Array::Active].into_iter().find_map(|array| {
            let (level, key) = take_for_thief(self.lists(array), array)?;
            Some(Placed { key, level: level as u8, array })
        })
    }

    fn remove(&mut self, key: usize) -> bool {
        for list in self.0.iter_mut().flatten() {
            if let Some(at) = list.iter().position(|&k| k == key) {
                list.remove(at);
                return true;
            }
        }
        false
    }

    fn placed(&self) -> Vec<Placed<usize>> {
        let mut all = Vec::new();
        for (array, lists) in [Array::Active, Array::Expired].into_iter().zip(&self.0) {
            for (level, list) in lists.iter().enumerate() {
                all.extend(list.iter().map(|&key| Placed { key, level: level as u8, array }));
            }
        }
        all
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize, u8, Array, End),
    Pop,
    PopForThief,
    Remove(usize),
    /// To another queue, and back to the active array.
    StealActive(usize),
    StealExpired(usize),
}

fn step() -> impl Strategy<Value = Step> {
    // Few levels, both ends of the bitmap among them, so that lists grow long.
    let level = prop_oneof![Just(0u8), Just(1), Just(31), Just(62), Just(63)];
    let array = prop_oneof![Just(Array::Active), Just(Array::Expired)];
    let end = prop_oneof![Just(End::Front), Just(End::Back)];
    prop_oneof![
        4 => (0..KEYS, level, array, end).prop_map(|(k, l, a, e)| Step::Push(k, l, a, e)),
        2 => Just(Step::Pop),
        1 => Just(Step::PopForThief),
        1 => (0..KEYS).prop_map(Step::Remove),
        1 => (0..KEYS).prop_map(Step::StealActive),
        1 => (0..KEYS).prop_map(Step::StealExpired),
    ]
}

const KEYS: usize = 24;

/// The model's word on who is taken from `array`, in the order of the thief's active array.
fn stolen(model: &mut Model, array: Array, at_most: usize) -> Vec<Placed<usize>> {
    let lists = model.lists(array);
    let movable = lists.iter().flatten().filter(|&&key| !is_bound(key)).count();
    let mut taken = Vec::new();
    for _ in 0..movable.div_ceil(2).min(at_most) {
        let (level, key) = take_for_thief(lists, array).expect("counted");
        taken.push(Placed { key, level: level as u8, array: Array::Active });
    }
    if array == Array::Active {
        taken.reverse();
    }
    taken.sort_by_key(|taken| taken.level);
    taken
}

fn agree(queue: &RunQueue<usize>, table: &Table, model: &Model) -> Result<(), TestCaseError> {
    let placed = model.placed();
    prop_assert_eq!(queue.iter(table).collect::<Vec<_>>(), placed.clone());
    prop_assert_eq!(queue.len(), placed.len());
    prop_assert_eq!(queue.is_empty(), placed.is_empty());
    let movable = placed.iter().filter(|placed| !is_bound(placed.key)).count();
    prop_assert_eq!(queue.movable(), movable);
    let first_active = placed.iter().find(|p| p.array == Array::Active);
    prop_assert_eq!(queue.peek_active_level(), first_active.map(|first| first.level));
    let active = placed.iter().filter(|p| p.array == Array::Active).count();
    prop_assert_eq!(queue.len_of(Array::Active), active);
    prop_assert_eq!(queue.len_of(Array::Expired), placed.len() - active);
    Ok(())
}

proptest! {
    #[test]
    fn behaves_as_its_model(steps in proptest::collection::vec(step(), 1..300)) {
        let table = table_with_bound(KEYS);
        let mut queue = RunQueue::new();
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Push(key, level, array, end) => {
                    if table.link(key).is_queued() {
                        continue;
                    }
                    queue.push(&table, key, level, array, end);
                    let list = &mut model.lists(array)[usize::from(level)];
                    match end {
                        End::Front => list.push_front(key),
                        End::Back => list.push_back(key),
                    }
                }
                Step::Pop => prop_assert_eq!(queue.pop(&table), model.pop()),
                Step::PopForThief => {
                    prop_assert_eq!(queue.pop_for_thief(&table), model.pop_for_thief());
                }
                Step::StealActive(at_most) | Step::StealExpired(at_most) => {
                    let mut thief = RunQueue::new();
                    let (count, array) = match step {
                        Step::StealActive(_) => {
                            (queue.steal_active(&table, &mut thief, at_most), Array::Active)
                        }
                        _ => (queue.steal_expired(&table, &mut thief, at_most), Array::Expired),
                    };
                    let taken: Vec<_> = thief.iter(&table).collect();
                    prop_assert_eq!(count, taken.len());
                    prop_assert_eq!(&taken, &stolen(&mut model, array, at_most));
                    // They go on in the queue's active array, as in a thief's that has others.
                    for taken in taken {
                        thief.remove(&table, taken.key);
                        queue.push(&table, taken.key, taken.level, Array::Active, End::Back);
                        model.lists(Array::Active)[usize::from(taken.level)]
                            .push_back(taken.key);
                    }
                }
                Step::Remove(key) => {
                    prop_assert_eq!(queue.remove(&table, key), model.remove(key));
                }
            }
            agree(&queue, &table, &model)?;
        }
    }

    /// Nobody is lost or doubled, everybody keeps its place, and the order on either side stays as it was.
    #[test]
    fn stealing_halves_and_keeps_order(
        active in proptest::collection::vec(0u8..3, 0..12),
        expired in proptest::collection::vec(0u8..3, 0..12),
        at_most in 0usize..16,
    ) {
        let table = table(active.len() + expired.len());
        let (mut victim, mut thief) = (RunQueue::new(), RunQueue::new());
        let places = active.iter().map(|&level| (level, Array::Active));
        let places = places.chain(expired.iter().map(|&level| (level, Array::Expired)));
        for (key, (level, array)) in places.enumerate() {
            victim.push(&table, key, level, array, End::Back);
        }
        let before: Vec<_> = victim.iter(&table).collect();
        let count = victim.steal_half(&table, &mut thief, at_most);
        prop_assert_eq!(count, before.len().div_ceil(2).min(at_most));
        prop_assert_eq!(thief.len(), count);
        let left: Vec<_> = victim.iter(&table).collect();
        let taken: Vec<_> = thief.iter(&table).collect();
        let in_order = |part: &[Placed<usize>]| -> Vec<Placed<usize>> {
            before.iter().filter(|member| part.contains(member)).copied().collect()
        };
        prop_assert_eq!(in_order(&left), left.clone());
        prop_assert_eq!(in_order(&taken), taken.clone());
        prop_assert_eq!(left.len() + taken.len(), before.len());
    }
}

#[test]
fn a_thief_takes_the_coldest_of_those_who_would_wait_longest() {
    let table = table(5);
    let mut queue = RunQueue::new();
    queue.push(&table, 0, 3, Array::Active, End::Back);
    queue.push(&table, 1, 60, Array::Active, End::Back);
    queue.push(&table, 2, 60, Array::Active, End::Back);
    queue.push(&table, 3, 9, Array::Expired, End::Back);
    queue.push(&table, 4, 9, Array::Expired, End::Back);
    let order: Vec<_> = std::iter::from_fn(|| queue.pop_for_thief(&table)).collect();
    let keys: Vec<_> = order.iter().map(|taken| taken.key).collect();
    assert_eq!(keys, [3, 4, 2, 1, 0]);
    assert_eq!(order[0], Placed { key: 3, level: 9, array: Array::Expired });
}

#[test]
fn arrays_swap_only_when_nobody_is_active() {
    let table = table(2);
    let mut queue = RunQueue::new();
    assert_eq!(queue.pop(&table), None);
    queue.push(&table, 0, 0, Array::Expired, End::Back);
    queue.push(&table, 1, 63, Array::Active, End::Back);
    assert_eq!(queue.peek_active_level(), Some(63));
    assert_eq!(queue.pop(&table), Some(Popped { key: 1, level: 63, new_round: false }));
    assert_eq!(queue.peek_active_level(), None);
    assert_eq!(queue.pop(&table), Some(Popped { key: 0, level: 0, new_round: true }));
    assert_eq!(queue.pop(&table), None);
}

#[test]
fn a_removed_thread_can_be_queued_again_elsewhere() {
    let table = table(1);
    let (mut here, mut there) = (RunQueue::new(), RunQueue::new());
    here.push(&table, 0, 7, Array::Active, End::Back);
    assert!(here.remove(&table, 0));
    assert!(!here.remove(&table, 0));
    there.push(&table, 0, 8, Array::Expired, End::Front);
    assert!(table.link(0).is_queued() && here.is_empty() && there.len() == 1);
}

#[test]
#[should_panic(expected = "in a queue already")]
fn nobody_is_queued_twice() {
    let table = table(1);
    let mut queue = RunQueue::new();
    queue.push(&table, 0, 0, Array::Active, End::Back);
    queue.push(&table, 0, 1, Array::Active, End::Back);
}

#[test]
#[should_panic(expected = "no level 64")]
fn a_level_beyond_the_bitmap_is_refused() {
    RunQueue::new().push(&table(1), 0, 64, Array::Active, End::Back);
}
