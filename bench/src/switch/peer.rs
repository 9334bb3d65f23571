//! What a library of contexts has to do to be compared: the same for ours and for the others.

use crate::pairs::Work;
use raddle_bench::memory::Crowd;
use std::io;

/// Stack that the peers' coroutines get, as large as a body's slot is by default. Both round it up and add a guard page.
pub(super) const STACK_BYTES: usize = 256 * 1024;

/// Bodies that `body_cold` makes in a row before it destroys them all: as many as one mapping of an arena holds.
///
/// The peers could destroy each before they make the next, and then get the same, still cached pages back from the kernel each
/// time: that would be a stack which was used before.
pub(super) const COLD_BATCH: usize = 4096;

/// What each library has to do. The contexts of a switch and of a ring stay suspended between blocks.
pub(super) trait Peer {
    fn name(&self) -> &'static str;

    /// Between the kernel thread and one context, there and back; an operation is one switch.
    fn switch(&self) -> io::Result<Work<'_>>;

    /// Round `contexts` contexts, each in its turn; an operation is one switch.
    fn ring(&self, contexts: usize) -> io::Result<Work<'_>>;

    /// Makes, runs and ends a context on the stack of the last one.
    fn warm(&self) -> io::Result<Work<'_>>;

    /// Makes and runs [`COLD_BATCH`] contexts on a new stack each, then gives the memory of them all back, whatever number of
    /// operations is asked for.
    fn cold(&self) -> io::Result<Work<'_>>;

    /// Takes the memory of `bodies` suspended contexts, or of as many as there can be.
    fn crowd(&self, bodies: usize) -> io::Result<Crowd>;
}
