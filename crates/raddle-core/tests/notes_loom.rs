//! Every interleaving of a thread at the runtime's door with those who decide over it from elsewhere: `depth` against `notes`.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test notes_loom`.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*, fence};
use raddle_core::depth::Depth;
use raddle_core::notes::{Notes, Verdict};

/// `membarrier(2)`: the full half of a pair whose light half is in `depth`.
fn membarrier() {
    fence(SeqCst);
}

/// A worker with its core. Threads are numbers, from 0; so are workers, and 1 is the spare.
struct Machine {
    notes: Notes,
    depths: [Depth; 2],
    /// Which thread runs on the core; `usize::MAX`: none.
    current: AtomicUsize,
    dispatches: AtomicU64,
    worker: AtomicUsize,
    /// What only the core's holder touches, or a thread inside the runtime on it.
    core: UnsafeCell<u32>,
    /// What a thread drops as it ends, inside, and others read while it is kept outside.
    record: UnsafeCell<u32>,
}

// SAFETY: `core` is touched by whoever has the core, and `record` not at once from inside and from elsewhere, which is what the
// model checks; the rest is loom's own `Sync` types.
unsafe impl Sync for Machine {}

impl Machine {
    fn new() -> Arc<Machine> {
        Arc::new(Machine {
            notes: Notes::new(),
            depths: [Depth::new(), Depth::new()],
            current: AtomicUsize::new(0),
            dispatches: AtomicU64::new(1),
            worker: AtomicUsize::new(0),
            core: UnsafeCell::new(0),
            record: UnsafeCell::new(0),
        })
    }

    /// As `Here::enter`. False if the core is gone.
    fn enter(&self, thread: usize) -> bool {
        let depth = self.depths[thread].go_in();
        depth > 1 || !self.notes.concern_core() || self.settle()
    }

    fn settle(&self) -> bool {
        loop {
            match self.notes.verdict() {
                Verdict::GoOn => return true,
                Verdict::Wait => loom::thread::yield_now(),
                Verdict::Lost => return false,
            }
        }
    }

    fn touch_core(&self) {
        // SAFETY: the caller has the core: a thread inside, or the spare once it has changed hands. Did two touch it at once,
        // loom would say so.
        self.core.with_mut(|core| unsafe { *core += 1 });
    }

    /// Comes in, does something, goes out. False if the core is gone.
    fn pass(&self, thread: usize) -> bool {
        let has_core = self.enter(thread);
        if has_core {
            self.touch_core();
            self.depths[thread].go_out();
        }
        has_core
    }

    /// As the monitor: takes the core if the thread of that dispatch is outside. The spare goes on at once.
    fn take_core(&self, dispatches: u64) -> bool {
        self.notes.doubt();
        membarrier();
        let current = self.current.load(Relaxed);
        let is_outside = self.depths.get(current).is_some_and(Depth::is_outside);
        let is_same = self.dispatches.load(Relaxed) == dispatches && self.worker.load(Relaxed) == 0;
        if !(is_outside && is_same) {
            self.notes.keep();
            return false;
        }
        self.transfer(true);
        true
    }

    fn transfer(&self, was_in_doubt: bool) {
        self.current.store(usize::MAX, Relaxed);
        self.dispatches.fetch_add(1, Relaxed);
        self.worker.store(1, Release);
        self.notes.lose(was_in_doubt);
        // The spare.
        self.touch_core();
    }

    /// As `dispatch`: the running thread, inside, leaves the core to another one, which goes out.
    fn switch_to(&self, next: usize) {
        self.touch_core();
        self.current.store(next, Relaxed);
        let number = self.dispatches.load(Relaxed) + 1;
        self.dispatches.store(number, Release);
        self.depths[next].go_out();
    }
}

/// The monitor decides while `thread` does something. What it has decided.
fn race(
    preemptions: Option<usize>,
    thread: impl Fn(&Machine) + Send + Sync + Copy + 'static,
    monitor: impl Fn(&Machine) -> bool + Send + Sync + Copy + 'static,
    check: impl Fn(&Machine, bool) + Send + Sync + Copy + 'static,
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        let machine = Machine::new();
        let decides = {
            let machine = machine.clone();
            loom::thread::spawn(move || monitor(&machine))
        };
        thread(&machine);
        let decided = decides.join().unwrap();
        check(&machine, decided);
    });
}

#[test]
fn a_core_is_never_taken_from_under_a_thread_inside() {
    race(
        None,
        |machine| {
            let had_core = machine.pass(0) && machine.pass(0);
            assert!(had_core || machine.notes.is_lost());
        },
        |machine| machine.take_core(1),
        |machine, is_taken| assert_eq!(machine.notes.is_lost(), is_taken),
    );
}

/// Another thread of the worker's is outside by the time that the monitor looks.
#[test]
fn a_core_is_not_taken_for_a_thread_that_has_left_it() {
    race(
        None,
        |machine| {
            machine.depths[1].begin_inside();
            if machine.enter(0) {
                machine.switch_to(1);
                assert!(machine.pass(1), "what the monitor saw blocked was another dispatch");
            }
        },
        |machine| machine.take_core(1),
        |machine, is_taken| assert_eq!(machine.notes.is_lost(), is_taken),
    );
}

/// The thread gives its core away while the monitor wants to take it: it goes once.
#[test]
fn a_core_is_given_away_or_taken() {
    race(
        None,
        |machine| {
            if machine.enter(0) {
                machine.transfer(false);
                machine.depths[0].go_out();
            }
        },
        |machine| machine.take_core(1),
        |machine, _| {
            assert!(machine.notes.is_lost());
            assert_eq!(machine.dispatches.load(Relaxed), 2);
            assert_eq!(machine.notes.verdict(), Verdict::Lost);
        },
    );
}

/// A thread that is looked at outside doesn't end meanwhile.
/// Looks at the thread, if it is outside; whether it was.
fn look(machine: &Machine) -> bool {
    machine.notes.look_at();
    membarrier();
    let is_outside = machine.depths[0].is_outside();
    if is_outside {
        // SAFETY: the thread is outside, and waits at the door until `looked_at`. Were it to write, loom would say so.
        machine.record.with(|record| assert_eq!(unsafe { *record }, 0));
    }
    machine.notes.looked_at();
    is_outside
}

#[test]
fn who_is_looked_at_waits_at_the_door() {
    race(
        None,
        |machine| {
            assert!(machine.pass(0) && machine.enter(0));
            // SAFETY: the thread is inside, so nobody looks at it. Did somebody all the same, loom would say so.
            machine.record.with_mut(|record| unsafe { *record = 1 });
        },
        look,
        |machine, _| assert_eq!(machine.notes.verdict(), Verdict::GoOn),
    );
}

/// Its worker parks meanwhile, is given another core, and runs it again.
#[test]
fn who_is_looked_at_waits_though_its_worker_has_parked() {
    race(
        None,
        |machine| {
            assert!(machine.enter(0));
            machine.notes.lose(false);
            machine.notes.forget();
            machine.depths[0].go_out();
            assert!(machine.enter(0));
            // SAFETY: the thread is inside, where nobody looks at it: what the model checks.
            machine.record.with_mut(|record| unsafe { *record = 1 });
        },
        look,
        |machine, _| assert_eq!(machine.notes.verdict(), Verdict::GoOn),
    );
}
