//! M user-level threads on N kernel threads: preemptive, with native TLS, and `std`'s API.
//!
//! ```
//! use raddle::{sync::Mutex, thread};
//! use std::{sync::Arc, time::Duration};
//!
//! let total = Arc::new(Mutex::new(0));
//! let threads: Vec<_> = (0..10_000)
//!     .map(|n| {
//!         let total = total.clone();
//!         thread::spawn(move || {
//!             thread::sleep(Duration::from_millis(10));
//!             *total.lock().unwrap() += n;
//!         })
//!     })
//!     .collect();
//! threads.into_iter().for_each(|thread| thread.join().unwrap());
//! assert_eq!(*total.lock().unwrap(), 49_995_000);
//! ```
//!
//! A thread costs some 9 KiB and 200 ns. It has a stack and thread-locals of its own, runs on whatever kernel thread is free, gives way when
//! its slice is used up, and may call anything: where it blocks in the kernel, others run on.
//!
//! # To move a program over
//!
//! 1. Write `raddle::thread` and `raddle::sync` where it says `std::thread` and `std::sync`. Both have all of it that is stable and not
//!    deprecated (`Arc` and `atomic` are std's own), so either may stay where it is for the time being: std's locks work between raddle's
//!    threads, and raddle's between kernel threads.
//! 2. Put [`#[raddle::main]`](macro@main) on `main`, if that is to be a raddle thread as well, and [`#[raddle::test]`](macro@test) on tests.
//!    Without them the runtime starts with the first thread.
//! 3. Look at raw calls of `poll`, `epoll_wait`, `nanosleep` and receives with a time-out: they may return `EINTR` when a thread is preempted
//!    in them. raddle's own calls don't.
//!
//! What differs: std's message about a panic calls a raddle thread `<unnamed>`, as `std::thread::current` does not know it;
//! [`thread::current`] does.
//!
//! # What there is
//!
//! | | |
//! |---|---|
//! | [`thread`] | `std::thread`; priorities; signals from thread to thread |
//! | [`sync`] | `std::sync`; a semaphore; channels from many to many, with [`select!`] |
//! | [`time`], [`cancel`] | sleeping, tickers, time-outs of whole pieces of code; ends to all waiting |
//! | [`net`], [`fs`], [`io`] | sockets, files, pipes and standard streams, as in `std`; walks through directories; copies by the kernel |
//! | [`process`], [`signal`] | `std::process`; the kernel's signals, to be waited for |
//! | [`future`] | waiting for futures, without an executor |
//! | [`workqueue`] | functions for workers that all share: once, again, later, in order |
//! | [`blocking`] | says beforehand that a call will block |
//! | [`runtime`], [`host`] | settings, by builder or environment; programs on virtual time and simulated networks |
//!
//! Where a program hangs: `kill -QUIT` lists its threads; gdb has `info raddle threads`; `RADDLE_TRACE=out.json` records what the scheduler
//! did.
//!
//! It needs Linux 5.9 or later on x86_64 and glibc 2.34 or later, linked dynamically. What is missing is named when the runtime starts.
#![deny(unsafe_code)]
#![debugger_visualizer(gdb_script_file = "../gdb/raddle.py")]

mod ahead;
mod at_hand;
mod backlog;
mod blocking;
pub mod cancel;
mod carry;
mod counters;
mod crew;
mod debugger;
mod dump;
mod dumper;
mod event_seat;
pub mod fs;
mod futex;
pub mod future;
mod gang;
pub mod host;
mod host_contract;
mod host_network;
mod inspect;
mod interpose;
pub mod io;
mod label;
mod large;
mod machine;
mod mode_word;
pub mod net;
mod newborns;
mod nursery;
mod operation;
mod park;
mod pauses;
mod pending;
mod per_process;
pub mod process;
mod record;
mod request;
pub mod runtime;
mod sched;
mod settings;
pub mod signal;
mod signals;
mod slab;
mod sleeper;
mod spin;
mod stolen;
pub mod sync;
mod sys;
pub mod thread;
pub mod time;
mod timer;
mod trace;
pub mod workqueue;

pub use blocking::blocking;
#[doc(hidden)]
pub use inspect::{debug_dump, debug_preemption_count};
pub use raddle_macros::{main, test};
pub use runtime::Runtime;
