//! What all workers know of one upstream: its declaration, its TLS, and the hosts its names stand for at present.

mod standing;
mod state;

pub use state::HostState;
pub use state::State;

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::upstream::Address;
use crate::upstream::Config;
use crate::upstream::HostConfig;
use crate::upstream::host::Host;
use crate::upstream::host::written;
use crate::upstream::news::News;
use crate::upstream::retry::Budget;
use crate::upstream::tls::Tls;

/// One upstream, shared by all workers of one generation. Hosts that stay the same live on from the previous one.
pub struct Shared {
    config: Config,
    tls: Option<Tls>,
    members: ArcSwap<Vec<Member>>,
    /// What all generations of the upstream have in common.
    pulse: Arc<Pulse>,
    /// Resolved addresses of each host in `config`; written by the control thread alone.
    resolved: Mutex<Vec<Vec<SocketAddr>>>,
    /// What may be spent on retries.
    budget: Arc<Budget>,
}

/// What outlives a generation beside the hosts: they are shared, so what happens to one concerns the next as well.
#[derive(Default)]
struct Pulse {
    /// Raised whenever the members or their standing change; workers compare it before they look again.
    version: AtomicU64,
    /// One change of a standing at a time.
    turn: Mutex<()>,
    news: OnceLock<News>,
}

/// A host and its part in this upstream.
#[derive(Clone, Debug)]
pub struct Member {
    /// The host.
    pub host: Arc<Host>,
    /// Its share, 1 and up.
    pub weight: u32,
    /// Used only when no other may be asked.
    pub backup: bool,
}

impl Pulse {
    fn new() -> Arc<Self> {
        Arc::new(Self { version: AtomicU64::new(1), ..Self::default() })
    }

