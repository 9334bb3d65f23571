//! All cases, once for every runtime whose threads block as `std`'s do: a program says what its calls are and has them all.
//!
//! Everything is generic and compiled anew for each runtime, so no call goes through a table.
//!
//! | module | what it measures |
//! |---|---|
//! | `costs` | making threads, yielding, messages, a mutex |
//! | `neighbours` | what threads that compute or block do to others |
//! | `crowds` | many threads that sleep |
//! | `threads` | what a runtime has to offer |

mod costs;
mod crowds;
mod neighbours;
mod threads;

pub use threads::Threads;

use crate::subject::{Arguments, CORES, Said};

/// Measures the case that the arguments name.
///
/// # Errors
///
/// If there is no such case, or something that it needs is missing.
pub fn run<T: Threads>(arguments: &Arguments) -> Result<Said, String> {
    T::enter(arguments.number(CORES)?)?;
    match arguments.case() {
        "spawn_join" => costs::spawn_join::<T>(arguments),
        "spawn_many" => costs::spawn_many::<T>(arguments),
        "yield" => costs::yields::<T>(arguments),
        "channel" => costs::channel::<T>(arguments),
        "mutex_contended" => costs::mutex_contended::<T>(arguments),
        "sleeping" => crowds::sleeping::<T>(arguments),
        "timers" => crowds::timers::<T>(arguments),
        "idle" => crowds::idle::<T>(arguments),
        "hog_lateness" => neighbours::hog_lateness::<T>(arguments),
        "blocked_recovery" => neighbours::blocked_recovery::<T>(arguments),
        "share_spread" => neighbours::share_spread::<T>(arguments),
        "preempt_cost" => neighbours::preempt_cost::<T>(arguments),
        "std_mutex_holder" => neighbours::std_mutex_holder::<T>(arguments),
        other => Err(format!("there is no case {other}")),
    }
}
