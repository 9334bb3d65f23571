//! Measurement by pairs, and what can be said from them.
//!
//! Two medians that were taken one after the other differ by whatever the machine did meanwhile: another clock rate,
//! a neighbour, a warmer cache. So two subjects run in turns, A B A B ..., in blocks of some milliseconds; a block and its neighbour form
//! a pair, and only what happened within a pair is compared.
//!
//! The interval of a median comes from order statistics: of `n` independent samples, the number below the true median is
//! binomial with probability 1/2, whatever the samples' distribution is. Blocks that disturb each other for longer than a pair
//! lasts are not independent; the interval is then too narrow, which a second run shows.
//!
//! Rejected: means with standard errors (one block that the kernel interrupted moves them); the bootstrap (needs chance, and
//! says the same of a median).

use std::io;
use std::time::{Duration, Instant};

/// How a comparison is to be made.
pub(crate) struct Plan {
    /// Pairs of blocks.
    pub(crate) rounds: usize,
    /// How long a block should take, about.
    pub(crate) block: Duration,
}

/// Operations that were done in a row, and how long they took together.
pub(crate) struct Block {
    pub(crate) operations: u64,
    pub(crate) elapsed: Duration,
}

impl Block {
    /// Times `work`, which does `operations` of them.
    pub(crate) fn time(
        operations: u64,
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<Block> {
        let start = Instant::now();
        work()?;
        Ok(Block { operations, elapsed: start.elapsed() })
    }

    fn ns_per_operation(&self) -> f64 {
        self.elapsed.as_secs_f64() * 1e9 / self.operations as f64
    }
}

/// Does about as many operations as it is told, and times them itself: what has to be set up or cleaned is not counted.
pub(crate) type Work<'a> = Box<dyn FnMut(u64) -> io::Result<Block> + 'a>;

/// Something to be measured.
pub(crate) struct Subject<'a> {
    pub(crate) peer: &'static str,
    work: Work<'a>,
    /// Operations a block; not known before [`Subject::prepare`] unless fixed.
    operations: Option<u64>,
    is_warm: bool,
}

impl<'a> Subject<'a> {
    /// A subject whose blocks are made as long as the plan says.
    pub(crate) fn new(peer: &'static str, work: Work<'a>) -> Subject<'a> {
        Subject { peer, work, operations: None, is_warm: false }
    }

    /// A subject whose blocks have a size of their own.
    pub(crate) fn of_fixed_size(
        peer: &'static str,
        operations: u64,
        work: Work<'a>,
    ) -> Subject<'a> {
        Subject { peer, work, operations: Some(operations), is_warm: false }
    }

    /// Nanoseconds an operation in each of `plan.rounds` blocks.
    pub(crate) fn measure(&mut self, plan: &Plan) -> io::Result<Vec<f64>> {
        let operations = self.prepare(plan)?;
        (0..plan.rounds).map(|_| self.sample(operations)).collect()
    }

    fn sample(&mut self, operations: u64) -> io::Result<f64> {
        Ok((self.work)(operations)?.ns_per_operation())
    }

    /// Warms the subject up, and finds out how many operations make a block.
    fn prepare(&mut self, plan: &Plan) -> io::Result<u64> {
        let operations = match self.operations {
            Some(operations) => operations,
            None => self.calibrate(plan.block)?,
        };
        if !self.is_warm {
            self.sample(operations)?;
            self.is_warm = true;
        }
        Ok(operations)
    }

    fn calibrate(&mut self, aim: Duration) -> io::Result<u64> {
        let mut operations = 1;
        loop {
            let block = (self.work)(operations)?;
            // Long enough to be extrapolated from; before that also too cold.
            if block.elapsed >= aim / 4 {
                let scale = aim.as_secs_f64() / block.elapsed.as_secs_f64();
                let operations = ((block.operations as f64 * scale) as u64).max(1);
                self.operations = Some(operations);
                return Ok(operations);
            }
            operations = block.operations * 2;
        }
    }
}

/// Nanoseconds an operation, block by block: what stands at the same place of both is a pair.
pub(crate) struct Pairs {
    pub(crate) base: Vec<f64>,
    pub(crate) peer: Vec<f64>,
}

impl Pairs {
    /// Runs the two in turns.
    pub(crate) fn measure(
        plan: &Plan,
        base: &mut Subject<'_>,
        peer: &mut Subject<'_>,
    ) -> io::Result<Pairs> {
        let (base_operations, peer_operations) = (base.prepare(plan)?, peer.prepare(plan)?);
        let mut pairs = Pairs { base: Vec::new(), peer: Vec::new() };
        for _ in 0..plan.rounds {
            pairs.base.push(base.sample(base_operations)?);
            pairs.peer.push(peer.sample(peer_operations)?);
        }
        Ok(pairs)
    }

    /// How many times the base's time the peer takes.
    pub(crate) fn ratio(&self) -> Estimate {
        self.each(|base, peer| peer / base)
    }

    /// How much longer than the base the peer takes, in nanoseconds.
    pub(crate) fn difference(&self) -> Estimate {
        self.each(|base, peer| peer - base)
    }

    fn each(&self, of: impl Fn(f64, f64) -> f64) -> Estimate {
        let each: Vec<f64> =
            self.base.iter().zip(&self.peer).map(|(&base, &peer)| of(base, peer)).collect();
        Estimate::of(&each)
    }
}

