//! When requests are to begin in an open loop: a schedule that does not know of the server.
//!
//! Arrivals are a process at rate 1, steps of exactly one or drawn exponentially, seen through the inverse of the rate's integral. So a ramp works
//! for both kinds, and a Poisson process stays one while its rate grows. The sum is kept, not the moments: nothing drifts.

use raddle_core::random::Random;
use std::time::Duration;

/// How requests come in an open loop.
///
/// ```
/// use raddle_load::{Pace, Spacing};
/// use std::time::Duration;
/// let pace = Pace { rate: 100.0, spacing: Spacing::Even, ramp: Duration::ZERO };
/// let at: Vec<u64> = pace.schedule(1).take(3).collect();
/// assert_eq!(at, [0, 10_000_000, 20_000_000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Requests in a second.
    pub rate: f64,
    /// How they are spread.
    pub spacing: Spacing,
    /// In this time the rate grows from zero, evenly.
    pub ramp: Duration,
}

/// How arrivals are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// All at the same distance.
    Even,
    /// As if each of very many clients asked now and then: a Poisson process.
    Poisson,
}

impl Pace {
    /// The moments, in nanoseconds from the beginning; it has no end. The seed matters for [`Spacing::Poisson`] only.
    ///
    /// # Panics
    ///
    /// If the rate is no positive number.
    pub fn schedule(self, seed: u64) -> Schedule {
        assert!(self.rate.is_finite() && self.rate > 0.0, "a rate is a positive number");
        Schedule { pace: self, random: Random::from_seed(seed), sum: 0.0, is_first: true }
    }

    /// When so many have arrived, in nanoseconds.
    fn when(&self, arrivals: f64) -> u64 {
        let ramp = self.ramp.as_secs_f64();
        // Until the ramp's end the integral is rate * t^2 / (2 * ramp).
        let on_ramp = self.rate * ramp / 2.0;
        let seconds = if arrivals < on_ramp {
            (2.0 * arrivals * ramp / self.rate).sqrt()
        } else {
            ramp + (arrivals - on_ramp) / self.rate
        };
        (seconds * 1e9).round() as u64
    }
}

/// Moments at which requests are to begin, in nanoseconds from the beginning.
#[derive(Clone, Debug)]
pub struct Schedule {
    pace: Pace,
    random: Random,
    /// Arrivals so far, of a process at rate 1.
    sum: f64,
    is_first: bool,
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let is_first = std::mem::replace(&mut self.is_first, false);
        self.sum += match self.pace.spacing {
            // The first one at once.
            Spacing::Even => f64::from(!is_first),
            Spacing::Poisson => exponential(&mut self.random),
        };
        Some(self.pace.when(self.sum))
    }
}

/// With mean 1.
fn exponential(random: &mut Random) -> f64 {
    // 53 bits, and never 0.
    let uniform = ((random.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    -uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: f64, spacing: Spacing, ramp: u64) -> Pace {
        Pace { rate, spacing, ramp: Duration::from_secs(ramp) }
    }

    #[test]
    fn even_arrivals_do_not_drift() {
        let mut schedule = pace(3.0, Spacing::Even, 0).schedule(0);
        assert_eq!(schedule.nth(3_000_000), Some(1_000_000_000_000_000));
    }

    #[test]
    fn a_ramp_grows_from_nothing() {
        // 100/s within 10 s: 500 arrivals, the first hundred within sqrt(100 / 500) of the time.
        let mut schedule = pace(100.0, Spacing::Even, 10).schedule(0);
        assert_eq!(schedule.nth(100), Some((10e9 * (0.2_f64).sqrt()).round() as u64));
        assert_eq!(schedule.nth(399), Some(10_000_000_000));
        assert_eq!(schedule.nth(99), Some(11_000_000_000));
    }

    /// Kolmogorov and Smirnov: the largest distance between what was drawn and `1 - exp(-x)`, times the root of how many, stays below 1.95 in
    /// 999 of 1,000 draws. The seed is fixed, so it does, or the generator is wrong.
    #[test]
    fn poisson_arrivals_are_exponentially_spaced() {
        const SEED: u64 = 20_261_126;
        const COUNT: usize = 100_000;
        println!("seed {SEED}");
        let rate = 1_000.0;
        let at: Vec<u64> = pace(rate, Spacing::Poisson, 0).schedule(SEED).take(COUNT).collect();
        let mut gaps: Vec<f64> =
            at.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e9 * rate).collect();
        gaps.sort_by(f64::total_cmp);
        let count = gaps.len() as f64;
        let distance = |(at, gap): (usize, &f64)| {
            let expected = 1.0 - (-gap).exp();
            (expected - at as f64 / count).abs().max(((at + 1) as f64 / count - expected).abs())
        };
        let largest = gaps.iter().enumerate().map(distance).fold(0.0, f64::max);
        assert!(largest * count.sqrt() < 1.95, "{}", largest * count.sqrt());
        // The test can fail: evenly spaced ones are far from it.
        let even = 1.0 - (-1.0_f64).exp();
        assert!(even * count.sqrt() > 1.95);
    }

    #[test]
    fn a_poisson_ramp_has_as_many_as_an_even_one() {
        let until = |spacing| {
            let schedule = pace(10_000.0, spacing, 10).schedule(7);
            schedule.take_while(|at| *at < 5_000_000_000).count() as f64
        };
        // Expected are 12,500, with a deviation of 112.
        let (even, poisson) = (until(Spacing::Even), until(Spacing::Poisson));
        assert!((even - 12_500.0).abs() <= 1.0 && (poisson - even).abs() < 500.0, "{poisson}");
    }
}
