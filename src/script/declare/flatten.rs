//! From the tree of groups and routes to the plan, and to the functions of this machine.

mod route;
mod steps;

use std::collections::HashMap;
use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::Value;

use super::Session;
use super::gateway;
use super::level;
use super::read;
use super::session::Block;
use super::session::Kind;
use super::session::Node;
use super::target;
use crate::plan::Levels;
use crate::plan::Plan;
use crate::plan::Timeout;
use crate::route::Condition;
use crate::script::machine::Unbound;
use crate::script::pipeline;
use crate::script::pipeline::Level;
use crate::script::pipeline::Pipeline;
use crate::script::pipeline::Pipelines;
use crate::script::policy;
use steps::Placed;
use steps::in_force;
use steps::running;
use steps::same;
use steps::steps;

/// What outer levels hand to what stands inside them.
#[derive(Clone, Default)]
struct Outer<'a> {
    host: Option<String>,
    prefix: String,
    steps: Vec<Placed>,
    when: Vec<Function>,
    conditions: Vec<Condition>,
    /// Inner to outer.
    levels: Vec<Level>,
    /// Of the groups.
    hooks: Levels,
    timeout: Option<Timeout>,
    to: Option<&'a Block>,
    /// Host globs that a template in the host of `to` may produce.
    to_hosts: Vec<String>,
}

/// Everything that was declared, put together. Faults go to the session. `pause` is asked after each route and group: a
/// worker serves requests in between.
pub(crate) async fn build(lua: &Lua, session: &Session, pause: impl AsyncFn()) -> (Plan, Pipelines) {
    let _unbound = Unbound::new(lua);
    let Top { mut plan, outer, bare, on_request, access } = Top::of(session);
    let nodes = session.nodes.take();
    let mut builder = Builder {
        session,
        plan: &mut plan,
        order: Vec::with_capacity(nodes.len()),
        pipelines: Vec::with_capacity(nodes.len()),
        names: HashMap::new(),
        todo: Vec::new(),
    };
    builder.plan.routes.reserve(nodes.len());
    let outer = Rc::new(outer);
    let unclaimed = (0..nodes.len()).rev().filter(|index| nodes[*index].claimed.is_none());
    builder.todo.extend(unclaimed.map(|index| (index, Rc::clone(&outer))));
    while let Some((index, outer)) = builder.todo.pop() {
        builder.node(&nodes[index], index, &outer);
        pause().await;
    }
    let Builder { order, mut pipelines, .. } = builder;
    plan.routes = in_order(plan.routes, &order);
    pipelines = in_order(pipelines, &order);
    session.hold_rest();
    target::check_called(session, &mut plan.upstreams);
    let timers = session.timers.borrow();
    plan.timers =
        timers.iter().map(|timer| (timer.word.clone(), timer.argument.clone(), timer.place.clone())).collect();
    plan.objects = session.objects.borrow().clone();
    let timers = timers
        .iter()
        .map(|timer| pipeline::Timer {
            word: timer.word.clone(),
            argument: timer.argument.clone(),
            function: timer.function.clone(),
        })
        .collect();
    let hashers = session.hashers.borrow().clone();
    (plan, Pipelines { on_request, bare, routes: pipelines, timers, access, hashers })
}

/// `items` by their `order`, which most files come to by themselves: only where a route is declared before the group that
/// lists it stands another between the two.
fn in_order<T>(items: Vec<T>, order: &[usize]) -> Vec<T> {
    if order.is_sorted() {
        return items;
    }
    let mut items: Vec<_> = order.iter().zip(items).collect();
    items.sort_by_key(|(at, _)| **at);
    items.into_iter().map(|(_, item)| item).collect()
}

/// What `gateway { … }` says, above every route.
struct Top<'a> {
    plan: Plan,
    outer: Outer<'a>,
    /// For requests without a route.
    bare: Pipeline,
    on_request: Option<Function>,
    access: pipeline::Access,
}

impl Top<'_> {
    fn of(session: &Session) -> Self {
        let block = session.gateway.borrow();
        let block = block.as_ref();
        let mut plan = Plan {
            gateway: gateway::plan(session, block),
            upstreams: session.upstreams.borrow().clone(),
            ..Plan::default()
        };
        let mut outer = Outer { to_hosts: plan.gateway.to_hosts.clone(), ..Outer::default() };
        let mut on_request = None;
        if let Some(block) = block {
            let own = level::read(session, block, "gateway");
            on_request = read::function(&block.options, "on_request");
            plan.gateway.hooks = Levels { on_request: on_request.is_some(), ..level::levels(&own) };
            outer.levels.push(own);
            outer.steps = steps(session, block, "gateway", "gateway");
        }
        let (cors, cors_when) = in_force(&outer.steps);
        plan.gateway.cors = cors;
        plan.gateway.steps = outer.steps.iter().map(Placed::listed).collect();
        let bare = Pipeline {
            steps: running(&outer.steps),
            when: Vec::new(),
            cors: cors_when,
            target: None,
            levels: outer.levels.clone(),
            socket: None,
        };
        Self { plan, outer, bare, on_request, access: block.map(access).unwrap_or_default() }
    }
}

/// The functions of the access log.
fn access(block: &Block) -> pipeline::Access {
    let access = read::table(&block.options, "log").and_then(|log| read::table(&log, "access"));
    let Some(access) = access else { return pipeline::Access::default() };
    let fields = read::table(&access, "fields").map(|fields| read::sorted(&fields)).unwrap_or_default();
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value.as_function()?.clone()))).collect();
    pipeline::Access { fields, when: read::function(&access, "when") }
}

