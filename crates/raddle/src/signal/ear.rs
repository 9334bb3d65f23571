//! Where a handler leaves what it hears: pipes, in a list that it walks.
//!
//! A handler comes at any instruction, on any kernel thread, and on several at once. It may neither allocate nor wait for a lock. So each listener has
//! an *ear*, with a pipe: the handler writes a record into it, and the kernel is the queue, for any number of writers and readers; whoever waits
//! waits for the pipe. The list only grows, so the handler can walk it whatever others do, and an ear that nobody needs any more is used again: its
//! descriptors stay open, so a handler that comes late does not write into another file under the same number.
//!
//! *An ear's user has a number*, and later users have higher ones. The handler writes it with the record, so what a late one has written for the former
//! user is known; and it passes over users that have come since it began, as theirs is what comes later.
//!
//! *A full pipe loses no kind of signal*: the handler sets the signal's bit in `missed`, which readers look at when they have found a record. It
//! tries the pipe once more after that: if that is still full, a reader is yet to come.
//!
//! Rejected: a word of bits and an eventfd (no senders, and real-time signals would be one); a thread that distributes what it gets from one pipe (it
//! would be there for ever, and every signal would pass two threads).

#![allow(unsafe_code, reason = "ears are leaked, and shared by pointers")]

use super::info::{Info, Words};
use crate::signals::{Signal, SignalSet};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

/// One listener's place.
#[derive(Debug)]
pub(super) struct Ear {
    // Constant.
    /// Both ends non-blocking: nobody else has them.
    reader: OwnedFd,
    writer: OwnedFd,
    next: Option<&'static Ear>,

    // Atomic.
    is_taken: AtomicBool,
    /// Its user's number.
    user: AtomicU64,
    /// Which signals it hears.
    heard: AtomicU64,
    /// Signals for which the pipe had no room.
    missed: AtomicU64,
}

/// The ears of a process.
#[derive(Debug)]
pub(super) struct Ears {
    first: AtomicPtr<Ear>,
    /// The latest user's number.
    latest: AtomicU64,
}

/// A record in the pipe: the user's number, and the signal.
const RECORD: usize = size_of::<u64>() + size_of::<Words>();

impl Ears {
    pub(super) const fn new() -> Ears {
        Ears { first: AtomicPtr::new(ptr::null_mut()), latest: AtomicU64::new(0) }
    }

    fn each(&self) -> impl Iterator<Item = &'static Ear> {
        std::iter::successors(self.first(), |ear| ear.next)
    }

    fn first(&self) -> Option<&'static Ear> {
        // SAFETY: null, or leaked.
        unsafe { self.first.load(Ordering::SeqCst).as_ref() }
    }

    /// Tells all that hear this signal. For handlers.
    pub(super) fn tell(&self, info: Info) {
        let latest = self.latest.load(Ordering::SeqCst);
        for ear in self.each() {
            // Before it is asked what it hears: the user may change in between, and then this is not the new one's.
            let user = ear.user.load(Ordering::SeqCst);
            if user <= latest && ear.heard.load(Ordering::SeqCst) & info.signal().bit() != 0 {
                ear.tell(user, info);
            }
        }
    }

    /// An ear for a new user; it hears nothing yet.
    ///
    /// # Errors
    ///
    /// From `pipe2(2)`.
    pub(super) fn take(&self) -> io::Result<&'static Ear> {
        let free = |ear: &&Ear| !ear.is_taken.swap(true, Ordering::SeqCst);
        let ear = match self.each().find(free) {
            Some(ear) => ear,
            None => self.add()?,
        };
        // It takes part in `latest` before it hears anything.
        let user = self.latest.fetch_add(1, Ordering::SeqCst) + 1;
        ear.user.store(user, Ordering::SeqCst);
        ear.missed.store(0, Ordering::SeqCst);
        // What is in the pipe is not its user's, and would be skipped one by one.
        let mut bytes = [0; 64 * RECORD];
        while rustix::io::read(&ear.reader, &mut bytes).is_ok_and(|count| count > 0) {}
        Ok(ear)
    }

    fn add(&self) -> io::Result<&'static Ear> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let ear = Box::into_raw(Box::new(Ear {
            reader,
            writer,
            next: None,
            is_taken: AtomicBool::new(true),
            user: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        }));
        loop {
            let first = self.first();
            // SAFETY: nobody else has it before it is in the list.
            unsafe { (*ear).next = first };
            let first = first.map_or(ptr::null_mut(), |first| ptr::from_ref(first).cast_mut());
            let set = self.first.compare_exchange(first, ear, Ordering::SeqCst, Ordering::SeqCst);
            if set.is_ok() {
                // SAFETY: leaked.
                return Ok(unsafe { &*ear });
            }
        }
    }
}

impl Ear {
    fn tell(&self, user: u64, info: Info) {
        let mut record = [0; RECORD];
        let (head, rest) = record.split_at_mut(size_of::<u64>());
        head.copy_from_slice(&user.to_ne_bytes());
        for (place, word) in rest.chunks_exact_mut(size_of::<u32>()).zip(info.to_words()) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        // All of it or nothing: it is shorter than `PIPE_BUF`.
        let write = || rustix::io::write(&self.writer, &record);
        if write() == Err(Errno::AGAIN) {
            self.missed.fetch_or(info.signal().bit(), Ordering::SeqCst);
            let _ = write();
        }
    }

    /// Hears these from here on.
    pub(super) fn listen(&self, signals: SignalSet) {
        self.heard.store(signals.bits(), Ordering::SeqCst);
    }

    /// Hears nothing more, and can be used again.
    pub(super) fn leave(&self) {
        self.heard.store(0, Ordering::SeqCst);
        self.is_taken.store(false, Ordering::SeqCst);
    }

    /// What has come for its user, and nobody has taken.
    pub(super) fn read(&self) -> io::Result<Option<Info>> {
        loop {
            if let Some(signal) = self.take_missed() {
                return Ok(Some(Info::plain(signal)));
            }
            let mut record = [0; RECORD];
            match rustix::io::read(&self.reader, &mut record) {
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            let (head, rest) = record.split_first_chunk().expect("it begins with that");
            if u64::from_ne_bytes(*head) != self.user.load(Ordering::SeqCst) {
                continue;
            }
            let (chunks, _) = rest.as_chunks();
            let mut words = Words::default();
            for (word, chunk) in words.iter_mut().zip(chunks) {
                *word = u32::from_ne_bytes(*chunk);
            }
            return Ok(Info::from_words(words));
        }
    }

    fn take_missed(&self) -> Option<Signal> {
        let missed = self.missed.load(Ordering::SeqCst);
        let signal = SignalSet::from_bits(missed).iter().next()?;
        let before = self.missed.fetch_and(!signal.bit(), Ordering::SeqCst);
        // Unless another reader has it.
        (before & signal.bit() != 0).then_some(signal)
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
