//! The threads that are ready on one core, and what cores do for one another: the rules by which several of them share threads fairly.
//! The runtime holds the locks and moves threads by these; the fairness tests do the same in simulated time.
//!
//! ```text
//!   pick:   active is empty, and a slice was used up in the round?     help the others first, then begin the next round
//!           nobody is queued at all?                                   steal half of what another core has, whatever its round
//! ```
//!
//! A core that *helps* takes threads that still wait for their turn where the round goes on; and where cores are behind, also such as
//! wait for a round that it has finished itself. So no core with threads that wait is further behind than a round, and what one core gave
//! its threads the others have given theirs. Without the second half a core with one thread would begin rounds as it likes while
//! another's two take turns: of three threads on two cores one would get a tenth too little.

use crate::run_queue::{Array, Links, Popped, RunQueue};
use crate::slice::Round;

/// A core's ready threads, and its round.
///
/// ```
/// use raddle_core::ready::Ready;
/// use raddle_core::run_queue::{Array, End, Link, Links};
///
/// struct Table(Vec<Link<usize>>);
/// impl Links for Table {
///     type Key = usize;
///     fn link(&self, key: usize) -> &Link<usize> {
///         &self.0[key]
///     }
/// }
///
/// let table = Table((0..3).map(|_| Link::new()).collect());
/// let (mut here, mut there) = (Ready::new(0), Ready::new(0));
/// here.threads.push(&table, 0, 40, Array::Expired, End::Back);
/// here.round.slice_used(4_000_000);
/// there.threads.push(&table, 1, 40, Array::Active, End::Back);
/// assert!(here.shall_help());
/// assert_eq!(here.help(&table, &mut there, 64), 1);
/// let order: Vec<_> =
///     std::iter::from_fn(|| here.pop(&table, 4_000_000)).map(|next| next.key).collect();
/// assert_eq!(order, [1, 0]);
/// ```
#[derive(Debug)]
pub struct Ready<K> {
    /// Who is queued.
    pub threads: RunQueue<K>,
    /// The round of these threads.
    pub round: Round,
}

impl<K: Copy + Eq> Ready<K> {
    /// Nobody, in a round that begins at `now_ns`.
    pub const fn new(now_ns: u64) -> Ready<K> {
        Ready { threads: RunQueue::new(), round: Round::new(now_ns) }
    }

    /// Whether the core has finished its round, and is to [`help`](Self::help) others before it begins the next.
    #[inline]
    pub fn shall_help(&self) -> bool {
        self.round.is_full() && self.threads.len_of(Array::Active) == 0
    }

    /// Takes over half of the threads that wait in `other` for a turn in this round, unless its own is ahead; returns how many. Afterwards
    /// neither is further behind than a round.
    pub fn help(
        &mut self,
        links: &impl Links<Key = K>,
        other: &mut Ready<K>,
        at_most: usize,
    ) -> usize {
        if !self.round.may_help(&other.round) {
            self.round.catch_up(&other.round);
            return 0;
        }
        other.round.catch_up(&self.round);
        let taken = other.threads.steal_active(links, &mut self.threads, at_most);
        if taken == 0 && self.round.is_ahead_of(&other.round) {
            return other.threads.steal_expired(links, &mut self.threads, at_most);
        }
        taken
    }

    /// Takes the thread that runs next; if that is the first of a new round, this begins.
    #[inline]
    pub fn pop(&mut self, links: &impl Links<Key = K>, now_ns: u64) -> Option<Popped<K>> {
        let popped = self.threads.pop(links)?;
        if popped.new_round {
            self.round.begin(now_ns);
        }
        self.round.one_runs();
        Some(popped)
    }

    /// The core has nobody to run: takes over half of `victim`'s threads; returns how many.
    pub fn steal(
        &mut self,
        links: &impl Links<Key = K>,
        victim: &mut Ready<K>,
        at_most: usize,
    ) -> usize {
        victim.threads.steal_half(links, &mut self.threads, at_most)
    }
}
