//! M user-level threads on N kernel threads: preemptive, with native TLS, and `std`'s API.
#![deny(unsafe_code)]

pub mod cancel;
mod carry;
mod machine;
mod park;
mod record;
pub mod runtime;
mod sched;
mod settings;
mod sleeper;
mod spin;
mod sys;
pub mod thread;

pub use raddle_macros::{main, test};
pub use runtime::Runtime;
