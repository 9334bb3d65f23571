//! The worker pool's policy: questions over plain numbers, each answered in a line or two.
//!
//! A core is a seat, a worker is a kernel thread, and a worker whose thread blocks in the kernel loses its seat to a spare:
//! Linux's concurrency-managed workqueue (`kernel/workqueue.c`, whose questions have the same names) in user space. What
//! makes that hard, the races, is the runtime's; what is merely a matter of judgement stands here, where a table of
//! cases can test it, and where whoever wants another policy finds all of it on one page.
//!
//! The numbers may be old by the time they are judged. Every answer is therefore a hint that may be wrong for a moment and
//! never unsound: one spare too many, or a hand-over that comes a look later.
//!
//! **When is a worker blocked?** When it was dispatched to nothing new between two looks, its CPU clock stood still and
//! the kernel says that it sleeps. Each of the three alone is true of other workers too: one thread may compute for
//! long; a clock stands still also when the kernel has given the CPU to somebody else, and then a replacement would
//! only compete with it; and a thread may sleep at both looks, with a thousand switches between. Where the kernel's word
//! can't be had (no /proc under chroot or landlock), a clock that stands still for long has to do.
//!
//! Rejected: a cap on the number of replacements (a program whose threads all wait for one that isn't running would stop
//! for ever); asking `schedstat` or eBPF whether the worker waits for a CPU (needs rights, or a kernel option).

/// How many spares are kept ready: making a kernel thread takes libc's locks, which a preempted thread may hold.
pub const SPARES: u32 = 1;

/// A spare that nobody needed for this long may end.
pub const RETIRE_AFTER_NS: u64 = 30_000_000_000;

/// Without the kernel's word, a clock that stood still for this long means that the worker is blocked: longer than a busy
/// machine commonly lets a thread wait for a CPU.
pub const STILL_FOR_NS: u64 = 20_000_000;

/// The pool in numbers. A worker is seated, blocked or a spare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Seats.
    pub cores: u32,
    /// Workers that have a core.
    pub seated: u32,
    /// Of these, such as sleep because they have nothing to run.
    pub idle: u32,
    /// Of these, such as are awake and look for something to run.
    pub searching: u32,
    /// Workers that lost their core while they were blocked.
    pub blocked: u32,
    /// Workers without a core that wait for one.
    pub spares_parked: u32,
    /// Workers that are being made.
    pub spares_coming: u32,
    /// Threads that wait in the queues of all cores.
    pub runnable: usize,
}

/// Whether a worker should be made: a spare must be ready, and one for each seat that nobody has.
///
/// Nothing caps this: whoever is blocked may wait for a thread that has not run yet.
pub const fn need_more_workers(counts: &Counts) -> bool {
    let free = counts.cores.saturating_sub(counts.seated);
    counts.spares_parked.saturating_add(counts.spares_coming) < SPARES.saturating_add(free)
}

/// Whether there are more spares than another burst is likely to need: beyond those that [`need_more_workers`] wants, a
/// quarter of those who work, as in Linux.
pub const fn too_many_workers(counts: &Counts) -> bool {
    let working = counts.seated.saturating_add(counts.blocked);
    let wanted = SPARES.saturating_add(counts.cores.saturating_sub(counts.seated));
    counts.spares_parked.saturating_sub(wanted) > working / 4
}

/// Whether a spare that has been parked for `parked_ns` may end. Never one whose own requests are still in flight: they
/// belong to the kernel thread that made them, and would be cancelled with it.
pub const fn may_retire(counts: &Counts, parked_ns: u64, requests_in_flight: u32) -> bool {
    too_many_workers(counts) && parked_ns >= RETIRE_AFTER_NS && requests_in_flight == 0
}

/// Whether a worker that comes back from the kernel finds a seat free, and needn't park as a spare.
pub const fn may_sit_down(counts: &Counts) -> bool {
    counts.seated < counts.cores
}

/// Whether a sleeping worker should be woken to look for something to run.
///
/// Not while another is searching: one that finds something asks this again, so that a burst wakes as many as it has work
/// for, and a single thread wakes one.
pub const fn should_wake_idle(counts: &Counts) -> bool {
    counts.runnable > 0 && counts.idle > 0 && counts.searching == 0
}

/// What the kernel says that a kernel thread does: the letter in `/proc/self/task/TID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelState {
    /// R: it runs or waits for a CPU.
    Runs,
    /// S or D: it waits for something else.
    Waits,
    /// Stopped, traced or dead: none of the scheduler's business.
    Other,
    /// The kernel could not be asked.
    Unknown,
}

