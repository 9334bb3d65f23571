//! The receiving end, and iterators over it.

use super::buffer::Dearth;
use super::claim::{Attempt, Claim, Enlisting, Operation};
use super::clock::Clock;
use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use super::shared::Shared;
use super::wait::{Node, Patience};
use crate::time::{Duration, Instant};
use std::fmt;
use std::iter::FusedIterator;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// The receiving end of a channel. Clones receive from the same channel, each message once; when the last one is dropped, so are the
/// messages that nobody has received.
///
/// ```
/// use raddle::{sync::channel, thread};
/// let (sender, receiver) = channel::bounded(4);
/// let second = receiver.clone();
/// let sum = thread::spawn(move || second.iter().sum::<u64>());
/// thread::spawn(move || (1..=100).for_each(|n| sender.send(n).unwrap()));
/// let rest: u64 = receiver.iter().sum();
/// assert_eq!(sum.join().unwrap() + rest, 5050);
/// ```
pub struct Receiver<T> {
    source: Source<T>,
}

enum Source<T> {
    Channel(Arc<Shared<T>>),
    Clock(Arc<Clock<T>>),
    Never,
}

impl<T> Receiver<T> {
    /// The one receiver of a new channel.
    pub(super) fn new(shared: Arc<Shared<T>>) -> Receiver<T> {
        Receiver { source: Source::Channel(shared) }
    }

    #[inline]
    fn receive(&self, patience: Patience) -> Result<T, Dearth> {
        match &self.source {
            Source::Channel(shared) => shared.receive(patience),
            Source::Clock(clock) => clock.receive(patience),
            Source::Never => match patience {
                Patience::None => Err(Dearth::Empty),
                Patience::Until(deadline_ns) => {
                    // Until a moment that is too far away to come, if there is no deadline.
                    crate::time::sleep_until(Instant::from_ns(deadline_ns.unwrap_or(u64::MAX)));
                    Err(Dearth::TimedOut)
                }
            },
        }
    }

    /// Receives a message; waits until there is one.
    ///
    /// # Errors
    ///
    /// If there is none, and all senders are gone.
    ///
    /// ```
    /// use raddle::sync::channel::{self, RecvError};
    /// let (sender, receiver) = channel::unbounded();
    /// raddle::thread::spawn(move || sender.send("hello"));
    /// assert_eq!(receiver.recv(), Ok("hello"));
    /// assert_eq!(receiver.recv(), Err(RecvError));
    /// ```
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.receive(Patience::Until(None)).map_err(|_| RecvError)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    ///
    /// If there is none, or none ever.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.receive(Patience::None).map_err(|dearth| match dearth {
            Dearth::Empty | Dearth::TimedOut => TryRecvError::Empty,
            Dearth::Gone => TryRecvError::Disconnected,
        })
    }

    /// As [`recv`](Receiver::recv), for `timeout` at most.
    ///
    /// # Errors
    ///
    /// If there was none in time, or all senders are gone.
    ///
    /// ```
    /// use raddle::{sync::channel, time::Duration};
    /// let (_sender, receiver) = channel::unbounded::<()>();
    /// assert!(receiver.recv_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(Instant::after(timeout))
    }

    /// As [`recv`](Receiver::recv), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// If there was none in time, or all senders are gone.
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(deadline))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        let received = self.receive(Patience::Until(deadline.map(Instant::as_ns)));
        received.map_err(|dearth| match dearth {
            Dearth::Empty | Dearth::TimedOut => RecvTimeoutError::Timeout,
            Dearth::Gone => RecvTimeoutError::Disconnected,
        })
    }

    /// Messages as they come, until all senders are gone.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The messages that are there. It ends where it would have to wait.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// How many messages wait in the channel.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Channel(shared) => shared.len(),
            Source::Clock(clock) => usize::from(!clock.is_empty()),
            Source::Never => 0,
        }
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no place for another message: never without a bound, always without capacity.
    pub fn is_full(&self) -> bool {
        match &self.source {
            Source::Channel(shared) => shared.is_full(),
            Source::Clock(clock) => !clock.is_empty(),
            Source::Never => true,
        }
    }

    /// How many messages can wait; `None` for any number.
    pub fn capacity(&self) -> Option<usize> {
        match &self.source {
            Source::Channel(shared) => shared.capacity(),
            Source::Clock(_) => Some(1),
            Source::Never => Some(0),
        }
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        match (&self.source, &other.source) {
            (Source::Channel(a), Source::Channel(b)) => Arc::ptr_eq(a, b),
            (Source::Clock(a), Source::Clock(b)) => Arc::ptr_eq(a, b),
            (Source::Never, Source::Never) => true,
            _ => false,
        }
    }

    /// Receives the message of a select's claim.
    pub(super) fn complete(&self, claim: Claim) -> Result<T, RecvError> {
        match (claim, &self.source) {
            (Claim::Promise(promise), Source::Channel(shared)) => {
                shared.complete_receive(promise).ok_or(RecvError)
            }
            (Claim::Moment(ns), Source::Clock(clock)) => Ok(clock.message(ns)),
            _ => Err(RecvError),
        }
    }
}

