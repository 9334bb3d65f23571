//! The flavour without capacity: sender and receiver meet.
//!
//! Two plain operations meet as in any channel: whoever comes second moves the message and wakes the first. A select complicates it,
//! because it agrees to meet before it has a message, or a place for one:
//!
//! | sender | receiver | the message |
//! |---|---|---|
//! | plain | plain | from stack to stack |
//! | plain | select | goes *in transit*, a queue of the channel's; the sender goes on, the select fetches it there |
//! | select | plain | the receiver becomes a *creditor* and waits until the select, which has promised, brings it |
//! | select | select | whoever completes first: a sender leaves it in transit, a receiver becomes a creditor |
//!
//! Each meeting that was agreed on has a number. Both know it: whoever claimed, and by its node whoever was claimed. Without it, a
//! select could fetch an older message than one that its thread has received already.
//!
//! A creditor waits without a deadline and behind a shield: its operation has happened, only the message isn't there yet. That takes
//! as long as the other thread takes from `select()` to `send(..)` of the selected operation.
//!
//! Rejected: a packet on the heap for each meeting with a select, as in crossbeam, whose receivers also spin for the select's
//! message: on one core that burns the slice that the sender needs.

#![allow(unsafe_code, reason = "messages that change hands as bytes")]

use super::buffer::{Dearth, Refusal};
use super::claim::{Attempt, Claim, Enlisting, commits};
use super::wait::{Debt, Ended, Inside, Node, Patience, Waiters};
use crate::cancel;
use crate::carry;
use crate::label::{Label, WaitsFor};
use crate::park::Wait;
use crate::signals;
use crate::spin::Spin;
use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::mem::{ManuallyDrop, MaybeUninit, swap};
use std::panic::resume_unwind;

/// A channel without capacity.
pub(super) struct Zero<T> {
    state: Spin<State<T>>,
}

struct State<T> {
    senders: Waiters,
    receivers: Waiters,
    /// Receivers to whom a select is bound to bring a message.
    creditors: Waiters,
    /// What one side of a meeting has left for the other. It grows only outside the lock.
    transit: VecDeque<(u64, Left<T>)>,
    /// The number of the next meeting.
    next_meeting: u64,
    senders_gone: bool,
    receivers_gone: bool,
}

/// What one side of a meeting leaves for the other.
enum Left<T> {
    Message(T),
    /// The receiver has abandoned it.
    Unwanted,
    /// The sender has.
    Broken,
}

enum Meeting {
    Done,
    /// With a select that has yet to bring the message.
    Promised(u64),
    Nobody,
    Gone,
    /// The transit must grow first.
    Unprepared,
}

impl<T> State<T> {
    fn transit_is_full(&self) -> bool {
        self.transit.len() == self.transit.capacity()
    }

    fn new_meeting(&mut self) -> u64 {
        self.next_meeting += 1;
        self.next_meeting
    }

    /// Takes what the other side has left.
    fn find(&mut self, meeting: u64) -> Option<Left<T>> {
        let at = self.transit.iter().position(|(one, _)| *one == meeting)?;
        self.transit.remove(at).map(|(_, left)| left)
    }

    /// Moves the message at `from` to a waiting receiver, or on its way to one.
    ///
    /// # Safety
    ///
    /// There is a message at `from`; if the answer is `Done`, it is there no more.
    unsafe fn offer(&mut self, from: *const T) -> Meeting {
        if self.receivers_gone {
            return Meeting::Gone;
        }
        while let Some(waiter) = self.receivers.first() {
            if let Some(place) = waiter.place::<T>() {
                // SAFETY: the place is free, and its owner waits. A copy that is not claimed is forgotten.
                unsafe { from.copy_to_nonoverlapping(place, 1) };
                if self.receivers.take(waiter).claim_done() {
                    return Meeting::Done;
                }
            } else if self.transit_is_full() {
                return Meeting::Unprepared;
            } else {
                let meeting = self.new_meeting();
                if self.receivers.take(waiter).bound_for(meeting).claim_done() {
                    // SAFETY: the message leaves its place.
                    self.transit.push_back((meeting, Left::Message(unsafe { from.read() })));
                    return Meeting::Done;
                }
            }
        }
        Meeting::Nobody
    }

    /// Moves a waiting sender's message to `to`.
    ///
    /// # Safety
    ///
    /// A message may be written to `to`.
    unsafe fn take(&mut self, to: *mut T) -> Meeting {
        while let Some(waiter) = self.senders.first() {
            let Some(place) = waiter.place::<T>() else {
                let meeting = self.new_meeting();
                if self.senders.take(waiter).bound_for(meeting).claim_done() {
                    return Meeting::Promised(meeting);
                }
                continue;
            };
            // SAFETY: a sender waits with its message in place. A copy that is not claimed is forgotten.
            unsafe { place.copy_to_nonoverlapping(to, 1) };
            if self.senders.take(waiter).claim_done() {
                return Meeting::Done;
            }
        }
        if self.senders_gone { Meeting::Gone } else { Meeting::Nobody }
    }
}

