//! The sending end.

use super::buffer::Refusal;
use super::claim::{Attempt, Claim, Enlisting, Operation};
use super::error::{SendError, SendTimeoutError, TrySendError};
use super::shared::Shared;
use super::wait::{Node, Patience};
use crate::time::{Duration, Instant};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// The sending end of a channel. Clones send to the same channel; when the last one is dropped, receivers get what is left and
/// then learn that nothing more comes.
///
/// ```
/// use raddle::{sync::channel, thread};
/// let (sender, receiver) = channel::unbounded();
/// for id in 0..3 {
///     let sender = sender.clone();
///     thread::spawn(move || sender.send(id).unwrap());
/// }
/// drop(sender);
/// let mut ids: Vec<i32> = receiver.iter().collect();
/// ids.sort();
/// assert_eq!(ids, [0, 1, 2]);
/// ```
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// The one sender of a new channel.
    pub(super) fn new(shared: Arc<Shared<T>>) -> Sender<T> {
        Sender { shared }
    }

    /// Sends a message; waits while there is no place for it, or, without capacity, until a receiver takes it.
    ///
    /// # Errors
    ///
    /// The message, if all receivers are gone, also while this waits.
    ///
    /// ```
    /// let (sender, receiver) = raddle::sync::channel::bounded(1);
    /// sender.send(7).unwrap();
    /// assert_eq!(receiver.recv(), Ok(7));
    /// drop(receiver);
    /// assert_eq!(sender.send(8).unwrap_err().into_inner(), 8);
    /// ```
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let sent = self.shared.send(message, Patience::Until(None));
        sent.map_err(|(_, message)| SendError(message))
    }

    /// Sends a message if that takes no waiting.
    ///
    /// # Errors
    ///
    /// The message, if there is no place for it or no receiver.
    ///
    /// ```
    /// let (sender, _receiver) = raddle::sync::channel::bounded(1);
    /// sender.try_send(1).unwrap();
    /// assert!(sender.try_send(2).unwrap_err().is_full());
    /// ```
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let sent = self.shared.send(message, Patience::None);
        sent.map_err(|(refusal, message)| match refusal {
            Refusal::Full | Refusal::TimedOut => TrySendError::Full(message),
            Refusal::Gone => TrySendError::Disconnected(message),
        })
    }

    /// As [`send`](Sender::send), for `timeout` at most.
    ///
    /// # Errors
    ///
    /// The message, if there was no place for it in time, or all receivers are gone.
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_until(message, Instant::after(timeout))
    }

    /// As [`send`](Sender::send), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// The message, if there was no place for it in time, or all receivers are gone.
    pub fn send_deadline(&self, message: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_until(message, Some(deadline))
    }

    fn send_until(&self, message: T, deadline: Option<Instant>) -> Result<(), SendTimeoutError<T>> {
        let sent = self.shared.send(message, Patience::Until(deadline.map(Instant::as_ns)));
        sent.map_err(|(refusal, message)| match refusal {
            Refusal::Full | Refusal::TimedOut => SendTimeoutError::Timeout(message),
            Refusal::Gone => SendTimeoutError::Disconnected(message),
        })
    }

    /// How many messages wait in the channel.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no place for another message: never without a bound, always without capacity.
    pub fn is_full(&self) -> bool {
        self.shared.is_full()
    }

    /// How many messages can wait; `None` for any number.
    pub fn capacity(&self) -> Option<usize> {
        self.shared.capacity()
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Sends the message of a select's claim.
    pub(super) fn complete(&self, claim: Claim, message: T) -> Result<(), SendError<T>> {
        match claim {
            Claim::Promise(promise) => {
                self.shared.complete_send(promise, message).map_err(SendError)
            }
            Claim::Gone | Claim::Moment(_) => Err(SendError(message)),
        }
    }
}

impl<T> Operation for Sender<T> {
    fn claim(&self, select: Option<Enlisting<'_>>) -> Attempt {
        self.shared.claim_send(select)
    }

    fn withdraw(&self, node: &Node) {
        self.shared.withdraw_sender(node);
    }

    fn abandon(&self, promise: u64) {
        self.shared.abandon_send(promise);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.shared.add_sender();
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.drop_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}

// Nothing of a message is touched half-way: an operation that unwinds has moved it or not.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
