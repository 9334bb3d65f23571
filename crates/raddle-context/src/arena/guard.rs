//! Guards: the addresses below a stack on which an overflow faults.

#![allow(unsafe_code, reason = "madvise and mprotect on our own mappings")]

use super::exhausted::Exhausted;
use std::io;

/// How a guard is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guards {
    /// [`Installed`](Guards::Installed) where the kernel has it (Linux 6.13), [`Protected`](Guards::Protected) otherwise.
    Best,
    /// `madvise(MADV_GUARD_INSTALL)`: marks in the page table. No mapping of its own; survives `MADV_DONTNEED` and fork.
    Installed,
    /// `mprotect(PROT_NONE)`: splits the mapping, so that two more count towards `vm.max_map_count` (65,530 by default:
    /// some 32,000 bodies).
    Protected,
}

/// `MADV_GUARD_INSTALL` of `<asm-generic/mman-common.h>`, Linux 6.13.
const MADV_GUARD_INSTALL: libc::c_int = 102;

impl Guards {
    /// `Best` resolved by trying on a page.
    ///
    /// # Errors
    ///
    /// `Unsupported` if `Installed` was asked for and the kernel does not have it.
    pub(super) fn resolve(self) -> io::Result<Guards> {
        match self {
            Guards::Protected => Ok(Guards::Protected),
            Guards::Best if installable() => Ok(Guards::Installed),
            Guards::Best => Ok(Guards::Protected),
            Guards::Installed if installable() => Ok(Guards::Installed),
            Guards::Installed => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel has no MADV_GUARD_INSTALL (Linux 6.13); Guards::Best uses protected pages instead",
            )),
        }
    }

    /// Makes `bytes` from `at` fault.
    ///
    /// # Safety
    ///
    /// The range is page-aligned, in a mapping of the arena's, and holds nothing.
    pub(super) unsafe fn make(self, at: *mut u8, bytes: usize) -> io::Result<()> {
        let (failed, on_no_memory) = match self {
            // SAFETY: by contract the range is ours and empty.
            Guards::Best | Guards::Installed => unsafe {
                (libc::madvise(at.cast(), bytes, MADV_GUARD_INSTALL), Exhausted::Memory)
            },
            // SAFETY: as above.
            Guards::Protected => unsafe {
                (libc::mprotect(at.cast(), bytes, libc::PROT_NONE), Exhausted::Mappings)
            },
        };
        if failed == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        Err(if error.raw_os_error() == Some(libc::ENOMEM) { on_no_memory.into() } else { error })
    }
}

fn installable() -> bool {
    const PAGE: usize = 4096;
    // SAFETY: a mapping of our own, tried on and unmapped.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return false;
        }
        let works = libc::madvise(page, PAGE, MADV_GUARD_INSTALL) == 0;
        libc::munmap(page, PAGE);
        works
    }
}
