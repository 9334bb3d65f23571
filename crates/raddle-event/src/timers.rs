//! A queue's timers, on the wheel of `raddle-core`: exact to 33 microseconds, never early.

use crate::event::{Events, What};
use crate::names::Timer;
use raddle_core::wheel::{self, Wheel};
use std::time::{Duration, Instant};

struct Entry {
    node: wheel::Timer<u32>,
    key: u64,
    deadline_ns: u64,
    /// 0: it is due once.
    period_ns: u64,
    seq: u32,
    is_live: bool,
}

#[derive(Default)]
struct Entries(Vec<Entry>);

impl wheel::Timers for Entries {
    type Key = u32;

    fn timer(&self, key: u32) -> &wheel::Timer<u32> {
        &self.0[key as usize].node
    }
}

pub(crate) struct Timers {
    /// The beginning of the wheel's time.
    epoch: Instant,
    /// Ten KiB, for which the stack that a queue is made on, or moved over, need not have room.
    wheel: Box<Wheel<u32>>,
    entries: Entries,
    free: Vec<u32>,
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers {
            epoch: Instant::now(),
            wheel: Box::new(Wheel::new(0)),
            entries: Entries::default(),
            free: Vec::new(),
        }
    }

    /// Arms a timer; a period of zero means once.
    pub(crate) fn arm(&mut self, key: u64, at: Instant, period: Duration) -> Timer {
        let deadline_ns = nanoseconds(at.saturating_duration_since(self.epoch));
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.0.push(Entry {
                node: wheel::Timer::new(),
                key: 0,
                deadline_ns: 0,
                period_ns: 0,
                seq: 1,
                is_live: false,
            });
            self.entries.0.len() as u32 - 1
        });
        let entry = &mut self.entries.0[index as usize];
        (entry.key, entry.deadline_ns, entry.is_live) = (key, deadline_ns, true);
        entry.period_ns = nanoseconds(period);
        let name = Timer(u64::from(entry.seq) << 32 | u64::from(index));
        self.wheel.insert(&self.entries, index, deadline_ns);
        name
    }

    /// Whether it was still armed. Afterwards it is not reported.
    pub(crate) fn cancel(&mut self, timer: Timer) -> bool {
        let index = timer.0 as u32;
        let Some(entry) = self.entries.0.get(index as usize) else { return false };
        if !entry.is_live || entry.seq != (timer.0 >> 32) as u32 {
            return false;
        }
        self.wheel.remove(&self.entries, index);
        self.end(index);
        true
    }

    fn end(&mut self, index: u32) {
        let entry = &mut self.entries.0[index as usize];
        entry.is_live = false;
        entry.seq = entry.seq.wrapping_add(1).max(1);
        self.free.push(index);
    }

    /// Reports what is due, as far as there is room.
    pub(crate) fn expire(&mut self, events: &mut Events) {
        if self.wheel.is_empty() {
            return;
        }
        let now_ns = nanoseconds(self.epoch.elapsed());
        while !events.is_full() {
            let Some(index) = self.wheel.pop_due(&self.entries, now_ns) else { return };
            let entry = &mut self.entries.0[index as usize];
            let name = Timer(u64::from(entry.seq) << 32 | u64::from(index));
            let late_ns = now_ns.saturating_sub(entry.deadline_ns);
            let times = match entry.period_ns {
                0 => 1,
                period_ns => 1 + late_ns / period_ns,
            };
            events.push(entry.key, What::Expired(name, times));
            if entry.period_ns == 0 {
                self.end(index);
            } else {
                // Behind now, so this loop ends.
                entry.deadline_ns =
                    entry.deadline_ns.saturating_add(times.saturating_mul(entry.period_ns));
                let deadline_ns = entry.deadline_ns;
                self.wheel.insert(&self.entries, index, deadline_ns);
            }
        }
    }

    /// How long until something is due; `None` if nothing is armed.
    pub(crate) fn next(&self) -> Option<Duration> {
        let deadline_ns = self.wheel.next_deadline_ns()?;
        Some(Duration::from_nanos(deadline_ns).saturating_sub(self.epoch.elapsed()))
    }
}

/// As far as 64 bits reach: 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
