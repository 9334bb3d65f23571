//! The last five minutes, a sample for each second: so that whoever opens the page sees what was before.

use raddle::runtime::{CoreCounters, Runtime};
use raddle::time::Instant;
use raddle_http::metrics::Counts;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds that are kept.
pub(super) const KEPT: usize = 300;

/// One second.
#[derive(Clone, Debug, Default)]
pub(super) struct Point {
    /// From 1.
    pub(super) number: u64,
    /// When it ended, in milliseconds since 1970.
    pub(super) at_ms: u64,
    /// In a second.
    pub(super) requests: f64,
    pub(super) errors: f64,
    pub(super) bytes: f64,
    pub(super) accepted: f64,
    /// At its end.
    pub(super) connections: usize,
    pub(super) threads: usize,
    pub(super) ready: usize,
    /// Microseconds, if there were requests.
    pub(super) p50_us: Option<f64>,
    pub(super) p90_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) max_us: Option<f64>,
    /// Of each core the part of the time in which it had something to run.
    pub(super) loads: Vec<f64>,
}

/// All that are kept, and what the next one is told by.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) points: VecDeque<Point>,
    /// The last sample.
    before: Option<Sample>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    counts: Counts,
    cores: Vec<CoreCounters>,
}

impl History {
    /// Takes a sample.
    pub(super) fn sample(&mut self, counts: Counts, connections: usize, runtime: Runtime) {
        let now = Sample { at: Instant::now(), counts, cores: runtime.core_counters() };
        if let Some(before) = &self.before {
            let threads = runtime.counters().threads;
            let number = self.points.back().map_or(0, |last| last.number) + 1;
            if self.points.len() == KEPT {
                self.points.pop_front();
            }
            self.points.push_back(Point { number, connections, threads, ..point(before, &now) });
        }
        self.before = Some(now);
    }
}

/// What happened between two samples.
fn point(before: &Sample, now: &Sample) -> Point {
    let time = now.at.duration_since(before.at).as_secs_f64().max(1e-3);
    let rate = |read: fn(&Counts) -> u64| {
        read(&now.counts).saturating_sub(read(&before.counts)) as f64 / time
    };
    let latency = now.counts.latency.since(&before.counts.latency);
    let quantile = |part| latency.quantile(part).map(|time| time.as_nanos() as f64 / 1e3);
    let load = |(now, before): (&CoreCounters, &CoreCounters)| {
        let idle = Duration::from_nanos(now.idle_ns.saturating_sub(before.idle_ns));
        (1.0 - idle.as_secs_f64() / time).clamp(0.0, 1.0)
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Point {
        at_ms: since.as_millis() as u64,
        requests: rate(Counts::requests),
        errors: rate(Counts::failures),
        bytes: rate(|counts| counts.bytes),
        accepted: rate(|counts| counts.connections),
        ready: now.cores.iter().map(|core| core.ready).sum(),
        p50_us: quantile(0.5),
        p90_us: quantile(0.9),
        p99_us: quantile(0.99),
        max_us: quantile(1.0),
        loads: now.cores.iter().zip(&before.cores).map(load).collect(),
        ..Point::default()
    }
}
