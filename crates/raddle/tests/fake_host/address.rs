//! The addresses of the fake host's network: all that answer are its own.

use raddle::host::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where packets can be sent to, and are lost: an address that is kept for documentation.
pub const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Beside the loopback addresses.
const OWN: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
];

/// What the names lead to.
pub(super) fn of_name(name: &str) -> Option<Vec<IpAddr>> {
    let numbers: &[&str] = match name {
        "localhost" => &["127.0.0.1", "::1"],
        "one.test" => &["10.0.0.1"],
        "two.test" => &["10.0.0.2"],
        "both.test" => &["fd00::1", "10.0.0.1"],
        _ => return None,
    };
    Some(numbers.iter().map(|number| number.parse().unwrap()).collect())
}

/// A name that nobody answers for.
pub(super) const UNANSWERED: &str = "unanswered.test";

pub(super) fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || OWN.contains(&ip)
}

/// Whether packets can be sent there at all.
pub(super) fn is_routed(ip: IpAddr) -> bool {
    is_own(ip) || ip == NOBODY
}

pub(super) fn is_of(ip: IpAddr, family: Family) -> bool {
    ip.is_ipv4() == (family == Family::V4)
}

pub(super) fn unspecified(family: Family) -> SocketAddr {
    match family {
        Family::V4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
        _ => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn loopback_beside(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// Where what is sent to `to` goes: to nowhere in particular means to this host.
pub(super) fn reached(to: SocketAddr) -> SocketAddr {
    if to.ip().is_unspecified() { (loopback_beside(to.ip()), to.port()).into() } else { to }
}

/// Where what is sent to `to` comes from, if its sender does not mind.
pub(super) fn source_for(to: IpAddr) -> IpAddr {
    match to {
        _ if to.is_loopback() => loopback_beside(to),
        _ if is_own(to) => to,
        IpAddr::V4(_) => OWN[0],
        IpAddr::V6(_) => OWN[2],
    }
}

/// Whether what is sent to `to` can come to who is bound to `bound`, but for the port.
pub(super) fn covers(bound: IpAddr, to: IpAddr) -> bool {
    bound == to || (bound.is_unspecified() && bound.is_ipv4() == to.is_ipv4())
}

/// Whether two can't have these at one port.
pub(super) fn overlap(one: IpAddr, other: IpAddr) -> bool {
    covers(one, other) || covers(other, one)
}
