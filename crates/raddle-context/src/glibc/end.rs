//! A thread's end: destructors of thread-locals, of pthread keys, and what else a successor must not find.

#![allow(unsafe_code, reason = "walks a thread's tables as glibc's own thread exit does")]

use super::Glibc;
use crate::arch;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

/// `PTHREAD_DESTRUCTOR_ITERATIONS`: how often destructors that set keys again are humoured.
const ROUNDS: usize = 4;
/// `PTHREAD_KEY_2NDLEVEL_SIZE` and `PTHREAD_KEY_1STLEVEL_SIZE` of `sysdeps/unix/sysv/linux/internal.h`: 32 blocks of 32 keys.
const BLOCK_KEYS: usize = 32;
const BLOCKS: usize = 32;

impl Glibc {
    /// Runs what is due at a thread's end: destructors of Rust's and C++'s thread-locals, then those of pthread keys,
    /// as `start_thread` and `__nptl_deallocate_tsd` do; again while they leave something behind, four rounds at most. What is
    /// left after that is dropped, as POSIX has it, and so that no later body finds it. Robust mutexes that the body still holds
    /// are marked as those of a dead owner.
    ///
    /// # Safety
    ///
    /// `tp` is the thread pointer of the calling body, whose own code has ended.
    pub(crate) unsafe fn run_destructors(&self, tp: *mut u8) {
        // SAFETY: by contract this is the calling body's block, and its own code has ended. Destructors that earlier ones
        // register are run by the same call.
        unsafe {
            (self.symbols.call_tls_dtors)();
            let mut rounds = 0;
            while self.run_key_destructors(tp) {
                (self.symbols.call_tls_dtors)();
                rounds += 1;
                if rounds == ROUNDS {
                    break;
                }
            }
            if rounds > 0 {
                self.drop_keys(tp);
            }
            self.abandon_robust_mutexes(tp);
        }
    }

    /// One round over the keys; whether there were any.
    ///
    /// # Safety
    ///
    /// As [`run_destructors`](Self::run_destructors).
    unsafe fn run_key_destructors(&self, tp: *mut u8) -> bool {
        let used = tp.wrapping_add(self.pthread.specific_used);
        // SAFETY: the flag, a `bool`, of the calling thread's own TCB; only pthread_setspecific on this thread sets it.
        unsafe {
            if used.read() == 0 {
                return false;
            }
            used.write(0);
        }
        for block in 0..BLOCKS {
            let first =
                tp.wrapping_add(self.pthread.specific).cast::<*mut u8>().wrapping_add(block);
            // SAFETY: `specific` is an array of BLOCKS pointers to blocks of BLOCK_KEYS entries, or null.
            let entries = unsafe { first.read() };
            if entries.is_null() {
                continue;
            }
            for key in 0..BLOCK_KEYS {
                // SAFETY: an entry of a block of this thread's.
                unsafe {
                    self.run_key_destructor(
                        entries.add(key * self.keys.data_size),
                        block * BLOCK_KEYS + key,
                    );
                }
            }
        }
        true
    }

    /// Clears one entry and calls its key's destructor, if the key still exists.
    ///
    /// # Safety
    ///
    /// `entry` is the calling thread's `struct pthread_key_data` for `key`.
    unsafe fn run_key_destructor(&self, entry: *mut u8, key: usize) {
        let keys = &self.keys;
        // SAFETY: `entry` by contract; the table has an element for each possible key and lives in libc's data. A key that
        // is deleted meanwhile has another sequence number; the race between the two reads is glibc's own as well.
        unsafe {
            let data = entry.add(keys.data_data).cast::<*mut c_void>();
            let value = data.read();
            if value.is_null() {
                return;
            }
            data.write(ptr::null_mut());
            let global = keys.table.add(key * keys.struct_size);
            let alive = entry.add(keys.data_seq).cast::<usize>().read()
                == global.add(keys.struct_seq).cast::<usize>().read_volatile();
            let destructor = global
                .add(keys.struct_destructor)
                .cast::<Option<unsafe extern "C" fn(*mut c_void)>>()
                .read_volatile();
            if let (true, Some(destructor)) = (alive, destructor) {
                destructor(value);
            }
        }
    }

    /// Forgets the values of all keys.
    ///
    /// # Safety
    ///
    /// As [`run_destructors`](Self::run_destructors), after the last round.
    unsafe fn drop_keys(&self, tp: *mut u8) {
        let layout = &self.pthread;
        // SAFETY: the calling thread's own tables. pthread_setspecific made every block but the first with calloc, for this
        // thread; the first is part of the TCB.
        unsafe {
            tp.wrapping_add(layout.specific_first).write_bytes(0, BLOCK_KEYS * self.keys.data_size);
            for block in 1..BLOCKS {
                let entries = tp.wrapping_add(layout.specific).cast::<*mut c_void>().add(block);
                let allocated = entries.replace(ptr::null_mut());
                libc::free(allocated);
            }
            tp.wrapping_add(layout.specific_used).write(0);
        }
    }

