//! Every interleaving of a thread with those who send it signals: bits, mask and end (`pending`), and the mark (`attention`) against
//! the sleep (`state`).
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test signals_loom`.
#![cfg(loom)]

mod sleeper_kit;

use loom::sync::atomic::{Ordering::SeqCst, fence};
use loom::sync::{Arc, Condvar, Mutex};
use raddle_core::attention::Attention;
use raddle_core::pending::{Pending, Sent};
use raddle_core::state::Ticket;
use sleeper_kit::Sleeper;

const READY: u16 = 0;
const SIGNALLED: u16 = 3;

/// `membarrier(2)`: the full half of a pair whose light half is in `pending`.
fn membarrier() {
    fence(SeqCst);
}

/// A thread as the runtime has it.
struct Thread {
    pending: Pending,
    attention: Attention,
    sleeper: Sleeper,
    /// Two that let others run, and nothing else, loom would run in turns for ever.
    is_closed: Mutex<bool>,
    closes: Condvar,
}

impl Thread {
    fn new(mask: u64) -> Arc<Thread> {
        Arc::new(Thread {
            pending: Pending::new(mask),
            attention: Attention::new(),
            sleeper: Sleeper::new(),
            is_closed: Mutex::new(false),
            closes: Condvar::new(),
        })
    }

    /// As `signals::send`. Whether the thread takes it.
    fn send(&self, bit: u64) -> bool {
        match self.pending.send(bit, membarrier, || self.wait_until_closed()) {
            Sent::Ended => return false,
            Sent::Masked => return true,
            Sent::Look => {}
        }
        if let Some(ticket) = self.attention.call(&self.sleeper.state) {
            self.sleeper.wake(ticket, SIGNALLED);
        }
        true
    }

    fn wait_until_closed(&self) {
        let mut is_closed = self.is_closed.lock().unwrap();
        while !*is_closed {
            is_closed = self.closes.wait(is_closed).unwrap();
        }
    }

    fn close(&self) -> u64 {
        let last = self.pending.close();
        *self.is_closed.lock().unwrap() = true;
        self.closes.notify_all();
        last
    }

    fn sender(thread: &Arc<Thread>, bit: u64) -> loom::thread::JoinHandle<bool> {
        let thread = thread.clone();
        loom::thread::spawn(move || thread.send(bit))
    }

    /// As a wait that begins a sleep and leaves it to `waker`, if there is one, to end it. Why it ended.
    fn sleep(&self, tell_waker: impl FnOnce(Ticket)) -> u16 {
        let ticket = self.sleeper.state.prepare();
        tell_waker(ticket);
        if self.attention.is_called() && self.comes_first() {
            return self.sleeper.state.retract(ticket).err().unwrap_or(SIGNALLED);
        }
        self.sleeper.park(ticket, || {
            if self.attention.forbids_sleep() {
                self.sleeper.wake(ticket, SIGNALLED);
            }
        })
    }

    fn comes_first(&self) -> bool {
        self.attention.answer();
        let comes_first = self.pending.is_any_ready();
        if comes_first {
            self.attention.remember();
        }
        comes_first
    }

    /// A safe point: the bits that have come.
    fn check(&self) -> u64 {
        if !self.attention.is_called() {
            return 0;
        }
        self.attention.answer();
        std::iter::from_fn(|| self.pending.take()).sum()
    }
}

fn bounded(preemptions: usize) -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model
}

/// Nobody but the signal ends the sleep.
#[test]
fn no_signal_is_slept_over() {
    loom::model(|| {
        let thread = Thread::new(0);
        let sender = Thread::sender(&thread, 1);
        assert_eq!(thread.sleep(|_| ()), SIGNALLED);
        assert_eq!(thread.check(), 1);
        assert!(sender.join().unwrap());
    });
}

/// It sleeps until both have come: the second may come while it answers the first.
#[test]
fn two_signals_are_both_heard() {
    bounded(3).check(|| {
        let thread = Thread::new(0);
        let senders = [Thread::sender(&thread, 1), Thread::sender(&thread, 2)];
        let mut heard = 0;
        while heard != 3 {
            assert_eq!(thread.sleep(|_| ()), SIGNALLED);
            heard |= thread.check();
        }
        assert!(senders.into_iter().all(|sender| sender.join().unwrap()));
    });
}

/// A waker and a signal: one of the two ends the sleep. A waker that was first has woken; one that came too late knows it.
#[test]
fn a_signal_costs_no_wake_up() {
    bounded(3).check(|| {
        let thread = Thread::new(0);
        let sender = Thread::sender(&thread, 1);
        let mut waker = None;
        let reason = thread.sleep(|ticket| {
            let thread = thread.clone();
            waker = Some(loom::thread::spawn(move || thread.sleeper.wake(ticket, READY)));
        });
        let has_woken = waker.take().expect("it was told").join().unwrap();
        assert_eq!(reason == READY, has_woken);
        sender.join().unwrap();
        assert_eq!(thread.check(), 1);
    });
}

/// As the thread unmasks a signal that is being sent: it sees the bit, or is called.
#[test]
fn a_signal_is_heard_when_it_is_unmasked() {
    loom::model(|| {
        let thread = Thread::new(1);
        let sender = Thread::sender(&thread, 1);
        thread.pending.set_mask(0);
        if !thread.pending.is_any_ready() {
            assert_eq!(thread.sleep(|_| ()), SIGNALLED);
        }
        assert_eq!(thread.pending.take(), Some(1));
        assert!(sender.join().unwrap());
    });
}

/// What was accepted is handled before the thread's end; what was refused is not.
#[test]
fn what_is_accepted_is_taken_before_the_end() {
    loom::model(|| {
        let thread = Thread::new(0);
        let sender = Thread::sender(&thread, 1);
        let last = thread.close();
        assert!(!thread.pending.is_any_ready());
        assert_eq!(sender.join().unwrap(), last == 1);
        assert!(!thread.send(2));
    });
}

/// The same for one that it may have taken before.
#[test]
fn what_was_taken_before_the_end_was_accepted() {
    loom::model(|| {
        let thread = Thread::new(0);
        let sender = Thread::sender(&thread, 1);
        let taken = thread.pending.take();
        let last = thread.close();
        assert_eq!(sender.join().unwrap(), taken == Some(1) || last == 1);
        assert!(!thread.send(1));
    });
}

/// Two send the same: one that was accepted is handled, whatever became of the other.
#[test]
fn of_two_alike_what_is_accepted_is_taken() {
    bounded(3).check(|| {
        let thread = Thread::new(0);
        let senders = [Thread::sender(&thread, 1), Thread::sender(&thread, 1)];
        let taken = thread.pending.take();
        let last = thread.close();
        let accepted = senders.map(|sender| sender.join().unwrap());
        let handled = usize::from(taken.is_some()) + usize::from(last == 1);
        let accepted = accepted.into_iter().filter(|&it| it).count();
        assert!(handled <= accepted && (accepted == 0 || handled > 0));
        assert!(!thread.send(1));
    });
}

/// A masked one does not keep the thread from closing.
#[test]
fn what_is_masked_in_the_end_is_nobodys() {
    loom::model(|| {
        let thread = Thread::new(2);
        let masked = Thread::sender(&thread, 2);
        assert_eq!(thread.close(), 0);
        masked.join().unwrap();
        assert!(!thread.send(1) && !thread.send(2));
    });
}

/// A sender that was slow finds the block of another thread: that one looks, finds nothing, and waits again.
#[test]
fn a_late_call_meets_the_next_thread() {
    bounded(3).check(|| {
        let thread = Thread::new(0);
        let late = {
            let thread = thread.clone();
            loom::thread::spawn(move || {
                if let Some(ticket) = thread.attention.call(&thread.sleeper.state) {
                    thread.sleeper.wake(ticket, SIGNALLED);
                }
            })
        };
        thread.attention.begin();
        let reason = thread.sleep(|ticket| {
            thread.sleeper.wake(ticket, READY);
        });
        assert!(matches!(reason, READY | SIGNALLED));
        late.join().unwrap();
        assert_eq!(thread.check(), 0);
    });
}
