//! The floor under every switch, for benchmarks.

use crate::arch;
use crate::error::Unsupported;

/// Writes the thread pointer `times` times with the value that it has (`wrfsbase`). A switch pays for one such write, whatever
/// else it does, and processors differ: 12 ns on Zen 5, 23 on Zen 3.
///
/// # Errors
///
/// As [`check`](crate::check): where the processor or the kernel does not have the instruction.
///
/// ```
/// let start = std::time::Instant::now();
/// raddle_context::floor::write_thread_pointer(1000)?;
/// println!("{} ns", start.elapsed().as_nanos() / 1000);
/// # Ok::<(), raddle_context::Unsupported>(())
/// ```
pub fn write_thread_pointer(times: u64) -> Result<(), Unsupported> {
    crate::check()?;
    let base = arch::fs_base();
    for _ in 0..times {
        arch::rewrite_fs_base(base);
    }
    Ok(())
}
