//! How many connections each core has, and where the next one is to go.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A count for each core. They are of about the same moment, which is enough for a choice.
#[derive(Debug)]
pub(super) struct Loads {
    cores: Box<[Load]>,
}

/// In a cache line of its own, as each is mostly written by its own core.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Load(AtomicUsize);

impl Loads {
    pub(super) fn new(cores: usize) -> Loads {
        Loads { cores: (0..cores.max(1)).map(|_| Load::default()).collect() }
    }

    pub(super) fn cores(&self) -> usize {
        self.cores.len()
    }

    pub(super) fn of(&self, core: usize) -> usize {
        self.cores[core].0.load(Ordering::Relaxed)
    }

    /// One more on that core.
    pub(super) fn enter(&self, core: usize) {
        self.cores[core].0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub(super) fn leave(&self, core: usize) {
        self.cores[core].0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The core with the fewest. Of several `here` is the first choice, whose caches and whose queue of events are at hand, and then those that follow it.
    pub(super) fn fewest(&self, here: usize) -> usize {
        let cores = self.cores.len();
        let others = (1..cores).map(|step| (here + step) % cores);
        others.fold(
            here % cores,
            |best, core| if self.of(core) < self.of(best) { core } else { best },
        )
    }

    /// Where a connection goes that `here` has accepted: it stays, unless that core's load stands out.
    pub(super) fn passed_on(&self, here: usize) -> usize {
        let fewest = self.fewest(here);
        if stands_out(self.of(here), self.of(fewest)) { fewest } else { here }
    }
}

/// Whether a core with so many connections has clearly more than the one with the fewest: by a quarter, and by more than four. Closer than that the kernel's
/// choice by hash brings them anyway, and to pass one on costs a wake-up of another core.
fn stands_out(own: usize, fewest: usize) -> bool {
    own > fewest + fewest / 4 + 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(counts: &[usize]) -> Loads {
        let loads = Loads::new(counts.len());
        for (core, count) in counts.iter().enumerate() {
            (0..*count).for_each(|_| loads.enter(core));
        }
        loads
    }

    #[test]
    fn the_fewest_are_found_and_here_is_the_first_of_equals() {
        assert_eq!(loads(&[3, 1, 2]).fewest(0), 1);
        assert_eq!(loads(&[2, 2, 2]).fewest(1), 1);
        assert_eq!(loads(&[1, 2, 1]).fewest(1), 2);
        assert_eq!(loads(&[0]).fewest(7), 0, "a core that is not there is none of them");
        let even = Loads::new(4);
        for turn in 0..400 {
            let core = even.fewest(turn % 3);
            even.enter(core);
        }
        assert!((0..4).all(|core| even.of(core) == 100));
        even.leave(2);
        assert_eq!(even.fewest(0), 2);
    }

    #[test]
    fn only_what_stands_out_is_passed_on() {
        for (counts, to) in
            [([0, 0], 0), ([4, 0], 0), ([5, 0], 1), ([104, 80], 0), ([105, 80], 1), ([80, 105], 0)]
        {
            assert_eq!(loads(&counts).passed_on(0), to, "{counts:?}");
        }
    }

    #[test]
    fn whatever_the_kernel_does_no_core_runs_away() {
        let loads = Loads::new(4);
        // All of them at one core.
        for _ in 0..1000 {
            loads.enter(loads.passed_on(2));
        }
        let counts: Vec<usize> = (0..4).map(|core| loads.of(core)).collect();
        let least = *counts.iter().min().unwrap();
        assert!(counts.iter().all(|count| *count <= least + least / 4 + 5), "{counts:?}");
    }
}
