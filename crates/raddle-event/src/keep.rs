//! Buffers and files that a queue keeps while operations over them are in flight.

#![allow(unsafe_code, reason = "says how much of a buffer the kernel has written")]

use std::os::fd::AsFd;
use std::sync::Arc;

/// What an operation in flight must not lose.
pub(crate) struct Keep {
    buffer: Vec<u8>,
    /// The result says how much of the buffer was written.
    is_read: bool,
    _file: Arc<dyn AsFd + Send + Sync>,
}

impl Keep {
    pub(crate) fn new(buffer: Vec<u8>, is_read: bool, file: Arc<dyn AsFd + Send + Sync>) -> Keep {
        Keep { buffer, is_read, _file: file }
    }
}

/// By slot. Dropped after the queue has ended all operations; lost with the queue if that is forgotten.
#[derive(Default)]
pub(crate) struct Owned(Vec<Option<Keep>>);

impl Owned {
    pub(crate) fn insert(&mut self, index: u32, keep: Keep) {
        let index = index as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index] = Some(keep);
    }

    fn remove(&mut self, index: u32) -> Option<Keep> {
        self.0.get_mut(index as usize)?.take()
    }

    /// Lets go of what an operation that has ended was over.
    pub(crate) fn take(&mut self, index: u32) {
        self.remove(index);
    }

    /// The buffer of an operation that has ended, if it had one.
    pub(crate) fn finish(&mut self, index: u32, result: i64) -> Option<Vec<u8>> {
        let mut keep = self.remove(index)?;
        if keep.is_read {
            let len = usize::try_from(result).unwrap_or(0).min(keep.buffer.capacity());
            // SAFETY: the kernel has written so much from the beginning on, and it fits.
            unsafe { keep.buffer.set_len(len) };
        }
        Some(keep.buffer)
    }
}
