//! The table of a generation: built once, all faults told at once; a lookup costs the same for ten routes and ten thousand.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::route::Condition;
use crate::route::Config;
use crate::route::Params;
use crate::route::Part;
use crate::route::Slash;
use crate::route::guard;
use crate::route::guard::Guard;
use crate::route::guard::Methods;
use crate::route::guard::View;
use crate::route::host;
use crate::route::host::Host;
use crate::route::path;
use crate::route::path::Captures;
use crate::route::path::Paths;
use crate::route::pattern::Parameter;
use crate::route::pattern::Pattern;
use crate::route::pattern::Segment;
use crate::route::search;
use crate::route::search::Asks;
use crate::route::search::Found;

/// Every route of a generation, ready to be looked up.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<Box<str>, Paths, FixedState>,
    below: HashMap<Box<str>, Paths, FixedState>,
    any: Paths,
    terminals: Vec<Vec<Entry>>,
    /// Of each route, by its index in the plan.
    params: Vec<Arc<[Parameter]>>,
    needs_body: bool,
}

/// A route at the end of its path.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Index in the plan.
    pub(crate) route: usize,
    pub(crate) form: Form,
    pub(crate) methods: Arc<Methods>,
    pub(crate) guards: Arc<[Guard]>,
    pub(crate) params: Arc<[Parameter]>,
    pub(crate) when: bool,
    order: Arc<Vec<Condition>>,
}

/// How the path of an entry relates to the one written; the written one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Written,
    /// `slash = "ignore"`: the other form serves too.
    Ignored,
    /// `slash = "redirect"`: the other form leads to the written one.
    Redirect,
}

/// A mistake in a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFault {
    /// Index of the route.
    pub route: usize,
    /// The earlier route it ties with.
    pub other: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// File and line of the route, then of the other.
    pub places: Vec<(String, u32)>,
}

impl Table {
    /// Compiles routes; every fault is reported, in the order of the routes.
    pub fn build(routes: &[impl Borrow<Config>]) -> Result<Self, Vec<RouteFault>> {
        let mut builder = Builder::default();
        builder.table.params.reserve(routes.len());
        for (route, config) in routes.iter().enumerate() {
            let config = config.borrow();
            if let Err(message) = builder.add(route, config) {
                let places = vec![config.place.clone()];
                builder.faults.push(RouteFault { route, other: None, message, places });
            }
        }
        builder.finish(routes)
    }

    /// The parameters of the path of each route, by its index in the plan.
    pub fn params(&self) -> &[Arc<[Parameter]>] {
        &self.params
    }

    /// Whether any route looks into the body to decide.
    pub fn needs_body(&self) -> bool {
        self.needs_body
    }

    /// The route of a request. `params` become those of the route found, if somebody reads them.
    pub fn find<E>(&self, view: &View<'_>, params: &mut Params, asks: &mut dyn Asks<E>) -> Result<Found, E> {
        let mut search = search::Search::new(view, params, asks);
        match self.visit(view, &mut |entries, captures| search.visit(entries, captures)) {
            ControlFlow::Break(outcome) => outcome,
            ControlFlow::Continue(()) => Ok(search.mismatch()),
        }
    }

    /// Shows the entries of every terminal that host and path reach, most specific first.
    pub(crate) fn visit<B>(
        &self,
        view: &View<'_>,
        visit: &mut dyn FnMut(&[Entry], &Captures) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut visit =
            |terminal: path::Terminal, captures: &Captures| visit(&self.terminals[terminal as usize], captures);
        if !(self.exact.is_empty() && self.below.is_empty()) {
            let host = host::without_port(view.host);
            let lower;
            let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
                lower = host.to_ascii_lowercase();
                &lower
            } else {
                host
            };
            if let Some(paths) = self.exact.get(host) {
                paths.walk(view.path, &mut visit)?;
            }
            if !self.below.is_empty() {
                for parent in host::parents(host) {
                    if let Some(paths) = self.below.get(parent) {
                        paths.walk(view.path, &mut visit)?;
                    }
                }
            }
        }
        self.any.walk(view.path, &mut visit)
    }
}

#[derive(Default)]
struct Builder {
    table: Table,
    faults: Vec<RouteFault>,
    /// (terminal, method or empty for any, conditions as text) of every route without `when`.
    seen: BTreeMap<(path::Terminal, String, String), usize>,
}

