//! Time, with the API of `std::time`: moments, sleeping, a ticker.
//!
//! ```text
//!   instant   a moment on the runtime's clock
//!   sleep     waiting for one
//!   ticker    waiting for one after the other, at a fixed distance
//!   timeout   an end to all waiting of a piece of code
//! ```
//!
//! Time-outs of a single call (`recv_timeout`, `park_timeout`) are arguments of that call; channels that deliver a moment, to be
//! waited for beside others, are `sync::channel::after` and `tick`. They stand there because the arrow goes from
//! channels to time, not back.
//!
//! Everything here goes by the clock of the thread's host (`CLOCK_MONOTONIC`, or virtual time in a simulation), and by nobody's
//! kernel timer: a sleeping thread is an entry in its core's wheel.

mod instant;
mod sleep;
mod ticker;
mod timeout;

pub use instant::Instant;
pub use sleep::{sleep, sleep_until};
pub use std::time::Duration;
pub use ticker::{MissedTicks, Ticker};
pub use timeout::{Elapsed, timeout};
