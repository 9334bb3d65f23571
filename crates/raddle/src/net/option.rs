//! Options of sockets, one by one: a name and a number, as in `setsockopt(2)`.

#![allow(unsafe_code, reason = "getsockopt and setsockopt of integers")]

use super::live::Live;
pub(super) use crate::host::SocketOption as Opt;
use libc::{c_int, socklen_t};
use rustix::net::sockopt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// The kernel's names: level and option.
fn names(option: Opt) -> (c_int, c_int) {
    match option {
        Opt::ReuseAddress => (libc::SOL_SOCKET, libc::SO_REUSEADDR),
        Opt::ReusePort => (libc::SOL_SOCKET, libc::SO_REUSEPORT),
        Opt::Broadcast => (libc::SOL_SOCKET, libc::SO_BROADCAST),
        Opt::SendBuffer => (libc::SOL_SOCKET, libc::SO_SNDBUF),
        Opt::ReceiveBuffer => (libc::SOL_SOCKET, libc::SO_RCVBUF),
        Opt::KeepAlive => (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
        Opt::KeepAliveIdle => (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
        Opt::KeepAliveInterval => (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
        Opt::KeepAliveCount => (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
        Opt::Timestamps => (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
        Opt::NoDelay => (libc::IPPROTO_TCP, libc::TCP_NODELAY),
        Opt::Cork => (libc::IPPROTO_TCP, libc::TCP_CORK),
        Opt::QuickAck => (libc::IPPROTO_TCP, libc::TCP_QUICKACK),
        Opt::FastOpen => (libc::IPPROTO_TCP, libc::TCP_FASTOPEN),
        Opt::FastOpenConnect => (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT),
        Opt::Ttl => (libc::IPPROTO_IP, libc::IP_TTL),
        Opt::OnlyV6 => (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
        Opt::MulticastLoopV4 => (libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP),
        Opt::MulticastTtlV4 => (libc::IPPROTO_IP, libc::IP_MULTICAST_TTL),
        Opt::MulticastLoopV6 => (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP),
    }
}

fn set(fd: BorrowedFd<'_>, option: Opt, value: c_int) -> io::Result<()> {
    let (level, name) = names(option);
    let len = size_of::<c_int>() as socklen_t;
    // SAFETY: reads an integer that is there.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn get(fd: BorrowedFd<'_>, option: Opt) -> io::Result<c_int> {
    let (level, name) = names(option);
    let mut value: c_int = 0;
    let mut len = size_of::<c_int>() as socklen_t;
    // SAFETY: writes an integer, or less of it, to where there is room for one.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// As the kernel takes it: what does not fit is as much as does.
pub(super) fn number(value: impl TryInto<c_int>) -> c_int {
    value.try_into().unwrap_or(c_int::MAX)
}

/// Whole seconds, rounded up: 0 would be refused, or mean something else.
pub(super) fn seconds(duration: Duration) -> c_int {
    number(duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)))
}

impl Live {
    pub(super) fn set_option(&self, option: Opt, value: c_int) -> io::Result<()> {
        set(self.fd(), option, value)
    }

    pub(super) fn option(&self, option: Opt) -> io::Result<c_int> {
        get(self.fd(), option)
    }

    pub(super) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        Ok(sockopt::set_socket_linger(self.fd(), linger)?)
    }

    pub(super) fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(sockopt::socket_linger(self.fd())?)
    }

    pub(super) fn join_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        Ok(sockopt::set_ip_add_membership(self.fd(), group, interface)?)
    }

    pub(super) fn leave_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        Ok(sockopt::set_ip_drop_membership(self.fd(), group, interface)?)
    }

    pub(super) fn join_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        Ok(sockopt::set_ipv6_add_membership(self.fd(), group, interface)?)
    }

    pub(super) fn leave_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        Ok(sockopt::set_ipv6_drop_membership(self.fd(), group, interface)?)
    }
}
