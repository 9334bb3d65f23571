//! The word that a worker's thread looks at when it enters the runtime and when it leaves it: `Worker::flags`.
//!
//! | bit | who sets it | who clears it |
//! |---|---|---|
//! | [`PREEMPT`] | the handler of the preemption signal; a thread that wakes a better one | the thread, as it gives way |
//! | [`DOUBT`] | the monitor | the monitor |
//! | [`LOST`] | whoever takes the core away | the worker, as it parks |
//! | [`STEP_BACK`] | the monitor | the thread, as it gives way |
//! | [`LOOKED_AT`] | who prints lists of threads | the same |

/// A signal came at a bad moment: give way as soon as may be.
pub(crate) const PREEMPT: u32 = 1;
/// The monitor is thinking about taking the core: whoever enters the runtime waits until it has decided.
pub(crate) const DOUBT: u32 = 2;
/// The core is gone. Set until the worker has parked as a spare.
pub(crate) const LOST: u32 = 4;
/// The thread waits in the kernel for a lock, and workers are few: it is to be queued, so that whoever holds the
/// lock can run.
pub(crate) const STEP_BACK: u32 = 8;
/// Who prints lists of threads looks at the thread: whoever enters the runtime waits for a moment.
pub(crate) const LOOKED_AT: u32 = 16;
