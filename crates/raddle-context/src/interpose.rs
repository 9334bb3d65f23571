//! `pthread_getattr_np`, defined here in place of glibc's.
//!
//! glibc's asks the kernel for the affinity of the thread's id, and a body's id is none of the kernel's: ESRCH, and with it
//! the whole call fails. Garbage collectors, sanitizers and Rust's own guard-page code call it to learn a stack's bounds.
//! This definition answers for bodies from their header and passes everything else on.
//!
//! It serves the program and the libraries that the linker saw use the symbol. A library opened later binds to it only if the
//! program exports it (`-rdynamic`, or `-Wl,--export-dynamic-symbol=pthread_getattr_np`).

#![allow(unsafe_code, reason = "defines a libc function, and calls the one it stands before")]

use crate::body;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

type GetAttr = unsafe extern "C" fn(libc::pthread_t, *mut libc::pthread_attr_t) -> c_int;

/// Fills `attributes` with those of `thread`: see `pthread_getattr_np(3)`. For a body: its stack's address and size and its
/// guard's size, the rest as `pthread_attr_init` has it.
///
/// Returns 0, or an error number as glibc's does.
///
/// # Safety
///
/// As glibc's: `thread` is alive, `attributes` is writable and not initialised yet.
// SAFETY: the name is glibc's on purpose, and so are the signature and the meaning.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_getattr_np(
    thread: libc::pthread_t,
    attributes: *mut libc::pthread_attr_t,
) -> c_int {
    // SAFETY: a thread's pthread_t is its TCB's address, in glibc; it is alive by contract.
    if let Some(body) = unsafe { body::of_thread_pointer(thread as usize) } {
        let (low, bytes, guard) = body.reported_stack();
        // SAFETY: `attributes` by contract; the three functions only write it.
        return unsafe {
            match libc::pthread_attr_init(attributes) {
                0 => {}
                error => return error,
            }
            match libc::pthread_attr_setguardsize(attributes, guard) {
                0 => libc::pthread_attr_setstack(attributes, low.cast::<c_void>(), bytes),
                error => error,
            }
        };
    }
    static NEXT: OnceLock<Option<GetAttr>> = OnceLock::new();
    let next = NEXT.get_or_init(|| {
        // SAFETY: glibc's function of this name has this type.
        unsafe {
            std::mem::transmute::<*mut c_void, Option<GetAttr>>(libc::dlsym(
                libc::RTLD_NEXT,
                c"pthread_getattr_np".as_ptr(),
            ))
        }
    });
    match next {
        // SAFETY: the caller's contract is that function's.
        Some(next) => unsafe { next(thread, attributes) },
        None => libc::ENOSYS,
    }
}
