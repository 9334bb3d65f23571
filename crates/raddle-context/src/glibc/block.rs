//! A body's TLS block: building it in memory that the arena provides, and taking it down.
//!
//! ```text
//!          tp - tls_below          tp (FS base)                        tp + tcb_size
//!            | surplus  | static TLS | TCB = glibc's struct pthread      |
//!            +----------+------------+-----------------------------------+
//!   libraries opened later,   this program and   self links, canary, guard, tag, list, tid,
//!   initial-exec              its libraries      robust list, keys, stack bounds, resolver, rseq
//! ```
//!
//! glibc's own `_dl_allocate_tls` lays out what is left of the thread pointer and makes the dynamic thread vector;
//! the fields to its right are this module's, each where [`layout`](super::layout) found it.

#![allow(unsafe_code, reason = "writes the fields of a thread control block")]

use super::Glibc;
use super::layout::{JOINABLE, UserStack};
use super::thread_list::Node;
use crate::arch;
use std::ptr;

/// What a TCB says of its thread, beside what is the same for all.
pub(crate) struct Identity {
    /// Lowest address of the stack, guard included.
    pub(crate) stack_low: *mut u8,
    /// From there to the end of the TCB.
    pub(crate) stack_bytes: usize,
    /// Of these, the guard.
    pub(crate) guard_bytes: usize,
    /// What locks take for the owner: unique among bodies, above any id that the kernel gives.
    pub(crate) thread_id: u32,
    /// What [`arch::TAG_OFFSET`] shall hold.
    pub(crate) tag: *mut u8,
}

/// Ids from here on are bodies'. The kernel's end below 2^22 (`PID_MAX_LIMIT`); futexes have room for 30 bits.
pub(crate) const FIRST_THREAD_ID: u32 = 1 << 22;

impl Glibc {
    /// Makes a TLS block around `tp`; `false` if libc has no memory for its part, and then nothing is left behind.
    ///
    /// # Safety
    ///
    /// `tp` is aligned to `tls_align`; the `tls_below` bytes below and the `tcb_size` bytes above it are zero,
    /// writable and nobody else's, and stay so until [`take_down_block`](Self::take_down_block). The caller may be
    /// preempted inside, but not switched away from by its own doing: libc's and the loader's locks are taken.
    pub(crate) unsafe fn build_block(&self, tp: *mut u8, identity: &Identity) -> bool {
        let layout = &self.pthread;
        let put = |offset: usize, word: usize| {
            // SAFETY: every offset is a field of `struct pthread`, inside the bytes that the caller vouches for.
            unsafe { tp.wrapping_add(offset).cast::<usize>().write(word) }
        };
        let robust_head = tp.addr() + layout.robust_head;
        let list = tp.wrapping_add(layout.list);

        put(0, tp.addr()); // tcb
        put(16, tp.addr()); // self
        // multiple_threads = 1: with 0 malloc drops its atomic operations and two threads corrupt an arena.
        put(24, 1);
        // SAFETY: this thread's FS is the base of a TCB; bodies' are copies in these words.
        unsafe {
            put(arch::CANARY_OFFSET, arch::tcb_word::<{ arch::CANARY_OFFSET }>());
            put(arch::POINTER_GUARD_OFFSET, arch::tcb_word::<{ arch::POINTER_GUARD_OFFSET }>());
        }
        put(arch::TAG_OFFSET, identity.tag.expose_provenance());
        put(layout.specific, tp.addr() + layout.specific_first);
        put(layout.robust_head - 8, robust_head);
        put(layout.robust_head, robust_head);
        put(layout.robust_head + 8, layout.robust_futex_offset);
        put(layout.stack, identity.stack_low.addr());
        put(layout.stack + 8, identity.stack_bytes);
        put(layout.stack + 16, identity.guard_bytes);
        put(layout.stack + 24, identity.guard_bytes);
        // SAFETY: as for `put`; these fields are narrower than a word.
        unsafe {
            tp.wrapping_add(layout.tid).cast::<u32>().write(identity.thread_id);
            match layout.user_stack {
                UserStack::Flag { offset } => tp.wrapping_add(offset).write(1),
                UserStack::Mode { offset, user } => {
                    tp.wrapping_add(offset).cast::<u32>().write(user)
                }
            }
        }
        if let Some(join_state) = layout.join_state {
            // 0 would be EXITED: pthread_detach(pthread_self()) would free the block.
            // SAFETY: as above.
            unsafe { tp.wrapping_add(join_state).cast::<u32>().write(JOINABLE) };
        }
        // On the list before TLS is laid out: a library that is opened meanwhile is served twice, not missed.
        // SAFETY: the node is in the block, which stays until it is taken down, and was zero until now.
        unsafe { self.threads.link(list.cast::<Node>()) };
        // SAFETY: a TCB of the caller's, as pthread_create hands one in for a stack of the program's.
        if unsafe { (self.symbols.allocate_tls)(tp.cast()) }.is_null() {
            // SAFETY: linked a moment ago.
            unsafe { self.threads.unlink(list.cast::<Node>()) };
            return false;
        }
        // SAFETY: `__resp` is in libc's static TLS, the rseq area in it or in the TCB: layout checked both.
        unsafe {
            let resolver = tp.wrapping_add(layout.resolver);
            tp.wrapping_offset(self.resolver_pointer).cast::<*mut u8>().write(resolver);
            if let Some(cpu_id) = self.rseq_cpu_id {
                /// `RSEQ_CPU_ID_REGISTRATION_FAILED` of `<linux/rseq.h>`: zero would claim to be on CPU 0, for ever.
                const NOT_REGISTERED: i32 = -2;
                tp.wrapping_offset(cpu_id).cast::<i32>().write(NOT_REGISTERED);
            }
        }
        true
    }

