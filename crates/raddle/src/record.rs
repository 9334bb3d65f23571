//! What of a thread outlives it: its id and name, its park token, whether it has ended. What a `Thread` handle points to.
//!
//! Counted references, as an `Arc`'s, with one difference: the last one may be dropped by the scheduler, which never
//! frees memory. It is then left to the core ([`RecordRef::into_dead`]), and the next thread that starts or ends there frees it.

#![allow(unsafe_code, reason = "counted references")]

use crate::pending::Pending;
use crate::sleeper::{Sleep, Sleeper};
use raddle_core::state::Ticket;
use std::cell::Cell;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

/// The record of one thread: the head of a larger structure, perhaps, which holds the thread's result.
#[derive(Debug)]
pub(crate) struct Record {
    references: AtomicUsize,
    /// Frees the whole that the record is the head of.
    free: unsafe fn(NonNull<Record>),
    /// In a list of dead records: under whatever guards the list.
    next_dead: Cell<*mut Record>,

    // Constant.
    pub(crate) id: u64,
    pub(crate) name: Option<Box<str>>,
    /// `park`'s token: EMPTY, NOTIFIED, or the bits of the ticket under which the thread is parked.
    token: AtomicU64,
    /// With which sleeper it parks: written by the thread before it puts a ticket into `token`. Not constant: in a child that it
    /// forked, a raddle thread sleeps as a kernel thread does.
    parker: AtomicPtr<Sleeper>,

    /// RUNNING, ENDED, or the bits of the ticket under which the joiner sleeps.
    end: AtomicU64,
    /// Written by the one joiner before it puts its ticket into `end`.
    joiner: AtomicPtr<Sleeper>,

    /// Atomic.
    pub(crate) signals: Pending,
}

// SAFETY: what changes is atomic, but for `next_dead`, which belongs to the list that a record without references is in.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

/// Tickets are multiples of 2^24 and not 0.
const EMPTY: u64 = 0;
const NOTIFIED: u64 = 1;
const RUNNING: u64 = 0;
const ENDED: u64 = 1;

impl Record {
    /// Takes the token if there is one.
    pub(crate) fn take_token(&self) -> bool {
        // Acquire: what the one who unparked wrote before is seen by the one who was parked.
        self.token.load(Ordering::Relaxed) == NOTIFIED
            && self.token.swap(EMPTY, Ordering::Acquire) == NOTIFIED
    }

    /// Says that the thread parks under `sleep`. False if a token came first, which is taken.
    pub(crate) fn parks(&self, sleep: &Sleep) -> bool {
        let bits = sleep.ticket.to_bits();
        self.parker.store(sleep.sleeper.as_ptr(), Ordering::Relaxed);
        match self.token.compare_exchange(EMPTY, bits, Ordering::Release, Ordering::Acquire) {
            Ok(_) => true,
            Err(_) => {
                self.token.swap(EMPTY, Ordering::Acquire);
                false
            }
        }
    }

    /// The thread has stopped being parked, for whatever reason. Takes a token that came meanwhile; whether there was one.
    pub(crate) fn unparked(&self) -> bool {
        self.token.swap(EMPTY, Ordering::Acquire) == NOTIFIED
    }

    /// Puts a token in place: whom to wake, if the thread is parked.
    pub(crate) fn put_token(&self) -> Option<Sleep> {
        match self.token.swap(NOTIFIED, Ordering::AcqRel) {
            EMPTY | NOTIFIED => None,
            bits => NonNull::new(self.parker.load(Ordering::Relaxed))
                .map(|sleeper| Sleep { sleeper, ticket: Ticket::from_bits(bits) }),
        }
    }

    /// Whether the thread is wholly over, destructors of thread-locals included.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.load(Ordering::Acquire) == ENDED
    }

    /// The one joiner sleeps under `sleep` from now on. False if the thread has ended.
    pub(crate) fn joined_by(&self, sleep: &Sleep) -> bool {
        self.joiner.store(sleep.sleeper.as_ptr(), Ordering::Relaxed);
        // A joiner that was woken for another reason comes again, with another ticket.
        let mut now = self.end.load(Ordering::Relaxed);
        loop {
            if now == ENDED {
                fence(Ordering::Acquire);
                return false;
            }
            let bits = sleep.ticket.to_bits();
            match self.end.compare_exchange_weak(now, bits, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => now = changed,
            }
        }
    }

    /// The thread is over: who is to be woken.
    pub(crate) fn ended(&self) -> Option<Sleep> {
        match self.end.swap(ENDED, Ordering::AcqRel) {
            RUNNING | ENDED => None,
            bits => NonNull::new(self.joiner.load(Ordering::Relaxed))
                .map(|sleeper| Sleep { sleeper, ticket: Ticket::from_bits(bits) }),
        }
    }
}

/// A reference to a record.
#[derive(Debug)]
pub(crate) struct RecordRef(NonNull<Record>);

// SAFETY: a counted reference to something that is Send and Sync.
unsafe impl Send for RecordRef {}
// SAFETY: as above.
unsafe impl Sync for RecordRef {}

