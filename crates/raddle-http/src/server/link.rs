//! The protocol, and what it runs over: bytes from one to the other, each wait with its limit.

use super::times::{Times, within};
use crate::protocol::Connection;
use crate::transport::Transport;
use raddle::time::Instant;
use std::io::{self, IoSlice};
use std::time::Duration;

/// More output than that does not wait for the next request's.
pub(super) const OUTPUT_MAX: usize = 64 << 10;

/// A connection's two halves.
pub(super) struct Link<'a, S: ?Sized> {
    pub(super) protocol: Connection,
    pub(super) stream: &'a mut S,
    pub(super) times: Times,
}

/// Sends something that may take `limit`; `TimedOut` then.
///
/// A wait that is over looks once more whether there is room, and may find some: what goes out then is late even so. Or else the next part would
/// have a limit of its own, and who has stopped reading twice the time.
pub(super) fn send_within<T>(
    limit: Duration,
    send: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let begun = Instant::now();
    let sent = within(limit, send)?;
    // Without any time only what has to wait is late.
    if !limit.is_zero() && begun.elapsed() >= limit {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(sent)
}

impl<S: Transport + ?Sized> Link<'_, S> {
    /// Sends the output.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let output = self.protocol.output();
        if output.is_empty() {
            return Ok(());
        }
        let count = output.len();
        send_within(self.times.for_bytes(count as u64), || self.stream.write_all(output))?;
        self.protocol.sent(count);
        Ok(())
    }

    /// Sends the output, and these bytes behind it, by one call where that takes them.
    pub(super) fn flush_with(&mut self, bytes: &[u8]) -> io::Result<()> {
        let output = self.protocol.output();
        let count = output.len();
        let limit = self.times.for_bytes((count + bytes.len()) as u64);
        send_within(limit, || {
            let mut slices = &mut [IoSlice::new(output), IoSlice::new(bytes)][..];
            IoSlice::advance_slices(&mut slices, 0);
            while !slices.is_empty() {
                match self.stream.write_vectored(slices)? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    count => IoSlice::advance_slices(&mut slices, count),
                }
            }
            Ok(())
        })?;
        self.protocol.sent(count);
        Ok(())
    }

    /// Reads what comes first after a long while. Until then there is no buffer; nor is there room for it on the stack of those who are busy.
    #[cold]
    #[inline(never)]
    pub(super) fn receive_little(&mut self) -> io::Result<usize> {
        let mut first = [0; 512];
        let count = self.stream.read(&mut first)?;
        self.protocol.receive(&first[..count]);
        Ok(count)
    }

    /// Reads once, for `limit` at most. The output goes out before, for the client may wait for it.
    pub(super) fn receive(&mut self, limit: Duration) -> io::Result<()> {
        self.flush()?;
        match within(limit, || self.stream.read(self.protocol.space()))? {
            0 => self.protocol.end_of_input(),
            count => self.protocol.filled(count),
        }
        Ok(())
    }
}
