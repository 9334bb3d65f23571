//! A sleeper for models: the runtime's state word, and loom's condition variable for the scheduler. Who is never woken deadlocks the model.
#![allow(dead_code, reason = "each model uses a part")]

use loom::sync::{Condvar, Mutex};
use raddle_core::state::{State, Ticket, Woke};

pub(crate) struct Sleeper {
    pub(crate) state: State,
    is_runnable: Mutex<bool>,
    run: Condvar,
}

impl Sleeper {
    pub(crate) fn new() -> Sleeper {
        Sleeper { state: State::new(), is_runnable: Mutex::new(false), run: Condvar::new() }
    }

    /// Sleeps until somebody ends the sleep. `published` runs when others can see that it sleeps. Why it ended.
    pub(crate) fn park(&self, ticket: Ticket, published: impl FnOnce()) -> u16 {
        if let Err(reason) = self.state.fall_asleep(ticket) {
            return reason;
        }
        published();
        let mut is_runnable = self.is_runnable.lock().unwrap();
        while !*is_runnable {
            is_runnable = self.run.wait(is_runnable).unwrap();
        }
        *is_runnable = false;
        drop(is_runnable);
        self.state.reason(ticket).expect("a thread goes on when its sleep is over")
    }

    /// Ends a sleep, unless it is over. Whether this was what ended it.
    pub(crate) fn wake(&self, ticket: Ticket, reason: u16) -> bool {
        let woke = self.state.wake(ticket, reason);
        if woke == Woke::Asleep {
            *self.is_runnable.lock().unwrap() = true;
            self.run.notify_one();
        }
        woke != Woke::TooLate
    }
}
