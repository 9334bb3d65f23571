//! The three backends behind one name. No logic here: each file defines the same methods, and a match picks one.
//!
//! | method | what it does |
//! |---|---|
//! | `open` | tries everything that the backend will need, with a given wake channel; says which step failed |
//! | `register` | a slot's registration begins: its descriptor, interest and mode are in the slot. An error leaves no trace |
//! | `modify` | the registration's interest or mode has changed |
//! | `unregister` | the descriptor's registration is gone |
//! | `start` | an operation begins: it is in the slot, and stands nowhere |
//! | `wait_ready` | an operation that stands nowhere must wait until its descriptor is ready, and then be tried again |
//! | `cancel` | an operation in flight shall end; it is reported later, whatever happens |
//! | `flush` | gives to the kernel what was put aside for it |
//! | `harvest` | takes what can be had without a system call where the backend has such a thing; else asks without waiting |
//! | `enter` | at most one round in the kernel: gives, waits for something or a time-out, takes |
//!
//! `enter` may return early for no reason. Whatever is found goes to the `Core`, as reports.

mod common;
mod epoll;
mod epoll_set;
mod poll;
mod uring;

pub(crate) use common::Failed;

use crate::config::{BackendKind, Config};
use crate::core::Core;
use crate::wake::Wake;
use std::io;
use std::time::Duration;

/// The one that a queue has.
pub(crate) enum Backend {
    Uring(Box<uring::Uring>),
    Epoll(epoll::Epoll),
    Poll(poll::Poll),
}

macro_rules! each {
    ($self:expr, $backend:ident => $call:expr) => {
        match $self {
            Backend::Uring($backend) => $call,
            Backend::Epoll($backend) => $call,
            Backend::Poll($backend) => $call,
        }
    };
}

impl Backend {
    pub(crate) fn open(kind: BackendKind, config: &Config, wake: &Wake) -> Result<Backend, Failed> {
        Ok(match kind {
            BackendKind::IoUring => Backend::Uring(Box::new(uring::Uring::open(config, wake)?)),
            BackendKind::Epoll => Backend::Epoll(epoll::Epoll::open(wake)?),
            BackendKind::Poll => Backend::Poll(poll::Poll::open(wake)?),
        })
    }

    pub(crate) fn register(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        each!(self, backend => backend.register(core, index))
    }

    pub(crate) fn modify(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        each!(self, backend => backend.modify(core, index))
    }

    pub(crate) fn unregister(&mut self, core: &mut Core, fd: i32) {
        each!(self, backend => backend.unregister(core, fd))
    }

    #[inline]
    pub(crate) fn start(&mut self, core: &mut Core, index: u32) {
        each!(self, backend => backend.start(core, index))
    }

    pub(crate) fn wait_ready(&mut self, core: &mut Core, index: u32) {
        each!(self, backend => backend.wait_ready(core, index))
    }

    pub(crate) fn cancel(&mut self, core: &mut Core, index: u32) {
        each!(self, backend => backend.cancel(core, index))
    }

    pub(crate) fn flush(&mut self, core: &mut Core) -> io::Result<()> {
        each!(self, backend => backend.flush(core))
    }

    pub(crate) fn harvest(&mut self, core: &mut Core) -> io::Result<()> {
        each!(self, backend => backend.harvest(core))
    }

    pub(crate) fn enter(&mut self, core: &mut Core, timeout: Option<Duration>) -> io::Result<()> {
        each!(self, backend => backend.enter(core, timeout))
    }
}
