//! Sleeping, on raddle's clock: the loop is `thread`'s.

use super::Instant;
use crate::thread;
use std::time::Duration;

/// Waits for at least `duration`. Never shows a signal, unlike a raw `nanosleep`.
///
/// ```
/// use raddle::time::{Duration, sleep};
/// raddle::thread::spawn(|| sleep(Duration::from_millis(1))).join().unwrap();
/// ```
#[track_caller]
pub fn sleep(duration: Duration) {
    thread::sleep(duration);
}

/// Waits until `deadline`; not at all if it has passed.
///
/// ```
/// use raddle::time::{Duration, Instant, sleep_until};
/// let deadline = Instant::now() + Duration::from_millis(1);
/// sleep_until(deadline);
/// assert!(Instant::now() >= deadline);
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    if deadline > Instant::now() {
        thread::sleep_until_ns(Some(deadline.as_ns()));
    }
}
