//! As much of io_uring as makes the kernel start a worker thread in this process.

#![allow(unreachable_pub, reason = "a module that a test includes, not a crate")]

use std::io::{Error, Result};
use std::ptr;

/// A ring of a few entries.
pub struct Ring {
    descriptor: i32,
    /// `struct io_uring_params`, as words.
    parameters: [u32; 30],
}

impl Ring {
    pub fn new() -> Result<Ring> {
        let mut parameters = [0u32; 30];
        // SAFETY: the kernel reads and writes the parameters, 120 bytes of them.
        let result = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) };
        if result < 0 {
            return Err(Error::last_os_error());
        }
        Ok(Ring { descriptor: result as i32, parameters })
    }

    /// Submits a read that the kernel gives to a worker at once, which blocks in it.
    pub fn read_on_a_worker(&self, from: i32) {
        const OFFSET_RINGS: i64 = 0;
        const OFFSET_ENTRIES: i64 = 0x1000_0000;
        const OPERATION_READ: u8 = 22;
        const FLAG_ASYNC: u8 = 16;
        static mut BYTE: u8 = 0;
        // SAFETY: a new mapping, which replaces nothing.
        let map = |offset| unsafe {
            let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
            let mapping = libc::mmap(ptr::null_mut(), 4096, access, kind, self.descriptor, offset);
            assert_ne!(mapping, libc::MAP_FAILED, "{}", Error::last_os_error());
            mapping.cast::<u8>()
        };
        let (rings, entry) = (map(OFFSET_RINGS), map(OFFSET_ENTRIES));
        // Words 10 to 19 say where the submission ring's parts are: the tail is the second, the array the seventh.
        let (tail, array) = (self.parameters[11] as usize, self.parameters[16] as usize);
        // SAFETY: the kernel's layout of an entry of 64 bytes and of the ring's words lies in the first page of either mapping; nobody
        // else uses them. The byte that is read is a static, which Rust code never touches.
        unsafe {
            entry.write(OPERATION_READ);
            entry.add(1).write(FLAG_ASYNC);
            entry.add(4).cast::<i32>().write(from);
            entry.add(16).cast::<u64>().write((&raw mut BYTE).expose_provenance() as u64);
            entry.add(24).cast::<u32>().write(1);
            rings.add(array).cast::<u32>().write(0);
            rings.add(tail).cast::<u32>().write(1);
            let done = libc::syscall(libc::SYS_io_uring_enter, self.descriptor, 1, 0, 0, 0, 0);
            assert_eq!(done, 1, "{}", Error::last_os_error());
        }
    }
}
