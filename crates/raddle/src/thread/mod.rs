//! Threads, with the API of `std::thread`.

mod builder;
mod current;
mod join;
mod memory;
mod priority;
mod scope;
pub mod signal;
pub(crate) mod spawn;

pub use builder::Builder;
pub use current::{
    Thread, ThreadId, available_parallelism, current, park, park_timeout, sleep, sleep_until,
    yield_now,
};
pub(crate) use current::{park_for, sleep_until_ns};
pub use join::{JoinHandle, Result, spawn};
pub use priority::{Priority, priority, set_priority};
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use std::thread::panicking;
