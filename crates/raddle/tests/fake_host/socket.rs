//! One socket: what it is at present, and who waits for it.

use super::datagrams::Datagrams;
use super::options::Options;
use super::stream::Stream;
use raddle::host::{Kind, SocketOption, Way};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Waker;

/// A socket's number: never used again.
pub(super) type Id = u64;

#[derive(Debug)]
pub(super) struct Socket {
    /// Port 0: it is not bound.
    pub(super) local: SocketAddr,
    pub(super) options: Options,
    pub(super) role: Role,
    /// The number of one that no call has told yet.
    error: Option<i32>,
    readers: Vec<Waker>,
    writers: Vec<Waker>,
}

#[derive(Debug)]
pub(super) enum Role {
    /// A stream that is to become something else.
    Fresh,
    Listens {
        backlog: usize,
        queue: VecDeque<Id>,
    },
    /// For the `attempt`th time: from 0 on.
    Connects {
        peer: SocketAddr,
        attempt: u32,
    },
    Stream(Stream),
    Datagrams(Datagrams),
}

pub(super) fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl Socket {
    pub(super) fn new(kind: Kind, local: SocketAddr) -> Socket {
        let role = match kind {
            Kind::Stream => Role::Fresh,
            _ => Role::Datagrams(Datagrams::default()),
        };
        Socket::with(role, local, Options::new(kind))
    }

    pub(super) fn with(role: Role, local: SocketAddr, options: Options) -> Socket {
        let (readers, writers) = (Vec::new(), Vec::new());
        Socket { local, options, role, error: None, readers, writers }
    }

    pub(super) fn is_bound(&self) -> bool {
        self.local.port() != 0
    }

    pub(super) fn listens(&self) -> bool {
        matches!(self.role, Role::Listens { .. })
    }

    pub(super) fn has_datagrams(&self) -> bool {
        matches!(self.role, Role::Datagrams(_))
    }

    /// Whether `self` and `other` can't both have one port, given their addresses.
    pub(super) fn excludes(&self, other: &Socket) -> bool {
        let share = |option| self.options.is_set(option) && other.options.is_set(option);
        let may_reuse = share(SocketOption::ReuseAddress) && !self.listens() && !other.listens();
        !share(SocketOption::ReusePort) && !may_reuse
    }

    pub(super) fn peer(&self) -> io::Result<SocketAddr> {
        let peer = match &self.role {
            Role::Stream(stream) if !stream.is_over() => Some(stream.peer),
            Role::Datagrams(datagrams) => datagrams.peer,
            _ => None,
        };
        peer.ok_or_else(|| errno(libc::ENOTCONN))
    }

    /// Whether a call would not wait.
    pub(super) fn is_ready(&self, way: Way) -> bool {
        if self.error.is_some() {
            return true;
        }
        match (&self.role, way) {
            (Role::Fresh, _) => true,
            (Role::Listens { queue, .. }, Way::In) => !queue.is_empty(),
            (Role::Stream(stream), Way::In) => stream.is_readable(),
            (Role::Stream(stream), Way::Out) => stream.is_writable(),
            (Role::Datagrams(datagrams), Way::In) => datagrams.is_readable(),
            (Role::Datagrams(_), Way::Out) => self.has_room_to_send(),
            (Role::Listens { .. } | Role::Connects { .. }, _) => false,
        }
    }

    /// Of datagrams: whether one more may be under way. One always may.
    pub(super) fn has_room_to_send(&self) -> bool {
        let most = self.options.bytes(SocketOption::SendBuffer);
        match &self.role {
            Role::Datagrams(datagrams) => datagrams.on_their_way < most,
            _ => false,
        }
    }

    pub(super) fn fail(&mut self, number: i32) {
        self.error = Some(number);
    }

    /// Tells the error, if there is one.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take().map(errno)
    }

    pub(super) fn wait(&mut self, way: Way, waker: &Waker) {
        self.waiting(way).push(waker.clone());
    }

    pub(super) fn forget(&mut self, way: Way, waker: &Waker) {
        self.waiting(way).retain(|other| !other.will_wake(waker));
    }

    pub(super) fn wakers(&self) -> usize {
        self.readers.len() + self.writers.len()
    }

    fn waiting(&mut self, way: Way) -> &mut Vec<Waker> {
        match way {
            Way::In => &mut self.readers,
            Way::Out => &mut self.writers,
        }
    }

    /// Those who no longer need to wait.
    pub(super) fn take_woken(&mut self, woken: &mut Vec<Waker>) {
        for way in [Way::In, Way::Out] {
            if self.is_ready(way) {
                woken.append(self.waiting(way));
            }
        }
    }

    /// Takes an address for good.
    pub(super) fn settle_at(&mut self, ip: IpAddr) {
        if self.local.ip().is_unspecified() {
            self.local.set_ip(ip);
        }
    }
}
