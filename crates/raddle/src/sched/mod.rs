//! The scheduler: who runs where, from when to when.
//!
//! | module | what it does |
//! |---|---|
//! | `core_clock` | what time it is on a core, about |
//! | `wake` | the one door to waking: ends sleeps, queues threads, wakes cores |
//! | `timers` | deadlines of sleeping threads, a wheel for each core |
//! | `events` | the cores' event queues: operations in, threads out |
//! | `ahead` | asks memory for threads that are about to run |
//! | `pick` | who runs next on a core: its own queue, others' |
//! | `dispatch` | switches to the next thread, and parts with the last one |
//! | `enter` | the way into the runtime and out of it; the handler that preempts |
//! | `handover` | a core goes from one worker to another |
//! | `idle` | a core that has nothing to run sleeps; one of them keeps time for all |
//! | `census` | the worker pool in numbers |
//! | `stock`, `recruit` | new workers, without libc's help |
//! | `worker` | a kernel thread's life: works, idles, waits as a spare, ends |
//! | `staffing` | makes and ends workers as policy says |
//! | `monitor` | the kernel thread that watches: slices, deadlines, blocked workers |
//! | `start` | a runtime's beginning |
//! | `simulate` | a runtime on a simulated host, driven by the calling kernel thread |
//!
//! Arrows go up the table: `enter` uses `dispatch`, which uses `wake`, and never the other way round.
//! Everything here runs with preemption forbidden ([`Place`](crate::machine::Place) proves it) or on a kernel thread's own stack. It never allocates and
//! takes no lock of libc's; locks of its own are [`Spin`](crate::spin::Spin)s, taken in the order: event queue, timers, queue, spares
//! (those of recruits and of mail alone), and a nursery's word last of all. A worker that fills the stock, or ends, is an exception: nobody counts on it meanwhile.

mod census;
mod core_clock;
pub(crate) mod dispatch;
pub(crate) mod enter;
pub(crate) mod events;
pub(crate) mod handover;
mod idle;
pub(crate) mod monitor;
mod pick;
pub(crate) mod recruit;
pub(crate) mod simulate;
mod staffing;
pub(crate) mod start;
pub(crate) mod stock;
pub(crate) mod timers;
pub(crate) mod wake;
pub(crate) mod worker;
