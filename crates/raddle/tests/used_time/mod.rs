//! Time as the process uses it: what others on the machine use does not count, so a busy machine fails no test.

#![allow(unsafe_code, reason = "a clock")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use std::time::Duration;

/// The processor time that this process has used.
pub fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes a live structure.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Waits until the process has used so much.
pub fn wait_for_use(time: Duration) {
    let end = used() + time;
    while used() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
}
