//! What all clients of a run have in common.

use crate::pace::Schedule;
use crate::place::Place;
use crate::plan::Plan;
use crate::recorder::Lane;
use crate::stream::Manner;
use raddle::sync::{Mutex, PoisonError};
use raddle::thread;
use raddle::time::{Duration, Instant, sleep_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    /// All places that targets lead to, and where in it each target's is.
    pub(crate) places: Vec<Place>,
    pub(crate) place_of: Vec<usize>,
    pub(crate) manner: Manner,
    pub(crate) lanes: Box<[Lane]>,
    /// Times count from here.
    epoch: Instant,
    /// The warm-up is over.
    pub(crate) begin_ns: u64,
    pub(crate) end_ns: u64,
    schedule: Option<Mutex<Schedule>>,
    /// Requests that count and have begun.
    begun: AtomicU64,
    is_stopping: AtomicBool,
}

impl Shared {
    /// The clock begins here. `places` has each target's place once.
    pub(crate) fn new(plan: Plan, places: Vec<Place>, place_of: Vec<usize>) -> Arc<Shared> {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let begin_ns = ns(plan.warm_up);
        Arc::new(Shared {
            places,
            place_of,
            manner: Manner::of(&plan),
            // Threads of one core write to several, as a core may be left by a thread of a lane that is written to.
            lanes: (0..plan.cores.max(1) * 2 - 1).map(|_| Lane::default()).collect(),
            epoch: Instant::now(),
            begin_ns,
            end_ns: plan.time.map_or(u64::MAX, |time| begin_ns.saturating_add(ns(time))),
            schedule: plan.pace.map(|pace| Mutex::new(pace.schedule(plan.seed))),
            begun: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
            plan,
        })
    }

    /// Nanoseconds since the run's beginning.
    #[inline]
    pub(crate) fn clock(&self) -> u64 {
        self.ns_at(Instant::now())
    }

    /// What the clock showed then.
    #[inline]
    pub(crate) fn ns_at(&self, at: Instant) -> u64 {
        at.duration_since(self.epoch).as_nanos() as u64
    }

    /// Now, and when something came that has been read: `came` by the clock that can be set, if the kernel has said so, else now. Not later than now.
    #[inline]
    pub(crate) fn arrival(&self, came: Option<SystemTime>) -> (u64, u64) {
        match came {
            None => {
                let now = self.clock();
                (now, now)
            }
            Some(came) => self.stamped_arrival(came),
        }
    }

    fn stamped_arrival(&self, came: SystemTime) -> (u64, u64) {
        /// Two looks at one clock with one at the other in between that are further apart: somebody else has had the processor.
        const APART_NS: u64 = 2_000;
        const TRIES: usize = 3;
        let mut tries = 0;
        loop {
            tries += 1;
            let before = self.clock();
            let real = SystemTime::now();
            let now = self.clock();
            if now - before < APART_NS || tries == TRIES {
                let age = real.duration_since(came).unwrap_or_default().as_nanos();
                return (now, before.saturating_sub(u64::try_from(age).unwrap_or(u64::MAX)));
            }
        }
    }

    /// The moment so long after the run's beginning; `None` for never.
    pub(crate) fn moment(&self, ns: u64) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(ns))
    }

    /// Until a request is due, or a pause is over: what time it is then. `None` if that is never. The last part of it computing, if the plan says so:
    /// timers have ticks, and who sleeps has to be woken.
    pub(crate) fn wait_until(&self, due: u64, mut now: u64) -> Option<u64> {
        let spin = self.plan.spin.as_nanos() as u64;
        if due.saturating_sub(now) > spin {
            sleep_until(self.moment(due - spin)?);
            now = self.clock();
        }
        while now < due {
            thread::yield_now();
            now = self.clock();
        }
        Some(now)
    }

    /// Where the client of that number writes its figures.
    pub(crate) fn lane(&self, number: usize) -> &Lane {
        &self.lanes[number % self.lanes.len()]
    }

    /// Whether a request may begin that is due then, and whether it counts.
    #[inline]
    pub(crate) fn begin(&self, due: u64) -> Option<bool> {
        if self.is_stopping.load(Relaxed) || due >= self.end_ns {
            return None;
        }
        if due < self.begin_ns {
            return Some(false);
        }
        match self.plan.requests {
            // Only where it matters: all cores write to it.
            Some(most) => (self.begun.fetch_add(1, Relaxed) < most).then_some(true),
            None => Some(true),
        }
    }

    /// Whether as many have begun as are to count.
    pub(crate) fn is_used_up(&self) -> bool {
        self.plan.requests.is_some_and(|most| self.begun.load(Relaxed) >= most)
    }

    /// When the next request is due, if that is not as soon as possible.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let mut schedule = self.schedule.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        schedule.next()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.schedule.is_some()
    }

    /// Nothing begins any more.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Relaxed);
    }
}
