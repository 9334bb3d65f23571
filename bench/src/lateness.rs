//! How late sleepers wake: one thread that sleeps again and again beside busy neighbours, or many timers at once.

use crate::process;
use crate::subject::Said;
use raddle_core::random::Random;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// How long the sleeper of `hog_lateness` and `blocked_recovery` sleeps each time.
pub const NAP: Duration = Duration::from_millis(1);

/// What one sleeper noted. It is read by a kernel thread of no runtime, also if the sleeper never comes back.
#[derive(Clone)]
pub struct Naps {
    late: Arc<[AtomicU64]>,
    taken: Arc<AtomicUsize>,
    time: Duration,
    done: Sender<()>,
}

impl Naps {
    /// For a sleeper that naps for `time`, and the end by which [`Naps::watch`] learns that it is done.
    pub fn new(time: Duration) -> (Naps, Receiver<()>) {
        let (done, is_done) = mpsc::channel();
        // A nap never ends early, so there are at most as many as fit.
        let most = (time.as_micros() / NAP.as_micros()) as usize + 2;
        let late = (0..most).map(|_| AtomicU64::new(0)).collect();
        (Naps { late, taken: Arc::new(AtomicUsize::new(0)), time, done }, is_done)
    }

    /// For how long to nap.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// A nap that began at `start` is over.
    pub fn note(&self, start: Instant) {
        let late = start.elapsed().saturating_sub(NAP).as_nanos() as u64;
        let number = self.taken.load(Ordering::Relaxed);
        if let Some(place) = self.late.get(number) {
            place.store(late, Ordering::Relaxed);
            self.taken.store(number + 1, Ordering::Release);
        }
    }

    /// The sleeper has napped for its time.
    pub fn finish(&self) {
        // The other end is gone if the time has run out, and then nobody waits for this.
        _ = self.done.send(());
    }

    /// Waits on this kernel thread for the sleeper, twice its time and a second at most, and says how late it was, in microseconds.
    pub fn watch(&self, is_done: &Receiver<()>) -> Said {
        let patience = 2 * self.time + Duration::from_secs(1);
        let came_back = is_done.recv_timeout(patience).is_ok();
        let taken = self.taken.load(Ordering::Acquire);
        if !came_back || taken == 0 {
            let most = self.time.as_millis() / NAP.as_millis();
            let seconds = patience.as_secs_f64();
            return Said::remark(format!(
                "starves: woke {taken} times of at most {most} and not again within {seconds:.0} s"
            ));
        }
        let late = self.late[..taken].iter().map(|late| late.load(Ordering::Relaxed));
        let late = sorted_us(late);
        Said::figures([
            ("p50", quantile(&late, 0.5)),
            ("p99", quantile(&late, 0.99)),
            ("max", quantile(&late, 1.0)),
            ("longest_ms", (quantile(&late, 1.0) + NAP.as_micros() as f64) / 1e3),
        ])
    }
}

/// Many timers, which all end within one second.
#[derive(Clone)]
pub struct Timers {
    begin: Instant,
    /// Nanoseconds after `begin` at which each is to end; then by how many it was late.
    timers: Arc<[(u64, AtomicU64)]>,
    asleep: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Timers {
    /// So many timers, whose second begins after `lead`. Before that all of them have to be asleep.
    pub fn new(timers: usize, lead: Duration) -> Timers {
        let mut random = Random::from_seed(1);
        let mut timer = |_| (random.next_u64() % 1_000_000_000, AtomicU64::new(0));
        Timers {
            begin: Instant::now() + lead,
            timers: (0..timers).map(&mut timer).collect(),
            asleep: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.timers.len()
    }

    /// How long the thread with this number has to sleep from now on.
    pub fn sleep(&self, number: usize) -> Duration {
        let until = self.begin + Duration::from_nanos(self.timers[number].0);
        self.asleep.fetch_add(1, Ordering::Relaxed);
        until.saturating_duration_since(Instant::now())
    }

    /// The thread with this number has woken.
    pub fn woke(&self, number: usize) {
        let (planned, late) = &self.timers[number];
        let until = self.begin + Duration::from_nanos(*planned);
        let by = Instant::now().saturating_duration_since(until).as_nanos() as u64;
        late.store(by, Ordering::Relaxed);
        self.ended.fetch_add(1, Ordering::Release);
    }

    /// Waits on this kernel thread until all have ended; lateness in microseconds and the CPU time of that second.
    pub fn watch(&self) -> Said {
        thread::sleep(self.begin.saturating_duration_since(Instant::now()));
        let asleep = self.asleep.load(Ordering::Relaxed);
        if asleep < self.count() {
            let count = self.count();
            return Said::remark(format!("only {asleep} of {count} slept when the second began"));
        }
        let before = process::cpu_time();
        thread::sleep(Duration::from_secs(1));
        while self.ended.load(Ordering::Acquire) < self.count() {
            thread::sleep(Duration::from_millis(1));
        }
        let cpu = process::cpu_time() - before;
        let late = sorted_us(self.timers.iter().map(|(_, late)| late.load(Ordering::Relaxed)));
        Said::figures([
            ("mean", late.iter().sum::<f64>() / late.len() as f64),
            ("p99", quantile(&late, 0.99)),
            ("cpu_s", cpu.as_secs_f64()),
        ])
    }
}

/// Microseconds, the smallest first.
fn sorted_us(ns: impl Iterator<Item = u64>) -> Vec<f64> {
    let mut us: Vec<f64> = ns.map(|ns| ns as f64 / 1e3).collect();
    us.sort_by(f64::total_cmp);
    us
}

/// The smallest sample that at least this share of all does not exceed.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.5), 50.0);
        assert_eq!(quantile(&hundred, 0.99), 99.0);
        assert_eq!(quantile(&hundred, 1.0), 100.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn a_sleeper_that_does_not_come_back_is_said_to_starve() {
        let (naps, is_done) = Naps::new(Duration::ZERO);
        let said = naps.watch(&is_done);
        assert!(said.remark.is_some_and(|remark| remark.starts_with("starves: woke 0 times")));
    }

    #[test]
    fn naps_are_counted_and_judged() {
        let (naps, is_done) = Naps::new(Duration::from_millis(10));
        for _ in 0..3 {
            naps.note(Instant::now() - Duration::from_millis(3));
        }
        naps.finish();
        let said = naps.watch(&is_done);
        assert!(said.figures["p50"][0] >= 2000.0, "{said:?}");
        assert!(said.figures["longest_ms"][0] >= 3.0, "{said:?}");
    }
}
