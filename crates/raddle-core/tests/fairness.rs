//! Is it fair? A core in simulated time, with the run queue and the slices that the runtime uses: who gets how much, and
//! who waits how long.

use raddle_core::random::Random;
use raddle_core::run_queue::{Array, End, Link, Links, RunQueue};
use raddle_core::slice::{
    BASE_SLICE_NS, Charge, Priority, Round, Verdict, level, may_preempt, slice_ns,
};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

struct Table(Vec<Link<usize>>);
impl Links for Table {
    type Key = usize;
    fn link(&self, key: usize) -> &Link<usize> {
        &self.0[key]
    }
}

/// What a thread does for ever: run, then sleep. One that computes never comes to its sleep.
#[derive(Clone, Copy)]
struct Habit {
    run_ns: u64,
    sleep_ns: u64,
}

const COMPUTES: Habit = Habit { run_ns: u64::MAX, sleep_ns: 0 };

struct Thread {
    priority: Priority,
    habit: Habit,
    charge: Charge,
    burst_left_ns: u64,
    ran_ns: u64,
    /// When it began to sleep, and when it wakes.
    asleep: Option<(u64, u64)>,
    /// Since when it has been waiting for the core.
    ready_ns: u64,
    woke: bool,
    longest_wait_after_wake_ns: u64,
    longest_wait_ns: u64,
}

struct Core {
    now_ns: u64,
    table: Table,
    queue: RunQueue<usize>,
    round: Round,
    rounds: u32,
    threads: Vec<Thread>,
    random: Random,
    preempts_for_woken: bool,
    /// How late the end of a slice is noticed, at most.
    late_ns: u64,
}

impl Core {
    fn new(threads: impl IntoIterator<Item = (i32, Habit)>) -> Core {
        let threads: Vec<Thread> = threads
            .into_iter()
            .map(|(nice, habit)| {
                let priority = Priority::new(nice);
                Thread {
                    priority,
                    habit,
                    charge: Charge::new(slice_ns(BASE_SLICE_NS, priority)),
                    burst_left_ns: habit.run_ns,
                    ran_ns: 0,
                    asleep: None,
                    ready_ns: 0,
                    woke: false,
                    longest_wait_after_wake_ns: 0,
                    longest_wait_ns: 0,
                }
            })
            .collect();
        let mut core = Core {
            now_ns: 0,
            table: Table(threads.iter().map(|_| Link::new()).collect()),
            queue: RunQueue::new(),
            round: Round::new(0),
            rounds: 0,
            threads,
            random: Random::from_seed(3),
            preempts_for_woken: false,
            late_ns: 0,
        };
        for key in 0..core.threads.len() {
            core.push(key, Array::Active, End::Back);
        }
        core
    }

    fn slice(&self, key: usize) -> u64 {
        slice_ns(BASE_SLICE_NS, self.threads[key].priority)
    }

    fn level(&self, key: usize) -> u8 {
        let thread = &self.threads[key];
        level(thread.priority, thread.charge.earned_ns(), self.slice(key))
    }

    fn push(&mut self, key: usize, array: Array, end: End) {
        self.threads[key].ready_ns = self.now_ns;
        let level = self.level(key);
        let array = self.threads[key].charge.array_for(array);
        self.queue.push(&self.table, key, level, array, end);
    }

    fn next_wake_ns(&self) -> u64 {
        let wakes = self.threads.iter().filter_map(|thread| Some(thread.asleep?.1));
        wakes.min().unwrap_or(u64::MAX)
    }

    /// Wakes whoever is due; true if one of them may preempt the thread `running`.
    fn wake_due(&mut self, running: Option<usize>) -> bool {
        let mut preempt = false;
        for key in 0..self.threads.len() {
            let Some((since, at)) = self.threads[key].asleep else { continue };
            if at > self.now_ns {
                continue;
            }
            let runnable = self.queue.len() + usize::from(running.is_some());
            let runnable = self.round.sharers(runnable, self.now_ns);
            let slice = self.slice(key);
            let thread = &mut self.threads[key];
            thread.asleep = None;
            thread.woke = true;
            thread.charge.refill_after_sleep(at - since, runnable, slice);
            let array = self.round.array_for_woken(self.now_ns, BASE_SLICE_NS);
            self.push(key, array, End::Back);
            let running = running.map(|running| self.level(running));
            preempt |= array == Array::Active
                && running.is_some_and(|running| may_preempt(self.level(key), running));
        }
        preempt
    }

