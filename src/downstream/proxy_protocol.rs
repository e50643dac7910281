//! The PROXY protocol, versions 1 and 2: a proxy in front says whose connection this is, before anything else is sent.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The client, and the address it called.
    Client(SocketAddr, SocketAddr),
    /// Nothing: the proxy speaks for itself (a health check), or does not know.
    Nobody,
}

/// Why a connection has no usable header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// It begins with something else.
    #[error("there is no PROXY header")]
    Missing,
    /// It breaks the protocol.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(&'static str),
    /// The connection ended first.
    #[error("the connection ended within its PROXY header")]
    Cut(#[from] io::Error),
}

/// Reads the header and nothing behind it: what follows may be TLS.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Announced, HeaderError> {
    let mut head = [0; SHORTEST];
    stream.read_exact(&mut head).await?;
    if head.starts_with(SIGNATURE) {
        return binary(stream, &head).await;
    }
    if !head.starts_with(b"PROXY ") {
        return Err(HeaderError::Missing);
    }
    let mut line = head.to_vec();
    // Byte by byte: there is no telling where the line ends before it does.
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(HeaderError::Malformed("the line is longer than 107 bytes"));
        }
        line.push(stream.read_u8().await?);
    }
    text(&line[..line.len() - 2])
}

/// Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`.
pub fn text(line: &[u8]) -> Result<Announced, HeaderError> {
    const WRONG: HeaderError = HeaderError::Malformed("the line is not as version 1 wants it");
    let line = std::str::from_utf8(line).map_err(|_| WRONG)?;
    let rest = line.strip_prefix("PROXY ").ok_or(HeaderError::Missing)?;
    if rest.contains(['\r', '\n', '\0']) {
        return Err(WRONG);
    }
    let parts: Vec<&str> = rest.split(' ').collect();
    let (family, from, to, from_port, to_port) = match parts.as_slice() {
        ["UNKNOWN", ..] => return Ok(Announced::Nobody),
        [family, from, to, from_port, to_port] => (*family, *from, *to, *from_port, *to_port),
        _ => return Err(WRONG),
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |text: &str| -> Option<u16> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        plain.then(|| text.parse().ok()).flatten()
    };
    let at = |ip, number| Some(SocketAddr::new(address(ip)?, port(number)?));
    let client = at(from, from_port).zip(at(to, to_port));
    client.map(|(from, to)| Announced::Client(from, to)).ok_or(WRONG)
}

/// Version 2, of which `head` is the beginning.
async fn binary(stream: &mut (impl AsyncRead + Unpin), head: &[u8; SHORTEST]) -> Result<Announced, HeaderError> {
    let last = stream.read_u8().await?;
    let length = usize::from(u16::from_be_bytes([head[14], last]));
    if length > LONGEST_REST {
        return Err(HeaderError::Malformed("it is longer than 2 KB"));
    }
    let mut whole = Vec::with_capacity(SHORTEST + 1 + length);
    whole.extend_from_slice(head);
    whole.push(last);
    whole.resize(SHORTEST + 1 + length, 0);
    stream.read_exact(&mut whole[SHORTEST + 1..]).await?;
    bytes(&whole)
}

/// A whole header of version 2.
pub fn bytes(whole: &[u8]) -> Result<Announced, HeaderError> {
    use HeaderError::Malformed;
    if whole.len() < 16 || !whole.starts_with(SIGNATURE) {
        return Err(HeaderError::Missing);
    }
    let (kind, family, rest) = (whole[12], whole[13], &whole[16..]);
    if usize::from(u16::from_be_bytes([whole[14], whole[15]])) != rest.len() {
        return Err(Malformed("its length is wrong"));
    }
    let size = match family {
        0x11 => 12,
        0x21 => 36,
        0x00 => 0,
        0x31 | 0x32 => 216,
        _ => return Err(Malformed("a family that no connection has")),
    };
    match kind {
        // The addresses of a proxy that speaks for itself mean nothing, and may be absent.
        0x20 => return Ok(Announced::Nobody),
        0x21 if rest.len() >= size => {}
        0x21 => return Err(Malformed("its addresses are cut")),
        _ => return Err(Malformed("a version or command that is not known")),
    }
    extras(whole, 16 + size)?;
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    let four = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&rest[at..at + 4]).unwrap_or_default());
    let six = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&rest[at..at + 16]).unwrap_or_default());
    Ok(match family {
        0x11 => Announced::Client(SocketAddr::new(four(0), port(8)), SocketAddr::new(four(4), port(10))),
        0x21 => Announced::Client(SocketAddr::new(six(0), port(32)), SocketAddr::new(six(16), port(34))),
        _ => Announced::Nobody,
    })
}

/// Walks the extensions behind the addresses; a checksum among them must be right.
fn extras(whole: &[u8], mut at: usize) -> Result<(), HeaderError> {
    while at < whole.len() {
        let head = whole.get(at..at + 3).ok_or(HeaderError::Malformed("an extension is cut"))?;
        let end = at + 3 + usize::from(u16::from_be_bytes([head[1], head[2]]));
        let value = whole.get(at + 3..end).ok_or(HeaderError::Malformed("an extension is cut"))?;
        if head[0] == CHECKSUM {
            let said = <[u8; 4]>::try_from(value).map_err(|_| HeaderError::Malformed("a checksum has four bytes"))?;
            let before = whole[..at + 3].iter().copied();
            let sum = crc32c(before.chain([0; 4]).chain(whole[end..].iter().copied()));
            if sum != u32::from_be_bytes(said) {
                return Err(HeaderError::Malformed("the checksum is wrong"));
            }
        }
        at = end;
    }
    Ok(())
}

/// CRC-32C, bit by bit: once a connection, over few bytes.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    let step = |sum: u32, byte: u8| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 })
    };
    !bytes.fold(!0, step)
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// `PROXY UNKNOWN` and CRLF; a binary header is longer.
const SHORTEST: usize = 15;
const LONGEST_LINE: usize = 107;
/// Certificates may stand in extensions, which we do not read; nobody sends more.
const LONGEST_REST: usize = 2048;
/// `PP2_TYPE_CRC32C`
const CHECKSUM: u8 = 0x03;

#[cfg(test)]
mod tests;
