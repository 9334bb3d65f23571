//! What a queue is told at its start, by its maker or the environment.

use std::fmt;
use std::io;

/// What a queue stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendKind {
    /// `io_uring(7)`: operations are given to the kernel in batches. Needs Linux 5.13 or later.
    IoUring,
    /// `epoll(7)`: operations are tried, and tried again when the descriptor is ready.
    Epoll,
    /// `poll(2)`: as epoll, but each pass looks at every descriptor.
    Poll,
}

impl BackendKind {
    /// All of them, in the order in which they are tried.
    pub const ALL: [BackendKind; 3] = [BackendKind::IoUring, BackendKind::Epoll, BackendKind::Poll];

    /// As `RADDLE_EVENT` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            BackendKind::IoUring => "io_uring",
            BackendKind::Epoll => "epoll",
            BackendKind::Poll => "poll",
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// Through what a queue is woken by other threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WakeKind {
    /// `eventfd(2)`.
    Eventfd,
    /// `pipe(2)`.
    Pipe,
    /// A pair of Unix sockets.
    Socketpair,
    /// A TCP connection over loopback.
    Tcp,
}

impl WakeKind {
    /// All of them, in the order in which they are tried.
    pub const ALL: [WakeKind; 4] =
        [WakeKind::Eventfd, WakeKind::Pipe, WakeKind::Socketpair, WakeKind::Tcp];

    /// As `RADDLE_WAKE` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            WakeKind::Eventfd => "eventfd",
            WakeKind::Pipe => "pipe",
            WakeKind::Socketpair => "socketpair",
            WakeKind::Tcp => "tcp",
        }
    }
}

impl fmt::Display for WakeKind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// Settings of a queue.
///
/// ```
/// use raddle_event::{BackendKind, Config, Queue};
///
/// # fn main() -> std::io::Result<()> {
/// let queue = Queue::new(&Config { backend: Some(BackendKind::Poll), ..Config::default() })?;
/// assert_eq!(queue.report().backend, BackendKind::Poll);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Takes this one or fails. By default what `RADDLE_EVENT` says, else the first that works.
    pub backend: Option<BackendKind>,
    /// Takes this one or fails. By default what `RADDLE_WAKE` says, else the first that works.
    pub wake: Option<WakeKind>,
    /// How many operations go to the kernel at once; more cost one more system call. A power of two up to 32,768. Of io_uring only.
    pub ring_entries: u32,
    /// Completions interrupt the kernel thread that submitted the operation, instead of waiting until it enters the kernel or
    /// the next tick: sooner where it computes, dearer everywhere else. Of io_uring only; see `docs/events.md`.
    pub interrupts: bool,
    /// At most so many helper threads for what waits for a disk; at least one. They are started as they are needed.
    pub helpers_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { backend: None, wake: None, ring_entries: 256, interrupts: false, helpers_max: 4 }
    }
}

impl Config {
    /// With what the environment says where nothing was said, and whether it did.
    pub(crate) fn completed(&self) -> io::Result<(Config, Forced)> {
        let event = chosen("RADDLE_EVENT", self.backend, &BackendKind::ALL, BackendKind::name)?;
        let wake = chosen("RADDLE_WAKE", self.wake, &WakeKind::ALL, WakeKind::name)?;
        let forced = Forced { backend: event.1, wake: wake.1 };
        Ok((Config { backend: event.0, wake: wake.0, ..self.clone() }, forced))
    }
}

/// Who has forced a choice, for messages: empty if nobody has.
#[derive(Clone, Copy)]
pub(crate) struct Forced {
    pub(crate) backend: &'static str,
    pub(crate) wake: &'static str,
}

fn chosen<K: Copy>(
    variable: &'static str,
    told: Option<K>,
    all: &[K],
    name: fn(K) -> &'static str,
) -> io::Result<(Option<K>, &'static str)> {
    if told.is_some() {
        return Ok((told, "the queue's Config"));
    }
    let Some(text) = std::env::var_os(variable) else { return Ok((None, "")) };
    let text = text.to_string_lossy();
    match all.iter().find(|kind| name(**kind) == text.trim()) {
        Some(kind) => Ok((Some(*kind), variable)),
        None => {
            let names: Vec<&str> = all.iter().map(|kind| name(*kind)).collect();
            let message = format!("{variable}={text}: give one of {}", names.join(", "));
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}