impl KernelState {
    /// What `letter` means.
    ///
    /// ```
    /// use raddle_core::pool::KernelState;
    /// assert_eq!(KernelState::from_letter(b'D'), KernelState::Waits);
    /// assert_eq!(KernelState::from_letter(b't'), KernelState::Other);
    /// ```
    pub const fn from_letter(letter: u8) -> KernelState {
        match letter {
            b'R' => KernelState::Runs,
            b'S' | b'D' => KernelState::Waits,
            _ => KernelState::Other,
        }
    }
}

/// One look at a worker that runs a thread.
///
/// Take the state first, then the clock, then the dispatch number: a worker that goes on in between shows by one
/// of the later two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// What the kernel says.
    pub state: KernelState,
    /// The worker's CPU clock.
    pub cpu_ns: u64,
    /// How often it has switched to a thread.
    pub dispatch: u64,
    /// When this was.
    pub at_ns: u64,
}

/// Whether a worker was blocked between two looks, the `first` and a later one.
///
/// ```
/// use raddle_core::pool::{KernelState, Look, is_blocked};
/// let first = Look { state: KernelState::Waits, cpu_ns: 700, dispatch: 3, at_ns: 1_000 };
/// assert!(is_blocked(&first, &Look { at_ns: 2_000, ..first }));
/// assert!(!is_blocked(&first, &Look { at_ns: 2_000, dispatch: 4, ..first }));
/// ```
pub const fn is_blocked(first: &Look, second: &Look) -> bool {
    let still = first.dispatch == second.dispatch && first.cpu_ns == second.cpu_ns;
    still
        && match second.state {
            KernelState::Waits => true,
            KernelState::Runs | KernelState::Other => false,
            KernelState::Unknown => second.at_ns.saturating_sub(first.at_ns) >= STILL_FOR_NS,
        }
}

/// A core, as somebody sees it who would give it to another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Whether its worker [is blocked](is_blocked).
    pub is_blocked: bool,
    /// Whether its worker runs a thread. One that sleeps because it has none is idle, not blocked.
    pub runs_thread: bool,
    /// The preemption count of that thread: above 0 it may hold the runtime's locks.
    pub preemption_count: u32,
    /// Whether there is anything to do: a thread in its queue, a deadline that passed, I/O that nobody else polls for.
    pub has_work: bool,
}

