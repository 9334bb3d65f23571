//! Why a thread sleeps: what it waits for, and where in the source it does so. In one word, as an event has no more.

#![allow(unsafe_code, reason = "an address that is known to be a Location's")]

use crate::label::{Label, WaitsFor};
use std::panic::Location;
use std::ptr;

/// What and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Why(WaitsFor);

impl Why {
    pub(super) fn new(what: Label, place: &'static Location<'static>) -> Why {
        Why(what.at(ptr::from_ref(place).expose_provenance()))
    }

    pub(super) fn to_bits(self) -> u64 {
        self.0.0
    }

    /// `bits` are from [`to_bits`](Self::to_bits).
    pub(super) fn from_bits(bits: u64) -> Why {
        Why(WaitsFor(bits))
    }

    pub(super) fn what(self) -> Label {
        self.0.parts().0
    }

    /// File and line.
    pub(super) fn place(self) -> (&'static str, u32) {
        let address = self.0.parts().1;
        // SAFETY: a `Why` is made from a `Location` that lasts as long as the process, here or, by way of a record that was read
        // whole, in `from_bits`.
        let place = unsafe { &*ptr::with_exposed_provenance::<Location<'static>>(address) };
        (place.file(), place.line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_and_where_share_a_word() {
        for what in [Label::TIME, Label::FUTURE] {
            let (why, line) = (Why::new(what, Location::caller()), line!());
            let again = Why::from_bits(why.to_bits());
            assert_eq!((again, again.what(), again.place()), (why, what, (file!(), line)));
        }
    }
}
