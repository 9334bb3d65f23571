//! Every interleaving of threads at a semaphore's word and its queue.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test permits_loom`.
#![cfg(loom)]

mod futex_kit;

use futex_kit::{Cancel, Ended, Futex};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use raddle_core::permits::Permits;
use std::cell::Cell;

const PLACE: usize = 0;

/// A semaphore as the runtime builds it.
struct Semaphore {
    word: Permits,
    futex: Futex,
    /// What one permit guards, where there is but one.
    data: UnsafeCell<u32>,
}

// SAFETY: `data` is touched by whoever has the only permit, which is what the model checks; the rest is loom's own `Sync` types.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    fn new(permits: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore {
            word: Permits::new(permits),
            futex: Futex::new(),
            data: UnsafeCell::new(0),
        })
    }

    /// False if it was cancelled.
    fn take(&self, me: usize, count: usize, cancel: Cancel) -> bool {
        if self.word.try_take(count) {
            return true;
        }
        loop {
            let got = Cell::new(false);
            let is_needed = || {
                got.set(self.word.take_or_wait(count));
                !got.get()
            };
            let left = |others| self.word.left(others);
            match self.futex.wait(me, (PLACE, count), cancel, is_needed, left) {
                Ended::Woken => return true,
                Ended::LookAgain if got.get() => return true,
                Ended::LookAgain => {}
                Ended::Cancelled => {
                    self.grant();
                    return false;
                }
            }
        }
    }

    fn add(&self, count: usize) {
        if self.word.add(count).somebody_waits {
            self.grant();
        }
    }

    fn grant(&self) {
        let takes = |count, others| self.word.grant(count, others);
        self.futex.wake_while(PLACE, takes, |count| self.word.put_back(count));
    }
}

/// Each thread takes so many permits, and gives them back.
fn race(permits: usize, wants: &'static [(usize, Cancel)], preemptions: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let semaphore = Semaphore::new(permits);
        let pass = move |semaphore: &Semaphore, me: usize| {
            let (count, cancel) = wants[me];
            if semaphore.take(me, count, cancel) {
                if permits == 1 {
                    // SAFETY: there is one permit, and this thread has it. Had another one a permit too, loom would say so.
                    semaphore.data.with_mut(|data| unsafe { *data += 1 });
                }
                semaphore.add(count);
            }
        };
        let others: Vec<_> = (1..wants.len())
            .map(|me| {
                let semaphore = semaphore.clone();
                loom::thread::spawn(move || pass(&semaphore, me))
            })
            .collect();
        pass(&semaphore, 0);
        for other in others {
            other.join().unwrap();
        }
        assert!(semaphore.word.try_take(permits), "permits were lost, or a bit stays for nobody");
    });
}

#[test]
fn one_permit_is_one_threads_at_a_time() {
    race(1, &[(1, Cancel::Never), (1, Cancel::Never)], 4);
}

#[test]
fn three_threads_lose_no_permit() {
    race(1, &[(1, Cancel::Never), (1, Cancel::Never), (1, Cancel::Never)], 2);
}

#[test]
fn who_wants_many_gets_them() {
    race(2, &[(1, Cancel::Never), (2, Cancel::Never), (1, Cancel::Never)], 2);
}

/// Permits were taken off for one that is gone.
#[test]
fn who_gives_up_loses_nobodys_permits() {
    race(1, &[(1, Cancel::Never), (1, Cancel::Soon), (1, Cancel::Never)], 2);
}

/// Behind the one that gives up stands one for whom there was enough all the time.
#[test]
fn those_behind_one_that_gives_up_are_looked_at() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let semaphore = Semaphore::new(1);
        let wants_many = {
            let semaphore = semaphore.clone();
            loom::thread::spawn(move || semaphore.take(1, 2, Cancel::Soon))
        };
        let is_taken = semaphore.take(0, 1, Cancel::Never);
        assert!(is_taken && !wants_many.join().unwrap());
        semaphore.add(1);
        assert!(semaphore.word.try_take(1));
    });
}
