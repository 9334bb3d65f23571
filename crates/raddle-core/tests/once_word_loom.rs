//! Every interleaving of threads that do something once, or wait for it.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test once_word_loom`.
#![cfg(loom)]

mod futex_kit;

use futex_kit::{Cancel, Ended, Futex};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use raddle_core::once_word::{OnceWord, Phase, Seen};

const PLACE: usize = 0;

/// A place that is written once, as the runtime builds it.
struct Once {
    word: OnceWord,
    futex: Futex,
    /// How many runs there were. Written by who runs; read by who finds it done.
    runs: UnsafeCell<u32>,
}

// SAFETY: `runs` is written by the one that runs, and read when it is done, which is what the model checks; the rest is loom's
// own `Sync` types.
unsafe impl Sync for Once {}

impl Once {
    fn new() -> Arc<Once> {
        Arc::new(Once { word: OnceWord::new(), futex: Futex::new(), runs: UnsafeCell::new(0) })
    }

    /// Runs, as `call_once_force`, until somebody has done it. The first `panics` runs panic.
    fn call(&self, me: usize, panics: u32) -> u32 {
        loop {
            if self.word.is_complete() {
                // SAFETY: it is done, so nobody writes any more. Did somebody, loom would say so.
                return self.runs.with(|runs| unsafe { *runs });
            }
            let seen = self.word.look();
            match seen.phase() {
                Phase::Complete => {}
                Phase::Running => self.wait_while(me, seen, Cancel::Never),
                _ => {
                    if self.word.begin(seen) {
                        // SAFETY: this thread runs, and no other one does; nobody reads before it is done. loom checks both.
                        let runs = self.runs.with_mut(|runs| unsafe {
                            *runs += 1;
                            *runs
                        });
                        let is_done = runs > panics;
                        if self.word.end(is_done) {
                            self.futex.wake(PLACE, usize::MAX);
                        }
                        if !is_done {
                            return 0;
                        }
                    }
                }
            }
        }
    }

    /// As `wait_force`.
    fn wait(&self, me: usize, cancel: Cancel) -> Option<u32> {
        loop {
            let seen = self.word.look();
            if seen.phase() == Phase::Complete {
                // SAFETY: it is done, as above.
                return Some(self.runs.with(|runs| unsafe { *runs }));
            }
            if cancel == Cancel::Soon {
                // Whoever is cancelled leaves its bit behind: then all are woken for nothing.
                self.wait_while(me, seen, cancel);
                return None;
            }
            self.wait_while(me, seen, cancel);
        }
    }

    fn wait_while(&self, me: usize, seen: Seen, cancel: Cancel) {
        let Some(seen) = self.word.announce(seen) else { return };
        let is_needed = || self.word.is_still(seen);
        let _: Ended = self.futex.wait(me, (PLACE, 0), cancel, is_needed, |_| ());
    }
}

fn bounded(preemptions: usize) -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model
}

#[test]
fn of_three_one_does_it_and_all_see_it() {
    bounded(2).check(|| {
        let once = Once::new();
        let others = [1, 2].map(|me| {
            let once = once.clone();
            loom::thread::spawn(move || assert_eq!(once.call(me, 0), 1))
        });
        assert_eq!(once.call(0, 0), 1);
        for other in others {
            other.join().unwrap();
        }
    });
}

/// Runs panic while others queue: one of them runs next, the others wait on, or see it done. What the calls of three threads gave, sorted.
fn race_of_panics(panics: u32, expected: [u32; 3]) {
    bounded(2).check(move || {
        let once = Once::new();
        let others = [1, 2].map(|me| {
            let once = once.clone();
            loom::thread::spawn(move || once.call(me, panics))
        });
        let mine = once.call(0, panics);
        let [one, two] = others.map(|other| other.join().unwrap());
        let mut all = [mine, one, two];
        all.sort();
        assert_eq!(all, expected);
        assert!(once.word.is_complete());
    });
}

#[test]
fn a_run_that_panics_hands_over_to_those_who_wait() {
    race_of_panics(1, [0, 2, 2]);
}

/// The word is what a thread saw before, but another has run meanwhile.
#[test]
fn of_two_runs_that_panic_the_third_sees_both() {
    race_of_panics(2, [0, 0, 3]);
}

/// Who waits since before the first run, panicking, is woken by the second.
#[test]
fn who_only_waits_waits_through_a_panic() {
    bounded(3).check(|| {
        let once = Once::new();
        let waiter = {
            let once = once.clone();
            loom::thread::spawn(move || once.wait(1, Cancel::Never))
        };
        assert_eq!(once.call(0, 1), 0);
        assert_eq!(once.call(0, 1), 2);
        assert_eq!(waiter.join().unwrap(), Some(2));
    });
}

#[test]
fn one_that_gives_up_leaves_the_others_their_wake() {
    bounded(2).check(|| {
        let once = Once::new();
        let waiters = [(1, Cancel::Soon), (2, Cancel::Never)].map(|(me, cancel)| {
            let once = once.clone();
            loom::thread::spawn(move || once.wait(me, cancel))
        });
        assert_eq!(once.call(0, 0), 1);
        let [_, stays] = waiters.map(|waiter| waiter.join().unwrap());
        assert_eq!(stays, Some(1));
    });
}
