//! Cancellation: a [`Token`] reaches every blocking call of the threads that carry it.
#![allow(dead_code, reason = "grows with its callers")]

use std::panic::resume_unwind;

/// What a thread unwinds with when the token that it carries is cancelled while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

/// Unwinds the calling thread, which was cancelled while it waited. No panic message is printed.
pub(crate) fn unwind() -> ! {
    resume_unwind(Box::new(Cancelled))
}
