//! What a core asks memory for before it is needed: threads that are about to run. `events` and `timers` do so for those that they wake.

use crate::machine::{Blocks, Queue, ThreadRef};
use crate::nursery::Threads;

/// Where many wait, the next ones are in no near cache any more: asks for what a switch to the first of them touches, and for what leads there
/// of the second, which the first one's pop touches as well.
const MANY: usize = 8;
/// What a dispatch touches of a thread's block.
const LINES: usize = 2;

/// What a thread that yielded touches of its stack before it is back in its own function.
const STACK_LINES: usize = 6;

/// As [`ask_for_those_that_follow`], of those that the core's holder keeps.
#[inline]
pub(crate) fn ask_for_kept(kept: &Threads<ThreadRef>) {
    if kept.len() < MANY {
        return;
    }
    if let (Some(first), Some(third)) = (kept.peek(0), kept.peek(2)) {
        first.body().prefetch_stack(STACK_LINES);
        third.body().prefetch_control(LINES);
    }
}

#[inline]
pub(crate) fn ask_for_those_that_follow(queue: &Queue) {
    let threads = &queue.ready.threads;
    if threads.len() < MANY {
        return;
    }
    let Some((first, second)) = threads.peek_two(&Blocks) else { return };
    first.prefetch();
    if let Some(second) = second {
        second.body().prefetch_control(LINES);
    }
}
