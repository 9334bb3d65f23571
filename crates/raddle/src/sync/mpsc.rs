//! Many senders, one receiver: the API of `std::sync::mpsc`, on raddle's channels.
//!
//! To move a program over, `std::sync::mpsc` becomes `raddle::sync::mpsc`. The errors are `std`'s own types, so a signature that names
//! them stays as it is. What [`channel`](mod@super::channel) has beyond this (more receivers, select) stays there: two APIs, one machinery.

use super::channel;
use crate::time::Duration;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::RefUnwindSafe;

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

/// A channel in which any number of messages can wait.
///
/// ```
/// use raddle::{sync::mpsc, thread};
/// let (sender, receiver) = mpsc::channel();
/// thread::spawn(move || sender.send(10).unwrap());
/// assert_eq!(receiver.recv().unwrap(), 10);
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::unbounded();
    (Sender { sender }, Receiver { receiver, not_sync: PhantomData })
}

/// A channel in which `bound` messages can wait; with 0, each send waits for its receive.
///
/// ```
/// use raddle::{sync::mpsc, thread};
/// let (sender, receiver) = mpsc::sync_channel(0);
/// thread::spawn(move || sender.send(53).unwrap());
/// assert_eq!(receiver.recv(), Ok(53));
/// ```
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(bound);
    (SyncSender { sender }, Receiver { receiver, not_sync: PhantomData })
}

/// The sending end of a [`channel`](fn@channel). It never waits.
pub struct Sender<T> {
    sender: channel::Sender<T>,
}

/// The sending end of a [`sync_channel`].
pub struct SyncSender<T> {
    sender: channel::Sender<T>,
}

/// The receiving end: there is one, and one thread at a time has it.
pub struct Receiver<T> {
    receiver: channel::Receiver<T>,
    not_sync: PhantomData<Cell<()>>,
}

// As std's. The mark that it is not Sync has nothing in it that a panic could leave half done.
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Sender<T> {
    /// Sends a message.
    ///
    /// # Errors
    ///
    /// The message, if the receiver is gone.
    ///
    /// ```
    /// let (sender, receiver) = raddle::sync::mpsc::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send(1).unwrap_err().0, 1);
    /// ```
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.sender.send(message).map_err(|error| SendError(error.0))
    }
}

impl<T> SyncSender<T> {
    /// Sends a message; waits while there is no place for it.
    ///
    /// # Errors
    ///
    /// The message, if the receiver is gone, also while this waits.
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.sender.send(message).map_err(|error| SendError(error.0))
    }

    /// Sends a message if that takes no waiting.
    ///
    /// # Errors
    ///
    /// The message, if there is no place for it or the receiver is gone.
    ///
    /// ```
    /// use raddle::sync::mpsc::{TrySendError, sync_channel};
    /// let (sender, _receiver) = sync_channel(1);
    /// assert_eq!(sender.try_send(1), Ok(()));
    /// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    /// ```
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.sender.try_send(message).map_err(|error| match error {
            channel::TrySendError::Full(message) => TrySendError::Full(message),
            channel::TrySendError::Disconnected(message) => TrySendError::Disconnected(message),
        })
    }
}

impl<T> Receiver<T> {
    /// Receives a message; waits until there is one.
    ///
    /// # Errors
    ///
    /// If there is none, and all senders are gone.
    ///
    /// ```
    /// use raddle::sync::mpsc::{RecvError, channel};
    /// let (sender, receiver) = channel();
    /// sender.send(1).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.recv(), Ok(1));
    /// assert_eq!(receiver.recv(), Err(RecvError));
    /// ```
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.receiver.recv().map_err(|channel::RecvError| RecvError)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    ///
    /// If there is none, or none ever.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.receiver.try_recv().map_err(|error| match error {
            channel::TryRecvError::Empty => TryRecvError::Empty,
            channel::TryRecvError::Disconnected => TryRecvError::Disconnected,
        })
    }

    /// As [`recv`](Receiver::recv), for `timeout` at most.
    ///
    /// # Errors
    ///
    /// If there was none in time, or all senders are gone.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout).map_err(|error| match error {
            channel::RecvTimeoutError::Timeout => RecvTimeoutError::Timeout,
            channel::RecvTimeoutError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// Messages as they come, until all senders are gone.
    ///
    /// ```
    /// let (sender, receiver) = raddle::sync::mpsc::channel();
    /// raddle::thread::spawn(move || (1..=3).for_each(|n| sender.send(n).unwrap()));
    /// assert_eq!(receiver.iter().sum::<i32>(), 6);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The messages that are there. It ends where it would have to wait.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }
}

/// Messages as they come: see [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The messages that are there: see [`Receiver::try_iter`].
#[derive(Debug)]
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

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender { sender: self.sender.clone() }
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> SyncSender<T> {
        SyncSender { sender: self.sender.clone() }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
