//! What the machine keeps for dumps of its threads: who makes the next one, and what a running thread is asked.

#![allow(unsafe_code, reason = "an answer that two kernel threads hand over")]

use crate::record::RecordRef;
use raddle_context::trace::Trace;
use raddle_context::{Launched, Prepared};
use raddle_core::question::{Answered, Asked};
use std::cell::UnsafeCell;

/// Which signal asks for a dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DumpSignal {
    /// SIGQUIT, unless the program has a handler for it.
    #[default]
    Usual,
    /// None.
    Off,
    /// This one.
    Wished(i32),
}

/// The kernel thread that dumps lives as long as its dump. It is made by the monitor, which must not wait for libc: out of a body that
/// is made ready before.
#[derive(Debug, Default)]
pub(crate) struct Dumper {
    pub(crate) next: Option<Prepared>,
    pub(crate) last: Option<Launched>,
}

/// What a thread says of itself, from the handler of the preemption signal.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The address of its control block.
    pub(crate) thread: usize,
    pub(crate) record: Option<RecordRef>,
    pub(crate) since_ns: u64,
    pub(crate) trace: Trace,
}

/// A question to whatever thread runs on a worker: who are you, and where? Its place is a worker's `asked`; the protocol is in
/// `raddle_core::question`, and it is the handler on the worker that answers.
#[derive(Debug)]
pub(crate) struct Question {
    answered: Answered,
    answer: UnsafeCell<Option<Answer>>,
}

// SAFETY: whoever took the question out of `asked` alone writes the answer, before it says so; the dumper reads it after.
unsafe impl Sync for Question {}

impl Question {
    pub(crate) fn new() -> Question {
        Question { answered: Answered::new(), answer: UnsafeCell::new(None) }
    }

    /// The question that waits at `asked`, for the one who will answer it. One load if there is none.
    #[inline]
    pub(crate) fn take(asked: &Asked<Question>) -> Option<&'static Question> {
        // SAFETY: the dumper keeps the question alive until it is answered or was taken back, which is now too late.
        asked.take().map(|question| unsafe { question.as_ref() })
    }

    /// Answers a question that was taken. Neither allocates nor waits.
    pub(crate) fn answer(&self, answer: Answer) {
        // SAFETY: taken, so this is the only one who writes, and nobody reads yet. The former content is `None`: nothing is freed.
        unsafe { self.answer.get().write(Some(answer)) };
        // Nothing of the question may be touched after this.
        self.answered.say();
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.answered.is_said()
    }

    /// The answer of an answered question.
    pub(crate) fn into_answer(self) -> Option<Answer> {
        self.answer.into_inner()
    }
}
