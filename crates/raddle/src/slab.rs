//! Memory for what threads share with their handles: pieces of one size, kept for the next threads.
//!
//! ```text
//!   a core's own pieces ◀── a batch ──▶ shared pieces ◀── a chunk ── the allocator
//! ```
//!
//! A core takes and gives where preemption is forbidden anyway, without a lock. What it has too much of goes to the shared ones,
//! from where other cores, and kernel threads, take. Chunks are never given back: a program that once had so many threads may have them again.
//!
//! Rejected: malloc for each. glibc grows the arenas of all threads but the first by a page at a time, with an `mprotect(2)` for each: a
//! third of the time of a burst of 100,000 threads.

#![allow(unsafe_code, reason = "memory that is handed out")]

use crate::sched::enter::Here;
use crate::spin::Spin;
use std::alloc::{Layout, handle_alloc_error};
use std::ptr::{self, NonNull};

/// The size of a piece: a thread's record with a result of a few words.
pub(crate) const BYTES: usize = 192;
/// How pieces are aligned.
pub(crate) const ALIGN: usize = 64;

/// How many go from one owner to another.
const BATCH: usize = 64;
/// How many are made at once.
const CHUNK: usize = 340;

/// Memory that nobody uses.
#[derive(Debug)]
pub(crate) struct Piece {
    next: *mut Piece,
}

/// A list of pieces, the last given first.
#[derive(Debug)]
pub(crate) struct Pieces {
    first: *mut Piece,
    count: usize,
}

// SAFETY: free memory is nobody else's.
unsafe impl Send for Pieces {}

static SHARED: Spin<Pieces> = Spin::new(Pieces::new());

impl Pieces {
    pub(crate) const fn new() -> Pieces {
        Pieces { first: ptr::null_mut(), count: 0 }
    }

    #[inline]
    fn push(&mut self, piece: NonNull<Piece>) {
        // SAFETY: free memory, large enough, and the caller's own until now.
        unsafe { piece.write(Piece { next: self.first }) };
        self.first = piece.as_ptr();
        self.count += 1;
    }

    #[inline]
    fn pop(&mut self) -> Option<NonNull<Piece>> {
        let piece = NonNull::new(self.first)?;
        // SAFETY: in the list, so it was written by `push`.
        self.first = unsafe { piece.as_ref() }.next;
        self.count -= 1;
        Some(piece)
    }

    fn move_to(&mut self, other: &mut Pieces, count: usize) {
        (0..count).map_while(|_| self.pop()).for_each(|piece| other.push(piece));
    }

    /// A piece of the core's own, or of the shared ones. For a core's holder, inside the runtime.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<NonNull<Piece>> {
        if self.count == 0 {
            SHARED.lock().move_to(self, BATCH);
        }
        self.pop()
    }

    /// Gives a piece to the core. For its holder, inside the runtime.
    #[inline]
    fn give(&mut self, piece: NonNull<Piece>) {
        self.push(piece);
        if self.count >= 3 * BATCH {
            self.move_to(&mut SHARED.lock(), BATCH);
        }
    }
}

/// A piece where no core has one. Calls the allocator: not inside the runtime.
#[cold]
pub(crate) fn make() -> NonNull<Piece> {
    let shared = {
        let _here = Here::enter();
        SHARED.lock().pop()
    };
    if let Some(piece) = shared {
        return piece;
    }
    let layout = Layout::from_size_align(CHUNK * BYTES, ALIGN).expect("a small constant size");
    // SAFETY: the size is not 0.
    let Some(chunk) = NonNull::new(unsafe { std::alloc::alloc(layout) }) else {
        handle_alloc_error(layout);
    };
    let mut pieces = Pieces::new();
    for index in 1..CHUNK {
        // SAFETY: within the chunk.
        pieces.push(unsafe { chunk.add(index * BYTES) }.cast());
    }
    {
        let _here = Here::enter();
        pieces.move_to(&mut SHARED.lock(), CHUNK);
    }
    chunk.cast()
}

/// Gives back a piece.
///
/// # Safety
///
/// It was taken or made here, and nobody uses it any more.
#[inline]
pub(crate) unsafe fn give(piece: NonNull<Piece>) {
    let Some(here) = Here::enter() else { return SHARED.lock().push(piece) };
    let place = here.place();
    // SAFETY: the reference ends here, and nothing else is called meanwhile that could ask for one.
    unsafe { place.own() }.pieces.give(piece);
}

/// In a forked child: whoever had the lock in the parent is not here, and may have left the list in any state.
pub(crate) fn forget() {
    // SAFETY: the child has one kernel thread, which is in `fork`: nobody else holds the lock, or looks at what it guards.
    unsafe { SHARED.release() };
    *SHARED.lock() = Pieces::new();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_apart_and_come_back() {
        let mut pieces: Vec<_> = (0..2 * CHUNK).map(|_| make()).collect();
        pieces.sort();
        for pair in pieces.windows(2) {
            assert!(pair[1].addr().get() - pair[0].addr().get() >= BYTES);
            assert!(pair[0].addr().get().is_multiple_of(ALIGN));
        }
        for piece in &pieces {
            // SAFETY: made above, and not used.
            unsafe { give(*piece) };
        }
        // Other tests may take some at the same time, but not all.
        let again = make();
        assert!(pieces.contains(&again));
        // SAFETY: as above.
        unsafe { give(again) };
    }
}
