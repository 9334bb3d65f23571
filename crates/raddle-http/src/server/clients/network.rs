//! Addresses by their first bits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address, or all that begin with the same bits: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
///
/// ```
/// use raddle_http::server::Network;
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse().unwrap()) && !network.contains("11.0.0.1".parse().unwrap()));
/// # Ok::<(), raddle_http::server::InvalidNetwork>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// IPv4 stands behind `::ffff:0:0/96`, as sockets of IPv6 have it.
    bits: u128,
    /// How many of them count.
    len: u32,
}

/// A text that is no [`Network`].
///
/// ```
/// let error = "10.0.0.1/8".parse::<raddle_http::server::Network>().unwrap_err();
/// assert_eq!(error.to_string(), "there are bits behind the first 8; 10.0.0.0/8 is the network that it is in");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork(String);

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidNetwork {}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Network {
    /// Whether an address is in it. An IPv4 address may be one that is mapped into IPv6.
    ///
    /// ```
    /// # use raddle_http::server::Network;
    /// let network: Network = "192.0.2.0/24".parse().unwrap();
    /// assert!(network.contains("::ffff:192.0.2.9".parse().unwrap()));
    /// ```
    pub fn contains(&self, address: IpAddr) -> bool {
        (bits_of(address) ^ self.bits) & self.mask() == 0
    }

    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128 - self.len).unwrap_or(0)
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Network, InvalidNetwork> {
        let neither =
            || InvalidNetwork("neither an address nor a network, as 10.0.0.0/8 is".to_owned());
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| neither())?;
        let (most, unused) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let len = match len {
            None => most,
            Some(len) => len.parse().ok().filter(|len| *len <= most).ok_or_else(neither)?,
        };
        let whole = Network { bits: bits_of(address), len: len + unused };
        let network = Network { bits: whole.bits & whole.mask(), ..whole };
        if network.bits != whole.bits {
            return Err(InvalidNetwork(format!(
                "there are bits behind the first {len}; {network} is the network that it is in"
            )));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from_bits(self.bits);
        match address.to_ipv4_mapped() {
            Some(address) if self.len >= 96 => show(f, Ipv4Addr::into(address), self.len - 96, 32),
            _ => show(f, Ipv6Addr::into(address), self.len, 128),
        }
    }
}

fn show(f: &mut fmt::Formatter<'_>, address: IpAddr, len: u32, most: u32) -> fmt::Result {
    if len == most { write!(f, "{address}") } else { write!(f, "{address}/{len}") }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bits_decide() {
        let has = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        for (network, inside, outside) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.6/31", "::ffff:192.0.2.7", "192.0.2.8"),
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("0.0.0.0/0", "255.0.0.1", "::1"),
            ("::1", "::1", "0.0.0.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
            ("::ffff:192.0.2.0/120", "192.0.2.1", "192.0.3.1"),
        ] {
            assert!(has(network, inside) && !has(network, outside), "{network}");
        }
        assert!(has("::/0", "::1") && has("::/0", "192.0.2.1"));
    }

    #[test]
    fn what_is_none_is_refused_and_the_rest_shown() {
        for text in
            ["", "a", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "/8", "10.0.0.0/8/8"]
        {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert_eq!(error, "neither an address nor a network, as 10.0.0.0/8 is", "{text}");
        }
        for text in ["192.0.2.7", "10.0.0.0/8", "0.0.0.0/0", "::1", "2001:db8::/32", "::/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
