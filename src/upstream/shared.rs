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
use crate::upstream::Dns;
use crate::upstream::HostConfig;
use crate::upstream::host::Host;
use crate::upstream::host::written;
use crate::upstream::news::News;
use crate::upstream::resolve::Question;
use crate::upstream::retry::Budget;
use crate::upstream::tls::Tls;

/// One upstream, shared by all workers of one generation. Hosts that stay the same live on from the previous one.
pub struct Shared {
    config: Config,
    tls: Option<Tls>,
    members: ArcSwap<Vec<Member>>,
    /// What all generations of the upstream have in common.
    pulse: Arc<Pulse>,
    /// The hosts, as declared or as they were found, and the addresses of each; written by the control thread alone.
    known: Mutex<Known>,
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

/// Hosts with their addresses, in the same order.
#[derive(Clone, Default, PartialEq)]
struct Known {
    hosts: Vec<HostConfig>,
    reach: Vec<Vec<SocketAddr>>,
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
        let terms = |config: &Config| (config.tls.clone(), config.protocol, config.proxy_protocol);
        let same_terms = |previous: &&Self| terms(&previous.config) == terms(&config);
        let same = previous.filter(same_terms);
        let known = Known::first(&config, previous);
        let tls = match same.and_then(|previous| previous.tls.clone()) {
            _ if !config.may_want_tls() => None,
            Some(tls) => Some(tls),
            None => Some(Tls::new(&config.tls)?),
        };
        let old = same.map(|previous| previous.members.load_full()).unwrap_or_default();
        let members = members(&known, &config, &old);
        Ok(Arc::new(Self {
            config,
            tls,
            members: ArcSwap::from_pointee(members),
            pulse: previous.map_or_else(Pulse::new, |previous| Arc::clone(&previous.pulse)),
            known: Mutex::new(known),
            budget: previous.map_or_else(|| Arc::new(Budget::new()), |previous| Arc::clone(&previous.budget)),
        }))
    }

    /// An upstream that is never connected to: names stand for nothing, and no TLS is prepared. Hosts that would have to
    /// be found are one, of the upstream's own name.
    pub fn offline(config: Config) -> Arc<Self> {
        let nowhere = |host: &HostConfig| match &host.address {
            Address::Tcp { port, .. } => vec![SocketAddr::new(NOWHERE, *port)],
            Address::Unix(_) | Address::Echo => Vec::new(),
        };
        let found = Address::Tcp { host: config.name.clone(), port: 80, tls: false };
        let hosts = if config.hosts.is_empty() {
            vec![HostConfig { address: found, weight: 1, backup: false }]
        } else {
            config.hosts.clone()
        };
        let known = Known { reach: hosts.iter().map(nowhere).collect(), hosts };
        let members = members(&known, &config, &[]);
        Arc::new(Self {
            config,
            tls: None,
            members: ArcSwap::from_pointee(members),
            pulse: Pulse::new(),
            known: Mutex::new(known),
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

    /// What is asked of resolvers, each with the index of the host in the declaration that it is asked for.
    pub(crate) fn questions(&self) -> Vec<(usize, Question)> {
        let server = match &self.config.dns {
            Dns::System => None,
            Dns::Server(server) => Some(*server),
            Dns::Srv { name, server, tls } => {
                return vec![(0, Question::Services { name: name.clone(), server: *server, tls: *tls })];
            }
        };
        let hosts = self.config.hosts.iter().enumerate();
        let question = |(index, host): (usize, &HostConfig)| match &host.address {
            Address::Tcp { host: name, port, .. } if literal(&host.address).is_none() => {
                Some((index, Question::Name { name: name.clone(), port: *port, server }))
            }
            _ => None,
        };
        hosts.filter_map(question).collect()
    }

    /// Whether the host at `index` of the declaration has an address.
    pub(crate) fn is_resolved(&self, index: usize) -> bool {
        self.known.lock().reach.get(index).is_some_and(|reach| !reach.is_empty())
    }

    /// What the host at `index` of the declaration resolved to. Nothing found changes nothing.
    pub(crate) fn resolve(&self, index: usize, mut found: Vec<SocketAddr>) {
        found.sort_unstable();
        found.dedup();
        let mut known = self.known.lock();
        if found.is_empty() || known.reach.get(index).is_none_or(|reach| *reach == found) {
            return;
        }
        known.reach[index] = found;
        self.renew(&known);
    }

    /// The hosts are these, each with its addresses. Nothing found changes nothing: a host whose name has none now keeps
    /// those it had, and without any it is left out.
    pub(crate) fn discover(&self, found: Vec<(HostConfig, Vec<SocketAddr>)>) {
        let mut known = self.known.lock();
        let found = found.into_iter().filter_map(|(host, mut reach)| {
            let named = matches!(host.address, Address::Tcp { .. });
            if reach.is_empty() && named {
                reach = known.reach(&host.address);
            }
            reach.sort_unstable();
            reach.dedup();
            (!reach.is_empty() || !named).then_some((host, reach))
        });
        let (hosts, reach) = found.unzip();
        let found = Known { hosts, reach };
        if found.hosts.is_empty() || *known == found {
            return;
        }
        *known = found;
        self.renew(&known);
    }

    /// Members as they follow from what is known now; those that are gone end with what they carry.
    fn renew(&self, known: &Known) {
        let old = self.members.load_full();
        let new = members(known, &self.config, &old);
        let gone: Vec<_> =
            old.iter().filter(|old| !new.iter().any(|new| Arc::ptr_eq(&new.host, &old.host))).cloned().collect();
        self.members.store(Arc::new(new));
        self.pulse.raise();
        gone.iter().for_each(|member| member.host.retire());
    }
}

impl Config {
    /// Hosts that are found later may be of either kind.
    fn may_want_tls(&self) -> bool {
        let secure = self.hosts.iter().any(|host| host.address.is_secure());
        self.refresh.is_some() || matches!(self.dns, Dns::Srv { tls: true, .. }) || secure
    }
}

impl Known {
    /// What is known before anybody was asked: literals, and what the previous generation knew.
    fn first(config: &Config, previous: Option<&Shared>) -> Self {
        let previous = previous.filter(|previous| previous.config.dns == config.dns);
        if config.hosts.is_empty() {
            return previous.map(|previous| previous.known.lock().clone()).unwrap_or_default();
        }
        let before = previous.map(|previous| previous.known.lock().clone()).unwrap_or_default();
        let reach = |host: &HostConfig| literal(&host.address).unwrap_or_else(|| before.reach(&host.address));
        Self { reach: config.hosts.iter().map(reach).collect(), hosts: config.hosts.clone() }
    }

    fn reach(&self, address: &Address) -> Vec<SocketAddr> {
        let index = self.hosts.iter().position(|host| host.address == *address);
        index.and_then(|index| self.reach.get(index)).cloned().unwrap_or_default()
    }
}

/// The one address of an IP literal; what needs no address has an empty list; `None` for names.
pub(super) fn literal(address: &Address) -> Option<Vec<SocketAddr>> {
    match address {
        Address::Tcp { host, port, .. } => host.parse::<IpAddr>().ok().map(|ip| vec![SocketAddr::new(ip, *port)]),
        Address::Unix(_) | Address::Echo => Some(Vec::new()),
    }
}

/// The hosts that `known` stands for, those of `old` taken over where nothing about them changed.
fn members(known: &Known, config: &Config, old: &[Member]) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for (host, found) in known.hosts.iter().zip(&known.reach) {
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
                let made = Host::new(&host.address, reach, label, config);
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
