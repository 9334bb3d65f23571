//! Every interleaving of a core that goes idle with somebody who posts a letter to its event queue and a third who reads it.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test outlook_loom`.
#![cfg(loom)]

use loom::sync::atomic::{AtomicBool, Ordering::SeqCst};
use loom::sync::{Arc, Mutex};
use raddle_core::outlook::Outlook;

struct Core {
    outlook: Outlook,
    /// Letters that nobody has read.
    mail: Mutex<u32>,
    /// The event queue: operations that were begun.
    queue: Mutex<u32>,
    is_idle: Mutex<bool>,
    is_rung: AtomicBool,
}

impl Core {
    fn post(&self) {
        *self.mail.lock().unwrap() += 1;
        self.outlook.there_is_mail();
        let was_idle = std::mem::take(&mut *self.is_idle.lock().unwrap());
        if was_idle {
            self.is_rung.store(true, SeqCst);
        }
    }

    /// Looks after the queue.
    fn look(&self) {
        let mut begun = self.queue.lock().unwrap();
        if self.outlook.has_mail() {
            self.outlook.begins_to_read();
            *begun += std::mem::take(&mut *self.mail.lock().unwrap());
        }
        self.outlook.publish(*begun);
    }
}

#[test]
fn nobody_sleeps_elsewhere_while_something_is_in_flight() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let core = Arc::new(Core {
            outlook: Outlook::new(),
            mail: Mutex::new(0),
            queue: Mutex::new(0),
            is_idle: Mutex::new(false),
            is_rung: AtomicBool::new(false),
        });
        let posts = {
            let core = core.clone();
            loom::thread::spawn(move || core.post())
        };
        let looks = {
            let core = core.clone();
            loom::thread::spawn(move || core.look())
        };
        *core.is_idle.lock().unwrap() = true;
        let waits_there = core.outlook.is_any();
        posts.join().unwrap();
        looks.join().unwrap();
        // Whoever waits there has the lock, and reads the mail first; whoever was woken looks again.
        let is_seen = waits_there || core.is_rung.load(SeqCst);
        assert!(is_seen, "one was sent, and the holder sleeps where it hears nothing of it");
    });
}
