//! The bounded flavour: a ring, allocated when the channel is made.

#![allow(unsafe_code, reason = "places that hold a message or none")]

use super::buffer::{Buffer, Store};
use std::fmt;
use std::mem::MaybeUninit;

/// A channel with `capacity` places, at least one.
pub(super) fn channel<T>(capacity: usize) -> Buffer<T, Ring<T>> {
    Buffer::new(Ring { places: Box::new_uninit_slice(capacity), first: 0, len: 0 })
}

/// A ring of places.
pub(super) struct Ring<T> {
    places: Box<[MaybeUninit<T>]>,
    first: usize,
    len: usize,
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({}/{})", self.len, self.places.len())
    }
}

// SAFETY: messages stand at `first` and the `len - 1` places after it, round the end; `tail` is the place behind them.
unsafe impl<T> Store<T> for Ring<T> {
    type Spare = ();

    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn capacity(&self) -> Option<usize> {
        Some(self.places.len())
    }

    #[inline]
    fn wants_spare(&self) -> bool {
        false
    }

    fn make_spare() {}

    fn stock(&mut self, (): ()) {}

    #[inline]
    fn surplus(&mut self) -> Option<()> {
        None
    }

    #[inline]
    fn tail(&mut self) -> *mut T {
        let mut at = self.first + self.len;
        if at >= self.places.len() {
            at -= self.places.len();
        }
        self.places[at].as_mut_ptr()
    }

    #[inline]
    fn pushed(&mut self) {
        self.len += 1;
    }

    #[inline]
    fn head(&mut self) -> *mut T {
        self.places[self.first].as_mut_ptr()
    }

    #[inline]
    fn popped(&mut self) {
        self.len -= 1;
        self.first += 1;
        if self.first == self.places.len() {
            self.first = 0;
        }
    }
}
