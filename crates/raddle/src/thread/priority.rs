//! Priorities: shares of the processor among threads that compute.

use crate::sched::enter::Here;
use raddle_core::slice::slice_ns;

pub use raddle_core::slice::Priority;

/// The calling thread's priority. A kernel thread that is no worker's has the normal one here.
pub fn priority() -> Priority {
    Here::enter().map_or(Priority::NORMAL, |here| here.thread().block().priority.get())
}

/// Sets the calling thread's priority; threads that it spawns from now on inherit it. On a plain kernel thread it does nothing.
///
/// ```
/// use raddle::thread::{self, Priority};
/// thread::spawn(|| {
///     thread::set_priority(Priority::new(5));
///     assert_eq!(thread::priority().nice(), 5);
/// })
/// .join()
/// .unwrap();
/// ```
pub fn set_priority(priority: Priority) {
    if let Some(here) = Here::enter() {
        let block = here.thread().block();
        let base = here.place().runtime().settings.slice_ns;
        block.priority.set(priority);
        block.slice_ns.set(slice_ns(base, priority));
    }
}