impl Builder {
    fn add(&mut self, route: usize, config: &Config) -> Result<(), String> {
        let shown = &config.path;
        let pattern = Pattern::parse(shown).map_err(|error| format!("`{shown}`: {error}"))?;
        let host = config.host.as_deref().map_or(Ok(Host::Any), Host::parse)?;
        let methods = Arc::new(Methods::parse(&config.methods)?);
        let mut conditions = config.conditions.clone();
        conditions.sort_by(|left, right| guard::rank(left).cmp(&guard::rank(right)));
        conditions.dedup();
        let guards = compile(&conditions)?;
        self.table.needs_body |= guards.iter().any(Guard::needs_body);
        let params: Arc<[Parameter]> = pattern.params.into();
        self.table.params.push(Arc::clone(&params));
        let order = Arc::new(conditions);
        let entry = |form| Entry {
            route,
            form,
            methods: Arc::clone(&methods),
            guards: Arc::clone(&guards),
            params: Arc::clone(&params),
            when: config.when,
            order: Arc::clone(&order),
        };
        let written = self.table.terminal(&host, &pattern.segments);
        if !config.when {
            self.tie(written, route, &methods, &order);
        }
        self.table.terminals[written as usize].push(entry(Form::Written));
        let other = match config.slash {
            Slash::Strict => None,
            Slash::Redirect => Some(Form::Redirect),
            Slash::Ignore => Some(Form::Ignored),
        };
        if let Some(form) = other
            && let Some(segments) = path::other_form(&pattern.segments)
        {
            let terminal = self.table.terminal(&host, &segments);
            self.table.terminals[terminal as usize].push(entry(form));
        }
        Ok(())
    }

    /// Notes what `route` claims; a claim made before is a tie.
    fn tie(&mut self, at: path::Terminal, route: usize, methods: &Methods, conditions: &[Condition]) {
        let conditions = if conditions.is_empty() { String::new() } else { format!("{conditions:?}") };
        let any = [String::new()];
        let named: Vec<String> = methods.list().iter().map(ToString::to_string).collect();
        let mut clash: Option<(usize, &str)> = None;
        for method in if named.is_empty() { &any[..] } else { &named[..] } {
            match self.seen.entry((at, method.clone(), conditions.clone())) {
                std::collections::btree_map::Entry::Vacant(vacant) => drop(vacant.insert(route)),
                std::collections::btree_map::Entry::Occupied(first) if clash.is_none() => {
                    clash = Some((*first.get(), method));
                }
                std::collections::btree_map::Entry::Occupied(_) => {}
            }
        }
        if let Some((other, method)) = clash {
            let method = if method.is_empty() { String::new() } else { format!(" for {method}") };
            let message = format!("two routes match the same requests{method}, and neither is more specific");
            self.faults.push(RouteFault { route, other: Some(other), message, places: Vec::new() });
        }
    }

    fn finish(mut self, routes: &[impl Borrow<Config>]) -> Result<Table, Vec<RouteFault>> {
        if !self.faults.is_empty() {
            for fault in self.faults.iter_mut().filter(|fault| fault.places.is_empty()) {
                let both = std::iter::once(fault.route).chain(fault.other);
                fault.places = both.map(|route| routes[route].borrow().place.clone()).collect();
            }
            return Err(self.faults);
        }
        for entries in &mut self.table.terminals {
            entries.sort_by(|left, right| left.rank(right));
        }
        Ok(self.table)
    }
}

impl Table {
    fn terminal(&mut self, host: &Host, segments: &[Segment]) -> path::Terminal {
        let paths = match host {
            Host::Any => &mut self.any,
            Host::Exact(name) => self.exact.entry(name.as_str().into()).or_default(),
            Host::Below(name) => self.below.entry(name.as_str().into()).or_default(),
        };
        let terminals = &mut self.terminals;
        paths.insert(segments, || {
            terminals.push(Vec::new());
            path::Terminal::try_from(terminals.len() - 1).expect("a script cannot declare four billion routes")
        })
    }
}

impl Entry {
    /// Written form first, more conditions first, then the more telling ones, then those with `when`, then as written.
    fn rank(&self, other: &Self) -> std::cmp::Ordering {
        let ranks = |entry: &Self| entry.order.iter().map(guard::rank).map(owned).collect::<Vec<_>>();
        self.form
            .cmp(&other.form)
            .then(other.order.len().cmp(&self.order.len()))
            .then_with(|| {
                if self.order == other.order { std::cmp::Ordering::Equal } else { ranks(self).cmp(&ranks(other)) }
            })
            .then(other.when.cmp(&self.when))
            .then(self.route.cmp(&other.route))
    }
}

fn owned(rank: (u8, Part, &str, &str)) -> (u8, Part, String, String) {
    (rank.0, rank.1, rank.2.to_owned(), rank.3.to_owned())
}

/// Conditions that need the body come last: it is read only when all else holds.
fn compile(conditions: &[Condition]) -> Result<Arc<[Guard]>, String> {
    let mut guards = conditions.iter().map(Guard::new).collect::<Result<Vec<_>, _>>()?;
    guards.sort_by_key(Guard::needs_body);
    Ok(guards.into())
}
