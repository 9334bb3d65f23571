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
use crate::label::WaitsFor;
use crate::machine::ThreadRef;
use crate::sched::enter::Here;
pub(crate) use crate::sched::enter::end_sleep as unpark;
use crate::sched::timers;
use crate::signals;
use crate::sleeper::{Foreign, Kind, Reason, Sleep};
use crate::sys::{clock, futex};
use std::panic::Location;
use std::sync::atomic::Ordering;

/// Where in the source somebody waits.
type Place = &'static Location<'static>;

/// A sleep that has begun, of the calling thread.
#[must_use = "a sleep that was begun is parked in or retracted"]
pub(crate) struct Wait {
    sleep: Sleep,
}

impl Wait {
    /// Begins a sleep. Lists of threads and traces say what it is for.
    #[inline]
    pub(crate) fn begin(waits_for: WaitsFor) -> Wait {
        let sleeper = match ThreadRef::running() {
            Some(thread) if has_worker(thread) => {
                thread.block().waits_for.store(waits_for.0, Ordering::Relaxed);
                thread.sleeper()
            }
            _ => Foreign::mine().sleeper(),
        };
        Wait { sleep: Sleep::prepare(sleeper) }
    }

    /// As [`begin`](Self::begin), for one who is inside the runtime.
    #[inline]
    pub(crate) fn begin_from(here: &Here, waits_for: WaitsFor) -> Wait {
        let thread = here.thread();
        thread.block().waits_for.store(waits_for.0, Ordering::Relaxed);
        Wait { sleep: Sleep::prepare(thread.sleeper()) }
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

    /// Sleeps until somebody ends it, or until `deadline_ns`. Says why it ended. A trace says where the caller was called, if
    /// it tracks that.
    ///
    /// [`Reason::CANCELLED`] also stands for a carried deadline that has come before the wait's own.
    #[inline]
    #[track_caller]
    pub(crate) fn park(self, deadline_ns: Option<u64>) -> Reason {
        let place = Location::caller();
        let first = self.heed_carried(deadline_ns);
        as_carried(self.park_plain(first, place), first, deadline_ns)
    }

    /// As [`park`](Self::park), for one who is inside the runtime, once, by `here`: mostly it need not go out and in again before it sleeps.
    #[inline]
    #[track_caller]
    pub(crate) fn park_from(self, here: Option<Here>, deadline_ns: Option<u64>) -> Reason {
        match here {
            Some(here) if !here.thread().block().attention.is_called() => {
                let first = self.heed_carried(deadline_ns);
                as_carried(self.park_here(here, first, Location::caller()), first, deadline_ns)
            }
            here => {
                drop(here);
                self.park(deadline_ns)
            }
        }
    }

    /// Heeds what the thread carries. Until when it may sleep.
    #[inline]
    fn heed_carried(&self, deadline_ns: Option<u64>) -> Option<u64> {
        if carry::carries() { carry::heed(self.sleep, deadline_ns) } else { deadline_ns }
    }

    #[inline]
    fn park_plain(self, deadline_ns: Option<u64>, place: Place) -> Reason {
        match self.sleep.kind() {
            Kind::Thread => self.park_heeding(deadline_ns, place),
            Kind::KernelThread => self.park_kernel_thread(deadline_ns),
        }
    }

    /// A signal that came before the sleep is heard before it.
    #[inline]
    fn park_heeding(self, deadline_ns: Option<u64>, place: Place) -> Reason {
        let thread = ThreadRef::of_sleeper(self.sleep.sleeper);
        if !thread.block().attention.is_called() {
            return self.park_thread(deadline_ns, place);
        }
        if signals::come_first(thread) {
            return self.retract().unwrap_or(Reason::SIGNALLED);
        }
        // Called for nothing, or deaf. A signal that comes now may end the sleep once, and is then passed over here.
        let reason = self.park_thread(deadline_ns, place);
        signals::remember(thread);
        reason
    }

    fn park_thread(self, deadline_ns: Option<u64>, place: Place) -> Reason {
        let here = Here::enter().expect("a sleeper of a raddle thread parks on that thread");
        self.park_here(here, deadline_ns, place)
    }

    #[inline(always)]
    fn park_here(self, here: Here, deadline_ns: Option<u64>, place: Place) -> Reason {
        let until = &here.thread().block().waits_until_ns;
        until.store(deadline_ns.unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Some(deadline_ns) = deadline_ns {
            timers::arm(&here.place(), self.sleep, deadline_ns);
        }
        here.sleep(self.sleep, place);
        let reason = self.sleep.reason().expect("a thread goes on when its sleep is over");
        if deadline_ns.is_some() && reason != Reason::TIMED_OUT {
            timers::keep(&here.place());
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
            // A waker, perhaps a late one of an earlier sleep, may have rung.
            foreign.bell.silence();
            if self.sleep.reason().is_none() {
                futex::wait(foreign.bell.word(), 0, deadline_ns);
            }
        }
    }
}

/// Why a wait until `deadline_ns` has ended that was to last until `first`, which may be what the thread carries.
#[inline]
fn as_carried(reason: Reason, first: Option<u64>, deadline_ns: Option<u64>) -> Reason {
    let is_carried = reason == Reason::TIMED_OUT && first != deadline_ns;
    if is_carried { Reason::CANCELLED } else { reason }
}

/// Whoever sleeps with `sleep` now waits for something else: it was moved, and can't go on meanwhile.
pub(crate) fn now_waits_for(sleep: Sleep, waits_for: WaitsFor) {
    if let Kind::Thread = sleep.kind() {
        let block = ThreadRef::of_sleeper(sleep.sleeper).block();
        block.waits_for.store(waits_for.0, Ordering::Relaxed);
    }
}

/// In a forked child, a raddle thread is as a kernel thread.
#[inline]
fn has_worker(thread: ThreadRef) -> bool {
    !thread.block().worker.load(Ordering::Relaxed).is_null()
}
