//! What a thread carries into every wait: a token that may be cancelled, and a deadline.
//!
//! Both are thread-locals of the thread itself. Most threads carry nothing, and then a wait costs one load more. A thread with a token
//! leaves its sleep with the token while it waits; cancelling ends these sleeps, as any waker would, and the state word
//! decides who was first.
//!
//! Rejected: a token as one more queue that every primitive registers with (each of them would have to be written twice);
//! signals or exceptions at any point, as `pthread_cancel` in its asynchronous form (nothing is safe there).

#![allow(unsafe_code, reason = "nodes on the stacks of waiting threads")]

use crate::sched::enter::{self, Here};
use crate::sleeper::{Reason, Sleep};
use crate::spin::Spin;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// What tokens share.
#[derive(Debug)]
pub(crate) struct TokenState {
    is_cancelled: AtomicBool,
    waiters: Spin<Waiters>,
    children: Mutex<Vec<Weak<TokenState>>>,
}

/// Nodes of threads that wait, linked both ways.
#[derive(Debug)]
struct Waiters {
    first: *mut Node,
}

// SAFETY: nodes are touched under the lock only.
unsafe impl Send for Waiters {}

/// One waiting thread: on its stack while it waits.
struct Node {
    sleep: Sleep,
    next: *mut Node,
    previous: *mut Node,
    is_linked: bool,
}

thread_local! {
    /// Whether the two others hold anything that a wait must look at.
    static CARRIES: Cell<bool> = const { Cell::new(false) };
    /// Without a destructor, which each thread would register: who ends [forgets](forget_token) it.
    static TOKEN: RefCell<ManuallyDrop<Option<Arc<TokenState>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
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
            waiters: Spin::new(Waiters { first: ptr::null_mut() }),
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
        /// Preemption is forbidden for so many wake-ups at most.
        const BATCH: usize = 32;
        self.is_cancelled.store(true, Ordering::SeqCst);
        loop {
            let mut batch = [None; BATCH];
            {
                let _here = Here::enter();
                let mut waiters = self.waiters.lock();
                for place in &mut batch {
                    *place = waiters.pop();
                }
            }
            for sleep in batch.iter().flatten() {
                enter::end_sleep(*sleep, Reason::CANCELLED);
            }
            if batch[BATCH - 1].is_none() {
                break;
            }
        }
        let children: Vec<_> = {
            let children = self.children.lock().unwrap_or_else(|e| e.into_inner());
            children.iter().filter_map(Weak::upgrade).collect()
        };
        children.iter().for_each(|child| child.cancel());
    }

    /// Leaves `node` with the token. False if it is cancelled.
    ///
    /// # Safety
    ///
    /// The node stays where it is until [`take_back`](Self::take_back).
    unsafe fn leave(&self, node: NonNull<Node>) -> bool {
        let _here = Here::enter();
        let mut waiters = self.waiters.lock();
        // Asked under the lock: whoever cancels sets the mark before it takes the lock.
        if self.is_cancelled.load(Ordering::SeqCst) {
            return false;
        }
        // SAFETY: nodes are the list's while they are linked, under its lock.
        unsafe { waiters.push(node) };
        true
    }

    /// Takes the node back, if it is still there.
    ///
    /// # Safety
    ///
    /// The node was left with this token.
    unsafe fn take_back(&self, node: NonNull<Node>) {
        let _here = Here::enter();
        let mut waiters = self.waiters.lock();
        // SAFETY: under the list's lock.
        unsafe {
            if (*node.as_ptr()).is_linked {
                waiters.unlink(node);
            }
        }
    }
}

impl Waiters {
    unsafe fn push(&mut self, node: NonNull<Node>) {
        // SAFETY: the caller's; the first node, if any, is linked and so alive.
        unsafe {
            let new = node.as_ptr();
            (*new).next = self.first;
            (*new).previous = ptr::null_mut();
            (*new).is_linked = true;
            if let Some(first) = self.first.as_mut() {
                first.previous = new;
            }
            self.first = new;
        }
    }

    unsafe fn unlink(&mut self, node: NonNull<Node>) {
        // SAFETY: the caller's; neighbours of a linked node are linked.
        unsafe {
            let gone = node.as_ptr();
            let (next, previous) = ((*gone).next, (*gone).previous);
            match previous.as_mut() {
                Some(previous) => previous.next = next,
                None => self.first = next,
            }
            if let Some(next) = next.as_mut() {
                next.previous = previous;
            }
            (*gone).is_linked = false;
        }
    }

    fn pop(&mut self) -> Option<Sleep> {
        let first = NonNull::new(self.first)?;
        // SAFETY: the first node is linked, so its thread has not gone on past `take_back`, which needs the lock.
        unsafe {
            let sleep = (*first.as_ptr()).sleep;
            self.unlink(first);
            Some(sleep)
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

/// Waits with the sleep left with the token that the thread carries, if it carries one.
pub(crate) fn with_token_told(sleep: Sleep, park: impl FnOnce() -> Reason) -> Reason {
    let token = if heeds() { token() } else { None };
    let Some(token) = token else { return park() };
    let mut node =
        Node { sleep, next: ptr::null_mut(), previous: ptr::null_mut(), is_linked: false };
    let node = NonNull::from(&mut node);
    // SAFETY: the node stays in this frame until it is taken back; `park` returns.
    unsafe {
        if !token.leave(node) {
            // Whoever was first decides; `park` then returns at once.
            enter::end_sleep(sleep, Reason::CANCELLED);
            return park();
        }
        let reason = park();
        token.take_back(node);
        reason
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
    let old = TOKEN.with(|token| token.replace(ManuallyDrop::new(new)));
    note();
    ManuallyDrop::into_inner(old)
}

/// The calling thread is about to end: it carries no token any more.
#[inline]
pub(crate) fn forget_token() {
    if TOKEN.with(|token| token.borrow().is_some()) {
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
