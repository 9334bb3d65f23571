//! A worker's life: it takes items from its pool as long as there are any and not too many run, waits for others as one of the idle, and
//! ends if there are too many of those.
//!
//! ```text
//!   comes ──▶ is there a reserve? ──▶ runs items ──▶ idle ──▶ ends
//!               ▲  makes one if not        ▲          │
//!               └──────────────────────────┴── woken ─┘
//! ```
//!
//! While it runs items its block names its gang: the scheduler counts it out while it sleeps ([`gang`](crate::gang)).

#![allow(unsafe_code, reason = "a node on the stack; what only the worker touches of an item")]

use super::news;
use super::parts::Pool;
use super::pool::{self, News, Run};
use crate::carry;
use crate::gang::{Gang, IdleNode, Rest};
use crate::label::Label;
use crate::machine::Runtime;
use crate::park::{self, Wait};
use crate::sched::enter::Here;
use crate::signals;
use crate::sleeper::Reason;
use crate::thread::spawn::{Wishes, spawn_unchecked};
use crate::thread::{self, Priority, Thread};
use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::Ordering;

/// After so long another worker is tried to be made, if the last one could not.
const AGAIN_NS: u64 = 10_000_000;

thread_local! {
    /// The queue and the item that the calling thread runs; null: none. Only to be compared.
    static RUNS: Cell<(*const (), *const ())> = const { Cell::new((ptr::null(), ptr::null())) };
}

/// What the calling thread runs, if it is a worker in an item: the addresses of its queue and of the item.
pub(super) fn runs() -> (*const (), *const ()) {
    RUNS.get()
}

/// Starts a thread of the runtime's own.
pub(super) fn spawn(
    runtime: &'static Runtime,
    name: String,
    priority: Priority,
    main: impl FnOnce() + Send + 'static,
) -> io::Result<Thread> {
    let wishes = Wishes { name: Some(name), priority: Some(priority), ..Wishes::default() };
    // SAFETY: what is 'static outlives every thread.
    Ok(unsafe { spawn_unchecked(runtime, wishes, main, None) }?.thread.clone())
}

/// Sees to it that a worker is in reserve, or comes. Not inside the runtime.
///
/// # Errors
///
/// From making a thread.
pub(super) fn ensure(pool: &'static Pool) -> io::Result<()> {
    let shall = {
        let _here = Here::enter();
        pool.gang.shall_make_one()
    };
    if !shall {
        return Ok(());
    }
    let made = spawn(pool.runtime, pool.name.clone(), pool.priority, move || live(pool));
    if made.is_err() {
        let _here = Here::enter();
        pool.gang.none_comes();
    }
    made.map(drop)
}

/// A worker's way to make one that is missing. Without it items go on, but those that sleep hold others up.
fn ensure_or_say(pool: &'static Pool) {
    let failed_ns = pool.failed_ns.load(Ordering::Relaxed);
    if failed_ns != 0 && pool.runtime.now_ns() < failed_ns + AGAIN_NS {
        return;
    }
    let error = ensure(pool).err();
    let now = error.as_ref().map_or(0, |_| pool.runtime.now_ns());
    if let (0, Some(error)) = (pool.failed_ns.swap(now, Ordering::Relaxed), error) {
        log::error!("workqueues: {} has no worker in reserve: {error}", pool.name);
    }
}

fn live(pool: &'static Pool) {
    carry::carry_none();
    let _bound = pool.core.map(|_| bind(pool));
    let node = IdleNode::new();
    {
        let here = Here::enter().expect("a worker is a raddle thread");
        pool.gang.arrive();
        join(&here, pool);
    }
    loop {
        ensure_or_say(pool);
        work(pool);
        if !rest(pool, &node) {
            return;
        }
    }
}

/// Runs items as long as there are any, and not too many workers run.
fn work(pool: &'static Pool) {
    let mut last = None;
    while let Some(run) = next(pool, last) {
        if !pool.gang.has_reserve() {
            ensure_or_say(pool);
        }
        let has_panicked = call(&run);
        last = Some((run, has_panicked));
    }
}

/// As long as this lives the thread runs on its core only.
struct Bound;

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(here) = Here::enter() {
            here.thread().block().link.bind(false);
        }
    }
}

/// Goes to the pool's core, and stays there.
fn bind(pool: &Pool) -> Bound {
    let home = pool.core.expect("asked for pools of a core");
    let here = Here::enter().expect("a worker is a raddle thread");
    here.thread().block().link.bind(true);
    if !ptr::eq(here.place().core(), home) {
        here.move_to(home);
    }
    Bound
}

