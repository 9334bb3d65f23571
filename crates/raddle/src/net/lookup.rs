//! Names of hosts, and functions that take any of several addresses.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// The addresses of `host`: a name, or what std otherwise takes for addresses.
///
/// A name is looked up by libc's `getaddrinfo`, as `hosts(5)`, `resolv.conf(5)` and `nsswitch.conf(5)` say; the core's other threads run
/// meanwhile, whoever calls it. It is not cut short by a time-out or a [token](crate::cancel): it ends by the resolver's own time-outs, some
/// seconds, and the thread hears of the other when it waits next. Numbers are addresses at once. In a simulation names are the
/// [host](crate::host)'s.
///
/// # Errors
///
/// The resolver's, with its words; `InvalidInput` without a port.
///
/// ```
/// use raddle::net::lookup_host;
/// let addresses: Vec<_> = lookup_host(("localhost", 80))?.collect();
/// assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
/// # std::io::Result::Ok(())
/// ```
pub fn lookup_host(host: impl ToSocketAddrs) -> io::Result<impl Iterator<Item = SocketAddr>> {
    host.to_socket_addrs()
}

/// Calls `f` with one address after the other, until it succeeds. The last error, if it never does.
pub(super) fn each_address<T>(
    addresses: impl ToSocketAddrs,
    mut f: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for address in addresses.to_socket_addrs()? {
        match f(address) {
            Ok(value) => return Ok(value),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_addresses))
}

/// What std says where there was no address to try.
pub(super) fn no_addresses() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any addresses")
}
