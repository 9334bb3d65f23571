//! A channel with a buffer, whatever the buffer is made of.
//!
//! Two rules hold whenever the lock is free, and every operation restores them:
//!
//! - while receivers wait, there is no message for them (all that are there are promised to selects);
//! - while senders wait, there is no place for them (all that are free are promised to selects).
//!
//! So a message goes straight to a waiting receiver without touching the buffer (unless promised ones are in it: then the
//! receiver gets the oldest, and the new one takes its place, as messages leave in the order of their coming), and a receiver that makes room lets the
//! first waiting sender's message in at once: nobody who comes later overtakes one who waits.
//!
//! The lock is held for one exchange. Its holder never allocates (`Unprepared` sends the caller out to do that), never frees, and never
//! drops a message. A ring without locks, as crossbeam's, was rejected: a receiver then has to publish that it waits and look
//! again, a sender has to look for waiters after each push, and both end in a lock of the list of waiters; with a switch at 60 ns
//! the lock that is free costs less than the fences do.

#![allow(unsafe_code, reason = "messages that change hands as bytes")]

use super::claim::{Attempt, Claim, Enlisting, commits};
use super::wait::{Ended, Inside, Node, Patience, Waiters};
use crate::cancel;
use crate::label::Label;
use crate::signals;
use crate::spin::Spin;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::resume_unwind;

/// What messages wait in.
///
/// # Safety
///
/// `head` and `tail` point to memory for a `T` that nobody else uses; what was written to `tail` and `pushed` stays until
/// it was `head` and `popped`, in order.
pub(super) unsafe trait Store<T> {
    /// Memory that is made, and given back, while the lock is free.
    type Spare;

    fn len(&self) -> usize;
    fn capacity(&self) -> Option<usize>;
    /// Whether `tail` needs a spare first.
    fn wants_spare(&self) -> bool;
    fn make_spare() -> Self::Spare;
    fn stock(&mut self, spare: Self::Spare);
    /// A spare too many.
    fn surplus(&mut self) -> Option<Self::Spare>;
    /// Where the next message goes. There is room.
    fn tail(&mut self) -> *mut T;
    fn pushed(&mut self);
    /// The oldest message. There is one.
    fn head(&mut self) -> *mut T;
    /// It has been moved out.
    fn popped(&mut self);
}

/// A channel with a buffer.
pub(super) struct Buffer<T, S: Store<T>> {
    state: Spin<State<T, S>>,
}

struct State<T, S: Store<T>> {
    store: S,
    /// Messages that selects have claimed and not yet received.
    promised: usize,
    /// Places that selects have claimed and not yet filled.
    reserved: usize,
    receivers: Waiters,
    senders: Waiters,
    receivers_gone: bool,
    senders_gone: bool,
    messages: PhantomData<T>,
}

/// What became of a message that was offered.
enum Offer {
    Taken,
    Full,
    Gone,
    /// Memory is to be made first.
    Unprepared,
}

/// Why a message was not sent.
pub(super) enum Refusal {
    Full,
    TimedOut,
    Gone,
}

/// Why none was received.
pub(super) enum Dearth {
    Empty,
    TimedOut,
    Gone,
}

impl<T, S: Store<T>> State<T, S> {
    #[inline]
    fn available(&self) -> usize {
        self.store.len() - self.promised
    }

    #[inline]
    fn has_room(&self) -> bool {
        self.store.capacity().is_none_or(|capacity| self.store.len() + self.reserved < capacity)
    }

