//! Addresses of sockets of all families, and how the kernel writes them.

#![allow(unsafe_code, reason = "reads addresses that the kernel has written")]

use rustix::net::SocketAddrAny;
use rustix::net::addr::SocketAddrArg;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::Path;
use std::slice;

/// Where a socket is.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Ip(SocketAddr),
    Unix(net::SocketAddr),
}

/// What the kernel says of a socket that is nowhere.
pub(super) fn unnamed() -> net::SocketAddr {
    net::SocketAddr::from_pathname("").expect("no path is too long for a socket")
}

impl Address {
    /// As the kernel takes it.
    ///
    /// # Errors
    ///
    /// None that occur: what std has taken the kernel takes.
    pub(super) fn encode(&self) -> io::Result<SocketAddrAny> {
        use rustix::net::SocketAddrUnix;
        Ok(match self {
            Address::Ip(address) => address.as_any(),
            Address::Unix(address) => {
                let unix = if let Some(path) = address.as_pathname() {
                    SocketAddrUnix::new(path)?
                } else if let Some(name) = address.as_abstract_name() {
                    SocketAddrUnix::new_abstract_name(name)?
                } else {
                    SocketAddrUnix::new_unnamed()
                };
                unix.as_any()
            }
        })
    }

    /// What the kernel has written.
    pub(super) fn decode(any: &SocketAddrAny) -> Option<Address> {
        let len = any.addr_len() as usize;
        // SAFETY: rustix keeps so many bytes initialized.
        Address::of_bytes(unsafe { slice::from_raw_parts(any.as_ptr().cast::<u8>(), len) })
    }

    /// The same, from a `sockaddr`'s bytes. `None` for families that are not std's, and for nothing.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Address> {
        let (family, bytes) = bytes.split_first_chunk::<2>()?;
        match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_INET => {
                let (port, bytes) = bytes.split_first_chunk()?;
                let (octets, _) = bytes.split_first_chunk::<4>()?;
                let port = u16::from_be_bytes(*port);
                Some(Address::Ip(SocketAddrV4::new(Ipv4Addr::from(*octets), port).into()))
            }
            libc::AF_INET6 => {
                let (port, bytes) = bytes.split_first_chunk()?;
                let (flow, bytes) = bytes.split_first_chunk()?;
                let (octets, bytes) = bytes.split_first_chunk::<16>()?;
                let (scope, _) = bytes.split_first_chunk()?;
                let (port, flow) = (u16::from_be_bytes(*port), u32::from_be_bytes(*flow));
                let scope = u32::from_ne_bytes(*scope);
                let address = SocketAddrV6::new(Ipv6Addr::from(*octets), port, flow, scope);
                Some(Address::Ip(address.into()))
            }
            libc::AF_UNIX => Some(Address::Unix(unix(bytes))),
            _ => None,
        }
    }

    /// # Errors
    ///
    /// `InvalidInput`, as in std, for what is not an IP address.
    pub(super) fn ip(self) -> io::Result<SocketAddr> {
        match self {
            Address::Ip(address) => Ok(address),
            Address::Unix(_) => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "invalid argument"))
            }
        }
    }

    /// # Errors
    ///
    /// `InvalidInput`, as in std, for what is not a Unix address.
    pub(super) fn unix(self) -> io::Result<net::SocketAddr> {
        match self {
            Address::Unix(address) => Ok(address),
            Address::Ip(_) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "file descriptor did not correspond to a Unix socket",
            )),
        }
    }
}

/// What stands in `sun_path`. A path that fills all of it, which std can't name, is taken for none.
fn unix(name: &[u8]) -> net::SocketAddr {
    let address = match name.split_first() {
        None => return unnamed(),
        Some((0, name)) => net::SocketAddr::from_abstract_name(name),
        Some(_) => {
            let path = name.split(|byte| *byte == 0).next().unwrap_or(name);
            net::SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(path)))
        }
    };
    address.unwrap_or_else(|_| unnamed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernels_form() {
        let ips = ["127.0.0.1:80", "[2001:db8::7]:65535", "[fe80::1%3]:1"];
        for ip in ips.map(|ip| ip.parse::<SocketAddr>().unwrap()) {
            let found = Address::decode(&Address::Ip(ip).encode().unwrap()).unwrap();
            assert_eq!(found.clone().ip().unwrap(), ip);
            assert_eq!(found.unix().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        let v6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 5, 0x0102_0304, 9);
        let found = Address::decode(&Address::Ip(v6.into()).encode().unwrap()).unwrap();
        assert_eq!(found.ip().unwrap(), v6.into());
        let long = "x".repeat(107);
        for path in ["/tmp/socket", "relative", &long] {
            let address = net::SocketAddr::from_pathname(path).unwrap();
            let found = Address::decode(&Address::Unix(address).encode().unwrap()).unwrap();
            assert_eq!(found.unix().unwrap().as_pathname(), Some(Path::new(path)));
        }
        for name in [&b"abstract\0name"[..], b""] {
            let address = net::SocketAddr::from_abstract_name(name).unwrap();
            let found = Address::decode(&Address::Unix(address).encode().unwrap()).unwrap();
            assert_eq!(found.unix().unwrap().as_abstract_name(), Some(name));
        }
        let found = Address::decode(&Address::Unix(unnamed()).encode().unwrap()).unwrap();
        assert!(found.unix().unwrap().is_unnamed());
    }

    #[test]
    fn what_is_cut_short_or_foreign_is_no_address() {
        let whole = [&(libc::AF_INET as u16).to_ne_bytes()[..], &[0, 80, 127, 0, 0, 1]].concat();
        assert!(Address::of_bytes(&whole).is_some());
        for len in 0..whole.len() {
            assert!(Address::of_bytes(&whole[..len]).is_none());
        }
        let netlink = (libc::AF_NETLINK as u16).to_ne_bytes();
        assert!(Address::of_bytes(&netlink).is_none());
        let unix = [&(libc::AF_UNIX as u16).to_ne_bytes()[..], &[b'x'; 108]].concat();
        assert!(Address::of_bytes(&unix).unwrap().unix().unwrap().is_unnamed());
    }
}