    fn raise(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl Shared {
    /// Prepares an upstream; names that `previous` knew keep their addresses, hosts that are the same their counts
    /// and pools. Fails on TLS material that cannot be used, naming it.
    pub fn new(config: Config, previous: Option<&Self>) -> Result<Arc<Self>, String> {
        let same_tls = previous.filter(|previous| previous.config.tls == config.tls);
        let wants_tls = config.hosts.iter().any(|host| matches!(host.address, Address::Tcp { tls: true, .. }));
        let tls = match same_tls.and_then(|previous| previous.tls.clone()) {
            _ if !wants_tls => None,
            Some(tls) => Some(tls),
            None => Some(Tls::new(&config.tls)?),
        };
        let resolved: Vec<_> = config
            .hosts
            .iter()
            .map(|host| literal(&host.address).or_else(|| previous?.known(&host.address)).unwrap_or_default())
            .collect();
        let old = same_tls.map(|previous| previous.members.load_full()).unwrap_or_default();
        let members = members(&config, &resolved, &old);
        Ok(Arc::new(Self {
            config,
            tls,
            members: ArcSwap::from_pointee(members),
            pulse: previous.map_or_else(Pulse::new, |previous| Arc::clone(&previous.pulse)),
            resolved: Mutex::new(resolved),
            budget: previous.map_or_else(|| Arc::new(Budget::new()), |previous| Arc::clone(&previous.budget)),
        }))
    }

    /// An upstream that is never connected to: names stand for nothing, and no TLS is prepared.
    pub fn offline(config: Config) -> Arc<Self> {
        let nowhere = |host: &HostConfig| match &host.address {
            Address::Tcp { port, .. } => vec![SocketAddr::new(NOWHERE, *port)],
            Address::Unix(_) | Address::Echo => Vec::new(),
        };
        let resolved: Vec<_> = config.hosts.iter().map(nowhere).collect();
        let members = members(&config, &resolved, &[]);
        Arc::new(Self {
            config,
            tls: None,
            members: ArcSwap::from_pointee(members),
            version: AtomicU64::new(1),
            resolved: Mutex::new(resolved),
            budget: Arc::new(Budget::new()),
        })
    }

    /// As declared.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The hosts at present.
    pub fn members(&self) -> Arc<Vec<Member>> {
        self.members.load_full()
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn version(&self) -> u64 {
        self.pulse.version.load(Ordering::Acquire)
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The names to resolve: index of the host in the declaration, name, port.
    pub(crate) fn names(&self) -> impl Iterator<Item = (usize, &str, u16)> {
        self.config.hosts.iter().enumerate().filter_map(|(index, host)| match &host.address {
            Address::Tcp { host: name, port, .. } if literal(&host.address).is_none() => {
                Some((index, name.as_str(), *port))
            }
            _ => None,
        })
    }

    /// Whether the host at `index` of the declaration has an address.
    pub(crate) fn is_resolved(&self, index: usize) -> bool {
        self.resolved.lock().get(index).is_some_and(|reach| !reach.is_empty())
    }

    /// What the host at `index` of the declaration resolved to. Nothing found changes nothing.
    pub(crate) fn resolve(&self, index: usize, mut found: Vec<SocketAddr>) {
        found.sort_unstable();
        found.dedup();
        let mut resolved = self.resolved.lock();
        if found.is_empty() || resolved.get(index).is_none_or(|known| *known == found) {
            return;
        }
        resolved[index] = found;
        let old = self.members.load_full();
        let new = members(&self.config, &resolved, &old);
        let gone: Vec<_> =
            old.iter().filter(|old| !new.iter().any(|new| Arc::ptr_eq(&new.host, &old.host))).cloned().collect();
        self.members.store(Arc::new(new));
        self.pulse.raise();
        gone.iter().for_each(|member| member.host.retire());
    }

    fn known(&self, address: &Address) -> Option<Vec<SocketAddr>> {
        let index = self.config.hosts.iter().position(|host| host.address == *address)?;
        self.resolved.lock().get(index).cloned()
    }
}

/// The one address of an IP literal; what needs no address has an empty list; `None` for names.
fn literal(address: &Address) -> Option<Vec<SocketAddr>> {
    match address {
        Address::Tcp { host, port, .. } => host.parse::<IpAddr>().ok().map(|ip| vec![SocketAddr::new(ip, *port)]),
        Address::Unix(_) | Address::Echo => Some(Vec::new()),
    }
}

/// The hosts that `config` stands for, those of `old` taken over where nothing about them changed.
fn members(config: &Config, resolved: &[Vec<SocketAddr>], old: &[Member]) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for (host, found) in config.hosts.iter().zip(resolved) {
        let named = matches!(host.address, Address::Tcp { .. });
        let reaches = if named { reaches(found) } else { vec![Vec::new()] };
        let alone = reaches.len() == 1;
        for reach in reaches {
            let label = match reach.first() {
                Some(first) if !alone => first.to_string(),
                _ => written(&host.address),
            };
            let same = |member: &&Member| {
                member.host.address == host.address && member.host.reach == reach && *member.host.label == *label
            };
            // an address written twice is two hosts
            let unclaimed = |kept: &&Member| !members.iter().any(|member| Arc::ptr_eq(&member.host, &kept.host));
            let kept = old.iter().filter(same).find(unclaimed).map(|member| Arc::clone(&member.host));
            let kept = kept.unwrap_or_else(|| {
                let made = Host::new(&host.address, reach, label);
                if !old.is_empty() {
                    made.vitals().newcomer();
                }
                made
            });
            members.push(Member { host: kept, weight: host.weight.max(1), backup: host.backup });
        }
    }
    members
}

/// What names stand for where nothing is connected to (RFC 5737).
pub const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// One host for each address of a name. Where it has addresses of both families, one of each makes a host, and the
/// connection goes to whichever answers (RFC 8305): `localhost` is one host, not one that works and one that does not.
fn reaches(found: &[SocketAddr]) -> Vec<Vec<SocketAddr>> {
    let (six, four): (Vec<SocketAddr>, Vec<SocketAddr>) = found.iter().partition(|address| address.is_ipv6());
    (0..six.len().max(four.len()))
        .map(|index| [six.get(index), four.get(index)].into_iter().flatten().copied().collect())
        .collect()
}

#[cfg(test)]
mod tests;
