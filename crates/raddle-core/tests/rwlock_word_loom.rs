//! Every interleaving of readers and writers at a lock's word and its two queues.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test rwlock_word_loom`.
#![cfg(loom)]

mod futex_kit;

use futex_kit::{Cancel, Ended, Futex};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use raddle_core::rwlock_word::{RwLockWord, Seen, Wake};

const READERS: usize = 0;
const WRITERS: usize = 1;

/// A lock as the runtime builds it.
struct Lock {
    word: RwLockWord,
    futex: Futex,
    /// loom sees whoever reads while another one writes.
    data: UnsafeCell<u32>,
}

// SAFETY: `data` is read by readers and written by the one writer, which is what the model checks; the rest is loom's own `Sync`
// types.
unsafe impl Sync for Lock {}

impl Lock {
    fn new() -> Arc<Lock> {
        Arc::new(Lock { word: RwLockWord::new(), futex: Futex::new(), data: UnsafeCell::new(0) })
    }

    /// False if it was cancelled.
    fn read(&self, me: usize, cancel: Cancel) -> bool {
        loop {
            let seen = self.word.look();
            if seen.is_readable() {
                if self.word.try_read_at(seen) {
                    // SAFETY: the lock is held for reading. Did somebody write meanwhile, loom would say so.
                    self.data.with(|data| unsafe { *data });
                    return true;
                }
                continue;
            }
            let Some(seen) = self.word.announce_reader(seen) else { continue };
            let is_needed = || self.word.is_still(seen);
            if self.futex.wait(me, (READERS, 0), cancel, is_needed, |_| ()) == Ended::Cancelled {
                return false;
            }
        }
    }

    /// False if it was cancelled.
    fn write(&self, me: usize, cancel: Cancel) -> bool {
        let mut has_waited = false;
        loop {
            let seen = self.word.look();
            if seen.is_free() {
                if self.word.try_write_at(seen, has_waited) {
                    // SAFETY: the lock is held for writing. Had anybody else the lock, loom would say so.
                    self.data.with_mut(|data| unsafe { *data += 1 });
                    return true;
                }
                continue;
            }
            if !self.word.announce_writer(seen) {
                continue;
            }
            has_waited = true;
            let Some(turn) = self.word.turn() else { continue };
            let is_needed = || self.word.is_turn(turn);
            if self.futex.wait(me, (WRITERS, 0), cancel, is_needed, |_| ()) == Ended::Cancelled {
                self.word.give_up();
                self.futex.wake(WRITERS, usize::MAX);
                self.futex.wake(READERS, usize::MAX);
                return false;
            }
        }
    }

    fn unread(&self) {
        if let Some(left) = self.word.unread() {
            self.wake(left);
        }
    }

    fn unwrite(&self) {
        if let Some(left) = self.word.unwrite() {
            self.wake(left);
        }
    }

    fn wake(&self, left: Seen) {
        match self.word.claim_wake(left) {
            Wake::Nobody => {}
            Wake::Writer => {
                self.futex.wake(WRITERS, 1);
            }
            Wake::WriterElseReaders => {
                if self.futex.wake(WRITERS, 1) == 0 && self.word.claim_readers() {
                    self.futex.wake(READERS, usize::MAX);
                }
            }
            Wake::Readers => {
                self.futex.wake(READERS, usize::MAX);
            }
        }
    }

    /// Reads or writes once.
    fn pass(&self, me: usize, what: What) {
        match what {
            What::Read(cancel) => {
                if self.read(me, cancel) {
                    self.unread();
                }
            }
            What::Write(cancel) => {
                if self.write(me, cancel) {
                    self.unwrite();
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum What {
    Read(Cancel),
    Write(Cancel),
}

const READ: What = What::Read(Cancel::Never);
const WRITE: What = What::Write(Cancel::Never);

/// Whoever is `first` has the lock when the others come, and leaves it at any moment after.
fn race(first: What, others: &'static [What], preemptions: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let lock = Lock::new();
        let has_it = match first {
            What::Read(cancel) => lock.read(0, cancel),
            What::Write(cancel) => lock.write(0, cancel),
        };
        assert!(has_it, "the lock was free");
        let others: Vec<_> = (1..)
            .zip(others)
            .map(|(me, &what)| {
                let lock = lock.clone();
                loom::thread::spawn(move || lock.pass(me, what))
            })
            .collect();
        match first {
            What::Read(_) => lock.unread(),
            What::Write(_) => lock.unwrite(),
        }
        for other in others {
            other.join().unwrap();
        }
        // Nothing but what a release would tidy up is left.
        lock.pass(0, WRITE);
        assert!(lock.word.try_read());
        assert_eq!(lock.word.unread(), None);
    });
}

#[test]
fn a_writer_waits_for_a_reader() {
    race(READ, &[WRITE], 4);
}

#[test]
fn a_reader_waits_for_a_writer() {
    race(WRITE, &[READ], 4);
}

#[test]
fn two_writers_behind_a_writer() {
    race(WRITE, &[WRITE, WRITE], 2);
}

#[test]
fn a_reader_and_a_writer_behind_a_writer() {
    race(WRITE, &[WRITE, READ], 2);
}

#[test]
fn a_reader_and_a_writer_behind_a_reader() {
    race(READ, &[WRITE, READ], 2);
}

#[test]
fn two_readers_behind_a_writer() {
    race(WRITE, &[READ, READ], 2);
}

/// The reader waits because of the writer's bit, and must not wait for a writer that is gone: not even as long as others read.
#[test]
fn a_writer_that_gives_up_lets_readers_in() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let lock = Lock::new();
        assert!(lock.read(0, Cancel::Never));
        let others = [(1, What::Write(Cancel::Soon)), (2, READ)].map(|(me, what)| {
            let lock = lock.clone();
            loom::thread::spawn(move || lock.pass(me, what))
        });
        for other in others {
            other.join().unwrap();
        }
        lock.unread();
        assert!(lock.word.try_write());
    });
}

/// The bit that the first clears may have been the second's.
#[test]
fn a_writer_that_gives_up_takes_nobody_elses_turn() {
    race(WRITE, &[What::Write(Cancel::Soon), WRITE], 2);
}

#[test]
fn a_reader_that_gives_up_loses_nobody_elses_wake() {
    race(WRITE, &[What::Read(Cancel::Soon), READ], 2);
}

#[test]
fn a_writer_that_becomes_a_reader_lets_readers_in() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let lock = Lock::new();
        assert!(lock.write(0, Cancel::Never));
        let others = [(1, READ), (2, WRITE)].map(|(me, what)| {
            let lock = lock.clone();
            loom::thread::spawn(move || lock.pass(me, what))
        });
        // SAFETY: the lock is held for writing, since before the others began.
        lock.data.with_mut(|data| unsafe { *data += 1 });
        if lock.word.downgrade() {
            lock.futex.wake(READERS, usize::MAX);
        }
        // SAFETY: the lock is held for reading, by who wrote. Did the other writer write already, loom would say so.
        lock.data.with(|data| unsafe { *data });
        lock.unread();
        for other in others {
            other.join().unwrap();
        }
        assert!(lock.word.try_write());
    });
}
