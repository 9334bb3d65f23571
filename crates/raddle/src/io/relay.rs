//! A pipe of our own, between two ends of which none is one, or that must not be spliced directly.

use super::disk::by_helper;
use super::ends::Direct;
use super::moves::{Step, of_file, of_stream, patiently, splice, wait_to_read, wait_to_write};
use super::transfer::insist;
use rustix::pipe::PipeFlags;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What is under way between two ends.
#[derive(Debug)]
pub(super) struct Relay {
    reader: OwnedFd,
    writer: OwnedFd,
    /// To a file: a helper writes.
    is_to_file: bool,
    /// So many bytes have left the source and not arrived.
    held: u64,
}

impl Relay {
    /// # Errors
    ///
    /// From `pipe2(2)`: too many descriptors.
    pub(super) fn new(is_to_file: bool) -> io::Result<Relay> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        if is_to_file {
            /// A helper comes for what is worth it. Not for sockets, which a proxy has by the thousand: a user's pipes have a limit together.
            const ROOM: usize = 256 * 1024;
            let _ = rustix::pipe::fcntl_setpipe_size(&writer, ROOM);
        }
        Ok(Relay { reader, writer, is_to_file, held: 0 })
    }

    /// Takes some bytes from the source. What was taken before goes on when there are no more, for the moment, or there is no room.
    #[track_caller]
    pub(super) fn step(
        &mut self,
        from: &Direct<'_>,
        to: &Direct<'_>,
        limit: u64,
    ) -> io::Result<Step> {
        loop {
            match self.fill(from, limit)? {
                // It is empty, so that it has room: what is waited for is the source.
                Step::Moved(0) if self.held == 0 => wait_to_read(from)?,
                Step::Moved(0) => {
                    if let Step::Refused = self.empty(to)? {
                        return Ok(Step::Refused);
                    }
                }
                Step::Moved(count) => {
                    self.held += count;
                    return Ok(Step::Moved(count));
                }
                Step::Over => return self.empty(to),
                Step::Refused => return Ok(Step::Refused),
            }
        }
    }

    /// 0: it would wait.
    fn fill(&self, from: &Direct<'_>, limit: u64) -> io::Result<Step> {
        if limit == 0 {
            return Ok(Step::Over);
        }
        match insist(|| splice(from.fd(), self.writer.as_fd(), limit)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Step::Moved(0)),
            result => of_stream(result),
        }
    }

    /// Passes on all that it holds.
    #[track_caller]
    fn empty(&mut self, to: &Direct<'_>) -> io::Result<Step> {
        while self.held > 0 {
            let call = || splice(self.reader.as_fd(), to.fd(), self.held);
            let result = match self.is_to_file {
                true => by_helper(to.fd(), call),
                false => patiently(|| insist(call), || wait_to_write(to)),
            };
            match of_file(result)? {
                Step::Moved(count) => self.held -= count,
                step => return Ok(step),
            }
        }
        Ok(Step::Over)
    }

    /// Takes out some of what it holds, for who goes on in another way.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.held == 0 {
            return Ok(0);
        }
        let count = insist(|| rustix::io::read(&self.reader, &mut *buffer))?;
        self.held -= count as u64;
        Ok(count)
    }
}
