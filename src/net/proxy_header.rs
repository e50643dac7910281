//! Headers of the PROXY protocol as they are sent: whose connection this is, told before anything else.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use serde::Deserialize;
use serde::Serialize;

/// How a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// A line of text.
    One,
    /// Bytes.
    Two,
}

/// A client, and the address it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub from: SocketAddr,
    /// Which of our addresses it called; one of the other family is told as no address.
    pub to: SocketAddr,
}

impl Version {
    /// The header for a connection on behalf of `ends`; `None`: of nobody but ourselves, or somebody without an address.
    pub fn header(self, ends: Option<&Ends>) -> Vec<u8> {
        match (self, ends.map(Ends::plain)) {
            (Self::One, None) => b"PROXY UNKNOWN\r\n".to_vec(),
            (Self::One, Some(Ends { from, to })) => {
                let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
                let line = format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
                line.into_bytes()
            }
            (Self::Two, None) => binary(LOCAL, UNSPECIFIED, &[]),
            (Self::Two, Some(Ends { from, to })) => {
                let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
                match (from.ip(), to.ip()) {
                    (IpAddr::V4(from), IpAddr::V4(to)) => {
                        binary(PROXY, TCP_OVER_IPV4, &[&from.octets()[..], &to.octets(), &ports].concat())
                    }
                    (from, to) => binary(PROXY, TCP_OVER_IPV6, &[&six(from)[..], &six(to), &ports].concat()),
                }
            }
        }
    }
}

impl Ends {
    /// Both of one family, that of the client; IPv4 within IPv6 is IPv4.
    fn plain(&self) -> Self {
        let from = SocketAddr::new(self.from.ip().to_canonical(), self.from.port());
        let to = match (from.is_ipv4(), self.to.ip().to_canonical()) {
            (true, IpAddr::V6(_)) => Ipv4Addr::UNSPECIFIED.into(),
            (false, IpAddr::V4(_)) => Ipv6Addr::UNSPECIFIED.into(),
            (_, same) => same,
        };
        Self { from, to: SocketAddr::new(to, self.to.port()) }
    }
}

fn six(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
    }
}

fn binary(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap_or_default();
    [SIGNATURE, &[command, family], &length.to_be_bytes(), addresses].concat()
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(from: &str, to: &str) -> Ends {
        Ends { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    fn line(from: &str, to: &str) -> String {
        String::from_utf8(Version::One.header(Some(&ends(from, to)))).unwrap()
    }

    #[test]
    fn version_1_is_a_line() {
        let four = line("192.0.2.1:56324", "203.0.113.9:443");
        assert_eq!(four, "PROXY TCP4 192.0.2.1 203.0.113.9 56324 443\r\n");
        let six = line("[2001:db8::7]:0", "[::1]:8080");
        assert_eq!(six, "PROXY TCP6 2001:db8::7 ::1 0 8080\r\n");
        assert_eq!(Version::One.header(None), b"PROXY UNKNOWN\r\n");
        let longest =
            line(&format!("[{}]:65535", [0xffff; 8].map(|part| format!("{part:x}")).join(":")), "[::1]:65535");
        assert!(longest.len() <= 107, "{longest}");
    }

    #[test]
    fn version_2_is_bytes() {
        let four = Version::Two.header(Some(&ends("192.0.2.1:51968", "113.9.220.4:443")));
        let addresses = b"\x21\x11\x00\x0c\xc0\x00\x02\x01\x71\x09\xdc\x04\xcb\x00\x01\xbb";
        assert_eq!(four, [SIGNATURE, addresses].concat());
        let six = Version::Two.header(Some(&ends("[2001:db8::7]:1", "[::1]:2")));
        assert_eq!((six.len(), &six[12..16]), (52, &b"\x21\x21\x00\x24"[..]));
        assert_eq!((six[16], six[31], six[47], &six[48..]), (0x20, 7, 1, &b"\0\x01\0\x02"[..]));
        assert_eq!(Version::Two.header(None), [SIGNATURE, b"\x20\x00\x00\x00"].concat());
    }

    #[test]
    fn both_addresses_are_of_the_clients_family() {
        assert_eq!(line("192.0.2.1:1", "[::]:2"), "PROXY TCP4 192.0.2.1 0.0.0.0 1 2\r\n");
        assert_eq!(line("[2001:db8::7]:1", "10.0.0.1:2"), "PROXY TCP6 2001:db8::7 :: 1 2\r\n");
        assert_eq!(line("[::ffff:192.0.2.1]:1", "[::ffff:10.0.0.1]:2"), "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n");
    }
}
