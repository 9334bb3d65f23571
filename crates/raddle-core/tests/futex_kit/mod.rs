//! Waiting on addresses, for models of what waits there: as `raddle::futex` does it, with the same count of those who wait. loom's
//! condition variables stand for the scheduler: who is never woken deadlocks the model.
#![allow(dead_code, reason = "each model uses a part")]

use loom::sync::{Condvar, Mutex};
use raddle_core::crowd::Crowd;

/// Threads of a model, at most.
const THREADS: usize = 3;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// There was no reason to wait.
    LookAgain,
    /// Somebody woke this waiter, and counts on it.
    Woken,
    Cancelled,
}

/// Whether a wait is cancelled, at any moment from its beginning on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    Never,
    Soon,
}

/// One bucket, in which all addresses of a model are: whoever asks whether anybody waits is never told "no" by luck.
pub(crate) struct Futex {
    crowd: Crowd,
    queue: Mutex<Queue>,
    sleepers: [(Mutex<Sleep>, Condvar); THREADS],
}

struct Queue {
    waiters: Vec<Waiter>,
    came: u64,
}

#[derive(Clone, Copy)]
struct Waiter {
    address: usize,
    tag: usize,
    /// How many came before.
    number: u64,
    who: usize,
    sleep: u64,
}

/// The sleep under way, by number, and how it ended.
struct Sleep {
    number: u64,
    ended: Option<Ended>,
}

impl Futex {
    pub(crate) fn new() -> Futex {
        let sleeper = || (Mutex::new(Sleep { number: 0, ended: None }), Condvar::new());
        Futex {
            crowd: Crowd::new(),
            queue: Mutex::new(Queue { waiters: Vec::new(), came: 0 }),
            sleepers: [sleeper(), sleeper(), sleeper()],
        }
    }

    /// As `raddle::futex::wait_with`, of thread `me`. `left` is told whether others wait there.
    pub(crate) fn wait(
        &self,
        me: usize,
        (address, tag): (usize, usize),
        cancel: Cancel,
        is_needed: impl FnOnce() -> bool,
        left: impl FnOnce(bool),
    ) -> Ended {
        let sleep = {
            let mut sleep = self.sleepers[me].0.lock().unwrap();
            *sleep = Sleep { number: sleep.number + 1, ended: None };
            sleep.number
        };
        self.crowd.come();
        {
            let mut queue = self.queue.lock().unwrap();
            if !is_needed() {
                drop(queue);
                self.crowd.go();
                return Ended::LookAgain;
            }
            let number = queue.came;
            queue.came += 1;
            queue.waiters.push(Waiter { address, tag, number, who: me, sleep });
        }
        if cancel == Cancel::Soon {
            self.end(me, sleep, Ended::Cancelled);
        }
        let ended = {
            let (slot, woken) = &self.sleepers[me];
            let mut slot = slot.lock().unwrap();
            loop {
                match slot.ended {
                    Some(ended) => break ended,
                    None => slot = woken.wait(slot).unwrap(),
                }
            }
        };
        if ended == Ended::Cancelled {
            let mut queue = self.queue.lock().unwrap();
            if let Some(at) = queue.waiters.iter().position(|waiter| waiter.who == me) {
                queue.waiters.remove(at);
                self.crowd.go();
                left(queue.waiters.iter().any(|waiter| waiter.address == address));
            }
        }
        ended
    }

    /// Ends a sleep, unless it is over: as the state word decides.
    fn end(&self, who: usize, number: u64, ended: Ended) -> bool {
        let mut sleep = self.sleepers[who].0.lock().unwrap();
        let is_first = sleep.number == number && sleep.ended.is_none();
        if is_first {
            sleep.ended = Some(ended);
            self.sleepers[who].1.notify_one();
        }
        is_first
    }

    /// As `raddle::futex::wake`.
    pub(crate) fn wake(&self, address: usize, at_most: usize) -> usize {
        if self.crowd.is_empty() {
            return 0;
        }
        let left = std::cell::Cell::new(at_most);
        let takes = |_, _| {
            let some_left = left.get() > 0;
            left.set(left.get() - usize::from(some_left));
            some_left
        };
        self.wake_while(address, takes, |_| left.set(left.get() + 1))
    }

    /// As `raddle::futex::wake_while`.
    pub(crate) fn wake_while(
        &self,
        address: usize,
        mut takes: impl FnMut(usize, bool) -> bool,
        mut give_back: impl FnMut(usize),
    ) -> usize {
        let mut woken = 0;
        let mut before = u64::MAX;
        loop {
            let mut batch = Vec::new();
            {
                let mut queue = self.queue.lock().unwrap();
                before = before.min(queue.came);
                while let Some(first) = self.take_first(&mut queue, address, before, &mut takes) {
                    batch.push(first);
                }
            }
            if batch.is_empty() {
                return woken;
            }
            for taken in batch {
                if self.end(taken.who, taken.sleep, Ended::Woken) {
                    woken += 1;
                } else {
                    give_back(taken.tag);
                    before = u64::MAX;
                }
            }
        }
    }

    fn take_first(
        &self,
        queue: &mut Queue,
        address: usize,
        before: u64,
        takes: &mut impl FnMut(usize, bool) -> bool,
    ) -> Option<Waiter> {
        let at = queue.waiters.iter().position(|waiter| waiter.address == address)?;
        let first = queue.waiters[at];
        let others = queue.waiters[at + 1..].iter().any(|waiter| waiter.address == address);
        if first.number >= before || !takes(first.tag, others) {
            return None;
        }
        queue.waiters.remove(at);
        self.crowd.go();
        Some(first)
    }
}
