//! A generation as the data path sees it: routes, settings, upstreams and hooks of one worker.

mod setting;

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::downstream::Door;
use crate::downstream::Listen;
use crate::http::Body;
use crate::http::Method;
use crate::plan::Plan;
use crate::primitive::concurrency::Concurrency;
use crate::primitive::cors::Cors;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Hooks;
use crate::proxy::Wants;
use crate::proxy::access::Format;
use crate::proxy::cors;
use crate::proxy::watch::Shelf;
use crate::proxy::watch::Watch;
use crate::route::Found;
use crate::route::Json;
use crate::route::Params;
use crate::route::Table;
use crate::route::View;
use crate::route::search::Asks;
use crate::transform::template::Escape;
use crate::transform::template::Template;
use crate::upstream::Address;
use crate::upstream::Balance;
use crate::upstream::Config;
use crate::upstream::HashBy;
use crate::upstream::Upstream;

pub use setting::Host;
pub use setting::Rewrite;
pub use setting::Setting;
pub use setting::Target;
use setting::names_of;
use setting::reads_json;

/// One generation on one worker; a request holds it for its whole life.
pub struct Site {
    /// The parts that all workers share.
    pub shared: Arc<Shared>,
    /// This worker's view of the plan's upstreams, same index.
    pub upstreams: Vec<Rc<Upstream>>,
    /// This worker's hooks.
    pub hooks: Rc<dyn Hooks>,
    /// The one request this is for, where somebody watches it; all others have none of it.
    pub watch: Option<Rc<Watch>>,
}

/// The parts of a generation that all workers share.
pub struct Shared {
    /// Which generation, counted from 1.
    pub generation: u64,
    /// What the script declared.
    pub plan: Arc<Plan>,
    /// Which route a request belongs to.
    pub routes: Arc<Table>,
    /// What each route says beyond its pattern, same index as in the plan.
    pub settings: Vec<Setting>,
    /// The plan's upstreams by name.
    pub names: BTreeMap<String, usize>,
    /// The bounds on what upstreams are asked at a time (`limit`), by name.
    pub bounds: BTreeMap<String, Arc<Concurrency>>,
    /// Which upstreams are asked by their own name unless told otherwise (`https://` addresses given by name).
    pub own_name: Vec<bool>,
    /// What each upstream's `hash_by` says, same index; `None` where it is a function.
    pub hash_by: Vec<Option<Template>>,
    /// The gateway's own cross-origin policy, for requests without a route.
    pub cors: Option<Arc<Cors>>,
    /// Whether any route, or the gateway, has one.
    pub has_cors: bool,
    /// How an access log line looks; `None` when there is none.
    pub access: Option<Format>,
    /// Show script errors to clients (`--dev`).
    pub dev: bool,
    /// What is spoken where.
    pub doors: Vec<(Listen, Arc<Door>)>,
    /// Which requests are watched; the same for every generation.
    pub watches: Arc<Shelf>,
    /// Every secret that the script named, which nobody who watches is shown.
    pub secrets: Vec<(String, Arc<[u8]>)>,
}

impl Shared {
    /// Prepares `plan`, whose routes are in the table; the faults are for the script's author.
    pub fn build(plan: Arc<Plan>, routes: Arc<Table>, generation: u64, dev: bool) -> Result<Self, Vec<String>> {
        let names: BTreeMap<_, _> =
            plan.upstreams.iter().enumerate().map(|(index, upstream)| (upstream.name.clone(), index)).collect();
        let own_name = plan
            .upstreams
            .iter()
            .map(|upstream| upstream.hosts.iter().any(|host| is_named_https(&host.address)))
            .collect();
        let mut faults = Vec::new();
        let mut settings = Vec::with_capacity(plan.routes.len());
        let mut policies = cors::Policies::default();
        let bare = policies.get(plan.gateway.cors.as_ref()).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        for (route, params) in plan.routes.iter().zip(routes.params()) {
            let built = policies.get(route.cors.as_ref());
            let built = built.and_then(|cors| Setting::build(route, params, &plan, &names, cors));
            match built {
                Ok(setting) => settings.push(setting),
                Err(fault) => {
                    faults.push(format!("{}:{}: route `{}`: {fault}", route.place.0, route.place.1, route.pattern))
                }
            }
        }
        drop(policies);
        let access = Format::build(&plan.gateway.log).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let has_cors = bare.is_some() || settings.iter().any(|setting| setting.cors.is_some());
        let doors = Vec::new();
        let hash_by = hash_by(&plan, &routes).map_err(|fault| vec![fault])?;
        let reads: Vec<_> = hash_by.iter().map(|template| template.as_ref().is_some_and(reads_json)).collect();
        let (any_reads, logged) = (reads.contains(&true), access.as_ref().is_some_and(Format::asks));
        for setting in &mut settings {
            let hashed = setting.to.may_reach(|index| plan.upstreams[index].balance == Balance::Hash);
            // Where `to` is known per request only, it may lead to any of them.
            setting.reads_body |= any_reads && setting.to.may_reach(|index| reads[index]);
            setting.reads_params |= logged || hashed;
        }
        Ok(Self {
            generation,
            routes,
            settings,
            names,
            bounds: BTreeMap::new(),
            own_name,
            hash_by,
            cors: bare,
            has_cors,
            access,
            dev,
            plan,
            doors,
            watches: Arc::default(),
            secrets: Vec::new(),
        })
    }

