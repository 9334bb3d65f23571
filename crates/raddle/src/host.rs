//! What a thread can see outside its memory: its host's clock, for now.
//!
//! A thread has the host of the runtime that it runs in. The live host is the kernel, with static calls; a simulated one implements
//! [`Host`] and is asked in its place: one core, virtual time that goes on only when no thread can run, and a choice among the
//! threads that are ready. [`runtime::simulate`](crate::runtime::simulate) runs a program on it, all of it on the calling
//! kernel thread, so that the same program with the same host does the same, step by step.
//!
//! What doesn't go through the host is as ever: code that asks libc for the time gets the kernel's, and a thread that blocks in
//! the kernel stops the simulated world.

#![allow(unsafe_code, reason = "the core of the running thread")]

pub use crate::host_contract::Host;
use crate::machine::ThreadRef;
use crate::sys::clock;

/// The calling thread's time.
#[inline]
pub(crate) fn now_ns() -> u64 {
    match ThreadRef::running() {
        Some(thread) => {
            // SAFETY: a running thread has its core, which is never freed; it may become another one of the same runtime.
            let runtime = unsafe { thread.block().core.get().as_ref() }.map(|core| core.runtime());
            runtime.map_or_else(clock::now_ns, |runtime| runtime.now_ns())
        }
        None => clock::now_ns(),
    }
}
