//! A table in a mapping of its own: address space for all its places at once, memory for those that were touched.
//!
//! A queue belongs to a scheduler, which must not allocate: a preempted thread may hold malloc's lock. So what grows with
//! the number of descriptors and operations stands here, never moves (the kernel may be told addresses in it), and costs a
//! page fault where a `Vec` would take the allocator's lock and copy. Rejected: a `Vec` (allocates, moves), chunks in a list
//! (one more load for each access).

#![allow(unsafe_code, reason = "mmap")]

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Types for which memory full of zeros is a value.
///
/// # Safety
///
/// All bytes zero must be a valid value, and the type must not need to be dropped.
pub(crate) unsafe trait Zeroed: Copy {}

/// `len` values, all zero at first.
pub(crate) struct Table<T: Zeroed> {
    base: NonNull<T>,
    len: usize,
}

// SAFETY: a table owns its mapping, as a `Box<[T]>` does.
unsafe impl<T: Zeroed + Send> Send for Table<T> {}
// SAFETY: as above; shared access reads only.
unsafe impl<T: Zeroed + Sync> Sync for Table<T> {}

impl<T: Zeroed> Table<T> {
    /// A table of `len` zeros; at least one.
    pub(crate) fn new(len: usize) -> io::Result<Table<T>> {
        let len = len.max(1);
        let bytes = len.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a new private mapping disturbs nothing.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A page's alignment is enough for any T that is kept here; the mapping is never at address 0.
        const { assert!(align_of::<T>() <= 4096) };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Table { base, len })
    }
}

impl<T: Zeroed> Deref for Table<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the mapping holds `len` places, lives as long as `self`, is aligned to a page, and every place is a
        // value: it was zero (`Zeroed`) and has since been written through `deref_mut` only.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl<T: Zeroed> DerefMut for Table<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl<T: Zeroed> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of exactly this size, and nobody can refer to it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len * size_of::<T>()) };
    }
}

// SAFETY: an integer is zero, and is not dropped.
unsafe impl Zeroed for u32 {}
// SAFETY: as above.
unsafe impl Zeroed for u64 {}
// SAFETY: three integers.
unsafe impl Zeroed for libc::pollfd {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_table_begins_with_zeros_and_keeps_what_is_written() {
        let mut table: Table<u64> = Table::new(1 << 20).expect("a mapping");
        assert_eq!((table.len(), table[(1 << 20) - 1]), (1 << 20, 0));
        table[7] = 8;
        assert_eq!((table[6], table[7]), (0, 8));
    }

    #[test]
    fn what_address_space_does_not_hold_is_an_error() {
        assert!(Table::<u64>::new(usize::MAX / 8).is_err());
        assert!(Table::<u64>::new(usize::MAX).is_err());
    }
}
