//! Bits of a worker's [`flags`](crate::machine::Worker::flags): what a thread finds when it enters or leaves the runtime.

/// A signal came at a bad moment: give way as soon as may be.
pub(crate) const PREEMPT: u32 = 1;
/// The monitor is thinking about taking the core: whoever enters the runtime waits until it has decided.
pub(crate) const DOUBT: u32 = 2;
/// The core is gone. Set until the worker has parked as a spare.
pub(crate) const LOST: u32 = 4;
/// The thread waits in the kernel for a lock, and there is no spare to give the core to: it is to be queued, so that whoever holds the
/// lock can run.
pub(crate) const STEP_BACK: u32 = 8;
/// Who prints lists of threads looks at the thread: whoever enters the runtime waits for a moment.
pub(crate) const LOOKED_AT: u32 = 16;
