//! Addresses as scripts write them: of services and of listeners.

use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::downstream::Listen;
use crate::upstream::Address;

/// What is wrong with an address, and what to write.
pub(super) type Fault = (String, String);

fn fault(message: String, label: impl Into<String>) -> Fault {
    (message, label.into())
}

/// `host:port`, `http://…`, `https://…`, `unix:/…`, `echo:`; a path only where `path` allows it.
pub(crate) fn service(text: &str, path: bool) -> Result<(Address, String), Fault> {
    if text == "echo:" || text == "echo" {
        return Ok((Address::Echo, String::new()));
    }
    if let Some(file) = text.strip_prefix("unix:") {
        let file = file.strip_prefix("//").unwrap_or(file);
        let whole = file.starts_with('/');
        return if whole {
            Ok((Address::Unix(file.to_owned()), String::new()))
        } else {
            Err(fault(format!("`{text}` is no address"), "write \"unix:/path/to/socket\""))
        };
    }
    let (tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (Some(false), rest),
        Some(("https", rest)) => (Some(true), rest),
        Some((scheme, rest)) => {
            let near = if scheme.starts_with("ws") {
                format!("write \"{}://{rest}\": upgrades pass by themselves", scheme.replace("ws", "http"))
            } else {
                "an address begins with http://, https://, unix: or a host".to_owned()
            };
            return Err(fault(format!("`{scheme}://` is not spoken to services"), near));
        }
        None => (None, text),
    };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if tail.contains(['?', '#']) {
        return Err(fault(format!("`{text}` has a query or fragment"), "an address ends with its path"));
    }
    if !path && tail.len() > 1 {
        return Err(fault(
            format!("`{text}` has a path"),
            format!("hosts have none: write \"{}\", and `rewrite` in the route", &text[..text.len() - tail.len()]),
        ));
    }
    if authority.contains('@') {
        return Err(fault(
            "an address has a user name".to_owned(),
            "credentials belong into a header, from `secret \"NAME\"`",
        ));
    }
    let (host, port) =
        split(authority).ok_or_else(|| fault(format!("`{text}` is no address"), "write \"host:port\""))?;
    let port = match (port, tls) {
        (Some(port), _) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| fault(format!("`{port}` is no port"), "a port is a number from 1 to 65535"))?,
        (None, Some(tls)) => {
            if tls {
                443
            } else {
                80
            }
        }
        (None, None) => {
            return Err(fault(format!("`{text}` has no port"), format!("write \"{text}:80\" or \"http://{text}\"")));
        }
    };
    if host.parse::<IpAddr>().is_err() && !is_name(host) {
        return Err(fault(
            format!("`{host}` is no host name or address"),
            "letters, digits, `-` and dots, or an IP address",
        ));
    }
    let address = Address::Tcp { host: host.to_ascii_lowercase(), port, tls: tls.unwrap_or(false) };
    Ok((address, tail.strip_suffix('/').unwrap_or(tail).to_owned()))
}

/// Whether `to = "…"` is meant as an address, not as a name.
pub(crate) fn looks_like_one(text: &str) -> bool {
    text.contains("://") || text.starts_with("unix:") || text == "echo:"
}

/// The name of the upstream that a URL in `to` gets.
pub(crate) fn origin(address: &Address) -> String {
    match address {
        Address::Echo => "echo:".to_owned(),
        Address::Unix(path) => format!("unix:{path}"),
        Address::Tcp { host, port, tls } => {
            let (scheme, usual) = if *tls { ("https", 443) } else { ("http", 80) };
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            if *port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
        }
    }
}

/// Reads an address to listen on: `:8080`, `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `unix:/path`. The error
/// is what is wrong, and what to write.
pub fn listener(text: &str) -> Result<Listen, (String, String)> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.is_empty() {
            Err(fault(format!("`{text}` names no socket"), "write \"unix:/run/moongate.sock\""))
        } else {
            Ok(Listen::Unix(path.to_owned()))
        };
    }
    let said = || format!("`{text}` is no address to listen on");
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fault(said(), format!("write \":{text}\"")));
    }
    if text.contains("://") {
        return Err(fault(said(), "leave out the scheme: \":8080\" or \"127.0.0.1:8080\""));
    }
    let (host, port) = split(text).ok_or_else(|| fault(said(), "write \":8080\" or \"127.0.0.1:8080\""))?;
    let Some(port) = port else { return Err(fault(format!("`{text}` has no port"), format!("write \"{text}:8080\""))) };
    let port: u16 =
        port.parse().map_err(|_| fault(format!("`{port}` is no port"), "a port is a number from 0 to 65535"))?;
    let host: IpAddr = match host {
        "" | "*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host
            .parse()
            .map_err(|_| fault(said(), "a listener needs an IP address of this machine, or \":8080\" for all"))?,
    };
    Ok(Listen::Tcp(SocketAddr::from((host, port))))
}

/// Host without brackets, and port.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after {
            "" => Some((host, None)),
            after => Some((host, Some(after.strip_prefix(':')?))),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None if authority.is_empty() => None,
        None => Some((authority, None)),
    }
}

fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && !host
            .rsplit('.')
            .next()
            .is_some_and(|last| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
        && host.strip_suffix('.').unwrap_or(host).split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}
