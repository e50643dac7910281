//! Where clients are accepted: what a reload adds is bound before anything changes, what it drops is served to its end.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use crate::downstream::Listen;
use crate::downstream::bind::Bound;
use crate::downstream::bind::SocketFile;
use crate::gateway::listing;
use crate::gateway::worker::Handle;
use crate::gateway::worker::Order;

/// The listeners that are open.
#[derive(Default)]
pub(super) struct Listeners {
    open: BTreeMap<Listen, Open>,
}

struct Open {
    address: Option<SocketAddr>,
    _file: Option<SocketFile>,
}

/// What a generation changes about them, ready but not yet done.
#[derive(Default)]
pub(super) struct Change {
    added: Vec<(Listen, Bound)>,
    removed: Vec<Listen>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {}: {cause}{}", listing::listen(.listen), hint(.cause))]
pub struct BindError {
    /// The listener.
    pub listen: Listen,
    /// What the system said.
    pub cause: io::Error,
}

impl Listeners {
    /// Binds what `wanted` has beyond the open ones.
    pub(super) fn change(&self, wanted: &[Listen], workers: usize, takeover: bool) -> Result<Change, BindError> {
        let mut change = Change {
            removed: self.open.keys().filter(|listen| !wanted.contains(listen)).cloned().collect(),
            ..Change::default()
        };
        for listen in wanted {
            let known = self.open.contains_key(listen) || change.added.iter().any(|(added, _)| added == listen);
            if !known {
                // `:8080` becoming `127.0.0.1:8080` meets our own socket on that port.
                let ours = change.removed.iter().any(|removed| same_port(removed, listen));
                let bound = Bound::new(listen, workers, takeover || ours)
                    .map_err(|cause| BindError { listen: listen.clone(), cause })?;
                change.added.push((listen.clone(), bound));
            }
        }
        Ok(change)
    }

    /// Does it.
    pub(super) fn apply(&mut self, change: Change, workers: &[Handle]) {
        for (listen, bound) in change.added {
            for (worker, socket) in workers.iter().zip(bound.sockets) {
                worker.tell(Order::Listen(listen.clone(), socket));
            }
            self.open.insert(listen, Open { address: bound.address, _file: bound.file });
        }
        for listen in change.removed {
            for worker in workers {
                worker.tell(Order::Unlisten(listen.clone()));
            }
            self.open.remove(&listen);
        }
    }

    /// The TCP addresses in use.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.open.values().filter_map(|open| open.address).collect()
    }

    /// Each as a browser on this machine would be told.
    pub(super) fn urls(&self, secure: impl Fn(&Listen) -> bool) -> impl Iterator<Item = String> {
        self.open.iter().map(move |(listen, open)| {
            let scheme = if secure(listen) { "https" } else { "http" };
            match open.address {
                Some(address) if address.ip().is_unspecified() => format!("{scheme}://localhost:{}", address.port()),
                Some(address) => format!("{scheme}://{address}"),
                None => listing::listen(listen),
            }
        })
    }

    /// Each as the script writes it, with the port in use.
    pub(super) fn texts(&self) -> Vec<String> {
        let text = |(listen, open): (&Listen, &Open)| match open.address {
            Some(address) => listing::listen(&Listen::Tcp(address)),
            None => listing::listen(listen),
        };
        self.open.iter().map(text).collect()
    }
}

fn same_port(one: &Listen, other: &Listen) -> bool {
    match (one, other) {
        (Listen::Tcp(one), Listen::Tcp(other)) => one.port() == other.port(),
        _ => false,
    }
}

fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "; another process has it (or choose another with --listen)",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    }
}
