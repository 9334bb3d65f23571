//! What a thread carries into every wait: a token that may be cancelled, and a deadline.
//!
//! Both are thread-locals of the thread itself. Most threads carry nothing, and then a wait costs one load more. A thread with a token
//! stands in the token's list, with a node of its own, and notes there which sleep it is about to begin; cancelling ends these
//! sleeps, as any waker would, and the state word decides who was first. A sleep that is over by then is known by its number.
//!
//! *Who has carried a token stays in its list* until it has carried others, or ends: a server's threads carry the same one again and again, for a
//! wait each time, inside of another one. What they have noted is over. A kernel thread, which ends without a word to us, leaves at once.
//!
//! ```text
//!   a thread that waits                   whoever cancels
//!   node.ticket = this sleep's            is_cancelled = true
//!   is_cancelled? end it myself           for each node: end the sleep of node.ticket
//! ```
//!
//! All four are sequentially consistent, so one of the two sees the other.
//!
//! Rejected: a token as one more queue that every primitive registers with (each of them would have to be written twice);
//! signals or exceptions at any point, as `pthread_cancel` in its asynchronous form (nothing is safe there); to enter the list for each wait
//! and leave it afterwards (two locks, and neighbours in the list that are in no near cache).

#![allow(unsafe_code, reason = "nodes in the thread-locals of threads that carry a token")]

use crate::sched::enter::{self, Here};
use crate::sleeper::{Reason, Sleep, Sleeper};
use crate::spin::Spin;
use raddle_core::state::Ticket;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// What tokens share.
#[derive(Debug)]
pub(crate) struct TokenState {
    is_cancelled: AtomicBool,
    carriers: Spin<Carriers>,
    children: Mutex<Vec<Weak<TokenState>>>,
}

/// Nodes of threads that carry the token, linked both ways: those that have not been told that it was cancelled.
#[derive(Debug)]
struct Carriers {
    first: *const Node,
}

// SAFETY: nodes are touched under the lock only, but for what is atomic in them.
unsafe impl Send for Carriers {}

/// One thread's, in its thread-locals: in the list of the token that it carries.
struct Node {
    // Atomic: the last sleep that the token may end. Once it is over this means nothing.
    sleeper: AtomicPtr<Sleeper>,
    ticket: AtomicU64,

    // The token's lock.
    next: Cell<*const Node>,
    previous: Cell<*const Node>,
    is_linked: Cell<bool>,
}

impl Node {
    const fn new() -> Node {
        Node {
            sleeper: AtomicPtr::new(ptr::null_mut()),
            ticket: AtomicU64::new(0),
            next: Cell::new(ptr::null()),
            previous: Cell::new(ptr::null()),
            is_linked: Cell::new(false),
        }
    }

    /// Notes a sleep.
    fn note(&self, sleep: Sleep) {
        self.sleeper.store(sleep.sleeper.as_ptr(), Ordering::Relaxed);
        self.ticket.store(sleep.ticket.to_bits(), Ordering::SeqCst);
    }

    /// The sleep that was noted last, if one was.
    fn sleep(&self) -> Option<Sleep> {
        let ticket = Ticket::from_bits(self.ticket.load(Ordering::SeqCst));
        let sleeper = NonNull::new(self.sleeper.load(Ordering::Relaxed))?;
        Some(Sleep { sleeper, ticket })
    }
}

/// A token for all that a thread does, and one inside of it for some.
const PLACES: usize = 2;

thread_local! {
    /// Whether the two others hold anything that a wait must look at.
    static CARRIES: Cell<bool> = const { Cell::new(false) };
    /// Without a destructor, which each thread would register: who ends [forgets](forget_token) it.
    static TOKEN: RefCell<ManuallyDrop<Option<Arc<TokenState>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
    /// The tokens in whose lists its nodes stand, each in the list of its own. Without a destructor, too.
    static JOINED: RefCell<ManuallyDrop<[Option<Arc<TokenState>>; PLACES]>> =
        const { RefCell::new(ManuallyDrop::new([const { None }; PLACES])) };
    static NODES: [Node; PLACES] = const { [const { Node::new() }; PLACES] };
    /// Which of them is the carried token's.
    static PLACE: Cell<usize> = const { Cell::new(0) };
    /// The thread is at its end, and stays in no list.
    static HAS_ENDED: Cell<bool> = const { Cell::new(false) };
    /// `u64::MAX` for none.
    static DEADLINE_NS: Cell<u64> = const { Cell::new(u64::MAX) };
    /// How many shields are up.
    static SHIELDS: Cell<u32> = const { Cell::new(0) };
    /// How many of them signals pass.
    static PASSABLE: Cell<u32> = const { Cell::new(0) };
}

