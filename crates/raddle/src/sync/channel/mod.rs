//! Channels from many senders to many receivers, with the API of crossbeam-channel.
//!
//! ```text
//!   sender, receiver      the two ends            select, select_macro    several operations at once
//!   shared                what both point to      claim                   what a select asks of a channel
//!   array, list           buffers    ┐
//!   buffer                           ├ flavours   wait                    those who wait, and how they are woken
//!   zero                             │
//!   clock                            ┘            error
//! ```
//!
//! A message goes from the sender's stack to a waiting receiver's, or through a buffer. Each operation takes one spin lock, once.
//! Who waits leaves its core to others, also in `select!`, and is woken with the message in hand.
//!
//! A thread that was cancelled while it waits here unwinds; the message that it was about to send is dropped with it, none
//! that was sent is lost.

mod array;
mod buffer;
mod claim;
mod clock;
mod error;
mod list;
mod receiver;
mod select;
mod select_macro;
mod sender;
mod shared;
mod wait;
mod zero;

pub use error::{
    RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySelectError, TrySendError,
};
pub use receiver::{IntoIter, Iter, Receiver, TryIter, after, at, never, tick};
#[doc(hidden)]
pub use select::{Arm, Until, run};
pub use select::{Select, SelectedOperation};
pub use sender::Sender;

/// A channel in which `capacity` messages can wait. With none at all, sender and receiver meet.
///
/// The places are allocated now.
///
/// ```
/// use raddle::sync::channel;
/// let (sender, receiver) = channel::bounded(1);
/// sender.send('a').unwrap();
/// assert!(sender.try_send('b').is_err());
/// assert_eq!(receiver.recv(), Ok('a'));
/// ```
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = shared::Shared::new(Some(capacity));
    (Sender::new(shared.clone()), Receiver::new(shared))
}

/// A channel in which any number of messages can wait: sending never does.
///
/// ```
/// let (sender, receiver) = raddle::sync::channel::unbounded();
/// sender.send(1).unwrap();
/// sender.send(2).unwrap();
/// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let shared = shared::Shared::new(None);
    (Sender::new(shared.clone()), Receiver::new(shared))
}
