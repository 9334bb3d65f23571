//! The one door to blocking.
//!
//! ```text
//!   let wait = Wait::begin();            // the sleep has a number from here on
//!   ... under the queue's lock: is there anything to wait for? leave wait.sleep() there
//!   wait.park(deadline)  or  wait.retract()
//! ```
//!
//! Between `begin` and `park` anybody who has the [`Sleep`] may end it, and `park` then returns at once. A thread may be preempted
//! in between: it is ready like any other then, only not asleep. So queues need no lock over the switch, and a plain
//! kernel thread goes through the same door: it waits on a futex where a raddle thread leaves its stack.

use crate::carry;
use crate::label::Label;
use crate::machine::ThreadRef;
use crate::sched::enter::Here;
pub(crate) use crate::sched::enter::end_sleep as unpark;
use crate::sched::timers;
use crate::signals;
use crate::sleeper::{Foreign, Kind, Reason, Sleep};
use crate::sys::{clock, futex};
use crate::trace::{What, Why};

/// A sleep that has begun, of the calling thread.
#[must_use = "a sleep that was begun is parked in or retracted"]
pub(crate) struct Wait {
    sleep: Sleep,
}

impl Wait {
    /// Begins a sleep.
    #[inline]
    pub(crate) fn begin() -> Wait {
        Wait::for_(Label::SOMETHING, 0)
    }

    /// Begins a sleep in which `what` is waited for, at `address` if that tells it from others: lists of threads say so.
    #[inline]
    pub(crate) fn for_(what: Label, address: usize) -> Wait {
        let sleeper = match ThreadRef::running() {
            Some(thread) if has_worker(thread) => {
                thread
                    .block()
                    .waits_for
                    .store(what.at(address), std::sync::atomic::Ordering::Relaxed);
                thread.sleeper()
            }
            _ => Foreign::mine().sleeper(),
        };
        Wait { sleep: Sleep::prepare(sleeper) }
    }

    /// What whoever shall end the sleep needs.
    #[inline]
    pub(crate) fn sleep(&self) -> Sleep {
        self.sleep
    }

    /// Goes on without having slept. The reason, if somebody has ended the sleep already: then whoever did so counts on it.
    #[inline]
    pub(crate) fn retract(self) -> Option<Reason> {
        self.sleep.retract().err()
    }

    /// Sleeps until somebody ends it, or until `deadline_ns`. Says why it ended.
    #[inline]
    #[track_caller]
    pub(crate) fn park(self, deadline_ns: Option<u64>) -> Reason {
        self.park_for(What::Untold, deadline_ns)
    }

    /// The same, and a trace tells what for; where is where the caller was called, if it says so.
    #[inline]
    #[track_caller]
    pub(crate) fn park_for(self, what: What, deadline_ns: Option<u64>) -> Reason {
        let why = Why::here(what);
        if let (Kind::Thread, Some(label)) = (self.sleep.kind(), label_of(what)) {
            let block = ThreadRef::of_sleeper(self.sleep.sleeper).block();
            block.waits_for.store(label.at(0), std::sync::atomic::Ordering::Relaxed);
        }
        if carry::carries() {
            self.park_carrying(deadline_ns, why)
        } else {
            self.park_plain(deadline_ns, why)
        }
    }

    /// [`Reason::CANCELLED`] also stands for a carried deadline that has come before the wait's own.
    #[cold]
    fn park_carrying(self, deadline_ns: Option<u64>, why: Why) -> Reason {
        let carried = carry::deadline_ns();
        let first = carried.into_iter().chain(deadline_ns).min();
        let reason = carry::with_token_told(self.sleep, || self.park_plain(first, why));
        let is_carried = reason == Reason::TIMED_OUT && first != deadline_ns;
        if is_carried { Reason::CANCELLED } else { reason }
    }

    #[inline]
    fn park_plain(self, deadline_ns: Option<u64>, why: Why) -> Reason {
        match self.sleep.kind() {
            Kind::Thread => self.park_heeding(deadline_ns, why),
            Kind::KernelThread => self.park_kernel_thread(deadline_ns),
        }
    }

    /// A signal that came before the sleep is heard before it.
    #[inline]
    fn park_heeding(self, deadline_ns: Option<u64>, why: Why) -> Reason {
        let thread = ThreadRef::of_sleeper(self.sleep.sleeper);
        if thread.block().attention.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            return self.park_thread(deadline_ns, why);
        }
        if signals::come_first(thread) {
            return self.retract().unwrap_or(Reason::SIGNALLED);
        }
        // Called for nothing, or deaf. A signal that comes now may end the sleep once, and is then passed over here.
        let reason = self.park_thread(deadline_ns, why);
        signals::remember(thread);
        reason
    }

    fn park_thread(self, deadline_ns: Option<u64>, why: Why) -> Reason {
        let here = Here::enter().expect("a sleeper of a raddle thread parks on that thread");
        let until = &here.thread().block().waits_until_ns;
        until.store(deadline_ns.unwrap_or(u64::MAX), std::sync::atomic::Ordering::Relaxed);
        if let Some(deadline_ns) = deadline_ns {
            timers::arm(&here.place(), self.sleep, deadline_ns);
        }
        here.sleep(self.sleep, why);
        let reason = self.sleep.reason().expect("a thread goes on when its sleep is over");
        if deadline_ns.is_some() && reason != Reason::TIMED_OUT {
            timers::disarm(here.thread());
        }
        reason
    }

    fn park_kernel_thread(self, deadline_ns: Option<u64>) -> Reason {
        let foreign = Foreign::of(self.sleep.sleeper);
        if let Err(reason) = self.sleep.state().fall_asleep(self.sleep.ticket) {
            return Reason(reason);
        }
        loop {
            if let Some(reason) = self.sleep.reason() {
                return reason;
            }
            if deadline_ns.is_some_and(|at| clock::now_ns() >= at) {
                // Whoever is first decides.
                let _ = self.sleep.state().wake(self.sleep.ticket, Reason::TIMED_OUT.0);
                continue;
            }
            // A waker, perhaps a late one of an earlier sleep, may have left a 1. An exchange, not a store: a store that the
            // processor still holds back would overwrite the 1 of a waker that comes now, after the look below.
            foreign.word.swap(0, std::sync::atomic::Ordering::Acquire);
            if self.sleep.reason().is_none() {
                futex::wait(&foreign.word, 0, deadline_ns);
            }
        }
    }
}

/// For lists of threads, what a trace is told. `None` where that says less than the wait did when it began.
#[inline]
fn label_of(what: What) -> Option<Label> {
    match what {
        What::Untold => None,
        What::Time => Some(Label::TIME),
        What::Token => Some(Label::UNPARK),
        What::Join => Some(Label::END),
    }
}

/// In a forked child, a raddle thread is as a kernel thread.
#[inline]
fn has_worker(thread: ThreadRef) -> bool {
    !thread.block().worker.load(std::sync::atomic::Ordering::Relaxed).is_null()
}
