//! The kernel's signals, which are sent to processes: a thread waits for them, as with `sigwait(3)`, and parks meanwhile.
//!
//! ```no_run
//! use raddle::signal::{Signal, Signals};
//!
//! # fn main() -> std::io::Result<()> {
//! let signals = Signals::new([Signal::TERM, Signal::INT, Signal::HUP])?;
//! loop {
//!     match signals.wait()?.signal() {
//!         Signal::HUP => println!("reads its settings again"),
//!         _ => break,
//!     }
//! }
//! // From here on they do what they did before.
//! drop(signals);
//! # Ok(())
//! # }
//! ```
//!
//! # Who gets which
//!
//! - While a [`Signals`] lives, its signals are kept for it: none is lost between two waits, and none does what it would do by default.
//! - Of several threads that wait on one `Signals`, one gets each signal. Of several `Signals`, each gets it.
//! - Before the first is made, and after the last is dropped, a signal does what it did before: ends the program, most likely, or runs the
//!   handler that was there. What nobody has taken until then is gone.
//! - [`wait`](fn@wait) is a `Signals` for one wait. Between two of them the signals do what they did before.
//!
//! What can't be waited for: `SIGKILL` and `SIGSTOP`; faults of the program's own (`SIGSEGV`, `SIGBUS`, `SIGILL`, `SIGFPE`), where it could not go on; the
//! signal that preempts threads (`SIGURG`, or `RADDLE_SIGNAL`); 32 and 33, which are the C library's. The signal that lists threads
//! (`SIGQUIT`) comes here as long as somebody wants it.
//!
//! # Details
//!
//! - A signal that came twice before anybody looked may be one, as ever; real-time signals are as many as were sent, up to some two
//!   thousand that nobody has taken.
//! - Signals that a whole process is sent, and those to one of its kernel threads (`pthread_kill`, `raise`), are all the same here.
//! - A signal that all kernel threads have blocked does not come. A handler that somebody installs later gets it in place of the `Signals`.
//! - Children inherit nothing of it.
//! - In a forked child the signals do what they do by default. A `Signals` of the parent is an error there; it can make its own.
//! - Signals between raddle's threads are [`thread::signal`](crate::thread::signal): they only share their numbers with these.
//!
//! On a simulated host (`runtime::simulate`) it is `ErrorKind::Unsupported`.
#![deny(unsafe_code)]

mod ear;
mod handler;
mod info;
mod listener;

pub use crate::signals::{Signal, SignalSet};
pub use info::Info;
pub use listener::{Signals, wait};