struct Builder<'a, 'n> {
    session: &'a Session,
    plan: &'a mut Plan,
    /// The nodes of the plan's routes so far.
    order: Vec<usize>,
    /// Of the same routes.
    pipelines: Vec<Pipeline>,
    /// Names that routes were given, and where.
    names: HashMap<String, crate::plan::Place>,
    /// Nodes to come with what stands around them, the next one last.
    todo: Vec<(usize, Rc<Outer<'n>>)>,
}

impl<'n> Builder<'_, 'n> {
    fn node(&mut self, node: &'n Node, index: usize, outer: &Rc<Outer<'n>>) {
        match node.kind {
            Kind::Route => {
                if let Some((route, pipeline)) = self.route(node, outer) {
                    self.plan.routes.push(route);
                    self.pipelines.push(pipeline);
                    self.order.push(index);
                }
            }
            Kind::Include => self.inside(node, outer),
            Kind::Group => {
                if let Some(inner) = self.group(node, outer) {
                    self.inside(node, &Rc::new(inner));
                }
                if node.children.is_empty() && !self.session.faulty() {
                    self.session.warn(
                        "empty-group",
                        node.block.subject(),
                        format!("{} has no routes", node.block.owner),
                        "nothing runs here",
                    );
                }
            }
        }
    }

    fn inside(&mut self, node: &'n Node, outer: &Rc<Outer<'n>>) {
        self.todo.extend(node.children.iter().rev().map(|child| (*child, Rc::clone(outer))));
    }

    fn group(&mut self, node: &'n Node, outer: &Outer<'n>) -> Option<Outer<'n>> {
        let block = &node.block;
        let text = match super::pattern::group(&node.text) {
            Ok(text) => text,
            Err(fault) => {
                self.session.fault(block.subject(), fault.message, fault.label, "");
                return None;
            }
        };
        let mut inner = outer.clone();
        inner.host = self.host(block, outer, text.host)?;
        inner.prefix =
            if text.path.is_empty() { outer.prefix.clone() } else { format!("{}{}", outer.prefix, text.path) };
        let holder = format!("group {}{}", inner.host.as_deref().unwrap_or_default(), inner.prefix);
        self.enter(&mut inner, block, "group", &holder);
        Some(inner)
    }

    /// What group and route do alike: steps, conditions, functions, timeout, `to`.
    fn enter(&mut self, inner: &mut Outer<'n>, block: &'n Block, name: &'static str, holder: &str) {
        let skipped = self.skips(block, &inner.steps);
        inner.steps.retain(|placed| !skipped.iter().any(|value| same(value, &placed.value)));
        inner.steps.extend(steps(self.session, block, name, holder));
        inner.when.extend(read::function(&block.options, "when"));
        inner.conditions.extend(super::matching::read(self.session, block));
        let own = level::read(self.session, block, name);
        inner.hooks = level::both(inner.hooks, level::levels(&own));
        inner.levels.insert(0, own);
        inner.timeout = gateway::timeout(&block.options).or(inner.timeout);
        inner.to_hosts.extend(super::matching::globs(self.session, block, "to_hosts"));
        if block.options.has("to") {
            inner.to = Some(block);
        }
    }

    fn skips(&self, block: &Block, outer: &[Placed]) -> Vec<Value> {
        let Some(list) = read::table(&block.options, "skip") else { return Vec::new() };
        let values = read::list(&list);
        for (index, value) in values.iter().enumerate() {
            let mut inside = Vec::new();
            policy::flatten(value, &|_| false, &mut inside);
            let runs = |value: &Value| outer.iter().any(|placed| same(value, &placed.value));
            if !runs(value) && !inside.iter().any(|(value, _)| runs(value)) {
                let mut at = block.value(&["skip"]);
                at.path.push(crate::script::diagnose::Segment::Index(index + 1));
                let help =
                    "a step is skipped by value: give it a name with `local`, list the name outside and skip it here";
                self.session.fault(
                    at,
                    format!("{} skips a step that no outer level has", block.owner),
                    "this one does not run here anyway",
                    help,
                );
            }
        }
        // A fragment in `skip` stands for its steps.
        let mut all = values.clone();
        for value in &values {
            let mut inside = Vec::new();
            policy::flatten(value, &|_| false, &mut inside);
            all.extend(inside.into_iter().map(|(value, _)| value));
        }
        all
    }

    fn host(&self, block: &Block, outer: &Outer<'_>, host: Option<String>) -> Option<Option<String>> {
        let Some(host) = host else { return Some(outer.host.clone()) };
        let parsed = crate::route::host::Host::parse(&host);
        if let Err(message) = parsed {
            self.session.fault(block.subject(), message, "", "");
            return None;
        }
        if let Some(around) = outer.host.as_ref().filter(|around| **around != host) {
            let said = format!("{} has host `{host}`, and stands in a group of host `{around}`", block.owner);
            self.session.fault(block.subject(), said, "it could never match", "");
            return None;
        }
        if !host.contains(['.', ':', '*']) && host != "localhost" {
            let path = block.anchor.subject.as_deref().and_then(|text| text.split_whitespace().last()).unwrap_or(&host);
            self.session.warn(
                "host-or-path",
                block.subject(),
                format!("`{host}` in {} is a host, not a path", block.owner),
                format!("a path begins with `/`: \"/{path}\""),
            );
        }
        Some(Some(host))
    }
}

#[cfg(test)]
mod tests;
