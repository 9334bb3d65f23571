//! What a queue reports, and the batches in which it does.

use crate::interest::Readiness;
use crate::names::{Operation, Timer, Watch};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

/// How an operation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which one: what [`submit`](crate::Queue::submit) returned.
    pub operation: Operation,
    /// As the system call's, but an error is its number with a minus.
    pub(crate) result: i64,
}

impl Completion {
    /// The count of bytes, the new descriptor, or 0; or why not. What was cancelled in time is `ECANCELED`.
    pub fn result(self) -> io::Result<usize> {
        to_result(self.result)
    }
}

pub(crate) fn to_result(result: i64) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result as i32))
}

/// A signal that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its number: `libc::SIGTERM` and so on.
    pub number: i32,
    /// Who sent it, if a process did.
    pub pid: u32,
    /// Why: `libc::SI_USER` and so on, see `sigaction(2)`.
    pub code: i32,
    /// What `sigqueue` gave it along.
    pub value: i32,
}

/// How a child process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// What it gave to `exit`, if it ended so.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
}

/// What has changed about a watched file, as bits of `inotify(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which watch has seen it.
    pub watch: Watch,
    /// `libc::IN_MODIFY` and so on. `IN_Q_OVERFLOW`: changes were lost; look for yourself. `IN_IGNORED`: the watch has ended.
    pub mask: u32,
    /// Connects the two halves of a renaming; else 0.
    pub cookie: u32,
    /// Of the name, in the batch.
    pub(crate) name: (u32, u32),
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A registered descriptor is ready.
    Ready(Readiness),
    /// An operation has ended. Its buffers are the caller's again.
    Done(Completion),
    /// A timer was due, so many times since it was last reported.
    Expired(Timer, u64),
    /// A signal has arrived.
    Signal(Signal),
    /// A child process has ended. It is not reaped: waiting for it returns at once.
    Exited(Exit),
    /// A file has changed.
    Changed(Change),
    /// Somebody called [`Waker::wake`](crate::Waker::wake), once or more often.
    Woken,
}

/// One event: whose, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What the caller gave when it asked for this.
    pub key: u64,
    /// What has happened.
    pub what: What,
}

/// A batch of events, to be filled by [`wait`](crate::Queue::wait) again and again.
///
/// ```
/// use raddle_event::{Config, Events, Queue, What};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let mut queue = Queue::new(&Config::default())?;
/// let mut events = Events::with_capacity(64);
/// queue.timer_after(7, Duration::from_millis(1));
/// queue.wait(&mut events, None)?;
/// for event in &events {
///     assert!(event.key == 7 && matches!(event.what, What::Expired(_, 1)));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Events {
    list: Vec<Event>,
    capacity: usize,
    /// Of changed files.
    names: Vec<u8>,
    /// Of owned operations.
    buffers: Vec<(Operation, Vec<u8>)>,
}

impl Events {
    /// A batch of at most so many events; at least one. What does not fit comes with the next.
    pub fn with_capacity(capacity: usize) -> Events {
        let capacity = capacity.max(1);
        Events {
            list: Vec::with_capacity(capacity),
            capacity,
            names: Vec::new(),
            buffers: Vec::new(),
        }
    }

    /// In the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Event> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Which entry of a watched directory has changed; `None` if it is the watched file itself.
    pub fn name(&self, change: &Change) -> Option<&OsStr> {
        let (start, len) = (change.name.0 as usize, change.name.1 as usize);
        let bytes = self.names.get(start..start + len)?;
        (len > 0).then(|| OsStr::from_bytes(bytes))
    }

    /// The buffer of an owned operation whose [`What::Done`] is in this batch, once. See [`Queue::read`](crate::Queue::read).
    pub fn take_buffer(&mut self, operation: Operation) -> Option<Vec<u8>> {
        let at = self.buffers.iter().position(|(of, _)| *of == operation)?;
        Some(self.buffers.swap_remove(at).1)
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.names.clear();
        self.buffers.clear();
    }

    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= self.capacity
    }

    pub(crate) fn push(&mut self, key: u64, what: What) {
        self.list.push(Event { key, what });
    }

    pub(crate) fn push_name(&mut self, name: &[u8]) -> (u32, u32) {
        let start = self.names.len() as u32;
        self.names.extend_from_slice(name);
        (start, name.len() as u32)
    }

    pub(crate) fn push_buffer(&mut self, operation: Operation, buffer: Vec<u8>) {
        self.buffers.push((operation, buffer));
    }
}

impl<'e> IntoIterator for &'e Events {
    type Item = &'e Event;
    type IntoIter = std::slice::Iter<'e, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
