//! What a thread can see outside its memory: its host's clock and network, for now.
//!
//! A thread has the host of the runtime that it runs in. The live host is the kernel, with static calls; a simulated one implements
//! [`Host`] and is asked in its place: one core, virtual time that goes on only when no thread can run, and a choice among the
//! threads that are ready. [`runtime::simulate`](crate::runtime::simulate) runs a program on it, all of it on the calling
//! kernel thread, so that the same program with the same host does the same, step by step.
//!
//! ```
//! use raddle::{host::Host, runtime, thread, time::{Duration, Instant}};
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//!
//! /// Nothing but a clock.
//! struct Clock(AtomicU64);
//!
//! impl Host for Clock {
//!     fn now_ns(&self) -> u64 {
//!         self.0.load(Relaxed)
//!     }
//!
//!     fn choose(&self, _ready: usize) -> usize {
//!         0
//!     }
//!
//!     fn wait_until(&self, deadline_ns: Option<u64>) -> bool {
//!         deadline_ns.inspect(|at| self.0.store(*at, Relaxed)).is_some()
//!     }
//! }
//!
//! let slept = runtime::simulate(Box::new(Clock(AtomicU64::new(0))), || {
//!     let start = Instant::now();
//!     thread::sleep(Duration::from_secs(3600));
//!     start.elapsed()
//! })?;
//! assert_eq!(slept.as_secs(), 3600);
//! # std::io::Result::Ok(())
//! ```
//!
//! # Sockets
//!
//! A host that has a [`Network`] is where the program's TCP and UDP sockets and its names come from: [`net`](crate::net)'s types, unchanged, are
//! then made of the host's [`Endpoint`]s, and `getaddrinfo`, so `std`'s `ToSocketAddrs` as well, asks [`Network::look_up`] for names.
//!
//! An endpoint never waits: it says `WouldBlock`, and takes a waker. The runtime parks the thread, with its time-outs on the host's clock, tokens
//! and signals, and tries again when woken; so a host needs to know nothing of threads. Modes of waiting (time-outs, `set_nonblocking`) are no
//! matter of the host's either. It may wake at any moment: when [`Host::wait_until`] has moved the clock, or for what another thread has just
//! done to another endpoint.
//!
//! The host's clock stands still while threads run. One that spins, trying again and again without waiting, sees only what is
//! there without time passing.
//!
//! A simulated socket has no descriptor: `as_fd`, `as_raw_fd`, and conversions into descriptors or `std`'s sockets panic, and say so. What can
//! do without does: [`io::copy`](crate::io::copy) reads and writes. It waits only in its simulation: elsewhere nobody moves its clock. Unix
//! sockets, multicast groups, [`io::poll`](crate::io::poll), files, pipes and processes are `ErrorKind::Unsupported` on a simulated host.
//!
//! # What does not go through the host
//!
//! It is as ever: code that asks libc for the time gets the kernel's, and a thread that blocks in the kernel stops the simulated world.

#![allow(unsafe_code, reason = "the core of the running thread")]

pub use crate::host_contract::Host;
pub use crate::host_network::{Endpoint, Family, Kind, LookUp, Network, SocketOption, Way};
use crate::machine::{Runtime, ThreadRef};
use crate::sys::clock;
use std::io;

/// The runtime that the calling thread runs in, if it is a raddle thread.
#[inline]
fn runtime() -> Option<&'static Runtime> {
    let thread = ThreadRef::running()?;
    // SAFETY: a running thread has its core, which is never freed; it may become another one of the same runtime.
    let core = unsafe { thread.block().core.get().as_ref() };
    core.map(|core| core.runtime())
}

/// The calling thread's time.
#[inline]
pub(crate) fn now_ns() -> u64 {
    runtime().map_or_else(clock::now_ns, Runtime::now_ns)
}

/// Whether the calling thread lives in a simulation.
#[inline]
pub(crate) fn is_simulated() -> bool {
    runtime().is_some_and(|runtime| runtime.host.is_some())
}

/// What the calling thread's sockets are made of: `None`, the kernel's.
///
/// # Errors
///
/// `Unsupported` on a simulated host without a network.
#[inline]
pub(crate) fn network() -> io::Result<Option<&'static dyn Network>> {
    match runtime().and_then(|runtime| runtime.host.as_deref()) {
        None => Ok(None),
        Some(host) => host.network().map(Some).ok_or_else(no_network),
    }
}

#[cold]
fn no_network() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this simulated host has no network")
}

/// What does not lead out of a simulation says so.
///
/// # Errors
///
/// [`unsupported`] on a simulated host.
pub(crate) fn check_live() -> io::Result<()> {
    if is_simulated() { Err(unsupported()) } else { Ok(()) }
}

/// The error of what a simulated host does not have.
#[cold]
pub(crate) fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "a simulated host has no files, processes or descriptors of the kernel's",
    )
}
