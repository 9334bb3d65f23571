//! What time it is on a core, about: its own clock, which is read when somebody has to know.

use crate::machine::Core;
use std::sync::atomic::Ordering;

/// Reads the clock for `core`.
#[inline(never)]
pub(crate) fn read(core: &Core) -> u64 {
    let now = core.runtime().coarse_ns();
    core.now_ns.store(now, Ordering::Relaxed);
    now
}

/// What time it is, about, for a thread that leaves `core` by itself.
///
/// Reading the clock takes as long as the rest of a short switch. While no timer runs on this core nobody needs the exact time: the
/// monitor sets the core's clock every millisecond while threads run, and some switches read it. Which thread is charged
/// for a millisecond is then a matter of chance, as with any clock that ticks, and evens out; threads that are preempted are
/// charged exactly.
#[inline]
pub(crate) fn glance(core: &Core) -> u64 {
    const EVERY: u64 = 16;
    let is_due = core.dispatches.load(Ordering::Relaxed).is_multiple_of(EVERY);
    if is_due || core.next_deadline_ns.load(Ordering::Relaxed) != u64::MAX {
        read(core)
    } else {
        core.now_ns.load(Ordering::Relaxed)
    }
}
