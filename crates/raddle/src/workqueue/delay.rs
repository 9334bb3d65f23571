//! Items whose time has not come: on a wheel, which a thread of the runtime's own, the keeper, looks at when the first is due.
//!
//! The wheel has a reference to each. Whoever takes an item off the wheel has that reference; if that was the keeper, and somebody
//! cancelled the item meanwhile, or queued it once more, the keeper sees by the run's number that it is not meant.
//!
//! Rejected: a sleeping thread for each (9 KiB each); timers that call instead of waking (in the scheduler, an item may not be queued: its
//! lock may be held by the thread that was interrupted); a wheel in each pool (as many threads as cores, for what one does).

#![allow(unsafe_code, reason = "references that the wheel owns")]

use super::parts::{DelayWheel, Delays, Item, ItemRef, Pools, Shared, State, Timers};
use super::pool;
use super::worker::spawn;
use crate::carry;
use crate::label::Label;
use crate::park;
use crate::sched::enter::Here;
use crate::sleeper::Reason;
use crate::spin::Spin;
use crate::thread::{Priority, Thread, park_for};
use raddle_core::wheel::Wheel;
use std::sync::{Arc, OnceLock};

impl Delays {
    pub(super) fn new(now_ns: u64) -> Delays {
        let wheel = DelayWheel { wheel: Box::new(Wheel::new(now_ns)), wakes_at_ns: 0 };
        Delays { waiting: Spin::new(wheel), keeper: OnceLock::new() }
    }
}

/// The thread that keeps time for `pools`. Made if need be, which calls libc: never inside the runtime.
///
/// # Panics
///
/// If it can't be made.
pub(super) fn keeper(pools: &'static Pools) -> &'static Thread {
    pools.delays.keeper.get_or_init(|| {
        let name = "work timer".to_owned();
        let spawned = spawn(pools.runtime, name, Priority::HIGHEST, move || keep_time(pools));
        match spawned {
            Ok(thread) => thread,
            Err(error) => panic!("raddle: failed to spawn the thread for delayed work: {error}"),
        }
    })
}

/// Puts an item on the wheel, whose lock is held, and notes it in lane `index` of `queue`. Whether the keeper is to be woken.
pub(super) fn put(
    item: Arc<Item>,
    state: &mut State,
    queue: Arc<Shared>,
    index: usize,
    deadline_ns: u64,
) -> bool {
    let delays = &queue.pools.delays;
    let item = ItemRef::from_arc(item);
    pool::note_delayed(item, state, queue, index);
    let mut waiting = delays.waiting.lock();
    item.item().armed_for.set(state.last);
    waiting.wheel.insert(&Timers, item, deadline_ns);
    let is_first = deadline_ns < waiting.wakes_at_ns;
    if is_first {
        waiting.wakes_at_ns = deadline_ns;
    }
    is_first
}

/// Takes an item off the wheel that was cancelled, whose lock is held: the wheel's reference, unless the keeper has it by now.
pub(super) fn take(item: &Arc<Item>, pools: &Pools) -> Option<Arc<Item>> {
    let taken = ItemRef::of(item);
    let was_there = pools.delays.waiting.lock().wheel.remove(&Timers, taken);
    // SAFETY: the wheel's reference, off which the item was taken.
    was_there.then(|| unsafe { taken.into_arc() })
}

/// The keeper's life.
fn keep_time(pools: &'static Pools) {
    carry::carry_none();
    loop {
        while let Some((item, run)) = pop_due(pools) {
            come_due(item, run);
        }
        let next_ns = {
            let _here = Here::enter();
            let mut waiting = pools.delays.waiting.lock();
            waiting.wakes_at_ns = waiting.wheel.next_deadline_ns().unwrap_or(u64::MAX);
            waiting.wakes_at_ns
        };
        // Whoever puts an earlier one there from here on leaves a token.
        park_for(Label::WORK.at(0), (next_ns != u64::MAX).then_some(next_ns));
    }
}

fn pop_due(pools: &Pools) -> Option<(Arc<Item>, u64)> {
    let _here = Here::enter();
    let mut waiting = pools.delays.waiting.lock();
    let now = pools.runtime.now_ns();
    let due = waiting.wheel.pop_due(&Timers, now)?;
    let run = due.item().armed_for.get();
    // SAFETY: the wheel's reference, off which the item was taken.
    Some((unsafe { due.into_arc() }, run))
}

/// The time for that run of the item has come.
fn come_due(item: Arc<Item>, run: u64) {
    let (worker, left) = {
        let _here = Here::enter();
        let due = ItemRef::of(&item);
        let state = due.item().state.lock();
        // Else it was cancelled as it was taken off the wheel, and what is pending is another run.
        if state.last == run && state.pending.is_some() {
            (pool::come_due(ItemRef::from_arc(item), &state), None)
        } else {
            (None, Some(item))
        }
    };
    drop(left);
    if let Some(worker) = worker {
        park::unpark(worker, Reason::READY);
    }
}
