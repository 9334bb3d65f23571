//! Every interleaving of threads at a spinning lock.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test spin_word_loom`.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use raddle_core::spin_word::SpinWord;

struct Lock {
    word: SpinWord,
    data: UnsafeCell<u32>,
}

// SAFETY: `data` is touched by whoever has the lock, which is what the model checks; the rest is loom's own `Sync` types.
unsafe impl Sync for Lock {}

impl Lock {
    fn take(&self) {
        while !self.word.try_take() {
            // As `raddle::spin`: looked at, not tried.
            while self.word.is_taken() {
                loom::thread::yield_now();
            }
        }
        // SAFETY: the lock is held. Were it held twice, loom would say so.
        self.data.with_mut(|data| unsafe { *data += 1 });
    }
}

#[test]
fn one_at_a_time_has_it() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(|| {
        let lock = Arc::new(Lock { word: SpinWord::new(), data: UnsafeCell::new(0) });
        let work = |lock: &Lock| {
            for _ in 0..2 {
                lock.take();
                lock.word.release();
            }
        };
        let other = {
            let lock = lock.clone();
            loom::thread::spawn(move || work(&lock))
        };
        work(&lock);
        other.join().unwrap();
        lock.take();
        // SAFETY: the lock is held, and the other thread has ended.
        lock.data.with(|data| assert_eq!(unsafe { *data }, 5));
    });
}

/// As a core's queue, over a switch: whoever runs next releases what the thread before it has taken.
#[test]
fn it_may_be_released_by_whoever_comes_after() {
    loom::model(|| {
        let lock = Arc::new(Lock { word: SpinWord::new(), data: UnsafeCell::new(0) });
        lock.take();
        let next = {
            let lock = lock.clone();
            loom::thread::spawn(move || {
                // SAFETY: the lock was taken for this thread, by the one before it, which touches nothing until it has it again.
                // loom checks that.
                lock.data.with_mut(|data| unsafe { *data += 1 });
                lock.word.release();
            })
        };
        lock.take();
        // SAFETY: the lock is held again, after the other one's release. Were it not seen, loom would say so.
        lock.data.with(|data| assert_eq!(unsafe { *data }, 3));
        next.join().unwrap();
    });
}
