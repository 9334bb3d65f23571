//! Restartable sequences (`rseq(2)`): where the kernel writes for each kernel thread, and why a forked child must stop it.
//!
//! glibc registers an area in every pthread's descriptor, into which the kernel writes the CPU number whenever the
//! kernel thread is scheduled. The registration follows a fork. In a child that a *body* forked, though, glibc takes the descriptor
//! of the kernel thread that the body ran on for that of a thread that is gone: it hands it to a new thread, which then finds two
//! kernel threads' CPU numbers in it, or unmaps it, and the kernel kills the child for the area that it can't write. So the child
//! ends the registration. Which area is its own only the kernel knows; it refuses every other.

#![allow(unsafe_code, reason = "the rseq system call")]

use std::sync::atomic::{AtomicUsize, Ordering};

/// Kernel threads that can be inside a `KernelThread` at once.
const AREAS: usize = 8192;

/// The areas of kernel threads that run bodies; 0 where an entry is free. No lock: a forked child reads it.
static IN_USE: [AtomicUsize; AREAS] = [const { AtomicUsize::new(0) }; AREAS];

/// The calling kernel thread's area, noted while this is alive.
#[derive(Debug)]
pub(crate) struct Noted(usize);

/// Notes the area at `address`; `None` if as many are noted as can be.
pub(crate) fn note(address: usize) -> Option<Noted> {
    let free = IN_USE.iter().position(|entry| {
        entry.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    });
    free.map(Noted)
}

impl Drop for Noted {
    fn drop(&mut self) {
        IN_USE[self.0].store(0, Ordering::Relaxed);
    }
}

/// Ends the calling kernel thread's registration, if it is one of the noted ones.
pub(crate) fn end_registration() {
    const UNREGISTER: usize = 1;
    /// `RSEQ_SIG` on x86 (`<sys/rseq.h>`): what glibc registers with.
    const SIGNATURE: usize = 0x5305_3053;
    /// `ORIG_RSEQ_SIZE`: what glibc registers where the kernel has no larger feature set.
    const ORIGINAL_BYTES: usize = 32;
    /// `AT_RSEQ_FEATURE_SIZE` of `<linux/auxvec.h>`.
    const AT_RSEQ_FEATURE_SIZE: libc::c_ulong = 27;
    // SAFETY: reads the auxiliary vector; 0 where the kernel does not say.
    let feature_bytes = unsafe { libc::getauxval(AT_RSEQ_FEATURE_SIZE) } as usize;
    let sizes = [ORIGINAL_BYTES, feature_bytes.next_multiple_of(32), feature_bytes];
    for entry in &IN_USE {
        let area = entry.load(Ordering::Relaxed);
        for bytes in sizes {
            // SAFETY: the kernel compares the three with what it has registered, and otherwise changes nothing.
            let ended = area != 0
                && unsafe { libc::syscall(libc::SYS_rseq, area, bytes, UNREGISTER, SIGNATURE) }
                    == 0;
            if ended {
                return;
            }
        }
    }
}