/// A median, and between what it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    /// The samples' median and its interval. With fewer than six samples the interval is their range, which is less than 95 % sure.
    ///
    /// # Panics
    ///
    /// Without samples, which have no median.
    pub(crate) fn of(samples: &[f64]) -> Estimate {
        assert!(!samples.is_empty(), "no samples, no median");
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len() - 1;
        let outside = left_outside(sorted.len());
        Estimate {
            median: (sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0,
            low: sorted[outside],
            high: sorted[last - outside],
        }
    }
}

/// How many of `count` sorted samples lie below the 95 % interval of the median, and as many above: the largest `k` with
/// P(B <= k) <= 2.5 %, for B binomial of `count` and 1/2; the k-th sample, counted from 0, is then the lower bound.
fn left_outside(count: usize) -> usize {
    const TAIL: f64 = 0.025;
    // The terms as logarithms: 2^-count is no f64 for large counts.
    let mut ln_term = -(count as f64) * std::f64::consts::LN_2;
    let mut below = ln_term.exp();
    let mut outside = 0;
    for k in 1..count {
        ln_term += ((count - k + 1) as f64 / k as f64).ln();
        below += ln_term.exp();
        if below > TAIL {
            break;
        }
        outside = k;
    }
    outside
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Ranks from tables of the sign test, which is the same question asked backwards.
    #[test]
    fn the_interval_leaves_out_what_the_tables_say() {
        for (count, outside) in [
            (1, 0),
            (5, 0),
            (6, 0),
            (8, 0),
            (9, 1),
            (11, 1),
            (15, 3),
            (20, 5),
            (25, 7),
            (41, 13),
            (100, 39),
        ] {
            assert_eq!(left_outside(count), outside, "of {count} samples");
        }
        // Where 2^-count is 0 as an f64, the normal approximation is good: count / 2 - 1.96 sqrt(count) / 2.
        let (large, normal) = (left_outside(3000), 1500.0 - 1.96 * 3000f64.sqrt() / 2.0);
        assert!((large as f64 - normal).abs() <= 1.5, "{large}, {normal}");
    }

    #[test]
    fn estimates_of_known_samples() {
        let shuffled: Vec<f64> = (0..41).map(|i| f64::from(i * 17 % 41)).collect();
        assert_eq!(Estimate::of(&shuffled), Estimate { median: 20.0, low: 13.0, high: 27.0 });
        assert_eq!(
            Estimate::of(&[4.0, 1.0, 3.0, 2.0]),
            Estimate { median: 2.5, low: 1.0, high: 4.0 }
        );
        assert_eq!(Estimate::of(&[7.0]), Estimate { median: 7.0, low: 7.0, high: 7.0 });
    }

    #[test]
    fn ratio_and_difference_are_taken_within_pairs() {
        // A machine that gets ten times slower in the middle: the medians of the two sides would say nothing.
        let base = vec![1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 10.0];
        let peer = base.iter().map(|base| base * 3.0).collect();
        let pairs = Pairs { base, peer };
        assert_eq!(pairs.ratio(), Estimate { median: 3.0, low: 3.0, high: 3.0 });
        assert_eq!(pairs.difference(), Estimate { median: 20.0, low: 2.0, high: 20.0 });
    }

    /// An interval of 95 % contains the true median 95 times of 100, whatever the distribution.
    #[test]
    fn the_interval_covers_the_true_median() {
        let mut random = raddle_core::random::Random::from_seed(1);
        let trials = 2000;
        let covered = (0..trials)
            .filter(|_| {
                // Skewed, with median 1/4.
                let samples: Vec<f64> =
                    (0..41).map(|_| (random.next_u64() as f64 / u64::MAX as f64).powi(2)).collect();
                let estimate = Estimate::of(&samples);
                (estimate.low..=estimate.high).contains(&0.25)
            })
            .count();
        let share = covered as f64 / f64::from(trials);
        assert!((0.94..0.99).contains(&share), "{share}");
    }

    /// A subject that notes its name and pretends to take `ns` an operation.
    fn pretender<'a>(log: &'a RefCell<String>, name: char, ns: u64) -> Work<'a> {
        Box::new(move |operations| {
            log.borrow_mut().push(name);
            Ok(Block { operations, elapsed: Duration::from_nanos(operations * ns) })
        })
    }

    #[test]
    fn subjects_run_in_turns_after_warming_up() {
        let log = RefCell::new(String::new());
        let plan = Plan { rounds: 3, block: Duration::from_micros(1) };
        let mut base = Subject::of_fixed_size("a", 5, pretender(&log, 'a', 10));
        let mut peer = Subject::of_fixed_size("b", 7, pretender(&log, 'b', 40));
        let pairs = Pairs::measure(&plan, &mut base, &mut peer).expect("pretenders don't fail");
        assert_eq!(*log.borrow(), "ababab".to_owned() + "ab");
        assert!((pairs.ratio().median - 4.0).abs() < 1e-9);
    }

    #[test]
    fn a_block_is_made_as_long_as_planned() {
        let log = RefCell::new(String::new());
        let mut subject = Subject::new("a", pretender(&log, 'a', 100));
        let operations =
            subject.calibrate(Duration::from_millis(20)).expect("pretenders don't fail");
        assert_eq!(operations, 200_000);
    }
}
