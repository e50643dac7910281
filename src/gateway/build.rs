//! Makes the parts of a generation that all workers share, from what was loaded and what ran before.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::downstream::Door;
use crate::downstream::Listener;
use crate::downstream::issued::Issued;
use crate::downstream::listener::Acme;
use crate::gateway::listing;
use crate::plan::Plan;
use crate::primitive::concurrency;
use crate::primitive::concurrency::Concurrency;
use crate::proxy::Hooks;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::proxy::site;
use crate::script::Program;
use crate::upstream;
use crate::upstream::Upstream;

/// A generation, ready to be opened by every worker.
pub(super) struct Parts {
    /// The script: the same bytecode for all.
    pub(super) program: Arc<Program>,
    /// Routes and settings.
    pub(super) shared: Arc<site::Shared>,
    /// Upstreams in the plan's order. One that was there before keeps its hosts' state.
    pub(super) upstreams: Vec<Arc<upstream::Shared>>,
}

impl Parts {
    /// Builds generation number `generation`; what survives comes from `previous`, what an authority
    /// issued from `issued`.
    pub(super) fn build(
        program: Arc<Program>,
        generation: u64,
        dev: bool,
        previous: Option<&Self>,
        listeners: &[Listener],
        issued: &dyn Fn(&Acme) -> Arc<Issued>,
    ) -> Result<Self, String> {
        let (plan, routes) = (Arc::clone(program.plan()), Arc::clone(program.routes()));
        let mut shared = site::Shared::build(plan, routes, generation, dev).map_err(|faults| faults.join("\n"))?;
        let doors = Door::all(listeners, issued).map_err(|(at, fault)| format!("{}: {fault}", listing::listen(&at)))?;
        shared.doors = doors.into_iter().map(|(at, door)| (at, Arc::new(door))).collect();
        shared.watches = previous.map(|parts| Arc::clone(&parts.shared.watches)).unwrap_or_default();
        shared.secrets = program.secrets();
        shared.bounds = bounds(program.plan(), previous.map(|parts| &*parts.shared));
        let before: BTreeMap<_, _> = previous
            .map(|parts| parts.upstreams.iter().map(|shared| (shared.config().name.as_str(), &**shared)).collect())
            .unwrap_or_default();
        let upstreams = program.plan().upstreams.iter();
        let upstreams =
            upstreams.map(|config| upstream::Shared::new(config.clone(), before.get(config.name.as_str()).copied()));
        let upstreams = upstreams.collect::<Result<_, _>>()?;
        Ok(Self { shared: Arc::new(shared), upstreams, program })
    }

    /// This generation on one worker.
    pub(super) fn site(&self, worker: &Rc<Worker>, hooks: Rc<dyn Hooks>) -> Rc<Site> {
        let upstreams = self.upstreams.iter();
        let upstreams = upstreams.map(|shared| Rc::new(Upstream::new(Arc::clone(shared), Rc::clone(&worker.pools))));
        Rc::new(Site { shared: Arc::clone(&self.shared), upstreams: upstreams.collect(), hooks, watch: None })
    }
}

/// What bounds the upstreams that have a `limit`; who is under way in the previous generation counts on.
fn bounds(plan: &Plan, previous: Option<&site::Shared>) -> BTreeMap<String, Arc<Concurrency>> {
    let limited = plan.upstreams.iter().filter_map(|upstream| Some((&upstream.name, upstream.limit?)));
    let bound = limited.map(|(name, limit)| {
        let config = concurrency::Config { most: limit.inflight as usize, queue: limit.queue as usize };
        let known = previous.and_then(|previous| previous.bounds.get(name)).cloned();
        let known = known.inspect(|bound| bound.configure(config));
        (name.clone(), known.unwrap_or_else(|| Arc::new(Concurrency::new(config))))
    });
    bound.collect()
}
