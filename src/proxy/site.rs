//! A generation as the data path sees it: routes, settings, upstreams and hooks of one worker.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::downstream::Door;
use crate::downstream::Listen;
use crate::http::Body;
use crate::http::Method;
use crate::plan::HostRule;
use crate::plan::Plan;
use crate::plan::Timeout;
use crate::plan::To;
use crate::primitive::concurrency::Concurrency;
use crate::primitive::cors::Cors;
use crate::primitive::glob::Glob;
use crate::primitive::split::Split;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Hooks;
use crate::proxy::access::Format;
use crate::proxy::cors;
use crate::proxy::watch::Shelf;
use crate::proxy::watch::Watch;
use crate::route::Found;
use crate::route::Json;
use crate::route::Params;
use crate::route::Table;
use crate::route::View;
use crate::route::pattern::Parameter;
use crate::transform::template::Escape;
use crate::transform::template::Template;
use crate::upstream::Address;
use crate::upstream::Balance;
use crate::upstream::Config;
use crate::upstream::HashBy;
use crate::upstream::Retry;
use crate::upstream::Upstream;

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

/// A route's settings, ready for use.
pub struct Setting {
    /// Where it goes.
    pub to: Target,
    /// Hosts that a template in `to` may produce.
    pub to_hosts: Vec<Glob>,
    /// The path sent on.
    pub path: Rewrite,
    /// The Host sent on.
    pub host: Host,
    /// Time of a whole request.
    pub timeout: Timeout,
    /// Instead of the upstream's own.
    pub retry: Option<Arc<Retry>>,
    /// When another host is asked beside a slow one.
    pub hedge: Option<Duration>,
    /// The cross-origin policy in force.
    pub cors: Option<Arc<Cors>>,
    /// Whether a template here reads the request's body.
    pub reads_body: bool,
    /// Origins whose pages may open a WebSocket; empty: any.
    pub origins: Vec<Glob>,
}

/// Where a route goes.
pub enum Target {
    /// Nowhere: its steps answer.
    Nowhere,
    /// An upstream of the plan, and a path to put before the request's.
    Upstream(usize, String),
    /// Known per request only.
    Template(Template),
    /// A function decides.
    Function,
    /// A stable split between upstreams of the plan, by this key.
    Split(Split, Vec<usize>, Template),
}

impl Target {
    /// Whether it may lead to one of the plan's upstreams that `is` meant.
    fn may_reach(&self, is: impl Fn(usize) -> bool) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Upstream(index, _) => is(*index),
            Self::Split(_, members, _) => members.iter().any(|index| is(*index)),
            Self::Template(_) | Self::Function => true,
        }
    }
}

/// The path sent on.
pub enum Rewrite {
    /// As it came.
    Keep,
    /// Without this prefix.
    Strip(String),
    /// This one; it may carry a query.
    Template(Template),
}

/// The Host sent on.
pub enum Host {
    /// As the client asked, except towards an `https://` address given by name.
    Auto,
    /// As the client asked.
    Keep,
    /// The chosen host's own name.
    Upstream,
    /// This one.
    Template(Template),
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
        if reads.contains(&true) {
            settings.iter_mut().for_each(|setting| setting.reads_body |= setting.to.may_reach(|index| reads[index]));
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

impl Setting {
    fn build(
        route: &crate::plan::Route,
        params: &[Parameter],
        plan: &Plan,
        names: &BTreeMap<String, usize>,
        cors: Option<Arc<Cors>>,
    ) -> Result<Self, String> {
        let params = names_of(params);
        let template = |text: &str, escape| Template::parse(text, escape, &params).map_err(|fault| fault.to_string());
        let index = |name: &str| names.get(name).copied().ok_or_else(|| format!("no upstream `{name}`"));
        let to = match &route.to {
            None => Target::Nowhere,
            Some(To::Upstream(name, prefix)) => Target::Upstream(index(name)?, prefix.trim_end_matches('/').to_owned()),
            Some(To::Template(text)) => Target::Template(template(text, Escape::Url)?),
            Some(To::Function) => Target::Function,
            Some(To::Split(shares, key)) => {
                let members = shares.iter().map(|(name, _)| index(name)).collect::<Result<_, _>>()?;
                let weights: Vec<_> = shares.iter().map(|(_, weight)| *weight).collect();
                let split = Split::new(&route.name, &weights).map_err(|fault| fault.to_string())?;
                Target::Split(split, members, template(key, Escape::Plain)?)
            }
        };
        let path = match (&route.rewrite, &route.strip_prefix) {
            (Some(text), _) => Rewrite::Template(template(text, Escape::Url)?),
            (None, Some(prefix)) => Rewrite::Strip(prefix.clone()),
            (None, None) => Rewrite::Keep,
        };
        let host = match &route.host {
            HostRule::Auto => Host::Auto,
            HostRule::Keep => Host::Keep,
            HostRule::Upstream => Host::Upstream,
            HostRule::Template(text) => Host::Template(template(text, Escape::Header)?),
        };
        let reads_body = matches!(&to, Target::Template(t) | Target::Split(_, _, t) if reads_json(t))
            || matches!(&path, Rewrite::Template(t) if reads_json(t))
            || matches!(&host, Host::Template(t) if reads_json(t));
        let timeout = route.timeout.unwrap_or(plan.gateway.timeout);
        let to_hosts = compile_globs("to_hosts", &route.to_hosts)?;
        let origins = route.upgrade.as_ref().map_or(&[][..], |upgrade| &upgrade.origins);
        let origins = compile_globs("origins", origins)?;
        Ok(Self {
            to,
            to_hosts,
            path,
            host,
            timeout,
            retry: route.retry.clone().map(Arc::new),
            hedge: route.hedge,
            cors,
            reads_body,
            origins,
        })
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
            let found = self.shared.routes.find(&view, &mut params, &mut |route, params| {
                // A `when` function sees the parameters its route would have.
                exchange.params.borrow_mut().clone_from(params);
                self.hooks.when(exchange, route)
            })?;
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

fn names_of(params: &[Parameter]) -> Vec<String> {
    params.iter().map(|parameter| parameter.name.to_string()).collect()
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

fn reads_json(template: &Template) -> bool {
    template.mentions("json")
}

fn compile_globs(option: &str, patterns: &[String]) -> Result<Vec<Glob>, String> {
    patterns.iter().map(|pattern| Glob::new(pattern).map_err(|fault| format!("{option}: {fault}"))).collect()
}

fn is_named_https(address: &Address) -> bool {
    matches!(address, Address::Tcp { host, tls: true, .. } if host.parse::<std::net::IpAddr>().is_err())
}
