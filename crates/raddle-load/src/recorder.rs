//! What requests leave behind: histograms and counts, gathered where no two cores meet, and put together at the end of each interval.
//!
//! ```text
//!   client ─▶ lane: lock, which nobody else wants most often; two or three histograms
//!   ticker ─▶ takes each lane's recorder, leaves an empty one; adds all to the interval's, and that to the run's
//! ```
//!
//! Rejected: a histogram for each connection (10,000 connections would have 10,000, each with its own lines in the processor's caches); keeping every
//! sample (80 MB for a million, and a sort at the end); one that is made of atomics (a shared line for each request).

use crate::failure::Failure;
use crate::stream::Opened;
use hdrhistogram::Histogram;
use raddle::cancel;
use raddle::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::collections::BTreeMap;

/// Three digits that count, in nanoseconds: a figure is right to 0.1 %.
const DIGITS: u8 = 3;

/// Times, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Times(pub(crate) Histogram<u64>);

impl Default for Times {
    fn default() -> Times {
        Times(Histogram::new(DIGITS).expect("three digits are allowed"))
    }
}

impl Times {
    #[inline]
    pub(crate) fn add(&mut self, ns: u64) {
        // It grows by itself, up to 64 bits.
        self.0.record(ns).expect("a histogram without a limit");
    }

    pub(crate) fn merge(&mut self, other: &Times) {
        if !other.0.is_empty() {
            self.0.add(&other.0).expect("a histogram without a limit");
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// That of which so many of a hundred are not above it, in nanoseconds; 0 for none at all.
    pub fn percentile(&self, percent: f64) -> u64 {
        // 7 of 100 are 7.000000000000001 hundredths to a processor, which would be the eighth.
        let quantile = percent / 100.0 * (1.0 - 1e-12);
        // The upper end of its step, which may be above all that there were.
        self.0.value_at_quantile(quantile).min(self.0.max())
    }

    /// The least, to 0.1 %.
    pub fn min(&self) -> u64 {
        self.0.min()
    }

    /// The greatest.
    pub fn max(&self) -> u64 {
        self.0.max()
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        self.0.mean()
    }

    /// The standard deviation.
    pub fn deviation(&self) -> f64 {
        self.0.stdev()
    }

    /// All that there were: the upper end of each step, and how many are in it.
    pub fn steps(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
    }
}

/// A request that was answered. Times count from the run's beginning, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    /// When it was to begin.
    pub(crate) due: u64,
    /// When it was given to the kernel.
    pub(crate) sent: u64,
    pub(crate) first_byte: u64,
    /// When that was there, read or not where the kernel says so.
    pub(crate) last_byte: u64,
    /// When it was read.
    pub(crate) read: u64,
    pub(crate) status: u16,
    /// With the head.
    pub(crate) bytes: u64,
    /// Whether the run was over when it came.
    pub(crate) is_late: bool,
    /// Whether it was over when the request was sent.
    pub(crate) was_sent_late: bool,
}

impl Answered {
    /// From when it was due.
    pub(crate) fn latency(&self) -> u64 {
        self.last_byte.saturating_sub(self.due)
    }
}

/// Figures of some time.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// From when a request was due to its answer's last byte, by status.
    pub by_status: Vec<(u16, Times)>,
    /// The same by step of a scenario, flow by flow; those behind the last one that was answered are not there.
    pub by_step: Vec<Times>,
    /// Until there was a connection.
    pub connect: Times,
    /// Until a TLS handshake was done.
    pub handshake: Times,
    /// From sending to the answer's first byte.
    pub first_byte: Times,
    /// From sending to the answer's last byte. Empty in a closed loop, where it is the latency.
    pub service: Times,
    /// From when a request was due to when it was sent. Empty in a closed loop.
    pub slip: Times,
    /// How late threads came that had nothing to wait for but their time. Empty in a closed loop.
    pub oversleep: Times,
    /// How long answers were there until they were read. Empty where the kernel was not asked, as in a closed loop, or does not know; then an answer's
    /// time is when it was read.
    pub read_late: Times,
    /// Bytes of answers, with their heads.
    pub bytes: u64,
    /// Answers that came after the end of the run's time.
    pub late: u64,
    /// Of these, answers to requests that were sent after it as well: it was behind its schedule, or a visit went on.
    pub sent_late: u64,
    /// Requests that failed, and why.
    pub failures: BTreeMap<Failure, u64>,
    /// Requests that were not answered when it ended.
    pub unfinished: u64,
    /// The longest of these had waited for so long, in nanoseconds.
    pub unfinished_age: u64,
    /// What had come of their answers.
    pub unfinished_bytes: u64,
}