/// A channel that delivers one message, after `duration`: the moment for which it was planned. Waiting for it beside others is
/// what it is for; it takes no thread and no timer of its own.
///
/// ```
/// use raddle::{select, sync::channel, time::Duration};
/// let (_sender, receiver) = channel::unbounded::<()>();
/// let late = channel::after(Duration::from_millis(1));
/// select! {
///     recv(receiver) -> _ => unreachable!(),
///     recv(late) -> moment => assert!(moment.is_ok()),
/// }
/// ```
pub fn after(duration: Duration) -> Receiver<Instant> {
    Receiver { source: Source::Clock(Arc::new(Clock::after(duration, |moment| moment))) }
}

/// As [`after`], at `deadline`.
pub fn at(deadline: Instant) -> Receiver<Instant> {
    Receiver { source: Source::Clock(Arc::new(Clock::at(deadline, |moment| moment))) }
}

/// A channel that delivers a message every `period`. Ticks that nobody takes are left out: at most one waits.
///
/// ```
/// use raddle::{sync::channel, time::{Duration, Instant}};
/// let start = Instant::now();
/// let ticks = channel::tick(Duration::from_millis(2));
/// ticks.recv().unwrap();
/// ticks.recv().unwrap();
/// assert!(start.elapsed() >= Duration::from_millis(4));
/// ```
pub fn tick(period: Duration) -> Receiver<Instant> {
    Receiver { source: Source::Clock(Arc::new(Clock::tick(period, |moment| moment))) }
}

/// A channel that never delivers anything: for an operation of a select that is switched off.
pub fn never<T>() -> Receiver<T> {
    Receiver { source: Source::Never }
}

impl<T> Operation for Receiver<T> {
    fn claim(&self, select: Option<Enlisting<'_>>) -> Attempt {
        match &self.source {
            Source::Channel(shared) => shared.claim_receive(select),
            Source::Clock(clock) => clock.claim(select),
            Source::Never => Attempt::Waits,
        }
    }

    fn withdraw(&self, node: &Node) {
        if let Source::Channel(shared) = &self.source {
            shared.withdraw_receiver(node);
        }
    }

    fn abandon(&self, promise: u64) {
        if let Source::Channel(shared) = &self.source {
            shared.abandon_receive(promise);
        }
    }

    fn deadline_ns(&self) -> Option<u64> {
        match &self.source {
            Source::Clock(clock) => clock.deadline_ns(),
            Source::Channel(_) | Source::Never => None,
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        let source = match &self.source {
            Source::Channel(shared) => {
                shared.add_receiver();
                Source::Channel(shared.clone())
            }
            Source::Clock(clock) => Source::Clock(clock.clone()),
            Source::Never => Source::Never,
        };
        Receiver { source }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let Source::Channel(shared) = &self.source {
            shared.drop_receiver();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}

// Nothing of a message is touched half-way: an operation that unwinds has moved it or not.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

/// Messages as they come: see [`Receiver::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The messages that are there: see [`Receiver::try_iter`].
#[derive(Clone, Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// Messages as they come, with the receiver.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> FusedIterator for IntoIter<T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}
