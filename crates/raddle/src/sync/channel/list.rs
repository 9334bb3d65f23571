//! The unbounded flavour: a chain of blocks.
//!
//! A block that has been read to its end is kept for the next that is needed, so a channel that stays short allocates nothing, and
//! one whose messages never pile up beyond a block stays in the same memory. What a burst has left goes back, a block
//! for each message received, after the lock is released.
//!
//! Rejected: one buffer that doubles. Moving its messages takes as long as there are many, under the lock.

#![allow(unsafe_code, reason = "blocks linked by pointers")]

use super::buffer::{Buffer, Store};
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr;

/// A channel without a limit.
pub(super) fn channel<T>() -> Buffer<T, Chain<T>> {
    Buffer::new(Chain {
        first: ptr::null_mut(),
        first_at: 0,
        last: ptr::null_mut(),
        last_at: 0,
        len: 0,
        spares: ptr::null_mut(),
    })
}

/// Messages in a block.
const PLACES: usize = 32;

/// A part of the chain.
pub(super) struct Block<T> {
    next: *mut Block<T>,
    places: [MaybeUninit<T>; PLACES],
}

/// Owns a block that is in no chain.
pub(super) struct Spare<T>(Box<MaybeUninit<Block<T>>>);

/// Blocks from `first` to `last`, and some that are in no use.
pub(super) struct Chain<T> {
    first: *mut Block<T>,
    /// The oldest message's place.
    first_at: usize,
    last: *mut Block<T>,
    /// The first free place; `PLACES` if there is none.
    last_at: usize,
    len: usize,
    spares: *mut Block<T>,
}

// SAFETY: the blocks are the chain's own.
unsafe impl<T: Send> Send for Chain<T> {}

impl<T> fmt::Debug for Chain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({})", self.len)
    }
}

impl<T> Chain<T> {
    /// Takes the first spare.
    fn take_spare(&mut self) -> Option<*mut Block<T>> {
        let spare = self.spares;
        // SAFETY: spares are the chain's own.
        self.spares = unsafe { spare.as_ref() }?.next;
        Some(spare)
    }

    /// # Safety
    ///
    /// The block is the caller's, and in no chain.
    unsafe fn keep(&mut self, block: *mut Block<T>) {
        // SAFETY: the caller's.
        unsafe { (*block).next = self.spares };
        self.spares = block;
    }
}

// SAFETY: messages stand from `first_at` in the first block to before `last_at` in the last one, in the order of the chain.
unsafe impl<T> Store<T> for Chain<T> {
    type Spare = Spare<T>;

    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn capacity(&self) -> Option<usize> {
        None
    }

    #[inline]
    fn wants_spare(&self) -> bool {
        (self.last.is_null() || self.last_at == PLACES) && self.spares.is_null()
    }

    fn make_spare() -> Spare<T> {
        Spare(Box::new_uninit())
    }

    fn stock(&mut self, spare: Spare<T>) {
        let block = Box::into_raw(spare.0).cast::<Block<T>>();
        // SAFETY: from a box a moment ago; `next` is written before anybody reads it, and the places may be anything.
        unsafe {
            (&raw mut (*block).next).write(ptr::null_mut());
            self.keep(block);
        }
    }

    #[inline]
    fn surplus(&mut self) -> Option<Spare<T>> {
        // SAFETY: spares are the chain's own.
        if unsafe { self.spares.as_ref() }.is_none_or(|first| first.next.is_null()) {
            return None;
        }
        let block = self.take_spare()?;
        // SAFETY: it came from a box of this type, and is in no chain any more.
        Some(Spare(unsafe { Box::from_raw(block.cast()) }))
    }

    #[inline]
    fn tail(&mut self) -> *mut T {
        if self.last.is_null() || self.last_at == PLACES {
            let block =
                self.take_spare().expect("a spare is stocked before the last block is full");
            // SAFETY: blocks of the chain are its own.
            unsafe {
                (*block).next = ptr::null_mut();
                match self.last.as_mut() {
                    Some(last) => last.next = block,
                    None => self.first = block,
                }
            }
            self.last = block;
            self.last_at = 0;
        }
        // SAFETY: as above; `last_at` is below PLACES.
        unsafe { (&raw mut (*self.last).places).cast::<T>().add(self.last_at) }
    }

    #[inline]
    fn pushed(&mut self) {
        self.last_at += 1;
        self.len += 1;
    }

    #[inline]
    fn head(&mut self) -> *mut T {
        // SAFETY: there is a message, so a block; `first_at` is below PLACES.
        unsafe { (&raw mut (*self.first).places).cast::<T>().add(self.first_at) }
    }

    #[inline]
    fn popped(&mut self) {
        self.len -= 1;
        self.first_at += 1;
        if self.first == self.last {
            if self.len == 0 {
                // The same places again: they are in the cache.
                self.first_at = 0;
                self.last_at = 0;
            }
        } else if self.first_at == PLACES {
            let read = self.first;
            // SAFETY: blocks of the chain are its own; it has a next one, as it is not the last.
            unsafe {
                self.first = (*read).next;
                self.keep(read);
            }
            self.first_at = 0;
        }
    }
}

impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        for mut block in [self.first, self.spares] {
            while !block.is_null() {
                // SAFETY: the chain's own, from boxes of this type; messages were dropped before.
                let owned = unsafe { Box::from_raw(block.cast::<MaybeUninit<Block<T>>>()) };
                // SAFETY: `next` of a block in a chain is written.
                block = unsafe { (*owned.as_ptr()).next };
            }
        }
    }
}
