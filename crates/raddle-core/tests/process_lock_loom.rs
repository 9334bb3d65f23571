//! Every interleaving of kernel threads at a lock that they sleep for.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test process_lock_loom`.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Condvar, Mutex};
use raddle_core::process_lock::{Attempt, ProcessLock};

const PROCESS: u32 = 77;

struct Lock {
    word: ProcessLock,
    data: UnsafeCell<u32>,
    /// The kernel's queue: who has slept, and who was woken, by turn.
    kernel: Mutex<(u32, u32)>,
    woken: Condvar,
}

// SAFETY: `data` is touched by whoever holds the lock alone, which is what the model checks; the rest is loom's own `Sync` types.
unsafe impl Sync for Lock {}

impl Lock {
    fn take(&self) {
        let mut has_waited = false;
        loop {
            match self.word.attempt(PROCESS, has_waited) {
                Attempt::Taken => break,
                Attempt::Again => {}
                Attempt::Sleep(word) => {
                    has_waited = true;
                    let mut kernel = self.kernel.lock().unwrap();
                    if self.word.is_still(word) {
                        let mine = kernel.0;
                        kernel.0 += 1;
                        while kernel.1 <= mine {
                            kernel = self.woken.wait(kernel).unwrap();
                        }
                    }
                }
            }
        }
        // SAFETY: the lock is held. Were it held twice, loom would say so.
        self.data.with_mut(|data| unsafe { *data += 1 });
    }

    fn release(&self) {
        if self.word.release() {
            let mut kernel = self.kernel.lock().unwrap();
            kernel.1 = kernel.0.min(kernel.1 + 1);
            self.woken.notify_all();
        }
    }
}

fn race(threads: u32, preemptions: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let lock = Arc::new(Lock {
            word: ProcessLock::new(),
            data: UnsafeCell::new(0),
            kernel: Mutex::new((0, 0)),
            woken: Condvar::new(),
        });
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let lock = lock.clone();
                loom::thread::spawn(move || {
                    lock.take();
                    lock.release();
                })
            })
            .collect();
        lock.take();
        lock.release();
        for other in others {
            other.join().unwrap();
        }
        lock.take();
        // SAFETY: the lock is held, and all other threads have ended.
        lock.data.with(|data| assert_eq!(unsafe { *data }, threads + 1));
    });
}

#[test]
fn two_take_turns() {
    race(2, 4);
}

/// One that was woken takes the lock, and others wait still.
#[test]
fn of_three_none_sleeps_for_ever() {
    race(3, 3);
}
