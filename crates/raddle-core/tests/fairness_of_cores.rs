//! Is it fair among several cores? Some of them in simulated time, each with the run queue and the round that the runtime uses, and the
//! same rules for taking threads over: who gets how much, and who waits how long.
//!
//! What the kernel and chance do in reality is drawn from a seed: slices end late, and a lock that a core only tries is sometimes taken.

use proptest::prelude::*;
use raddle_core::random::Random;
use raddle_core::ready::Ready;
use raddle_core::run_queue::{Array, End, Link, Links};
use raddle_core::slice::{
    BASE_SLICE_NS, Charge, Priority, Round, Verdict, level, may_preempt, slice_ns,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const SECOND: u64 = 1_000 * MS;
const STOLEN_AT_MOST: usize = 64;
/// The monitor sees to threads that wait, and to idle cores, as often as that.
const STEP_NS: u64 = MS;

struct Table(Vec<Link<usize>>);
impl Links for Table {
    type Key = usize;
    fn link(&self, key: usize) -> &Link<usize> {
        &self.0[key]
    }
}

/// What a thread does for ever.
#[derive(Clone, Copy, Debug)]
enum Habit {
    Computes,
    /// Runs, then sleeps.
    Sleeps {
        run_ns: u64,
        sleep_ns: u64,
    },
    /// Runs, then lets others run.
    Yields {
        run_ns: u64,
    },
    /// Runs, then wakes the thread with that number and sleeps until it is woken itself.
    Wakes {
        run_ns: u64,
        other: usize,
    },
}

impl Habit {
    fn run_ns(self) -> u64 {
        match self {
            Habit::Computes => u64::MAX,
            Habit::Sleeps { run_ns, .. }
            | Habit::Yields { run_ns }
            | Habit::Wakes { run_ns, .. } => run_ns,
        }
    }
}

struct Thread {
    priority: Priority,
    habit: Habit,
    charge: Charge,
    burst_left_ns: u64,
    ran_ns: u64,
    core: usize,
    /// Since when it has slept.
    asleep: Option<u64>,
    /// It was woken before it slept: the token of `park`.
    is_notified: bool,
    ready_ns: u64,
    longest_wait_ns: u64,
}

struct Core {
    ready: Ready<usize>,
    /// Who runs, and since when.
    running: Option<(usize, u64)>,
    /// When something happens here.
    next_ns: u64,
}

struct Machine {
    now_ns: u64,
    table: Table,
    cores: Vec<Core>,
    threads: Vec<Thread>,
    sleepers: BinaryHeap<Reverse<(u64, usize)>>,
    random: Random,
    late_ns: u64,
}

impl Machine {
    /// All threads begin on core 0.
    fn new(cores: usize, seed: u64, threads: impl IntoIterator<Item = (i32, Habit)>) -> Machine {
        let threads: Vec<_> = threads
            .into_iter()
            .map(|(nice, habit)| {
                let priority = Priority::new(nice);
                Thread {
                    priority,
                    habit,
                    charge: Charge::new(slice_ns(BASE_SLICE_NS, priority)),
                    burst_left_ns: habit.run_ns(),
                    ran_ns: 0,
                    core: 0,
                    asleep: None,
                    is_notified: false,
                    ready_ns: 0,
                    longest_wait_ns: 0,
                }
            })
            .collect();
        let core = || Core { ready: Ready::new(0), running: None, next_ns: 0 };
        let mut machine = Machine {
            now_ns: 0,
            table: Table(threads.iter().map(|_| Link::new()).collect()),
            cores: (0..cores).map(|_| core()).collect(),
            threads,
            sleepers: BinaryHeap::new(),
            random: Random::from_seed(seed),
            late_ns: MS / 5,
        };
        for key in 0..machine.threads.len() {
            machine.push(0, key, Array::Active, End::Back);
        }
        machine
    }

    fn slice(&self, key: usize) -> u64 {
        slice_ns(BASE_SLICE_NS, self.threads[key].priority)
    }

    fn push(&mut self, core: usize, key: usize, array: Array, end: End) {
        let slice = self.slice(key);
        let thread = &mut self.threads[key];
        thread.ready_ns = self.now_ns;
        let level = level(thread.priority, thread.charge.earned_ns(), slice);
        let array = thread.charge.array_for(array);
        self.cores[core].ready.threads.push(&self.table, key, level, array, end);
        // Somebody waits: cores with nothing to do look soon.
        let soon = self.now_ns + self.random.below(STEP_NS);
        for idle in self.cores.iter_mut().filter(|core| core.running.is_none()) {
            idle.next_ns = idle.next_ns.min(soon);
        }
    }

    fn waiting(&self, core: usize) -> usize {
        self.cores[core].ready.threads.len()
    }

    fn others(&self, core: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.cores.len();
        (1..count).map(move |step| (core + step) % count)
    }

    /// As `dispatch::pick`.
    fn pick(&mut self, core: usize) -> Option<usize> {
        let now = self.now_ns;
        let is_busy = self.waiting(core) > 0;
        if !is_busy || self.cores[core].ready.shall_help() {
            for other in self.others(core) {
                // A lock that is only tried.
                if self.waiting(other) == 0 || self.random.one_in(8) {
                    continue;
                }
                let [own, theirs] = self.cores.get_disjoint_mut([core, other]).unwrap();
                let (own, theirs) = (&mut own.ready, &mut theirs.ready);
                let taken = if is_busy {
                    own.help(&self.table, theirs, STOLEN_AT_MOST)
                } else {
                    own.steal(&self.table, theirs, STOLEN_AT_MOST)
                };
                if taken > 0 {
                    break;
                }
            }
        }
        self.cores[core].ready.pop(&self.table, now).map(|popped| popped.key)
    }

    /// Runs somebody on `core`, if anybody waits.
    fn dispatch(&mut self, core: usize) {
        let Some(key) = self.pick(core) else {
            let anyone_waits = (0..self.cores.len()).any(|core| self.waiting(core) > 0);
            self.cores[core].running = None;
            self.cores[core].next_ns = if anyone_waits { self.now_ns + STEP_NS } else { u64::MAX };
            return;
        };
        let thread = &mut self.threads[key];
        thread.longest_wait_ns = thread.longest_wait_ns.max(self.now_ns - thread.ready_ns);
        thread.core = core;
        self.start(core, key);
    }

    fn start(&mut self, core: usize, key: usize) {
        let late = if self.late_ns == 0 { 0 } else { self.random.below(self.late_ns) };
        let thread = &self.threads[key];
        let quantum = (thread.charge.left_ns() + late).min(thread.burst_left_ns);
        self.cores[core].running = Some((key, self.now_ns));
        self.cores[core].next_ns = self.now_ns + quantum;
    }

    /// The thread on `core` has run until now: it sleeps, gives way, or is preempted.
    fn stop(&mut self, core: usize, key: usize, since: u64) {
        let (now, slice) = (self.now_ns, self.slice(key));
        let anyone_waits = (0..self.cores.len()).any(|core| self.waiting(core) > 0);
        let is_alone = self.waiting(core) == 0;
        let thread = &mut self.threads[key];
        thread.ran_ns += now - since;
        let verdict = thread.charge.charge(now - since, slice);
        if !matches!(thread.habit, Habit::Computes) {
            thread.burst_left_ns -= now - since;
        }
        let burst_is_over = thread.burst_left_ns == 0;
        if burst_is_over {
            thread.burst_left_ns = thread.habit.run_ns();
        }
        let habit = thread.habit;
        let sleeps = burst_is_over && matches!(habit, Habit::Sleeps { .. } | Habit::Wakes { .. });
        if !sleeps && is_alone && (verdict == Verdict::GoesOn || !anyone_waits) {
            self.threads[key].charge.run_on();
            return self.start(core, key);
        }
        if verdict == Verdict::Expired {
            self.cores[core].ready.round.slice_used(slice);
        }
        self.cores[core].running = None;
        match habit {
            Habit::Sleeps { sleep_ns, .. } if burst_is_over => {
                self.threads[key].asleep = Some(now);
                self.sleepers.push(Reverse((now + sleep_ns, key)));
            }
            Habit::Wakes { other, .. } if burst_is_over => {
                if !std::mem::take(&mut self.threads[key].is_notified) {
                    self.threads[key].asleep = Some(now);
                } else {
                    self.push(core, key, Array::Active, End::Front);
                }
                match self.threads[other].asleep {
                    Some(_) => self.wake(other, core),
                    None => self.threads[other].is_notified = true,
                }
            }
            _ if burst_is_over => self.push(core, key, Array::Expired, End::Back),
            _ if verdict == Verdict::Expired => self.push(core, key, Array::Expired, End::Back),
            _ => self.push(core, key, Array::Active, End::Front),
        }
        self.dispatch(core);
    }

    /// As `wake::ready` and `submit`.
    fn wake(&mut self, key: usize, core: usize) {
        let idle = self.cores.iter().position(|core| core.running.is_none());
        let is_busy = self.waiting(core) > 0;
        let core = idle.filter(|_| is_busy).unwrap_or(core);
        let (now, slice, waiting) = (self.now_ns, self.slice(key), self.waiting(core));
        let thread = &mut self.threads[key];
        let since = thread.asleep.take().expect("it sleeps");
        let sharers = self.cores[core].ready.round.sharers(waiting, now);
        thread.charge.refill_after_sleep(now - since, sharers, slice);
        let woken = thread.charge.level(thread.priority, slice);
        let array = self.cores[core].ready.round.array_for_woken(now, BASE_SLICE_NS);
        self.push(core, key, array, End::Back);
        let Some((running, since)) = self.cores[core].running else { return };
        let slice = self.slice(running);
        let mut charge = self.threads[running].charge;
        let _ = charge.charge(now - since, slice);
        let running = charge.level(self.threads[running].priority, slice);
        if array == Array::Active && may_preempt(woken, running) {
            self.cores[core].next_ns = now;
        }
    }

    fn run_until(&mut self, end_ns: u64) {
        loop {
            let wakes_ns = self.sleepers.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            let next_ns = self.cores.iter().map(|core| core.next_ns).min().expect("a core");
            self.now_ns = self.now_ns.max(next_ns.min(wakes_ns));
            if self.now_ns >= end_ns {
                return;
            }
            if wakes_ns <= next_ns {
                let Reverse((_, key)) = self.sleepers.pop().expect("looked at");
                self.wake(key, self.threads[key].core);
                continue;
            }
            let core = self.cores.iter().position(|core| core.next_ns == next_ns).expect("a core");
            match self.cores[core].running {
                Some((key, since)) => self.stop(core, key, since),
                None => self.dispatch(core),
            }
        }
    }

    /// How long each thread ran in the time from now to `end_ns`, as a part of one core.
    fn shares_until(&mut self, end_ns: u64) -> Vec<f64> {
        let before: Vec<_> = self.threads.iter().map(|thread| thread.ran_ns).collect();
        let began = self.now_ns;
        self.run_until(end_ns);
        let time = (end_ns - began) as f64;
        let ran = self.threads.iter().zip(before).map(|(thread, before)| thread.ran_ns - before);
        ran.map(|ran| ran as f64 / time).collect()
    }
}

fn assert_near(value: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((value / wanted - 1.0).abs() < tolerance, "{what}: {value}, not {wanted}");
}

/// Threads that compute, on cores that have nothing else: each gets the same.
fn loops_share(cores: usize, threads: usize, time_ns: u64) {
    for seed in 0..20 {
        let mut machine = Machine::new(cores, seed, (0..threads).map(|_| (0, Habit::Computes)));
        let shares = machine.shares_until(time_ns);
        for (key, share) in shares.into_iter().enumerate() {
            let wanted = cores as f64 / threads as f64;
            assert_near(share, wanted, 0.05, &format!("seed {seed}, thread {key}"));
        }
    }
}

#[test]
fn three_loops_on_two_cores_get_two_thirds_each() {
    loops_share(2, 3, 2 * SECOND);
}

/// All begin on one core. Twenty rounds.
#[test]
fn a_hundred_loops_on_two_cores_get_the_same() {
    loops_share(2, 100, 20 * 50 * BASE_SLICE_NS);
}

#[test]
fn seven_loops_on_four_cores_get_the_same() {
    loops_share(4, 7, 4 * SECOND);
}

/// One more than there are cores is the hardest: each core has finished its round when the one left over waits elsewhere.
#[test]
fn one_loop_more_than_cores() {
    for cores in [3, 4, 8] {
        loops_share(cores, cores + 1, 2 * SECOND);
    }
}

#[test]
fn shares_on_two_cores_are_as_the_weights() {
    // Nobody's weight is more than a core's half of the sum.
    let nice = [-5, -3, -1, 0, 0, 0, 0, 2, 5, 10];
    let total: u32 = nice.iter().map(|&nice| Priority::new(nice).weight()).sum();
    for seed in 0..10 {
        let mut machine = Machine::new(2, seed, nice.map(|nice| (nice, Habit::Computes)));
        let shares = machine.shares_until(10 * SECOND);
        for (&nice, share) in nice.iter().zip(shares) {
            let wanted = 2.0 * f64::from(Priority::new(nice).weight()) / f64::from(total);
            assert_near(share, wanted, 0.05, &format!("seed {seed}, nice {nice}"));
        }
    }
}

/// It comes with a round that is long past, or one that nobody else has reached: both once, not for as many rounds as that.
#[test]
fn a_core_that_comes_late_keeps_step_at_once() {
    for (away_ns, is_ahead) in [(20 * SECOND, false), (0, true)] {
        let mut machine = Machine::new(2, 1, (0..9).map(|_| (0, Habit::Computes)));
        machine.cores[1].next_ns = u64::MAX;
        if is_ahead {
            for _ in 0..5_000 {
                machine.cores[1].ready.round.slice_used(BASE_SLICE_NS);
                machine.cores[1].ready.round.begin(0);
            }
            machine.cores[1].next_ns = 0;
        }
        // `push` would wake it.
        machine.cores[1].running = (away_ns > 0).then_some((0, 0));
        machine.run_until(away_ns);
        machine.cores[1].running = None;
        machine.cores[1].next_ns = machine.now_ns;
        for share in machine.shares_until(away_ns + 2 * SECOND) {
            assert_near(share, 2.0 / 9.0, 0.05, &format!("ahead: {is_ahead}"));
        }
    }
}

/// Whoever yields lets others run first: it gets what they leave, and a turn in each round.
#[test]
fn loops_get_the_same_beside_threads_that_yield() {
    let yields = Habit::Yields { run_ns: 20 * US };
    let all = (0..6).map(|_| (0, Habit::Computes)).chain((0..5).map(|_| (0, yields)));
    let mut machine = Machine::new(2, 5, all);
    let shares = machine.shares_until(10 * SECOND);
    let of_loops = shares[..6].iter().sum::<f64>() / 6.0;
    assert!(of_loops > 1.8 / 6.0, "{shares:?}");
    for &share in &shares[..6] {
        assert_near(share, of_loops, 0.05, "a loop");
    }
    assert!(shares[6..].iter().all(|&share| share > 0.0), "{shares:?}");
    let longest = machine.threads.iter().map(|thread| thread.longest_wait_ns).max().unwrap();
    assert!(longest < 100 * MS, "somebody waited for {longest} ns");
}

/// Two threads that wake each other never wait for long, and use as much as one loop, together: with a slice each in a round they
/// get that, and no more.
#[test]
fn two_that_wake_each_other_do_not_keep_a_core() {
    for cores in [1, 2] {
        let wakes = |other| (0, Habit::Wakes { run_ns: 10 * US, other });
        let loops = (0..3 * cores).map(|_| (0, Habit::Computes));
        let mut machine = Machine::new(cores, 2, [wakes(1), wakes(0)].into_iter().chain(loops));
        let shares = machine.shares_until(10 * SECOND);
        let least = shares[2..].iter().copied().fold(1.0, f64::min);
        assert!(least > 0.9 * cores as f64 / (2 + 3 * cores) as f64, "{cores} cores: {shares:?}");
    }
}

/// Two cores have more to do than they can, with threads that wake all the time: whoever helps them in turn never comes to an end.
#[test]
fn whoever_helps_comes_back_to_its_own() {
    let wakes = Habit::Sleeps { run_ns: MS / 5, sleep_ns: 20 * MS };
    let all = (0..400).map(|_| (0, wakes)).chain((0..9).map(|_| (0, Habit::Computes)));
    let mut machine = Machine::new(3, 4, all);
    machine.run_until(20 * SECOND);
    for thread in &machine.threads[400..] {
        let (waited, ran) = (thread.longest_wait_ns, thread.ran_ns);
        assert!(waited < 2 * SECOND, "waited for {waited} ns, ran {ran}");
    }
}

fn habit() -> impl Strategy<Value = Habit> {
    prop_oneof![
        3 => Just(Habit::Computes),
        2 => (1u64..8_000, 0u64..50_000)
            .prop_map(|(run, sleep)| Habit::Sleeps { run_ns: run * US, sleep_ns: sleep * US }),
        1 => (1u64..2_000).prop_map(|run| Habit::Yields { run_ns: run * US }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever they do and whoever they are, nobody waits for longer than the starvation limit makes of a round, twice: once where it is, and once
    /// more if it is taken along to another core's round.
    #[test]
    fn nobody_starves(
        cores in 1usize..5,
        threads in proptest::collection::vec((-10i32..=10, habit()), 1..24),
        seed in any::<u64>(),
    ) {
        let slices: u64 = threads.iter().map(|&(nice, _)| slice_ns(BASE_SLICE_NS, Priority::new(nice)) + MS).sum();
        let longest = slice_ns(BASE_SLICE_NS, Priority::HIGHEST);
        let mut machine = Machine::new(cores, seed, threads);
        machine.run_until(5 * SECOND);
        let bound = 2 * Round::STARVATION_LIMIT * (slices + longest);
        for (key, thread) in machine.threads.iter().enumerate() {
            let is_asleep = thread.asleep.is_some();
            let waits = if machine.table.0[key].is_queued() { machine.now_ns - thread.ready_ns } else { 0 };
            let waited = thread.longest_wait_ns.max(waits);
            prop_assert!(waited < bound, "thread {key} ({:?}) waited for {waited} of {bound}, asleep: {is_asleep}", thread.habit);
        }
        // And nobody is lost.
        let running = machine.cores.iter().filter(|core| core.running.is_some()).count();
        let asleep = machine.threads.iter().filter(|thread| thread.asleep.is_some()).count();
        let queued: usize = (0..machine.cores.len()).map(|core| machine.waiting(core)).sum();
        prop_assert_eq!(running + asleep + queued, machine.threads.len());
    }
}
