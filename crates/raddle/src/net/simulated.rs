//! Sockets of a simulated host, and how a thread waits for one: it tries, leaves a waker, parks, and tries again.
//!
//! Nobody else runs between the attempt and the waker, and what comes between the waker and the park ends the sleep that has begun.

use super::address::Address;
use super::message::SLICES_MAX;
use super::modes::{Modes, timed_out, timed_out_as_in_std};
use super::option::Opt;
use crate::host::{self, Endpoint, Family, Kind, Network, Way};
use crate::label::Label;
use crate::operation;
use crate::park::{self, Wait};
use crate::sleeper::{Reason, Sleep};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketType};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

/// A handle of a simulated host's socket.
#[derive(Clone, Debug)]
pub(super) struct Simulated(Arc<dyn Endpoint>);

// As a live socket's number: an endpoint keeps its own state, and a call that unwinds while it waits has left that whole.
impl UnwindSafe for Simulated {}
impl RefUnwindSafe for Simulated {}

/// Ends one sleep. Late, it ends nothing.
struct Alarm(Sleep);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        park::unpark(self.0, Reason::READY);
    }
}

/// What waiting calls say of the place where they wait: a simulated socket has no number.
const NOWHERE: usize = 0;

fn would_wait<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

// Waiting.
impl Simulated {
    /// Tries until it need not wait.
    #[track_caller]
    fn insist<T>(
        &self,
        way: Way,
        label: Label,
        deadline_ns: Option<u64>,
        mut attempt: impl FnMut(&dyn Endpoint) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let result = attempt(&*self.0);
            if !would_wait(&result) {
                return result;
            }
            self.wait(way, label, deadline_ns)?;
        }
    }

    /// As [`insist`](Simulated::insist), in the modes that the socket's owner has set.
    #[track_caller]
    fn insist_as_set<T>(
        &self,
        way: Way,
        label: Label,
        modes: &Modes,
        mut attempt: impl FnMut(&dyn Endpoint) -> io::Result<T>,
    ) -> io::Result<T> {
        let result = attempt(&*self.0);
        if !would_wait(&result) {
            return result;
        }
        modes.may_wait()?;
        self.insist(way, label, modes.deadline_ns(way), attempt).map_err(timed_out_as_in_std)
    }

    /// Waits until it is worth trying again.
    #[track_caller]
    fn wait(&self, way: Way, label: Label, deadline_ns: Option<u64>) -> io::Result<()> {
        if !host::is_simulated() {
            return Err(outside());
        }
        let wait = Wait::begin(label.at(NOWHERE));
        let waker = Waker::from(Arc::new(Alarm(wait.sleep())));
        self.0.wake_when(way, &waker);
        let reason = wait.park(deadline_ns);
        if reason == Reason::READY {
            return Ok(());
        }
        self.0.forget(way, &waker);
        operation::go_on_after(reason)
    }
}

/// Of a call that would have to wait on a thread of another world.
#[cold]
fn outside() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, "a simulated socket waits only in its simulation")
}

// What it is made of.
impl Simulated {
    pub(super) fn open(
        network: &dyn Network,
        family: AddressFamily,
        kind: SocketType,
    ) -> io::Result<Simulated> {
        let family = match family {
            AddressFamily::INET => Family::V4,
            AddressFamily::INET6 => Family::V6,
            _ => return Err(host::unsupported()),
        };
        let kind = if kind == SocketType::STREAM { Kind::Stream } else { Kind::Datagram };
        network.socket(family, kind).map(Simulated)
    }
}

fn ip(address: &Address) -> io::Result<SocketAddr> {
    match address {
        Address::Ip(address) => Ok(*address),
        Address::Unix(_) => Err(Errno::AFNOSUPPORT.into()),
    }
}

// Connections.
impl Simulated {
    pub(super) fn bind(&self, address: &Address) -> io::Result<()> {
        self.0.bind(ip(address)?)
    }

    pub(super) fn listen(&self, backlog: i32) -> io::Result<()> {
        // As the kernel reads it.
        self.0.listen(backlog as u32)
    }

