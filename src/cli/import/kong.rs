//! A declarative configuration of Kong: services, routes and upstreams as they are, plugins as steps in Kong's order.
//!
//! Of a plugin that is written at several levels the innermost counts, as in Kong; an instance that several routes have
//! is one value here, so that its counters stay common.

mod people;
mod plugins;
mod routes;
mod services;

use std::collections::BTreeMap;

use serde_json::Value;

use super::draft::Draft;
use super::items;
use super::lua;
use super::text;
use super::texts;
use people::People;

/// The script for `config`.
pub(super) fn draft(config: &Value) -> Result<Draft, String> {
    if config["_format_version"].is_null() {
        return Err("no declarative configuration of Kong: it has no `_format_version`".to_owned());
    }
    let routes = routes(config);
    if routes.is_empty() {
        return Err("it has no routes: there is nothing to serve".to_owned());
    }
    let mut draft = Draft::default();
    draft.line("-- By `moongate import kong`: a script to begin with, to be read before it runs.");
    draft.gap();
    draft.line("gateway { listen = \":8080\" }");
    draft.gap();
    services::write(config, &mut draft);
    let people = People::read(config);
    let used = used(config, &routes);
    people.write(used.values().flat_map(|list| list.iter().map(|plugin| text(plugin.value, "name"))), &mut draft);
    let shared = shared(&used, &people, &mut draft);
    for (at, route) in routes.iter().enumerate() {
        let steps = steps(&used[&at], &shared, &people, &mut draft);
        routes::write(route, &steps, &mut draft);
    }
    beside(config, &mut draft);
    Ok(draft)
}

/// A route, and the service it leads to.
pub(super) struct Route<'a> {
    value: &'a Value,
    service: Option<&'a Value>,
}

/// A plugin in force, and what it was written for.
#[derive(Clone, Copy)]
struct Plugin<'a> {
    value: &'a Value,
    owner: &'a str,
}

impl Plugin<'_> {
    /// The same for all routes that have this instance.
    fn id(&self) -> usize {
        std::ptr::from_ref(self.value).addr()
    }
}

fn routes(config: &Value) -> Vec<Route<'_>> {
    let services = items(config, "services");
    let nested = services
        .iter()
        .flat_map(|service| items(service, "routes").iter().map(move |value| Route { value, service: Some(service) }));
    let beside = items(config, "routes").iter().map(|value| {
        let service = services.iter().find(|service| refers(&value["service"], service));
        Route { value, service }
    });
    nested.chain(beside).collect()
}

/// Whether `reference` (a name, or a table with name or id) means `whom`; the name of a consumer is its `username`.
fn refers(reference: &Value, whom: &Value) -> bool {
    let [name, username, id] = names(reference);
    let wanted = [reference.as_str(), name, username, id];
    wanted.into_iter().flatten().any(|name| names(whom).contains(&Some(name)))
}

fn names(value: &Value) -> [Option<&str>; 3] {
    ["name", "username", "id"].map(|name| value[name].as_str())
}

/// The plugins of each route, in the order they run.
fn used<'a>(config: &'a Value, routes: &[Route<'a>]) -> BTreeMap<usize, Vec<Plugin<'a>>> {
    let all = routes.iter().enumerate();
    all.map(|(at, route)| {
        let mut found: BTreeMap<&str, Plugin<'a>> = BTreeMap::new();
        // The innermost level comes last.
        for plugin in everywhere(config).chain(of_service(config, route)).chain(of_route(config, route)) {
            found.insert(text(plugin.value, "name"), plugin);
        }
        let mut list: Vec<_> = found.into_values().filter(|plugin| plugin.value["enabled"] != false).collect();
        list.sort_by_key(|plugin| std::cmp::Reverse(plugins::priority(text(plugin.value, "name"))));
        (at, list)
    })
    .collect()
}

fn everywhere(config: &Value) -> impl Iterator<Item = Plugin<'_>> {
    let global =
        |plugin: &&Value| ["service", "route", "consumer", "consumer_group"].iter().all(|of| plugin[of].is_null());
    items(config, "plugins").iter().filter(global).map(|value| Plugin { value, owner: "every" })
}

