//! Names become addresses on the control thread, never on a request's way: the last good set is kept.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::telemetry::log;
use crate::upstream::Shared;

/// How often a name is looked up again; the system's resolver tells no lifetime.
const REFRESH: Duration = Duration::from_secs(10);

/// How often a name without any address is tried.
const RETRY: Duration = Duration::from_secs(1);

/// Names looked up at the same time while loading.
const AT_ONCE: usize = 32;

/// Who is asked for addresses.
#[derive(Clone)]
pub struct Lookup(Arc<dyn Ask + Send + Sync>);

trait Ask: Fn(&str, u16) -> io::Result<Vec<SocketAddr>> {}

impl<F: Fn(&str, u16) -> io::Result<Vec<SocketAddr>>> Ask for F {}

impl Lookup {
    /// The system's resolver, with its hosts file and search list.
    pub fn system() -> Self {
        Self::with(|name, port| Ok((name, port).to_socket_addrs()?.collect()))
    }

    /// Another source, for tests.
    pub fn with(ask: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    fn ask(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        match (self.0)(name, port) {
            Ok(found) if found.is_empty() => Err(format!("`{name}` has no address")),
            Ok(found) => Ok(found),
            Err(error) => Err(format!("`{name}`: {error}")),
        }
    }
}

/// Looks up every name that has no address yet, all at once, and waits at most `wait`; blocking, for the control thread
/// while it loads. Returns what could not be found: a warning, since [`keep`] goes on trying.
pub fn first(upstreams: &[Arc<Shared>], lookup: &Lookup, wait: Duration) -> Vec<String> {
    let mut wanted: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for shared in upstreams {
        for (index, name, port) in shared.names().filter(|(index, ..)| !shared.is_resolved(*index)) {
            wanted.entry((name.to_owned(), port)).or_default().push((Arc::clone(shared), index));
        }
    }
    let (answers, inbox) = mpsc::channel();
    let names = Arc::new(Mutex::new(wanted.keys().cloned().collect::<Vec<_>>()));
    for _ in 0..wanted.len().min(AT_ONCE) {
        let (answers, names, lookup) = (answers.clone(), Arc::clone(&names), lookup.clone());
        std::thread::spawn(move || {
            loop {
                let Some((name, port)) = names.lock().pop() else { return };
                let found = lookup.ask(&name, port);
                // nobody listens any more when the wait is over
                if answers.send(((name, port), found)).is_err() {
                    return;
                }
            }
        });
    }
    drop(answers);
    let clock = Clock::real();
    let end = clock.now().after(wait);
    let mut faults = Vec::new();
    while let Ok((name, found)) = inbox.recv_timeout(end.since(clock.now())) {
        let waiting = wanted.remove(&name).unwrap_or_default();
        match found {
            Ok(found) => waiting.iter().for_each(|(shared, index)| shared.resolve(*index, found.clone())),
            Err(fault) => faults.push(fault),
        }
    }
    faults.extend(wanted.keys().map(|(name, _)| format!("`{name}`: no answer from the resolver yet")));
    faults
}

/// Looks names up again and again, for as long as it is polled; each on its own, so that a slow one holds up no other.
/// Dropping it ends all of it.
pub async fn keep(upstreams: Vec<Arc<Shared>>, clock: Clock, lookup: Lookup) {
    let mut tasks = JoinSet::new();
    for shared in &upstreams {
        for (index, name, port) in shared.names() {
            let name = name.to_owned();
            tasks.spawn(follow(Arc::clone(shared), index, name, port, clock.clone(), lookup.clone()));
        }
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

async fn follow(shared: Arc<Shared>, index: usize, name: String, port: u16, clock: Clock, lookup: Lookup) {
    let mut failing = false;
    loop {
        clock.sleep(if shared.is_resolved(index) { REFRESH } else { RETRY }).await;
        let (ask, asked) = (lookup.clone(), name.clone());
        let Ok(found) = tokio::task::spawn_blocking(move || ask.ask(&asked, port)).await else { return };
        let was_failing = std::mem::replace(&mut failing, found.is_err());
        match found {
            Ok(found) => shared.resolve(index, found),
            Err(fault) if !was_failing => {
                log::warn(
                    "name lookup failed, its last addresses stay in use",
                    &[("upstream", &shared.config().name), ("cause", &fault)],
                );
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