    /// Takes a block off glibc's list and gives its dynamic parts back. What is left is plain memory.
    ///
    /// libc's caches for the thread (malloc's, some 600 bytes and what it holds) stay allocated: glibc does not
    /// export the function that drops them.
    ///
    /// # Safety
    ///
    /// `tp` is a block that [`build_block`](Self::build_block) made in this process; no code runs on it, and none will.
    pub(crate) unsafe fn take_down_block(&self, tp: *mut u8) {
        // SAFETY: by contract the node is on the list, and the DTV is the one that build_block had made.
        unsafe {
            self.threads.unlink(tp.wrapping_add(self.pthread.list).cast::<Node>());
            (self.symbols.deallocate_tls)(tp.cast(), false);
        }
    }

    /// Frees the blocks that `__tls_get_addr` allocated for this thread, and marks them as not allocated: modules
    /// that a library brought in get their initial image again when the next body touches them.
    ///
    /// # Safety
    ///
    /// `tp` is the calling body's thread pointer, its thread-locals' destructors have run, and no reference into a
    /// dynamically allocated TLS block is left.
    pub(super) unsafe fn free_dynamic_tls(&self, tp: *mut u8) {
        /// `TLS_DTV_UNALLOCATED` of `sysdeps/generic/dl-dtv.h`.
        const UNALLOCATED: usize = usize::MAX;
        let layout = &self.dtv;
        let mut module = 1;
        loop {
            // SAFETY: word 1 of a TCB is its DTV. The entry before the one it points at counts those after the first,
            // which holds the generation (`elf/dl-tls.c`, allocate_dtv). Only this thread changes its DTV; but the
            // allocator that `free` calls may have dynamic thread-locals itself and move the DTV, so it is read anew each
            // time, and an entry is settled before its block is freed.
            unsafe {
                let dtv = tp.cast::<*mut u8>().add(1).read();
                let length = dtv.wrapping_sub(layout.entry).cast::<usize>().read();
                if module > length {
                    return;
                }
                let value = dtv.add(module * layout.entry + layout.value).cast::<usize>();
                let to_free = value.add(1).cast::<*mut libc::c_void>();
                let block = to_free.read();
                if !block.is_null() {
                    value.write(UNALLOCATED);
                    to_free.write(ptr::null_mut());
                    // As glibc frees it when a module's slot changes hands (_dl_update_slotinfo).
                    libc::free(block);
                }
            }
            module += 1;
        }
    }
}
