//! How connections begin and end, and what is known of their ends.

use super::Live;
use crate::host;
use crate::label::Label;
use crate::net::address::{Address, unnamed};
use crate::net::modes::{Modes, timed_out};
use crate::operation;
use crate::pauses::Pauses;
use raddle_event::Interest;
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, sockopt};
use std::io;
use std::net::Shutdown;
use std::sync::atomic::Ordering;

impl Live {
    pub(in crate::net) fn bind(&self, address: &Address) -> io::Result<()> {
        Ok(rustix::net::bind(&self.fd, &address.encode()?)?)
    }

    pub(in crate::net) fn listen(&self, backlog: i32) -> io::Result<()> {
        Ok(rustix::net::listen(&self.fd, backlog)?)
    }

    /// Takes the first connection that comes. One whose peer has gone meanwhile is passed over.
    #[track_caller]
    pub(in crate::net) fn accept(&self, modes: &Modes) -> io::Result<(Live, Address)> {
        operation::prepare();
        loop {
            match rustix::net::acceptfrom_with(&self.fd, SocketFlags::CLOEXEC) {
                Ok((fd, peer)) => {
                    let peer = peer.as_ref().and_then(Address::decode);
                    let peer = peer.unwrap_or_else(|| Address::Unix(unnamed()));
                    return Ok((Live::new(fd), peer));
                }
                Err(Errno::AGAIN) => {
                    modes.may_wait()?;
                    self.wait_for(Interest::READ, Label::ACCEPT, None)?;
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Connects a stream that was opened for this. `patience_ns` counts from where it waits: most connect without, and look at no clock.
    #[track_caller]
    pub(in crate::net) fn connect(
        &self,
        address: &Address,
        patience_ns: Option<u64>,
    ) -> io::Result<()> {
        let address = address.encode()?;
        let mut attempt = rustix::net::connect(&self.fd, &address);
        if attempt == Err(Errno::INPROGRESS) {
            // Within a machine the handshake ends in the first call, and the second one says so: that is less than a wait.
            attempt = rustix::net::connect(&self.fd, &address);
        }
        if attempt.is_err() {
            self.finish_attempt(attempt, &address, patience_ns)?;
        }
        // Who is called speaks second, most often.
        self.at_hand.mark.store(true, Ordering::Relaxed);
        Ok(rustix::io::ioctl_fionbio(&self.fd, false)?)
    }

    /// Waits until the connection stands, of which the first call has said that it does not, or what is wrong.
    #[cold]
    #[track_caller]
    fn finish_attempt(
        &self,
        mut attempt: rustix::io::Result<()>,
        address: &SocketAddrAny,
        patience_ns: Option<u64>,
    ) -> io::Result<()> {
        let deadline_ns = patience_ns.map(|ns| host::now_ns().saturating_add(ns));
        let mut pauses = Pauses::short(deadline_ns);
        loop {
            match attempt {
                Ok(()) => return Ok(()),
                Err(Errno::INPROGRESS | Errno::ALREADY | Errno::INTR) => {
                    let ready = self
                        .wait_for(Interest::WRITE, Label::CONNECT, deadline_ns)
                        .map_err(timed_out)?;
                    if ready & (libc::POLLERR | libc::POLLHUP) as usize != 0 {
                        sockopt::socket_error(&self.fd)??;
                    }
                    return Ok(());
                }
                // A Unix listener's backlog is full: the kernel does not tell when there is room.
                Err(Errno::AGAIN) => pauses.pause(self.on(Label::CONNECT)).map_err(timed_out)?,
                Err(error) => return Err(error.into()),
            }
            attempt = rustix::net::connect(&self.fd, address);
        }
    }

    /// Sets the peer of a socket for datagrams: that does not wait.
    pub(in crate::net) fn connect_datagram(&self, address: &Address) -> io::Result<()> {
        Ok(rustix::net::connect(&self.fd, &address.encode()?)?)
    }

    pub(in crate::net) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(&self.fd, how)?)
    }

    pub(in crate::net) fn local_address(&self) -> io::Result<Address> {
        known(Some(rustix::net::getsockname(&self.fd)?))
    }

    pub(in crate::net) fn peer_address(&self) -> io::Result<Address> {
        known(rustix::net::getpeername(&self.fd)?)
    }

    pub(in crate::net) fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(sockopt::socket_error(&self.fd)?.err().map(io::Error::from))
    }
}

/// An address that the kernel has told.
fn known(any: Option<SocketAddrAny>) -> io::Result<Address> {
    let address = any.as_ref().and_then(Address::decode);
    address.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "invalid argument"))
}
