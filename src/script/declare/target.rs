//! `to` in all its shapes: a name, a URL, a template, weights, a function.

use mlua::Table;
use mlua::Value;

use super::Session;
use super::address;
use super::read;
use super::service;
use super::session::Block;
use crate::plan::To;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::options::check::likely_params;
use crate::script::words;
use crate::transform::Template;
use crate::transform::template::Escape;
use crate::upstream::Config;

/// What reading `to` needs to know.
pub(super) struct Scope<'a> {
    pub(super) session: &'a Session,
    /// Declared upstreams, then those made for URLs.
    pub(super) upstreams: &'a mut Vec<Config>,
    /// Path parameters of the route.
    pub(super) params: &'a [String],
    /// Host globs a template may produce.
    pub(super) to_hosts: &'a [String],
}

/// `to` of the block that has one.
pub(super) fn read(scope: &mut Scope<'_>, block: &Block) -> Option<To> {
    let at = || block.value(&["to"]);
    match read::get::<Value>(&block.options, "to")? {
        Value::Function(_) => Some(To::Function),
        Value::String(text) => text_target(scope, &text.to_string_lossy(), at()),
        service @ Value::UserData(_) => text_target(scope, &super::Service::of(&service)?, at()),
        Value::Table(shares) => split(scope, block, &shares),
        _ => None,
    }
}

fn text_target(scope: &mut Scope<'_>, text: &str, at: Anchor) -> Option<To> {
    if !text.contains(['{', '}']) {
        return one(scope, text, at).map(|(name, path)| To::Upstream(name, path));
    }
    let likely = scope.session.judged.get().then(|| likely_params(text));
    let params = likely.as_deref().unwrap_or(scope.params);
    let template = match Template::parse(text, Escape::Url, params) {
        Ok(template) => template,
        Err(error) => {
            scope.session.template(at, "to", &error, params);
            return None;
        }
    };
    match template.literal() {
        Some(literal) => one(scope, literal, at).map(|(name, path)| To::Upstream(name, path)),
        None => {
            let whole = text.starts_with('{') && !text.contains("://");
            let sided = template.fills_host() || whole;
            if template.fills_host() && scope.to_hosts.is_empty() {
                let said = "the host of `to` comes from the request";
                let help = "without a list of hosts a client could make the gateway call anything it can reach";
                scope.session.fault(at, said, "write `to_hosts = { \"*.internal\" }` beside it", help);
                return None;
            }
            if !sided && !address::looks_like_one(text) {
                let name = text.split(['/', '{']).next().unwrap_or(text);
                check_name(scope, name, at)?;
            }
            Some(To::Template(text.to_owned()))
        }
    }
}

/// The name of the upstream that `text` means, and the path of a URL.
fn one(scope: &mut Scope<'_>, text: &str, at: Anchor) -> Option<(String, String)> {
    if !address::looks_like_one(text) {
        check_name(scope, text, at)?;
        return Some((text.to_owned(), String::new()));
    }
    match address::service(text, true) {
        Ok((address, path)) => {
            let place = (at.file.clone(), at.line);
            let config = service::of_url(address, place);
            let name = config.name.clone();
            if !scope.upstreams.iter().any(|known| known.name == name) {
                scope.upstreams.push(config);
            }
            scope.session.used.borrow_mut().insert(name.clone());
            Some((name, path))
        }
        Err((message, label)) => {
            scope.session.fault(at, message, label, "");
            None
        }
    }
}

/// Tells what is wrong with services that steps call.
pub(super) fn check_called(session: &Session, upstreams: &mut Vec<Config>) {
    let scope = Scope { session, upstreams, params: &[], to_hosts: &[] };
    for (text, at) in session.called.borrow().iter() {
        let name = text.split('/').next().unwrap_or(text);
        if !address::looks_like_one(text) {
            check_name(&scope, name, at.clone());
        } else if let Err((message, label)) = address::service(text, true) {
            scope.session.fault(at.clone(), message, label, "");
        }
    }
}

fn check_name(scope: &Scope<'_>, name: &str, at: Anchor) -> Option<()> {
    if scope.session.used.borrow().contains(name) {
        return Some(());
    }
    if scope.upstreams.iter().any(|upstream| upstream.name == name) {
        scope.session.used.borrow_mut().insert(name.to_owned());
        return Some(());
    }
    // Whoever declared it with a misspelt word has been told already.
    if scope.session.poisoned.borrow().contains(name) {
        return None;
    }
    let names =
        || scope.upstreams.iter().map(|upstream| upstream.name.as_str()).filter(|name| !address::looks_like_one(name));
    if name.is_empty() {
        scope.session.fault(at, "`to` is empty", "write the name of an upstream or a URL", "");
        return None;
    }
    let said = format!("no upstream `{name}`");
    let label = match words::nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if address::service(name, true).is_ok() => format!("for an address write \"http://{name}\""),
        None if name.contains('/') => "the name alone; `rewrite` changes the path".to_owned(),
        None if name == "echo" => "did you mean \"echo:\"?".to_owned(),
        None if names().next().is_none() => format!("write upstream \"{name}\" {{ \"10.0.0.1:80\" }}"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    scope.session.fault(at, said, label, "");
    None
}

fn split(scope: &mut Scope<'_>, block: &Block, shares: &Table) -> Option<To> {
    let mut weights = Vec::new();
    for (name, value) in read::sorted(shares) {
        let mut at = block.value(&["to"]);
        at.path.push(Segment::Key(name.clone()));
        let key = Anchor { spot: crate::script::diagnose::Spot::Key, ..at };
        let (name, path) = one(scope, &name, key.clone())?;
        if !path.is_empty() {
            scope.session.fault(
                key,
                format!("`{name}{path}` has a path"),
                "the parts of a split are upstreams: declare one",
                "",
            );
            return None;
        }
        weights.push((name, crate::script::options::check::real(&value).unwrap_or_default()));
    }
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    if total <= 0.0 {
        scope.session.fault(block.value(&["to"]), "`to` splits between nothing", "write { a = 95, b = 5 }", "");
        return None;
    }
    let key = read::text(&block.options, "split_by").unwrap_or_else(|| "{ip}".to_owned());
    if let Some(error) = scope.session.unsound(&key, Escape::Plain, scope.params) {
        scope.session.template(block.value(&["split_by"]), "split_by", &error, scope.params);
    }
    Some(To::Split(weights, key))
}
