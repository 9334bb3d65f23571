//! Operations over files at hand: the queue's methods for it.

#![allow(unsafe_code, reason = "one unsafe method, whose contract is handed on")]

use crate::backend::Backend;
use crate::fixed::FixedFiles;
use crate::names::Operation;
use crate::op::{Op, RawOp};
use crate::queue::Queue;
use crate::slots::Kind;
use std::io;

impl Queue {
    /// As [`submit`](Queue::submit), for an operation whose file stands in the queue's [table](Queue::fixed_files): if it does not, the kernel
    /// looks for it as ever.
    ///
    /// # Errors
    ///
    /// As `submit`.
    ///
    /// # Safety
    ///
    /// As `submit`; and under the descriptor's number no other file stands in the table.
    ///
    /// ```
    /// use raddle_event::{Config, Events, Op, Queue, What};
    /// use std::os::{fd::AsRawFd, unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (here, there) = UnixStream::pair()?;
    /// let mut queue = Queue::new(&Config::default())?;
    /// let mut events = Events::with_capacity(64);
    /// let files = queue.fixed_files().ok();
    /// let is_in = files.as_ref().is_some_and(|files| files.insert(&here).is_ok());
    /// let op = Op::Send { socket: here.as_raw_fd(), buffer: b"hello".as_ptr(), len: 5, flags: 0 };
    /// // SAFETY: the bytes live for ever, the socket until the operation has ended.
    /// unsafe { if is_in { queue.submit_fixed(1, op)? } else { queue.submit(1, op)? } };
    /// queue.wait(&mut events, None)?;
    /// for event in &events {
    ///     let What::Done(completion) = event.what else { continue };
    ///     assert_eq!(completion.result()?, 5);
    /// }
    /// files.iter().for_each(|files| files.remove(&here));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub unsafe fn submit_fixed(&mut self, key: u64, op: Op) -> io::Result<Operation> {
        // SAFETY: the caller's.
        unsafe { self.submit_either(key, op, true) }
    }

    /// As [`submit_fixed`](Queue::submit_fixed) if the operation's file `is_fixed`, else as [`submit`](Queue::submit): one way for who finds out as it runs.
    ///
    /// # Errors
    ///
    /// As `submit`.
    ///
    /// # Safety
    ///
    /// As theirs.
    ///
    /// ```
    /// use raddle_event::{Config, Events, Op, Queue};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut queue = Queue::new(&Config::default())?;
    /// // SAFETY: it points to nothing.
    /// unsafe { queue.submit_either(1, Op::Close { file: -1 }, false) }?;
    /// assert_eq!(queue.wait(&mut Events::with_capacity(64), None)?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub unsafe fn submit_either(
        &mut self,
        key: u64,
        op: Op,
        is_fixed: bool,
    ) -> io::Result<Operation> {
        let op = RawOp { is_fixed, ..RawOp::from(op) };
        let index = self.core.slots.take_for(Kind::Operation, key, op)?;
        Ok(self.start(index))
    }

    /// The files that the kernel has at hand for this queue. It takes a descriptor.
    ///
    /// # Errors
    ///
    /// `Unsupported` with another backend than io_uring, and where the kernel has no such thing or holds files open that were removed. Else as
    /// `dup(2)`.
    pub fn fixed_files(&self) -> io::Result<FixedFiles> {
        match &self.backend {
            Backend::Uring(uring) => uring.fixed_files(),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}
