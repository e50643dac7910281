//! Services that only a request knows: a URL in `to` or `fetch` gets an upstream of its own, kept for a while.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::rc::Rc;
use std::time::Duration;

use ipnet::IpNet;
use url::Host;
use url::Url;

use crate::clock::Moment;
use crate::primitive::glob::Glob;
use crate::proxy::Code;
use crate::proxy::Failure;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::upstream;
use crate::upstream::Address;
use crate::upstream::HostConfig;
use crate::upstream::Upstream;

/// One worker's upstreams by origin.
#[derive(Default)]
pub struct Dynamic(RefCell<HashMap<String, Known>>);

struct Known {
    upstream: Rc<Upstream>,
    resolved: Moment,
}

impl Site {
    /// The upstream that `text` names, and the rest as a path: `users`, `users/7?x=1`, or a URL.
    pub async fn find(&self, worker: &Rc<Worker>, text: &str) -> Result<(Rc<Upstream>, String), Failure> {
        if is_url(text) {
            return self.at_url(worker, text).await;
        }
        let (name, path) = match text.find(['/', '?']) {
            Some(end) => text.split_at(end),
            None => (text, ""),
        };
        match self.shared.names.get(name) {
            Some(&index) => Ok((Rc::clone(&self.upstreams[index]), path.to_owned())),
            None => Err(unknown(format!("no upstream `{name}`"))),
        }
    }

    async fn at_url(&self, worker: &Rc<Worker>, text: &str) -> Result<(Rc<Upstream>, String), Failure> {
        let url = Url::parse(text).map_err(|fault| unknown(format!("`{text}` is no URL: {fault}")))?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(unknown(format!("`{other}:` is not spoken; write http:// or https://"))),
        };
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => return Err(unknown(format!("`{text}` names no host"))),
        };
        let port = url.port_or_known_default().unwrap_or(if tls { 443 } else { 80 });
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let origin = url.origin().ascii_serialization();
        let upstream = self.resolved(worker, origin, Address::Tcp { host, port, tls }).await?;
        Ok((if self.watch.is_some() { Rc::new(upstream.watched(None)) } else { upstream }, path))
    }

    async fn resolved(&self, worker: &Rc<Worker>, origin: String, address: Address) -> Result<Rc<Upstream>, Failure> {
        let now = worker.clock.now();
        let known = worker.dynamic.0.borrow().get(&origin).map(|known| (Rc::clone(&known.upstream), known.resolved));
        let upstream = match known {
            Some((upstream, resolved)) if now.since(resolved) < FRESH => return Ok(upstream),
            Some((upstream, _)) => upstream,
            None => {
                let shared = upstream::Shared::new(config(&origin, address.clone()), None).map_err(unknown)?;
                Rc::new(Upstream::new(shared, Rc::clone(&worker.pools)))
            }
        };
        let found = match worker.pools.connector() {
            Some(_) => vec![SocketAddr::new(upstream::NOWHERE, 80)],
            None => self.addresses(&address).await?,
        };
        upstream.shared().resolve(0, found);
        let mut all = worker.dynamic.0.borrow_mut();
        if all.len() >= MOST && !all.contains_key(&origin) {
            let oldest = all.iter().min_by_key(|(_, known)| known.resolved).map(|(origin, _)| origin.clone());
            oldest.and_then(|origin| all.remove(&origin));
        }
        all.insert(origin, Known { upstream: Rc::clone(&upstream), resolved: now });
        Ok(upstream)
    }

    /// What the address stands for, less what no script may reach unless told so.
    async fn addresses(&self, address: &Address) -> Result<Vec<SocketAddr>, Failure> {
        let Address::Tcp { host, port, .. } = address else { return Ok(Vec::new()) };
        let (name, port) = (host.clone(), *port);
        let asked =
            tokio::task::spawn_blocking(move || (name.as_str(), port).to_socket_addrs().map(Vec::from_iter)).await;
        let found = match asked {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                return Err(Failure::new(Code::UpstreamConnect, "the service cannot be found")
                    .because(format!("{host}: {error}")));
            }
            Err(error) => {
                return Err(
                    Failure::new(Code::UpstreamConnect, "the service cannot be found").because(error.to_string())
                );
            }
        };
        let allowed: Vec<_> = found.into_iter().filter(|found| self.may_reach(host, found.ip())).collect();
        if allowed.is_empty() {
            return Err(unknown(format!("{host} is a link-local or metadata address; `fetch_allow` must name it")));
        }
        Ok(allowed)
    }

    fn may_reach(&self, host: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !is_guarded(address)
            || self.shared.plan.gateway.fetch_allow.iter().any(|allowed| match allowed.parse::<IpNet>() {
                Ok(network) => network.contains(&address),
                Err(_) => allowed.parse() == Ok(address) || Glob::new(allowed).is_ok_and(|glob| glob.matches(host)),
            })
    }
}

/// Whether a target begins with a scheme; `users/go?to=https://x` is an upstream's name and a path.
pub fn is_url(text: &str) -> bool {
    text.find(['/', '?']).is_some_and(|end| text[..end].ends_with(':') && text[end..].starts_with("//"))
}

/// Link-local addresses, and those where clouds keep their instances' credentials.
fn is_guarded(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_link_local() || address.octets() == [100, 100, 100, 200] || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_unspecified()
                || address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        }
    }
}

fn config(origin: &str, address: Address) -> upstream::Config {
    upstream::Config::new(origin, vec![HostConfig { address, weight: 1, backup: false }])
}

fn unknown(cause: impl Into<String>) -> Failure {
    Failure::new(Code::UpstreamUnknown, "the service this request names may not be called").because(cause)
}

/// How long resolved names are used.
const FRESH: Duration = Duration::from_secs(10);
/// Origins kept by one worker.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::is_guarded;

    #[test]
    fn metadata_addresses_are_guarded_and_others_are_not() {
        for text in ["169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "0.0.0.0", "::"] {
            assert!(is_guarded(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1", "10.0.0.1", "192.0.2.1", "::1", "fd00::1"] {
            assert!(!is_guarded(text.parse().unwrap()), "{text}");
        }
    }
}
