//! Why a thread sleeps: what it waits for, and where in the source it does so.
//!
//! Both are in one word, as it is handed down through every wait, traced or not: the address of a `Location`, which the
//! compiler knows, and in the bits that its alignment leaves free what is waited for.

#![allow(unsafe_code, reason = "an address that is known to be a Location's")]

use std::panic::Location;
use std::ptr;

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The file in which it goes to sleep tells.
    Untold,
    /// A moment.
    Time,
    /// Its token.
    Token,
    /// Another thread's end.
    Join,
}

const WHAT: usize = 3;
const _: () = assert!(align_of::<Location<'static>>() > WHAT);

/// What and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Why(*const Location<'static>);

// SAFETY: a reference that lasts as long as the process, but for the bits.
unsafe impl Send for Why {}

impl Why {
    /// For `what`, where the caller was called.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn here(what: What) -> Why {
        Why(ptr::from_ref(Location::caller()).wrapping_byte_add(what as usize))
    }

    pub(super) fn to_bits(self) -> u64 {
        self.0.expose_provenance() as u64
    }

    /// `bits` are from [`to_bits`](Self::to_bits).
    pub(super) fn from_bits(bits: u64) -> Why {
        Why(ptr::with_exposed_provenance(bits as usize))
    }

    pub(super) fn what(self) -> What {
        match self.0.addr() & WHAT {
            1 => What::Time,
            2 => What::Token,
            3 => What::Join,
            _ => What::Untold,
        }
    }

    /// File and line.
    pub(super) fn place(self) -> (&'static str, u32) {
        // SAFETY: a `Why` is made from a `Location` that lasts as long as the process, here or, by way of a record that was read
        // whole, in `from_bits`.
        let place = unsafe { &*self.0.map_addr(|address| address & !WHAT) };
        (place.file(), place.line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_and_where_share_a_word() {
        for what in [What::Untold, What::Time, What::Token, What::Join] {
            let (why, line) = (Why::here(what), line!());
            let again = Why::from_bits(why.to_bits());
            assert_eq!((again, again.what(), again.place()), (why, what, (file!(), line)));
        }
    }
}