impl TokenState {
    pub(crate) fn new() -> Arc<TokenState> {
        Arc::new(TokenState {
            is_cancelled: AtomicBool::new(false),
            carriers: Spin::new(Carriers { first: ptr::null() }),
            children: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn child(self: &Arc<Self>) -> Arc<TokenState> {
        let child = TokenState::new();
        {
            let mut children = self.children.lock().unwrap_or_else(|e| e.into_inner());
            children.retain(|child| child.strong_count() > 0);
            children.push(Arc::downgrade(&child));
        }
        // Asked after it is among the children: a parent that was cancelled before has not seen it there.
        if self.is_cancelled() {
            child.cancel();
        }
        child
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// Ends the waits of all threads that carry this token or a child of it.
    pub(crate) fn cancel(&self) {
        /// Preemption is forbidden for so many threads at most.
        const BATCH: usize = 32;
        self.is_cancelled.store(true, Ordering::SeqCst);
        loop {
            let mut batch = [None; BATCH];
            let mut is_over = false;
            {
                let _here = Here::enter();
                let mut carriers = self.carriers.lock();
                for place in &mut batch {
                    match carriers.pop() {
                        Some(noted) => *place = noted,
                        None => is_over = true,
                    }
                }
            }
            for sleep in batch.iter().flatten() {
                enter::end_sleep(*sleep, Reason::CANCELLED);
            }
            if is_over {
                break;
            }
        }
        let children: Vec<_> = {
            let children = self.children.lock().unwrap_or_else(|e| e.into_inner());
            children.iter().filter_map(Weak::upgrade).collect()
        };
        children.iter().for_each(|child| child.cancel());
    }

    /// The calling thread, whose node this is, carries the token from now on.
    ///
    /// # Safety
    ///
    /// The node is in no list, and stays where it is until [`part_with`](Self::part_with).
    unsafe fn join(&self, node: NonNull<Node>) {
        let _here = Here::enter();
        let mut carriers = self.carriers.lock();
        // Asked under the lock: whoever cancels sets the mark before it takes the lock. Who is not in the list finds the mark before it waits.
        if !self.is_cancelled.load(Ordering::SeqCst) {
            // SAFETY: the caller's; nodes are the list's while they are linked, under its lock.
            unsafe { carriers.push(node) };
        }
    }

    /// It does so no longer.
    ///
    /// # Safety
    ///
    /// The node has joined this token.
    unsafe fn part_with(&self, node: NonNull<Node>) {
        let _here = Here::enter();
        let mut carriers = self.carriers.lock();
        // SAFETY: under the list's lock.
        unsafe {
            if node.as_ref().is_linked.get() {
                carriers.unlink(node);
            }
        }
    }
}

impl Carriers {
    unsafe fn push(&mut self, node: NonNull<Node>) {
        // SAFETY: the caller's; the first node, if any, is linked and so alive.
        unsafe {
            let new = node.as_ref();
            new.next.set(self.first);
            new.previous.set(ptr::null());
            new.is_linked.set(true);
            if let Some(first) = self.first.as_ref() {
                first.previous.set(new);
            }
            self.first = new;
        }
    }

    unsafe fn unlink(&mut self, node: NonNull<Node>) {
        // SAFETY: the caller's; neighbours of a linked node are linked.
        unsafe {
            let gone = node.as_ref();
            let (next, previous) = (gone.next.get(), gone.previous.get());
            match previous.as_ref() {
                Some(previous) => previous.next.set(next),
                None => self.first = next,
            }
            if let Some(next) = next.as_ref() {
                next.previous.set(previous);
            }
            gone.is_linked.set(false);
        }
    }

    /// Takes one out: the sleep that it has noted, if any. `None`: the list is empty.
    fn pop(&mut self) -> Option<Option<Sleep>> {
        let first = NonNull::new(self.first.cast_mut())?;
        // SAFETY: the first node is linked, so its thread has not gone on past `part_with`, which needs the lock.
        unsafe {
            self.unlink(first);
            Some(first.as_ref().sleep())
        }
    }
}

/// What a wait must respect: nothing, for most threads.
#[inline]
pub(crate) fn carries() -> bool {
    CARRIES.get()
}

/// The deadline that the thread carries, if it is to be respected now.
pub(crate) fn deadline_ns() -> Option<u64> {
    let deadline = DEADLINE_NS.get();
    (deadline != u64::MAX && heeds()).then_some(deadline)
}

/// Whether the thread can be cancelled at this point: not behind a shield, and not while it unwinds, as a second panic would abort.
fn heeds() -> bool {
    SHIELDS.get() == 0 && !std::thread::panicking()
}

/// Whether handlers of signals may run at this point. They may panic as well.
pub(crate) fn hears() -> bool {
    SHIELDS.get() == PASSABLE.get() && !std::thread::panicking()
}

/// The calling thread, which carries something, is about to begin `sleep`: its token may end that from now on, and has done so if it was cancelled before.
/// Until when it may last, if the wait's own deadline is this.
#[inline(never)]
pub(crate) fn heed(sleep: Sleep, deadline_ns: Option<u64>) -> Option<u64> {
    if !heeds() {
        return deadline_ns;
    }
    TOKEN.with(|token| {
        if let Some(token) = &**token.borrow() {
            NODES.with(|nodes| nodes[PLACE.get()].note(sleep));
            if token.is_cancelled.load(Ordering::SeqCst) {
                // Whoever was first decides; the wait then ends at once.
                enter::end_sleep(sleep, Reason::CANCELLED);
            }
        }
    });
    let carried = DEADLINE_NS.get();
    if carried == u64::MAX {
        deadline_ns
    } else {
        Some(deadline_ns.unwrap_or(carried).min(carried))
    }
}

/// The token that the thread carries.
pub(crate) fn token() -> Option<Arc<TokenState>> {
    TOKEN.with(|token| Option::clone(&token.borrow()))
}

/// Whether the thread has been cancelled and is to take notice here.
pub(crate) fn is_cancelled() -> bool {
    carries() && heeds() && token().is_some_and(|token| token.is_cancelled())
}

/// Carries `token` from now on; gives the former one.
pub(crate) fn replace_token(new: Option<Arc<TokenState>>) -> Option<Arc<TokenState>> {
    match &new {
        Some(new) => join(new),
        None if HAS_ENDED.get() || enter::runtime().is_none() => part_with_all(),
        None => {}
    }
    let old = TOKEN.with(|token| token.replace(ManuallyDrop::new(new)));
    note();
    ManuallyDrop::into_inner(old)
}

/// The calling thread stands in the list of this token when this returns, and notes its sleeps there.
#[inline]
fn join(new: &Arc<TokenState>) {
    let has_joined = |place: &Option<Arc<_>>| place.as_ref().is_some_and(|it| Arc::ptr_eq(it, new));
    match JOINED.with(|joined| joined.borrow().iter().position(has_joined)) {
        Some(place) => PLACE.set(place),
        None => join_another(new),
    }
}

#[cold]
fn join_another(new: &Arc<TokenState>) {
    // Not that of the token which was carried until now: it is carried again, most likely.
    let place = (PLACE.get() + 1) % PLACES;
    let old = swap(place, Some(new.clone()));
    PLACE.set(place);
    drop(old);
}

/// The calling thread carries no token from now on, and none for a long time.
pub(crate) fn carry_none() {
    drop(replace_token(None));
    part_with_all();
}

#[cold]
fn part_with_all() {
    (0..PLACES).for_each(|place| drop(swap(place, None)));
}

/// The node of this place leaves the list that it stands in, and enters another one's. The token that it has left.
fn swap(place: usize, new: Option<Arc<TokenState>>) -> Option<Arc<TokenState>> {
    let node = NODES.with(|nodes| NonNull::from(&nodes[place]));
    JOINED.with(|joined| {
        let joined = &mut joined.borrow_mut()[place];
        // SAFETY: the node is in the list of the token that stands in its place, and in no other. It stays where it is as long as the thread
        // lives: one of raddle's forgets its tokens before it ends, and any other stays in no list once it carries nothing.
        unsafe {
            if let Some(old) = joined {
                old.part_with(node);
            }
            if let Some(new) = &new {
                new.join(node);
            }
        }
        std::mem::replace(joined, new)
    })
}

/// The calling thread is about to end: it carries no token any more, and its destructors leave what they carry at once.
#[inline]
pub(crate) fn forget_token() {
    HAS_ENDED.set(true);
    if JOINED.with(|joined| joined.borrow().iter().any(Option::is_some)) {
        replace_token(None);
    }
}

/// Carries `deadline_ns` from now on; gives the former one.
pub(crate) fn replace_deadline(deadline_ns: u64) -> u64 {
    let old = DEADLINE_NS.replace(deadline_ns);
    note();
    old
}

fn note() {
    let has_token = TOKEN.with(|token| token.borrow().is_some());
    CARRIES.set(has_token || DEADLINE_NS.get() != u64::MAX);
}

/// A shield: nothing that the thread carries reaches its waits while this lives, nor do signals.
pub(crate) struct Shield {
    is_passable: bool,
}

pub(crate) fn raise_shield() -> Shield {
    SHIELDS.set(SHIELDS.get() + 1);
    Shield { is_passable: false }
}

/// The same, but signals pass: for a caller who catches what their handlers panic with.
pub(crate) fn raise_passable_shield() -> Shield {
    PASSABLE.set(PASSABLE.get() + 1);
    SHIELDS.set(SHIELDS.get() + 1);
    Shield { is_passable: true }
}

impl Drop for Shield {
    fn drop(&mut self) {
        SHIELDS.set(SHIELDS.get() - 1);
        PASSABLE.set(PASSABLE.get() - u32::from(self.is_passable));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread;

    #[test]
    fn a_thread_that_has_ended_has_no_share_in_its_token() {
        let token = TokenState::new();
        let former = replace_token(Some(token.clone()));
        let inherited = thread::spawn(super::token).join().unwrap();
        assert!(Arc::ptr_eq(&token, &inherited.expect("it was inherited")));
        drop(replace_token(former));
        assert_eq!(Arc::strong_count(&token), 1);
    }
}
