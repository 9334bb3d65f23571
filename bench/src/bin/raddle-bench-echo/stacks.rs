//! What a thread for each connection costs in memory alone: pages of each connection's own, of which each message touches some lines.
//!
//! With so many connections that these are in no near cache any more, a loop without stacks is a floor that no thread can come to. This is one
//! for threads: whoever keeps what a connection is about on a stack reads and writes at least so much there.

use std::hint::black_box;

const PAGE: usize = 4096;
/// A stack's, and its thread-locals'.
const PAGES: usize = 2;
const LINE: usize = 64;
/// On each of them. A worker of `raddle echo`, stepped through, touches some 40 of a thread for each message.
const LINES: usize = 20;
/// Of so many descriptors.
const DESCRIPTORS: usize = 16_384;

/// The memory, by descriptor. Pages that nobody has touched are not there.
pub(crate) struct Stacks(Vec<u8>);

impl Stacks {
    pub(crate) fn new() -> Stacks {
        Stacks(vec![0; DESCRIPTORS * PAGES * PAGE])
    }

    /// There is a message on that connection.
    pub(crate) fn touch(&mut self, fd: i32) {
        let pages = fd as usize % DESCRIPTORS * PAGES;
        for page in pages..pages + PAGES {
            for line in 0..LINES {
                let byte = &mut self.0[page * PAGE + line * LINE];
                *byte = byte.wrapping_add(1);
            }
        }
        black_box(&mut self.0);
    }
}
