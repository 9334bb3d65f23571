//! Which addresses are one client.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A client: an IPv4 address, or the 64 bits of an IPv6 address that a network is given. The other 64 whoever has the network chooses as he
/// likes, so a limit by them would limit nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    V4(u32),
    V6(u64),
}

impl Key {
    /// Of an address as a socket says it: one that listens on IPv6 gives IPv4 addresses mapped.
    pub(super) fn of(address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(address) => Key::V4(address.to_bits()),
            IpAddr::V6(address) => Key::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Key::V4(bits) => Ipv4Addr::from_bits(bits).fmt(f),
            Key::V6(bits) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(bits) << 64)),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_is_by_network_and_mapped_ipv4_is_ipv4() {
        let key = |text: &str| Key::of(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        // `::1` and `0.0.0.0` have the same bits.
        assert_ne!(key("::1"), key("0.0.0.0"));
        assert_eq!(key("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
        assert_eq!(key("::ffff:192.0.2.1").to_string(), "192.0.2.1");
    }
}
