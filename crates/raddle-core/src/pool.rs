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
//! **When is a spare one too many?** When nobody needed it for a while. Spares are taken last in, first out, so that is no matter
//! of any single one: it is the least number that were parked over that while, less those that stay ([`Idleness`]).
//!
//! Rejected: a cap on the number of replacements (a program whose threads all wait for one that isn't running would stop
//! for ever); asking `schedstat` or eBPF whether the worker waits for a CPU (needs rights, or a kernel option); a time stamp on each
//! spare, as in Linux (the newest is on top: the oldest would have to be found at the bottom of the list).

/// How many spares are kept ready: making a kernel thread takes libc's locks, which a preempted thread may hold.
pub const SPARES: u32 = 1;

/// A spare that nobody needed for this long may end, unless the runtime is told otherwise.
pub const KEEP_ALIVE_NS: u64 = 2_000_000_000;

/// So many spares are sent to their end at once, and so long is waited before the next: an end costs the kernel tens of
/// microseconds, and a pool of hundreds shall not take a processor from whoever computes.
pub const END_AT_ONCE: u32 = 16;
/// See [`END_AT_ONCE`].
pub const END_STEP_NS: u64 = 4_000_000;

/// Recruits, of which a worker can be made without libc, are kept in stock up to this number: as many workers can follow one another into
/// blocking calls before one of them must have had time to call libc.
pub const STOCK: usize = 16;
/// With fewer in stock, it is filled.
pub const STOCK_LOW: usize = 12;
/// So many are kept from threads that wait for locks: those can be queued instead.
pub const STOCK_RESERVE: usize = 6;

/// With so many blocked already, most likely they all wait for somebody who is queued.
pub const CROWD: u32 = 64;
/// Of a crowd every so many-th is replaced all the same.
pub const CROWD_SOME: u32 = 8;

/// Without the kernel's word, a clock that stood still for this long means that the worker is blocked: longer than a busy
/// machine commonly lets a thread wait for a CPU.
pub const STILL_FOR_NS: u64 = 20_000_000;

/// The pool in numbers. A worker has a core, is blocked without one, or is a spare; every core has a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Seats.
    pub cores: u32,
    /// Workers that lost their core while they were blocked.
    pub blocked: u32,
    /// Workers without a core that wait for one.
    pub spares_parked: u32,
    /// Workers that are being made, to be spares.
    pub spares_coming: u32,
    /// Recruits in stock.
    pub stock: u32,
    /// Whether a spare is filling the stock, and will park when libc has let it.
    pub is_filling: bool,
}

/// Whether a worker should be made: a spare must be ready.
///
/// Nothing caps this: whoever is blocked may wait for a thread that has not run yet.
pub const fn need_more_workers(counts: &Counts) -> bool {
    counts.spares_parked + counts.spares_coming < SPARES
}

/// Whether a worker should be made although a spare is ready: to fill the stock, before it parks. The one that is ready can't: it may be
/// needed while libc lets it wait.
pub const fn need_filler(counts: &Counts) -> bool {
    counts.spares_parked == 1 && counts.spares_coming == 0 && may_fill(counts)
}

/// Whether a worker that has no core and is about to park should fill the stock before: it is low, and nobody does it already. Nobody counts
/// on who does, as libc may let it wait. So another spare must be ready, or be made of what is left in stock.
///
/// Not only where one is ready: in a convoy of threads that block, each spare that parks is needed at once, and the last of the stock would
/// be used up without anybody having filled it.
pub const fn may_fill(counts: &Counts) -> bool {
    let is_low = counts.stock < STOCK_LOW as u32;
    let has_another = counts.spares_parked > 0 || counts.stock > 0;
    is_low && has_another && !counts.is_filling
}

/// Whether workers run short: no spare is in sight, for want of room in the kernel most likely, or the stock is down to its reserve.
pub const fn run_short(counts: &Counts) -> bool {
    counts.spares_parked + counts.spares_coming == 0 || counts.stock < STOCK_RESERVE as u32
}

/// Whether so many are blocked already that who waits for a lock shall rather go to the queue than be replaced: most likely they all
/// wait for somebody who is queued. `nth` counts who was asked that in a crowd: whoever waits for long is not to be tried in every
/// round, so some get a worker all the same.
pub const fn is_one_of_a_crowd(counts: &Counts, nth: u32) -> bool {
    counts.blocked >= CROWD && !nth.is_multiple_of(CROWD_SOME)
}

