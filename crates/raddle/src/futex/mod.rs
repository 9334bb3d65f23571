//! Waiting on addresses: what a kernel's futexes are to its threads, for threads of both kinds.
//!
//! Locks keep a word, and here is the rest: a static table of *buckets*, each a short lock and a queue of those who wait at the
//! addresses that fall into it. A lock then costs its word, and who never waits never comes here.
//!
//! ```text
//!   wait: count itself in the bucket                      wake: change the word (the caller's)
//!         lock the bucket                                       full barrier
//!         is there still a reason to wait? enter                does the bucket count anybody?
//!         unlock, park                                          lock it, take the first, unlock, unpark
//! ```
//!
//! *No wake is lost.* Either the waker sees the count, or the waiter sees the new word: `raddle_core::crowd` has the argument. Under
//! the bucket's lock the rest is plain: who entered before the waker is found.
//!
//! *No wake is wasted.* A sleep is ended by one party only (`raddle_core::state`). A waker takes the first node, gives the lock
//! back, and unparks: if somebody else (a deadline, a cancellation) was first, it takes the next. So a count of those
//! woken is exact, and a lock can be handed over through the *reason* with which its waiter wakes.
//!
//! Nothing is allocated: nodes live on the waiters' stacks. A table in a forked child is made as new, since those who
//! waited there are not in the child, and whoever held a bucket's lock is not either.
//!
//! Rejected: a queue in each lock (a word more in each, and drop glue; moved locks need a heap block); waking under the bucket's
//! lock (a kernel thread is woken by a system call); a table that grows (then a wake must not race with the move of a
//! bucket, as in parking_lot: 256 KiB of untouched zero pages cost nothing).

#![allow(unsafe_code, reason = "nodes on stacks; the child of a fork")]

mod queue;

use crate::carry;
use crate::label::{Label, WaitsFor};
use crate::park::{self, Wait};
use crate::sched::enter::Here;
use crate::sleeper::{Reason, Sleep};
use crate::spin::Spin;
use queue::{Node, Queue};
use raddle_core::crowd::Crowd;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use queue::End;

const BUCKETS: usize = 4096;

/// One cache line.
#[repr(align(64))]
struct Bucket {
    /// Those who wait in the queue, or are about to look whether they must.
    waiters: Crowd,
    queue: Spin<Queue>,
}

static TABLE: [Bucket; BUCKETS] = [const { Bucket::new() }; BUCKETS];

/// A bit for each page of the table that was ever used: for the child of a fork.
static USED: AtomicU64 = AtomicU64::new(0);
const BUCKETS_A_BIT: usize = BUCKETS / 64;

impl Bucket {
    const fn new() -> Bucket {
        Bucket { waiters: Crowd::new(), queue: Spin::new(Queue::new()) }
    }
}

#[inline]
fn index_of(address: usize) -> usize {
    // Fibonacci hashing: the upper bits depend on all lower ones.
    ((address as u64 >> 2).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.trailing_zeros()))
        as usize
}

#[inline]
fn bucket_of(address: usize) -> &'static Bucket {
    &TABLE[index_of(address)]
}

/// What somebody waits for, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Where. Never read here: the memory may be gone when a late waker comes.
    pub(crate) address: usize,
    /// For lists of threads, and traces.
    pub(crate) waits_for: WaitsFor,
    /// For those who decide whom to wake.
    pub(crate) tag: usize,
    pub(crate) end: End,
    pub(crate) deadline_ns: Option<u64>,
    /// Whether a cancellation or a signal may end the wait.
    pub(crate) heeds_cancel: bool,
}

