//! What others took of a thread's time: the kernel gave the processor to the monitor, to another process, or a host to another machine.
//!
//! A thread's slice ends by the wall clock, as that is what the monitor can wait for. What the thread really had of it the clock of its
//! worker's processor time says. To read that is a system call, so it is read only where a thread is preempted, which costs thirty times as
//! much; then it is known also for the thread that is dispatched next. One that was dispatched after a sleep pays by the wall clock.

/// A reading of a worker's clock of processor time, just before a dispatch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// Of the worker.
    cpu_ns: u64,
    /// Which dispatch, of which core: only what that thread ran can be told from it.
    dispatch: (usize, u64),
}

impl Mark {
    /// Of no dispatch that there is.
    pub(crate) const NONE: Mark = Mark { cpu_ns: 0, dispatch: (usize::MAX, 0) };

    /// The worker's clock says `cpu_ns`, and what its core dispatches next has the number `dispatch`.
    pub(crate) fn new(cpu_ns: u64, core: usize, dispatch: u64) -> Mark {
        Mark { cpu_ns, dispatch: (core, dispatch) }
    }

    /// How much of `ran_ns` the thread of that dispatch was not on the processor, if it is known, now that the worker's clock says
    /// `cpu_ns`.
    pub(crate) fn stolen_ns(&self, core: usize, dispatch: u64, cpu_ns: u64, ran_ns: u64) -> u64 {
        if self.dispatch != (core, dispatch) {
            return 0;
        }
        ran_ns.saturating_sub(cpu_ns.saturating_sub(self.cpu_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_the_dispatch_that_follows_it_is_known_what_was_stolen() {
        let mark = Mark::new(5_000, 1, 7);
        assert_eq!(mark.stolen_ns(1, 7, 5_900, 1_000), 100);
        assert_eq!(mark.stolen_ns(1, 7, 6_100, 1_000), 0, "clocks differ by a little");
        assert_eq!(mark.stolen_ns(1, 8, 5_900, 1_000), 0);
        assert_eq!(mark.stolen_ns(0, 7, 5_900, 1_000), 0);
        assert_eq!(Mark::NONE.stolen_ns(0, 0, 5_900, 1_000), 0);
    }
}
