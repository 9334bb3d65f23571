//! Tells those who wait what has happened: workers that are to take an item, and whoever waits for items to be over.

#![allow(unsafe_code, reason = "a lane that its queue keeps alive")]

use super::parts::{Item, Shared};
use super::pool::News;
use crate::cancel;
use crate::futex::{self, Ended, Request};
use crate::label::Label;
use crate::park;
use crate::signals;
use crate::sleeper::Reason;
use std::ptr;

/// Tells `news` of `queue` to all whom it concerns; of `item`, too, if it has handles. Outside the runtime.
pub(super) fn tell(news: &News, queue: &Shared, item: Option<&std::sync::Arc<Item>>) {
    for worker in news.workers.iter().flatten() {
        park::unpark(*worker, Reason::READY);
    }
    if let Some(lane) = news.lane {
        // SAFETY: one of the queue's, which the caller has.
        wake_all(unsafe { &(*lane).done });
    }
    if news.is_drained {
        wake_all(&queue.in_flight);
    }
    if let Some(item) = item {
        wake_all(&item.settled);
    }
}

fn wake_all<T>(word: &T) {
    futex::wake(ptr::from_ref(word).addr(), usize::MAX);
}

/// Waits until `is_over`, which looks at `word`: whoever changes that tells it.
///
/// # Panics
///
/// Unwinds if the calling thread is cancelled while it waits.
#[track_caller]
pub(super) fn wait_until<T>(word: &T, is_over: impl Fn() -> bool) {
    let address = ptr::from_ref(word).addr();
    while !is_over() {
        match futex::wait(Request::at(address, Label::FLUSH.at(address)), || !is_over()) {
            Ended::Cancelled => cancel::unwind(),
            Ended::Signalled => signals::deliver(),
            Ended::LookAgain | Ended::Woken(_) | Ended::Moved(_) | Ended::TimedOut => {}
        }
    }
}
