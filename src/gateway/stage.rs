//! A gateway without sockets: the real script, the real data path, stand-ins for services, and time that is turned.
//!
//! A request of a test goes through memory into the same `proxy::serve` that clients reach by a socket, and out through
//! the same pools and retries to the stand-in of its upstream.

pub(super) mod client;
pub mod explain;
mod idle;
mod ledger;
mod mocks;
pub mod replay;
mod under_way;

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;
use tokio::runtime::LocalRuntime;

use crate::cache::purge::Order;
use crate::clock::Clock;
use crate::gateway::build::Parts;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::proxy::site;
use crate::proxy::watch::Trod;
use crate::script::Program;
use crate::script::Seat;
use crate::script::forget;
use crate::script::live::Live;
use crate::script::offline::Offline;
use crate::script::suite;
use crate::script::suite::Answered;
use crate::script::suite::Asked;
use crate::script::suite::Socket;
use crate::script::suite::StandIn;
use crate::script::suite::Ticket;
use crate::suggest;
use crate::telemetry::AccessLog;
use crate::telemetry::log;
use crate::telemetry::metrics::Registry;
use crate::upstream;
use client::Client;
use idle::Driver;
use ledger::Ledger;
use ledger::Spy;
use mocks::Line;
use mocks::Mocks;
use under_way::UnderWay;

/// A script that is put on stage, once for each test.
pub struct Play {
    program: Arc<Program>,
    shared: Arc<site::Shared>,
}

impl Play {
    /// Prepares what all tests of one script share and none of them can change.
    pub fn new(program: Arc<Program>) -> Result<Self, String> {
        let (plan, routes) = (Arc::clone(program.plan()), Arc::clone(program.routes()));
        let shared = site::Shared::build(plan, routes, 1, false).map_err(|faults| faults.join("\n"))?;
        Ok(Self { program, shared: Arc::new(shared) })
    }
}

/// A gateway on stage: fresh stores, fresh machines, nothing real around it.
pub struct Stage {
    driver: Driver,
    runtime: LocalRuntime,
    workers: Vec<Rc<Worker>>,
    live: Arc<Live>,
    metrics: Registry,
    shared: Arc<site::Shared>,
    offline: Rc<Offline>,
    mocks: Rc<Mocks>,
    ledger: Rc<Ledger>,
    client: Rc<Client>,
    under_way: UnderWay,
    parts: Parts,
    begun: Cell<bool>,
    seen: RefCell<Vec<Seen>>,
}

/// What a request came to: its route, the status, the steps it met.
pub type Seen = (usize, u16, Vec<Trod>);

impl Stage {
    /// Opens `play` on `clock`, which is put back to where it began. Events of this thread's log are kept from now on.
    pub fn open(play: &Play, clock: &Clock) -> Result<Rc<Self>, String> {
        clock.rewind();
        log::keep();
        let (driver, runtime) = idle::driver(clock)?;
        let metrics = Registry::default();
        let new = |index| Worker::new(index, 1, clock.clone(), metrics.clone(), AccessLog::default());
        let (worker, control) = (new(0), new(1));
        let mocks = Mocks::new(&worker);
        for worker in [&worker, &control] {
            worker.offline(Rc::new(Line(Rc::clone(&mocks))), suite::SEED);
        }
        let upstreams = play.program.plan().upstreams.iter();
        let parts = Parts {
            program: Arc::clone(&play.program),
            shared: Arc::clone(&play.shared),
            upstreams: upstreams.map(|config| upstream::Shared::offline(config.clone())).collect(),
        };
        let stage = Self {
            client: Rc::new(Client::new(&worker)),
            under_way: UnderWay::default(),
            seen: RefCell::default(),
            ledger: Rc::default(),
            offline: Rc::new(Offline::new(suite::SEED)),
            live: Arc::new(Live::offline()),
            workers: vec![worker, control],
            shared: Arc::clone(&play.shared),
            metrics,
            mocks,
            parts,
            begun: Cell::new(false),
            runtime,
            driver,
        };
        stage.runtime.block_on(stage.raise(0))?;
        Ok(Rc::new(stage))
    }

    /// The machine for requests (0), or the one for what runs once per gateway (1).
    async fn raise(&self, index: usize) -> Result<(), String> {
        let (worker, parts) = (&self.workers[index], &self.parts);
        let (live, offline) = (Arc::clone(&self.live), Some(Rc::clone(&self.offline)));
        let seat = Seat { worker: Rc::clone(worker), live, control: index == 1, offline };
        let hooks = parts.program.open(&seat).await?;
        let site = parts.site(worker, hooks);
        let hooks = Rc::new(Spy::new(&site.hooks, &self.ledger, &self.offline));
        let site = Site { shared: Arc::clone(&site.shared), upstreams: site.upstreams.clone(), hooks, watch: None };
        worker.switch(Rc::new(site));
        Ok(())
    }

