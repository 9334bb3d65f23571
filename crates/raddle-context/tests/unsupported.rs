//! Catches a machine that is not up to it and is not refused by name: the tests take away, one at a time, what the crate asks the kernel
//! and libc for. This program's definitions stand before libc's; not under AddressSanitizer, which calls them before it is ready.

#![allow(unsafe_code, reason = "stands in for three functions of libc's")]

mod calls;
mod children;

use children::Case;
use std::ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static NO_FSGSBASE: AtomicBool = AtomicBool::new(false);
static SHADOW_STACKS: AtomicBool = AtomicBool::new(false);
static NO_SYMBOL: Mutex<Option<&str>> = Mutex::new(None);

#[cfg_attr(not(raddle_asan), unsafe(no_mangle))]
extern "C" fn getauxval(kind: c_ulong) -> c_ulong {
    if kind == libc::AT_HWCAP2 && NO_FSGSBASE.load(Relaxed) {
        return 0;
    }
    let vector = std::fs::read("/proc/self/auxv").expect("there is a /proc");
    let word = |bytes: &[u8]| c_ulong::from_ne_bytes(bytes.try_into().expect("eight bytes"));
    let mut pairs = vector.chunks_exact(16).map(|pair| (word(&pair[..8]), word(&pair[8..])));
    pairs.find(|pair| pair.0 == kind).map_or(0, |pair| pair.1)
}

#[cfg_attr(not(raddle_asan), unsafe(no_mangle))]
unsafe extern "C" fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: the caller's: a C string.
    let asked = unsafe { CStr::from_ptr(name) };
    if NO_SYMBOL.lock().unwrap().is_some_and(|hidden| asked.to_bytes() == hidden.as_bytes()) {
        return std::ptr::null_mut();
    }
    type Dlsym = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
    // SAFETY: libc's function of that name, which has that signature, and the caller's arguments.
    unsafe {
        let libcs = libc::dlvsym(libc::RTLD_NEXT, c"dlsym".as_ptr(), c"GLIBC_2.34".as_ptr());
        std::mem::transmute::<*mut c_void, Dlsym>(libcs)(handle, name)
    }
}

#[cfg_attr(not(raddle_asan), unsafe(no_mangle))]
unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    const ARCH_SHSTK_STATUS: usize = 0x5005;
    if number == libc::SYS_arch_prctl && a == ARCH_SHSTK_STATUS && SHADOW_STACKS.load(Relaxed) {
        // SAFETY: the call's second argument is the address of eight bytes to be written.
        unsafe { std::ptr::with_exposed_provenance_mut::<u64>(b).write(1) };
        return 0;
    }
    // SAFETY: the caller's arguments; what it left out is not looked at.
    let result = unsafe { raddle_context::system_call(number, [a, b, c, d, e, f]) };
    if result < 0 {
        calls::set_errno(-result as c_int);
        return -1;
    }
    result as c_long
}

/// Without it, the check says so and names it, and so does whoever wants bodies.
fn refused(names: &str) {
    let missing = raddle_context::check().expect_err("refused").to_string();
    println!("{missing}");
    std::io::stdout().flush().unwrap();
    assert!(missing.starts_with("raddle can't run here: ") && missing.contains(names), "{missing}");
    let error = raddle_context::Arena::new(raddle_context::Config::default()).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (std::io::ErrorKind::Unsupported, missing));
}

fn main() -> ExitCode {
    const SYMBOLS: [&str; 8] = [
        "_dl_allocate_tls",
        "_dl_deallocate_tls",
        "_dl_get_tls_static_info",
        "__call_tls_dtors",
        "__ctype_init",
        "__pthread_keys",
        "_rtld_global",
        "__resp",
    ];
    let mut cases = vec![
        Case::new("nothing_is_missing", || raddle_context::check().unwrap()),
        Case::new("no_fsgsbase", || {
            NO_FSGSBASE.store(true, Relaxed);
            refused("FSGSBASE");
        }),
        Case::new("shadow_stacks", || {
            SHADOW_STACKS.store(true, Relaxed);
            refused("GLIBC_TUNABLES=glibc.cpu.x86_shstk=off");
        }),
    ];
    cases.extend(SYMBOLS.map(|symbol| {
        Case::new(format!("no_{}", symbol.trim_start_matches('_')), move || {
            *NO_SYMBOL.lock().unwrap() = Some(symbol);
            refused(symbol);
        })
    }));
    // It has a `dlsym` of its own.
    let asan = cfg!(raddle_asan).then_some("AddressSanitizer stands before libc as well");
    children::main(cases.into_iter().map(|case| case.unless(asan)).collect())
}