    #[cold]
    #[track_caller]
    pub(super) fn accept(&self, modes: &Modes) -> io::Result<(Simulated, Address)> {
        loop {
            let accept = |endpoint: &dyn Endpoint| endpoint.accept();
            match self.insist_as_set(Way::In, Label::ACCEPT, modes, accept) {
                Ok((endpoint, peer)) => return Ok((Simulated(endpoint), Address::Ip(peer))),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    #[track_caller]
    pub(super) fn connect(&self, address: &Address, patience_ns: Option<u64>) -> io::Result<()> {
        let peer = ip(address)?;
        let deadline_ns = patience_ns.map(|ns| host::now_ns().saturating_add(ns));
        self.insist(Way::Out, Label::CONNECT, deadline_ns, |endpoint| endpoint.connect(peer))
            .map_err(timed_out)
    }

    pub(super) fn connect_datagram(&self, address: &Address) -> io::Result<()> {
        self.0.connect(ip(address)?)
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    pub(super) fn local_address(&self) -> io::Result<Address> {
        self.0.local_addr().map(Address::Ip)
    }

    pub(super) fn peer_address(&self) -> io::Result<Address> {
        self.0.peer_addr().map(Address::Ip)
    }

    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }
}

// What goes through.
impl Simulated {
    #[cold]
    #[track_caller]
    pub(super) fn read(&self, buffer: &mut [u8], modes: &Modes) -> io::Result<usize> {
        self.recv(buffer, RecvFlags::empty(), modes)
    }

    #[cold]
    #[track_caller]
    pub(super) fn read_vectored(
        &self,
        slices: &mut [IoSliceMut<'_>],
        modes: &Modes,
    ) -> io::Result<usize> {
        let count = slices.len().min(SLICES_MAX);
        self.take(&mut slices[..count], RecvFlags::empty(), modes).map(|(count, _)| count)
    }

    #[cold]
    #[track_caller]
    pub(super) fn recv(
        &self,
        buffer: &mut [u8],
        flags: RecvFlags,
        modes: &Modes,
    ) -> io::Result<usize> {
        self.take(&mut [IoSliceMut::new(buffer)], flags, modes).map(|(count, _)| count)
    }

    #[cold]
    #[track_caller]
    pub(super) fn recv_from(
        &self,
        buffer: &mut [u8],
        flags: RecvFlags,
        modes: &Modes,
    ) -> io::Result<(usize, Option<Address>)> {
        let (count, sender) = self.take(&mut [IoSliceMut::new(buffer)], flags, modes)?;
        Ok((count, sender.map(Address::Ip)))
    }

    #[track_caller]
    fn take(
        &self,
        slices: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
        modes: &Modes,
    ) -> io::Result<(usize, Option<SocketAddr>)> {
        let peeks = flags.contains(RecvFlags::PEEK);
        self.insist_as_set(Way::In, Label::INPUT, modes, |endpoint| {
            if peeks { endpoint.peek(slices) } else { endpoint.recv(slices) }
        })
    }

    #[cold]
    #[track_caller]
    pub(super) fn write(&self, bytes: &[u8], modes: &Modes) -> io::Result<usize> {
        self.give(&[IoSlice::new(bytes)], None, modes)
    }

    #[cold]
    #[track_caller]
    pub(super) fn write_vectored(
        &self,
        slices: &[IoSlice<'_>],
        modes: &Modes,
    ) -> io::Result<usize> {
        self.give(&slices[..slices.len().min(SLICES_MAX)], None, modes)
    }

    #[cold]
    #[track_caller]
    pub(super) fn send(&self, bytes: &[u8], modes: &Modes) -> io::Result<usize> {
        self.give(&[IoSlice::new(bytes)], None, modes)
    }

    #[cold]
    #[track_caller]
    pub(super) fn send_to(
        &self,
        bytes: &[u8],
        address: &Address,
        modes: &Modes,
    ) -> io::Result<usize> {
        self.give(&[IoSlice::new(bytes)], Some(ip(address)?), modes)
    }

    #[track_caller]
    fn give(
        &self,
        slices: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        modes: &Modes,
    ) -> io::Result<usize> {
        self.insist_as_set(Way::Out, Label::OUTPUT, modes, |endpoint| endpoint.send(slices, to))
    }
}

// Options.
impl Simulated {
    pub(super) fn set_option(&self, option: Opt, value: i32) -> io::Result<()> {
        self.0.set_option(option, value)
    }

    pub(super) fn option(&self, option: Opt) -> io::Result<i32> {
        self.0.option(option)
    }

    pub(super) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.0.set_linger(linger)
    }

    pub(super) fn linger(&self) -> io::Result<Option<Duration>> {
        self.0.linger()
    }
}
