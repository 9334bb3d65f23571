//! Whoever can sleep, and the handle with which others end the sleep.
//!
//! A raddle thread has its [`Sleeper`] at the head of its control block, a plain kernel thread has one in [`Foreign`]. Both live in
//! memory that is never freed, only used again, so a [`Sleep`] may be kept, copied and tried at any time: a late one is known by
//! its number (`raddle_core::state`).

#![allow(unsafe_code, reason = "pointers to sleepers, which are never freed")]

use crate::spin::Spin;
use raddle_core::bell::Bell;
use raddle_core::state::{State, Ticket};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// The head of everything that can sleep.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Sleeper {
    pub(crate) state: State,
    kind: AtomicU32,
}

/// What a sleeper is the head of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A raddle thread's control block (`machine::Block`).
    Thread,
    /// A [`Foreign`].
    KernelThread,
}

impl Sleeper {
    pub(crate) fn new(kind: Kind) -> Sleeper {
        Sleeper { state: State::new(), kind: AtomicU32::new(kind as u32) }
    }

    /// Of a control block whose bytes were zero or another thread's: the state word goes on counting.
    pub(crate) fn reuse(&self, kind: Kind) {
        self.kind.store(kind as u32, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        if self.kind.load(Ordering::Relaxed) == Kind::Thread as u32 {
            Kind::Thread
        } else {
            Kind::KernelThread
        }
    }
}

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) u16);

impl Reason {
    /// What was waited for has happened, or may have.
    pub(crate) const READY: Reason = Reason(0);
    /// The deadline came first.
    pub(crate) const TIMED_OUT: Reason = Reason(1);
    /// The token that the thread carries was cancelled.
    pub(crate) const CANCELLED: Reason = Reason(2);
    /// A signal for this thread: run its handler, and look again.
    pub(crate) const SIGNALLED: Reason = Reason(3);
    /// From here on: which of several things that were waited for.
    pub(crate) const FIRST_CHOICE: u16 = 16;

    /// The `index`th of several.
    pub(crate) fn choice(index: u16) -> Reason {
        Reason(Reason::FIRST_CHOICE + index)
    }

    /// Which of several it was, if that was told.
    pub(crate) fn chosen(self) -> Option<u16> {
        self.0.checked_sub(Reason::FIRST_CHOICE)
    }
}

/// One sleep of one sleeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sleep {
    pub(crate) sleeper: NonNull<Sleeper>,
    pub(crate) ticket: Ticket,
}

// SAFETY: sleepers are never freed, and all that others do with them is atomic.
unsafe impl Send for Sleep {}
// SAFETY: as above.
unsafe impl Sync for Sleep {}

impl Sleep {
    /// Begins a sleep of `sleeper`'s. Only for the sleeper itself.
    #[inline]
    pub(crate) fn prepare(sleeper: NonNull<Sleeper>) -> Sleep {
        // SAFETY: sleepers are never freed.
        let ticket = unsafe { sleeper.as_ref() }.state.prepare();
        Sleep { sleeper, ticket }
    }

    #[inline]
    pub(crate) fn state(&self) -> &State {
        // SAFETY: as above.
        unsafe { &(*self.sleeper.as_ptr()).state }
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        // SAFETY: as above.
        unsafe { self.sleeper.as_ref() }.kind()
    }

    /// Why it ended, if it has.
    #[inline]
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.state().reason(self.ticket).map(Reason)
    }

    /// Takes the preparation back. `Err` if somebody has ended the sleep already.
    #[inline]
    pub(crate) fn retract(&self) -> Result<(), Reason> {
        self.state().retract(self.ticket).map_err(Reason)
    }
}

/// A kernel thread that is no worker's, as a sleeper: it waits on a futex.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Foreign {
    sleeper: Sleeper,
    /// Rings when somebody has ended the sleep and the kernel thread may still wait.
    pub(crate) bell: Bell,
    /// The next free one: under [`FREE`]'s lock, while this one is free.
    next_free: Cell<Option<&'static Foreign>>,
}

// SAFETY: all that others touch is atomic, but for `next_free`, which a lock guards.
unsafe impl Sync for Foreign {}

/// The first of those that kernel threads which are gone have left. The lock is held for a few instructions: nothing is allocated in it.
static FREE: Spin<Option<&'static Foreign>> = Spin::new(None);

thread_local! {
    /// Without a destructor, so that it can be asked to the very end.
    static MINE: Cell<Option<&'static Foreign>> = const { Cell::new(None) };
    static GIVES_BACK: GivesBack = const { GivesBack };
}

struct GivesBack;

impl Drop for GivesBack {
    fn drop(&mut self) {
        if let Some(mine) = MINE.take() {
            let mut first = FREE.lock();
            mine.next_free.set(*first);
            *first = Some(mine);
        }
    }
}

impl Foreign {
    /// The calling kernel thread's: the same until its last destructors. There it may be a second one, which is never given back.
    pub(crate) fn mine() -> &'static Foreign {
        if let Some(mine) = MINE.get() {
            return mine;
        }
        let free = {
            let mut first = FREE.lock();
            let free = *first;
            *first = free.and_then(|free| free.next_free.get());
            free
        };
        let mine = free.unwrap_or_else(|| {
            Box::leak(Box::new(Foreign {
                sleeper: Sleeper::new(Kind::KernelThread),
                bell: Bell::new(),
                next_free: Cell::new(None),
            }))
        });
        MINE.set(Some(mine));
        // The first access registers the destructor.
        let _ = GIVES_BACK.try_with(|_| ());
        mine
    }

    pub(crate) fn sleeper(&'static self) -> NonNull<Sleeper> {
        NonNull::from(&self.sleeper)
    }

    /// In a forked child: whoever had the lock in the parent is not here. The free ones are left to the parent.
    pub(crate) fn forget_free() {
        // SAFETY: the child has one kernel thread, which is in `fork`: nobody else holds the lock, or looks at what it guards.
        unsafe { FREE.release() };
        *FREE.lock() = None;
    }

    /// What `sleeper`, of kind [`Kind::KernelThread`], is the head of.
    pub(crate) fn of(sleeper: NonNull<Sleeper>) -> &'static Foreign {
        // SAFETY: the only sleepers of that kind are the first fields of leaked `Foreign`s, which are repr(C).
        let foreign = unsafe { sleeper.cast::<Foreign>().as_ref() };
        debug_assert_eq!(foreign.sleeper.kind(), Kind::KernelThread);
        foreign
    }
}
