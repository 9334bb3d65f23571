//! Memory for what a thread shares with its handle: pieces of the [slab], taken and given back where a core's own can be had.

#![allow(unsafe_code, reason = "what is the core's own")]

use crate::sched::enter::Here;
use crate::slab::{self, Chunk, Piece};
use std::alloc::{Layout, handle_alloc_error};
use std::ptr::NonNull;

/// A piece where no core has one. May wait in the kernel: not inside the runtime.
#[cold]
pub(super) fn make() -> NonNull<Piece> {
    loop {
        let shared = {
            let _here = Here::enter();
            slab::take_shared()
        };
        let bytes = match shared {
            Ok(piece) => return piece,
            Err(bytes) => bytes,
        };
        let Ok(chunk) = slab::make_chunk(bytes) else {
            handle_alloc_error(Layout::new::<Piece>());
        };
        let (piece, back) = {
            let _here = Here::enter();
            slab::share(chunk)
        };
        back.into_iter().for_each(Chunk::unmap);
        if let Some(piece) = piece {
            return piece;
        }
    }
}

/// Gives back a piece.
///
/// # Safety
///
/// It is a piece of the slab, and nobody uses it any more.
#[inline]
pub(super) unsafe fn give(piece: NonNull<Piece>) {
    let Some(here) = Here::enter() else { return slab::give_shared(piece) };
    let place = here.place();
    // SAFETY: the reference ends here, and nothing else is called meanwhile that could ask for one.
    unsafe { place.own() }.pieces.give(piece);
}
