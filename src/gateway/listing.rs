//! A plan as people and tools read it: what `moongate routes` prints and `/state` answers.

pub mod story;

use std::fmt::Write as _;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::clock::Moment;
use crate::downstream::Listen;
use crate::plan::Plan;
use crate::plan::Route;
use crate::plan::To;
use crate::upstream::Address;
use crate::upstream::Config;
use crate::upstream::HostConfig;
use crate::upstream::Shared;
use crate::upstream::host::written;

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// `name`, or the pattern.
    pub name: String,
    /// Methods, host and path.
    pub pattern: String,
    /// Where it goes, in the script's words; `None` when its steps answer.
    pub to: Option<String>,
    /// Its steps by word, outer levels first.
    pub steps: Vec<String>,
    /// Further conditions: how many there are, a `when` function among them.
    pub conditions: usize,
    /// `doc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// File and line.
    pub place: String,
}

/// Every route of `plan`, in the order written.
pub fn routes(plan: &Plan) -> impl Iterator<Item = Listed> {
    plan.routes.iter().map(listed)
}

/// The routes as a table for a terminal.
pub fn table(routes: &[Listed]) -> String {
    columns(&routes.iter().map(row).collect::<Vec<_>>())
}

/// Rows with straight columns; what stands last in a row may be as long as it is.
fn columns(rows: &[Vec<String>]) -> String {
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| letters(cell)).max().unwrap_or(0);
    let widths: Vec<_> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - letters(cell) + 2));
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// An upstream that runs, as JSON: its hosts as they are resolved now, how they are and how busy.
pub fn upstream(shared: &Shared, now: Moment) -> Value {
    let config = shared.config();
    let mut shown = serde_json::to_value(shared.state(now)).unwrap_or_default();
    shown["declared"] = config.hosts.iter().map(|host| address(&host.address)).collect();
    shown["place"] = place(&config.place).into();
    shown
}

/// The upstreams that `plan` declares, as JSON; how their hosts are only a running gateway knows.
pub fn upstreams(plan: &Plan) -> Vec<Value> {
    let host =
        |host: &HostConfig| json!({ "host": address(&host.address), "weight": host.weight, "backup": host.backup });
    let shown = |config: &Config| {
        json!({
            "name": config.name,
            "balance": config.balance,
            "health": config.health,
            "eject": config.eject,
            "hosts": config.hosts.iter().map(host).collect::<Vec<_>>(),
            "place": place(&config.place),
        })
    };
    plan.upstreams.iter().map(shown).collect()
}

/// Hosts, as [`upstream`] and [`upstreams`] list them, as a table for a terminal.
pub fn hosts(hosts: &Value) -> String {
    let text = |host: &Value, name: &str| host[name].as_str().unwrap_or_default().to_owned();
    let row = |host: &Value| {
        let mut notes: Vec<_> =
            host["in_flight"].as_u64().map(|busy| format!("{busy} in flight")).into_iter().collect();
        notes.extend((host["weight"] != 1).then(|| format!("weight {}", host["weight"])));
        notes.extend((host["backup"] == true).then(|| "backup".to_owned()));
        notes.extend(host["latency_ms"].as_f64().map(|millis| format!("{millis:.1} ms")));
        notes.extend(host["reason"].as_str().map(str::to_owned));
        notes.extend(host["retry_in"].as_f64().map(|left| format!("tried again in {left:.0} s")));
        vec![text(host, "host"), text(host, "state"), notes.join(", ")]
    };
    columns(&hosts.as_array().map(|hosts| hosts.iter().map(row).collect::<Vec<_>>()).unwrap_or_default())
}

/// A listener's address as a script writes it.
pub fn listen(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) if address.ip().is_unspecified() => format!(":{}", address.port()),
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{path}"),
    }
}

/// A host's address as a script writes it.
pub fn address(address: &Address) -> String {
    let scheme = if address.is_secure() { "https://" } else { "" };
    format!("{scheme}{}", written(address))
}

fn listed(route: &Route) -> Listed {
    Listed {
        name: route.name.clone(),
        pattern: route.pattern.clone(),
        to: route.to.as_ref().map(target),
        steps: route.steps.iter().map(|step| step.word.clone()).collect(),
        conditions: route.matcher.conditions.len() + usize::from(route.matcher.when),
        doc: route.doc.clone(),
        place: place(&route.place),
    }
}

fn row(route: &Listed) -> Vec<String> {
    let mut pattern = route.pattern.clone();
    if route.conditions > 0 {
        let _ = write!(pattern, " +{}", route.conditions);
    }
    let to = route.to.as_ref().map_or_else(|| "steps answer".to_owned(), |to| format!("→ {to}"));
    vec![pattern, to, route.steps.join(", "), route.place.clone()]
}

fn target(to: &To) -> String {
    match to {
        To::Upstream(name, prefix) if prefix.is_empty() || prefix == "/" => name.clone(),
        To::Upstream(name, prefix) => format!("{name}{prefix}"),
        To::Template(text) => text.clone(),
        To::Function => "function".to_owned(),
        To::Split(shares, _) => {
            shares.iter().map(|(name, weight)| format!("{name} {weight}")).collect::<Vec<_>>().join(", ")
        }
    }
}

fn place((file, line): &(String, u32)) -> String {
    format!("{file}:{line}")
}

fn letters(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;

    fn plan() -> Plan {
        let step = |word: &str| Step { word: word.into(), ..Step::default() };
        let users = Route {
            name: "users".into(),
            pattern: "GET /users/{id}".into(),
            to: Some(To::Upstream("users".into(), String::new())),
            steps: vec![step("request_id"), step("function")],
            place: ("gateway.lua".into(), 5),
            ..Route::default()
        };
        let mut hello = Route { pattern: "/hello".into(), place: ("more.lua".into(), 12), ..Route::default() };
        hello.matcher.when = true;
        Plan { routes: vec![users, hello], ..Plan::default() }
    }

    #[test]
    fn a_table_with_straight_columns() {
        let expected = "  GET /users/{id}  → users       request_id, function  gateway.lua:5\n  \
                          /hello +1        steps answer                        more.lua:12\n";
        assert_eq!(table(&routes(&plan()).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn the_same_as_json() {
        let json = serde_json::to_value(routes(&plan()).collect::<Vec<_>>()).unwrap();
        assert_eq!(json[0]["to"], "users");
        assert_eq!(json[0]["steps"][0], "request_id");
        assert_eq!(json[1]["place"], "more.lua:12");
    }

    #[test]
    fn addresses_as_they_are_written() {
        assert_eq!(listen(&Listen::Tcp("[::]:8080".parse().unwrap())), ":8080");
        assert_eq!(listen(&Listen::Tcp("127.0.0.1:1".parse().unwrap())), "127.0.0.1:1");
        let tcp = |host: &str, tls| address(&Address::Tcp { host: host.into(), port: 80, tls });
        assert_eq!(tcp("::1", true), "https://[::1]:80");
        assert_eq!(tcp("a.b", false), "a.b:80");
        assert_eq!(address(&Address::Echo), "echo:");
    }
}
