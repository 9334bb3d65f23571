//! AddressSanitizer's stack-switching hooks. Without it, everything here is empty and costs nothing.
//!
//! ASan's fiber interface assumes that one identity (its `AsanThread`, found through a pthread key) hops from stack to
//! stack. Here identity goes with the stack: each body has a TLS block, hence keys, of its own. So every context
//! announces that *its own* identity leaves, and takes it up again when it is back on *its own* stack, and the bounds
//! never change. A body is to ASan a thread that it has not been told of: it asks `pthread_getattr_np` for the
//! stack's bounds and takes its locked fallback cache for allocations. Sharing the kernel thread's `AsanThread`
//! instead was rejected: a body preempted inside ASan's allocator would leave that thread's unlocked cache half-changed
//! to the next body.
//!
//! So the two calls change nothing that a report shows today; they keep the contract of ASan's interface should a body ever have
//! an identity there. Run with `ASAN_OPTIONS=detect_leaks=0:fast_unwind_on_malloc=0`: the fast unwinder wants a stack it knows, and without
//! the second option reports of heap errors on bodies lack the stacks of the allocation.
//!
//! Stack memory that a body leaves without unwinding stays poisoned, so a slot is unpoisoned before it is used again.
//! Leak checking is not for bodies: it would look through the arena's mappings, guards included.

#[cfg(raddle_asan)]
pub(crate) use hooks::{Fiber, arrived, leaving, unpoison};

#[cfg(raddle_asan)]
mod hooks {
    #![allow(unsafe_code, reason = "the sanitizer's C interface")]

    use std::ffi::c_void;
    use std::ptr;

    unsafe extern "C" {
        fn __sanitizer_start_switch_fiber(
            save: *mut *mut c_void,
            bottom: *const c_void,
            size: usize,
        );
        fn __sanitizer_finish_switch_fiber(
            save: *mut c_void,
            old_bottom: *mut *const c_void,
            old_size: *mut usize,
        );
        fn __asan_unpoison_memory_region(start: *const c_void, size: usize);
    }

    /// A context as ASan sees it: its stack's bounds, and its fake stack while it is away.
    #[derive(Debug)]
    pub(crate) struct Fiber {
        fake_stack: *mut c_void,
        bottom: *const c_void,
        size: usize,
    }

    impl Fiber {
        /// Of the calling kernel thread.
        pub(crate) fn running() -> Fiber {
            let (bottom, size) = stack_of_this_thread().unwrap_or((ptr::null(), 0));
            Fiber { fake_stack: ptr::null_mut(), bottom: bottom.cast(), size }
        }

        /// Of a body with this stack.
        pub(crate) fn of_stack(low: *const u8, high: *const u8) -> Fiber {
            Fiber {
                fake_stack: ptr::null_mut(),
                bottom: low.cast(),
                size: high.addr() - low.addr(),
            }
        }
    }

    /// The calling thread's stack: lowest usable address and bytes.
    fn stack_of_this_thread() -> Option<(*const u8, usize)> {
        // SAFETY: the attribute is initialised by pthread_getattr_np, read, and destroyed.
        unsafe {
            let mut attributes = std::mem::zeroed::<libc::pthread_attr_t>();
            if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) != 0 {
                return None;
            }
            let (mut low, mut bytes) = (ptr::null_mut(), 0);
            let error =
                libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut bytes);
            libc::pthread_attr_destroy(&raw mut attributes);
            (error == 0).then_some((low.cast_const().cast(), bytes))
        }
    }

    /// # Safety
    ///
    /// `fiber` is the running context's; a switch away, and [`arrived`] after it, follow.
    pub(crate) unsafe fn leaving(fiber: *mut Fiber) {
        // SAFETY: by contract `fiber` is valid and ours while we run.
        unsafe {
            __sanitizer_start_switch_fiber(
                &raw mut (*fiber).fake_stack,
                (*fiber).bottom,
                (*fiber).size,
            );
        }
    }

    /// # Safety
    ///
    /// `fiber` is the running context's, and [`leaving`] was called on it before it was switched away from.
    pub(crate) unsafe fn arrived(fiber: *mut Fiber) {
        // SAFETY: by contract; the two null pointers say that the other side's bounds are of no interest.
        unsafe {
            __sanitizer_finish_switch_fiber((*fiber).fake_stack, ptr::null_mut(), ptr::null_mut());
        }
    }

    /// Forgets what frames that were never unwound left poisoned in `low..high`.
    ///
    /// # Safety
    ///
    /// Nothing lives there.
    pub(crate) unsafe fn unpoison(low: *const u8, high: *const u8) {
        // SAFETY: only shadow memory changes, and nothing that lives there relies on it.
        unsafe { __asan_unpoison_memory_region(low.cast(), high.addr() - low.addr()) }
    }
}

#[cfg(not(raddle_asan))]
pub(crate) use nothing::{Fiber, arrived, leaving, unpoison};

#[cfg(not(raddle_asan))]
mod nothing {
    #![allow(unsafe_code, reason = "the same signatures as the hooks have")]

    /// Without ASan a context has nothing to announce.
    #[derive(Debug)]
    pub(crate) struct Fiber;

    impl Fiber {
        pub(crate) fn running() -> Fiber {
            Fiber
        }

        pub(crate) fn of_stack(_low: *const u8, _high: *const u8) -> Fiber {
            Fiber
        }
    }

    /// # Safety
    ///
    /// None is needed: it does nothing.
    #[inline(always)]
    pub(crate) unsafe fn leaving(_fiber: *mut Fiber) {}

    /// # Safety
    ///
    /// None is needed: it does nothing.
    #[inline(always)]
    pub(crate) unsafe fn arrived(_fiber: *mut Fiber) {}

    /// # Safety
    ///
    /// None is needed: it does nothing.
    #[inline(always)]
    pub(crate) unsafe fn unpoison(_low: *const u8, _high: *const u8) {}
}
