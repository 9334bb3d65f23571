//! What each of many endless loops got done.

use crate::subject::Said;
use crate::work::spin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Work done, in chunks of a microsecond or two. On cache lines of their own, two of which are often fetched together.
#[repr(align(128))]
#[derive(Default)]
struct Done(AtomicU64);

/// One count for each loop.
#[derive(Clone)]
pub struct Shares {
    done: Arc<[Done]>,
    begin: Instant,
}

/// Long enough to make a hundred threads. They sleep for that long: among loops that run already, whoever makes the last ones would
/// hardly get to it.
const MAKING: Duration = Duration::from_millis(200);

impl Shares {
    /// For so many loops.
    pub fn of(loops: usize) -> Shares {
        Shares {
            done: (0..loops).map(|_| Done::default()).collect(),
            begin: Instant::now() + MAKING,
        }
    }

    /// How long a loop has to sleep before it begins.
    pub fn sleep(&self) -> Duration {
        self.begin.saturating_duration_since(Instant::now())
    }

    /// The endless loop with this number.
    pub fn work(&self, number: usize) -> ! {
        let mut done = 0;
        loop {
            spin(1000);
            done += 1;
            self.done[number].0.store(done, Ordering::Relaxed);
        }
    }

    /// Called on a kernel thread that is nobody's: lets the loops run for `lead`, and sees what each gets done in `time` after that. `weight` says what share of the processors each should have, against the others.
    pub fn watch(&self, lead: Duration, time: Duration, weight: impl Fn(usize) -> f64) -> Said {
        let read =
            || self.done.iter().map(|done| done.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        thread::sleep(self.sleep() + lead);
        let before = read();
        thread::sleep(time);
        let done: Vec<u64> =
            read().iter().zip(before).map(|(after, before)| after - before).collect();
        spread(&done, weight)
    }
}

/// The largest deviation from a share, in percent of the share.
fn spread(done: &[u64], weight: impl Fn(usize) -> f64) -> Said {
    let starved = done.iter().filter(|&&done| done == 0).count();
    if starved > 0 {
        return Said::remark(format!("starves: {starved} of {} loops get nothing", done.len()));
    }
    let weights: Vec<f64> = (0..done.len()).map(weight).collect();
    let unit = done.iter().sum::<u64>() as f64 / weights.iter().sum::<f64>();
    let deviation = |(done, weight): (&u64, &f64)| (*done as f64 / (unit * weight) - 1.0).abs();
    let most = done.iter().zip(&weights).map(deviation).fold(0.0, f64::max);
    Said::figures([("pct", most * 100.0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_the_largest_deviation_from_a_share() {
        let pct = |done: &[u64], weight: fn(usize) -> f64| spread(done, weight).figures["pct"][0];
        assert_eq!(pct(&[100, 100, 100, 100], |_| 1.0), 0.0);
        assert!((pct(&[110, 100, 100, 90], |_| 1.0) - 10.0).abs() < 1e-9);
        let by_number = |number| 1.0 + number as f64;
        assert!(pct(&[10, 20, 30], by_number) < 1e-9, "shares as wanted");
        assert!(spread(&[0, 5], |_| 1.0).remark.is_some_and(|why| why.contains("1 of 2")));
    }
}
