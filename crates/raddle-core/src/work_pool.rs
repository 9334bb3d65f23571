//! The policy of a workqueue's pool of workers: questions over plain numbers, each answered in a line.
//!
//! A pool has a list of work items and threads, its *workers*, that take them from it. How many shall run at a time is what Linux's
//! concurrency-managed workqueue answers (`kernel/workqueue.c`, whose questions have the same names; its text is
//! `Documentation/core-api/workqueue.rst`): as few as keep the processor busy. A worker whose item sleeps does not count as running, so
//! the next item begins on another worker; one whose item computes does count, so it does not.
//!
//! ```text
//!   an item comes, or a worker's item sleeps      need_more_workers?   wake one that is idle
//!   a worker leaves the idle ones                 may_start_working?   if not, it makes another before it takes an item
//!   a worker's item is over                       keep_working?        take the next item; if not, become idle
//!   a worker has been idle for long               too_many_workers?    end
//! ```
//!
//! *An idle worker is always in reserve*, or about to be: whoever goes to sleep is in the scheduler, where no thread can be made. So nothing
//! deadlocks: an item that waits for another one sleeps, and the reserve takes that.
//!
//! Rejected: a worker for each item (threads of raddle's are cheap enough, but a thousand items that compute need one stack, not a
//! thousand, and stay in its caches); as many workers as cores (an item that waits holds one up, and if it waits for an item, all).

/// How many idle workers stay, however few are busy.
pub const IDLE_KEPT: usize = 2;
/// Of more, as many as a quarter of those that are busy stay as well: Linux's `MAX_IDLE_WORKERS_RATIO`.
pub const BUSY_TO_IDLE: usize = 4;

/// A pool in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many workers may run at a time: 1 where the pool belongs to a core, else as many as there are cores.
    pub width: usize,
    /// Items that could begin.
    pub pending: usize,
    /// Workers that run, or are about to: those whose item sleeps don't.
    pub running: usize,
    /// Workers that wait for items.
    pub idle: usize,
    /// Workers that are being made.
    pub coming: usize,
    /// All workers, but for those that are being made.
    pub workers: usize,
}

/// Whether an idle worker should be woken.
///
/// ```
/// use raddle_core::work_pool::{Counts, need_more_workers};
/// let computes = Counts { width: 1, pending: 5, running: 1, ..Counts::default() };
/// assert!(!need_more_workers(&computes));
/// assert!(need_more_workers(&Counts { running: 0, ..computes }), "its item sleeps");
/// ```
#[inline]
pub const fn need_more_workers(counts: &Counts) -> bool {
    counts.pending > 0 && counts.running < counts.width
}

/// Whether a worker that leaves the idle ones may take an item: one must be left in reserve, or come.
#[inline]
pub const fn may_start_working(counts: &Counts) -> bool {
    counts.idle + counts.coming > 0
}

/// Whether a worker, which counts as running, should take one more item. With items that have slept and go on there may be more that run
/// than should: the first of them that are done become idle.
#[inline]
pub const fn keep_working(counts: &Counts) -> bool {
    counts.pending > 0 && counts.running <= counts.width
}

/// Whether there are more idle workers than another burst is likely to need.
#[inline]
pub const fn too_many_workers(counts: &Counts) -> bool {
    let busy = counts.workers.saturating_sub(counts.idle);
    let surplus = counts.idle.saturating_sub(IDLE_KEPT);
    surplus > 0 && surplus * BUSY_TO_IDLE >= busy
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Counts = Counts { width: 1, pending: 1, running: 0, idle: 1, coming: 0, workers: 1 };

    #[test]
    fn a_worker_is_woken_while_fewer_run_than_should() {
        for (what, counts, wanted) in [
            ("an item for an idle pool", ONE, true),
            ("no item", Counts { pending: 0, ..ONE }, false),
            ("one computes", Counts { running: 1, pending: 100, ..ONE }, false),
            ("two have woken from their sleep", Counts { running: 2, ..ONE }, false),
            ("a second core", Counts { width: 2, running: 1, ..ONE }, true),
            ("both cores compute", Counts { width: 2, running: 2, ..ONE }, false),
        ] {
            assert_eq!(need_more_workers(&counts), wanted, "{what}");
        }
    }

    #[test]
    fn a_worker_goes_on_unless_too_many_run() {
        let running = |running| Counts { running, ..ONE };
        assert!(keep_working(&running(1)) && !keep_working(&running(2)));
        assert!(!keep_working(&Counts { pending: 0, ..running(1) }));
        // Whoever becomes idle because too many run leaves as many as should.
        for count in 2..5 {
            assert!(!keep_working(&running(count)) && !need_more_workers(&running(count - 1)));
        }
    }

    #[test]
    fn a_reserve_is_kept() {
        assert!(may_start_working(&ONE));
        assert!(!may_start_working(&Counts { idle: 0, ..ONE }));
        assert!(may_start_working(&Counts { idle: 0, coming: 1, ..ONE }));
    }

    #[test]
    fn those_that_end_leave_two_and_a_quarter_of_the_busy_ones() {
        let counts = |idle, busy| Counts { idle, workers: idle + busy, ..ONE };
        let kept = |busy| (0..200).find(|&idle| too_many_workers(&counts(idle, busy)));
        assert_eq!(kept(0), Some(3));
        assert_eq!(kept(4), Some(3));
        assert_eq!(kept(40), Some(12));
        assert!(!too_many_workers(&counts(2, 0)));
    }
}