fn of_service<'a>(config: &'a Value, route: &Route<'a>) -> impl Iterator<Item = Plugin<'a>> {
    let service = route.service;
    let owner = service.map_or("", |service| text(service, "name"));
    let named = items(config, "plugins").iter().filter(move |plugin| {
        plugin["route"].is_null()
            && plugin["consumer"].is_null()
            && service.is_some_and(|service| refers(&plugin["service"], service))
    });
    let own = service.map_or(&[][..], |service| items(service, "plugins"));
    own.iter().chain(named).map(move |value| Plugin { value, owner })
}

fn of_route<'a>(config: &'a Value, route: &Route<'a>) -> impl Iterator<Item = Plugin<'a>> {
    let value = route.value;
    let owner = text(value, "name");
    let named = items(config, "plugins")
        .iter()
        .filter(move |plugin| plugin["consumer"].is_null() && refers(&plugin["route"], value));
    items(value, "plugins").iter().chain(named).map(move |value| Plugin { value, owner })
}

/// The plugins that several routes have, each bound to a name.
fn shared(used: &BTreeMap<usize, Vec<Plugin<'_>>>, people: &People, draft: &mut Draft) -> BTreeMap<usize, String> {
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    used.values().flatten().for_each(|plugin| *times.entry(plugin.id()).or_default() += 1);
    let mut names = BTreeMap::new();
    for plugin in used.values().flatten().filter(|plugin| times[&plugin.id()] > 1) {
        if names.contains_key(&plugin.id()) {
            continue;
        }
        let kind = text(plugin.value, "name");
        let Some(step) = plugins::step(kind, &plugin.value["config"], people, draft) else { continue };
        let name = lua::name(&format!("{} {kind}", plugin.owner));
        draft.line(format_args!("local {name} = {step}"));
        names.insert(plugin.id(), name);
    }
    draft.gap();
    names
}

fn steps(list: &[Plugin<'_>], shared: &BTreeMap<usize, String>, people: &People, draft: &mut Draft) -> Vec<String> {
    let step = |plugin: &Plugin<'_>| {
        let known = shared.get(&plugin.id()).cloned();
        known.or_else(|| plugins::step(text(plugin.value, "name"), &plugin.value["config"], people, draft))
    };
    list.iter().filter_map(step).collect()
}

/// What no route comes of.
fn beside(config: &Value, draft: &mut Draft) {
    let own = items(config, "consumers").iter().flat_map(|consumer| items(consumer, "plugins"));
    let named = items(config, "plugins");
    let named = named.iter().filter(|plugin| !plugin["consumer"].is_null() || !plugin["consumer_group"].is_null());
    for plugin in own.chain(named) {
        let kind = text(plugin, "name");
        draft.note(format!(
            "plugin {kind} of a consumer: not translated; a function in rate_limit may ask for req.user"
        ));
    }
    for (name, what) in
        [("certificates", "gateway { tls = … }"), ("snis", "gateway { tls = … }"), ("vaults", "secret \"NAME\"")]
    {
        if !items(config, name).is_empty() {
            draft.note(format!("{name}: not translated; see {what}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::draft;

    #[test]
    fn nobody_comes_in_by_a_credential_that_is_empty() {
        let config = json!({
            "_format_version": "3.0",
            "services": [{
                "name": "s", "host": "a.dev", "routes": [{ "name": "r", "paths": ["/a"] }],
                "plugins": [{ "name": "key-auth" }, { "name": "basic-auth" }, { "name": "jwt" }],
            }],
            "consumers": [{
                "username": "ann",
                "keyauth_credentials": [{}],
                "basicauth_credentials": [{ "username": "ann" }, { "username": "eve", "password": "known" }],
                "jwt_secrets": [{ "key": "i", "secret": "" }],
            }],
        });
        let draft = draft(&config).unwrap();
        let script = draft.text();
        for said in ["local keys = {}", "local secrets = {}", "eve = { password = \"known\""] {
            assert!(script.contains(said), "{said}: {script}");
        }
        assert!(!script.contains("ann = {"), "{script}");
        assert!(draft.notes().iter().any(|note| note.contains("is left out")), "{:?}", draft.notes());
    }
}
