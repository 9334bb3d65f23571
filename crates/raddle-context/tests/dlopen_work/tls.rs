//! The library of `native/tls.cpp`: built for a test, opened, and looked at from bodies.

#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use super::harness::yield_now;
use super::native::{self, Library};
use std::ffi::{CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A library's file, removed in the end.
pub struct Built(pub PathBuf);

impl Built {
    /// `native/tls.cpp` with this image and these flags. Without libstdc++, so that nothing comes and goes with it.
    pub fn tls(image: i64, flags: &[&str]) -> Built {
        let image = format!("-DIMAGE={image}");
        let all = [&["-Wl,--as-needed", image.as_str()], flags].concat();
        Built(native::library("tls.cpp", &all))
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no zero byte")
}

/// Another handle on a library, if it is open.
pub fn if_open(path: &Path) -> Option<Library> {
    let path_in_c = c_path(path);
    // SAFETY: a C string; with RTLD_NOLOAD nothing is opened that is not open already.
    let handle = unsafe { libc::dlopen(path_in_c.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
    if handle.is_null() {
        return None;
    }
    let library = Library::open(path);
    // SAFETY: the handle is open, and another one is kept.
    unsafe { libc::dlclose(handle) };
    Some(library)
}

/// An open `native/tls.cpp`.
#[derive(Clone, Copy)]
pub struct Tls {
    pub library: Library,
    pub is_new: unsafe extern "C" fn() -> c_int,
    fill: unsafe extern "C" fn(i64),
    holds: unsafe extern "C" fn(i64) -> c_int,
    address: unsafe extern "C" fn() -> *mut c_void,
}

impl Tls {
    pub fn open(path: &Path) -> Tls {
        Tls::of(Library::open(path))
    }

    /// A library that has been opened; its constructor found the image.
    pub fn of(library: Library) -> Tls {
        // SAFETY: `tls.cpp` has them with the signatures of `Tls`'s fields.
        unsafe {
            let constructed: unsafe extern "C" fn() -> c_int = library.function("tls_constructed");
            assert_eq!(constructed(), 1, "what the constructor found");
            Tls {
                library,
                is_new: library.function("tls_is_new"),
                fill: library.function("tls_fill"),
                holds: library.function("tls_holds"),
                address: library.function("tls_address"),
            }
        }
    }

    #[track_caller]
    pub fn check_new(self) {
        // SAFETY: the library is open, and its variable is an `i64` of the calling thread's.
        let (is_new, here) = unsafe { ((self.is_new)(), (self.address)().cast::<i64>().read()) };
        assert_eq!(is_new, 1, "a new thread's variables; the first is {here:#x}");
    }

    #[track_caller]
    pub fn check_holds(self, what: i64) {
        // SAFETY: as above.
        let (holds, here) = unsafe { ((self.holds)(what), (self.address)().cast::<i64>().read()) };
        assert_eq!(holds, 1, "{what:#x} in this thread's variables; the first is {here:#x}");
    }

    pub fn fill(self, with: i64) {
        // SAFETY: the library is open.
        unsafe { (self.fill)(with) };
    }

    pub fn address(self) -> usize {
        // SAFETY: as above.
        unsafe { (self.address)() }.addr()
    }

    /// What a body of the harness does: finds the image, leaves something else, and keeps it through thick and thin.
    pub fn live(self, number: i64) {
        self.check_new();
        for round in 0..10 {
            self.fill(number + round);
            yield_now();
            compute(2000);
            self.check_holds(number + round);
        }
    }

    /// The same on a body that nobody disturbs.
    pub fn live_alone(self, number: i64) {
        self.check_new();
        self.fill(number);
        self.check_holds(number);
    }
}

/// Something for a tick to interrupt.
pub fn compute(rounds: u32) {
    (0..rounds).for_each(|round| {
        std::hint::black_box(round);
    });
}
