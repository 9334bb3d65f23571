//! Memory for what threads share with their handles: pieces of one size, kept for the next threads.
//!
//! ```text
//!   a core's own pieces ◀── a group ──▶ shared groups ◀── a chunk ── the allocator
//!                                         │
//!                                         └─ a piece that nobody uses, which says where 22 others are, and the next group
//! ```
//!
//! A core takes and gives where preemption is forbidden anyway, without a lock. What it has too much of goes to the shared ones,
//! from where other cores, and kernel threads, take. Chunks are never given back: a program that once had so many threads may have them again.
//!
//! Where pieces are is kept apart from them, as most have left the caches by the time they are used again: to follow links from one to the
//! next would wait for each. So the next ones can be asked for ahead.
//!
//! Rejected: malloc for each (glibc grows the arenas of all threads but the first by a page at a time, with an `mprotect(2)` for each: a
//! third of the time of a burst of 100,000 threads); a list through the pieces (a fifth of the time of each thread in such a burst was
//! waiting for one of them).

#![allow(unsafe_code, reason = "memory that is handed out")]

use crate::spin::Spin;
use std::alloc::{Layout, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// The size of a piece: a thread's record with a result of a few words.
pub(crate) const BYTES: usize = 192;
/// How pieces are aligned.
pub(crate) const ALIGN: usize = 64;

/// Pieces in a group.
const GROUP: usize = 23;
/// How many a core keeps at most.
const KEPT: usize = 4 * GROUP;
/// Groups in a chunk.
const CHUNK: usize = 15;
/// So many pieces ahead of its use one is asked for.
const AHEAD: usize = 3;

/// Memory that nobody uses.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Piece {
    _memory: [MaybeUninit<u8>; BYTES],
}

/// What stands in a piece that stands for a whole group.
#[derive(Debug)]
struct Group {
    next: *mut Group,
    others: [NonNull<Piece>; GROUP - 1],
}

const _: () = assert!(size_of::<Group>() <= BYTES && align_of::<Piece>() == ALIGN);

/// Pieces, the last given first.
#[derive(Debug)]
pub(crate) struct Pieces {
    count: usize,
    places: [NonNull<Piece>; KEPT],
}

/// Those that no core has.
#[derive(Debug)]
struct Shared {
    loose: Pieces,
    groups: *mut Group,
}

// SAFETY: free memory is nobody else's.
unsafe impl Send for Pieces {}
// SAFETY: as above.
unsafe impl Send for Shared {}

static SHARED: Spin<Shared> = Spin::new(Shared::new());

impl Pieces {
    pub(crate) const fn new() -> Pieces {
        Pieces { count: 0, places: [NonNull::dangling(); KEPT] }
    }

    #[inline]
    fn push(&mut self, piece: NonNull<Piece>) {
        self.places[self.count] = piece;
        self.count += 1;
    }

    #[inline]
    fn pop(&mut self) -> Option<NonNull<Piece>> {
        self.count = self.count.checked_sub(1)?;
        let piece = self.places[self.count];
        if let Some(later) = self.count.checked_sub(AHEAD) {
            prefetch(self.places[later]);
        }
        Some(piece)
    }

    /// Those that were given first, as a group.
    fn split(&mut self) -> NonNull<Group> {
        let (group, others) = self.places[..GROUP].split_first().expect("it has so many");
        let others = others.try_into().expect("as many as there are");
        // SAFETY: a piece that nobody uses, large enough and aligned.
        let group = unsafe { Group::make(*group, others) };
        self.places.copy_within(GROUP..self.count, 0);
        self.count -= GROUP;
        group
    }

    /// All of `group`.
    fn add(&mut self, group: NonNull<Group>) {
        // SAFETY: nobody else has the group; what stands in it was written by `make`.
        let others = unsafe { group.as_ref() }.others;
        self.places[self.count..self.count + GROUP - 1].copy_from_slice(&others);
        self.count += GROUP - 1;
        others[GROUP - 1 - AHEAD..].iter().for_each(|&piece| prefetch(piece));
        self.push(group.cast());
    }

    /// A piece of the core's own, or of the shared ones. For a core's holder, inside the runtime.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<NonNull<Piece>> {
        if self.count == 0 {
            self.refill(&mut SHARED.lock());
        }
        self.pop()
    }

    #[cold]
    fn refill(&mut self, shared: &mut Shared) {
        match shared.pop_group() {
            Some(group) => self.add(group),
            None => std::iter::from_fn(|| shared.loose.pop()).for_each(|piece| self.push(piece)),
        }
    }

    /// Gives a piece to the core. For its holder, inside the runtime.
    #[inline]
    pub(crate) fn give(&mut self, piece: NonNull<Piece>) {
        if self.count == KEPT {
            self.spill(&mut SHARED.lock());
        }
        self.push(piece);
    }

    #[cold]
    fn spill(&mut self, shared: &mut Shared) {
        let group = self.split();
        shared.push_group(group);
    }
}