    /// Lets `key` run until it sleeps, is preempted or has used up its slice, and puts it where it belongs then.
    fn run_thread(&mut self, key: usize) {
        let slice = self.slice(key);
        let late = if self.late_ns == 0 { 0 } else { self.random.below(self.late_ns) };
        let mut quantum = self.threads[key].charge.left_ns() + late;
        let mut expired = false;
        loop {
            let until_wake = self.next_wake_ns() - self.now_ns;
            let thread = &mut self.threads[key];
            let piece = quantum.min(thread.burst_left_ns).min(until_wake);
            self.now_ns += piece;
            quantum -= piece;
            thread.ran_ns += piece;
            if thread.habit.run_ns != u64::MAX {
                thread.burst_left_ns -= piece;
            }
            let verdict = thread.charge.charge(piece, slice);
            if verdict == Verdict::Expired {
                self.round.slice_used(slice);
            }
            if thread.burst_left_ns == 0 {
                thread.burst_left_ns = thread.habit.run_ns;
                thread.asleep = Some((self.now_ns, self.now_ns + thread.habit.sleep_ns));
                return;
            }
            // It may run on until the end of its slice is noticed; what it owes then is charged to the next.
            expired |= verdict == Verdict::Expired;
            let preempted = self.wake_due(Some(key)) && self.preempts_for_woken;
            if expired && (preempted || quantum == 0) {
                return self.push(key, Array::Expired, End::Back);
            }
            if preempted {
                return self.push(key, Array::Active, End::Front);
            }
        }
    }

    fn run_while(&mut self, goes_on: impl Fn(&Core) -> bool) {
        while goes_on(self) {
            let Some(next) = self.queue.pop(&self.table) else {
                self.now_ns = self.next_wake_ns();
                self.wake_due(None);
                continue;
            };
            if next.new_round {
                self.round.begin(self.now_ns);
            }
            self.round.one_runs();
            let thread = &mut self.threads[next.key];
            let waited = self.now_ns - thread.ready_ns;
            thread.longest_wait_ns = thread.longest_wait_ns.max(waited);
            if std::mem::take(&mut thread.woke) {
                thread.longest_wait_after_wake_ns = thread.longest_wait_after_wake_ns.max(waited);
            }
            self.run_thread(next.key);
            self.wake_due(None);
            self.rounds += u32::from(self.queue.len_of(Array::Active) == 0);
        }
    }

    /// The share of the time so far that thread `key` got.
    fn share(&self, key: usize) -> f64 {
        self.threads[key].ran_ns as f64 / self.now_ns as f64
    }
}

fn assert_near(value: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((value / wanted - 1.0).abs() < tolerance, "{what}: {value}, not {wanted}");
}

#[test]
fn a_hundred_threads_that_compute_get_the_same() {
    for late_ns in [0, BASE_SLICE_NS / 4, BASE_SLICE_NS] {
        let mut core = Core::new((0..100).map(|_| (0, COMPUTES)));
        core.late_ns = late_ns;
        core.run_while(|core| core.rounds < 20);
        for key in 0..100 {
            assert_near(core.share(key), 0.01, 0.05, "a hundredth");
        }
    }
}

#[test]
fn shares_are_as_the_weights() {
    let nice = [-10, -5, -1, 0, 0, 1, 5, 10];
    let mut core = Core::new(nice.map(|nice| (nice, COMPUTES)));
    core.late_ns = BASE_SLICE_NS / 100;
    core.run_while(|core| core.rounds < 50);
    let total: u32 = nice.iter().map(|&nice| Priority::new(nice).weight()).sum();
    for (key, &nice) in nice.iter().enumerate() {
        let wanted = f64::from(Priority::new(nice).weight()) / f64::from(total);
        assert_near(core.share(key), wanted, 0.05, &format!("nice {nice}"));
    }
}

const SLEEPS: Habit = Habit { run_ns: MS / 10, sleep_ns: 37 * MS };

