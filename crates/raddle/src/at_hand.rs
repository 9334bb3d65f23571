//! Sockets that a core's event queue has at hand (`raddle_event::FixedFiles`): the kernel need not look them up for each operation.
//!
//! A socket gets there by being busy: when it has had [`ENOUGH`] operations on cores that did not have it at hand, the core of the last one takes it,
//! from the one that had it, if any. So connections that come and go pay nothing, and one whose thread has moved follows it.
//!
//! *A table holds the file open.* Whoever gives the descriptor up takes it out before: closing ends the connection as ever.
//!
//! *Who is late* finds the file elsewhere: another thread of the same socket has moved it. Such an operation goes by number, as the queue finds out.

use crate::request::CoreName;
use crate::sched::enter::Here;
use crate::sched::start;
use raddle_event::FixedFiles;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, Ordering};

/// So many operations pay for the two system calls that they may lead to.
const ENOUGH: u8 = 64;

/// Which core has a socket at hand. Its owner [leaves](AtHand::leave) before the descriptor is closed or given away.
#[derive(Debug)]
pub(crate) struct AtHand {
    /// Its [name](CoreName), [`NOBODY`] or [`MOVES`].
    core: AtomicU16,
    /// Operations on other cores, since it came there.
    misses: AtomicU8,
    /// The owner's, to remember something else by: here it takes no room.
    pub(crate) mark: AtomicBool,
}

const NOBODY: u16 = CoreName::NONE.0;
/// Somebody is just moving it.
const MOVES: u16 = u16::MAX;

/// The table of a core.
fn table(name: u16) -> Option<&'static FixedFiles> {
    let index = usize::from(name.checked_sub(1)?);
    start::started()?.cores.get(index)?.events.files.get()
}

impl AtHand {
    pub(crate) const fn new() -> AtHand {
        AtHand {
            core: AtomicU16::new(NOBODY),
            misses: AtomicU8::new(0),
            mark: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(crate) fn core(&self) -> CoreName {
        CoreName(self.core.load(Ordering::Relaxed))
    }

    /// An operation over `fd`, which this is about, has gone by number.
    #[inline]
    pub(crate) fn missed(&self, fd: BorrowedFd<'_>) {
        // Two threads that count at a time may count one.
        let misses = self.misses.load(Ordering::Relaxed) + 1;
        if misses < ENOUGH {
            self.misses.store(misses, Ordering::Relaxed);
        } else {
            self.misses.store(0, Ordering::Relaxed);
            self.come_here(fd);
        }
    }

    #[cold]
    fn come_here(&self, fd: BorrowedFd<'_>) {
        let here = Here::enter().map(|here| CoreName::of(here.place().core().index));
        let here = here.map_or(NOBODY, |name| name.0);
        let before = self.core().0;
        if here == NOBODY || here == MOVES || before == here || before == MOVES {
            return;
        }
        let Some(files) = table(here) else { return };
        let order = (Ordering::Acquire, Ordering::Relaxed);
        if self.core.compare_exchange(before, MOVES, order.0, order.1).is_err() {
            return;
        }
        if let Some(files) = table(before) {
            files.remove(fd);
        }
        let now = if files.insert(fd).is_ok() { here } else { NOBODY };
        self.core.store(now, Ordering::Release);
    }

    /// The descriptor is about to be closed, or to become somebody else's.
    #[inline]
    pub(crate) fn leave(&mut self, fd: BorrowedFd<'_>) {
        let before = std::mem::replace(self.core.get_mut(), NOBODY);
        if before != NOBODY {
            remove(before, fd);
        }
    }
}

#[cold]
fn remove(from: u16, fd: BorrowedFd<'_>) {
    if let Some(files) = table(from) {
        files.remove(fd);
    }
}
