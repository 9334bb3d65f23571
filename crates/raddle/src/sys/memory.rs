//! Memory straight from the kernel, for code that must not call malloc.

#![allow(unsafe_code, reason = "mmap(2)")]

use raddle_context::system_call;
use std::io;
use std::ptr::{self, NonNull};

/// How large a huge page is, most often. Whatever it is: the kernel uses what fits.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// A new mapping of `bytes`, all zero. Only what is touched becomes memory.
///
/// # Errors
///
/// From mmap(2).
pub(crate) fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let result = unsafe {
        system_call(libc::SYS_mmap, [0, bytes, access as usize, kind as usize, usize::MAX, 0])
    };
    let is_error = (-4095..0).contains(&result);
    let address = if is_error { 0 } else { result as usize };
    NonNull::new(ptr::with_exposed_provenance_mut(address))
        .ok_or_else(|| io::Error::from_raw_os_error(-result as i32))
}

/// Asks the kernel for huge pages where a mapping has room for them: all of it is about to be used.
pub(crate) fn prefer_huge_pages(start: NonNull<u8>, bytes: usize) {
    let advice = libc::MADV_HUGEPAGE as usize;
    // SAFETY: changes how the kernel backs a range, not what is in it. It may know nothing of huge pages: then nothing changes.
    unsafe { system_call(libc::SYS_madvise, [start.as_ptr().addr(), bytes, advice, 0, 0, 0]) };
}

/// Gives a mapping back.
///
/// # Safety
///
/// It is from [`map`], whole, and nobody uses anything of it.
pub(crate) unsafe fn unmap(start: *mut u8, bytes: usize) {
    // SAFETY: the caller's.
    unsafe { system_call(libc::SYS_munmap, [start.addr(), bytes, 0, 0, 0, 0]) };
}
