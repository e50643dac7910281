//! Where an upstream's hosts come from when they are not listed: `dns`, `hosts` and `refresh`.

use std::net::SocketAddr;
use std::time::Duration;

use mlua::Table;

use super::Session;
use super::address;
use super::place_of;
use super::read;
use super::session::Timer;
use crate::script::bind::tasks;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::upstream::Dns;
use crate::upstream::HostConfig;

/// The word under which a function that tells hosts is among the timers.
pub(crate) const HOSTS: &str = "hosts";

/// What was declared.
#[derive(Default)]
pub(super) struct Discovery {
    pub(super) dns: Dns,
    /// How often the function is asked.
    pub(super) refresh: Option<Duration>,
    /// What the file says.
    pub(super) hosts: Vec<HostConfig>,
}

impl Discovery {
    /// Whether the hosts come from elsewhere than the list.
    pub(super) fn finds_hosts(&self) -> bool {
        self.refresh.is_some() || !self.hosts.is_empty() || matches!(self.dns, Dns::Srv { .. })
    }
}

/// The options of the upstream `name`.
pub(super) fn of(session: &Session, name: &str, typed: &Table, anchor: &Anchor) -> Discovery {
    let at = |option: &str| Anchor { path: vec![Segment::Key(option.into())], spot: Spot::Value, ..anchor.clone() };
    let mut found = Discovery::default();
    if let Some(text) = read::text(typed, "dns") {
        match dns(&text) {
            Ok(dns) => found.dns = dns,
            Err(label) => session.fault(at("dns"), format!("`{text}` says of nobody whom to ask"), label, ""),
        }
    }
    let every = read::duration(typed, "refresh");
    if let Some(function) = read::function(typed, "hosts") {
        let every = every.unwrap_or(Duration::from_secs(10)).max(Duration::from_millis(100));
        session.watched.borrow_mut().push((HOSTS, place_of(&function)));
        let argument = format!("{name} {}", every.as_secs_f64());
        session.object(tasks::identity(HOSTS, &argument, 0), String::new());
        let place = (anchor.file.clone(), anchor.line);
        session.timers.borrow_mut().push(Timer { word: HOSTS.to_owned(), argument, function, place });
        found.refresh = Some(every);
    } else if every.is_some() {
        session.fault(at("refresh"), "`refresh` says how often the function in `hosts` is asked", "there is none", "");
    }
    if matches!(found.dns, Dns::Srv { .. }) && typed.contains_key("hosts").unwrap_or(false) {
        session.fault(at("hosts"), "the hosts are those of the service in `dns`", "leave out one of the two", "");
    }
    if let Some(file) = read::text(typed, "hosts") {
        let list = session.files.read_anywhere(&file).and_then(|bytes| {
            let value = serde_json::from_slice(&bytes).map_err(|error| format!("{file} is no JSON: {error}"))?;
            told(&value).map_err(|fault| format!("{file}: {fault}"))
        });
        match list {
            Ok(hosts) => found.hosts = hosts,
            Err(fault) => {
                session.fault(at("hosts"), fault, "[\"10.0.0.1:80\", { \"address\": \"…\", \"weight\": 2 }]", "")
            }
        }
    }
    found
}

/// `dns://server`, `srv://name`, `srv://server/name`, `srv+tls://…`.
fn dns(text: &str) -> Result<Dns, String> {
    let wanted = "write \"dns://10.0.0.2:53\" or \"srv://api.internal\"";
    let (scheme, rest) = text.split_once("://").ok_or(wanted)?;
    let tls = match scheme {
        "dns" => return server(rest).map(Dns::Server),
        "srv" => false,
        "srv+tls" => true,
        _ => return Err(wanted.to_owned()),
    };
    let (server, name) = match rest.split_once('/') {
        Some((at, name)) => (Some(server(at)?), name),
        None => (None, rest),
    };
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 253 || !name.bytes().all(sound) {
        return Err(format!("`{name}` is no name with SRV records"));
    }
    Ok(Dns::Srv { name: name.to_ascii_lowercase(), server, tls })
}

