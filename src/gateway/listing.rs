//! A plan as people and tools read it: what `moongate routes` prints and `/state` answers.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::downstream::Listen;
use crate::plan::Plan;
use crate::plan::Route;
use crate::plan::To;
use crate::upstream::Address;
use crate::upstream::Member;
use crate::upstream::Shared;

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// File and line.
    pub place: String,
}

/// Every route of `plan`, in the order written.
pub fn routes(plan: &Plan) -> Vec<Listed> {
    plan.routes.iter().map(listed).collect()
}

/// The routes as a table for a terminal.
pub fn table(routes: &[Listed]) -> String {
    let rows: Vec<_> = routes.iter().map(row).collect();
    let width = |column: fn(&[String; 4]) -> &String| rows.iter().map(|row| letters(column(row))).max().unwrap_or(0);
    let (first, second, third) = (width(|row| &row[0]), width(|row| &row[1]), width(|row| &row[2]));
    let mut out = String::new();
    for [pattern, to, steps, place] in &rows {
        let mut line = String::new();
        for (text, width) in [(pattern, first), (to, second), (steps, third)] {
            line.push_str(text);
            line.extend(std::iter::repeat_n(' ', width - letters(text) + 2));
        }
        let _ = writeln!(out, "  {line}{place}");
    }
    out
}

/// An upstream that runs, as JSON: its hosts as they are resolved now, and how busy they are.
pub fn upstream(shared: &Shared) -> Value {
    let config = shared.config();
    let host = |member: &Member| {
        json!({
            "host": &**member.host.label(),
            "reach": member.host.reach(),
            "weight": member.weight,
            "backup": member.backup,
            "in_flight": member.host.in_flight(),
        })
    };
    json!({
        "name": config.name,
        "balance": config.balance,
        "declared": config.hosts.iter().map(|host| address(&host.address)).collect::<Vec<_>>(),
        "hosts": shared.members().iter().map(host).collect::<Vec<_>>(),
        "place": place(&config.place),
    })
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
    match address {
        Address::Tcp { host, port, tls } => {
            let scheme = if *tls { "https://" } else { "" };
            if host.contains(':') { format!("{scheme}[{host}]:{port}") } else { format!("{scheme}{host}:{port}") }
        }
        Address::Unix(path) => format!("unix:{path}"),
        Address::Echo => "echo:".to_owned(),
    }
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

fn row(route: &Listed) -> [String; 4] {
    let mut pattern = route.pattern.clone();
    if route.conditions > 0 {
        let _ = write!(pattern, " +{}", route.conditions);
    }
    let to = route.to.as_ref().map_or_else(|| "steps answer".to_owned(), |to| format!("→ {to}"));
    [pattern, to, route.steps.join(", "), route.place.clone()]
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
        assert_eq!(table(&routes(&plan())), expected);
    }

    #[test]
    fn the_same_as_json() {
        let json = serde_json::to_value(routes(&plan())).unwrap();
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
