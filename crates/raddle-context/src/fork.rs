//! After a fork: which bodies are whose.
//!
//! The child of a fork has one thread: the one that forked, a body perhaps, with its stack and TLS. glibc empties its
//! list of threads in the child but for that one. Every other body and every arena of the parent's is memory that means
//! nothing any more, so arenas carry the generation in which they were made, and refuse to serve another.

#![allow(unsafe_code, reason = "pthread_atfork")]

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between this process and the one that first asked.
pub(crate) fn generation() -> u32 {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY: the handler only counts; a failure (no memory) leaves the generation at 0, as in a program
        // that never forks.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    GENERATION.load(Ordering::Relaxed)
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