/// How many spares stay, however long nobody needs them: one more than must be, or a quarter of those who work, as in Linux.
pub const fn spares_kept(counts: &Counts) -> u32 {
    let quarter = (counts.cores + counts.blocked) / 4;
    SPARES + if quarter > 1 { quarter } else { 1 }
}

/// Whether there are more spares than another burst is likely to need.
pub const fn too_many_workers(counts: &Counts) -> bool {
    counts.spares_parked > spares_kept(counts)
}

/// Whether a spare may end, by what it has in hand itself. Requests that it has made of the kernel (io_uring) would be cancelled with it.
/// The runtime asks this as soon as its workers make any.
pub const fn may_end(requests_in_flight: u32) -> bool {
    requests_in_flight == 0
}

/// For how long how many spares have not been needed: since the beginning of a span.
#[derive(Clone, Copy, Debug)]
pub struct Idleness {
    /// How long a span is.
    keep_alive_ns: u64,
    began_ns: u64,
    /// The least that were parked in this span, without those that were sent to their end.
    fewest: u32,
}

/// What is to become of surplus spares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// So many parked spares shall end.
    pub shall_end: u32,
    /// When to ask again, at the latest; `u64::MAX` if there is no surplus.
    pub look_at_ns: u64,
}

impl Idleness {
    /// A spare that nobody needed for `keep_alive_ns` may end. The first span begins at `now_ns`.
    pub const fn new(keep_alive_ns: u64, now_ns: u64) -> Idleness {
        Idleness { keep_alive_ns, began_ns: now_ns, fewest: 0 }
    }

    /// Judges the pool: `fewest` is the least number of spares that were parked at any time since the last look.
    ///
    /// Whoever asks need not ask again before the time that it is told, unless spares park meanwhile.
    ///
    /// ```
    /// use raddle_core::pool::{Counts, Idleness, END_AT_ONCE};
    /// let counts = Counts { cores: 2, spares_parked: 100, ..Counts::default() };
    /// let mut idleness = Idleness::new(1_000, 0);
    /// // Until a moment ago there were none.
    /// assert_eq!(idleness.look(&counts, 0, 500).shall_end, 0);
    /// assert_eq!(idleness.look(&counts, 100, 1_000).look_at_ns, 2_000);
    /// assert_eq!(idleness.look(&counts, 100, 2_000).shall_end, END_AT_ONCE);
    /// ```
    pub fn look(&mut self, counts: &Counts, fewest: u32, now_ns: u64) -> Surplus {
        let parked = counts.spares_parked;
        self.fewest = self.fewest.min(fewest).min(parked);
        if !too_many_workers(counts) {
            self.begin(parked, now_ns);
            return Surplus { shall_end: 0, look_at_ns: u64::MAX };
        }
        let ends_ns = self.began_ns.saturating_add(self.keep_alive_ns);
        if now_ns < ends_ns {
            return Surplus { shall_end: 0, look_at_ns: ends_ns };
        }
        let surplus = self.fewest.saturating_sub(spares_kept(counts));
        if surplus == 0 {
            self.begin(parked, now_ns);
            let look_at_ns = now_ns.saturating_add(self.keep_alive_ns);
            return Surplus { shall_end: 0, look_at_ns };
        }
        let shall_end = surplus.min(END_AT_ONCE);
        self.fewest -= shall_end;
        Surplus { shall_end, look_at_ns: now_ns.saturating_add(END_STEP_NS) }
    }

    fn begin(&mut self, parked: u32, now_ns: u64) {
        (self.began_ns, self.fewest) = (now_ns, parked);
    }
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

/// Whether nothing moved between two looks: then the first stays the first for a third.
pub const fn stood_still(first: &Look, second: &Look) -> bool {
    first.dispatch == second.dispatch && first.cpu_ns == second.cpu_ns
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
    stood_still(first, second)
        && match second.state {
            KernelState::Waits => true,
            KernelState::Runs | KernelState::Other => false,
            KernelState::Unknown => second.at_ns.saturating_sub(first.at_ns) >= STILL_FOR_NS,
        }
}

/// A core, as somebody sees it who would give it to another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Whether its worker runs a thread, and the same as when that was found [blocked](is_blocked). One that sleeps because it has none
    /// is idle, not blocked.
    pub runs_same_thread: bool,
    /// Whether that thread is outside the runtime: inside it may hold the runtime's locks.
    pub is_outside: bool,
}

