//! What ran out, and what to do about it.

use std::fmt;
use std::io;

/// Why there is no memory for another body. Inside an `io::Error` of kind `OutOfMemory`:
///
/// ```
/// use raddle_context::Exhausted;
/// fn which(error: &std::io::Error) -> Option<Exhausted> {
///     error.get_ref()?.downcast_ref().copied()
/// }
/// # let _ = which;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exhausted {
    /// The kernel maps no more address space: `ulimit -v`, a strict overcommit policy, or all 128 TiB.
    AddressSpace {
        /// What was asked for last, in bytes.
        bytes: usize,
    },
    /// The process has as many mappings as it may (`vm.max_map_count`): protected guards take two each.
    Mappings,
    /// No memory for page tables.
    Memory,
    /// libc has no memory for its part of a TLS block.
    Heap,
    /// The arena holds as many bodies as it can number, 16,777,216, or the process has had 2^30 of them mapped in its life.
    Slots,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exhausted::AddressSpace { bytes } => write!(
                f,
                "out of address space for stacks: the kernel refused to map {bytes} bytes; \
                 look at ulimit -v and vm.overcommit_memory, or use smaller stacks"
            ),
            Exhausted::Mappings => write!(
                f,
                "out of mappings: guard pages take two each on this kernel; \
                 raise vm.max_map_count, or use Linux 6.13 or later, where guards take none"
            ),
            Exhausted::Memory => {
                write!(f, "out of memory for stacks: the kernel has none for page tables")
            }
            Exhausted::Heap => {
                write!(f, "out of memory for a thread's TLS: libc's allocator has none")
            }
            Exhausted::Slots => {
                write!(f, "no more bodies can be numbered: an arena holds at most 16777216")
            }
        }
    }
}

impl std::error::Error for Exhausted {}

impl From<Exhausted> for io::Error {
    fn from(what: Exhausted) -> io::Error {
        io::Error::new(io::ErrorKind::OutOfMemory, what)
    }
}