impl Group {
    /// # Safety
    ///
    /// `place` and `others` are pieces that nobody uses.
    unsafe fn make(place: NonNull<Piece>, others: [NonNull<Piece>; GROUP - 1]) -> NonNull<Group> {
        let group: NonNull<Group> = place.cast();
        // SAFETY: free memory, large enough and aligned as the assertion above says.
        unsafe { group.write(Group { next: ptr::null_mut(), others }) };
        group
    }
}

impl Shared {
    const fn new() -> Shared {
        Shared { loose: Pieces::new(), groups: ptr::null_mut() }
    }

    fn push_group(&mut self, mut group: NonNull<Group>) {
        // SAFETY: nobody else has the group.
        unsafe { group.as_mut() }.next = self.groups;
        self.groups = group.as_ptr();
    }

    fn pop_group(&mut self) -> Option<NonNull<Group>> {
        let group = NonNull::new(self.groups)?;
        // SAFETY: in the list, so it was written, and is nobody's.
        self.groups = unsafe { group.as_ref() }.next;
        Some(group)
    }

    fn take(&mut self) -> Option<NonNull<Piece>> {
        if self.loose.count == 0
            && let Some(group) = self.pop_group()
        {
            self.loose.add(group);
        }
        self.loose.pop()
    }

    fn give(&mut self, piece: NonNull<Piece>) {
        if self.loose.count == KEPT {
            let group = self.loose.split();
            self.push_group(group);
        }
        self.loose.push(piece);
    }
}

fn prefetch(piece: NonNull<Piece>) {
    raddle_context::prefetch(piece.as_ptr().cast_const().cast(), BYTES / ALIGN);
}

/// A piece of the shared ones. With preemption forbidden, or on a kernel thread that is no worker.
pub(crate) fn take_shared() -> Option<NonNull<Piece>> {
    SHARED.lock().take()
}

/// Gives a piece to the shared ones. As [`take_shared`].
pub(crate) fn give_shared(piece: NonNull<Piece>) {
    SHARED.lock().give(piece);
}

/// New pieces, not shared yet.
#[derive(Debug)]
#[must_use = "to be given to `share`"]
pub(crate) struct Chunk([NonNull<Group>; CHUNK]);

/// Makes a chunk. Calls the allocator: not inside the runtime.
#[cold]
pub(crate) fn make_chunk() -> Chunk {
    let layout = Layout::array::<Piece>(CHUNK * GROUP).expect("a small constant size");
    // SAFETY: the size is not 0.
    let Some(chunk) = NonNull::new(unsafe { std::alloc::alloc(layout) }) else {
        handle_alloc_error(layout);
    };
    // SAFETY: within the chunk, for indices that are less than what it was made for.
    let piece = |index: usize| unsafe { chunk.cast::<Piece>().add(index) };
    Chunk(std::array::from_fn(|group| {
        let others = std::array::from_fn(|index| piece(group * GROUP + 1 + index));
        // SAFETY: new memory, divided.
        unsafe { Group::make(piece(group * GROUP), others) }
    }))
}

/// Adds a chunk to the shared ones, and takes one of those. As [`take_shared`].
pub(crate) fn share(chunk: Chunk) -> Option<NonNull<Piece>> {
    let mut shared = SHARED.lock();
    chunk.0.into_iter().for_each(|group| shared.push_group(group));
    shared.take()
}

/// In a forked child: whoever had the lock in the parent is not here, and may have left the list in any state.
pub(crate) fn forget() {
    // SAFETY: the child has one kernel thread, which is in `fork`: nobody else holds the lock, or looks at what it guards.
    unsafe { SHARED.release() };
    *SHARED.lock() = Shared::new();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(mut next: impl FnMut() -> Option<NonNull<Piece>>) -> Vec<NonNull<Piece>> {
        let mut pieces: Vec<_> = std::iter::from_fn(&mut next).collect();
        pieces.sort();
        pieces
    }

    fn assert_apart(pieces: &[NonNull<Piece>]) {
        for pair in pieces.windows(2) {
            assert!(pair[1].addr().get() - pair[0].addr().get() >= BYTES);
            assert!(pair[0].addr().get().is_multiple_of(ALIGN));
        }
    }

    #[test]
    fn pieces_of_a_chunk_are_apart_and_come_back_whatever_way_they_go() {
        let mut shared = Shared::new();
        make_chunk().0.into_iter().for_each(|group| shared.push_group(group));
        let all = drained(|| shared.take());
        assert_eq!(all.len(), CHUNK * GROUP);
        assert_apart(&all);
        all.iter().for_each(|&piece| shared.give(piece));

        let mut own = Pieces::new();
        let mut take = |shared: &mut Shared| {
            if own.count == 0 {
                own.refill(shared);
            }
            own.pop()
        };
        assert_eq!(drained(|| take(&mut shared)), all, "by way of a core's own");
        for &piece in &all {
            if own.count == KEPT {
                own.spill(&mut shared);
            }
            own.push(piece);
        }
        assert_eq!(own.pop(), all.last().copied(), "the last given comes first");
        own.push(*all.last().expect("it has some"));
        let mut rest = drained(|| own.pop());
        rest.extend(drained(|| shared.take()));
        rest.sort();
        assert_eq!(rest, all);
    }
}
