//! glibc's private functions and its descriptors for debuggers, looked up by name.
//!
//! They have version `GLIBC_PRIVATE`, so they are found with `dlsym` and not linked: a program that carries this
//! crate still starts where one is missing, and can say which.

#![allow(unsafe_code, reason = "dlsym, and the types of what it finds")]

use crate::error::Unsupported;
use std::ffi::{CStr, c_int, c_uint, c_void};

/// The functions and variables, each typed as glibc declares it.
pub(super) struct Symbols {
    /// `elf/dl-tls.c`: lays TLS out around a TCB that the caller provides; its DTV comes from `calloc`.
    pub(super) allocate_tls: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    /// `elf/dl-tls.c`: frees the DTV and dynamically allocated TLS; the TCB itself too if the flag is set.
    pub(super) deallocate_tls: unsafe extern "C" fn(*mut c_void, bool),
    /// `elf/dl-tls.c`: size and alignment of the static TLS block, TCB included. The sanitizers use it as well.
    pub(super) tls_static_info: unsafe extern "C" fn(*mut usize, *mut usize),
    /// `stdlib/cxa_thread_atexit_impl.c`: runs the destructors of C++'s and Rust's thread-locals.
    pub(super) call_tls_dtors: unsafe extern "C" fn(),
    /// `ctype/ctype-info.c`: points the calling thread's ctype tables at its locale.
    pub(super) ctype_init: unsafe extern "C" fn(),
    /// `nptl/pthread_keys.c`: `struct pthread_key_struct[PTHREAD_KEYS_MAX]`.
    pub(super) keys: *const u8,
    /// `elf/rtld.c`: the loader's global state, in which glibc keeps its lists of threads.
    pub(super) rtld_global: *mut u8,
    /// `resolv/res_libc.c`: the thread-local pointer to the resolver's state; here, the calling thread's.
    pub(super) resolver: *mut *mut c_void,
    /// `sysdeps/nptl/dl-tls_init_tp.c`: where the rseq area is, from the thread pointer. Public since 2.35.
    pub(super) rseq_offset: Option<isize>,
}

impl Symbols {
    pub(super) fn look_up() -> Result<Symbols, Unsupported> {
        // SAFETY: each type is the declaration in glibc's source file named at the field; the functions kept them
        // from 2.34 to 2.43. `deallocate_tls` and the others are only called as those files' callers do.
        unsafe {
            Ok(Symbols {
                allocate_tls: std::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut c_void) -> *mut c_void,
                >(find(c"_dl_allocate_tls")?),
                deallocate_tls: std::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut c_void, bool),
                >(find(c"_dl_deallocate_tls")?),
                tls_static_info: std::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut usize, *mut usize),
                >(find(c"_dl_get_tls_static_info")?),
                call_tls_dtors: std::mem::transmute::<*mut c_void, unsafe extern "C" fn()>(find(
                    c"__call_tls_dtors",
                )?),
                ctype_init: std::mem::transmute::<*mut c_void, unsafe extern "C" fn()>(find(
                    c"__ctype_init",
                )?),
                keys: find(c"__pthread_keys")?.cast(),
                rtld_global: find(c"_rtld_global")?.cast(),
                resolver: find(c"__resp")?.cast(),
                rseq_offset: find(c"__rseq_offset").ok().map(|at| at.cast::<isize>().read()),
            })
        }
    }
}

/// A field as glibc describes it to debuggers: `nptl_db/db_info.c`, `DB_STRUCT_FIELD`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// Size of the field, or of one element of an array.
    pub(super) bytes: usize,
    /// Where it starts in its structure.
    pub(super) offset: usize,
}

/// The field that descriptor `_thread_db_<name>` describes.
pub(super) fn field(name: &CStr) -> Result<Field, Unsupported> {
    let descriptor = find(name)?.cast::<[u32; 3]>();
    // SAFETY: every DB_STRUCT_FIELD descriptor is `const uint32_t[3]` = { bits, elements, offset }.
    let [bits, _elements, offset] = unsafe { descriptor.read() };
    Ok(Field { bytes: bits as usize / 8, offset: offset as usize })
}

/// The size that descriptor `_thread_db_sizeof_<name>` gives.
pub(super) fn size(name: &CStr) -> Result<usize, Unsupported> {
    let descriptor = find(name)?.cast::<u32>();
    // SAFETY: every DB_STRUCT descriptor is one `const uint32_t`.
    Ok(unsafe { descriptor.read() } as usize)
}

fn find(name: &CStr) -> Result<*mut c_void, Unsupported> {
    // SAFETY: dlsym reads a C string and searches the loaded objects.
    let at = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if at.is_null() {
        return Err(Unsupported::new(format!(
            "{} is not exported by this C library ({}); glibc 2.34 or later, linked dynamically, is needed",
            name.to_string_lossy(),
            version()
        )));
    }
    Ok(at)
}

/// `glibc 2.36`, or what else there is to say.
pub(super) fn version() -> String {
    // SAFETY: returns a static string.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

/// `struct link_map`, as far as `<link.h>` makes it public.
#[repr(C)]
pub(super) struct LinkMap {
    pub(super) base: usize,
}

/// `struct dl_phdr_info` of `<link.h>`, all of it: the libc crate's ends before the last two fields on some versions.
#[repr(C)]
pub(super) struct PhdrInfo {
    pub(super) base: usize,
    pub(super) name: *const std::ffi::c_char,
    pub(super) headers: *const libc::Elf64_Phdr,
    pub(super) header_count: u16,
    pub(super) adds: u64,
    pub(super) subs: u64,
    pub(super) tls_module: usize,
    pub(super) tls_data: *mut c_void,
}

unsafe extern "C" {
    /// `<link.h>`: calls back for each loaded object, under the loader's write lock, until it answers non-zero.
    pub(super) fn dl_iterate_phdr(
        callback: unsafe extern "C" fn(*mut PhdrInfo, usize, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
}

/// The type of glibc's low-level locks.
pub(super) type LowLevelLock = c_uint;
