//! Which of several targets, or of a scenario's flows, is next: drawn by their weights.

use raddle_core::random::Random;

#[derive(Debug)]
pub(crate) struct Mix {
    /// Sums of the weights up to each target.
    sums: Box<[u64]>,
    random: Random,
}

impl Mix {
    /// One of the weights at least is not zero.
    pub(crate) fn new(weights: impl Iterator<Item = u32>, seed: u64) -> Mix {
        let mut sum = 0;
        let add = |weight: u32| {
            sum += u64::from(weight);
            sum
        };
        Mix { sums: weights.map(add).collect(), random: Random::from_seed(seed) }
    }

    #[inline]
    pub(crate) fn draw(&mut self) -> usize {
        if self.sums.len() == 1 {
            return 0;
        }
        let at = self.random.below(self.sums[self.sums.len() - 1]);
        self.sums.partition_point(|sum| *sum <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_come_by_their_weights() {
        let mut mix = Mix { sums: [1, 1, 4].into(), random: Random::from_seed(3) };
        let mut seen = [0_u32; 3];
        for _ in 0..40_000 {
            seen[mix.draw()] += 1;
        }
        assert!((9_500..10_500).contains(&seen[0]) && seen[1] == 0, "{seen:?}");
    }
}