    /// What is spoken at a listener; `None` where it was not declared with anything.
    pub fn door(&self, at: &Listen) -> Option<&Arc<Door>> {
        self.doors.iter().find(|(known, _)| known == at).map(|(_, door)| door)
    }
}

impl Site {
    /// The route of `exchange` as its request stands; its parameters are set.
    ///
    /// `method` stands in for the request's own: that of the request a preflight announces.
    pub(crate) fn route(&self, exchange: &Rc<Exchange>, method: Option<&Method>) -> Result<Found, Failure> {
        let mut params = Params::default();
        let mut json = None;
        let found = loop {
            let request = exchange.request.borrow();
            let view = View {
                method: method.unwrap_or(&request.method),
                host: &request.host,
                path: &request.path,
                query: request.query.as_deref(),
                headers: &request.headers,
                sni: exchange.tls().and_then(|session| session.sni.as_deref()),
                json: match &json {
                    None => Json::Unread,
                    Some(None) => Json::None,
                    Some(Some(value)) => Json::Value(value),
                },
            };
            let found = self.shared.routes.find(&view, &mut params, &mut Asked { site: self, exchange })?;
            let readable = !matches!(request.body, Body::Stream(_));
            if found != Found::NeedsBody || !readable || json.is_some() {
                break found;
            }
            drop(request);
            json = Some(exchange.request.borrow().body.at_hand().and_then(|bytes| serde_json::from_slice(bytes).ok()));
        };
        *exchange.params.borrow_mut() = params;
        Ok(found)
    }
}

/// What a lookup asks about the routes of a site.
struct Asked<'a> {
    site: &'a Site,
    exchange: &'a Rc<Exchange>,
}

impl Asks<Failure> for Asked<'_> {
    fn reads_params(&self, route: usize) -> bool {
        self.site.shared.settings[route].reads_params || self.site.hooks.wants(Some(route)) != Wants::default()
    }

    fn when(&mut self, route: usize, params: &Params) -> Result<bool, Failure> {
        // A `when` function sees the parameters its route would have.
        self.exchange.params.borrow_mut().clone_from(params);
        self.site.hooks.when(self.exchange, route)
    }
}

/// `hash_by` of each upstream that is balanced by it; path parameters may be those of any route.
fn hash_by(plan: &Plan, routes: &Table) -> Result<Vec<Option<Template>>, String> {
    let params = LazyCell::new(|| routes.params().iter().flat_map(|params| names_of(params)).collect::<Vec<_>>());
    let parse = |upstream: &Config| match &upstream.hash_by {
        HashBy::Template(text) if upstream.balance == Balance::Hash => Template::parse(text, Escape::Plain, &params)
            .map(Some)
            .map_err(|fault| format!("upstream `{}`: hash_by: {fault}", upstream.name)),
        HashBy::Template(_) | HashBy::Function => Ok(None),
    };
    plan.upstreams.iter().map(parse).collect()
}

fn is_named_https(address: &Address) -> bool {
    matches!(address, Address::Tcp { host, tls: true, .. } if host.parse::<std::net::IpAddr>().is_err())
}
