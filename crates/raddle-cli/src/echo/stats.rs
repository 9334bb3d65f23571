//! What an echo server has done: counted without a shared cache line, timed on every sixteenth message.
//!
//! Each connection that has a thread, and each loop that serves many, has a [`Meter`]: a cache line that it alone writes, with
//! plain stores. A meter that goes leaves its line to the next one, which counts on; whoever wants to know adds up all lines. Times go into one histogram with 16
//! steps for each power of two, so within 6 %.

use crate::text;
use raddle::sync::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Of so many messages one is timed: two looks at the clock cost a fiftieth of a message.
const TIMED: u64 = 16;

/// Everything that is counted of one server.
pub(super) struct Stats {
    meters: Mutex<Meters>,
    times: Box<[AtomicU64; STEPS]>,
    begun: Instant,
}

#[derive(Default)]
struct Meters {
    /// As many as there have been owners at a time.
    all: Vec<Arc<Cells>>,
    /// Those that have no owner at present.
    free: Vec<Arc<Cells>>,
}

/// What one owner after another has counted.
#[derive(Default)]
#[repr(align(64))]
struct Cells {
    opened: AtomicU64,
    closed: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// Sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Connections that were accepted.
    pub(super) opened: u64,
    /// Connections that have ended.
    pub(super) closed: u64,
    /// Reads whose bytes were all sent back, or were about to be when the connection broke.
    pub(super) messages: u64,
    /// Bytes sent back.
    pub(super) bytes: u64,
}

impl Totals {
    fn add(&mut self, cells: &Cells) {
        self.opened += cells.opened.load(Relaxed);
        self.closed += cells.closed.load(Relaxed);
        self.messages += cells.messages.load(Relaxed);
        self.bytes += cells.bytes.load(Relaxed);
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> u64 {
        // The two are of slightly different moments.
        self.opened.saturating_sub(self.closed)
    }
}

impl Stats {
    pub(super) fn new() -> Arc<Stats> {
        Arc::new(Stats {
            meters: Mutex::new(Meters::default()),
            times: Box::new([const { AtomicU64::new(0) }; STEPS]),
            begun: Instant::now(),
        })
    }

    /// A meter for one connection, or for one loop.
    pub(super) fn meter(self: &Arc<Stats>) -> Meter {
        let mut meters = self.meters();
        let cells = meters.free.pop().unwrap_or_else(|| {
            meters.all.push(Arc::default());
            meters.all[meters.all.len() - 1].clone()
        });
        drop(meters);
        Meter { cells, stats: self.clone() }
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.meters().all.iter().for_each(|cells| totals.add(cells));
        totals
    }

    fn meters(&self) -> raddle::sync::MutexGuard<'_, Meters> {
        self.meters.lock().unwrap_or_else(raddle::sync::PoisonError::into_inner)
    }

    fn times(&self) -> Times {
        Times(self.times.iter().map(|count| count.load(Relaxed)).collect())
    }

    /// What there is to say at the end.
    pub(super) fn summary(&self) -> String {
        let totals = self.totals();
        let seconds = self.begun.elapsed().as_secs_f64();
        let rate = (totals.messages as f64 / seconds.max(1e-9)) as u64;
        let time = self.times().percentile(99);
        format!(
            "{}, {}, {} in {seconds:.1} s: {} messages/s{}",
            text::count(totals.opened, "connection"),
            text::count(totals.messages, "message"),
            text::bytes(totals.bytes),
            text::number(rate),
            Percentile(time),
        )
    }
}

/// The counters of one owner.
pub(super) struct Meter {
    cells: Arc<Cells>,
    stats: Arc<Stats>,
}

impl Meter {
    /// A connection has been accepted.
    pub(super) fn opened(&self) {
        add(&self.cells.opened, 1);
    }

    /// A connection has ended.
    pub(super) fn closed(&self) {
        add(&self.cells.closed, 1);
    }

    /// How many connections are open, not only this owner's.
    pub(super) fn all_open(&self) -> u64 {
        self.stats.totals().open()
    }

    /// A message has been read: when, if it is one of those that are timed.
    pub(super) fn begin(&self) -> Option<Instant> {
        self.cells.messages.load(Relaxed).is_multiple_of(TIMED).then(Instant::now)
    }

    /// A message of so many bytes has been sent back, which [`began`](Meter::begin) then.
    pub(super) fn echoed(&self, bytes: usize, begun: Option<Instant>) {
        add(&self.cells.messages, 1);
        add(&self.cells.bytes, bytes as u64);
        if let Some(begun) = begun {
            let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.stats.times[step(ns)].fetch_add(1, Relaxed);
        }
    }
}

/// By the only one who writes it.
fn add(cell: &AtomicU64, more: u64) {
    cell.store(cell.load(Relaxed) + more, Relaxed);
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stats.meters().free.push(self.cells.clone());
    }
}

