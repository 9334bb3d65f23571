//! Operations over buffers that the queue keeps while they are in flight: for users without a runtime, and without `unsafe`.

use crate::keep::Keep;
use crate::names::Operation;
use crate::op::{Code, RawOp, STREAM};
use crate::queue::Queue;
use crate::slots::Kind;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

impl Queue {
    /// Begins to read from `file` into `buffer`, up to its capacity; at `offset` of a file on a disk, `None` elsewhere.
    ///
    /// The queue keeps both until it reports [`What::Done`](crate::What::Done); then
    /// [`Events::take_buffer`](crate::Events::take_buffer) has the buffer, with what was read in it and nothing else.
    ///
    /// # Errors
    ///
    /// As [`submit`](Queue::submit).
    ///
    /// ```
    /// use raddle_event::{Events, Queue, What};
    /// use std::{fs::File, sync::Arc};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut queue = Queue::new(&Default::default())?;
    /// let mut events = Events::with_capacity(8);
    /// let file = Arc::new(File::open("/proc/self/comm")?);
    /// let operation = queue.read(1, &file, Vec::with_capacity(64), Some(0))?;
    /// queue.wait(&mut events, None)?;
    /// assert!(matches!(events.iter().next().unwrap().what, What::Done(done) if done.operation == operation));
    /// let buffer = events.take_buffer(operation).expect("it is done");
    /// assert!(buffer.ends_with(b"\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn read<F: AsFd + Send + Sync + 'static>(
        &mut self,
        key: u64,
        file: &Arc<F>,
        buffer: Vec<u8>,
        offset: Option<u64>,
    ) -> io::Result<Operation> {
        self.transfer(Code::Read, key, file, buffer, offset)
    }

    /// Begins to write `buffer` to `file`; at `offset` of a file on a disk, `None` elsewhere. As with [`read`](Queue::read), the
    /// buffer comes back; it may have been written in part.
    ///
    /// # Errors
    ///
    /// As [`submit`](Queue::submit).
    pub fn write<F: AsFd + Send + Sync + 'static>(
        &mut self,
        key: u64,
        file: &Arc<F>,
        buffer: Vec<u8>,
        offset: Option<u64>,
    ) -> io::Result<Operation> {
        self.transfer(Code::Write, key, file, buffer, offset)
    }

    fn transfer<F: AsFd + Send + Sync + 'static>(
        &mut self,
        code: Code,
        key: u64,
        file: &Arc<F>,
        mut buffer: Vec<u8>,
        offset: Option<u64>,
    ) -> io::Result<Operation> {
        let index = self.core.slots.take(Kind::Operation, key)?;
        let is_read = code == Code::Read;
        if is_read {
            buffer.clear();
        }
        let len = if is_read { buffer.capacity() } else { buffer.len() };
        // The buffer and the file are kept until the operation has ended, and nobody else has the buffer: that is what
        // `Queue::submit` demands. Its memory does not move when the `Vec` does.
        self.core.slots[index].op = RawOp {
            code,
            fd: file.as_fd().as_raw_fd(),
            pointer: buffer.as_mut_ptr().cast(),
            len: len as u64,
            offset: offset.unwrap_or(STREAM),
            ..RawOp::default()
        };
        let file: Arc<dyn AsFd + Send + Sync> = file.clone();
        self.owned.insert(index, Keep::new(buffer, is_read, file));
        Ok(self.start(index))
    }
}
