//! The kernel's side of things: clocks, futexes, kernel threads, memory. Nothing here knows of raddle's threads.
//!
//! Calls go straight to the kernel (`raddle_context::system_call`): libc's `syscall` is this crate's own (see `interpose`),
//! and must not be entered from below.

pub(crate) mod clock;
pub(crate) mod futex;
pub(crate) mod kernel_threads;
pub(crate) mod memory;
pub(crate) mod task;
