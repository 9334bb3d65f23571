//! The lock without what it guards: the word of `raddle_core::lock_word`, with the queue of [`futex`].
//!
//! Free, it is taken and released with one atomic operation each, and without a system call. Held, a thread looks a few times
//! more, then leaves its core to others. Whoever is woken competes with those who come along; if that went wrong for a
//! millisecond, the next release hands it the lock.
//!
//! The release looks at the word once more after it has let go (to wake somebody). In safe code the lock lives until then: whoever
//! releases it has borrowed it.

use super::spinning;
use crate::cancel;
use crate::futex::{self, End, Ended, Request};
use crate::host;
use crate::label::Label;
use crate::sched::enter::Here;
use crate::signals;
use crate::sleeper::Reason;
use raddle_core::lock_word::{LockWord, Release, Role};

/// With this reason wakes the one to whom the lock was handed over.
const HANDED_OVER: u16 = 0;

/// How long a waiter lets others pass.
const PATIENCE_NS: u64 = 1_000_000;

#[derive(Debug)]
pub(crate) struct RawMutex {
    word: LockWord,
}

impl RawMutex {
    pub(crate) const fn new() -> RawMutex {
        RawMutex { word: LockWord::new() }
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        !self.word.is_locked() && self.word.try_lock()
    }

    /// Takes the lock. Unwinds if the calling thread is cancelled while it waits, then without the lock.
    #[inline]
    #[track_caller]
    pub(crate) fn lock(&self) {
        if !self.word.try_lock() && !self.lock_slowly(Role::Fresh, true) {
            cancel::unwind();
        }
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        match self.word.release() {
            Release::Done => {}
            rest => self.unlock_slowly(rest),
        }
    }

    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// False if the wait was cancelled.
    #[cold]
    #[track_caller]
    fn lock_slowly(&self, mut role: Role, heeds_cancel: bool) -> bool {
        let mut since_ns = None;
        loop {
            if self.spin(role) {
                return true;
            }
            let is_owed = role == Role::Woken
                && since_ns.is_some_and(|since| host::now_ns().saturating_sub(since) > PATIENCE_NS);
            if !self.word.announce(role, is_owed) {
                continue;
            }
            role = Role::Fresh;
            // Whoever has waited goes before those who have not.
            let end = if since_ns.is_some() { End::Front } else { End::Back };
            since_ns.get_or_insert_with(host::now_ns);
            let at_back = Request::at(self.address(), Label::MUTEX.at(self.address()));
            let request = Request { end, heeds_cancel, ..at_back };
            let left = |_, others| self.word.taken(others);
            match futex::wait_with(request, || self.word.may_sleep(), || (), left) {
                Ended::Woken(reason) if reason.chosen() == Some(HANDED_OVER) => return true,
                Ended::Woken(_) => role = Role::Woken,
                Ended::Cancelled => return false,
                Ended::Signalled => signals::deliver(),
                Ended::LookAgain | Ended::Moved(_) | Ended::TimedOut => {}
            }
        }
    }

    /// Tries for a while.
    fn spin(&self, role: Role) -> bool {
        let mut turns = spinning::turns();
        loop {
            if self.word.try_lock_as(role) {
                return true;
            }
            if !turns.next() {
                return false;
            }
        }
    }

    #[cold]
    fn unlock_slowly(&self, mut rest: Release) {
        // Not preempted between letting go and waking: those who wait would wait for this thread's next slice.
        let _here = Here::enter();
        loop {
            match rest {
                Release::Done => return,
                Release::Wake => {
                    if self.word.claim_wake() {
                        futex::wake_one(self.address(), |first| {
                            match first {
                                Some(others) => self.word.taken(others),
                                None => self.word.nobody_waits(),
                            }
                            Reason::READY
                        });
                    }
                    return;
                }
                Release::HandOver => {
                    let handed_over = futex::wake_one(self.address(), |first| {
                        self.word.taken(first.unwrap_or(false));
                        Reason::choice(HANDED_OVER)
                    });
                    if handed_over {
                        return;
                    }
                    rest = self.word.release();
                }
            }
        }
    }

    // For condition variables.

    /// Whether one who waits elsewhere may be moved to this lock's queue, as somebody holds it. Under the locks of both queues.
    pub(crate) fn takes_waiter(&self) -> bool {
        self.word.announce(Role::Fresh, false)
    }

    /// One who was moved here has left by itself. Under the queue's lock.
    pub(crate) fn waiter_left(&self, others: bool) {
        self.word.taken(others);
    }

    /// Takes the lock after a wait that ended so, without heed to cancellation.
    #[track_caller]
    pub(crate) fn lock_after(&self, ended: Ended) {
        match ended {
            Ended::Moved(Some(reason)) if reason.chosen() == Some(HANDED_OVER) => {}
            Ended::Moved(Some(_)) => {
                self.lock_slowly(Role::Woken, false);
            }
            _ => {
                if !self.word.try_lock() {
                    self.lock_slowly(Role::Fresh, false);
                }
            }
        }
    }
}
