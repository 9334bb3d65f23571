//! Sleeping: a wait that nobody but the clock ends.

use super::Instant;
use crate::cancel;
use crate::label::Label;
use crate::park::Wait;
use crate::sleeper::Reason;
use std::time::Duration;

/// Waits for at least `duration`. Never shows a signal, unlike a raw `nanosleep`.
///
/// ```
/// use raddle::time::{Duration, sleep};
/// raddle::thread::spawn(|| sleep(Duration::from_millis(1))).join().unwrap();
/// ```
#[track_caller]
pub fn sleep(duration: Duration) {
    sleep_to(Instant::after(duration));
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
        sleep_to(Some(deadline));
    }
}

/// `None`: for ever.
#[track_caller]
fn sleep_to(deadline: Option<Instant>) {
    loop {
        match Wait::begin(Label::TIME.at(0)).park(deadline.map(Instant::as_ns)) {
            Reason::TIMED_OUT => return,
            Reason::CANCELLED if !std::thread::panicking() => cancel::unwind(),
            _ => {}
        }
    }
}