/// Even where nothing preempts a running thread for another's sake.
#[test]
fn a_sleeper_is_never_further_back_than_one_running_slice() {
    let computing = (0..100).map(|_| (0, COMPUTES));
    let mut core = Core::new(computing.chain([(0, SLEEPS)]));
    core.late_ns = MS;
    core.run_while(|core| core.now_ns < 20 * SECOND);
    let waited = core.threads[100].longest_wait_after_wake_ns;
    assert!(waited <= BASE_SLICE_NS + core.late_ns, "{waited} ns");
    // And the price is what it ran, no more.
    for key in 0..100 {
        assert_near(core.share(key), (1.0 - core.share(100)) / 100.0, 0.05, "one that computes");
    }
}

/// Its own low priority, and others' high one, change nothing: the longest slice is nine times longer, that is all.
#[test]
fn a_sleeper_of_low_priority_comes_before_those_of_high_priority_that_compute() {
    let computing = (0..10).map(|_| (-10, COMPUTES));
    let mut core = Core::new(computing.chain([(10, SLEEPS)]));
    core.run_while(|core| core.now_ns < 20 * SECOND);
    let waited = core.threads[10].longest_wait_after_wake_ns;
    assert!(waited <= slice_ns(BASE_SLICE_NS, Priority::HIGHEST), "{waited} ns");
}

#[test]
fn with_preemption_a_sleeper_runs_at_once() {
    let computing = (0..100).map(|_| (0, COMPUTES));
    let mut core = Core::new(computing.chain([(0, SLEEPS)]));
    core.preempts_for_woken = true;
    // In the first round nobody has been seen to compute.
    core.run_while(|core| core.rounds < 1);
    core.threads[100].longest_wait_after_wake_ns = 0;
    core.run_while(|core| core.now_ns < 20 * SECOND);
    assert_eq!(core.threads[100].longest_wait_after_wake_ns, 0);
}

/// It sleeps a moment, just before its slice ends, each time: the classic trick against a bonus for sleeping.
#[test]
fn sleeping_for_show_gains_nothing() {
    let sly = Habit { run_ns: BASE_SLICE_NS * 9 / 10, sleep_ns: 1_000 };
    let mut core = Core::new([(0, COMPUTES), (0, COMPUTES), (0, COMPUTES), (0, sly)]);
    core.preempts_for_woken = true;
    core.run_while(|core| core.now_ns < 20 * SECOND);
    assert!(core.share(3) < 0.25 * 1.05, "{}", core.share(3));
}

/// Connections of a server that has no time left, each with a peer that answers at once: they take turns, whoever of them seems to compute
/// by the hazards of the queue.
#[test]
fn threads_that_all_wait_for_events_share_a_full_core_by_turns() {
    for sleep_ns in [20_000, 100_000, 250_000] {
        let talks = |key: u64| Habit { run_ns: 4_500 + 17 * key, sleep_ns };
        let mut core = Core::new((0..64).map(|key| (0, talks(key))));
        core.preempts_for_woken = true;
        core.run_while(|core| core.now_ns < SECOND);
        core.threads.iter_mut().for_each(|thread| thread.longest_wait_ns = 0);
        core.run_while(|core| core.now_ns < 3 * SECOND);
        let longest = core.threads.iter().map(|thread| thread.longest_wait_ns).max().unwrap();
        // All of the others before it, and as many once more where a round ends.
        assert!(longest < 2 * 64 * 5_600, "of sleeps of {sleep_ns} ns one waited for {longest} ns");
    }
}

/// A thousand sleepers want twice what the core has, each with a good claim. Who computes must come to its slice.
#[test]
fn threads_that_wake_without_end_starve_nobody() {
    let waking = Habit { run_ns: MS / 5, sleep_ns: 100 * MS };
    let mut core = Core::new((0..1000).map(|_| (0, waking)).chain([(0, COMPUTES), (10, COMPUTES)]));
    core.preempts_for_woken = true;
    core.run_while(|core| core.now_ns < 20 * SECOND);
    let wanted = core.threads[..1000].iter().map(|thread| thread.ran_ns).sum::<u64>();
    assert!(wanted > 10 * SECOND, "those who wake have run for {wanted} ns only");
    // A fair share were a thousandth each.
    assert!(core.share(1000) > 0.001, "{}", core.share(1000));
    assert!(core.share(1001) > 0.0001, "{}", core.share(1001));
    let longest = core.threads.iter().map(|thread| thread.longest_wait_ns).max().unwrap();
    assert!(longest < 2 * SECOND, "somebody waited for {longest} ns");
}