impl<T> Zero<T> {
    pub(super) fn new() -> Zero<T> {
        Zero {
            state: Spin::new(State {
                senders: Waiters::new(),
                receivers: Waiters::new(),
                creditors: Waiters::new(),
                transit: VecDeque::new(),
                next_meeting: 0,
                senders_gone: false,
                receivers_gone: false,
            }),
        }
    }

    /// Makes room for messages in transit.
    #[cold]
    fn grow_transit(&self) {
        let len = Inside::enter(&self.state).transit.len();
        let mut larger = VecDeque::with_capacity(len * 2 + 4);
        let mut state = Inside::enter(&self.state);
        if state.transit_is_full() && larger.capacity() > state.transit.len() {
            while let Some(left) = state.transit.pop_front() {
                larger.push_back(left);
            }
            swap(&mut state.transit, &mut larger);
        }
        drop(state);
        drop(larger);
    }

    pub(super) fn send(&self, message: T, patience: Patience) -> Result<(), (Refusal, T)> {
        // Others read it while this thread waits.
        let message = UnsafeCell::new(ManuallyDrop::new(message));
        let place: *mut T = message.get().cast();
        loop {
            let (mut state, early) = Inside::enter_to_wait(&self.state, Label::SEND);
            // SAFETY: the message is in its place.
            let meeting = unsafe { state.offer(place) };
            let refusal = match (meeting, patience) {
                (Meeting::Done | Meeting::Promised(_), _) => return Ok(()),
                (Meeting::Gone, _) => Refusal::Gone,
                (Meeting::Unprepared, _) => {
                    drop(state);
                    // An allocator may wait, in its way, and a thread begins one sleep at a time.
                    drop(early);
                    self.grow_transit();
                    continue;
                }
                (Meeting::Nobody, Patience::None) => Refusal::Full,
                (Meeting::Nobody, Patience::Until(deadline_ns)) => {
                    let wait = early.begin();
                    let node = Node::new(place);
                    node.prepare(wait.sleep(), 0);
                    // SAFETY: the node stays in this frame until it was claimed or withdrawn.
                    unsafe { state.senders.push(&node) };
                    drop(state);
                    let ended = Ended::of(wait.park(deadline_ns));
                    match ended {
                        Ended::Done(_) => return Ok(()),
                        Ended::Gone(_) => Refusal::Gone,
                        _ => {
                            self.withdraw_sender(&node);
                            match ended {
                                Ended::TimedOut => Refusal::TimedOut,
                                Ended::Cancelled if !std::thread::panicking() => {
                                    drop(ManuallyDrop::into_inner(message.into_inner()));
                                    cancel::unwind()
                                }
                                Ended::Signalled => {
                                    if let Err(panic) = signals::try_deliver() {
                                        drop(ManuallyDrop::into_inner(message.into_inner()));
                                        resume_unwind(panic)
                                    }
                                    continue;
                                }
                                _ => continue,
                            }
                        }
                    }
                }
            };
            return Err((refusal, ManuallyDrop::into_inner(message.into_inner())));
        }
    }

    pub(super) fn receive(&self, patience: Patience) -> Result<T, Dearth> {
        // Others write it while this thread waits.
        let message = UnsafeCell::new(MaybeUninit::<T>::uninit());
        let place: *mut T = message.get().cast();
        // SAFETY: for each use below: called when a message was written to the place.
        let received =
            |message: UnsafeCell<MaybeUninit<T>>| unsafe { message.into_inner().assume_init() };
        loop {
            let (mut state, early) = Inside::enter_to_wait(&self.state, Label::RECEIVE);
            // SAFETY: the place is this frame's.
            let meeting = unsafe { state.take(place) };
            let deadline_ns = match (meeting, patience) {
                (Meeting::Done, _) => return Ok(received(message)),
                (Meeting::Gone, _) => return Err(Dearth::Gone),
                (Meeting::Promised(meeting), _) => {
                    let wait = early.begin();
                    // SAFETY: the place is this frame's.
                    if unsafe { self.wait_as_creditor(state, wait, place, meeting) } {
                        return Ok(received(message));
                    }
                    continue;
                }
                (Meeting::Unprepared, _) => continue,
                (Meeting::Nobody, Patience::None) => return Err(Dearth::Empty),
                (Meeting::Nobody, Patience::Until(deadline_ns)) => deadline_ns,
            };
            let wait = early.begin();
            let node = Node::new(place);
            node.prepare(wait.sleep(), 0);
            // SAFETY: the node stays in this frame until it was claimed or withdrawn, or the debt is settled.
            unsafe { state.receivers.push(&node) };
            drop(state);
            let ended = Ended::of(wait.park(deadline_ns));
            match ended {
                Ended::Done(_) if node.debt.get() == Debt::Broken => continue,
                Ended::Done(_) => return Ok(received(message)),
                Ended::Gone(_) => return Err(Dearth::Gone),
                _ => {}
            }
            if self.withdraw_receiver(&node) {
                match ended {
                    Ended::TimedOut => return Err(Dearth::TimedOut),
                    Ended::Cancelled if !std::thread::panicking() => cancel::unwind(),
                    Ended::Signalled => signals::deliver(),
                    _ => {}
                }
            } else if self.wait_for_debt(&node, Wait::begin(self.receives())) {
                return Ok(received(message));
            }
        }
    }

