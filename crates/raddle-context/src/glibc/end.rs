//! A thread's end: destructors of thread-locals, of pthread keys, and what else a successor must not find.

#![allow(unsafe_code, reason = "walks a thread's tables as glibc's own thread exit does")]

use super::Glibc;
use std::ffi::c_void;
use std::ptr;

/// `PTHREAD_DESTRUCTOR_ITERATIONS`: how often destructors that set keys again are humoured.
const ROUNDS: usize = 4;
/// `PTHREAD_KEY_2NDLEVEL_SIZE` and `PTHREAD_KEY_1STLEVEL_SIZE` of `sysdeps/unix/sysv/linux/internal.h`: 32 blocks of 32 keys.
const BLOCK_KEYS: usize = 32;
const BLOCKS: usize = 32;

impl Glibc {
    /// Runs what is due at a thread's end: destructors of Rust's and C++'s thread-locals, then those of pthread keys,
    /// as `start_thread` and `__nptl_deallocate_tsd` do; again while they leave something behind, four rounds at most.
    ///
    /// # Safety
    ///
    /// `tp` is the thread pointer of the calling body, whose own code has ended.
    pub(crate) unsafe fn run_destructors(&self, tp: *mut u8) {
        for _ in 0..ROUNDS {
            // SAFETY: by contract; destructors registered by earlier ones are run by the same call.
            let used = unsafe {
                (self.symbols.call_tls_dtors)();
                self.run_key_destructors(tp)
            };
            if !used {
                return;
            }
        }
        // A key's destructor may have touched a thread-local in the last round; what would follow from that is dropped,
        // as POSIX has it for keys, but its destructor must not wait for the body's next use.
        // SAFETY: as above.
        unsafe { (self.symbols.call_tls_dtors)() };
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
            if block > 0 {
                // SAFETY: pthread_setspecific made every block but the first with calloc, for this thread.
                unsafe {
                    first.write(ptr::null_mut());
                    libc::free(entries.cast());
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

    /// Makes the calling body's TLS what a new thread finds: the program's and its libraries' thread-locals as in
    /// their initial images, `errno` 0, the global locale. libc's and the loader's own thread-locals stay: malloc's
    /// cache is worth keeping warm, and holds nothing of the predecessor's that a program could see.
    ///
    /// # Safety
    ///
    /// `tp` is the calling body's; its destructors have run; no Rust or C code that uses thread-locals follows on it.
    pub(crate) unsafe fn reset_tls(&self, tp: *mut u8) {
        // SAFETY: by contract nothing refers into TLS any more. The locale functions read and write this thread's only;
        // LC_GLOBAL_LOCALE is a valid argument.
        unsafe {
            self.free_dynamic_tls(tp);
            if libc::uselocale(ptr::null_mut()) != LC_GLOBAL_LOCALE {
                libc::uselocale(LC_GLOBAL_LOCALE);
            }
            *libc::__errno_location() = 0;
            self.reset_static_tls(tp);
        }
    }
}

/// `LC_GLOBAL_LOCALE` of `<locale.h>`: `(locale_t) -1L`.
const LC_GLOBAL_LOCALE: libc::locale_t = ptr::without_provenance_mut(usize::MAX);