/// Each power of two has so many steps.
const FINE: u64 = 16;
/// Of all times that 64 bits hold.
const STEPS: usize = 61 * FINE as usize;

/// In which step of the histogram a time lies.
fn step(ns: u64) -> usize {
    if ns < FINE {
        return ns as usize;
    }
    let shift = ns.ilog2() - FINE.ilog2();
    (u64::from(shift) * FINE + (ns >> shift)) as usize
}

/// The middle of a step.
fn middle(step: usize) -> u64 {
    let step = step as u64;
    if step < 2 * FINE {
        return step;
    }
    let shift = step / FINE - 1;
    ((step % FINE + FINE) << shift) + (1 << (shift - 1))
}

/// A histogram at some moment.
#[derive(Clone)]
struct Times(Vec<u64>);

impl Times {
    fn since(&self, before: &Times) -> Times {
        Times(self.0.iter().zip(&before.0).map(|(now, then)| now - then).collect())
    }

    /// `None` if there is no time.
    fn percentile(&self, percent: u64) -> Option<Duration> {
        let all: u64 = self.0.iter().sum();
        let wanted = (all * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let at = self.0.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        at.map(|at| Duration::from_nanos(middle(at)))
    }
}

/// `, p99 12.3 us`, or nothing if no message was timed.
struct Percentile(Option<Duration>);

impl fmt::Display for Percentile {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(to, ", p99 {}", text::time(time)),
            None => Ok(()),
        }
    }
}

/// Makes the lines of a running server, each about the time since the one before.
pub(super) struct Ticker {
    stats: Arc<Stats>,
    last: (Instant, Totals, Times),
}

impl Ticker {
    pub(super) fn new(stats: &Arc<Stats>) -> Ticker {
        Ticker { stats: stats.clone(), last: (Instant::now(), stats.totals(), stats.times()) }
    }

    pub(super) fn line(&mut self) -> String {
        let now = (Instant::now(), self.stats.totals(), self.stats.times());
        let seconds = (now.0 - self.last.0).as_secs_f64().max(1e-9);
        let rate = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds) as u64;
        let line = format!(
            "{}, {} messages/s, {}/s{}",
            text::count(now.1.open(), "connection"),
            text::number(rate(now.1.messages, self.last.1.messages)),
            text::bytes(rate(now.1.bytes, self.last.1.bytes)),
            Percentile(now.2.since(&self.last.2).percentile(99)),
        );
        self.last = now;
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_holds_what_lies_within_six_percent_of_its_middle() {
        let times = (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) + (1 << bit) / 3]);
        let mut last = 0;
        for ns in times.chain([0, 15, 16, 31, 32, u64::MAX]) {
            let found = middle(step(ns));
            let error = found.abs_diff(ns) as f64 / ns.max(1) as f64;
            assert!(error < 0.0626, "{ns} ns are counted as {found}");
            last = last.max(step(ns));
        }
        assert_eq!(last, STEPS - 1);
    }

    #[test]
    fn what_a_meter_has_counted_outlives_it() {
        let stats = Stats::new();
        let meters: Vec<Meter> = (0..3).map(|_| stats.meter()).collect();
        for (at, meter) in meters.iter().enumerate() {
            meter.opened();
            (0..=at).for_each(|_| meter.echoed(10, None));
        }
        let all = Totals { opened: 3, closed: 0, messages: 6, bytes: 60 };
        assert_eq!(stats.totals(), all);
        let mut meters = meters.into_iter();
        for closed in 1..=3 {
            let meter = meters.next().expect("one of three");
            meter.closed();
            drop(meter);
            assert_eq!(stats.totals(), Totals { closed, ..all });
        }
        assert_eq!(stats.totals().open(), 0);
        drop((stats.meter(), stats.meter()));
        assert_eq!(stats.meters().all.len(), 3, "lines are used again");
    }

    #[test]
    fn every_sixteenth_message_is_timed() {
        let stats = Stats::new();
        let count = || stats.times().0.iter().sum::<u64>();
        let meter = stats.meter();
        for _ in 0..64 {
            let begun = meter.begin();
            meter.echoed(1, begun);
        }
        assert_eq!(count(), 4);
        drop(meter);
        for _ in 0..64 {
            let meter = stats.meter();
            let begun = meter.begin();
            meter.echoed(1, begun);
        }
        assert_eq!(count(), 8, "also of connections with one message each");
    }

    #[test]
    fn the_percentile_is_of_what_is_new() {
        let stats = Stats::new();
        let count = |ns: u64, many: u64| stats.times[step(ns)].fetch_add(many, Relaxed);
        count(1_000_000, 1_000);
        let before = stats.times();
        assert_eq!(before.since(&before).percentile(99), None);
        count(100, 99);
        count(5_000, 1);
        let new = stats.times().since(&before);
        let ns = |percent| new.percentile(percent).expect("there are 100").as_nanos();
        assert!(ns(99).abs_diff(100) < 7 && ns(100).abs_diff(5_000) < 313);
    }
}
