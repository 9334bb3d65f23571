//! A pool's list, and the lanes that lead there: how an item gets to a worker, and what becomes of it afterwards.
//!
//! ```text
//!              admit                     begin                  end
//!   queued ──▶ [waiting] ──▶ [ready] ──▶ a worker runs it ──▶ over
//!                 max_active ▲                   │ it runs elsewhere: put aside,
//!                            └───────────────────┘ until whoever runs it hands it back
//! ```
//!
//! Here everything runs with preemption forbidden, or on a kernel thread that is no worker's: nothing is allocated, freed or waited for.
//! What is to be freed, and who is to be woken, is given to the caller for afterwards.

#![allow(unsafe_code, reason = "references that lists own; lanes that queues keep alive")]

use super::parts::{Item, ItemRef, Lane, Numbers, Pool, Shared, Standing, State, Work, node_of};
use crate::sleeper::Sleep;
use crate::spin::Locked;
use raddle_core::epochs::Until;
use raddle_core::list::List;
use raddle_core::run_queue::End;
use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A pool whose lock is held: what it guards is touched through this only.
pub(super) struct Opened<'p> {
    pool: &'p Pool,
    ready: Locked<'p, List<ItemRef>>,
    /// An item has come, and a worker is needed for it.
    needs_worker: bool,
}

impl Pool {
    /// Takes the lock.
    pub(super) fn open(&self) -> Opened<'_> {
        Opened { pool: self, ready: self.ready.lock(), needs_worker: false }
    }
}

/// Changes the lists of a lane, under the lock of its pool.
fn change(list: &Cell<List<ItemRef>>, act: impl FnOnce(&mut List<ItemRef>)) {
    let mut changed = list.get();
    act(&mut changed);
    list.set(changed);
}

impl Lane {
    fn count(&self, act: impl FnOnce(&mut Numbers)) {
        let mut numbers = self.numbers.get();
        act(&mut numbers);
        self.numbers.set(numbers);
    }
}

impl Opened<'_> {
    /// Releases the lock: the worker that is to be woken, if one is.
    pub(super) fn close(self) -> Option<Sleep> {
        let Opened { pool, ready, needs_worker } = self;
        drop(ready);
        if needs_worker { pool.gang.call_one() } else { None }
    }

    fn make_ready(&mut self, item: ItemRef, end: End) {
        match end {
            End::Front => self.ready.push_front(item, node_of),
            End::Back => self.ready.push_back(item, node_of),
        }
        item.item().standing.set(Standing::Ready);
        self.needs_worker |= self.pool.gang.gauge.item_comes();
    }

    /// An item was queued in `lane`: it may begin, or waits until fewer are active.
    fn admit(&mut self, lane: &Lane, item: ItemRef) {
        item.item().lane.set(lane);
        item.item().epoch.set(lane.epochs.borrow_mut().begin());
        if lane.active.get() < lane.max_active {
            lane.active.set(lane.active.get() + 1);
            self.make_ready(item, End::Back);
        } else {
            item.item().standing.set(Standing::Waiting);
            change(&lane.waiting, |list| list.push_back(item, node_of));
        }
    }

    /// One that was active in `lane` is so no longer: the first that waits may begin.
    fn give_up_place(&mut self, lane: &Lane) {
        match lane.waiting.get().first() {
            Some(next) => {
                change(&lane.waiting, |list| list.remove(next, node_of));
                self.make_ready(next, End::Back);
            }
            None => lane.active.set(lane.active.get() - 1),
        }
    }

    /// An item of that epoch is over. Whether there may be somebody to tell.
    fn end_epoch(&mut self, lane: &Lane, epoch: u64) -> bool {
        let mut epochs = lane.epochs.borrow_mut();
        let has_grown = epochs.end(epoch);
        if has_grown {
            lane.done.store(epochs.done(), Ordering::SeqCst);
        }
        has_grown
    }

    /// What one has to wait for who wants to wait for all items of `lane` so far.
    pub(super) fn close_epoch(&mut self, lane: &Lane) -> Until {
        lane.epochs.borrow_mut().close()
    }

    /// What happened in `lane`.
    pub(super) fn numbers(&self, lane: &Lane) -> Numbers {
        lane.numbers.get()
    }

    /// One of `lane`'s whose time has not come.
    pub(super) fn first_delayed(&self, lane: &Lane) -> Option<Arc<Item>> {
        lane.delayed.get().first().map(ItemRef::second)
    }
}

/// What is to be told when an item, or one of its runs, is over.
#[must_use = "somebody may wait for it"]
#[derive(Default)]
pub(super) struct News {
    /// Epochs of this lane: those who flush.
    pub(super) lane: Option<*const Lane>,
    /// Nothing of this queue's is left: those who drain.
    pub(super) is_drained: bool,
    /// Two at most: one for the item's own pool, one for another.
    pub(super) workers: [Option<Sleep>; 2],
}

