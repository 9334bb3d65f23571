//! What `std` offers for the same purpose: a kernel thread, whose stack and TLS block glibc recycles.

use crate::pairs::{Block, Work};
use std::hint::black_box;
use std::{io, thread};

/// Makes a thread and joins it.
pub(super) fn warm<'a>() -> Work<'a> {
    Box::new(|operations| {
        Block::time(operations, || {
            for _ in 0..operations {
                let thread = thread::Builder::new().spawn(|| black_box(()))?;
                thread
                    .join()
                    .map_err(|_| io::Error::other("a thread that does nothing panicked"))?;
            }
            Ok(())
        })
    })
}