impl Record {
    /// A record with as many references as that, to be taken up by [`RecordRef::from_raw`].
    #[inline]
    pub(crate) fn new(
        references: usize,
        id: u64,
        name: Option<Box<str>>,
        sleeper: NonNull<Sleeper>,
        signals: Pending,
        free: unsafe fn(NonNull<Record>),
    ) -> Record {
        Record {
            references: AtomicUsize::new(references),
            free,
            next_dead: Cell::new(ptr::null_mut()),
            id,
            name,
            token: AtomicU64::new(EMPTY),
            parker: AtomicPtr::new(sleeper.as_ptr()),
            end: AtomicU64::new(RUNNING),
            joiner: AtomicPtr::new(ptr::null_mut()),
            signals,
        }
    }
}

/// `count` ids that no other thread has: the first of them.
pub(crate) fn fresh_ids(count: u64) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(count, Ordering::Relaxed)
}

impl RecordRef {
    /// The record of a kernel thread that was met.
    pub(crate) fn of_kernel_thread(name: Option<Box<str>>, sleeper: NonNull<Sleeper>) -> RecordRef {
        unsafe fn free(record: NonNull<Record>) {
            // SAFETY: from the Box below, and nobody else's any more.
            drop(unsafe { Box::from_raw(record.as_ptr()) });
        }
        let record = Record::new(1, fresh_ids(1), name, sleeper, Pending::new(None, 0), free);
        RecordRef(NonNull::from(Box::leak(Box::new(record))))
    }

    /// Keeps the reference as a pointer; [`from_raw`](Self::from_raw) takes it up again.
    pub(crate) fn into_raw(self) -> *mut Record {
        let raw = self.0.as_ptr();
        std::mem::forget(self);
        raw
    }

    /// # Safety
    ///
    /// `raw` is from `into_raw`, or a new record, and each reference is taken up once.
    pub(crate) unsafe fn from_raw(raw: NonNull<Record>) -> RecordRef {
        RecordRef(raw)
    }

    /// A second reference to a thread's record, which `block` keeps one of.
    ///
    /// # Safety
    ///
    /// The thread doesn't end meanwhile: it is the caller's own, or held where it is.
    pub(crate) unsafe fn second(block: &AtomicPtr<Record>) -> Option<RecordRef> {
        let raw = NonNull::new(block.load(Ordering::Relaxed))?;
        // SAFETY: the block's own reference lives as long as the thread, and stays where it is.
        let own = std::mem::ManuallyDrop::new(unsafe { RecordRef::from_raw(raw) });
        Some((*own).clone())
    }

    /// Drops the reference without freeing anything: the record comes back if this was the last.
    pub(crate) fn into_dead(self) -> Option<Dead> {
        let raw = self.0;
        std::mem::forget(self);
        // SAFETY: the reference that is given up here keeps the record alive until now.
        unsafe { release(raw) }.then_some(Dead(raw))
    }
}

/// Gives up one reference; whether it was the last.
///
/// # Safety
///
/// The caller has a reference, and doesn't use it any more.
unsafe fn release(raw: NonNull<Record>) -> bool {
    // SAFETY: alive, by the caller's reference. Release and acquire as in std's Arc: all uses come before the end.
    let references = unsafe { &(*raw.as_ptr()).references };
    // With one reference left it is the caller's, and nobody can make another: no exchange is needed.
    if references.load(Ordering::Acquire) == 1 {
        return true;
    }
    if references.fetch_sub(1, Ordering::Release) != 1 {
        return false;
    }
    fence(Ordering::Acquire);
    true
}

impl Clone for RecordRef {
    fn clone(&self) -> RecordRef {
        self.references.fetch_add(1, Ordering::Relaxed);
        RecordRef(self.0)
    }
}

impl Deref for RecordRef {
    type Target = Record;

    fn deref(&self) -> &Record {
        // SAFETY: alive as long as there is a reference.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for RecordRef {
    fn drop(&mut self) {
        // SAFETY: `self` was a reference, and if it was the last nobody else can reach the record.
        unsafe {
            if release(self.0) {
                ((*self.0.as_ptr()).free)(self.0);
            }
        }
    }
}

/// A record without references, to be freed where that is allowed.
#[derive(Debug)]
pub(crate) struct Dead(NonNull<Record>);

/// Dead records. Whoever has it has them to itself.
#[derive(Debug)]
pub(crate) struct Graveyard(*mut Record);

// SAFETY: dead records are nobody else's.
unsafe impl Send for Graveyard {}

impl Graveyard {
    pub(crate) const fn new() -> Graveyard {
        Graveyard(ptr::null_mut())
    }

    pub(crate) fn bury(&mut self, dead: Dead) {
        // SAFETY: dead records are alive as memory, and nobody else's.
        unsafe { dead.0.as_ref() }.next_dead.set(self.0);
        self.0 = dead.0.as_ptr();
    }

    /// All of them, to be dropped elsewhere.
    pub(crate) fn take(&mut self) -> Graveyard {
        std::mem::replace(self, Graveyard::new())
    }
}

impl Drop for Graveyard {
    fn drop(&mut self) {
        while let Some(first) = NonNull::new(self.0) {
            // SAFETY: in the list, so alive as memory, and nobody else's.
            unsafe {
                self.0 = first.as_ref().next_dead.get();
                (first.as_ref().free)(first);
            }
        }
    }
}
