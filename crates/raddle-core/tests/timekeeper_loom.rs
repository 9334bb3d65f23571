//! Cores that go to sleep and wake, and the monitor, by loom: somebody always wakes for the first deadline.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test timekeeper_loom`.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*, fence};
use loom::thread;
use raddle_core::timekeeper::Timekeeper;

const NEVER: u64 = u64::MAX;

/// What the runtime has beside the word.
struct Machine {
    keeper: Timekeeper,
    deadlines: [AtomicU64; 2],
    idle: AtomicUsize,
    /// When the monitor looks by itself; 0: it is looking.
    monitor_looks: AtomicU64,
    poked: AtomicUsize,
}

impl Machine {
    fn new(monitor_looks: u64) -> Arc<Machine> {
        Arc::new(Machine {
            keeper: Timekeeper::new(),
            deadlines: [AtomicU64::new(NEVER), AtomicU64::new(NEVER)],
            idle: AtomicUsize::new(0),
            monitor_looks: AtomicU64::new(monitor_looks),
            poked: AtomicUsize::new(0),
        })
    }

    /// A core arms a timer and has nothing more to do: until when it keeps time, if it does.
    fn sleep(&self, core: usize, deadline: u64) -> Option<u64> {
        self.deadlines[core].store(deadline, Relaxed);
        self.go_to_sleep()
    }

    fn go_to_sleep(&self) -> Option<u64> {
        self.idle.fetch_add(1, SeqCst);
        let first = self.first();
        (first != NEVER && self.keeper.take_office(first, 0)).then_some(first)
    }

    /// The other core does, meanwhile, with a later deadline.
    fn other_sleeps(machine: &Arc<Machine>) -> thread::JoinHandle<Option<u64>> {
        let machine = machine.clone();
        thread::spawn(move || machine.sleep(1, 20))
    }

    /// The core wakes for something else than a timer.
    fn wake(&self, office: Option<u64>) {
        let had_office = office.is_some_and(|until| self.keeper.lay_down(until));
        self.idle.fetch_sub(1, SeqCst);
        fence(SeqCst);
        let first = self.first();
        if had_office && self.monitor_looks.load(Relaxed) > first {
            self.poked.fetch_add(1, SeqCst);
        }
    }

    fn first(&self) -> u64 {
        self.deadlines.iter().map(|deadline| deadline.load(Relaxed)).min().unwrap()
    }
}

/// Whoever goes to sleep last knows of every deadline.
#[test]
fn when_all_sleep_one_keeps_time_for_all() {
    loom::model(|| {
        let machine = Machine::new(NEVER);
        let other = Machine::other_sleeps(&machine);
        machine.sleep(0, 10);
        other.join().unwrap();
        assert_eq!(machine.keeper.until_ns(), Some(10));
    });
}

/// One wakes, works and sleeps again while the other goes to sleep.
#[test]
fn a_keeper_that_comes_back_finds_the_others_deadline() {
    loom::model(|| {
        let machine = Machine::new(NEVER);
        let other = Machine::other_sleeps(&machine);
        let office = machine.sleep(0, 10);
        machine.wake(office);
        machine.deadlines[0].store(NEVER, Relaxed);
        machine.go_to_sleep();
        other.join().unwrap();
        // Or earlier: the other may have taken over to keep the time of what is over by now.
        let until = machine.keeper.until_ns();
        assert!(until.is_some_and(|until| until <= 20), "{until:?}");
    });
}

/// The keeper wakes while the monitor makes up its mind to sleep for long: either it sees that nobody keeps time, or it is poked.
#[test]
fn a_keeper_that_leaves_is_seen_by_the_monitor_or_pokes_it() {
    loom::model(|| {
        let machine = Machine::new(NEVER);
        machine.sleep(1, 20);
        machine.deadlines[0].store(10, Relaxed);
        let office = machine.go_to_sleep();
        assert_eq!(office, Some(10));
        let monitor = {
            let machine = machine.clone();
            thread::spawn(move || {
                machine.monitor_looks.store(0, Relaxed);
                fence(SeqCst);
                let kept = machine.keeper.until_ns();
                let next = if kept.is_none() { machine.first() } else { NEVER };
                machine.monitor_looks.store(next, Relaxed);
                fence(SeqCst);
                let has_changed = machine.keeper.until_ns() != kept;
                if has_changed { 0 } else { next }
            })
        };
        machine.wake(office);
        let looks_at = monitor.join().unwrap();
        let is_watched = looks_at <= machine.first() || machine.poked.load(SeqCst) > 0;
        assert!(is_watched, "the monitor looks at {looks_at} and was not poked");
    });
}

/// A far deadline, the monitor's next look before it, and a deadline behind it.
const FAR: u64 = Timekeeper::FAR_NS;
const LOOKS: u64 = FAR / 2;
const FARTHER: u64 = 2 * FAR;

impl Machine {
    /// A core with a far deadline goes to sleep, and may leave it to the monitor. Until when it keeps time, if it does.
    fn sleep_far(&self, core: usize, deadline: u64) -> Option<u64> {
        self.deadlines[core].store(deadline, Relaxed);
        self.idle.fetch_add(1, SeqCst);
        let first = self.first();
        fence(SeqCst);
        let looks_at = self.monitor_looks.load(Relaxed);
        let is_left = self.keeper.may_leave_to_monitor(first, looks_at, 0);
        (!is_left && self.keeper.take_office(first, 0)).then_some(first)
    }

    /// The monitor looks: when it does again.
    fn look(&self) -> u64 {
        self.monitor_looks.store(0, Relaxed);
        fence(SeqCst);
        let kept = self.keeper.until_ns();
        let next = self.first_not_kept(kept);
        self.monitor_looks.store(next, Relaxed);
        fence(SeqCst);
        let has_changed = self.keeper.until_ns() != kept;
        if has_changed { 0 } else { next }
    }

    fn first_not_kept(&self, kept: Option<u64>) -> u64 {
        let deadlines = self.deadlines.iter().map(|deadline| deadline.load(Relaxed));
        deadlines.filter(|&at| !Timekeeper::is_kept(kept, at, 0, 0)).min().unwrap_or(NEVER)
    }
}

/// One leaves its deadline to the monitor while the other, which has not seen it, takes the office until later.
#[test]
fn what_was_left_is_seen_by_the_monitor_whoever_keeps_time() {
    loom::model(|| {
        let machine = Machine::new(LOOKS);
        let other = {
            let machine = machine.clone();
            thread::spawn(move || machine.sleep(1, FARTHER))
        };
        machine.sleep_far(0, FAR);
        other.join().unwrap();
        // Everybody sleeps, and the monitor comes as it had planned.
        let until = machine.keeper.until_ns();
        let watched = until.unwrap_or(NEVER).min(machine.first_not_kept(until));
        assert!(watched <= FAR, "the first wakes at {watched}");
    });
}

/// One leaves its deadline to the monitor, which is about to plan a long sleep.
#[test]
fn nothing_is_left_to_a_monitor_that_has_looked() {
    loom::model(|| {
        let machine = Machine::new(LOOKS);
        let monitor = {
            let machine = machine.clone();
            thread::spawn(move || machine.look())
        };
        machine.sleep_far(0, FAR);
        let looks_at = monitor.join().unwrap();
        let watched = machine.keeper.until_ns().unwrap_or(NEVER).min(looks_at);
        assert!(watched <= FAR, "the first wakes at {watched}");
    });
}