    /// Moves the message at `from` to whoever waits, or into the buffer.
    ///
    /// # Safety
    ///
    /// There is a message at `from`; if the answer is `Taken`, it is there no more.
    #[inline]
    unsafe fn offer(&mut self, from: *const T) -> Offer {
        if self.receivers_gone {
            return Offer::Gone;
        }
        while let Some(waiter) = self.receivers.first() {
            if let Some(place) = waiter.place::<T>() {
                if self.store.len() > 0 {
                    // They are promised.
                    if self.store.wants_spare() {
                        return Offer::Unprepared;
                    }
                    // SAFETY: as below; the new message takes the place of the one that leaves.
                    unsafe {
                        self.store.head().copy_to_nonoverlapping(place, 1);
                        if self.receivers.take(waiter).claim_done() {
                            self.store.popped();
                            self.push(from);
                            return Offer::Taken;
                        }
                    }
                    continue;
                }
                // SAFETY: the place is free, and its owner waits; the message is the caller's. A copy that is not claimed is
                // forgotten.
                unsafe { from.copy_to_nonoverlapping(place, 1) };
                if self.receivers.take(waiter).claim_done() {
                    return Offer::Taken;
                }
            } else {
                // A select fetches it later: it goes through the buffer.
                if !self.has_room() {
                    return Offer::Full;
                }
                if self.store.wants_spare() {
                    return Offer::Unprepared;
                }
                if self.receivers.take(waiter).claim_done() {
                    self.promised += 1;
                    // SAFETY: there is room, and a spare if need be.
                    unsafe { self.push(from) };
                    return Offer::Taken;
                }
            }
        }
        if !self.has_room() {
            return Offer::Full;
        }
        if self.store.wants_spare() {
            return Offer::Unprepared;
        }
        // SAFETY: there is room, and a spare if need be.
        unsafe { self.push(from) };
        Offer::Taken
    }

    /// # Safety
    ///
    /// There is a message at `from`, which it leaves, and room.
    #[inline]
    unsafe fn push(&mut self, from: *const T) {
        // SAFETY: by the contract of `Store`.
        unsafe { from.copy_to_nonoverlapping(self.store.tail(), 1) };
        self.store.pushed();
    }

    /// Moves the oldest message to `to`, and lets others follow.
    ///
    /// # Safety
    ///
    /// There is a message, and it may be written to `to`.
    #[inline]
    unsafe fn pop(&mut self, to: *mut T) {
        // SAFETY: by the contract of `Store`.
        unsafe { self.store.head().copy_to_nonoverlapping(to, 1) };
        self.store.popped();
        if !self.senders.is_empty() {
            self.balance();
        }
    }

    /// Restores the two rules.
    #[cold]
    fn balance(&mut self) {
        loop {
            if self.available() > 0
                && let Some(waiter) = self.receivers.first()
            {
                match waiter.place::<T>() {
                    Some(place) => {
                        // SAFETY: there is a message; the place is free, and its owner waits.
                        unsafe { self.store.head().copy_to_nonoverlapping(place, 1) };
                        if self.receivers.take(waiter).claim_done() {
                            self.store.popped();
                        }
                    }
                    None => self.promised += usize::from(self.receivers.take(waiter).claim_done()),
                }
            } else if self.has_room()
                && let Some(waiter) = self.senders.first()
            {
                match waiter.place::<T>() {
                    Some(place) => {
                        // SAFETY: a sender waits with its message in place, and there is room; only channels whose buffer needs
                        // no spares have senders that wait.
                        unsafe { place.copy_to_nonoverlapping(self.store.tail(), 1) };
                        if self.senders.take(waiter).claim_done() {
                            self.store.pushed();
                        }
                    }
                    None => self.reserved += usize::from(self.senders.take(waiter).claim_done()),
                }
            } else {
                return;
            }
        }
    }
}

impl<T, S: Store<T>> Drop for State<T, S> {
    fn drop(&mut self) {
        while self.store.len() > 0 {
            // SAFETY: there is a message, and nobody else can reach it.
            let message = unsafe { self.store.head().read() };
            self.store.popped();
            drop(message);
        }
    }
}

impl<T, S: Store<T>> Buffer<T, S> {
    pub(super) fn new(store: S) -> Buffer<T, S> {
        Buffer {
            state: Spin::new(State {
                store,
                promised: 0,
                reserved: 0,
                receivers: Waiters::new(),
                senders: Waiters::new(),
                receivers_gone: false,
                senders_gone: false,
                messages: PhantomData,
            }),
        }
    }

