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
