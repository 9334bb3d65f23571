//! Every interleaving of whoever asks with the handlers that may answer.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test question_loom`.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use raddle_core::question::{Answered, Asked};
use std::ptr::NonNull;

struct Question {
    number: UnsafeCell<u32>,
    answered: Answered,
    answer: UnsafeCell<Option<u32>>,
}

struct Shared {
    asked: Asked<Question>,
    question: Question,
}

// SAFETY: `number` and `answer` are whoever asks' until the question is put, and again when it is taken back or answered; between
// that they are the one handler's that took it. That is what the model checks; the rest is loom's own `Sync` types.
unsafe impl Sync for Shared {}
// SAFETY: nothing in it belongs to a thread: numbers and atomics. The address in `asked` leads to `question` beside it.
unsafe impl Send for Shared {}

/// As the handler of a signal.
fn handler(shared: &Shared) {
    let Some(question) = shared.asked.take() else { return };
    assert_eq!(question, NonNull::from(&shared.question));
    // The one above.
    // SAFETY: it lives in `shared`, which the caller keeps.
    let question = unsafe { question.as_ref() };
    // SAFETY: whoever asks leaves it alone until the answer is said. Did it not, loom would say so.
    let number = question.number.with(|number| unsafe { *number });
    // SAFETY: this handler took the question, and no other one can. Had two taken it, loom would say so.
    question.answer.with_mut(|answer| unsafe { *answer = Some(number) });
    question.answered.say();
}

/// Two handlers, as a signal may have been sent before for something else.
#[test]
fn a_question_is_answered_once_or_taken_back() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Arc::new(Shared {
            asked: Asked::new(),
            question: Question {
                number: UnsafeCell::new(0),
                answered: Answered::new(),
                answer: UnsafeCell::new(None),
            },
        });
        let handlers = [(); 2].map(|()| {
            let shared = shared.clone();
            loom::thread::spawn(move || handler(&shared))
        });
        let question = &shared.question;
        // SAFETY: nobody was asked yet, so no handler touches it.
        question.number.with_mut(|number| unsafe { *number = 7 });
        shared.asked.put(NonNull::from(question));
        // Impatient: it takes the question back at once if nobody has it.
        if shared.asked.take_back(NonNull::from(question)) {
            // Gone: nobody may touch it any more.
            // SAFETY: it was taken back, so no handler has it. Had one taken it, loom would say so.
            question.answer.with_mut(|answer| assert_eq!(unsafe { *answer }, None));
        } else {
            while !question.answered.is_said() {
                loom::thread::yield_now();
            }
            // SAFETY: the answer is said, and the handler touches the question no more. Did it, loom would say so.
            question.answer.with_mut(|answer| assert_eq!(unsafe { *answer }, Some(7)));
        }
        // SAFETY: taken back or answered: it is this thread's again.
        question.number.with_mut(|number| unsafe { *number = 8 });
        for handler in handlers {
            handler.join().unwrap();
        }
    });
}
