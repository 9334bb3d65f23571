//! One end of a connection: what has come, what may still go, and how far it is over.
//!
//! Of bytes, so many may be on their way or unread as the writer's buffer and the reader's hold together. The reader gives room back as
//! it reads.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut, Read};
use std::net::{Shutdown, SocketAddr};

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) peer: SocketAddr,
    /// So many bytes may be written.
    pub(super) room: usize,
    inbox: VecDeque<u8>,
    /// The peer writes nothing more.
    pub(super) has_end: bool,
    reads_are_shut: bool,
    pub(super) writes_are_shut: bool,
    /// It was reset.
    pub(super) is_reset: bool,
}

impl Stream {
    pub(super) fn new(peer: SocketAddr, room: usize) -> Stream {
        Stream {
            peer,
            room,
            inbox: VecDeque::new(),
            has_end: false,
            reads_are_shut: false,
            writes_are_shut: false,
            is_reset: false,
        }
    }

    /// Both directions have ended.
    pub(super) fn is_over(&self) -> bool {
        self.is_reset || (self.has_end && self.writes_are_shut)
    }

    pub(super) fn has_unread(&self) -> bool {
        !self.inbox.is_empty()
    }

    pub(super) fn is_readable(&self) -> bool {
        self.has_unread() || self.is_at_end()
    }

    /// What is unread comes before the end.
    pub(super) fn is_at_end(&self) -> bool {
        self.has_end || self.reads_are_shut || self.is_reset
    }

    pub(super) fn is_writable(&self) -> bool {
        self.room > 0 || self.writes_are_shut || self.is_reset
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.inbox.extend(bytes);
    }

    /// Fills `buffers` as far as possible; `takes`: what was read is gone.
    pub(super) fn read(&mut self, buffers: &mut [IoSliceMut<'_>], takes: bool) -> usize {
        let (first, second) = self.inbox.as_slices();
        let mut unread = first.chain(second);
        let mut count = 0;
        for buffer in buffers {
            count += unread.read(buffer).expect("memory is read without errors");
        }
        if takes {
            self.inbox.drain(..count);
        }
        count
    }

    /// Takes what there is room for out of `buffers`.
    pub(super) fn write(&mut self, buffers: &[IoSlice<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for buffer in buffers {
            let count = buffer.len().min(self.room);
            bytes.extend_from_slice(&buffer[..count]);
            self.room -= count;
        }
        bytes
    }

    /// Whether the peer is to be told of an end.
    pub(super) fn shut(&mut self, how: Shutdown) -> bool {
        self.reads_are_shut |= how != Shutdown::Write;
        let is_news = how != Shutdown::Read && !self.writes_are_shut;
        self.writes_are_shut |= is_news;
        is_news
    }
}
