//! The contract between the runtime and whoever simulates a host for it: see [`host`](crate::host).

use crate::host_network::Network;

/// A simulated host. It is asked by one kernel thread at a time.
///
/// The scheduler calls it with its own locks held: it must not use this crate's threads or primitives.
pub trait Host: Send + Sync {
    /// What time it is, in nanoseconds since some moment. It does not go back.
    fn now_ns(&self) -> u64;

    /// Which of `ready` threads runs next: an index below `ready`, which is at least 1. They are numbered in the order in which the
    /// live scheduler would take them, so 0 is its choice.
    fn choose(&self, ready: usize) -> usize;

    /// No thread can run before `deadline_ns`; `None`: nothing of this program's will happen by itself. Moves the clock on to that
    /// moment, or to one before at which something outside happens. False if nothing ever will: the program is stuck.
    ///
    /// It is called without locks: what happens outside may wake threads, by the wakers that they have left with the host's sockets.
    fn wait_until(&self, deadline_ns: Option<u64>) -> bool;

    /// Thread `number` (1 is the first of this run) has been given the core: for traces.
    fn dispatched(&self, number: u64) {
        let _ = number;
    }

    /// What the program's sockets are made of. Without one, which is the default, [`net`](crate::net) is `ErrorKind::Unsupported`.
    fn network(&self) -> Option<&dyn Network> {
        None
    }
}
