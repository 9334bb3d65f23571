//! A user-level thread's *body*: everything that such a thread physically is, on x86_64 Linux with glibc.
//!
//! A body is a guarded stack, a TLS block of its own in glibc's layout, and room for its user's control block. Code that
//! runs on it has what code on a kernel thread has: `thread_local!`, `errno`, malloc's caches, C++ exceptions and
//! `thread_local`, pthread keys, unwinding and backtraces, libraries opened while it lives. It may be switched away from at any
//! point, in a signal handler too, and resumed on another kernel thread; every address that a compiler cached stays right, because
//! the thread pointer moves with the stack. Nothing in this crate knows of scheduling.
//!
//! ```
//! use raddle_context::{After, Arena, BodyRef, Departure, Hooks, KernelThread, Outcome, switch};
//! use std::cell::Cell;
//! use std::ptr;
//!
//! thread_local!(static HERE: Cell<u32> = const { Cell::new(0) });
//!
//! unsafe fn arrive(_: BodyRef) {}
//! unsafe fn settle(_: BodyRef, outcome: Outcome) {
//!     assert!(outcome.is_ok(), "the body's code panicked");
//! }
//! // Where a body goes when its code has ended: back to the kernel thread that its control block names.
//! unsafe fn depart(body: BodyRef) -> Departure {
//!     Departure { to: unsafe { body.control().cast().read() }, after: After::nothing() }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let me = KernelThread::enter()?;
//! let mut cache = Arena::new(Default::default())?.cache();
//! let mut body = cache.take()?;
//! HERE.set(1);
//! unsafe {
//!     body.control().cast().write(me.context());
//!     body.start(|| HERE.set(HERE.get() + 42), Hooks { arrive, settle, depart });
//!     switch(me.context(), body.context(), After::nothing());
//! }
//! assert_eq!(HERE.get(), 1, "the body counted in its own thread-local");
//! cache.give(body);
//! # Ok(())
//! # }
//! ```
//!
//! # The parts
//!
//! | module | what it is | open to users as |
//! |---|---|---|
//! | `arch` | the assembly: switch, first frame, thread pointer | |
//! | `context` | a suspended context and the switch between two | [`Context`], [`switch`], [`After`] |
//! | `arena` | slots for bodies in a few large mappings | [`Arena`], [`Cache`], [`Config`] |
//! | `glibc` | what is known of glibc's structures, and how: TLS blocks, destructors, recycling | |
//! | `header` | the top of a slot, drawn | |
//! | `body` | a body's way from its first frame to its last | [`Body`], [`BodyRef`], [`running`] |
//! | `kernel_thread` | what a kernel thread needs to enter bodies | [`KernelThread`] |
//! | `launch` | kernel threads made on bodies, without libc | [`KernelThread::launch`], [`Launched`] |
//! | `signal` | the kernel's signal frame on a body's stack | [`SignalFrame`] |
//! | `trace` | backtraces of suspended and interrupted bodies | [`trace`] |
//! | `overflow` | stack overflows, caught and named | [`overflow`] |
//! | `interpose` | `pthread_getattr_np` for bodies | |
//! | `floor` | what `wrfsbase` alone costs, for benchmarks | [`floor`] |
//! | `fork`, `rseq`, `sanitizer` | forked children; the kernel's CPU numbers; AddressSanitizer's hooks | |
//!
//! # Who may call what, where
//!
//! *Kernel thread* means outside any body; *body* on one; *handler* a signal handler on a body's stack. "Allocates": may call
//! libc's allocator and take libc's locks, so not where a preempted holder could never go on.
//!
//! | call | kernel thread | body | handler | allocates | TLS it runs under |
//! |---|---|---|---|---|---|
//! | [`check`], [`Arena::new`] | yes | yes | no | yes | the caller's |
//! | [`Cache::take`] | yes | yes | if the cache is not empty | only when no body is free | the caller's |
//! | [`Cache::take_warm`] | yes | yes | yes | no | the caller's |
//! | [`Arena::make`] | yes | yes | no | only when no body is free | the caller's |
//! | [`Arena::give`] | yes | yes, another body | yes, another body | no | the caller's |
//! | [`Cache::give`] | yes | yes, another body | yes, another body | no | the caller's |
//! | [`Body::start`] | yes | yes, another body | yes, another body | if `main` exceeds 1 KiB | the caller's |
//! | [`switch`] | yes | yes | yes | no | leaves one, enters the other |
//! | [`After`]'s action | on the new side, whatever it is | | | as it likes, no switch | the new side's |
//! | [`Hooks::arrive`] | | first thing on a body | | must not | the predecessor's |
//! | [`Hooks::settle`] | | at a body's end | | as it likes | the ending body's |
//! | [`Hooks::depart`] | | last thing on a body | | must not | destroyed |
//! | [`running`], [`BodyRef`]'s getters | yes | yes | yes | no | any |
//! | [`KernelThread::enter`] | yes | no | no | only if it fails | the kernel thread's |
//! | [`Body::prepare`] | yes | yes, another body | no | yes | the caller's |
//! | [`KernelThread::launch`] | yes | yes, another body | yes, another body | no | the caller's |
//! | [`Launched`]'s methods | yes | yes | yes | no | the caller's |
//! | [`system_call`] | yes | yes | yes | no | any |
//! | [`SignalFrame`] | | | yes | no | the body's |
//! | [`trace::Trace`]'s | yes | yes | `of_interrupted` | no | the caller's |
//! | [`Arena::trim`] | yes | yes | no | yes | the caller's |
//!
//! # What a body does not have
//!
//! The kernel knows no bodies. `gettid`, `sched_getaffinity(gettid())`, `/proc/thread-self`, CPU clocks, scheduling policy, signal
//! masks and robust futexes are the kernel thread's. A body's `tid`, as glibc's locks see it, is above every kernel
//! id: priority-inheriting mutexes, `pthread_kill` at a body and `pthread_getaffinity_np` fail with ESRCH. `pthread_exit` and
//! cancellation need a frame that bodies don't have. `setuid` and its kin reach kernel threads only, and hang if called while
//! another kernel thread runs a body: a runtime wraps them. A child forked by a body stays on that body: it must not go back to
//! the kernel thread's own context. PKRU (memory protection keys) is the kernel thread's. Thread-locals of modules in other link namespaces
//! (`dlmopen`) are not reset between two uses of a body.
#![deny(unsafe_code)]

mod arch;
mod arena;
mod body;
mod context;
mod error;
pub mod floor;
mod fork;
mod glibc;
mod header;
mod interpose;
mod kernel_thread;
mod launch;
pub mod overflow;
mod rseq;
mod sanitizer;
mod signal;
pub mod trace;

pub use arch::system_call;
#[doc(hidden)]
pub use arena::DEBUGGER_OFFSETS;
pub use arena::{Arena, Cache, Config, Exhausted, Guards, Trimmed, Usage};
pub use body::{Body, BodyRef, Departure, Hooks, Outcome, prefetch, running};
pub use context::{Action, After, Context, switch};
pub use error::Unsupported;
pub use interpose::pthread_getattr_np;
pub use kernel_thread::KernelThread;
pub use launch::{Launched, Prepared};
pub use signal::SignalFrame;

/// Whether bodies can exist in this process. The first call works it out (two short-lived threads, some 200
/// microseconds); later ones are free.
///
/// # Errors
///
/// What is missing, by name.
pub fn check() -> Result<(), Unsupported> {
    glibc::glibc().map(|_| ())
}