    /// Does for the body's robust mutexes what the kernel does when a kernel thread dies: marks them, wakes one waiter
    /// each, and empties the list (`handle_futex_death` in the kernel's `kernel/futex/core.c`).
    ///
    /// # Safety
    ///
    /// As [`run_destructors`](Self::run_destructors).
    unsafe fn abandon_robust_mutexes(&self, tp: *mut u8) {
        /// `ROBUST_LIST_LIMIT`: the list is the program's memory, and may be anything.
        const LIMIT: usize = 2048;
        let head = tp.wrapping_add(self.pthread.robust_head);
        // SAFETY: the head is in this thread's TCB. Its nodes are in mutexes that this thread locked and did not unlock, each a
        // fixed distance from the mutex's lock word, which other threads access atomically.
        unsafe {
            let mut node = head.cast::<*mut u8>().read();
            if node == head {
                return;
            }
            let to_lock = head.add(8).cast::<isize>().read();
            for _ in 0..LIMIT {
                // The lowest bit says that the mutex inherits priority.
                node = node.map_addr(|address| address & !1);
                if node == head {
                    break;
                }
                let next = node.cast::<*mut u8>().read();
                let word = AtomicU32::from_ptr(node.offset(to_lock).cast());
                let old = word.load(Ordering::Relaxed);
                let died = (old & libc::FUTEX_WAITERS) | libc::FUTEX_OWNER_DIED;
                let owner = tp.add(self.pthread.tid).cast::<u32>().read();
                if old & libc::FUTEX_TID_MASK == owner
                    && word
                        .compare_exchange(old, died, Ordering::Release, Ordering::Relaxed)
                        .is_ok()
                    && old & libc::FUTEX_WAITERS != 0
                {
                    arch::system_call(
                        libc::SYS_futex,
                        [word.as_ptr().addr(), libc::FUTEX_WAKE as usize, 1, 0, 0, 0],
                    );
                }
                node = next;
            }
            head.cast::<*mut u8>().write(head);
            head.sub(8).cast::<*mut u8>().write(head);
        }
    }

    /// Makes the calling body's TLS what a new thread finds: thread-locals of the program and its libraries as in their
    /// initial images, `errno` 0, the global locale, no message from `dlerror`, cancellation in its default state.
    ///
    /// libc's and the loader's own thread-locals stay otherwise: malloc's cache is worth keeping warm, and the rest (the
    /// resolver's state, buffers of `strerror` and the like) is what a thread pool's thread would keep too.
    ///
    /// May take the loader's lock, unless the block is fresh: to be called where blocking is allowed.
    ///
    /// # Safety
    ///
    /// `tp` is the calling body's thread pointer, and none of its new code has run. `is_fresh` says that the block was built
    /// since a body last ran on it.
    pub(crate) unsafe fn begin_thread(&self, tp: *mut u8, is_fresh: bool) {
        // SAFETY: by contract nothing refers into TLS any more. The functions read and write this thread's state only.
        unsafe {
            if !is_fresh {
                // None are registered, unless `depart` broke its contract: then better now than after the reset.
                (self.symbols.call_tls_dtors)();
                self.free_dynamic_tls(tp);
                self.reset_static_tls(tp);
            }
            self.begin_libc(tp);
            // As `forget_dlerror`, but `errno` is 0: what is not asked for need not be put back.
            if !libc::dlerror().is_null() {
                libc::dlerror();
                *libc::__errno_location() = 0;
            }
        }
    }

    /// Takes a block back to its initial state from outside: what [`begin_thread`](Self::begin_thread) does on the body, but for libc's
    /// own part. After it, [`begin_libc`](Self::begin_libc) is all that a thread on the block has to begin with.
    ///
    /// May take the loader's lock, and frees.
    ///
    /// # Safety
    ///
    /// `tp` is a block that this crate built in this process; the last code on it has ended, its destructors have run, and nothing
    /// refers into it.
    pub(crate) unsafe fn renew_block(&self, tp: *mut u8) {
        // SAFETY: by contract nobody but the caller touches the block: its DTV is as good as the caller's own.
        unsafe {
            self.free_dynamic_tls(tp);
            self.reset_static_tls(tp);
        }
    }

    /// Makes libc's own part of the calling thread's TLS what a new thread finds, which a fresh block may have from a husk: the
    /// global locale, `errno` 0, cancellation in its default state. Takes no lock and allocates nothing; an unread message of
    /// `dlerror` stays, as dropping it would free.
    ///
    /// # Safety
    ///
    /// `tp` is the calling thread's thread pointer, and a block of this crate's.
    pub(crate) unsafe fn begin_libc(&self, tp: *mut u8) {
        // SAFETY: the functions read and write this thread's state only.
        unsafe {
            if libc::uselocale(ptr::null_mut()) != LC_GLOBAL_LOCALE {
                libc::uselocale(LC_GLOBAL_LOCALE);
            }
            (self.symbols.ctype_init)();
            *__h_errno_location() = 0;
            *libc::__errno_location() = 0;
            let cancel = AtomicU32::from_ptr(tp.add(self.pthread.cancel).cast());
            if cancel.load(Ordering::Relaxed) & CANCEL_STATE_AND_TYPE != 0 {
                cancel.fetch_and(!CANCEL_STATE_AND_TYPE, Ordering::Relaxed);
            }
        }
    }
}

/// Drops what `dlerror` would tell the calling thread, and leaves `errno` as it is: the second call frees what the first one gave.
pub(crate) fn forget_dlerror() {
    // SAFETY: the calls read and free this thread's own message; errno is its own too.
    unsafe {
        let errno = *libc::__errno_location();
        if !libc::dlerror().is_null() {
            libc::dlerror();
        }
        *libc::__errno_location() = errno;
    }
}

/// `CANCELSTATE_BITMASK | CANCELTYPE_BITMASK` of `nptl/descr.h`; 0 is enabled and deferred.
const CANCEL_STATE_AND_TYPE: u32 = 3;

/// `LC_GLOBAL_LOCALE` of `<locale.h>`: `(locale_t) -1L`.
const LC_GLOBAL_LOCALE: libc::locale_t = ptr::without_provenance_mut(usize::MAX);

unsafe extern "C" {
    /// `<netdb.h>`: where the calling thread's `h_errno` is.
    fn __h_errno_location() -> *mut c_int;
}
