//! M user-level threads on N kernel threads: preemptive, with native TLS, and `std`'s API.
#![deny(unsafe_code)]
#![debugger_visualizer(gdb_script_file = "../gdb/raddle.py")]

mod blocking;
pub mod cancel;
mod carry;
mod counters;
mod debugger;
mod dump;
mod dumper;
mod flag;
mod futex;
pub mod future;
pub mod host;
mod host_contract;
mod inspect;
mod interpose;
mod label;
mod machine;
mod park;
mod pending;
mod record;
pub mod runtime;
mod sched;
mod settings;
mod signals;
mod slab;
mod sleeper;
mod spin;
pub mod sync;
mod sys;
pub mod thread;
pub mod time;
mod timer;
mod trace;

pub use blocking::blocking;
#[doc(hidden)]
pub use inspect::{debug_dump, debug_preemption_count};
pub use raddle_macros::{main, test};
pub use runtime::Runtime;