impl Recorder {
    #[inline]
    pub(crate) fn answered(&mut self, one: &Answered, is_open: bool) {
        let latency = one.latency();
        match self.by_status.iter_mut().find(|(status, _)| *status == one.status) {
            Some((_, times)) => times.add(latency),
            None => {
                let mut times = Times::default();
                times.add(latency);
                self.by_status.push((one.status, times));
            }
        }
        self.first_byte.add(one.first_byte.saturating_sub(one.sent));
        if is_open {
            self.service.add(one.last_byte.saturating_sub(one.sent));
            self.slip.add(one.sent.saturating_sub(one.due));
        }
        if one.read > one.last_byte {
            self.read_late.add(one.read - one.last_byte);
        }
        self.bytes += one.bytes;
        self.late += u64::from(one.is_late);
        self.sent_late += u64::from(one.was_sent_late);
    }

    /// Latencies of that step.
    pub(crate) fn step(&mut self, number: usize) -> &mut Times {
        if self.by_step.len() <= number {
            self.by_step.resize_with(number + 1, Times::default);
        }
        &mut self.by_step[number]
    }

    pub(crate) fn opened(&mut self, opened: &Opened) {
        self.connect.add(opened.connect.as_nanos() as u64);
        if let Some(handshake) = opened.handshake {
            self.handshake.add(handshake.as_nanos() as u64);
        }
    }

    pub(crate) fn failed(&mut self, failure: Failure) {
        *self.failures.entry(failure).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Recorder) {
        for (status, times) in &other.by_status {
            match self.by_status.iter_mut().find(|(own, _)| own == status) {
                Some((_, own)) => own.merge(times),
                None => self.by_status.push((*status, times.clone())),
            }
        }
        for (number, times) in other.by_step.iter().enumerate() {
            self.step(number).merge(times);
        }
        self.connect.merge(&other.connect);
        self.handshake.merge(&other.handshake);
        self.first_byte.merge(&other.first_byte);
        self.service.merge(&other.service);
        self.slip.merge(&other.slip);
        self.oversleep.merge(&other.oversleep);
        self.read_late.merge(&other.read_late);
        self.bytes += other.bytes;
        self.late += other.late;
        self.sent_late += other.sent_late;
        for (failure, count) in &other.failures {
            *self.failures.entry(failure.clone()).or_default() += count;
        }
        self.unfinished += other.unfinished;
        self.unfinished_age = self.unfinished_age.max(other.unfinished_age);
        self.unfinished_bytes += other.unfinished_bytes;
    }

    /// Empty, with the memory that it has.
    fn clear(&mut self) {
        let Recorder {
            by_status,
            by_step,
            connect,
            handshake,
            first_byte,
            service,
            slip,
            oversleep,
            read_late,
            ..
        } = self;
        let phases = [connect, handshake, first_byte, service, slip, oversleep, read_late];
        let groups = by_status.iter_mut().map(|(_, times)| times).chain(by_step);
        groups.chain(phases).for_each(|one| one.0.reset());
        self.failures.clear();
        (self.bytes, self.late, self.sent_late) = (0, 0, 0);
        (self.unfinished, self.unfinished_age, self.unfinished_bytes) = (0, 0, 0);
    }

    /// Latencies of all answers, whatever their status.
    pub fn latency(&self) -> Times {
        let mut all = Times::default();
        self.by_status.iter().for_each(|(_, times)| all.merge(times));
        all
    }

    /// How many answers there were.
    pub fn answers(&self) -> u64 {
        self.by_status.iter().map(|(_, times)| times.count()).sum()
    }

    /// How many requests failed.
    pub fn failed_count(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// Where the clients of a core, more or less, write their figures. It has cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Lane(Mutex<Box<Recorder>>);

impl Lane {
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Box<Recorder>> {
        match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            // A figure must not be lost because its thread is cancelled just now.
            Err(TryLockError::WouldBlock) => {
                cancel::shield(|| self.0.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// Gives what it has for the empty `spare`, which then has it.
    pub(crate) fn exchange(&self, spare: &mut Box<Recorder>) {
        spare.clear();
        std::mem::swap(&mut *self.lock(), spare);
    }
}
