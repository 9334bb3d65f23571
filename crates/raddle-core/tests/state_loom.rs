//! Every interleaving of a sleeper with those who would wake it: `RUSTFLAGS="--cfg loom" cargo test --test state_loom`.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::*};
use raddle_core::state::{State, Woke};

/// What the runtime does: the sleeper falls asleep, or learns that it was woken; exactly one makes it runnable.
#[test]
fn of_two_wakers_exactly_one_wins_and_the_thread_is_made_runnable_once() {
    loom::model(|| {
        let state = Arc::new(State::new());
        let runnable = Arc::new(AtomicUsize::new(0));
        let ticket = state.prepare();
        let wakers: Vec<_> = (1..=2)
            .map(|reason| {
                let (state, runnable) = (state.clone(), runnable.clone());
                loom::thread::spawn(move || match state.wake(ticket, reason) {
                    Woke::TooLate => 0,
                    Woke::OnItsWay => 1,
                    Woke::Asleep => {
                        runnable.fetch_add(1, Relaxed);
                        1
                    }
                })
            })
            .collect();
        if state.fall_asleep(ticket).is_err() {
            runnable.fetch_add(1, Relaxed);
        }
        let winners: usize = wakers.into_iter().map(|waker| waker.join().unwrap()).sum();
        assert_eq!(winners, 1);
        assert_eq!(runnable.load(Relaxed), 1);
        assert!(matches!(state.reason(ticket), Some(1 | 2)));
    });
}

/// A waker of an earlier sleep, as late as it likes, changes nothing; the waker of this one is not lost.
#[test]
fn a_stale_waker_never_disturbs_a_later_sleep() {
    loom::model(|| {
        let state = Arc::new(State::new());
        let stale = state.prepare();
        let late = {
            let state = state.clone();
            loom::thread::spawn(move || state.wake(stale, 9) != Woke::TooLate)
        };
        let retracted = state.retract(stale).is_ok();
        let ticket = state.prepare();
        let woke = {
            let state = state.clone();
            loom::thread::spawn(move || state.wake(ticket, 1))
        };
        let slept = state.fall_asleep(ticket);
        assert_eq!(late.join().unwrap(), !retracted);
        match woke.join().unwrap() {
            Woke::Asleep => assert_eq!(slept, Ok(())),
            Woke::OnItsWay => assert_eq!(slept, Err(1)),
            Woke::TooLate => panic!("the only waker of this sleep was told that it is too late"),
        }
        assert_eq!(state.reason(ticket), Some(1));
    });
}

/// What the waker wrote before is what the sleeper reads after.
#[test]
fn a_wake_publishes_what_came_before_it() {
    loom::model(|| {
        let state = Arc::new(State::new());
        let data = Arc::new(AtomicUsize::new(0));
        let ticket = state.prepare();
        let waker = {
            let (state, data) = (state.clone(), data.clone());
            loom::thread::spawn(move || {
                data.store(1, Relaxed);
                let _ = state.wake(ticket, 0);
            })
        };
        if state.fall_asleep(ticket).is_err() || state.reason(ticket).is_some() {
            assert_eq!(data.load(Relaxed), 1);
        }
        waker.join().unwrap();
    });
}

/// While somebody holds the sleeper, its waker waits; no wake is lost, and what the holder reads nobody writes meanwhile.
#[test]
fn a_held_sleeper_is_woken_after_the_look() {
    loom::model(|| {
        let state = Arc::new(State::new());
        // Stands for the stack: written before the sleep, and by whoever runs the thread after it.
        let stack = Arc::new(loom::cell::UnsafeCell::new(0));
        let ticket = state.prepare();
        // SAFETY: nobody else knows of it yet. In what follows loom itself finds two accesses at once: that is the model's claim.
        stack.with_mut(|stack| unsafe { *stack = 1 });
        let looker = {
            let (state, stack) = (state.clone(), stack.clone());
            loom::thread::spawn(move || {
                if let Some(_held) = state.hold() {
                    // SAFETY: the sleeper is held, so nobody runs it.
                    stack.with(|stack| assert_eq!(unsafe { *stack }, 1));
                }
            })
        };
        let waker = {
            let (state, stack) = (state.clone(), stack.clone());
            loom::thread::spawn(move || {
                let woke = state.wake(ticket, 7);
                if woke == Woke::Asleep {
                    // SAFETY: the sleeper is woken, and runs nowhere else.
                    stack.with_mut(|stack| unsafe { *stack = 2 });
                }
                woke
            })
        };
        let slept = state.fall_asleep(ticket);
        match waker.join().unwrap() {
            Woke::Asleep => assert_eq!(slept, Ok(())),
            Woke::OnItsWay => assert_eq!(slept, Err(7)),
            Woke::TooLate => panic!("the only waker was told that it is too late"),
        }
        looker.join().unwrap();
        assert_eq!(state.reason(ticket), Some(7));
    });
}