    /// Waits until the other side of `meeting` has brought its message to `place`. False if it will not.
    ///
    /// # Safety
    ///
    /// A message may be written to `place` while this waits.
    unsafe fn wait_as_creditor(
        &self,
        mut state: Inside<'_, State<T>>,
        wait: Wait,
        place: *mut T,
        meeting: u64,
    ) -> bool {
        let node = Node::new(place);
        node.prepare(wait.sleep(), 0);
        node.meeting.set(meeting);
        node.debt.set(Debt::Owed);
        // SAFETY: the node stays in this frame until the debt is settled.
        unsafe { state.creditors.push(&node) };
        drop(state);
        self.wait_for_debt(&node, wait)
    }

    /// Waits until the message that the node's owner is owed is in its place. False if the promise was broken.
    fn wait_for_debt(&self, node: &Node, mut wait: Wait) -> bool {
        let _shield = carry::raise_shield();
        loop {
            // Under the lock, since whoever settles may be at it, and wakes the sleep that it finds.
            {
                let _state = Inside::enter(&self.state);
                match node.debt.get() {
                    Debt::Paid | Debt::Broken => {
                        let _ = wait.retract();
                        return node.debt.get() == Debt::Paid;
                    }
                    Debt::None | Debt::Owed => node.sleeps_anew(wait.sleep()),
                }
            }
            wait.park(None);
            wait = Wait::begin(self.receives());
        }
    }

    fn receives(&self) -> WaitsFor {
        Label::RECEIVE.at(std::ptr::from_ref(&self.state).addr())
    }

    /// No sender is left.
    pub(super) fn senders_left(&self) {
        Inside::enter(&self.state).senders_gone = true;
        Waiters::wake_all(&self.state, |state| &mut state.receivers);
    }

    /// No receiver is left.
    pub(super) fn receivers_left(&self) {
        Inside::enter(&self.state).receivers_gone = true;
        Waiters::wake_all(&self.state, |state| &mut state.senders);
    }
}

/// For selects.
impl<T> Zero<T> {
    pub(super) fn claim_receive(&self, mut select: Option<Enlisting<'_>>) -> Attempt {
        let own_sleep = select.as_ref().map(|select| select.commitment.sleep());
        let mut state = loop {
            let mut state = Inside::enter(&self.state);
            let Some(waiter) = state.senders.first_other(own_sleep) else { break state };
            let place = waiter.place::<T>();
            if !commits(&mut select) {
                return Attempt::Over;
            }
            if place.is_some() && state.transit_is_full() {
                // Committed, so no sleep is begun any more, and an allocator may wait in its way.
                drop(state);
                self.grow_transit();
                continue;
            }
            // SAFETY: a sender waits with its message in place. A copy that is not claimed is forgotten.
            let message = place.map(|place| unsafe { place.cast::<MaybeUninit<T>>().read() });
            let meeting = state.new_meeting();
            if state.senders.take(waiter).bound_for(meeting).claim_done() {
                if let Some(message) = message {
                    // SAFETY: claimed, so the copy is the message now.
                    let message = unsafe { message.assume_init() };
                    state.transit.push_back((meeting, Left::Message(message)));
                }
                return Attempt::Claimed(Claim::Promise(meeting));
            }
        };
        let is_gone = state.senders_gone;
        // SAFETY: the select withdraws its node before its arms go.
        settle_for_less(select, is_gone, |node| unsafe { state.receivers.push(node) })
    }

