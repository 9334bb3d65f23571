//! An operation of an event queue that somebody waits for. It stands on the waiter's stack, from before it is submitted until it has ended.
//!
//! ```text
//!   who waits                                         who has the core's event queue
//!   begin a sleep; arm(sleep); submit ──────────────▶ gives the operation to the kernel
//!   park                                              it has ended: settle(result), which takes the sleep out
//!   goes on with the result  ◀─────────────── wake ── ends that sleep
//!
//!   or was woken by somebody else (deadline, token, signal):
//!   begin a sleep; arm(sleep): settled? go on
//!   ask for its end; park ◀────────────────── wake ── settle(cancelled, or the result if that was sooner)
//! ```
//!
//! *Nobody touches a request after its waiter has gone on.* Settling happens under the request's lock, and is the last that the other side
//! does with it: the sleep is taken out under the lock, and ended after it. The waiter goes on when its sleep was ended by that, or when
//! it has found the request settled under the lock.
//!
//! *An operation of several steps*, each of them an operation of the queue's, is one request with [`Steps`]: whoever delivers a step's end has them
//! say what comes next, and submits that, or settles the request. The waiter sleeps on meanwhile.

#![allow(unsafe_code, reason = "shared between threads by pointer")]

use crate::sleeper::{Reason, Sleep, Sleeper};
use crate::spin::Spin;
use raddle_event::{Op, Operation};
use std::cell::Cell;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU32, Ordering};

/// An operation, and who waits for it.
#[derive(Debug)]
pub(crate) struct Request {
    // Constant.
    /// The first, if it has several steps.
    op: Op,
    steps: Option<Steps>,
    /// Which core has the operation's file at hand.
    pub(crate) at_hand: CoreName,

    // Its lock.
    waiter: Spin<Option<(Sleep, Reason)>>,

    /// As a system call's: an error is its number with a minus. [`PENDING`] until it has ended. Written under the lock.
    result: AtomicI64,

    // Atomic.
    /// Whose it is, for who only wants to have that at hand.
    sleeper: AtomicPtr<Sleeper>,
    /// Steps that have ended so far.
    steps_done: AtomicU32,

    // The lock of the core's event queue.
    /// Which one it is, once it was submitted: the present step's.
    pub(crate) operation: Cell<Option<Operation>>,
    /// No further step shall begin.
    pub(crate) is_ending: Cell<bool>,

    // The lock of the mail that it is in.
    wish: Cell<Wish>,
    next: Cell<*const Request>,
}

/// A core's number plus one; cores beyond 65,535 have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoreName(pub(crate) u16);

impl CoreName {
    pub(crate) const NONE: CoreName = CoreName(0);

    #[inline]
    pub(crate) fn of(index: usize) -> CoreName {
        u16::try_from(index + 1).map_or(CoreName::NONE, CoreName)
    }
}

/// No operation has this result.
const PENDING: i64 = i64::MIN;

/// What whoever has the event queue shall do with a request that was sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Submit it.
    Begin,
    /// Ask for its end.
    End,
}

/// A request's wish, as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    /// Submit this. Who waits for it does so at least until then.
    Begin(*const Request),
    /// Cancel this. The request itself may be gone.
    End(Option<Operation>),
}

// SAFETY: what others than the waiter touch is atomic or guarded as said above. The memory that `op` points to is for whoever performs it,
// as its submitter has promised, and the steps' state is `Send`, and its own until the request was settled.
unsafe impl Sync for Request {}

/// What comes after a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    /// Another one.
    Submit(Op),
    /// It is done: as a system call's, an error is its number with a minus.
    End(i64),
}

/// An operation of several steps: a small state machine.
pub(crate) trait Machine: Send {
    /// Takes what the last step has come to, and says what is next. `None` at the start, and when it goes on after it was ended.
    ///
    /// A step that says `ECANCELED` has done nothing; asked what is next, the machine gives it again.
    ///
    /// It is called with preemption forbidden and under the lock of a core's event queue, perhaps on another kernel thread: it neither waits nor
    /// allocates nor frees, takes no locks, and makes few system calls, none of which waits: a third of a millisecond at most.
    fn next(&mut self, last: Option<i64>) -> Next;
}