impl Shared {
    /// One item less in flight. Whether it was the last.
    fn one_is_over(&self) -> bool {
        self.in_flight.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

impl State {
    /// Whether the item is not pending, and nobody refuses it.
    pub(super) fn may_be_queued(&self) -> bool {
        self.pending.is_none() && self.refusals == 0
    }
}

impl Item {
    /// Says how far its runs are settled. Its lock is held.
    fn settle(&self, state: &State) {
        let settled = match (state.running, &state.pending) {
            (Some(running), _) => running - 1,
            (None, Some(_)) => state.last - 1,
            (None, None) => state.last,
        };
        self.settled.store(settled, Ordering::SeqCst);
    }
}

/// Queues an item in lane `index` of `queue`, now. Its lock is held, and it was not pending. The worker to be woken.
pub(super) fn queue(
    item: Arc<Item>,
    state: &mut State,
    queue: Arc<Shared>,
    index: usize,
) -> Option<Sleep> {
    let lane = &queue.lanes[index];
    queue.in_flight.fetch_add(1, Ordering::SeqCst);
    let mut opened = lane.pool.open();
    lane.count(|numbers| numbers.queued += 1);
    opened.admit(lane, ItemRef::from_arc(item));
    let worker = opened.close();
    state.last += 1;
    state.pending = Some((queue, index));
    worker
}

/// Notes an item in lane `index` of `queue` whose time has not come. Its lock is held, and it was not pending. What becomes of the reference
/// to it is the caller's business.
pub(super) fn note_delayed(item: ItemRef, state: &mut State, queue: Arc<Shared>, index: usize) {
    let lane = &queue.lanes[index];
    let opened = lane.pool.open();
    lane.count(|numbers| {
        numbers.queued += 1;
        numbers.delayed += 1;
    });
    item.item().standing.set(Standing::Delayed);
    change(&lane.delayed, |list| list.push_back(item, node_of));
    drop(opened);
    state.last += 1;
    state.pending = Some((queue, index));
}

/// The time of an item has come, whose lock is held: it is queued, with the reference. The worker to be woken.
pub(super) fn come_due(item: ItemRef, state: &State) -> Option<Sleep> {
    let (queue, index) = state.pending.as_ref().expect("a delayed item is pending");
    let lane = &queue.lanes[*index];
    queue.in_flight.fetch_add(1, Ordering::SeqCst);
    let mut opened = lane.pool.open();
    lane.count(|numbers| numbers.delayed -= 1);
    change(&lane.delayed, |list| list.remove(item, node_of));
    opened.admit(lane, item);
    opened.close()
}

/// What [`withdraw`] took back.
pub(super) struct Withdrawn {
    /// Frees the queue, perhaps: to be dropped afterwards.
    pub(super) queue: Arc<Shared>,
    /// The reference that a list had; none if the item was delayed, as those are the delays'.
    #[expect(dead_code, reason = "the caller drops it, no more")]
    pub(super) reference: Option<Arc<Item>>,
    pub(super) was_delayed: bool,
    pub(super) news: News,
}

/// Takes an item back that was queued and has not begun. Its lock is held. `None` if it was not queued, or a worker has it already.
pub(super) fn withdraw(item: &Arc<Item>, state: &mut State) -> Option<Withdrawn> {
    let (queue, index) = state.pending.as_ref()?;
    let lane = &queue.lanes[*index];
    let mut opened = lane.pool.open();
    let mut has_grown = false;
    let standing = item.standing.get();
    let taken = ItemRef::of(item);
    match standing {
        // A worker is about to take the item's lock, and begins.
        Standing::Out if !state.is_deferred => return None,
        Standing::Out => opened.give_up_place(lane),
        Standing::Ready => {
            opened.ready.remove(taken, node_of);
            opened.pool.gang.gauge.item_goes();
            opened.give_up_place(lane);
        }
        Standing::Waiting => change(&lane.waiting, |list| list.remove(taken, node_of)),
        Standing::Delayed => change(&lane.delayed, |list| list.remove(taken, node_of)),
    }
    let was_delayed = standing == Standing::Delayed;
    if !was_delayed {
        has_grown = opened.end_epoch(lane, item.epoch.get());
    }
    item.standing.set(Standing::Out);
    lane.count(|numbers| {
        numbers.cancelled += 1;
        numbers.delayed -= u64::from(was_delayed);
    });
    let worker = opened.close();
    let news = News {
        lane: has_grown.then_some(ptr::from_ref(lane)),
        is_drained: !was_delayed && queue.one_is_over(),
        workers: [worker, None],
    };
    state.is_deferred = false;
    let (queue, _) = state.pending.take().expect("looked at above");
    item.settle(state);
    // SAFETY: the reference of the list out of which the item was taken, or of the one who put it aside.
    let reference = (!was_delayed).then(|| unsafe { taken.into_arc() });
    Some(Withdrawn { queue, reference, was_delayed, news })
}

/// A run of an item, in the hands of the worker that has begun it.
pub(super) struct Run {
    pub(super) work: Work,
    pub(super) queue: Arc<Shared>,
    lane: *const Lane,
    epoch: u64,
}

impl Run {
    fn lane(&self) -> &Lane {
        // SAFETY: one of the queue's, of which the run has a reference.
        unsafe { &*self.lane }
    }
}

/// A worker of `pool`, which counts as running, goes on: `last` is over. What is to be told of that, and, if it `begins` one, the next run:
/// none if there is no item, or enough others run.
pub(super) fn go_on(
    pool: &Pool,
    last: Option<(&Run, bool)>,
    begins: bool,
) -> (Option<News>, Option<Run>) {
    let Some((last, has_panicked)) = last else { return (None, begin(pool.open())) };
    let handed_back = end_of_run(last);
    let mut opened = pool.open();
    let lane = last.lane();
    lane.count(|numbers| {
        numbers.finished += 1;
        numbers.panicked += u64::from(has_panicked);
    });
    opened.give_up_place(lane);
    let has_grown = opened.end_epoch(lane, last.epoch);
    let news = News {
        lane: has_grown.then_some(last.lane),
        is_drained: last.queue.one_is_over(),
        workers: [None, handed_back],
    };
    let (worker, next) = match begin_next(opened, begins) {
        Next::Begun(worker, run) => (worker, Some(run)),
        Next::None(worker) => (worker, None),
        Next::Deferred(worker) => (worker, begin(pool.open())),
    };
    (Some(News { workers: [worker, handed_back], ..news }), next)
}

/// The next run for a worker of the pool.
fn begin(mut opened: Opened<'_>) -> Option<Run> {
    let pool = opened.pool;
    loop {
        // Nothing was made ready meanwhile: no worker is to be woken.
        match begin_next(opened, true) {
            Next::Begun(_, run) => return Some(run),
            Next::None(_) => return None,
            Next::Deferred(_) => opened = pool.open(),
        }
    }
}

/// What [`begin_next`] has found, and the worker that is to be woken.
enum Next {
    Begun(Option<Sleep>, Run),
    None(Option<Sleep>),
    /// The first item runs elsewhere, and was put aside: there may be others.
    Deferred(Option<Sleep>),
}

fn begin_next(mut opened: Opened<'_>, begins: bool) -> Next {
    let pool = opened.pool;
    let first = opened.ready.first().filter(|_| begins && pool.gang.gauge.keeps_working());
    let Some(taken) = first else { return Next::None(opened.close()) };
    opened.ready.remove(taken, node_of);
    // The one behind the next was queued long ago, perhaps, by another core: who takes the next changes its links, with the lock held.
    let after_next = opened.ready.first().and_then(|next| node_of(next).next());
    after_next.into_iter().for_each(ItemRef::prefetch);
    pool.gang.gauge.item_goes();
    let item = taken.item();
    item.standing.set(Standing::Out);
    let (lane, epoch) = (item.lane.get(), item.epoch.get());
    // SAFETY: the item is pending, so it has a reference to the queue, until its lock is taken below.
    unsafe { &*lane }.count(|numbers| numbers.started += 1);
    let worker = opened.close();
    let mut state = item.state.lock();
    if state.running.is_some() {
        // The other worker hands it back. Until then the queue's place is taken.
        state.is_deferred = true;
        let _opened = pool.open();
        // SAFETY: the item is pending still, and its lock is held.
        unsafe { &*lane }.count(|numbers| numbers.started -= 1);
        return Next::Deferred(worker);
    }
    state.running = Some(state.last);
    let (queue, _) = state.pending.take().expect("an item in a list is pending");
    item.settle(&state);
    drop(state);
    // SAFETY: the list's reference, out of which the item was taken.
    let work = Work { item: unsafe { taken.into_arc() } };
    Next::Begun(worker, Run { work, queue, lane, epoch })
}

/// The item runs no longer: it may be handed back to those who found it running. The worker to be woken for that.
fn end_of_run(run: &Run) -> Option<Sleep> {
    let item = &run.work.item;
    let mut state = item.state.lock();
    state.running = None;
    item.settle(&state);
    if std::mem::take(&mut state.is_deferred) { hand_back(item, &state) } else { None }
}

/// An item that was put aside is ready again, before others. Its lock is held. The worker to be woken.
fn hand_back(item: &Arc<Item>, state: &State) -> Option<Sleep> {
    let (queue, index) = state.pending.as_ref().expect("an item that was put aside is pending");
    let mut opened = queue.lanes[*index].pool.open();
    opened.make_ready(ItemRef::of(item), End::Front);
    opened.close()
}
