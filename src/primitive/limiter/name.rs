//! Whom a counter is for, as bytes that mean the same in every gateway: a value never meets an address.

use std::net::IpAddr;

use crate::primitive::codec;
use crate::primitive::digest::Hash;

/// A client: its address, of IPv6 the first 64 bits; `None`: clients without an address, those of a Unix socket.
pub fn client(address: Option<IpAddr>) -> Vec<u8> {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string().into_bytes(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64").into_bytes()
        }
        None => b"unix".to_vec(),
    }
}

/// Some value of a request, which a client may have chosen. A long one stands as its hash.
pub fn value(value: &[u8]) -> Vec<u8> {
    if value.len() > LONGEST {
        return format!("#{}", codec::hex_encode(Hash::Sha256.digest(value))).into_bytes();
    }
    [b"=".as_slice(), value].concat()
}

/// A text of a script: one that is an address stands for the client there.
pub fn text(text: &[u8]) -> Vec<u8> {
    match super::address(text) {
        Some(address) => client(Some(address)),
        None => value(text),
    }
}

const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_addresses_and_values_never_meet() {
        let shown = |name: Vec<u8>| String::from_utf8(name).unwrap();
        assert_eq!(shown(text(b"10.0.0.1")), "10.0.0.1");
        assert_eq!(shown(text(b"::ffff:10.0.0.1")), "10.0.0.1");
        assert_eq!(shown(text(b"2001:db8:0:1::7")), "2001:db8:0:1::/64");
        assert_eq!(shown(value(b"10.0.0.1")), "=10.0.0.1");
        assert_eq!(shown(text(b"ann")), "=ann");
        assert_eq!(shown(client(None)), "unix");
        assert_eq!(value(&[b'x'; 65]).len(), 65);
        assert_ne!(value(&[b'x'; 65]), value(&[b'x'; 66]));
    }
}
