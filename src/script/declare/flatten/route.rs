//! One route of the plan.

use std::collections::hash_map::Entry;

use super::Builder;
use super::Outer;
use super::Placed;
use super::in_force;
use super::running;
use crate::plan::HostRule;
use crate::plan::Route;
use crate::plan::To;
use crate::plan::Upgrade;
use crate::primitive::glob::Glob;
use crate::route::Config;
use crate::route::Slash;
use crate::route::pattern::Pattern;
use crate::script::declare::pattern;
use crate::script::declare::read;
use crate::script::declare::service;
use crate::script::declare::session::Block;
use crate::script::declare::session::Node;
use crate::script::declare::target;
use crate::script::diagnose::Segment;
use crate::script::pipeline;
use crate::script::pipeline::Pipeline;
use crate::transform::template::Escape;

impl<'n> Builder<'_, 'n> {
    /// `None` when it was faulty, and told.
    pub(super) fn route(&mut self, node: &'n Node, outer: &Outer<'n>) -> Option<(Route, Pipeline)> {
        let block = &node.block;
        let text = match pattern::route(&node.text) {
            Ok(text) => text,
            Err(fault) => {
                self.session.fault(block.subject(), fault.message, fault.label, "");
                return None;
            }
        };
        let mut inner = outer.clone();
        inner.host = self.host(block, outer, text.host)?;
        let path = pattern::join(&outer.prefix, &text.path);
        let params = self.params(node, &path)?;
        let shown = pattern::named(&text.methods, inner.host.as_deref(), &path);
        self.enter(&mut inner, block, "route", &shown);
        let config = Config {
            methods: text.methods,
            host: inner.host.clone(),
            path,
            conditions: inner.conditions.clone(),
            when: !inner.when.is_empty(),
            slash: slash(read::text(&block.options, "slash").as_deref()),
            place: block.place(),
        };
        let to = self.to(&inner, block, &params)?;
        self.needs(block, &inner.steps, &params);
        let (cors, cors_when) = in_force(&inner.steps);
        let route = Route {
            cors,
            name: self.name(block).unwrap_or_else(|| shown.clone()),
            pattern: shown,
            steps: inner.steps.iter().map(Placed::listed).collect(),
            rewrite: self.rewrite(block, &params),
            strip_prefix: self.strip_prefix(block, &config.path),
            host: self.host_rule(block, &params),
            timeout: inner.timeout,
            retry: service::retry(self.session, &block.options, &block.anchor),
            hedge: read::duration(&block.options, "hedge"),
            upgrade: self.upgrade(block, inner.to.is_some()),
            doc: read::text(&block.options, "doc"),
            hooks: inner.hooks,
            place: block.place(),
            matcher: config,
            to_hosts: inner.to_hosts,
            to,
        };
        let target =
            inner.to.filter(|_| route.to == Some(To::Function)).and_then(|block| read::function(&block.options, "to"));
        let steps = running(&inner.steps);
        let socket = read::table(&block.options, "websocket").and_then(|table| pipeline::Socket::read(&table));
        Some((route, Pipeline { steps, when: inner.when, cors: cors_when, target, levels: inner.levels, socket }))
    }

    /// The parameters of the path, which only judging asks for.
    fn params(&self, node: &Node, path: &str) -> Option<Vec<String>> {
        if self.session.judged.get() {
            return Some(Vec::new());
        }
        match Pattern::parse(path) {
            Ok(pattern) => Some(pattern.names().map(str::to_owned).collect()),
            Err(error) => {
                let mut at = node.block.subject();
                // The fault's place is known in the whole path; what stands before it comes from the groups around.
                let own = node.text.find('/').map_or("", |slash| &node.text[slash..]);
                if let Some(inside) = error.at.checked_sub(path.len() - own.len().min(path.len()))
                    && path.ends_with(own)
                {
                    let rest = &own[inside.min(own.len())..];
                    let width = if rest.starts_with('{') {
                        rest.find('}').map_or(rest.len(), |end| end + 1)
                    } else {
                        rest.find('/').unwrap_or(rest.len())
                    };
                    at.within = Some((node.text.len() - own.len() + inside, width.max(1)));
                }
                self.session.fault(at, format!("`{}`: {error}", node.text), "", "");
                None
            }
        }
    }

    fn to(&mut self, inner: &Outer<'_>, block: &Block, params: &[String]) -> Option<Option<To>> {
        let Some(source) = inner.to else {
            let mute = inner.steps.iter().all(|placed| placed.step.level == "gateway")
                && block.steps.is_empty()
                && !talks(block);
            if mute && !self.session.faulty_at(&block.anchor) {
                let said = format!("{} answers nothing", block.owner);
                self.session.fault(block.subject(), said, "write `to = \"…\"` or a step that answers", "");
            }
            return Some(None);
        };
        let upstreams = &mut self.plan.upstreams;
        let mut scope = target::Scope { session: self.session, upstreams, params, to_hosts: &inner.to_hosts };
        Some(Some(target::read(&mut scope, source)?))
    }

    /// Templates of policies that stand outside any route are checked here, where the parameters are known.
    fn needs(&self, block: &Block, steps: &[Placed], params: &[String]) {
        if self.session.judged.get() {
            return;
        }
        for placed in steps.iter().filter(|placed| placed.step.level == "route") {
            for name in placed.needs.iter().filter(|name| !params.contains(name)) {
                let said = format!("`{{{name}}}` in `{}` is no parameter of {}", placed.step.word, block.owner);
                let label = match crate::script::words::nearest(name, params.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{{{near}}}`?"),
                    None if params.is_empty() => "its path has no parameters".to_owned(),
                    None => format!("there are {}", params.join(", ")),
                };
                let (file, line) = &placed.step.place;
                let at = crate::script::diagnose::Anchor {
                    file: file.clone(),
                    line: *line,
                    word: placed.step.word.clone(),
                    ..Default::default()
                };
                self.session.fault(at, said, label, "");
            }
        }
    }

    fn name(&mut self, block: &Block) -> Option<String> {
        let name = read::text(&block.options, "name")?;
        match self.names.entry(name.clone()) {
            Entry::Vacant(free) => {
                free.insert(block.place());
            }
            Entry::Occupied(twin) => {
                let (file, line) = twin.get();
                let label = format!("the other stands at {file}:{line}");
                self.session.fault(block.value(&["name"]), format!("two routes are named `{name}`"), label, "");
            }
        }
        Some(name)
    }

    /// `websocket`
    fn upgrade(&self, block: &Block, leads: bool) -> Option<Upgrade> {
        if read::get::<bool>(&block.options, "websocket") == Some(false) {
            return None;
        }
        let Some(table) = read::table(&block.options, "websocket") else { return Some(Upgrade::default()) };
        let upgrade = Upgrade {
            idle: read::duration(&table, "idle"),
            max: read::duration(&table, "max"),
            origins: read::texts(&table, "origins").iter().map(|origin| origin.to_ascii_lowercase()).collect(),
            protocols: read::texts(&table, "protocols"),
            connections: read::small(&table, "connections"),
            functions: talks(block),
        };
        for (index, origin) in upgrade.origins.iter().enumerate() {
            let mut at = block.value(&["websocket", "origins"]);
            at.path.push(Segment::Index(index + 1));
            if let Err(fault) = Glob::new(origin) {
                self.session.fault(at, fault.to_string(), "", "");
            } else if !origin.contains("://") && origin != "*" && origin != "null" {
                let label = format!("an origin has a scheme: \"https://{origin}\"");
                self.session.fault(at, format!("`{origin}` is no origin"), label, "");
            }
        }
        if !upgrade.protocols.is_empty() && (leads || !upgrade.functions) {
            let label = "where a service answers the handshake, it chooses the subprotocol";
            self.session.fault(block.value(&["websocket", "protocols"]), "`protocols` beside `to`", label, "");
        }
        Some(upgrade)
    }

    fn template(&self, block: &Block, name: &str, escape: Escape, params: &[String]) -> Option<String> {
        let text = read::text(&block.options, name)?;
        if let Some(error) = self.session.unsound(&text, escape, params) {
            self.session.template(block.value(&[name]), name, &error, params);
            return None;
        }
        Some(text)
    }

    fn rewrite(&self, block: &Block, params: &[String]) -> Option<String> {
        let text = self.template(block, "rewrite", Escape::Url, params)?;
        if !text.starts_with(['/', '{']) {
            let label = if text.contains("://") {
                "`rewrite` is a path; the host goes into `to`".to_owned()
            } else {
                format!("write \"/{text}\"")
            };
            self.session.fault(block.value(&["rewrite"]), "`rewrite` does not begin with `/`", label, "");
        }
        if block.options.has("strip_prefix") {
            self.session.fault(
                block.value(&["strip_prefix"]),
                "`strip_prefix` beside `rewrite`",
                "`rewrite` is the whole path: one of them is enough",
                "",
            );
        }
        Some(text)
    }

    fn strip_prefix(&self, block: &Block, path: &str) -> Option<String> {
        let text = read::text(&block.options, "strip_prefix")?;
        let at = || block.value(&["strip_prefix"]);
        let fixed = path.split('{').next().unwrap_or(path);
        let bare = text.trim_end_matches('/');
        if !text.starts_with('/') {
            self.session.fault(at(), "`strip_prefix` does not begin with `/`", format!("write \"/{text}\""), "");
        } else if text.contains('{') {
            self.session.fault(at(), "`strip_prefix` is plain text", "with parameters write `rewrite`", "");
        } else if !(path.starts_with(bare) || fixed.len() < path.len() && bare.starts_with(fixed)) {
            self.session.fault(
                at(),
                format!("`strip_prefix = \"{text}\"` is not at the front of `{path}`"),
                "nothing would be taken off",
                "",
            );
        }
        Some(bare.to_owned()).filter(|bare| !bare.is_empty())
    }

    fn host_rule(&self, block: &Block, params: &[String]) -> HostRule {
        match self.template(block, "host", Escape::Header, params).as_deref() {
            None => HostRule::Auto,
            Some("keep") => HostRule::Keep,
            Some("upstream") => HostRule::Upstream,
            Some(text) => HostRule::Template(text.to_owned()),
        }
    }
}

fn slash(word: Option<&str>) -> Slash {
    match word {
        Some("redirect") => Slash::Redirect,
        Some("ignore") => Slash::Ignore,
        _ => Slash::Strict,
    }
}

/// Whether functions read the messages of its sockets.
fn talks(block: &Block) -> bool {
    let table = read::table(&block.options, "websocket");
    table.is_some_and(|table| ["open", "message", "close"].iter().any(|name| read::function(&table, name).is_some()))
}
