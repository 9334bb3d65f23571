//! Threads, with the API of `std::thread`: replacing `std::thread` by `raddle::thread` compiles.
//!
//! ```
//! use raddle::thread;
//! use std::time::Duration;
//!
//! let sleepers: Vec<_> =
//!     (0..1000).map(|n| thread::spawn(move || { thread::sleep(Duration::from_millis(10)); n })).collect();
//! let sum: u32 = sleepers.into_iter().map(|sleeper| sleeper.join().unwrap()).sum();
//! assert_eq!(sum, 499_500);
//! ```
//!
//! Beyond std: [priorities](Priority), [signals from thread to thread](signal), handles that are futures, and
//! [cores](Builder::on_core) by number. `thread_local!` and [`LocalKey`]
//! are std's own: each thread has thread-locals of its own.
//!
//! Not here: what std has deprecated (`sleep_ms`, `park_timeout_ms`), and `JoinHandleExt::as_pthread_t`: a thread's `pthread_t` belongs to
//! the thread itself (`pthread_self`), and is no kernel thread that others could signal or join.

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
    Thread, ThreadId, available_parallelism, core, current, park, park_timeout, sleep, sleep_until,
    yield_now,
};
pub(crate) use current::{park_for, sleep_until_ns};
pub use join::{JoinHandle, Result, spawn};
pub use priority::{Priority, priority, set_priority};
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use std::thread::{AccessError, LocalKey, panicking};
