//! Files that a ring has at hand: the kernel's *fixed files*. An operation over one spares the look-up of its number, and a reference that is
//! counted up and down, in a place that all processors share.
//!
//! *The table holds the file open*: as long as it stands there, closing the descriptor does not end the connection. So whoever closes takes it out
//! before, and that must be all it takes. Some kernels let go of a removed file only when all operations have ended that had begun before, over
//! whatever fixed files: whether this is one of them is found out at the start ([`is_honest`]), and then there is no table.
//!
//! A file stands at the place of its descriptor's number, so nobody has to remember another one.

#![allow(unsafe_code, reason = "a system call")]

use crate::sys;
use io_uring::squeue::Flags;
use io_uring::types::Fd;
use io_uring::{IoUring, opcode};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// So many places, if the process may have as many descriptors: 32 KiB of the kernel's memory for each ring.
const PLACES_MAX: usize = 4096;

/// The files that a queue's kernel side has at hand, for operations that are begun by
/// [`submit_fixed`](crate::Queue::submit_fixed). It may be used by any thread, at any time, and does not wait for the queue.
///
/// A file in it stays open until it is removed, or the process ends, whoever closes its descriptor; or, if a forked child outlives the process, until
/// that ends as well, unless it [lets go](FixedFiles::let_go_in_child).
#[derive(Debug)]
pub struct FixedFiles {
    ring: OwnedFd,
    /// The queue's own descriptor of the ring.
    ring_of_queue: RawFd,
    places: usize,
    /// A forked child has the parent's ring.
    process: u32,
}

impl FixedFiles {
    pub(crate) fn of(ring: BorrowedFd<'_>, places: usize) -> io::Result<FixedFiles> {
        let (process, ring_of_queue) = (std::process::id(), ring.as_raw_fd());
        Ok(FixedFiles { ring: ring.try_clone_to_owned()?, ring_of_queue, places, process })
    }

    /// Takes a file in, under its descriptor's number: in place of what stood there.
    ///
    /// # Errors
    ///
    /// `EBADF` for a number that is too high; `ENOMEM`; `Unsupported` in a forked child.
    ///
    /// ```
    /// use raddle_event::Queue;
    /// use std::{io::Read, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let queue = Queue::new(&Default::default())?;
    /// // With io_uring, if the kernel lets go at once of what is removed.
    /// let Ok(files) = queue.fixed_files() else { return Ok(()) };
    /// let (mut here, there) = UnixStream::pair()?;
    /// if files.insert(&there).is_ok() {
    ///     files.remove(&there);
    /// }
    /// drop(there);
    /// assert_eq!(here.read(&mut [0])?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert(&self, fd: impl AsFd) -> io::Result<()> {
        let fd = fd.as_fd().as_raw_fd();
        if fd as usize >= self.places {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        self.update(fd, fd)
    }

    /// Takes a file out. Its descriptor must be the one it was taken in with, and still be open. What was begun over it before goes on.
    pub fn remove(&self, fd: impl AsFd) {
        let fd = fd.as_fd().as_raw_fd();
        if (fd as usize) < self.places {
            // It can't fail but in a forked child, which has nothing in it.
            let _ = self.update(fd, -1);
        }
    }

    /// Closes what a forked child has inherited of the ring, so that the files in the table end with the parent, however long the child lives. It is two
    /// system calls, and may be called where only those may be that signal handlers may make.
    ///
    /// # Safety
    ///
    /// The caller is a forked child of the process that has made the queue, and neither the queue nor this is used or dropped afterwards.
    pub unsafe fn let_go_in_child(&self) {
        for fd in [self.ring.as_raw_fd(), self.ring_of_queue] {
            // SAFETY: a number only; the child's descriptors are its own, and by the caller's promise nobody uses these two any more.
            unsafe { libc::close(fd) };
        }
    }

    fn update(&self, place: i32, fd: i32) -> io::Result<()> {
        /// As the kernel's header has it.
        const FILES_UPDATE: libc::c_uint = 6;
        #[repr(C)]
        struct Update {
            place: u32,
            reserved: u32,
            fds: u64,
        }
        if self.process != std::process::id() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let fds = (&raw const fd).expose_provenance() as u64;
        let update = Update { place: place as u32, reserved: 0, fds };
        // SAFETY: reads an update that is there, which points to one number that is there.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.ring.as_raw_fd(),
                FILES_UPDATE,
                &raw const update,
                1,
            )
        };
        sys::check(result as i32).map(drop)
    }
}

/// Gives a new ring its places. How many; none if the kernel does not take them, or would keep files open that were removed. `wait` takes one
/// completion out of the ring, and says whether it came.
pub(crate) fn open(
    ring: &mut IoUring,
    nothing: u64,
    wait: impl FnOnce(&mut IoUring) -> bool,
) -> usize {
    let places = PLACES_MAX.min(sys::descriptors_allowed());
    if ring.submitter().register_files_sparse(places as u32).is_err() {
        return 0;
    }
    match is_honest(ring, nothing, wait) {
        Ok(true) => places,
        _ => {
            // What fails stays, and is not used.
            let _ = ring.submitter().unregister_files();
            0
        }
    }
}

/// While one fixed file is waited for, another is removed and closed: does its peer hear of that?
fn is_honest(
    ring: &mut IoUring,
    nothing: u64,
    wait: impl FnOnce(&mut IoUring) -> bool,
) -> io::Result<bool> {
    let (busy, busy_peer) = UnixStream::pair()?;
    let (closed, closed_peer) = UnixStream::pair()?;
    let submitter = ring.submitter();
    submitter.register_files_update(0, &[busy.as_raw_fd(), closed.as_raw_fd()])?;
    let poll = opcode::PollAdd::new(Fd(0), libc::POLLIN as u32).build();
    // SAFETY: a poll points to nothing.
    let is_in = unsafe {
        ring.submission().push(&poll.flags(Flags::FIXED_FILE).user_data(nothing)).is_ok()
    };
    if !is_in {
        return Ok(false);
    }
    ring.submit()?;
    ring.submitter().register_files_update(1, &[-1])?;
    drop(closed);
    let is_heard = sys::is_ready(closed_peer.as_raw_fd(), true);
    drop(busy_peer);
    let has_ended = wait(ring);
    ring.submitter().register_files_update(0, &[-1])?;
    Ok(is_heard && has_ended)
}