    #[inline]
    pub(super) fn send(&self, message: T, patience: Patience) -> Result<(), (Refusal, T)> {
        // Others read it while this thread waits.
        let message = UnsafeCell::new(ManuallyDrop::new(message));
        let place: *mut T = message.get().cast();
        loop {
            let (mut state, early) = Inside::enter_to_wait(&self.state, Label::SEND);
            // SAFETY: the message is in its place.
            let refusal = match unsafe { state.offer(place) } {
                Offer::Taken => return Ok(()),
                Offer::Gone => Refusal::Gone,
                Offer::Unprepared => {
                    drop(state);
                    // An allocator may wait, in its way, and a thread begins one sleep at a time.
                    drop(early);
                    self.stock();
                    continue;
                }
                Offer::Full => match patience {
                    Patience::None => Refusal::Full,
                    Patience::Until(deadline_ns) => {
                        let wait = early.begin();
                        let node = Node::new(place);
                        node.prepare(wait.sleep(), 0);
                        // SAFETY: the node stays in this frame until it was claimed or withdrawn.
                        unsafe { state.senders.push(&node) };
                        let ended = Ended::of(wait.park_from(state.unlock(), deadline_ns));
                        if let Ended::Done(_) = ended {
                            return Ok(());
                        }
                        if !matches!(ended, Ended::Gone(_)) {
                            self.withdraw_sender(&node);
                        }
                        match ended {
                            Ended::Gone(_) => Refusal::Gone,
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
                },
            };
            return Err((refusal, ManuallyDrop::into_inner(message.into_inner())));
        }
    }

    #[inline]
    pub(super) fn receive(&self, patience: Patience) -> Result<T, Dearth> {
        // Others write it while this thread waits.
        let message = UnsafeCell::new(MaybeUninit::<T>::uninit());
        let place: *mut T = message.get().cast();
        loop {
            let (mut state, early) = Inside::enter_to_wait(&self.state, Label::RECEIVE);
            if state.available() > 0 {
                // SAFETY: there is a message, and the place is free.
                unsafe { state.pop(place) };
                let surplus = state.store.surplus();
                drop(state);
                drop(surplus);
                // SAFETY: it was just written.
                return Ok(unsafe { message.into_inner().assume_init() });
            }
            if state.senders_gone {
                return Err(Dearth::Gone);
            }
            let Patience::Until(deadline_ns) = patience else { return Err(Dearth::Empty) };
            let wait = early.begin();
            let node = Node::new(place);
            node.prepare(wait.sleep(), 0);
            // SAFETY: the node stays in this frame until it was claimed or withdrawn.
            unsafe { state.receivers.push(&node) };
            match Ended::of(wait.park_from(state.unlock(), deadline_ns)) {
                // SAFETY: whoever claimed has written it before.
                Ended::Done(_) => return Ok(unsafe { message.into_inner().assume_init() }),
                Ended::Gone(_) => return Err(Dearth::Gone),
                ended => {
                    self.withdraw_receiver(&node);
                    match ended {
                        Ended::TimedOut => return Err(Dearth::TimedOut),
                        Ended::Cancelled if !std::thread::panicking() => cancel::unwind(),
                        Ended::Signalled => signals::deliver(),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Makes what the buffer needs to grow.
    #[cold]
    fn stock(&self) {
        let spare = S::make_spare();
        let mut state = Inside::enter(&self.state);
        state.store.stock(spare);
        // Somebody else may have had the same thought.
        let surplus = state.store.surplus();
        drop(state);
        drop(surplus);
    }

    pub(super) fn len(&self) -> usize {
        Inside::enter(&self.state).available()
    }

    pub(super) fn is_full(&self) -> bool {
        !Inside::enter(&self.state).has_room()
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        // Constant, but it stands behind the lock.
        Inside::enter(&self.state).store.capacity()
    }

    /// No sender is left.
    pub(super) fn senders_left(&self) {
        Inside::enter(&self.state).senders_gone = true;
        Waiters::wake_all(&self.state, |state| &mut state.receivers);
    }

    /// No receiver is left: messages that nobody will receive are dropped now, not when the last sender goes.
    pub(super) fn receivers_left(&self) {
        Inside::enter(&self.state).receivers_gone = true;
        Waiters::wake_all(&self.state, |state| &mut state.senders);
        loop {
            let mut state = Inside::enter(&self.state);
            if state.store.len() == 0 {
                return;
            }
            // SAFETY: there is a message; with receivers gone nobody claims any, and nobody waits.
            let message = unsafe { state.store.head().read() };
            state.store.popped();
            let surplus = state.store.surplus();
            drop(state);
            drop((message, surplus));
        }
    }
}

/// For selects.
impl<T, S: Store<T>> Buffer<T, S> {
    pub(super) fn claim_receive(&self, mut select: Option<Enlisting<'_>>) -> Attempt {
        let mut state = Inside::enter(&self.state);
        let claim = match (state.available(), state.senders_gone) {
            (1.., _) => Claim::Promise(0),
            (0, true) => Claim::Gone,
            (0, false) => {
                if let Some(Enlisting { node, .. }) = select {
                    // SAFETY: the select withdraws it before its arms go.
                    unsafe { state.receivers.push(node) };
                }
                return Attempt::Waits;
            }
        };
        if !commits(&mut select) {
            return Attempt::Over;
        }
        state.promised += usize::from(claim == Claim::Promise(0));
        Attempt::Claimed(claim)
    }

    pub(super) fn claim_send(&self, mut select: Option<Enlisting<'_>>) -> Attempt {
        let mut state = Inside::enter(&self.state);
        let claim = match (state.receivers_gone, state.has_room()) {
            (true, _) => Claim::Gone,
            (false, true) => Claim::Promise(0),
            (false, false) => {
                if let Some(Enlisting { node, .. }) = select {
                    // SAFETY: the select withdraws it before its arms go.
                    unsafe { state.senders.push(node) };
                }
                return Attempt::Waits;
            }
        };
        if !commits(&mut select) {
            return Attempt::Over;
        }
        state.reserved += usize::from(claim == Claim::Promise(0));
        Attempt::Claimed(claim)
    }

    /// Keeps the promise of a message.
    pub(super) fn complete_receive(&self) -> T {
        let mut message = MaybeUninit::uninit();
        let mut state = Inside::enter(&self.state);
        state.promised -= 1;
        // SAFETY: one was promised, so it is there.
        unsafe { state.pop(message.as_mut_ptr()) };
        let surplus = state.store.surplus();
        drop(state);
        drop(surplus);
        // SAFETY: it was just written.
        unsafe { message.assume_init() }
    }

    /// Keeps the promise of a place. The message comes back if the receivers are gone meanwhile.
    pub(super) fn complete_send(&self, message: T) -> Result<(), T> {
        let message = ManuallyDrop::new(message);
        loop {
            let mut state = Inside::enter(&self.state);
            state.reserved -= 1;
            // SAFETY: the message is there.
            let offer = unsafe { state.offer(&raw const *message) };
            match offer {
                Offer::Taken => {
                    // It may have gone past the buffer: then its place is free.
                    state.balance();
                    return Ok(());
                }
                Offer::Gone => return Err(ManuallyDrop::into_inner(message)),
                Offer::Full | Offer::Unprepared => {
                    state.reserved += 1;
                    drop(state);
                    self.stock();
                }
            }
        }
    }

    pub(super) fn abandon_receive(&self) {
        let mut state = Inside::enter(&self.state);
        state.promised -= 1;
        state.balance();
    }

    pub(super) fn abandon_send(&self) {
        let mut state = Inside::enter(&self.state);
        state.reserved -= 1;
        state.balance();
    }

    #[cold]
    pub(super) fn withdraw_receiver(&self, node: &Node) {
        let mut state = Inside::enter(&self.state);
        if node.is_linked() {
            // SAFETY: it was linked here.
            unsafe { state.receivers.remove(node) };
        }
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
