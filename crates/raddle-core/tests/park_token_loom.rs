//! Every interleaving of a thread that parks with those who unpark it.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test park_token_loom`.
#![cfg(loom)]

mod sleeper_kit;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
use raddle_core::park_token::ParkToken;
use sleeper_kit::Sleeper;
use std::ptr::NonNull;

const READY: u16 = 0;
const TIMED_OUT: u16 = 1;

/// A thread that waits for `done`.
struct Thread {
    token: ParkToken<Sleeper>,
    sleeper: Sleeper,
    done: AtomicU32,
}

impl Thread {
    fn new() -> Arc<Thread> {
        Arc::new(Thread {
            token: ParkToken::new(NonNull::dangling()),
            sleeper: Sleeper::new(),
            done: AtomicU32::new(0),
        })
    }

    /// As `thread::park`. `times_out`: a deadline may end the sleep.
    fn park(&self, times_out: bool) {
        if self.token.take() {
            return;
        }
        let sleeper = &self.sleeper;
        let ticket = sleeper.state.prepare();
        if !self.token.park(NonNull::from(sleeper), ticket) {
            // Nobody was told of this sleep.
            assert_eq!(sleeper.state.retract(ticket), Ok(()));
            return;
        }
        if times_out {
            sleeper.wake(ticket, TIMED_OUT);
        }
        sleeper.park(ticket, || ());
        self.token.back();
    }

    fn unpark(&self) {
        if let Some((sleeper, ticket)) = self.token.put() {
            assert_eq!(sleeper, NonNull::from(&self.sleeper));
            // SAFETY: it is the sleeper of this thread, as was just seen, and lives as long as `self`.
            unsafe { sleeper.as_ref() }.wake(ticket, READY);
        }
    }

    /// One who does a part of what is waited for, and says so.
    fn helper(thread: &Arc<Thread>) -> loom::thread::JoinHandle<()> {
        let thread = thread.clone();
        loom::thread::spawn(move || {
            thread.done.fetch_add(1, Relaxed);
            thread.unpark();
        })
    }
}

#[test]
fn no_token_is_slept_over() {
    loom::model(|| {
        let thread = Thread::new();
        let helper = Thread::helper(&thread);
        while thread.done.load(Relaxed) < 1 {
            thread.park(false);
        }
        helper.join().unwrap();
    });
}

#[test]
fn two_who_unpark_leave_one_token_and_lose_none() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let thread = Thread::new();
        let helpers = [Thread::helper(&thread), Thread::helper(&thread)];
        let mut times = 0;
        while thread.done.load(Relaxed) < 2 {
            thread.park(false);
            times += 1;
        }
        assert!(times <= 2, "it went on without a token");
        for helper in helpers {
            helper.join().unwrap();
        }
    });
}

/// A slow one, who has the ticket of a sleep that timed out, does not keep the thread from hearing it.
#[test]
fn a_sleep_that_timed_out_loses_no_token() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let thread = Thread::new();
        let helper = Thread::helper(&thread);
        thread.park(true);
        let mut times = 0;
        while thread.done.load(Relaxed) < 1 {
            thread.park(false);
            times += 1;
        }
        assert!(times <= 1, "it went on without a token");
        helper.join().unwrap();
    });
}
