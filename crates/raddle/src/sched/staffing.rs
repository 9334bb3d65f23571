//! Sees to it that there are workers enough, and not too many: asks `raddle_core::pool` and does what it says. The monitor's.

use crate::dump;
use crate::machine::{Runtime, Worker};
use crate::sched::{census, handover, recruit, stock, wake};
use raddle_core::pool::{self, Idleness, Surplus};

/// Makes a spare if policy wants one. Whether one is needed and can't be had now: the next look tries again, but until then only who is
/// blocked can make room.
pub(super) fn keep_spare(runtime: &'static Runtime) -> bool {
    let counts = census::count(runtime);
    let is_needed = pool::need_more_workers(&counts);
    let is_wanted = is_needed || pool::need_filler(&counts);
    let is_made = is_wanted && recruit::launch(runtime, None);
    is_needed && !is_made
}

/// Sends spares to their end that nobody has needed for long. Says when to look again; `u64::MAX` if none is too many.
pub(super) fn end_surplus(runtime: &'static Runtime, idleness: &mut Idleness, now: u64) -> u64 {
    let counts = census::count(runtime);
    if pool::too_many_workers(&counts) && dump::is_at_work(runtime) {
        // Who lists threads finds workers that these ran on, and may look at them and signal them.
        return now + pool::END_STEP_NS;
    }
    let fewest = runtime.spares.lock().fewest_since();
    let Surplus { shall_end, look_at_ns } = idleness.look(&counts, fewest, now);
    (0..shall_end).map_while(|_| handover::take_spare(runtime)).for_each(end);
    look_at_ns
}

/// Whether there is a surplus: for a last look before the monitor sleeps for good.
pub(super) fn has_surplus(runtime: &Runtime) -> bool {
    pool::too_many_workers(&census::count(runtime))
}

/// Tells a spare that is the caller's alone to end.
fn end(spare: &'static Worker) {
    spare.notes.end();
    stock::keep_ended(spare);
    wake::wake_worker(spare);
}
