//! Those who wait at a channel: a node each, on their own stack, linked under the channel's lock.
//!
//! ```text
//!   the one who waits                                the one who comes (under the lock)
//!   lock: nothing to be had; link the node; unlock   unlink the node; copy the message, to or from its place
//!   park ..................................... woken claim: unpark(sleep, done)
//!                                                      true:  the exchange has happened; the node may be gone
//!                                                      false: the sleep was over already (time-out, another channel of
//!                                                             its select); the copy counts for nothing
//!   by a claim:  go on, no lock needed
//!   otherwise:   lock; unlink, unless that has been done; unlock
//! ```
//!
//! The message moves while the other side sleeps, so whoever is woken has it and takes no lock. Copying before claiming, and not
//! after, is what makes that possible: after a claim its node's frame may go at any time. A copy whose claim fails is
//! forgotten; bytes have no owner until the claim says who that is.
//!
//! A node stays valid while it is linked and the lock is held, since its owner leaves the frame only when it was claimed or has
//! found it unlinked under the lock.
//!
//! Rejected: one reference-counted packet for each message (an allocation, and a second place to synchronise at); waking
//! everybody to look again (a herd, and messages then go to whoever is quickest, not to whoever waited longest).

#![allow(unsafe_code, reason = "nodes on the stacks of those who wait")]

use crate::label::{Label, WaitsFor};
use crate::park::{self, Wait};
use crate::sched::enter::Here;
use crate::sleeper::{Reason, Sleep};
use crate::spin::{Locked, Spin};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::ptr;

/// A locked channel. Preemption is forbidden as long as this lives.
pub(super) struct Inside<'a, S> {
    // In this order they are dropped: unlocked first.
    state: Locked<'a, S>,
    here: Option<Here>,
}

impl<'a, S> Inside<'a, S> {
    #[inline]
    pub(super) fn enter(lock: &'a Spin<S>) -> Inside<'a, S> {
        let here = Here::enter();
        Inside { state: lock.lock(), here }
    }

    /// Unlocks. The caller is still inside the runtime, unless it is no raddle thread.
    #[inline]
    pub(super) fn unlock(self) -> Option<Here> {
        self.here
    }

    /// For a caller who may have to wait, to do `what`.
    #[inline]
    pub(super) fn enter_to_wait(lock: &'a Spin<S>, what: Label) -> (Inside<'a, S>, Early) {
        let here = Here::enter();
        let waits_for = what.at(ptr::from_ref(lock).addr());
        let begun = if here.is_some() { None } else { Some(Wait::begin(waits_for)) };
        let early = Early { begun, waits_for };
        (Inside { state: lock.lock(), here }, early)
    }
}

impl<S> Deref for Inside<'_, S> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.state
    }
}

impl<S> DerefMut for Inside<'_, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.state
    }
}

/// A sleep that was begun before the lock was taken, in case it will be needed.
///
/// Beginning one under the lock is right for a raddle thread: two instructions. A plain kernel thread may have to allocate for its
/// first, and a raddle thread that was preempted inside of malloc could then never go on, with others spinning on its core.
pub(super) struct Early {
    begun: Option<Wait>,
    waits_for: WaitsFor,
}

impl Early {
    #[inline]
    pub(super) fn begin(mut self) -> Wait {
        self.begun.take().unwrap_or_else(|| Wait::begin(self.waits_for))
    }
}

impl Drop for Early {
    #[inline]
    fn drop(&mut self) {
        if let Some(wait) = self.begun.take() {
            // Nobody was told of this sleep, so nobody has ended it.
            let _ = wait.retract();
        }
    }
}

/// How long an operation may wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// Until then, on `CLOCK_MONOTONIC`; `None` for ever.
    Until(Option<u64>),
}

/// What has become of a node that someone is owed a message through. Only a channel without capacity needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Debt {
    None,
    /// A sender is bound to bring the message; its owner waits for that, deadline or not.
    Owed,
    /// The message is in its place.
    Paid,
    /// The sender has broken its promise.
    Broken,
}

/// One who waits, for one operation.
pub(super) struct Node {
    next: Cell<*const Node>,
    previous: Cell<*const Node>,
    is_linked: Cell<bool>,
    sleep: Cell<Option<Sleep>>,
    /// Which of its owner's operations this is.
    arm: Cell<u16>,
    /// Where the message is, or is to go; null for an operation of a select, which sees to the message later.
    place: Cell<*mut ()>,
    /// Which meeting its owner was claimed for, where messages are kept by meetings.
    pub(super) meeting: Cell<u64>,
    pub(super) debt: Cell<Debt>,
}

