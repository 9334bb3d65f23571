//! A socket of the fake host, as the runtime sees it.

use super::network::FakeNetwork;
use super::socket::{Id, errno};
use raddle::host::{Endpoint, SocketOption, Way};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// The only handle that the runtime has of a socket: dropped, that is closed.
pub(super) struct FakeEndpoint {
    network: FakeNetwork,
    id: Id,
}

impl FakeEndpoint {
    pub(super) fn open(network: FakeNetwork, id: Id) -> Arc<dyn Endpoint> {
        Arc::new(FakeEndpoint { network, id })
    }
}

impl Drop for FakeEndpoint {
    fn drop(&mut self) {
        self.network.with(|world| world.close(self.id));
    }
}

impl fmt::Debug for FakeEndpoint {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("FakeEndpoint").field(&self.id).finish()
    }
}

impl Endpoint for FakeEndpoint {
    fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.network.with(|world| world.bind(self.id, address))
    }

    fn listen(&self, backlog: u32) -> io::Result<()> {
        self.network.with(|world| world.listen(self.id, backlog))
    }

    fn accept(&self) -> io::Result<(Arc<dyn Endpoint>, SocketAddr)> {
        let (id, peer) = self.network.with(|world| world.accept(self.id))?;
        Ok((FakeEndpoint::open(self.network.clone(), id), peer))
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.network.with(|world| world.begin_to_connect(self.id, peer))?;
        self.network.with(|world| world.is_connected(self.id))
    }

    fn recv(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<(usize, Option<SocketAddr>)> {
        self.network.with(|world| world.recv(self.id, buffers, true))
    }

    fn peek(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<(usize, Option<SocketAddr>)> {
        self.network.with(|world| world.recv(self.id, buffers, false))
    }

    fn send(&self, buffers: &[IoSlice<'_>], to: Option<SocketAddr>) -> io::Result<usize> {
        self.network.with(|world| world.send(self.id, buffers, to))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.network.with(|world| world.shutdown(self.id, how))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.network.with(|world| Ok(world.at(self.id).local))
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.network.with(|world| world.at(self.id).peer())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.network.with(|world| Ok(world.at(self.id).take_error()))
    }

    fn set_option(&self, option: SocketOption, value: i32) -> io::Result<()> {
        self.network.with(|world| world.at(self.id).options.set(option, value))
    }

    fn option(&self, option: SocketOption) -> io::Result<i32> {
        self.network.with(|world| world.at(self.id).options.get(option))
    }

    fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        if linger.is_some_and(|time| time.subsec_nanos() > 0) {
            return Err(errno(libc::EINVAL));
        }
        self.network.with(|world| world.at(self.id).options.linger = linger);
        Ok(())
    }

    fn linger(&self) -> io::Result<Option<Duration>> {
        self.network.with(|world| Ok(world.at(self.id).options.linger))
    }

    fn wake_when(&self, way: Way, waker: &Waker) {
        self.network.with(|world| world.wake_when(self.id, way, waker));
    }

    fn forget(&self, way: Way, waker: &Waker) {
        self.network.with(|world| world.at(self.id).forget(way, waker));
    }
}