    pub(super) fn claim_send(&self, mut select: Option<Enlisting<'_>>) -> Attempt {
        let own_sleep = select.as_ref().map(|select| select.commitment.sleep());
        let mut inside = Inside::enter(&self.state);
        let state = &mut *inside;
        if !state.receivers_gone {
            while let Some(waiter) = state.receivers.first_other(own_sleep) {
                if !commits(&mut select) {
                    return Attempt::Over;
                }
                let is_plain = waiter.place::<T>().is_some();
                let meeting = state.new_meeting();
                let taken = state.receivers.take(waiter).bound_for(meeting);
                if is_plain {
                    taken.becomes_creditor(&mut state.creditors);
                    return Attempt::Claimed(Claim::Promise(meeting));
                }
                if taken.claim_done() {
                    return Attempt::Claimed(Claim::Promise(meeting));
                }
            }
        }
        let is_gone = state.receivers_gone;
        // SAFETY: the select withdraws its node before its arms go.
        settle_for_less(select, is_gone, |node| unsafe { state.senders.push(node) })
    }

    /// Fetches the message of a claimed receive. `None` if the select at the other end has broken its promise.
    pub(super) fn complete_receive(&self, meeting: u64) -> Option<T> {
        let message = UnsafeCell::new(MaybeUninit::<T>::uninit());
        let (mut state, early) = Inside::enter_to_wait(&self.state, Label::RECEIVE);
        match state.find(meeting) {
            Some(Left::Message(message)) => return Some(message),
            Some(Left::Broken | Left::Unwanted) => return None,
            None => {}
        }
        let wait = early.begin();
        // SAFETY: the place is this frame's; a creditor that was paid has its message there.
        unsafe {
            let is_paid = self.wait_as_creditor(state, wait, message.get().cast(), meeting);
            is_paid.then(|| message.into_inner().assume_init())
        }
    }

    /// Brings the message of a claimed send. It comes back if the select at the other end does not want it any more.
    pub(super) fn complete_send(&self, meeting: u64, message: T) -> Result<(), T> {
        let mut state = self.enter_with_room();
        if let Some(waiter) = state.creditors.of_meeting(meeting) {
            let creditor = state.creditors.take(waiter);
            let place = creditor.place::<T>().expect("a creditor has a place for the message");
            // SAFETY: its owner waits for the message.
            unsafe { place.write(message) };
            creditor.settle(Debt::Paid);
            return Ok(());
        }
        if state.find(meeting).is_some() {
            return Err(message);
        }
        state.transit.push_back((meeting, Left::Message(message)));
        Ok(())
    }

    pub(super) fn abandon_receive(&self, meeting: u64) {
        let mut state = self.enter_with_room();
        let left = state.find(meeting);
        if left.is_none() {
            state.transit.push_back((meeting, Left::Unwanted));
        }
        drop(state);
        drop(left);
    }

    pub(super) fn abandon_send(&self, meeting: u64) {
        let mut state = self.enter_with_room();
        match state.creditors.of_meeting(meeting) {
            Some(waiter) => state.creditors.take(waiter).settle(Debt::Broken),
            None if state.find(meeting).is_some() => {}
            None => state.transit.push_back((meeting, Left::Broken)),
        }
    }

    /// Locks, with room for one more in transit.
    fn enter_with_room(&self) -> Inside<'_, State<T>> {
        loop {
            let state = Inside::enter(&self.state);
            if !state.transit_is_full() {
                return state;
            }
            drop(state);
            self.grow_transit();
        }
    }

    /// Unlinks a receiver's node, unless that has been done. False if its owner is owed a message.
    #[cold]
    pub(super) fn withdraw_receiver(&self, node: &Node) -> bool {
        let mut state = Inside::enter(&self.state);
        if node.debt.get() != Debt::None {
            return false;
        }
        if node.is_linked() {
            // SAFETY: linked, and no creditor: here.
            unsafe { state.receivers.remove(node) };
        }
        true
    }

    #[cold]
    pub(super) fn withdraw_sender(&self, node: &Node) {
        let mut state = Inside::enter(&self.state);
        if node.is_linked() {
            // SAFETY: it was linked here.
            unsafe { state.senders.remove(node) };
        }
    }
}

/// Nobody is there to meet.
fn settle_for_less(
    mut select: Option<Enlisting<'_>>,
    is_gone: bool,
    link: impl FnOnce(&Node),
) -> Attempt {
    if is_gone {
        return if commits(&mut select) { Attempt::Claimed(Claim::Gone) } else { Attempt::Over };
    }
    match select {
        None => Attempt::Waits,
        Some(Enlisting { node, commitment }) => {
            if commitment.is_open() {
                link(node);
                Attempt::Waits
            } else {
                Attempt::Over
            }
        }
    }
}
