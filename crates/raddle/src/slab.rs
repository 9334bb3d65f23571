//! Memory for what threads share with their handles: pieces of one size, kept for the next threads.
//!
//! ```text
//!   a core's own pieces ◀── a group ──▶ shared groups      the kernel
//!            ▲                             │                   │
//!            └── a few ── a chunk, of which the rest was never touched
//!                                          │
//!                                          └─ a piece that nobody uses, which says where 22 others are, and the next group
//! ```
//!
//! A core takes and gives where preemption is forbidden anyway, without a lock. What it has too much of goes to the shared ones,
//! from where other cores, and kernel threads, take. Chunks are never given back: a program that once had so many threads may have them again.
//!
//! Where pieces are is kept apart from them, as most have left the caches by the time they are used again: to follow links from one to the
//! next would wait for each. So the next ones can be asked for ahead. And pieces come back in exactly the opposite order to that in which
//! they were given: those of threads that were made and joined in a row stay in a row, and the processor, which sees where that leads, has
//! the next ones at hand when they are joined.
//!
//! The first chunks are small. Whoever has thousands of threads gets chunks of a huge page each, where the kernel has them: the first touch
//! of so many small pages would take a third of the time of a burst of threads.
//!
//! Rejected: malloc for each (glibc grows the arenas of all threads but the first by a page at a time, with an `mprotect(2)` for each: a
//! third of the time of a burst of 100,000 threads); a list through the pieces (a fifth of the time of each thread in such a burst was
//! waiting for one of them).

#![allow(unsafe_code, reason = "memory that is handed out")]

