//! After a fork: which bodies are whose.
//!
//! The child of a fork has one thread: the one that forked, a body perhaps, with its stack and TLS. glibc empties its
//! list of threads in the child but for that one. Every other body and every arena of the parent's is memory that means
//! nothing any more, so arenas carry the generation in which they were made, and refuse to serve another.

//!
//! While a body copies TLS images it holds a lock of the loader's that glibc does not mend in a forked child, and while glibc is
//! examined for the first time others wait for the answer. So forks wait until nobody does either: a gate, closed by the handlers that `pthread_atfork` installs.

#![allow(unsafe_code, reason = "pthread_atfork, sched_yield")]

use crate::{arch, rseq};
use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Installs the handlers before `main`: installed with the first body they would miss a fork that is under way just then, and its
/// child would wait for an answer, or a lock, that nobody gives.
#[used]
#[unsafe(link_section = ".init_array")]
static INSTALL: extern "C" fn() = install;

extern "C" fn install() {
    // SAFETY: the handlers touch nothing but this module's atomics and the rseq registration; a failure (no memory) leaves
    // things as in a program that never forks.
    unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

/// How many forks lie between this process and the one that was started as a program.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// How many hold forks off, plus CLOSED for each fork that is under way.
static GATE: AtomicU32 = AtomicU32::new(0);
const CLOSED: u32 = 1 << 16;

/// No fork happens while this is alive.
pub(crate) struct HeldOff;

/// Holds forks off. The caller may be preempted meanwhile: a fork waits, and lets others run.
pub(crate) fn hold_off() -> HeldOff {
    loop {
        let gate = GATE.load(Ordering::Relaxed);
        if gate < CLOSED
            && GATE
                .compare_exchange_weak(gate, gate + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        {
            return HeldOff;
        }
        if gate >= CLOSED {
            give_way();
        }
    }
}

impl Drop for HeldOff {
    fn drop(&mut self) {
        GATE.fetch_sub(1, Ordering::Release);
    }
}

fn give_way() {
    // SAFETY: no preconditions.
    unsafe { libc::sched_yield() };
}

extern "C" fn before() {
    let mut gate = GATE.fetch_add(CLOSED, Ordering::Acquire);
    while !gate.is_multiple_of(CLOSED) {
        give_way();
        gate = GATE.load(Ordering::Acquire);
    }
}

extern "C" fn in_parent() {
    GATE.fetch_sub(CLOSED, Ordering::Release);
}

extern "C" fn in_child() {
    // Other forks that were under way are not, here.
    GATE.store(0, Ordering::Release);
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // SAFETY: a thread that forks through libc has a TCB of glibc's or of this crate's.
    let is_body = unsafe { arch::tcb_word::<{ arch::TAG_OFFSET }>() } != 0;
    if is_body {
        rseq::end_registration();
    }
}
