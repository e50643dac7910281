//! What a route says beyond its pattern, ready for use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::HostRule;
use crate::plan::Plan;
use crate::plan::Timeout;
use crate::plan::To;
use crate::primitive::cors::Cors;
use crate::primitive::glob::Glob;
use crate::primitive::split::Split;
use crate::route::pattern::Parameter;
use crate::transform::template::Escape;
use crate::transform::template::Template;
use crate::upstream::Retry;

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
    /// Whether a template or a function here, other than the route's hooks, may read the parameters of its path.
    pub reads_params: bool,
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
    pub(super) fn may_reach(&self, is: impl Fn(usize) -> bool) -> bool {
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

impl Setting {
    pub(super) fn build(
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
        let reads_params = matches!(&to, Target::Template(_) | Target::Function | Target::Split(..))
            || matches!(&path, Rewrite::Template(_))
            || matches!(&host, Host::Template(_))
            || route.cors.as_ref().is_some_and(|cors| cors.when)
            || route.upgrade.as_ref().is_some_and(|upgrade| upgrade.functions);
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
            reads_params,
            origins,
        })
    }
}

/// The names of path parameters.
pub(super) fn names_of(params: &[Parameter]) -> Vec<String> {
    params.iter().map(|parameter| parameter.name.to_string()).collect()
}

/// Whether a template reads the request's body.
pub(super) fn reads_json(template: &Template) -> bool {
    template.mentions("json")
}

fn compile_globs(option: &str, patterns: &[String]) -> Result<Vec<Glob>, String> {
    patterns.iter().map(|pattern| Glob::new(pattern).map_err(|fault| format!("{option}: {fault}"))).collect()
}