impl Request {
    /// At the end of the line, as long as it takes, cancelled like every wait.
    pub(crate) fn at(address: usize, waits_for: WaitsFor) -> Request {
        let (end, deadline_ns) = (End::Back, None);
        Request { address, waits_for, tag: 0, end, deadline_ns, heeds_cancel: true }
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a wake or a cancellation is to be acted upon"]
pub(crate) enum Ended {
    /// There was no reason to wait, or there may be none any more.
    LookAgain,
    /// Somebody woke this waiter, and counts on it.
    Woken(Reason),
    /// It was [moved](move_one) to this address, and then: woken there, or its wait ended otherwise (`None`).
    Moved(Option<Reason>),
    TimedOut,
    Cancelled,
    /// The waiter's handlers are to be run: it has left the queue, and comes again.
    Signalled,
}

/// Waits at an address.
///
/// Under the bucket's lock `is_needed` decides whether to wait at all; without it, `before_sleep` is the last thing before
/// the sleep. If the wait ends by itself, not by a waker, `left` runs under the bucket's lock, and is told at which address the waiter was
/// last and whether others wait there. None of them may allocate, block or unwind.
#[track_caller]
pub(crate) fn wait_with(
    request: Request,
    is_needed: impl FnOnce() -> bool,
    before_sleep: impl FnOnce(),
    left: impl FnOnce(usize, bool),
) -> Ended {
    let mut wait = Wait::begin(request.waits_for);
    let node = Node::new(request.address, request.tag, wait.sleep());
    if !enter(&node, request.end, is_needed) {
        // Whoever ended the sleep, a cancellation, will be heard at the next wait.
        wait.retract();
        return Ended::LookAgain;
    }
    before_sleep();
    let _shield = (!request.heeds_cancel).then(carry::raise_shield);
    loop {
        let reason = wait.park(request.deadline_ns);
        let ended = match reason {
            Reason::TIMED_OUT => Ended::TimedOut,
            Reason::CANCELLED => Ended::Cancelled,
            Reason::SIGNALLED if carry::hears() => Ended::Signalled,
            Reason::SIGNALLED => {
                wait = Wait::begin(request.waits_for);
                if stays(&node, wait.sleep()) {
                    continue;
                }
                // A waker met it between two sleeps, and passed over it: perhaps what it waits for has come.
                wait.retract();
                Ended::LookAgain
            }
            reason if node.address() == request.address => return Ended::Woken(reason),
            reason => return Ended::Moved(Some(reason)),
        };
        leave(&node, left);
        // Whoever was moved was notified: that outweighs what came later.
        return if node.address() == request.address { ended } else { Ended::Moved(None) };
    }
}

/// Links the node if there is still a reason to.
fn enter(node: &Node, end: End, is_needed: impl FnOnce() -> bool) -> bool {
    let index = index_of(node.address());
    let bucket = &TABLE[index];
    let _here = Here::enter();
    let used = 1 << (index / BUCKETS_A_BIT);
    if USED.load(Ordering::Relaxed) & used == 0 {
        USED.fetch_or(used, Ordering::Relaxed);
    }
    // Before the word is looked at; see above.
    bucket.waiters.come();
    let mut queue = bucket.queue.lock();
    if is_needed() {
        // SAFETY: `wait_with` keeps the node in place until it has found it unlinked.
        unsafe { queue.insert(node, end) };
        return true;
    }
    drop(queue);
    bucket.waiters.go();
    false
}

/// Runs `act` under the lock of the bucket that the node is in.
fn at_node<R>(node: &Node, act: impl FnOnce(&Bucket, &mut Queue) -> R) -> R {
    let _here = Here::enter();
    loop {
        let address = node.address();
        let bucket = bucket_of(address);
        let mut queue = bucket.queue.lock();
        // It may have been moved before the lock was taken.
        if node.address() == address {
            return act(bucket, &mut queue);
        }
    }
}

/// Whether the node is still in the queue; then `sleep` is what a waker ends from now on.
fn stays(node: &Node, sleep: Sleep) -> bool {
    at_node(node, |_, _| {
        node.sleep.set(sleep);
        node.is_linked()
    })
}

/// Unlinks the node, unless a waker has.
fn leave(node: &Node, left: impl FnOnce(usize, bool)) {
    at_node(node, |bucket, queue| {
        if node.is_linked() {
            queue.remove(node);
            bucket.waiters.go();
            left(node.address(), queue.first(node.address()).is_some());
        }
    });
}

/// Wakes the first who waits at `address`; whether there was one.
///
/// `decide` runs under the bucket's lock: for one who is about to be woken, told whether others wait behind, it gives the reason; with
/// `None`, when nobody is left, what it gives is ignored. It may be asked several times: for some who turn out to be gone.
pub(crate) fn wake_one(address: usize, mut decide: impl FnMut(Option<bool>) -> Reason) -> bool {
    let bucket = bucket_of(address);
    let _here = Here::enter();
    loop {
        let mut queue = bucket.queue.lock();
        let Some(first) = take_first(bucket, &mut queue, address, |_| true) else {
            decide(None);
            return false;
        };
        let reason = decide(Some(first.others));
        drop(queue);
        if park::unpark(first.sleep, reason) {
            return true;
        }
    }
}

/// One who was taken from the queue.
#[derive(Clone, Copy)]
struct Taken {
    sleep: Sleep,
    tag: usize,
    others: bool,
}

fn take_first(
    bucket: &Bucket,
    queue: &mut Queue,
    address: usize,
    takes: impl FnOnce(&Node) -> bool,
) -> Option<Taken> {
    let first: *const Node = queue.first(address).filter(|first| takes(first))?;
    // SAFETY: linked, so alive as long as the bucket's lock is held.
    let first = unsafe { &*first };
    let taken = Taken { sleep: first.sleep.get(), tag: first.tag, others: Queue::has_next(first) };
    queue.remove(first);
    bucket.waiters.go();
    Some(taken)
}

/// How many are taken from a queue at a time.
const BATCH: usize = 16;

/// Wakes those who wait at `address`, from the first on, as long as `takes` says so: it gets the tag and whether others wait
/// behind, under the bucket's lock. Who turns out to be gone is given back.
pub(crate) fn wake_while(
    address: usize,
    mut takes: impl FnMut(usize, bool) -> bool,
    mut give_back: impl FnMut(usize),
) -> usize {
    let bucket = bucket_of(address);
    let _here = Here::enter();
    let mut woken = 0;
    // Whoever comes after this is not meant: one that waits again at once would be woken again and again.
    let mut before = u64::MAX;
    loop {
        let mut batch = [None; BATCH];
        let mut queue = bucket.queue.lock();
        before = before.min(queue.came());
        for place in &mut batch {
            *place = take_first(bucket, &mut queue, address, |first| {
                first.number.get() < before && takes(first.tag, Queue::has_next(first))
            });
            if place.is_none() {
                break;
            }
        }
        drop(queue);
        if batch[0].is_none() {
            return woken;
        }
        for taken in batch.iter().flatten() {
            if park::unpark(taken.sleep, Reason::READY) {
                woken += 1;
            } else {
                give_back(taken.tag);
                // For whoever has come meanwhile, too: it may have found nothing left because of this one.
                before = u64::MAX;
            }
        }
    }
}

/// Wakes up to `at_most` of those who wait at `address`, in the order in which they came; says how many.
///
/// The word, wherever it is, was changed before the call. When nobody waits in the bucket this takes a barrier and a look.
#[inline]
pub(crate) fn wake(address: usize, at_most: usize) -> usize {
    if bucket_of(address).waiters.is_empty() || at_most == 0 {
        return 0;
    }
    wake_some(address, at_most)
}

#[cold]
fn wake_some(address: usize, at_most: usize) -> usize {
    let left = std::cell::Cell::new(at_most);
    let takes = |_, _| {
        let some_left = left.get() > 0;
        left.set(left.get() - usize::from(some_left));
        some_left
    };
    wake_while(address, takes, |_| left.set(left.get() + 1))
}

/// Whether it looks as if somebody waited at `address`, or at another one in the same bucket.
pub(crate) fn may_have_waiters(address: usize) -> bool {
    !bucket_of(address).waiters.seems_empty()
}

/// Waits at an address until woken, or as `request` says; not at all unless `is_needed`, which runs under the bucket's lock.
#[track_caller]
pub(crate) fn wait(request: Request, is_needed: impl FnOnce() -> bool) -> Ended {
    wait_with(request, is_needed, || (), |_, _| ())
}

/// What became of the first waiter in [`move_one`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MovedOne {
    Nobody,
    Woken,
    Moved,
}

/// How many have come to the bucket of `address` so far: those who come later have higher numbers.
pub(crate) fn came(address: usize) -> u64 {
    let _here = Here::enter();
    bucket_of(address).queue.lock().came()
}

/// Moves the first who waits at `from` to the end of the line at the address that is its tag, if `moves` agrees; else wakes it. Only
/// one who was among the first `before` that [came]. Who was moved waits for `what`, there.
///
/// `moves` gets the tag, and `left` whether others wait at `from`; both run under the locks.
pub(crate) fn move_one(
    from: usize,
    before: u64,
    what: Label,
    mut moves: impl FnMut(usize) -> bool,
    mut left: impl FnMut(bool),
) -> MovedOne {
    let bucket = bucket_of(from);
    let _here = Here::enter();
    loop {
        let mut queue = bucket.queue.lock();
        let Some(first) = queue.first(from) else {
            left(false);
            return MovedOne::Nobody;
        };
        if first.number.get() >= before {
            return MovedOne::Nobody;
        }
        let (first, to): (*const Node, usize) = (first, first.tag);
        // SAFETY: linked, so alive as long as the bucket's lock is held; after that, as it is linked again.
        let first = unsafe { &*first };
        left(Queue::has_next(first));
        let target = bucket_of(to);
        if std::ptr::eq(target, bucket) {
            if moves(to) {
                queue.remove(first);
                first.set_address(to);
                park::now_waits_for(first.sleep.get(), what.at(to));
                // SAFETY: its waiter is in `wait_with` until it finds it unlinked.
                unsafe { queue.insert(first, End::Back) };
                return MovedOne::Moved;
            }
        } else if let Some(mut theirs) = target.queue.try_lock()
            // Tried only: two who took both locks in opposite orders would wait for ever. If it is held, the waiter is woken.
            && moves(to)
        {
            queue.remove(first);
            bucket.waiters.go();
            target.waiters.join();
            first.set_address(to);
            park::now_waits_for(first.sleep.get(), what.at(to));
            // SAFETY: as above.
            unsafe { theirs.insert(first, End::Back) };
            return MovedOne::Moved;
        }
        let sleep = first.sleep.get();
        queue.remove(first);
        bucket.waiters.go();
        drop(queue);
        if park::unpark(sleep, Reason::READY) {
            return MovedOne::Woken;
        }
    }
}

/// In the child of a fork nobody waits, and nobody holds a bucket's lock.
extern "C" fn in_child() {
    let used = USED.swap(0, Ordering::Relaxed);
    for (index, bucket) in TABLE.iter().enumerate() {
        if used & (1 << (index / BUCKETS_A_BIT)) != 0 {
            // SAFETY: the child has one kernel thread, which runs this, so it holds no bucket's lock itself: forks happen outside.
            unsafe { bucket.queue.release() };
            *bucket.queue.lock() = Queue::new();
            bucket.waiters.forget();
        }
    }
}

extern "C" fn register() {
    // SAFETY: the handler writes to static memory.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
}

/// Registered as the program starts: later, it would have to be done by whoever waits first, who must not allocate.
#[used]
// SAFETY: the loader calls what stands in this section, once, with arguments that `register` ignores.
#[unsafe(link_section = ".init_array")]
static REGISTER: extern "C" fn() = register;
