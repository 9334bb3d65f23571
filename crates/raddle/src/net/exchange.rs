//! A question, and what is read next: operations of a stream, in one wait.

use crate::request::{Machine, Next};
use raddle_event::Op;
use std::os::fd::RawFd;

/// Sends all of `unsent`, and then reads once.
#[derive(Debug)]
pub(super) struct Exchange<'e, 'u> {
    pub(super) socket: RawFd,
    pub(super) unsent: &'e mut &'u [u8],
    pub(super) buffer: &'e mut [u8],
}

impl Machine for Exchange<'_, '_> {
    fn next(&mut self, last: Option<i64>) -> Next {
        if let Some(last) = last {
            match usize::try_from(last) {
                Ok(count @ 1..) if !self.unsent.is_empty() => *self.unsent = &self.unsent[count..],
                // It was read, or something has gone wrong.
                _ => return Next::End(last),
            }
        }
        let socket = self.socket;
        Next::Submit(match *self.unsent {
            [] => Op::Recv {
                socket,
                buffer: self.buffer.as_mut_ptr(),
                len: self.buffer.len(),
                flags: 0,
                is_drained: true,
            },
            rest => Op::Send { socket, buffer: rest.as_ptr(), len: rest.len(), flags: 0 },
        })
    }
}
