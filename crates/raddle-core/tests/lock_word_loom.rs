//! Every interleaving of threads at a mutex's word and its queue: `RUSTFLAGS="--cfg loom" cargo test --test lock_word_loom`.
#![cfg(loom)]

use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
use loom::sync::{Arc, Condvar, Mutex};
use raddle_core::lock_word::{LockWord, Release, Role};
use std::collections::VecDeque;

/// What ended a wait: as the runtime's reasons.
#[derive(Clone, Copy, PartialEq)]
enum Woken {
    Waits,
    Wake,
    HandOver,
}

/// A lock as the runtime builds it. loom's condition variable stands for the scheduler: who is never woken deadlocks the model.
struct Lock {
    word: LockWord,
    /// Those who wait, by number.
    queue: Mutex<VecDeque<usize>>,
    waiters: [(Mutex<Woken>, Condvar); 3],
    holders: AtomicU32,
    data: loom::cell::UnsafeCell<u32>,
}

// SAFETY: `data` is touched by whoever holds the lock alone, which is what the model checks; the rest is loom's own `Sync` types.
unsafe impl Sync for Lock {}

impl Lock {
    fn new() -> Lock {
        let waiter = || (Mutex::new(Woken::Waits), Condvar::new());
        Lock {
            word: LockWord::new(),
            queue: Mutex::new(VecDeque::new()),
            waiters: [waiter(), waiter(), waiter()],
            holders: AtomicU32::new(0),
            data: loom::cell::UnsafeCell::new(0),
        }
    }

    /// `is_owed` makes every wake in vain one too many.
    fn lock(&self, me: usize, is_owed: bool) {
        let mut role = Role::Fresh;
        let mut is_again = false;
        while !self.word.try_lock_as(role) {
            if !self.word.announce(role, is_owed && is_again) {
                continue;
            }
            role = Role::Fresh;
            {
                let mut queue = self.queue.lock().unwrap();
                if !self.word.may_sleep() {
                    continue;
                }
                if is_again { queue.push_front(me) } else { queue.push_back(me) }
            }
            is_again = true;
            let (reason, woken) = &self.waiters[me];
            let mut reason = reason.lock().unwrap();
            while *reason == Woken::Waits {
                reason = woken.wait(reason).unwrap();
            }
            let why = std::mem::replace(&mut *reason, Woken::Waits);
            if why == Woken::HandOver {
                break;
            }
            role = Role::Woken;
        }
        assert_eq!(self.holders.fetch_add(1, Relaxed), 0, "two hold the lock");
        // SAFETY: the lock is held. Were it held twice, loom would say so.
        self.data.with_mut(|data| unsafe { *data += 1 });
    }

    fn unlock(&self) {
        assert_eq!(self.holders.fetch_sub(1, Relaxed), 1);
        loop {
            match self.word.release() {
                Release::Done => return,
                Release::Wake => {
                    if self.word.claim_wake() {
                        self.wake_first(Woken::Wake);
                    }
                    return;
                }
                Release::HandOver => {
                    if self.wake_first(Woken::HandOver) {
                        return;
                    }
                }
            }
        }
    }

    fn wake_first(&self, why: Woken) -> bool {
        let first = {
            let mut queue = self.queue.lock().unwrap();
            let first = queue.pop_front();
            match (first, why) {
                (Some(_), _) => self.word.taken(!queue.is_empty()),
                (None, Woken::HandOver) => self.word.taken(false),
                (None, _) => self.word.nobody_waits(),
            }
            first
        };
        if let Some(first) = first {
            *self.waiters[first].0.lock().unwrap() = why;
            self.waiters[first].1.notify_one();
        }
        first.is_some()
    }
}

fn race(threads: usize, rounds: u32, is_owed: bool, preemptions: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let lock = Arc::new(Lock::new());
        let work = move |me: usize, lock: Arc<Lock>| {
            for _ in 0..rounds {
                lock.lock(me, is_owed);
                lock.unlock();
            }
        };
        let others: Vec<_> = (1..threads)
            .map(|me| {
                let lock = lock.clone();
                loom::thread::spawn(move || work(me, lock))
            })
            .collect();
        work(0, lock.clone());
        for other in others {
            other.join().unwrap();
        }
        // SAFETY: all other threads have ended.
        lock.data.with(|data| assert_eq!(unsafe { *data }, threads as u32 * rounds));
        // Nothing but what a release would tidy up is left.
        lock.lock(0, false);
        lock.unlock();
        assert!(lock.word.try_lock());
        assert_eq!(lock.word.release(), Release::Done);
    });
}

#[test]
fn two_threads_exclude_each_other_and_none_sleeps_for_ever() {
    race(2, 2, false, 3);
}

#[test]
fn two_threads_one_of_which_is_owed_the_lock() {
    race(2, 2, true, 3);
}

#[test]
fn three_threads_lose_no_wake() {
    race(3, 1, false, 2);
}

#[test]
fn three_threads_hand_the_lock_over() {
    race(3, 1, true, 2);
}

/// One who leaves the queue by itself, cancelled, takes nobody's wake with it.
#[test]
fn who_leaves_the_queue_loses_nobody_elses_wake() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let lock = Arc::new(Lock::new());
        lock.lock(0, false);
        let other = {
            let lock = lock.clone();
            loom::thread::spawn(move || {
                lock.lock(1, false);
                lock.unlock();
            })
        };
        let quitter = {
            let lock = lock.clone();
            loom::thread::spawn(move || {
                if lock.word.try_lock_as(Role::Fresh) {
                    let _ = lock.holders.fetch_add(1, Relaxed);
                    lock.unlock();
                    return;
                }
                if !lock.word.announce(Role::Fresh, false) {
                    return;
                }
                {
                    let mut queue = lock.queue.lock().unwrap();
                    if !lock.word.may_sleep() {
                        return;
                    }
                    queue.push_back(2);
                }
                // Cancelled; unless it was taken from the queue before, when the waker passes over it.
                let mut queue = lock.queue.lock().unwrap();
                if let Some(at) = queue.iter().position(|&waiter| waiter == 2) {
                    queue.remove(at);
                    lock.word.taken(!queue.is_empty());
                    return;
                }
                drop(queue);
                // It was woken first: it arrives, and passes on.
                let (reason, woken) = &lock.waiters[2];
                let mut reason = reason.lock().unwrap();
                while *reason == Woken::Waits {
                    reason = woken.wait(reason).unwrap();
                }
                drop(reason);
                while !lock.word.try_lock_as(Role::Woken) {
                    loom::thread::yield_now();
                }
                let _ = lock.holders.fetch_add(1, Relaxed);
                lock.unlock();
            })
        };
        lock.unlock();
        other.join().unwrap();
        quitter.join().unwrap();
    });
}
