//! What is asked of a resolver, and what it says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::upstream::Address;
use crate::upstream::HostConfig;
use crate::upstream::Shared;
use crate::upstream::dns;
use crate::upstream::resolve::Lookup;
use crate::upstream::shared::literal;

/// A question that is asked again and again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// The addresses of a name, as the system knows them or a server of choice.
    Name { name: String, port: u16, server: Option<SocketAddr> },
    /// The hosts of a service (SRV).
    Services { name: String, server: Option<SocketAddr>, tls: bool },
}

/// What was found.
#[derive(Clone)]
pub(super) enum Reply {
    Addresses(Vec<SocketAddr>),
    Hosts(Vec<(HostConfig, Vec<SocketAddr>)>),
}

impl Question {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Name { name, .. } | Self::Services { name, .. } => name,
        }
    }

    /// Whether an answer says how long it holds.
    pub(super) fn tells_lifetime(&self) -> bool {
        !matches!(self, Self::Name { server: None, .. })
    }

    /// The answer, and how long it holds where that is told.
    pub(super) async fn ask(&self, lookup: &Lookup) -> Result<(Reply, Option<Duration>), String> {
        match self {
            Self::Name { name, port, server: Some(server) } => {
                let found = dns::addresses(*server, name, *port).await?;
                Ok((Reply::Addresses(found.all), Some(found.lifetime)))
            }
            Self::Name { name, port, server: None } => {
                Ok((Reply::Addresses(system(name.clone(), *port, lookup).await?), None))
            }
            Self::Services { name, server, tls } => {
                let found = dns::services(*server, name, *tls).await?;
                Ok((Reply::Hosts(found.all), Some(found.lifetime)))
            }
        }
    }

    /// The same, blocking.
    pub(super) fn wait(&self, lookup: &Lookup) -> Result<(Reply, Option<Duration>), String> {
        if let Self::Name { name, port, server: None } = self {
            return Ok((Reply::Addresses(lookup.ask(name, *port)?), None));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(self.ask(lookup))
    }
}

impl Reply {
    /// Tells the upstream; `index`: of the host in its declaration, for addresses.
    pub(super) fn publish(self, shared: &Arc<Shared>, index: usize) {
        match self {
            Self::Addresses(found) => shared.resolve(index, found),
            Self::Hosts(found) => shared.discover(found),
        }
    }
}

/// The system's resolver blocks, so it is asked on a thread of its own.
async fn system(name: String, port: u16, lookup: &Lookup) -> Result<Vec<SocketAddr>, String> {
    let lookup = lookup.clone();
    let asked = tokio::task::spawn_blocking(move || lookup.ask(&name, port));
    asked.await.map_err(|error| error.to_string())?
}

/// Where an address leads to.
pub(super) async fn reach(address: &Address, lookup: &Lookup) -> Result<Vec<SocketAddr>, String> {
    match (literal(address), address) {
        (None, Address::Tcp { host, port, .. }) => system(host.clone(), *port, lookup).await,
        (known, _) => Ok(known.unwrap_or_default()),
    }
}
