//! `blocking`: says ahead of time that a call will block in the kernel.

use crate::sched::enter::Here;

/// Runs `body`, which is about to block in the kernel for long: other threads get the core at once.
///
/// Without it they get it too, some milliseconds later, when the runtime has noticed. On a plain kernel thread `body` just runs.
///
/// ```
/// let text = raddle::thread::spawn(|| raddle::blocking(|| std::fs::read_to_string("/proc/self/comm")));
/// assert!(text.join().unwrap().is_ok());
/// ```
pub fn blocking<R>(body: impl FnOnce() -> R) -> R {
    /// Comes back to a core, also when `body` unwinds.
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            drop(Here::enter());
        }
    }
    let Some(here) = Here::enter() else { return body() };
    here.leave_to_block();
    let _back = Back;
    body()
}
