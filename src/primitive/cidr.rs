//! Networks of addresses: `10.0.0.0/8`, `2001:db8::/32`, one address.

use std::net::IpAddr;

use ipnet::IpNet;

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr(IpNet);

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address or network; write \"10.0.0.0/8\" or \"2001:db8::1\"")]
pub struct CidrError(String);

impl Cidr {
    /// Reads a network, or one address. Bits beyond the prefix are ignored.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let net = match text.trim().parse::<IpNet>() {
            Ok(net) => net,
            Err(_) => IpNet::from(text.trim().parse::<IpAddr>().map_err(|_| CidrError(text.to_owned()))?),
        };
        Ok(Self(plain_net(net).trunc()))
    }

    /// Whether the address lies in it. An IPv4 address in IPv6 form (`::ffff:10.0.0.1`) is the IPv4 address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether the text is an address that lies in it; `None` when it is no address.
    pub fn has_text(&self, address: &str) -> Option<bool> {
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        bare.parse().ok().map(|address| self.has(address))
    }

    /// The network.
    pub fn net(&self) -> IpNet {
        self.0
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn plain_net(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net) {
        (address @ IpAddr::V4(_), IpNet::V6(_)) if net.prefix_len() >= 96 => {
            IpNet::new(address, net.prefix_len() - 96).unwrap_or(net)
        }
        _ => net,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_and_out() {
        for (net, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.9.9.9", "9.255.255.255"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.1", "11.0.0.1"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
            ("2001:db8::/32", "[2001:db8::1]", "10.0.0.1"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            let cidr = Cidr::parse(net).expect(net);
            assert_eq!((cidr.has_text(inside), cidr.has_text(outside)), (Some(true), Some(false)), "{net}");
        }
        assert_eq!(Cidr::parse("10.1.2.3/8").expect("a network").to_string(), "10.0.0.0/8");
        assert_eq!(Cidr::parse("10.0.0.0/8").expect("a network").has_text("nobody"), None);
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in ["", "10.0.0.0/33", "10.0.0", "::1/129", "host", "10.0.0.1-10.0.0.9"] {
            assert!(Cidr::parse(text).is_err_and(|error| error.to_string().contains(&format!("`{text}`"))), "{text}");
        }
    }
}
