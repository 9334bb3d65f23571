//! What both ends of a channel point to: how many of each there are, and the flavour.

use super::array::{self, Ring};
use super::buffer::{Buffer, Dearth, Refusal};
use super::claim::{Attempt, Enlisting};
use super::list::{self, Chain};
use super::wait::{Node, Patience};
use super::zero::Zero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

enum Flavour<T: Send> {
    Array(Buffer<T, Ring<T>>),
    List(Buffer<T, Chain<T>>),
    Zero(Zero<T>),
}

/// A channel.
pub(super) struct Shared<T: Send> {
    flavour: Flavour<T>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}