use crate::spin::Spin;
use crate::sys::memory;
use std::io;
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
/// The size of the first chunk. Each is four times as large as the one before, up to a huge page.
const FIRST_BYTES: usize = 64 << 10;
const LARGEST_BYTES: usize = memory::HUGE_PAGE;
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
    /// Pieces that were never used.
    fresh: Chunk,
    next_chunk_bytes: usize,
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
        others[GROUP - 1 - AHEAD..].iter().for_each(|&piece| prefetch(piece));
        self.push(group.cast());
        others.iter().for_each(|&piece| self.push(piece));
    }

    /// A piece of the core's own, or of the shared ones. For a core's holder, inside the runtime.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<NonNull<Piece>> {
        if self.count == 0 {
            self.refill(&mut SHARED.lock());
        }
        self.pop()
    }

    /// Takes a group of those that no core has, or what there is.
    #[cold]
    fn refill(&mut self, shared: &mut Shared) {
        match shared.pop_group() {
            Some(group) => self.add(group),
            None if shared.loose.count > 0 => {
                std::iter::from_fn(|| shared.loose.pop()).for_each(|piece| self.push(piece));
            }
            None => shared.fresh.divide(GROUP).for_each(|piece| self.push(piece)),
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
        Shared {
            loose: Pieces::new(),
            groups: ptr::null_mut(),
            fresh: Chunk::NONE,
            next_chunk_bytes: FIRST_BYTES,
        }
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
        // Whoever takes one most likely takes the next as well.
        raddle_context::prefetch(self.groups.cast_const().cast(), BYTES / ALIGN);
        Some(group)
    }

    fn take(&mut self) -> Option<NonNull<Piece>> {
        if self.loose.count == 0 {
            match self.pop_group() {
                Some(group) => self.loose.add(group),
                None => self.fresh.divide(GROUP).for_each(|piece| self.loose.push(piece)),
            }
        }
        self.loose.pop()
    }

    /// Adds a chunk, unless somebody else was first: then that one comes back.
    fn add(&mut self, chunk: Chunk) -> Option<Chunk> {
        if self.fresh.count > 0 {
            return Some(chunk);
        }
        self.fresh = chunk;
        self.next_chunk_bytes = (self.next_chunk_bytes * 4).min(LARGEST_BYTES);
        None
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

/// A piece of the shared ones; else how large a [chunk](make_chunk) is wanted. With preemption forbidden, or on a kernel thread that is no
/// worker.
pub(crate) fn take_shared() -> Result<NonNull<Piece>, usize> {
    let mut shared = SHARED.lock();
    shared.take().ok_or(shared.next_chunk_bytes)
}

/// Gives a piece to the shared ones. As [`take_shared`].
pub(crate) fn give_shared(piece: NonNull<Piece>) {
    SHARED.lock().give(piece);
}

/// Memory that is to be divided into pieces.
#[derive(Debug)]
#[must_use = "to be given to `share`"]
pub(crate) struct Chunk {
    first: *mut Piece,
    /// How many are left.
    count: usize,
    bytes: usize,
}

impl Chunk {
    const NONE: Chunk = Chunk { first: ptr::null_mut(), count: 0, bytes: 0 };

    /// Gives a chunk back that was not shared. May wait in the kernel: not inside the runtime.
    pub(crate) fn unmap(self) {
        // SAFETY: a mapping of its own, of which no piece was given to anybody: only `share` does, and then the chunk is its.
        unsafe { memory::unmap(self.first.cast(), self.bytes) };
    }

    /// Up to `at_most` of the pieces, of which none is touched by this.
    fn divide(&mut self, at_most: usize) -> impl Iterator<Item = NonNull<Piece>> {
        let count = at_most.min(self.count);
        let first = self.first;
        self.first = first.wrapping_add(count);
        self.count -= count;
        (0..count).rev().map(move |index| {
            NonNull::new(first.wrapping_add(index)).expect("a mapping is not at 0")
        })
    }
}

/// Makes a chunk of `bytes`, or of what there is. May wait in the kernel: not inside the runtime.
///
/// # Errors
///
/// From mmap(2).
#[cold]
pub(crate) fn make_chunk(bytes: usize) -> io::Result<Chunk> {
    let (memory, bytes) = match memory::map(bytes) {
        Ok(memory) => (memory, bytes),
        Err(_) => (memory::map(FIRST_BYTES)?, FIRST_BYTES),
    };
    if bytes >= memory::HUGE_PAGE {
        memory::prefer_huge_pages(memory, bytes);
    }
    Ok(Chunk { first: memory.as_ptr().cast(), count: bytes / BYTES, bytes })
}

/// Adds a chunk to the shared ones, and takes one of those. A chunk that is not needed any more comes back, to be
/// [unmapped](Chunk::unmap). As [`take_shared`].
pub(crate) fn share(chunk: Chunk) -> (Option<NonNull<Piece>>, Option<Chunk>) {
    let mut shared = SHARED.lock();
    let back = shared.add(chunk);
    (shared.take(), back)
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

    fn with_chunk() -> Shared {
        let mut shared = Shared::new();
        assert!(shared.add(make_chunk(FIRST_BYTES).expect("memory")).is_none());
        shared
    }

    #[test]
    fn whoever_adds_a_second_chunk_has_it_back() {
        let mut shared = with_chunk();
        let second = shared.add(make_chunk(FIRST_BYTES).expect("memory"));
        second.expect("the first one is not used up").unmap();
        assert_eq!(drained(|| shared.take()).len(), FIRST_BYTES / BYTES);
    }

    #[test]
    fn chunks_become_as_large_as_a_huge_page() {
        let mut shared = Shared::new();
        for bytes in [FIRST_BYTES, FIRST_BYTES * 4, FIRST_BYTES * 16, LARGEST_BYTES, LARGEST_BYTES]
        {
            assert_eq!(shared.next_chunk_bytes, bytes);
            assert!(shared.add(make_chunk(bytes).expect("memory")).is_none());
            assert_eq!(drained(|| shared.take()).len(), bytes / BYTES);
        }
    }

    #[test]
    fn pieces_of_a_chunk_are_apart_and_come_back_whatever_way_they_go() {
        let mut shared = with_chunk();
        let all = drained(|| shared.take());
        assert_eq!(all.len(), FIRST_BYTES / BYTES);
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
        let back = std::iter::from_fn(|| {
            if own.count == 0 && !shared.groups.is_null() {
                own.refill(&mut shared);
            }
            own.pop()
        });
        assert!(back.eq(all.iter().rev().copied()), "the last given comes first");
        assert!(shared.take().is_none());
    }
}
