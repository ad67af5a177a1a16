//! Address of a client behind trusted proxies.

mod forwarded;
mod protocol;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub use forwarded::{ForwardedHeader, TrustedProxies};
#[cfg(fuzzing)]
pub use protocol::fuzz_header;
pub(crate) use protocol::read_header;

/// A list of networks, such as those of trusted proxies.
///
/// ```
/// use fanfare_engine::proxy::Networks;
///
/// let proxies: Networks = "10.0.0.0/8, 192.0.2.7, 2001:db8::/32".parse()?;
/// assert!(proxies.contains("10.1.2.3".parse().unwrap()));
/// assert!(!proxies.contains("192.0.2.8".parse().unwrap()));
/// # Ok::<(), fanfare_engine::proxy::NetworkError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// Error of a text that is not a list of networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a network: write an address, or an address and a number of bits, as 10.0.0.0/8"
)]
pub struct NetworkError(String);

impl Networks {
    /// Returns an empty list.
    pub const fn none() -> Networks {
        Networks(Vec::new())
    }

    /// Returns loopback, the private networks of IPv4 (RFC 1918) and the unique local ones of IPv6 (RFC 4193).
    pub fn private() -> Networks {
        let v4 = |a, b, bits| Network {
            address: Ipv4Addr::new(a, b, 0, 0).into(),
            bits,
        };
        Networks(vec![
            v4(127, 0, 8),
            v4(10, 0, 8),
            v4(172, 16, 12),
            v4(192, 168, 16),
            Network {
                address: Ipv6Addr::LOCALHOST.into(),
                bits: 128,
            },
            Network {
                address: Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0).into(),
                bits: 7,
            },
        ])
    }

    /// Whether an address is in one of the networks. IPv4-mapped IPv6 addresses count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = u32::from(network) ^ u32::from(address);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = u128::from(network) ^ u128::from(address);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let error = || NetworkError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| error())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return Err(error());
        }
        Ok(Network { address, bits })
    }
}

/// Parses a comma-separated list.
impl FromStr for Networks {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Networks, NetworkError> {
        let networks = text.split(',').map(str::trim).filter(|n| !n.is_empty());
        Ok(Networks(
            networks.map(str::parse).collect::<Result<_, _>>()?,
        ))
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, network) in self.0.iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            write!(f, "{comma}{}/{}", network.address, network.bits)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_should() {
        let networks: Networks = "10.0.0.0/8, 192.0.2.7,2001:db8::/33,".parse().unwrap();
        for (address, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.6", false),
            ("2001:db8:7fff::1", true),
            ("2001:db8:8000::1", false),
            ("::ffff:10.0.0.1", true),
        ] {
            assert_eq!(
                networks.contains(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        assert!(
            "0.0.0.0/0"
                .parse::<Networks>()
                .unwrap()
                .contains("1.2.3.4".parse().unwrap())
        );
        assert!(Networks::private().contains("172.31.0.1".parse().unwrap()));
        assert!(!Networks::private().contains("172.32.0.1".parse().unwrap()));
        assert_eq!(
            networks.to_string(),
            "10.0.0.0/8, 192.0.2.7/32, 2001:db8::/33"
        );
        for bad in [
            "10.0.0.0/33",
            "localhost",
            "::/129",
            "1.2.3.4/x",
            "1.2.3.4/",
        ] {
            assert!(bad.parse::<Networks>().is_err(), "{bad}");
        }
    }
}
