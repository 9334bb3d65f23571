//! What both ends of a channel point to: how many of each there are, and the flavour.

use super::array::{self, Ring};
use super::buffer::{Buffer, Dearth, Refusal};
use super::claim::{Attempt, Enlisting};
use super::list::{self, Chain};
use super::wait::{Node, Patience};
use super::zero::Zero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

enum Flavour<T> {
    Array(Buffer<T, Ring<T>>),
    List(Buffer<T, Chain<T>>),
    Zero(Zero<T>),
}

/// A channel.
pub(super) struct Shared<T> {
    flavour: Flavour<T>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

/// The same call, whatever the flavour.
macro_rules! each {
    ($self:ident, $channel:ident => $call:expr) => {
        match &$self.flavour {
            Flavour::Array($channel) => $call,
            Flavour::List($channel) => $call,
            Flavour::Zero($channel) => $call,
        }
    };
}

impl<T> Shared<T> {
    /// A channel with one sender and one receiver.
    pub(super) fn new(capacity: Option<usize>) -> Arc<Shared<T>> {
        let flavour = match capacity {
            None => Flavour::List(list::channel()),
            Some(0) => Flavour::Zero(Zero::new()),
            Some(capacity) => Flavour::Array(array::channel(capacity)),
        };
        Arc::new(Shared { flavour, senders: AtomicUsize::new(1), receivers: AtomicUsize::new(1) })
    }

    pub(super) fn add_sender(&self) {
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_receiver(&self) {
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn drop_sender(&self) {
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            each!(self, channel => channel.senders_left());
        }
    }

    pub(super) fn drop_receiver(&self) {
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            each!(self, channel => channel.receivers_left());
        }
    }

    #[inline]
    pub(super) fn send(&self, message: T, patience: Patience) -> Result<(), (Refusal, T)> {
        each!(self, channel => channel.send(message, patience))
    }

    #[inline]
    pub(super) fn receive(&self, patience: Patience) -> Result<T, Dearth> {
        each!(self, channel => channel.receive(patience))
    }

    pub(super) fn len(&self) -> usize {
        match &self.flavour {
            Flavour::Array(buffer) => buffer.len(),
            Flavour::List(buffer) => buffer.len(),
            Flavour::Zero(_) => 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        match &self.flavour {
            Flavour::Array(buffer) => buffer.is_full(),
            Flavour::List(_) => false,
            Flavour::Zero(_) => true,
        }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        match &self.flavour {
            Flavour::Array(buffer) => buffer.capacity(),
            Flavour::List(_) => None,
            Flavour::Zero(_) => Some(0),
        }
    }

    pub(super) fn claim_send(&self, select: Option<Enlisting<'_>>) -> Attempt {
        each!(self, channel => channel.claim_send(select))
    }

    pub(super) fn claim_receive(&self, select: Option<Enlisting<'_>>) -> Attempt {
        each!(self, channel => channel.claim_receive(select))
    }

    pub(super) fn withdraw_sender(&self, node: &Node) {
        each!(self, channel => channel.withdraw_sender(node));
    }

    pub(super) fn withdraw_receiver(&self, node: &Node) {
        match &self.flavour {
            Flavour::Array(buffer) => buffer.withdraw_receiver(node),
            Flavour::List(buffer) => buffer.withdraw_receiver(node),
            Flavour::Zero(zero) => {
                zero.withdraw_receiver(node);
            }
        }
    }

    pub(super) fn abandon_send(&self, promise: u64) {
        match &self.flavour {
            Flavour::Array(buffer) => buffer.abandon_send(),
            Flavour::List(buffer) => buffer.abandon_send(),
            Flavour::Zero(zero) => zero.abandon_send(promise),
        }
    }

    pub(super) fn abandon_receive(&self, promise: u64) {
        match &self.flavour {
            Flavour::Array(buffer) => buffer.abandon_receive(),
            Flavour::List(buffer) => buffer.abandon_receive(),
            Flavour::Zero(zero) => zero.abandon_receive(promise),
        }
    }

    pub(super) fn complete_send(&self, promise: u64, message: T) -> Result<(), T> {
        match &self.flavour {
            Flavour::Array(buffer) => buffer.complete_send(message),
            Flavour::List(buffer) => buffer.complete_send(message),
            Flavour::Zero(zero) => zero.complete_send(promise, message),
        }
    }

    pub(super) fn complete_receive(&self, promise: u64) -> Option<T> {
        match &self.flavour {
            Flavour::Array(buffer) => Some(buffer.complete_receive()),
            Flavour::List(buffer) => Some(buffer.complete_receive()),
            Flavour::Zero(zero) => zero.complete_receive(promise),
        }
    }
}