/// A [`Machine`] that somebody else keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    machine: NonNull<()>,
    next: unsafe fn(NonNull<()>, i64) -> Next,
}

impl Steps {
    /// The machine may move only when the request that has this was settled, and is nobody else's until then.
    pub(crate) fn of<M: Machine>(machine: &mut M) -> Steps {
        /// # Safety
        ///
        /// It is an `M`, and the caller's for the moment.
        unsafe fn next<M: Machine>(machine: NonNull<()>, last: i64) -> Next {
            // SAFETY: the caller's.
            unsafe { machine.cast::<M>().as_mut() }.next(Some(last))
        }
        Steps { machine: NonNull::from(machine).cast(), next: next::<M> }
    }
}

impl Request {
    #[inline(always)]
    pub(crate) fn new(op: Op) -> Request {
        Request {
            op,
            steps: None,
            at_hand: CoreName::NONE,
            waiter: Spin::new(None),
            result: AtomicI64::new(PENDING),
            sleeper: AtomicPtr::new(ptr::null_mut()),
            steps_done: AtomicU32::new(0),
            operation: Cell::new(None),
            is_ending: Cell::new(false),
            wish: Cell::new(Wish::Begin),
            next: Cell::new(ptr::null()),
        }
    }

    /// One that begins with `op`, and goes on as `steps` say.
    ///
    /// # Safety
    ///
    /// The machine stays where it is, and nobody else's, until the request was settled.
    pub(crate) unsafe fn of_steps(op: Op, steps: Steps) -> Request {
        Request { steps: Some(steps), ..Request::new(op) }
    }

    /// By reference: a copy of what has just been written in parts keeps the processor waiting.
    #[inline]
    pub(crate) fn op(&self) -> &Op {
        &self.op
    }

    /// Whether the core with this number has the operation's file at hand.
    #[inline]
    pub(crate) fn is_at_hand_on(&self, index: usize) -> bool {
        self.at_hand != CoreName::NONE && self.at_hand == CoreName::of(index)
    }

    /// Whether the end of its operation is its own.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.steps.is_none()
    }

    /// A step has ended, so. What is next: the caller has the lock of the event queue in which it was.
    pub(crate) fn next(&self, last: i64) -> Next {
        let Some(steps) = self.steps else { return Next::End(last) };
        self.steps_done.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `of_steps`' contract; the lock lets one at a time do this, before the request is settled.
        match unsafe { (steps.next)(steps.machine, last) } {
            Next::Submit(_) if self.is_ending.get() => Next::End(-i64::from(libc::ECANCELED)),
            next => next,
        }
    }

    /// Steps that have ended so far.
    pub(crate) fn steps_done(&self) -> u32 {
        self.steps_done.load(Ordering::Relaxed)
    }

    /// Whose it is, if that was said.
    pub(crate) fn sleeper(&self) -> Option<NonNull<Sleeper>> {
        NonNull::new(self.sleeper.load(Ordering::Relaxed))
    }

    /// What the event queue calls it.
    pub(crate) fn key(&self) -> u64 {
        ptr::from_ref(self).expose_provenance() as u64
    }

    /// As [`arm`](Self::arm), before anybody else knows of it.
    #[inline]
    pub(crate) fn arm_alone(&mut self, sleep: Sleep, reason: Reason) {
        *self.waiter.get_mut() = Some((sleep, reason));
        *self.sleeper.get_mut() = sleep.sleeper.as_ptr();
    }

    /// Its end shall end `sleep`, for this reason. False if it has ended already. Preemption is forbidden.
    pub(crate) fn arm(&self, sleep: Sleep, reason: Reason) -> bool {
        let mut waiter = self.waiter.lock();
        if self.result.load(Ordering::Relaxed) != PENDING {
            return false;
        }
        *waiter = Some((sleep, reason));
        self.sleeper.store(sleep.sleeper.as_ptr(), Ordering::Relaxed);
        true
    }

    /// It has ended. The sleep to be ended now; the request may be gone when this returns.
    #[must_use = "somebody sleeps"]
    pub(crate) fn settle(&self, result: i64) -> Option<(Sleep, Reason)> {
        let mut waiter = self.waiter.lock();
        self.result.store(result, Ordering::Release);
        waiter.take()
    }

    /// How it has ended. Only for who knows that it has: see the drawing.
    pub(crate) fn result(&self) -> io::Result<usize> {
        let result = self.result.load(Ordering::Acquire);
        debug_assert_ne!(result, PENDING);
        as_result(result)
    }
}

