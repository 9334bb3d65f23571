//! What of a thread outlives it: its id and name, its park token, whether it has ended. What a `Thread` handle points to.
//!
//! Counted references, as an `Arc`'s, with one difference: the last one may be dropped by the scheduler, which never
//! frees memory. It is then left to the core ([`RecordRef::end`]), and the next thread that starts or ends there frees it.

#![allow(unsafe_code, reason = "counted references")]

use crate::pending::Pending;
use crate::sleeper::{Sleep, Sleeper};
use raddle_core::end_word::{End, EndWord};
use raddle_core::park_token::ParkToken;
use std::cell::Cell;
use std::ops::Deref;
use std::panic::RefUnwindSafe;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The record of one thread: the head of a larger structure, perhaps, which holds the thread's result.
#[derive(Debug)]
pub(crate) struct Record {
    /// Whether the thread is over, and how many references there are.
    end: EndWord<Sleeper>,
    /// Frees the whole that the record is the head of.
    free: unsafe fn(NonNull<Record>),
    /// In a list of dead records: under whatever guards the list.
    next_dead: Cell<*mut Record>,

    // Constant.
    pub(crate) id: u64,
    pub(crate) name: Option<Box<str>>,
    /// `park`'s token.
    token: ParkToken<Sleeper>,

    /// Atomic.
    pub(crate) signals: Pending,
}

// SAFETY: what changes is atomic, but for `next_dead`, which belongs to the list that a record without references is in.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

// Nothing of it is half done where a panic could be caught: handles may be used across that, as std's.
impl RefUnwindSafe for Record {}

impl Record {
    /// Takes the token if there is one.
    pub(crate) fn take_token(&self) -> bool {
        self.token.take()
    }

    /// Says that the thread parks under `sleep`. False if a token came first, which is taken.
    pub(crate) fn parks(&self, sleep: &Sleep) -> bool {
        self.token.park(sleep.sleeper, sleep.ticket)
    }

    /// The thread has stopped being parked, for whatever reason. Takes a token that came meanwhile; whether there was one.
    pub(crate) fn unparked(&self) -> bool {
        self.token.back()
    }

    /// Puts a token in place: whom to wake, if the thread is parked.
    pub(crate) fn put_token(&self) -> Option<Sleep> {
        self.token.put().map(|(sleeper, ticket)| Sleep { sleeper, ticket })
    }

    /// Whether the thread is wholly over, destructors of thread-locals included.
    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.end.has_ended()
    }

    /// The one joiner sleeps under `sleep` from now on. False if the thread has ended.
    #[inline]
    pub(crate) fn joined_by(&self, sleep: &Sleep) -> bool {
        self.end.join(sleep.sleeper, sleep.ticket)
    }
}

/// What is to be done for a thread that has ended.
#[derive(Debug)]
#[must_use = "a joiner would wait for ever"]
pub(crate) enum Ended {
    /// This sleep is to be ended, if any.
    Seen(Option<Sleep>),
    /// Nobody has the record any more.
    Unseen(Dead),
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
        references: u32,
        id: u64,
        name: Option<Box<str>>,
        sleeper: NonNull<Sleeper>,
        signals: Pending,
        free: unsafe fn(NonNull<Record>),
    ) -> Record {
        Record {
            end: EndWord::new(references),
            free,
            next_dead: Cell::new(ptr::null_mut()),
            id,
            name,
            token: ParkToken::new(sleeper),
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

    /// The thread is over, and this was its own reference. Frees nothing.
    #[inline]
    pub(crate) fn end(self) -> Ended {
        let raw = self.0;
        std::mem::forget(self);
        // SAFETY: the reference that is given up here keeps the record alive until now. Of what comes back nothing is the record's.
        match unsafe { raw.as_ref() }.end.end() {
            End::Last => Ended::Unseen(Dead(raw)),
            End::Seen(joiner) => {
                Ended::Seen(joiner.map(|(sleeper, ticket)| Sleep { sleeper, ticket }))
            }
        }
    }
}

/// Gives up one reference; whether it was the last.
///
/// # Safety
///
/// The caller has a reference, and doesn't use it any more.
unsafe fn release(raw: NonNull<Record>) -> bool {
    // SAFETY: alive, by the caller's reference.
    unsafe { &(*raw.as_ptr()).end }.give_up()
}

impl Clone for RecordRef {
    fn clone(&self) -> RecordRef {
        self.end.add();
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
