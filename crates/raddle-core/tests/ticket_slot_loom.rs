//! Every interleaving of whoever sends tickets with the handlers that they reach, late ones among them.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test ticket_slot_loom`.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread::JoinHandle;
use raddle_core::ticket_slot::{HowFar, TicketSlot};

struct Shared {
    slot: TicketSlot,
    /// What is asked: nobody reads it while it changes.
    request: UnsafeCell<u32>,
    result: UnsafeCell<u32>,
}

// SAFETY: `request` and `result` are the handler's that took the ticket until it has answered, and otherwise whoever asks'. That
// is what the model checks; `slot` is an atomic of loom's.
unsafe impl Sync for Shared {}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            slot: TicketSlot::new(),
            request: UnsafeCell::new(0),
            result: UnsafeCell::new(0),
        })
    }

    /// A signal that carries this number arrives at some time.
    fn signal(shared: &Arc<Shared>, number: u64) -> JoinHandle<bool> {
        let shared = shared.clone();
        loom::thread::spawn(move || {
            let is_taken = shared.slot.take(number);
            if is_taken {
                // SAFETY: the ticket is taken, and what is asked stays until it is answered. Did it change, loom would say so.
                let request = shared.request.with(|request| unsafe { *request });
                // SAFETY: one handler takes the ticket, and nobody reads before its answer. Did somebody, loom would say so.
                shared.result.with_mut(|result| unsafe { *result = request });
                shared.slot.answer(number);
            }
            is_taken
        })
    }

    fn ask(&self, request: u32, number: u64) {
        // SAFETY: no ticket is out, so no handler reads. Did one, loom would say so.
        self.request.with_mut(|place| unsafe { *place = request });
        self.slot.send(number);
    }

    /// Waits for the answer.
    fn answer(&self) -> u32 {
        while matches!(self.slot.how_far(), HowFar::Sent | HowFar::Taken) {
            loom::thread::yield_now();
        }
        assert_eq!(self.slot.how_far(), HowFar::Answered);
        // SAFETY: the cell gives a live address; loom checks that nobody writes meanwhile.
        self.result.with(|result| unsafe { *result })
    }
}

/// The same signal twice, as it is sent again when no answer comes; each may also be a stranger's, and come before the ticket.
#[test]
fn a_ticket_is_answered_once_or_given_up() {
    loom::model(|| {
        let shared = Shared::new();
        let signals = [Shared::signal(&shared, 1), Shared::signal(&shared, 1)];
        shared.ask(7, 1);
        let is_gone = shared.slot.give_up();
        if !is_gone {
            assert_eq!(shared.answer(), 7);
        }
        // Nobody reads any more what was asked.
        // SAFETY: the cell gives a live address, and loom fails the model if anybody else has it meanwhile.
        shared.request.with_mut(|request| unsafe { *request = 8 });
        let taken = signals.map(|signal| signal.join().unwrap());
        assert_eq!(taken.into_iter().filter(|&taken| taken).count(), usize::from(!is_gone));
    });
}

/// Given up, the slot is used again; the first signal comes late.
#[test]
fn a_late_signal_does_not_take_the_next_ticket() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Shared::new();
        shared.ask(7, 1);
        let late = Shared::signal(&shared, 1);
        let is_gone = shared.slot.give_up();
        if !is_gone {
            assert_eq!(shared.answer(), 7);
        }
        shared.ask(8, 2);
        let next = Shared::signal(&shared, 2);
        assert_eq!(shared.answer(), 8);
        assert_eq!(late.join().unwrap(), !is_gone);
        assert!(next.join().unwrap());
    });
}
