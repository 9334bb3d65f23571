//! One event queue for all that a program may wait for, on Linux: over io_uring, epoll or poll, with one contract.
//!
//! A [`Queue`] takes registrations of descriptors (level, edge, one-shot), operations (accept, connect, read, write, send, receive, send
//! file, sync, open, close, call a function), timers, signals, child processes, changes of files, and wake-ups from other threads. It reports in
//! batches what has happened, as keys that its owner chose, and never calls anybody. It is usable by itself; raddle's runtime has one for
//! each core.
//!
//! ```
//! use raddle_event::{Config, Events, Interest, Mode, Queue, What};
//! use std::{io::Read, io::Write, os::unix::net::UnixStream, time::Duration};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut queue = Queue::new(&Config::default())?;
//! let mut events = Events::with_capacity(64);
//! let (mut here, mut there) = UnixStream::pair()?;
//! queue.register(&there, 1, Interest::READ, Mode::Level)?;
//! queue.timer_after(2, Duration::from_millis(20));
//! here.write_all(b"hello")?;
//! let mut is_over = false;
//! while !is_over {
//!     queue.wait(&mut events, None)?;
//!     for event in &events {
//!         match (event.key, event.what) {
//!             (1, What::Ready(_)) => assert_eq!(there.read(&mut [0; 16])?, 5),
//!             (2, What::Expired(..)) => is_over = true,
//!             other => panic!("nobody asked for {other:?}"),
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What holds on every backend
//!
//! - *An operation ends once*: [`What::Done`] comes whatever happens. Until then its memory is the queue's, and after it nobody
//!   touches it; [`cancel_and_wait`](Queue::cancel_and_wait) and dropping the queue end it at once.
//! - *What was removed is not reported*, even if it was found already and only had not been delivered.
//! - *No stale event*: names are never used twice ([`Operation`], [`Registration`]), and a number that names another file by now is not
//!   reported under the old key. What exactly holds for descriptors closed behind the queue's back stands at [`Queue::register`].
//! - *A wake is not lost*, and costs a system call only if the queue sleeps and nobody has woken it since.
//! - *Nothing is early*, timers and time-outs.
//! - [`wait`](Queue::wait) never waits for a disk.
//! - *No allocation* by submitting, cancelling, registering, waking, and reporting either. Timers, watches and owned buffers allocate, and so does
//!   the start of helper threads ([`start_helpers`](Queue::start_helpers)).
//!
//! # What differs
//!
//! | | io_uring | epoll | poll |
//! |---|---|---|---|
//! | an operation | given to the kernel with the next `wait` or `flush` | tried by `submit`, then when ready | as epoll |
//! | files on a disk | the kernel's workers | up to 4 helper threads, unless cached | as epoll |
//! | calls, files that are sent | up to 4 helper threads | as io_uring | as io_uring |
//! | `harvest` | looks at memory | a system call | a system call |
//! | registrations | an epoll set, on which the ring waits | an epoll set | an array |
//! | edge | the kernel's | the kernel's | reading as level; writing and hang-ups again after 1 to 64 ms |
//! | cost of a wait | independent of what is idle | independent of what is idle | 0.14 us for each descriptor |
//! | time-outs | ns | ns (Linux 5.11), else ms | ns |
//!
//! # The parts
//!
//! | module | what it is |
//! |---|---|
//! | `queue`, `open`, `queue_fixed`, `queue_owned`, `queue_timers`, `queue_watch` | [`Queue`], by what its methods are for |
//! | `backend` | the three backends; a selector states what each defines. `epoll_set` serves two of them |
//! | `core` | what backends share: the reports, an operation's common way |
//! | `slots`, `descriptors`, `table` | what is in flight, by index; what is known of each descriptor, by number; their memory |
//! | `perform`, `helpers` | operations by hand: tried, or done by a thread that may wait for a disk |
//! | `cached` | what of a file is in memory |
//! | `fixed` | files that a ring has at hand |
//! | `wake`, `wake_word` | channels; the word that makes most wakes free, checked with loom |
//! | `timers`, `watch`, `keep` | timers on `raddle-core`'s wheel; signals, children, files; owned buffers |
//! | `config`, `report`, `event`, `interest`, `names`, `op` | what goes in and comes out |
//! | `sys`, `sync` | system calls; atomics, std's or loom's |
//!
//! `docs/events.md` tells why, and what was rejected.
#![deny(unsafe_code)]

mod backend;
mod cached;
mod config;
mod core;
mod descriptors;
mod event;
mod fixed;
mod helpers;
mod interest;
mod keep;
mod names;
mod op;
mod open;
mod perform;
mod queue;
mod queue_fixed;
mod queue_owned;
mod queue_timers;
mod queue_watch;
mod report;
mod slots;
mod sync;
mod sys;
mod table;
mod timers;
mod wake;
#[doc(hidden)]
pub mod wake_word;
mod watch;

pub use cached::{Cached, cached, is_cached, pages_in_memory};
pub use config::{BackendKind, Config, WakeKind};
pub use event::{Change, Completion, Event, Events, Exit, Signal, What};
pub use fixed::FixedFiles;
pub use interest::{Interest, Mode, Readiness};
pub use names::{Operation, Registration, Timer, Watch};
pub use op::Op;
pub use queue::{Queue, WAKE_KEY};
pub use report::{Failure, Report};
pub use wake::Waker;
