//! Buffers that a ring's receives choose from: given to the kernel in an array that both see.

#![allow(unsafe_code, reason = "memory that is shared with the kernel")]

use super::calls::failed;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// The one group that each ring here has.
pub(crate) const GROUP: u16 = 0;

/// So many buffers of one size. They live as long as the process.
pub(crate) struct Buffers {
    entries: *mut BufRingEntry,
    memory: *mut u8,
    count: u16,
    size: usize,
    tail: u16,
}

impl Buffers {
    /// `count` buffers, a power of two, of `size` bytes, all of them the kernel's to choose from. The ring lives as long as the process.
    pub(crate) fn new(ring: &IoUring, count: u16, size: usize) -> Result<Buffers, String> {
        let entries: *mut BufRingEntry =
            map(usize::from(count) * size_of::<BufRingEntry>())?.cast();
        let memory = map(usize::from(count) * size)?;
        // SAFETY: the array is that long, begins at a page's beginning, and is never unmapped.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries as u64, count, GROUP, 0) }
            .map_err(failed("the kernel takes no buffers"))?;
        let mut buffers = Buffers { entries, memory, count, size, tail: 0 };
        (0..count).for_each(|id| buffers.give_back(id));
        Ok(buffers)
    }

    /// Where a buffer is. It is the caller's from the completion that names it until it is given back.
    pub(crate) fn pointer(&self, id: u16) -> *const u8 {
        assert!(id < self.count, "the kernel names what it was given");
        // SAFETY: within the mapping, as the number is one of those.
        unsafe { self.memory.add(usize::from(id) * self.size) }
    }

    /// The kernel may use it again.
    #[inline]
    pub(crate) fn give_back(&mut self, id: u16) {
        let address = self.pointer(id) as u64;
        let at = usize::from(self.tail & (self.count - 1));
        // SAFETY: an entry of the array, beyond what the kernel has been told to look at.
        let entry = unsafe { &mut *self.entries.add(at) };
        entry.set_addr(address);
        entry.set_len(self.size as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the array has been mapped; the tail stands in its first entry, aligned, and only this writes it.
        let tail = unsafe { &*BufRingEntry::tail(self.entries).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Zeroed memory that is never given back.
fn map(bytes: usize) -> Result<*mut u8, String> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, wherever the kernel finds room.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(format!("mmap of {bytes} bytes: {}", io::Error::last_os_error()));
    }
    Ok(at.cast())
}