/// An IP address, since nobody else could say what a name means; port 53 unless told otherwise.
fn server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = || bare.parse().ok().map(|address| SocketAddr::new(address, 53));
    text.parse()
        .ok()
        .or_else(with_port)
        .ok_or_else(|| format!("`{text}` must be an IP address, with or without a port"))
}

/// Hosts as a file or a function tells them: texts, or tables with `address`, `weight` and `backup`.
pub(crate) fn told(value: &serde_json::Value) -> Result<Vec<HostConfig>, String> {
    let list = value.as_array().ok_or("hosts are a list of addresses")?;
    let mut hosts: Vec<HostConfig> = Vec::new();
    for value in list {
        let host = host(value)?;
        if !hosts.iter().any(|known| known.address == host.address) {
            hosts.push(host);
        }
    }
    if hosts.is_empty() { Err("it names no host".to_owned()) } else { Ok(hosts) }
}

fn host(value: &serde_json::Value) -> Result<HostConfig, String> {
    let (text, table) = match value {
        serde_json::Value::String(text) => (Some(text.as_str()), None),
        serde_json::Value::Object(table) => (table.get("address").and_then(|text| text.as_str()), Some(table)),
        _ => (None, None),
    };
    let text = text.ok_or_else(|| format!("{value} is no host: a text, or a table with `address`"))?;
    let (address, _) = address::service(text, false).map_err(|(message, label)| format!("{message}: {label}"))?;
    let mut host = HostConfig { address, weight: 1, backup: false };
    for (name, value) in table.into_iter().flatten() {
        let wrong =
            || format!("`{name} = {value}` of `{text}`: hosts have `address`, `weight` (1 and up) and `backup`");
        match name.as_str() {
            "address" => {}
            "backup" => host.backup = value.as_bool().ok_or_else(wrong)?,
            "weight" => {
                let weight = value.as_f64().filter(|weight| weight.fract() == 0.0 && (1.0..=1e6).contains(weight));
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "within the range just checked"
                )]
                let weight = weight.ok_or_else(wrong)? as u32;
                host.weight = weight;
            }
            _ => return Err(wrong()),
        }
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whom_to_ask_is_an_address_or_a_service() {
        let at = |text: &str| text.parse().unwrap();
        let srv = |server, tls| Dns::Srv { name: "api.internal".into(), server, tls };
        let fine = [
            ("dns://10.0.0.2:5353", Dns::Server(at("10.0.0.2:5353"))),
            ("dns://10.0.0.2", Dns::Server(at("10.0.0.2:53"))),
            ("dns://[::1]", Dns::Server(at("[::1]:53"))),
            ("srv://Api.Internal", srv(None, false)),
            ("srv+tls://api.internal", srv(None, true)),
            ("srv://127.0.0.1:53/api.internal", srv(Some(at("127.0.0.1:53")), false)),
        ];
        for (text, wanted) in fine {
            assert_eq!(dns(text), Ok(wanted), "{text}");
        }
        for text in
            ["10.0.0.2", "dns://ns.internal", "srv://", "srv://a b", "http://x", "srv://ns/x", "dns://10.0.0.2:x"]
        {
            assert!(dns(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_texts_or_tables() {
        let list =
            json!(["10.0.0.1:80", { "address": "https://b.internal", "weight": 2, "backup": true }, "10.0.0.1:80"]);
        let hosts = told(&list).unwrap();
        assert_eq!((hosts.len(), hosts[1].weight, hosts[1].backup), (2, 2, true));
        for wrong in [
            json!("10.0.0.1:80"),
            json!([]),
            json!([1]),
            json!(["10.0.0.1"]),
            json!([{ "weight": 2 }]),
            json!([{ "address": "a:1", "weight": 0 }]),
            json!([{ "address": "a:1", "weight": 1.5 }]),
            json!([{ "address": "a:1", "wieght": 1 }]),
            json!([{ "address": "a:1", "backup": "yes" }]),
        ] {
            assert!(told(&wrong).is_err(), "{wrong}");
        }
    }
}