/// Whether the core may be taken from its worker. Ask before its core-lost bit is set and again after the barrier: the
/// worker may have gone on in between.
pub const fn may_take_core(counts: &Counts, seat: &Seat) -> bool {
    counts.spares_parked > 0
        && seat.is_blocked
        && seat.runs_thread
        && seat.preemption_count == 0
        && seat.has_work
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight cores, all seated, one spare: the usual state of things.
    const USUAL: Counts = Counts {
        cores: 8,
        seated: 8,
        idle: 0,
        searching: 0,
        blocked: 0,
        spares_parked: 1,
        spares_coming: 0,
        runnable: 0,
    };

    #[test]
    fn a_spare_is_always_ready_or_coming() {
        for (what, counts, wanted) in [
            ("as usual", USUAL, false),
            ("the spare took a seat", Counts { spares_parked: 0, blocked: 1, ..USUAL }, true),
            ("one is coming", Counts { spares_parked: 0, spares_coming: 1, ..USUAL }, false),
            ("a seat is free", Counts { seated: 7, ..USUAL }, true),
            (
                "a seat is free, one is coming",
                Counts { seated: 7, spares_coming: 1, ..USUAL },
                false,
            ),
            ("at the start", Counts { cores: 8, ..Counts::default() }, true),
            (
                "at the start, all coming",
                Counts { cores: 8, spares_coming: 9, ..Counts::default() },
                false,
            ),
            (
                "ten thousand are blocked",
                Counts { spares_parked: 0, blocked: 10_000, ..USUAL },
                true,
            ),
        ] {
            assert_eq!(need_more_workers(&counts), wanted, "{what}");
        }
    }

    #[test]
    fn spares_of_a_burst_end_but_not_all_and_not_at_once() {
        let after = |spares_parked| Counts { spares_parked, ..USUAL };
        for (what, counts, too_many) in [
            ("as usual", USUAL, false),
            ("a quarter more", after(3), false),
            ("one beyond", after(4), true),
            ("after a burst", after(100), true),
            ("in a burst, others are blocked", Counts { blocked: 100, ..after(28) }, false),
            ("none", after(0), false),
        ] {
            assert_eq!(too_many_workers(&counts), too_many, "{what}");
            assert_eq!(may_retire(&counts, RETIRE_AFTER_NS, 0), too_many, "{what}");
            assert!(!(too_many && need_more_workers(&counts)), "{what}: both at once");
        }
        assert!(!may_retire(&after(100), RETIRE_AFTER_NS - 1, 0));
        assert!(!may_retire(&after(100), u64::MAX, 1), "its requests would be cancelled");
    }

    /// Whatever the numbers are: a pool that makes workers and ends them in turns would never come to rest.
    #[test]
    fn no_pool_both_lacks_workers_and_has_too_many() {
        for n in 0..6u32.pow(5) {
            let digit = |at: u32| n / 6u32.pow(at) % 6;
            let counts = Counts {
                cores: digit(0) * 3 + 1,
                seated: (digit(1) * 3).min(digit(0) * 3 + 1),
                blocked: digit(2) * 4,
                spares_parked: digit(3),
                spares_coming: digit(4),
                ..Counts::default()
            };
            assert!(!(need_more_workers(&counts) && too_many_workers(&counts)), "{counts:?}");
        }
    }

    #[test]
    fn seats_and_wakes() {
        assert!(!may_sit_down(&USUAL));
        assert!(may_sit_down(&Counts { seated: 7, ..USUAL }));
        let work = Counts { idle: 2, runnable: 1, ..USUAL };
        for (what, counts, wanted) in [
            ("there is work", work, true),
            ("there is none", Counts { runnable: 0, ..work }, false),
            ("nobody sleeps", Counts { idle: 0, ..work }, false),
            ("somebody is looking already", Counts { searching: 1, ..work }, false),
        ] {
            assert_eq!(should_wake_idle(&counts), wanted, "{what}");
        }
    }

    #[test]
    fn blocked_needs_all_three_signs() {
        use KernelState::{Other, Runs, Unknown, Waits};
        let first = Look { state: Waits, cpu_ns: 5, dispatch: 9, at_ns: 100 };
        let later = Look { at_ns: 100 + STILL_FOR_NS - 1, ..first };
        let much_later = Look { at_ns: 100 + STILL_FOR_NS, ..first };
        for (what, second, wanted) in [
            ("it waits", later, true),
            ("it ran meanwhile", Look { cpu_ns: 6, ..later }, false),
            ("it switched meanwhile", Look { dispatch: 10, ..later }, false),
            ("it is descheduled", Look { state: Runs, ..much_later }, false),
            ("a debugger holds it", Look { state: Other, ..much_later }, false),
            ("nobody knows, for a short time", Look { state: Unknown, ..later }, false),
            ("nobody knows, for long", Look { state: Unknown, ..much_later }, true),
            ("it ran, for long", Look { state: Unknown, cpu_ns: 6, ..much_later }, false),
            ("it has just begun to wait", Look { state: Waits, ..later }, true),
        ] {
            for before in [Waits, Runs, Unknown] {
                assert_eq!(is_blocked(&Look { state: before, ..first }, &second), wanted, "{what}");
            }
        }
    }

    #[test]
    fn letters_are_as_proc_5_lists_them() {
        for (letters, state) in [
            ("R", KernelState::Runs),
            ("SD", KernelState::Waits),
            ("TtZXxKWPI?", KernelState::Other),
        ] {
            for letter in letters.bytes() {
                assert_eq!(KernelState::from_letter(letter), state, "{}", letter as char);
            }
        }
    }

    #[test]
    fn a_core_is_taken_for_good_reason_only() {
        let seat =
            Seat { is_blocked: true, runs_thread: true, preemption_count: 0, has_work: true };
        for (what, counts, seat, wanted) in [
            ("all is as it must be", USUAL, seat, true),
            ("no spare", Counts { spares_parked: 0, ..USUAL }, seat, false),
            (
                "a spare on its way",
                Counts { spares_parked: 0, spares_coming: 1, ..USUAL },
                seat,
                false,
            ),
            ("it runs", USUAL, Seat { is_blocked: false, ..seat }, false),
            ("it is idle", USUAL, Seat { runs_thread: false, ..seat }, false),
            ("it may hold a lock", USUAL, Seat { preemption_count: 1, ..seat }, false),
            ("nothing waits for the core", USUAL, Seat { has_work: false, ..seat }, false),
        ] {
            assert_eq!(may_take_core(&counts, &seat), wanted, "{what}");
        }
    }
}