/// A system call's result.
pub(crate) fn as_result(result: i64) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result as i32))
}

/// As a system call's result.
pub(crate) fn as_number(result: &io::Result<usize>) -> i64 {
    match result {
        Ok(count) => *count as i64,
        Err(error) => -i64::from(error.raw_os_error().unwrap_or(libc::EIO)),
    }
}

/// Requests that were sent to a core by those who do not hold it, the last one first.
#[derive(Debug)]
pub(crate) struct Mail {
    first: *const Request,
}

// SAFETY: requests are shared by pointers, and their links are touched under the lock in which this stands.
unsafe impl Send for Mail {}

impl Mail {
    pub(crate) const fn new() -> Mail {
        Mail { first: ptr::null() }
    }

    /// # Safety
    ///
    /// The request stays where it is until it was taken out, by [`read`](Self::read) or [`remove`](Self::remove).
    pub(crate) unsafe fn push(&mut self, request: &Request, wish: Wish) {
        request.wish.set(wish);
        request.next.set(self.first);
        self.first = request;
    }

    /// Takes one out. The caller also has the lock of the event queue.
    pub(crate) fn read(&mut self) -> Option<Letter> {
        // SAFETY: it is in the mail, so it is there.
        let request = unsafe { self.first.as_ref() }?;
        self.first = request.next.replace(ptr::null());
        Some(match request.wish.get() {
            Wish::Begin => Letter::Begin(request),
            Wish::End => {
                request.is_ending.set(true);
                Letter::End(request.operation.get())
            }
        })
    }

    /// Takes `request` out if it is in here: what it was there for.
    pub(crate) fn remove(&mut self, request: &Request) -> Option<Wish> {
        let mut link: *const Cell<*const Request> = ptr::null();
        let mut at = self.first;
        // SAFETY: all that are in the mail are there, and only this list's lock lets anybody change it.
        while let Some(one) = unsafe { at.as_ref() } {
            if ptr::eq(one, request) {
                let next = one.next.replace(ptr::null());
                // SAFETY: null, or the link of one that is in the mail.
                match unsafe { link.as_ref() } {
                    None => self.first = next,
                    Some(link) => link.set(next),
                }
                return Some(request.wish.get());
            }
            link = &raw const one.next;
            at = one.next.get();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raddle_event::Interest;

    fn request() -> Request {
        Request::new(Op::Poll { file: -1, interest: Interest::READ })
    }

    #[test]
    fn mail_gives_back_what_was_sent_and_nothing_that_was_taken_back() {
        let (a, b, c) = (request(), request(), request());
        let mut mail = Mail::new();
        for (request, wish) in [(&a, Wish::Begin), (&b, Wish::Begin), (&c, Wish::End)] {
            // SAFETY: all three outlive the mail.
            unsafe { mail.push(request, wish) };
        }
        assert_eq!((mail.remove(&b), mail.remove(&b)), (Some(Wish::Begin), None));
        assert_eq!(mail.read(), Some(Letter::End(None)));
        assert_eq!(mail.read(), Some(Letter::Begin(&raw const a)));
        assert_eq!(mail.read(), None);
    }

    #[test]
    fn who_comes_after_the_end_does_not_sleep() {
        let mut request = request();
        let sleeper = crate::sleeper::Foreign::mine().sleeper();
        let sleep = Sleep::prepare(sleeper);
        request.arm_alone(sleep, Reason::READY);
        assert_eq!(request.sleeper(), Some(sleeper));
        assert_eq!(request.settle(7), Some((sleep, Reason::READY)));
        assert!(!request.arm(sleep, Reason::READY));
        assert_eq!(request.result().ok(), Some(7));
        assert!(sleep.retract().is_ok());
    }
}
