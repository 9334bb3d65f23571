//! Compiling a small C or C++ library for a test, and calling into it.

use std::ffi::{CString, c_void};
use std::path::PathBuf;
use std::process::Command;

/// The compiler that tests use, if there is one: `$CXX`, or `c++`.
pub fn compiler() -> Option<String> {
    let name = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let works = Command::new(&name).arg("--version").output().is_ok_and(|out| out.status.success());
    works.then_some(name)
}

/// Compiles `tests/native/<source>` to a shared library with `flags`, and says where it is.
pub fn library(source: &str, flags: &[&str]) -> PathBuf {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let stem = source.replace('.', "_");
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("lib{stem}_{}_{next}.so", std::process::id()));
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/native").join(source);
    let result = Command::new(compiler().expect("asked for before"))
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
        .arg(&out)
        .args(flags)
        .arg(&source)
        .output()
        .expect("the compiler runs");
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    out
}

/// An open library. It stays open: bodies may hold pointers into it.
#[derive(Clone, Copy)]
pub struct Library(*mut c_void);

// SAFETY: a handle is good on every thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    /// Opens it for good.
    pub fn open(path: &std::path::Path) -> Library {
        let name = CString::new(path.to_str().expect("a UTF-8 path")).expect("no zero byte");
        // SAFETY: the libraries are this test's own; their constructors are harmless.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "{}: {}", path.display(), error());
        Library(handle)
    }

    /// Closes it; functions of it must not be called any more.
    pub fn close(self) {
        // SAFETY: the handle is open.
        assert_eq!(unsafe { libc::dlclose(self.0) }, 0, "{}", error());
    }

    /// A function of it.
    ///
    /// # Safety
    ///
    /// `F` is a function pointer type with the C signature of `name`.
    pub unsafe fn function<F: Copy>(self, name: &str) -> F {
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        let c_name = CString::new(name).expect("no zero byte");
        // SAFETY: the handle is open; the type is the caller's word.
        unsafe {
            let at = libc::dlsym(self.0, c_name.as_ptr());
            assert!(!at.is_null(), "{name}: {}", error());
            std::mem::transmute_copy(&at)
        }
    }
}

fn error() -> String {
    // SAFETY: dlerror gives a C string or null.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            return "no error".into();
        }
        std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}