impl Node {
    #[inline]
    pub(super) fn new<T>(place: *mut T) -> Node {
        Node {
            next: Cell::new(ptr::null()),
            previous: Cell::new(ptr::null()),
            is_linked: Cell::new(false),
            sleep: Cell::new(None),
            arm: Cell::new(0),
            place: Cell::new(place.cast()),
            meeting: Cell::new(0),
            debt: Cell::new(Debt::None),
        }
    }

    /// An operation of a select.
    pub(super) fn of_select() -> Node {
        Node::new(ptr::null_mut::<()>())
    }

    /// Before it is linked: under which sleep its owner waits, and as which of its operations.
    #[inline]
    pub(super) fn prepare(&self, sleep: Sleep, arm: u16) {
        self.sleep.set(Some(sleep));
        self.arm.set(arm);
    }

    /// Under the lock.
    #[inline]
    pub(super) fn is_linked(&self) -> bool {
        self.is_linked.get()
    }

    /// Where the message is, or is to go. `None` for an operation of a select.
    #[inline]
    pub(super) fn place<T>(&self) -> Option<*mut T> {
        let place = self.place.get();
        (!place.is_null()).then_some(place.cast())
    }

    /// Whether it belongs to the same thread as `sleep`.
    pub(super) fn is_of(&self, sleep: Sleep) -> bool {
        self.sleep.get().is_some_and(|own| own.sleeper == sleep.sleeper)
    }

    /// Its owner, whom others have unlinked and who is still owed a message, waits under another sleep from now on.
    pub(super) fn sleeps_anew(&self, sleep: Sleep) {
        self.sleep.set(Some(sleep));
    }
}

/// Why a sleep at a channel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The operation that was waited for is done.
    Done(u16),
    /// The other side is gone.
    Gone(u16),
    TimedOut,
    Cancelled,
    /// Handlers are to be run, when the node is out of the queue.
    Signalled,
    /// For nothing that matters here.
    Other,
}

/// What somebody who claims a sleep says with it: done or gone, for one of up to [`MOST_ARMS`] operations.
fn reason(arm: u16, is_done: bool) -> Reason {
    Reason::choice(arm * 2 + u16::from(!is_done))
}

/// The most operations that a select can have.
pub(super) const MOST_ARMS: usize = 32_000;

impl Ended {
    #[inline]
    pub(super) fn of(reason: Reason) -> Ended {
        match reason.chosen() {
            Some(choice) if choice % 2 == 0 => Ended::Done(choice / 2),
            Some(choice) => Ended::Gone(choice / 2),
            None if reason == Reason::TIMED_OUT => Ended::TimedOut,
            None if reason == Reason::CANCELLED => Ended::Cancelled,
            None if reason == Reason::SIGNALLED => Ended::Signalled,
            None => Ended::Other,
        }
    }
}

/// Nodes in the order of their coming. The channel's lock guards it and the links in the nodes.
#[derive(Debug)]
pub(super) struct Waiters {
    first: *const Node,
    last: *const Node,
}

// SAFETY: the nodes are touched under the channel's lock only, or by their owner while they are not linked.
unsafe impl Send for Waiters {}