    /// What runs once per gateway begins with the first call of the test, which has put its mocks up by then.
    fn begin(&self) -> Result<(), String> {
        if self.begun.replace(true) {
            return Ok(());
        }
        self.live.commit(&self.shared.plan.objects, &self.metrics);
        if self.parts.program.runs_beside() {
            self.runtime.block_on(self.raise(1))?;
            self.driver.settle(&self.runtime)?;
        }
        Ok(())
    }

    /// How often each line of the script's files ran.
    pub fn lines(&self, tell: impl FnMut(&str, u32, u64)) {
        self.offline.lines(tell);
    }

    /// What requests came to so far, those with a route.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// What all tests share.
    pub fn shared(&self) -> &Arc<site::Shared> {
        &self.shared
    }

    /// The name under which an upstream is known: as declared, or the origin of a URL.
    fn upstream(&self, name: &str) -> Result<String, String> {
        if name.contains("://") {
            let url = url::Url::parse(name).map_err(|fault| format!("`{name}` is no URL: {fault}"))?;
            return Ok(url.origin().ascii_serialization());
        }
        let names = &self.shared.names;
        if names.contains_key(name) {
            return Ok(name.to_owned());
        }
        let near = suggest::did_you_mean(name, names.keys().map(String::as_str));
        Err(format!("no upstream `{name}`{near}"))
    }

    fn turn(&self, by: Option<Duration>) {
        self.driver.turn(by, &self.workers);
    }
}

impl suite::Stage for Stage {
    fn ask(&self, asked: Asked) -> Result<Answered, String> {
        self.begin()?;
        let seat = self.client.seat(&asked)?;
        self.ledger.begin(&seat, &asked);
        let outcome = self.driver.run(&self.runtime, &self.workers, self.client.send(&seat, &asked));
        self.complete(&seat, outcome.and_then(|answered| answered))
    }

    fn start(&self, asked: Asked) -> Result<Ticket, String> {
        self.set_out(asked)
    }

    fn is_done(&self, ticket: Ticket) -> bool {
        self.is_back(ticket)
    }

    fn finish(&self, ticket: Ticket) -> Result<Answered, String> {
        self.bring_home(ticket)
    }

    fn open(&self, asked: Asked) -> Result<(Answered, Option<Socket>), String> {
        self.open_socket(&asked)
    }

    fn wait(&self, until: &dyn Fn() -> bool, within: Option<Duration>) -> Result<bool, String> {
        self.let_happen(until, within)
    }

    fn mock(&self, upstream: &str, stand_in: StandIn) -> Result<(), String> {
        self.mocks.put(self.upstream(upstream)?, stand_in);
        Ok(())
    }

    fn down(&self, upstream: &str, host: Option<&str>, down: bool) -> Result<(), String> {
        let name = self.upstream(upstream)?;
        let site = self.workers.first().and_then(|worker| worker.site());
        if let (Some(host), Some(site), Some(&index)) = (host, site, self.shared.names.get(&name)) {
            let members = site.upstreams[index].shared().members();
            let hosts: Vec<_> = members.iter().map(|member| &**member.host.label()).collect();
            if !hosts.contains(&host) {
                return Err(format!("upstream `{name}` has no host `{host}`; it has {}", hosts.join(", ")));
            }
        }
        self.mocks.down(name, host, down);
        Ok(())
    }

    fn advance(&self, by: Duration) -> Result<(), String> {
        self.begin()?;
        self.let_happen(&|| false, Some(by)).map(drop)
    }

    fn token(&self, claims: Map<String, Value>) -> Result<String, String> {
        self.offline.token(claims, self.driver.unix())
    }

    fn purge(&self, tag: &str) -> usize {
        let order = Order { tags: vec![tag.to_owned()], ..Order::default() };
        self.live.spaces().iter().map(|(name, space)| forget(&self.live, name, space, &order)).sum()
    }

    fn metric(&self, name: &str, labels: &[(String, String)]) -> Option<f64> {
        self.metrics.sum(name, labels)
    }

    fn logs(&self) -> Vec<log::Entry> {
        log::kept()
    }

    fn trouble(&self) -> Option<String> {
        self.mocks.trouble()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.offline.close();
        self.ledger.close();
        // A worker, its generation and the machine hold each other.
        self.workers.iter().for_each(|worker| drop(worker.retire()));
        log::write();
    }
}

#[cfg(test)]
mod tests;
