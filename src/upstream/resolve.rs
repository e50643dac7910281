//! Names become addresses on the control thread, never on a request's way: the last good set is kept.

mod question;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;

pub(crate) use question::Question;

use crate::clock::Clock;
use crate::telemetry::log;
use crate::upstream::Address;
use crate::upstream::HostConfig;
use crate::upstream::Shared;
use crate::upstream::resolve::question::Reply;

/// How often a name is looked up again where nobody tells how long an answer holds; the system's resolver does not.
const REFRESH: Duration = Duration::from_secs(10);

/// How often a name without any address is tried, and the shortest time an answer is taken to hold.
const RETRY: Duration = Duration::from_secs(1);

/// The longest time an answer is taken to hold.
const LONGEST: Duration = Duration::from_secs(300);

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
        for (index, question) in shared.questions().into_iter().filter(|(index, _)| !shared.is_resolved(*index)) {
            wanted.entry(question).or_default().push((Arc::clone(shared), index));
        }
    }
    let (answers, inbox) = mpsc::channel();
    let questions = Arc::new(Mutex::new(wanted.keys().cloned().collect::<Vec<_>>()));
    for _ in 0..wanted.len().min(AT_ONCE) {
        let (answers, questions, lookup) = (answers.clone(), Arc::clone(&questions), lookup.clone());
        std::thread::spawn(move || {
            loop {
                let Some(question) = questions.lock().pop() else { return };
                let reply = question.wait(&lookup);
                // nobody listens any more when the wait is over
                if answers.send((question, reply)).is_err() {
                    return;
                }
            }
        });
    }
    drop(answers);
    let clock = Clock::real();
    let end = clock.now().after(wait);
    let mut faults = Vec::new();
    while let Ok((question, reply)) = inbox.recv_timeout(end.since(clock.now())) {
        let waiting = wanted.remove(&question).unwrap_or_default();
        match reply {
            Ok((reply, _)) => waiting.iter().for_each(|(shared, index)| reply.clone().publish(shared, *index)),
            Err(fault) => faults.push(fault),
        }
    }
    faults.extend(wanted.keys().map(|question| format!("`{}`: no answer from the resolver yet", question.name())));
    faults
}

/// Looks names up again and again, for as long as it is polled; each on its own, so that a slow one holds up no other.
/// Dropping it ends all of it.
pub async fn keep(upstreams: Vec<Arc<Shared>>, clock: Clock, lookup: Lookup) {
    let mut tasks = JoinSet::new();
    for shared in &upstreams {
        for (index, question) in shared.questions() {
            tasks.spawn(follow(Arc::clone(shared), index, question, clock.clone(), lookup.clone()));
        }
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

async fn follow(shared: Arc<Shared>, index: usize, question: Question, clock: Clock, lookup: Lookup) {
    let mut failing = false;
    // how long the answer had while loading holds was not noted
    let mut wait = if question.tells_lifetime() { RETRY } else { REFRESH };
    loop {
        clock.sleep(if shared.is_resolved(index) { wait } else { RETRY }).await;
        let reply = question.ask(&lookup).await;
        let was_failing = std::mem::replace(&mut failing, reply.is_err());
        match reply {
            Ok((reply, lifetime)) => {
                wait = lifetime.map_or(REFRESH, |lifetime| lifetime.clamp(RETRY, LONGEST));
                reply.publish(&shared, index);
            }
            Err(fault) => {
                wait = wait.min(REFRESH);
                if !was_failing {
                    log::warn(
                        "name lookup failed, its last addresses stay in use",
                        &[("upstream", &shared.config().name), ("cause", &fault)],
                    );
                }
            }
        }
    }
}

/// Gives an upstream the hosts that a script told, names looked up. One that cannot be is said so, once for as long as that
/// lasts (`failing` remembers which); it keeps its last addresses, and without any it is left out.
pub async fn told(shared: &Arc<Shared>, hosts: Vec<HostConfig>, lookup: &Lookup, failing: &mut BTreeSet<Address>) {
    let mut found = Vec::new();
    let mut still = BTreeSet::new();
    for host in hosts {
        let reach = question::reach(&host.address, lookup).await.unwrap_or_else(|fault| {
            if !failing.contains(&host.address) && !still.contains(&host.address) {
                log::warn("no address", &[("upstream", &shared.config().name), ("cause", &fault)]);
            }
            still.insert(host.address.clone());
            Vec::new()
        });
        found.push((host, reach));
    }
    *failing = still;
    Reply::Hosts(found).publish(shared, 0);
}

#[cfg(test)]
mod tests;