/// Whether the core of a blocked worker may be taken. Ask after the worker was told of the doubt, and the barrier: it may have gone on
/// before.
pub const fn may_take_core(seat: &Seat) -> bool {
    seat.runs_same_thread && seat.is_outside
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight cores, one spare, the stock full: the usual state of things.
    const USUAL: Counts = Counts {
        cores: 8,
        blocked: 0,
        spares_parked: 1,
        spares_coming: 0,
        stock: STOCK as u32,
        is_filling: false,
    };
    const LOW: u32 = STOCK_LOW as u32 - 1;

    #[test]
    fn a_spare_is_always_ready_or_coming() {
        for (what, counts, wanted) in [
            ("as usual", USUAL, false),
            ("the spare took a core", Counts { spares_parked: 0, blocked: 1, ..USUAL }, true),
            ("one is coming", Counts { spares_parked: 0, spares_coming: 1, ..USUAL }, false),
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
    fn one_spare_fills_the_stock_while_another_is_ready() {
        let low = Counts { stock: LOW, ..USUAL };
        for (what, counts, filler, fills) in [
            ("the stock is full", USUAL, false, false),
            ("it is low", low, true, true),
            ("one comes, and will fill it", Counts { spares_coming: 1, ..low }, false, true),
            ("one fills it", Counts { is_filling: true, ..low }, false, false),
            ("no other is ready, but can be made", Counts { spares_parked: 0, ..low }, false, true),
            (
                "no other is ready, nor can be made",
                Counts { spares_parked: 0, stock: 0, ..low },
                false,
                false,
            ),
            ("many are ready", Counts { spares_parked: 9, ..low }, false, true),
        ] {
            assert_eq!(need_filler(&counts), filler, "{what}");
            assert_eq!(may_fill(&counts), fills, "{what}");
            assert!(!(filler && need_more_workers(&counts)), "{what}: two for one");
        }
    }

    /// Each spare takes a core as soon as it parks. To fill the stock takes as long as libc lets it: here, three more blocked threads.
    #[test]
    fn the_stock_outlasts_a_convoy() {
        let mut counts = Counts { spares_parked: 0, ..USUAL };
        let mut filled_in = 0;
        for blocked in 0..1_000 {
            counts.blocked = blocked;
            while need_more_workers(&counts) {
                assert!(counts.stock > 0, "dry, with {blocked} blocked");
                counts.stock -= 1;
                if may_fill(&counts) {
                    (counts.is_filling, filled_in) = (true, 3);
                } else {
                    counts.spares_parked += 1;
                }
            }
            counts.spares_parked -= 1;
            if counts.is_filling {
                filled_in -= 1;
                if filled_in == 0 {
                    counts.is_filling = false;
                    counts.stock = STOCK as u32;
                    counts.spares_parked += 1;
                }
            }
        }
    }

    #[test]
    fn workers_run_short_without_spares_or_stock() {
        let reserve = STOCK_RESERVE as u32;
        for (what, counts, short) in [
            ("as usual", USUAL, false),
            ("none is in sight", Counts { spares_parked: 0, ..USUAL }, true),
            ("one is coming", Counts { spares_parked: 0, spares_coming: 1, ..USUAL }, false),
            ("the reserve is whole", Counts { stock: reserve, ..USUAL }, false),
            ("it is not", Counts { stock: reserve - 1, ..USUAL }, true),
        ] {
            assert_eq!(run_short(&counts), short, "{what}");
        }
    }

    #[test]
    fn of_a_crowd_some_are_replaced() {
        let crowd = Counts { blocked: CROWD, ..USUAL };
        let replaced = (0..64).filter(|&nth| !is_one_of_a_crowd(&crowd, nth)).count();
        assert_eq!(replaced, 64 / CROWD_SOME as usize);
        let few = Counts { blocked: CROWD - 1, ..USUAL };
        assert!((0..64).all(|nth| !is_one_of_a_crowd(&few, nth)));
    }

    const PARKED: fn(u32) -> Counts = |spares_parked| Counts { spares_parked, ..USUAL };

    #[test]
    fn some_spares_are_kept() {
        for (what, counts, too_many) in [
            ("as usual", USUAL, false),
            ("a quarter more", PARKED(3), false),
            ("one beyond", PARKED(4), true),
            ("after a burst", PARKED(100), true),
            ("in a burst, others are blocked", Counts { blocked: 100, ..PARKED(28) }, false),
            ("none", PARKED(0), false),
            ("one core, two spares", Counts { cores: 1, ..PARKED(2) }, false),
            ("one core, three", Counts { cores: 1, ..PARKED(3) }, true),
        ] {
            assert_eq!(too_many_workers(&counts), too_many, "{what}");
            assert!(!(too_many && (need_more_workers(&counts) || need_filler(&counts))), "{what}");
        }
        assert!(may_end(0) && !may_end(1), "its requests would be cancelled");
    }

    /// Whatever the numbers are: a pool that makes workers and ends them in turns would never come to rest.
    #[test]
    fn no_pool_both_lacks_workers_and_has_too_many() {
        for n in 0..6u32.pow(5) {
            let digit = |at: u32| n / 6u32.pow(at) % 6;
            let counts = Counts {
                cores: digit(0) * 3 + 1,
                blocked: digit(1) * 40,
                spares_parked: digit(2),
                spares_coming: digit(3),
                stock: digit(4) * 3,
                is_filling: n.is_multiple_of(2),
            };
            let more = need_more_workers(&counts) || need_filler(&counts);
            assert!(!(more && too_many_workers(&counts)), "{counts:?}");
        }
    }

    /// A pool that nobody uses: what is asked for happens at once. Gives what is left, and when it came to rest.
    fn left_alone(mut parked: u32, began_ns: u64) -> (u32, u64) {
        let mut idleness = Idleness::new(KEEP_ALIVE_NS, began_ns);
        let (mut now, mut fewest) = (began_ns, 0);
        loop {
            let Surplus { shall_end, look_at_ns } = idleness.look(&PARKED(parked), fewest, now);
            assert!(shall_end <= END_AT_ONCE);
            parked -= shall_end;
            fewest = parked;
            if look_at_ns == u64::MAX {
                return (parked, now);
            }
            assert!(look_at_ns > now);
            now = look_at_ns;
        }
    }

    #[test]
    fn a_pool_that_is_left_alone_comes_to_rest() {
        for parked in [0, 1, 3, 4, 100, 1_000] {
            let (left, rest_ns) = left_alone(parked, 7);
            assert_eq!(left, parked.min(spares_kept(&USUAL)));
            let steps = u64::from(parked / END_AT_ONCE + 2);
            assert!(rest_ns <= 7 + 2 * KEEP_ALIVE_NS + steps * END_STEP_NS, "{parked}: {rest_ns}");
            assert!(left == parked || rest_ns >= KEEP_ALIVE_NS, "{parked}: too soon");
        }
    }

    #[test]
    fn spares_that_are_needed_now_and_then_stay() {
        let mut idleness = Idleness::new(1_000, 0);
        // Once in each span all but three are taken.
        for now in (0..20_000).step_by(100) {
            let fewest = if now % 900 == 0 { 3 } else { 100 };
            assert_eq!(idleness.look(&PARKED(100), fewest, now).shall_end, 0, "at {now}");
        }
    }

    #[test]
    fn only_what_was_never_needed_ends_and_a_new_burst_stops_it() {
        let mut idleness = Idleness::new(1_000, 0);
        assert_eq!(idleness.look(&PARKED(100), 0, 0).shall_end, 0);
        assert_eq!(idleness.look(&PARKED(100), 100, 1_000).shall_end, 0, "a new span begins");
        assert_eq!(idleness.look(&PARKED(100), 23, 1_500).shall_end, 0);
        // 20 beyond the three that are kept.
        assert_eq!(idleness.look(&PARKED(100), 100, 2_000).shall_end, END_AT_ONCE);
        assert_eq!(idleness.look(&PARKED(84), 84, 2_000 + END_STEP_NS).shall_end, 4);
        let surplus = idleness.look(&PARKED(80), 80, 2_000 + 2 * END_STEP_NS);
        let next = 3_000 + 2 * END_STEP_NS;
        assert_eq!(surplus, Surplus { shall_end: 0, look_at_ns: next });
        assert_eq!(idleness.look(&PARKED(80), 80, next).shall_end, END_AT_ONCE);
        assert_eq!(idleness.look(&PARKED(0), 0, next + 1).look_at_ns, u64::MAX, "all are taken");
        assert_eq!(idleness.look(&PARKED(64), 0, next + 2).shall_end, 0);
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
        let seat = Seat { runs_same_thread: true, is_outside: true };
        assert!(may_take_core(&seat));
        assert!(!may_take_core(&Seat { runs_same_thread: false, ..seat }), "it went on");
        assert!(!may_take_core(&Seat { is_outside: false, ..seat }), "it may hold a lock");
    }
}
