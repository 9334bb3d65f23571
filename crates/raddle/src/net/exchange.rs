//! A question, and what is read next: operations of a stream, in one wait.

use super::message::Stamped;
use crate::request::{Machine, Next};
use raddle_event::Op;
use std::os::fd::RawFd;

/// Sends all of `unsent`, and then reads once.
#[derive(Debug)]
pub(super) struct Exchange<'e, 'u> {
    pub(super) socket: RawFd,
    pub(super) unsent: &'e mut &'u [u8],
    pub(super) to: To<'e>,
}

/// Where what is read goes.
#[derive(Debug)]
pub(super) enum To<'e> {
    Buffer(&'e mut [u8]),
    /// With a header, in which the kernel says when it came.
    Stamped(&'e mut [u8], &'e mut Stamped),
}

impl To<'_> {
    pub(super) fn room(&self) -> usize {
        match self {
            To::Buffer(buffer) | To::Stamped(buffer, _) => buffer.len(),
        }
    }
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
        Next::Submit(match (*self.unsent, &mut self.to) {
            ([], To::Buffer(buffer)) => Op::Recv {
                socket,
                buffer: buffer.as_mut_ptr(),
                len: buffer.len(),
                flags: 0,
                is_drained: true,
            },
            ([], To::Stamped(buffer, stamped)) => {
                Op::RecvMessage { socket, message: stamped.aim(buffer), flags: 0 }
            }
            (rest, _) => Op::Send { socket, buffer: rest.as_ptr(), len: rest.len(), flags: 0 },
        })
    }
}