/// The calling thread counts as one that runs from here on, and says so.
fn join(here: &Here, pool: &'static Pool) {
    here.thread().block().gang.store(ptr::from_ref(&pool.gang).cast_mut(), Ordering::Relaxed);
}

/// The next run; `last` is over, and those who wait for it are told.
fn next(pool: &'static Pool, last: Option<(Run, bool)>) -> Option<Run> {
    // The last handle may be gone, and with it goes what the item's function holds: that may wait for anything, also for the next item.
    let is_kept = last.as_ref().is_some_and(|(run, _)| run.work.item.has_handles);
    let (news, next) = step(pool, last.as_ref(), !is_kept);
    if let (Some(news), Some((run, _))) = (news, last) {
        let item = &run.work.item;
        news::tell(&news, &run.queue, item.has_handles.then_some(item));
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(run))) {
            std::mem::forget(payload);
        }
    }
    if is_kept { step(pool, None, true).1 } else { next }
}

/// Ends `last`, and begins the next run if `begins`.
fn step(
    pool: &'static Pool,
    last: Option<&(Run, bool)>,
    begins: bool,
) -> (Option<News>, Option<Run>) {
    // In a child that an item has forked there are no workers any more: this one ends, as any thread, when the item is over.
    let Some(here) = Here::enter() else { return (None, None) };
    let has_changed = here.thread().block().priority.get() != pool.priority;
    let both = pool::go_on(pool, last.map(|(run, has_panicked)| (run, *has_panicked)), begins);
    drop(here);
    if has_changed {
        // The last item's doing, which shall not be the next one's.
        thread::set_priority(pool.priority);
    }
    both
}

/// Calls the item's function. Whether it panicked.
fn call(run: &Run) -> bool {
    let item = &run.work.item;
    RUNS.set((ptr::from_ref(&*run.queue).cast(), ptr::from_ref(&**item).cast()));
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: an item runs once at a time, and this worker has begun its run.
        let function = unsafe { &mut *item.run.get() };
        function(&run.work);
    }));
    RUNS.set((ptr::null(), ptr::null()));
    let Err(payload) = result else { return false };
    log::error!("workqueue {}: an item panicked: {}", run.queue.name, said(&*payload));
    // What the payload does on being dropped is as little the worker's end.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    true
}

/// What a panic said, if it was text.
fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}

/// Waits as one of the idle. False if there are too many.
fn rest(pool: &'static Pool, node: &IdleNode) -> bool {
    if Here::enter().is_none() {
        return false;
    }
    let gang: &'static Gang = &pool.gang;
    let mut wait = Wait::begin(Label::WORK.at(0));
    {
        let here = Here::enter().expect("a worker is a raddle thread");
        // SAFETY: the node is `live`'s, which returns only if it is told so here.
        if !unsafe { gang.rest(node, wait.sleep(), pool.runtime.now_ns()) } {
            drop(here);
            wait.retract();
            return true;
        }
        here.thread().block().gang.store(ptr::null_mut(), Ordering::Relaxed);
    }
    loop {
        let reason = wait.park(see_to_surplus(pool));
        if reason == Reason::SIGNALLED {
            // Nobody is to know of a worker, but an item may give away who runs it.
            drop(signals::try_deliver());
        }
        wait = Wait::begin(Label::WORK.at(0));
        let here = Here::enter().expect("a worker is a raddle thread");
        let rest = gang.rest_on(node, wait.sleep(), reason == Reason::TIMED_OUT);
        if rest == Rest::Over {
            join(&here, pool);
        }
        drop(here);
        match rest {
            Rest::GoesOn => {}
            Rest::Over => {
                wait.retract();
                return true;
            }
            Rest::Ends => {
                wait.retract();
                see_to_surplus(pool);
                return false;
            }
        }
    }
}

/// When the caller, which has become idle, is to look whether there are too many; sees to one that nobody has needed for long.
fn see_to_surplus(pool: &'static Pool) -> Option<u64> {
    let surplus = {
        let _here = Here::enter();
        pool.gang.surplus(pool.runtime.now_ns(), pool.runtime.settings.keep_alive_ns)
    };
    if let Some(ends) = surplus.ends {
        park::unpark(ends, Reason::TIMED_OUT);
    }
    surplus.look_at_ns
}
