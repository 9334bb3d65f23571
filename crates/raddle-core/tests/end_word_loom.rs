//! Every interleaving of a thread that ends with its joiner and with those who have references: the last one frees, once, after all uses.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test end_word_loom`.
#![cfg(loom)]

mod sleeper_kit;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
use raddle_core::end_word::{End, EndWord};
use sleeper_kit::Sleeper;
use std::ptr::NonNull;

const READY: u16 = 0;
const CANCELLED: u16 = 1;

struct Thread {
    end: EndWord<Sleeper>,
    joiner: Sleeper,
    /// What the thread leaves: with whoever frees, that is the last who touches it.
    result: UnsafeCell<u32>,
    freed: AtomicU32,
}

// SAFETY: `result` is written before the end and read by who has seen the end, and freed by who gave up the last reference, which is what
// the model checks; the rest is loom's own `Sync` types.
unsafe impl Sync for Thread {}

impl Thread {
    /// One that ends at some time, with so many references besides its own.
    fn started(handles: u32) -> (Arc<Thread>, loom::thread::JoinHandle<()>) {
        let thread = Arc::new(Thread {
            end: EndWord::new(handles + 1),
            joiner: Sleeper::new(),
            result: UnsafeCell::new(0),
            freed: AtomicU32::new(0),
        });
        let ends = {
            let thread = thread.clone();
            loom::thread::spawn(move || thread.run())
        };
        (thread, ends)
    }

    fn run(&self) {
        // SAFETY: the thread has not ended, so nobody reads yet. Were somebody to, loom would say so.
        self.result.with_mut(|result| unsafe { *result = 7 });
        match self.end.end() {
            End::Last => self.free(),
            End::Seen(None) => {}
            End::Seen(Some((joiner, ticket))) => {
                assert_eq!(joiner, NonNull::from(&self.joiner));
                // SAFETY: it is the joiner above, which lives longer than the record, and is kept here.
                unsafe { joiner.as_ref() }.wake(ticket, READY);
            }
        }
    }

    fn free(&self) {
        // SAFETY: that was the last reference, so all uses are over. Were one not, loom would say so.
        self.result.with_mut(|result| unsafe { *result = 0 });
        self.freed.fetch_add(1, Relaxed);
    }

    fn give_up(&self) {
        if self.end.give_up() {
            self.free();
        }
    }

    /// One attempt. `is_cancelled`: something else may end the sleep.
    fn join(&self, is_cancelled: bool) {
        let sleeper = &self.joiner;
        let ticket = sleeper.state.prepare();
        if !self.end.join(NonNull::from(sleeper), ticket) {
            assert_eq!(sleeper.state.retract(ticket), Ok(()));
            return;
        }
        if is_cancelled {
            sleeper.wake(ticket, CANCELLED);
        }
        sleeper.park(ticket, || ());
    }

    fn read_result(&self) {
        // SAFETY: the thread has ended, and writes no more. If the end is seen without the result, loom says so.
        assert_eq!(self.result.with(|result| unsafe { *result }), 7);
    }
}

fn join_and_free(thread: &Thread) {
    while !thread.end.has_ended() {
        thread.join(false);
    }
    thread.read_result();
    thread.give_up();
}

#[test]
fn the_joiner_is_woken_or_finds_the_end() {
    loom::model(|| {
        let (thread, ends) = Thread::started(1);
        join_and_free(&thread);
        assert_eq!(
            thread.freed.load(Relaxed),
            1,
            "the thread has given up its reference with its end"
        );
        ends.join().unwrap();
    });
}

/// It comes again, with another ticket.
#[test]
fn a_joiner_that_was_cancelled_is_not_waited_for() {
    loom::model(|| {
        let (thread, ends) = Thread::started(1);
        thread.join(true);
        join_and_free(&thread);
        ends.join().unwrap();
        assert_eq!(thread.freed.load(Relaxed), 1);
    });
}

#[test]
fn a_handle_that_is_dropped_or_the_thread_frees() {
    loom::model(|| {
        let (thread, ends) = Thread::started(1);
        thread.give_up();
        ends.join().unwrap();
        assert_eq!(thread.freed.load(Relaxed), 1);
    });
}

#[test]
fn one_more_handle_changes_nothing() {
    loom::model(|| {
        let (thread, ends) = Thread::started(1);
        thread.end.add();
        thread.give_up();
        join_and_free(&thread);
        ends.join().unwrap();
        assert_eq!(thread.freed.load(Relaxed), 1);
    });
}

/// While another one looks at the thread with a second reference, and drops it.
#[test]
fn others_do_not_disturb_the_joiner() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (thread, ends) = Thread::started(2);
        let other = {
            let thread = thread.clone();
            loom::thread::spawn(move || {
                thread.end.add();
                thread.give_up();
                thread.give_up();
            })
        };
        join_and_free(&thread);
        ends.join().unwrap();
        other.join().unwrap();
        assert_eq!(thread.freed.load(Relaxed), 1);
    });
}
