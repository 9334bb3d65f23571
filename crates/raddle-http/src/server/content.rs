//! A request's content, read from the connection as its handler wants it.

use super::link::Link;
use super::times::{Pace, is_timeout, within};
use crate::protocol::{BodyStep, Fault};
use crate::transport::Transport;
use std::io::{self, Read};

/// With less room than that the connection's own buffer is filled instead: one call for many small reads.
const DIRECT_MIN: usize = 4 << 10;

/// Why content could not be read. The request can't be answered as if nothing had happened then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Fault(Fault),
    TooSlow,
    /// The client is gone.
    Gone,
}

/// What a handler reads from.
pub(super) struct Content<'l, 'a, S: ?Sized> {
    link: &'l mut Link<'a, S>,
    pace: Option<Pace>,
    failure: Option<Failure>,
}

impl<'l, 'a, S: Transport + ?Sized> Content<'l, 'a, S> {
    pub(super) fn new(link: &'l mut Link<'a, S>) -> Self {
        Content { link, pace: None, failure: None }
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Reads past the connection's buffer if that is possible and worth it.
    fn read_direct(&mut self, to: &mut [u8]) -> Option<io::Result<usize>> {
        let direct = self.link.protocol.direct();
        if direct == 0 || to.len() < DIRECT_MIN {
            return None;
        }
        let count = usize::try_from(direct).unwrap_or(usize::MAX).min(to.len());
        Some(self.wait(|link, limit| {
            link.flush()?;
            let count = within(limit, || link.stream.read(&mut to[..count]))?;
            link.protocol.passed(count as u64);
            if count == 0 {
                link.protocol.end_of_input();
            }
            Ok(count)
        }))
    }

    fn wait<T>(
        &mut self,
        read: impl FnOnce(&mut Link<'a, S>, std::time::Duration) -> io::Result<T>,
    ) -> io::Result<T> {
        let pace = *self.pace.get_or_insert_with(Pace::begin);
        let limit = pace.left(&self.link.times, 0);
        let result = if limit.is_zero() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            read(self.link, limit)
        };
        if let Err(error) = &result {
            self.failure = Some(if is_timeout(error) { Failure::TooSlow } else { Failure::Gone });
        }
        result
    }

    fn came(&mut self, count: usize) -> io::Result<usize> {
        if let Some(pace) = &mut self.pace {
            pace.moved(count as u64);
        }
        Ok(count)
    }
}

impl<S: Transport + ?Sized> Read for Content<'_, '_, S> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        loop {
            match self.failure {
                Some(Failure::Fault(fault)) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
                }
                Some(Failure::TooSlow) => return Err(io::ErrorKind::TimedOut.into()),
                Some(Failure::Gone) => return Err(io::ErrorKind::ConnectionAborted.into()),
                None => {}
            }
            match self.read_direct(to) {
                // The end comes too early: the protocol has a name for that.
                None | Some(Ok(0)) => {}
                Some(Ok(count)) => return self.came(count),
                Some(Err(error)) => return Err(error),
            }
            match self.link.protocol.read_body(to) {
                Ok(BodyStep::Data(count)) => return self.came(count),
                Ok(BodyStep::End) => return Ok(0),
                Ok(BodyStep::NeedsInput) => self.wait(|link, limit| link.receive(limit))?,
                Err(fault) => self.failure = Some(Failure::Fault(fault)),
            }
        }
    }
}
