//! Every interleaving of a thread that ends with its handle, awaited or dropped.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test progress_loom`.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread::JoinHandle;
use raddle_core::progress::{Progress, Settled};

/// What a thread and its handle share, as in the runtime.
struct Shared {
    progress: Progress,
    /// Some while there is a result.
    result: UnsafeCell<Option<u32>>,
    waker: Mutex<Option<Arc<Waker>>>,
    dropped: Mutex<u32>,
}

// SAFETY: `result` is the thread's or the handle's, as `progress` says, which is what the model checks; the rest is loom's own
// `Sync` types.
unsafe impl Sync for Shared {}

/// Wakes whoever polls.
struct Waker {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Waker {
    fn new() -> Arc<Waker> {
        Arc::new(Waker { is_woken: Mutex::new(false), woken: Condvar::new() })
    }

    fn wake(&self) {
        *self.is_woken.lock().unwrap() = true;
        self.woken.notify_one();
    }

    fn wait(&self) {
        let mut is_woken = self.is_woken.lock().unwrap();
        while !*is_woken {
            is_woken = self.woken.wait(is_woken).unwrap();
        }
    }
}

impl Shared {
    /// With a thread that settles at some time.
    fn started() -> (Arc<Shared>, JoinHandle<()>) {
        let shared = Arc::new(Shared {
            progress: Progress::new(),
            result: UnsafeCell::new(None),
            waker: Mutex::new(None),
            dropped: Mutex::new(0),
        });
        let thread = {
            let shared = shared.clone();
            loom::thread::spawn(move || shared.settle())
        };
        (shared, thread)
    }

    fn settle(&self) {
        // SAFETY: the result is the thread's until it is settled. Were the handle to touch it, loom would say so.
        self.result.with_mut(|result| unsafe { *result = Some(7) });
        match self.progress.settle() {
            Settled::Left => {}
            Settled::Awaited => {
                let waker = self.waker.lock().unwrap().take();
                waker.expect("a waker is in place").wake();
            }
            Settled::Abandoned => self.drop_result(),
        }
    }

    fn drop_result(&self) {
        // SAFETY: the other side is done with it, so the result is the caller's alone. Were both to drop it, loom would say so.
        self.result.with_mut(|result| assert_eq!(unsafe { (*result).take() }, Some(7)));
        *self.dropped.lock().unwrap() += 1;
    }

    fn poll(&self, waker: &Arc<Waker>) -> Option<u32> {
        if !self.progress.is_settled() {
            *self.waker.lock().unwrap() = Some(waker.clone());
            if self.progress.is_awaited() {
                return None;
            }
        }
        // SAFETY: the thread has settled, and touches the result no more: it is the handle's. loom checks that.
        self.result.with_mut(|result| unsafe { (*result).take() })
    }

    fn drop_handle(&self) {
        // SAFETY: the same, as it is looked at only once the thread has settled.
        let is_joined =
            self.progress.is_settled() && self.result.with(|result| unsafe { (*result).is_none() });
        if !is_joined && self.progress.abandon() {
            self.drop_result();
        }
    }
}

#[test]
fn whoever_awaits_the_handle_is_woken_or_finds_the_result() {
    loom::model(|| {
        let (shared, thread) = Shared::started();
        let waker = Waker::new();
        let result = shared.poll(&waker).unwrap_or_else(|| {
            waker.wait();
            shared.poll(&waker).expect("woken for the result")
        });
        assert_eq!(result, 7);
        shared.drop_handle();
        thread.join().unwrap();
        assert_eq!(*shared.dropped.lock().unwrap(), 0);
    });
}

/// Of several wakers the last one counts.
#[test]
fn a_handle_may_be_polled_with_another_waker() {
    loom::model(|| {
        let (shared, thread) = Shared::started();
        let first = Waker::new();
        let result = shared.poll(&first).unwrap_or_else(|| {
            let second = Waker::new();
            shared.poll(&second).unwrap_or_else(|| {
                second.wait();
                shared.poll(&second).expect("woken for the result")
            })
        });
        assert_eq!(result, 7);
        thread.join().unwrap();
    });
}

#[test]
fn a_result_that_nobody_takes_is_dropped_once() {
    loom::model(|| {
        let (shared, thread) = Shared::started();
        shared.drop_handle();
        thread.join().unwrap();
        assert_eq!(*shared.dropped.lock().unwrap(), 1);
    });
}

#[test]
fn a_handle_that_was_awaited_may_be_dropped() {
    loom::model(|| {
        let (shared, thread) = Shared::started();
        let is_taken = shared.poll(&Waker::new()).is_some();
        shared.drop_handle();
        thread.join().unwrap();
        assert_eq!(*shared.dropped.lock().unwrap(), u32::from(!is_taken));
    });
}
