//! What a socket of datagrams holds.

use std::collections::VecDeque;
use std::io::{IoSliceMut, Read};
use std::net::SocketAddr;

#[derive(Debug, Default)]
pub(super) struct Datagrams {
    pub(super) peer: Option<SocketAddr>,
    inbox: VecDeque<(SocketAddr, Vec<u8>)>,
    inbox_bytes: usize,
    /// Bytes that were sent and have not arrived.
    pub(super) on_their_way: usize,
}

/// The longest over IPv4.
pub(super) const LONGEST: usize = 65_507;

/// What the kernel counts for each beside its bytes: then many small ones do not fit either.
const OVERHEAD: usize = 256;

impl Datagrams {
    /// Whether it takes what comes from there.
    pub(super) fn hears(&self, from: SocketAddr) -> bool {
        self.peer.is_none_or(|peer| peer == from)
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Keeps one, unless that is more than `most` bytes: then it is lost. Whether it was kept.
    pub(super) fn put(&mut self, from: SocketAddr, bytes: Vec<u8>, most: usize) -> bool {
        let needed = bytes.len() + OVERHEAD;
        let fits = self.inbox_bytes + needed <= most;
        if fits {
            self.inbox_bytes += needed;
            self.inbox.push_back((from, bytes));
        }
        fits
    }

    /// The first; what finds no room in `buffers` is lost. `takes`: it is gone.
    pub(super) fn read(
        &mut self,
        buffers: &mut [IoSliceMut<'_>],
        takes: bool,
    ) -> Option<(usize, SocketAddr)> {
        let (from, bytes) = self.inbox.front()?;
        let (mut unread, mut count) = (&bytes[..], 0);
        for buffer in buffers {
            count += unread.read(buffer).expect("memory is read without errors");
        }
        let read = (count, *from);
        if takes {
            self.inbox_bytes -= bytes.len() + OVERHEAD;
            self.inbox.pop_front();
        }
        Some(read)
    }
}