impl Waiters {
    pub(super) const fn new() -> Waiters {
        Waiters { first: ptr::null(), last: ptr::null() }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Links a node at the end.
    ///
    /// # Safety
    ///
    /// It is not linked anywhere, and stays where it is until it has been claimed or found unlinked under the lock.
    #[inline]
    pub(super) unsafe fn push(&mut self, node: &Node) {
        debug_assert!(!node.is_linked.get());
        node.next.set(ptr::null());
        node.previous.set(self.last);
        node.is_linked.set(true);
        // SAFETY: a linked node is alive.
        match unsafe { self.last.as_ref() } {
            Some(last) => last.next.set(node),
            None => self.first = node,
        }
        self.last = node;
    }

    /// Unlinks a node.
    ///
    /// # Safety
    ///
    /// It is linked, and here.
    #[inline]
    pub(super) unsafe fn remove(&mut self, node: &Node) {
        debug_assert!(node.is_linked.get());
        let (next, previous) = (node.next.get(), node.previous.get());
        // SAFETY: neighbours are linked, so alive.
        unsafe {
            match previous.as_ref() {
                Some(previous) => previous.next.set(next),
                None => self.first = next,
            }
            match next.as_ref() {
                Some(next) => next.previous.set(previous),
                None => self.last = previous,
            }
        }
        node.is_linked.set(false);
    }

    /// The first of those that wait, still linked.
    #[inline]
    pub(super) fn first(&self) -> Option<Waiter> {
        (!self.first.is_null()).then_some(Waiter(self.first))
    }

    /// The first that belongs to another thread than `sleep`: nobody meets itself.
    pub(super) fn first_other(&self, sleep: Option<Sleep>) -> Option<Waiter> {
        let mut at = self.first;
        // SAFETY: linked nodes are alive.
        while let Some(node) = unsafe { at.as_ref() } {
            if !sleep.is_some_and(|sleep| node.is_of(sleep)) {
                return Some(Waiter(node));
            }
            at = node.next.get();
        }
        None
    }

    /// The one who is here for `meeting`.
    pub(super) fn of_meeting(&self, meeting: u64) -> Option<Waiter> {
        let mut at = self.first;
        // SAFETY: linked nodes are alive.
        while let Some(node) = unsafe { at.as_ref() } {
            if node.meeting.get() == meeting {
                return Some(Waiter(node));
            }
            at = node.next.get();
        }
        None
    }

    /// Unlinks `waiter`, whom the caller is about to claim.
    #[inline]
    pub(super) fn take(&mut self, waiter: Waiter) -> Taken {
        // SAFETY: a `Waiter` is linked here until it is taken, which happens once, under the lock that it was found under.
        unsafe { self.remove(&*waiter.0) };
        Taken(waiter.0)
    }

    /// Wakes all who wait, as the other side is gone for ever. One at a time, with the lock free in between: there may be many.
    pub(super) fn wake_all<S>(lock: &Spin<S>, waiters: impl Fn(&mut S) -> &mut Waiters) {
        loop {
            let mut state = Inside::enter(lock);
            let waiters = waiters(&mut state);
            let Some(first) = waiters.first() else { return };
            waiters.take(first).claim_gone();
        }
    }
}

/// A linked node, under the lock.
#[derive(Clone, Copy)]
pub(super) struct Waiter(*const Node);

impl Waiter {
    /// Where its message is, or is to go. `None` for an operation of a select.
    #[inline]
    pub(super) fn place<T>(self) -> Option<*mut T> {
        // SAFETY: linked, so alive.
        unsafe { (*self.0).place() }
    }
}

/// A node that was unlinked a moment ago, under the lock: alive until it is claimed, or the lock released.
#[must_use = "whoever is unlinked is claimed, or linked elsewhere"]
pub(super) struct Taken(*const Node);

impl Taken {
    /// Ends its owner's sleep: the operation is done. False if that sleep is over, and nothing has happened.
    #[inline]
    pub(super) fn claim_done(self) -> bool {
        self.claim(true)
    }

    fn claim_gone(self) -> bool {
        self.claim(false)
    }

    #[inline]
    fn claim(self, is_done: bool) -> bool {
        // SAFETY: alive, see the type; after the claim it is not looked at again.
        let node = unsafe { &*self.0 };
        let (sleep, arm) = (node.sleep.get(), node.arm.get());
        sleep.is_some_and(|sleep| park::unpark(sleep, reason(arm, is_done)))
    }

    /// What its owner is owed is settled: it is woken if it sleeps, and finds the result in any case.
    pub(super) fn settle(self, debt: Debt) {
        // SAFETY: alive: its owner looks at the debt under the lock, or after a claim.
        unsafe { (*self.0).debt.set(debt) };
        let _ = self.claim_done();
    }

    /// Before it is claimed: for which meeting.
    pub(super) fn bound_for(self, meeting: u64) -> Taken {
        // SAFETY: alive, see the type.
        unsafe { (*self.0).meeting.set(meeting) };
        self
    }

    /// Where its message is to go.
    pub(super) fn place<T>(&self) -> Option<*mut T> {
        // SAFETY: alive, see the type.
        unsafe { (*self.0).place() }
    }

    /// Links it in `creditors`: its owner goes on waiting, for a message that somebody is bound to bring.
    pub(super) fn becomes_creditor(self, creditors: &mut Waiters) {
        // SAFETY: alive and not linked; its owner finds the debt and stays until it is settled.
        unsafe {
            (*self.0).debt.set(Debt::Owed);
            creditors.push(&*self.0);
        }
    }
}
