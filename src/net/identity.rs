//! Who a client is, behind proxies (STANDARDS S-20): forwarding fields are believed from trusted peers only.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

use crate::http::Headers;
use crate::http::Request;
use crate::http::Scheme;
use crate::http::headers::Known;

/// `trust_proxies`: whose forwarding fields are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// Nobody's.
    #[default]
    Nobody,
    /// Those of peers in these networks.
    Networks(Vec<IpNet>),
    /// Those that this many hops added, whoever they are.
    Hops(u32),
}

impl Trust {
    /// Whether what the peer at `address` says is believed. A Unix socket's peer is local, and is wherever anyone is.
    pub fn believes(&self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::Nobody, _) | (Self::Hops(0), _) => false,
            (Self::Hops(_), _) | (_, None) => true,
            (Self::Networks(networks), Some(address)) => is_in(networks, address),
        }
    }

    /// The client's address: the right-most in the chain that is not a trusted proxy's.
    pub fn client(&self, peer: Option<IpAddr>, headers: &Headers) -> Option<IpAddr> {
        if !self.believes(peer) {
            return peer.map(plain);
        }
        let chain = chain(headers);
        match self {
            Self::Networks(networks) => {
                let mut client = peer;
                for hop in chain.iter().rev() {
                    // What cannot be read cannot be believed: the hop that reported it is the last one known.
                    let Some(address) = hop else { break };
                    client = Some(*address);
                    if !is_in(networks, *address) {
                        break;
                    }
                }
                client
            }
            Self::Hops(hops) => {
                let back = chain.len().saturating_sub(*hops as usize);
                chain.get(back).copied().flatten().or(peer)
            }
            Self::Nobody => peer,
        }
        .map(plain)
    }
}

/// How the client reached the first trusted proxy, where that is known.
pub fn scheme(headers: &Headers) -> Option<Scheme> {
    let said = match headers.known(Known::XForwardedProto).last() {
        Some(line) => line.rsplit(|&byte| byte == b',').next()?.trim_ascii().to_ascii_lowercase(),
        None => parameters(headers, "proto").pop()?.to_ascii_lowercase().into_bytes(),
    };
    match &*said {
        b"https" | b"wss" => Some(Scheme::Https),
        b"http" | b"ws" => Some(Scheme::Http),
        _ => None,
    }
}

/// Appends the `X-Forwarded-*` lines for the service; what trusted proxies said before is kept in front.
pub fn write_forwarded(out: &mut Vec<u8>, request: &Request, peer: Option<IpAddr>) {
    let headers = &request.headers;
    out.extend_from_slice(b"X-Forwarded-For: ");
    let before = out.len();
    for line in headers.known(Known::XForwardedFor) {
        if out.len() > before {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(line);
    }
    // a proxy that speaks the other family: what it knows goes on in this one
    let told = if out.len() == before { parameters(headers, "for") } else { Vec::new() };
    for address in told.iter().filter_map(|hop| parse(hop)).chain(peer) {
        if out.len() > before {
            out.extend_from_slice(b", ");
        }
        write_address(out, plain(address));
    }
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
    let proto = headers.known(Known::XForwardedProto).next();
    out.extend_from_slice(proto.unwrap_or_else(|| request.scheme.as_str().as_bytes()));
    out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
    out.extend_from_slice(headers.known(Known::XForwardedHost).next().unwrap_or(request.host.as_bytes()));
    out.extend_from_slice(b"\r\nX-Forwarded-Port: ");
    out.extend_from_slice(headers.known(Known::XForwardedPort).next().unwrap_or_else(|| port(request)));
    out.extend_from_slice(b"\r\n");
}

/// The port that `request` was meant for; 0 for one that nothing can listen on.
pub fn port_of(request: &Request) -> u16 {
    std::str::from_utf8(port(request)).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn port(request: &Request) -> &[u8] {
    let host = request.host.as_bytes();
    let digits = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    match host.split_at(host.len() - digits) {
        ([.., b':'], port @ [_, ..]) => port,
        _ if request.scheme == Scheme::Https => b"443",
        _ => b"80",
    }
}

/// IPv4 is by far the most common, and formatting it by hand the cheapest way.
fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

/// The addresses that proxies noted, left (furthest) to right; `None` where one cannot be read.
fn chain(headers: &Headers) -> Vec<Option<IpAddr>> {
    let mut lines = headers.known(Known::XForwardedFor).peekable();
    if lines.peek().is_some() {
        return lines
            .flat_map(|line| line.split(|&byte| byte == b','))
            .map(|hop| parse(&String::from_utf8_lossy(hop)))
            .collect();
    }
    parameters(headers, "for").iter().map(|hop| parse(hop)).collect()
}

/// One address as forwarding fields write it: bare, with a port, in brackets, quoted.
fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim().trim_matches('"');
    if let Some(rest) = hop.strip_prefix('[') {
        return rest.split_once(']').and_then(|(address, _)| address.parse().ok());
    }
    let with_port = || hop.parse::<std::net::SocketAddrV4>().ok().map(|address| IpAddr::V4(*address.ip()));
    hop.parse().ok().or_else(with_port)
}

/// The values of one parameter in every element of `Forwarded` (RFC 7239 §4); empty where an element has none.
///
/// A client chooses what a proxy quotes (`host`): what stands in quotes ends neither an element nor a parameter.
fn parameters(headers: &Headers, name: &str) -> Vec<String> {
    let mut values = Vec::new();
    for line in headers.known(Known::Forwarded) {
        let line = String::from_utf8_lossy(line);
        for element in unquoted(&line, ',') {
            let value = unquoted(element, ';').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
            });
            values.push(value.unwrap_or_default());
        }
    }
    values
}

/// The parts of `text` between `separator`s that stand outside quotes.
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let was_escaped = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !was_escaped => escaped = true,
            '"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    })
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = plain(address);
    networks.iter().any(|network| network.contains(&address))
}

/// A v4 client on a v6 socket is a v4 client.
pub fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests;
