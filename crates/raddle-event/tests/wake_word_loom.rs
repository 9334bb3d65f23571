//! Every interleaving of a waiter and those who wake it, by loom: no wake is lost, and few make a system call.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-event --test wake_word_loom`.
#![cfg(loom)]

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use raddle_event::wake_word::{HELPER, USER, WakeWord};

/// The word, what is said by ringing, and a channel that counts as the kernel does.
struct Desk {
    word: WakeWord,
    said: [AtomicU32; 2],
    calls: Mutex<u32>,
    called: Condvar,
}

impl Desk {
    fn new() -> Arc<Desk> {
        Arc::new(Desk {
            word: WakeWord::new(),
            said: [AtomicU32::new(0), AtomicU32::new(0)],
            calls: Mutex::new(0),
            called: Condvar::new(),
        })
    }

    fn say(&self, who: u32) {
        self.said[(who - 1) as usize].store(1, Ordering::Relaxed);
        if self.word.ring(who) {
            *self.calls.lock().unwrap() += 1;
            self.called.notify_one();
        }
    }

    /// Waits until all of `wanted` have rung; how many calls woke it.
    fn wait(&self, wanted: u32) {
        let mut heard = 0;
        loop {
            heard |= self.word.take();
            for who in [USER, HELPER] {
                let said = self.said[(who - 1) as usize].load(Ordering::Relaxed);
                assert!(heard & who == 0 || said == 1, "who hears a ring sees what was said");
            }
            if heard == wanted {
                return;
            }
            if self.word.doze() {
                let mut calls = self.calls.lock().unwrap();
                while *calls == 0 {
                    calls = self.called.wait(calls).unwrap();
                }
                *calls -= 1;
            }
        }
    }
}

/// If a wake could be lost, the waiter would wait for ever, which loom reports.
#[test]
fn one_ring_is_heard() {
    loom::model(|| {
        let desk = Desk::new();
        let other = desk.clone();
        let ringer = thread::spawn(move || other.say(USER));
        desk.wait(USER);
        ringer.join().unwrap();
    });
}

/// With three preemptions at most: all of them take minutes.
#[test]
fn two_who_ring_are_both_heard() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let desk = Desk::new();
        let ringers = [USER, HELPER].map(|who| {
            let desk = desk.clone();
            thread::spawn(move || desk.say(who))
        });
        desk.wait(USER | HELPER);
        ringers.into_iter().for_each(|ringer| ringer.join().unwrap());
    });
}

#[test]
fn of_two_rings_in_one_sleep_one_makes_the_call() {
    loom::model(|| {
        let word = Arc::new(WakeWord::new());
        assert!(word.doze());
        let other = word.clone();
        let ringer = thread::spawn(move || u32::from(other.ring(USER)));
        let mine = u32::from(word.ring(HELPER));
        assert_eq!(mine + ringer.join().unwrap(), 1);
        assert_eq!(word.take(), USER | HELPER);
    });
}
