//! An allocator that aborts when the scheduler allocates.
//!
//! Where preemption is forbidden nothing may take a lock of libc's: whoever holds it may be a preempted thread that needs this
//! very core to go on. Such a deadlock is rare; the call itself is not.

#![allow(unsafe_code, reason = "an allocator")]

use super::kernel;
use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, under watch: for a `#[global_allocator]`.
#[derive(Debug)]
pub struct Guarded;

/// Aborts if the calling thread is inside the runtime.
#[inline]
fn check(what: &str) {
    if raddle::debug_preemption_count() > 0 {
        kernel::write_error(b"torture: FAILED: the scheduler called the allocator: ");
        kernel::write_error(what.as_bytes());
        kernel::write_error(b"\n");
        kernel::backtrace();
        kernel::end_failed();
    }
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check("alloc");
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        check("dealloc");
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check("alloc_zeroed");
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check("realloc");
        // SAFETY: the caller's contract.
        unsafe { System.realloc(at, layout, size) }
    }
}
