//! `upstream "name" { … }`: a service.

mod watch;

use std::time::Duration;

use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::Poison;
use super::Session;
use super::address;
use super::discovery;
use super::here;
use super::read;
use super::read::Fields;
use crate::primitive::units;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::options::Check;
use crate::script::options::List;
use crate::script::options::describe;
use crate::script::words;
use crate::upstream::Config;
use crate::upstream::Dns;
use crate::upstream::HostConfig;
use crate::upstream::Limit;
use crate::upstream::Pool;
use crate::upstream::Protocol;
use crate::upstream::Retry;
use crate::upstream::Timeouts;
use crate::upstream::TlsConfig;

pub(super) fn install(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    globals.raw_set("upstream", lua.create_function(|lua, arguments: MultiValue| first(lua, &arguments))?)
}

fn first(lua: &Lua, arguments: &MultiValue) -> mlua::Result<Value> {
    let session = Session::of(lua, "upstream")?;
    let Some(Value::String(name)) = arguments.front() else {
        let got = arguments.front().map_or_else(|| "nothing".to_owned(), describe);
        if !arguments.front().is_some_and(Poison::is) {
            let said = format!("`upstream` needs its name first, and got {got}");
            session.fault(here(lua, "upstream", None), said, "write upstream \"name\" { \"10.0.0.1:80\" }", "");
        }
        return lua.create_userdata(Poison).map(Value::UserData);
    };
    let name = name.to_string_lossy();
    let anchor = here(lua, "upstream", Some(&name));
    if let Some(table) = arguments.get(1) {
        return second(lua, &name, &anchor, table);
    }
    let ticket = session.pend(anchor.clone(), format!("upstream `{name}`"));
    let rest = lua.create_function(move |lua, table: Value| {
        Session::of(lua, "upstream")?.follow(ticket);
        second(lua, &name, &anchor, &table)
    })?;
    Ok(Value::Function(rest))
}

fn second(lua: &Lua, name: &str, anchor: &Anchor, table: &Value) -> mlua::Result<Value> {
    let session = Session::of(lua, "upstream")?;
    let subject = Anchor { spot: Spot::Subject, ..anchor.clone() };
    let owner = format!("upstream `{name}`");
    let Value::Table(table) = table else {
        let said = format!("{owner} needs a table after its name, and got {}", describe(table));
        let address = table.as_string().map_or_else(|| "10.0.0.1:80".to_owned(), |text| text.to_string_lossy());
        session.fault(subject, said, format!("write upstream \"{name}\" {{ \"{address}\" }}"), "");
        session.poisoned.borrow_mut().insert(name.to_owned());
        return lua.create_userdata(Poison).map(Value::UserData);
    };
    let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if !good {
        session.fault(
            subject.clone(),
            format!("`{name}` is no name for an upstream"),
            "letters, digits, `_`, `-` and `.`",
            "",
        );
    }
    if let Some(before) = session.upstreams.borrow().iter().find(|upstream| upstream.name == name) {
        let (file, line) = &before.place;
        session.fault(subject, format!("{owner} is declared twice"), format!("the first stands at {file}:{line}"), "");
    }
    let options = words::find("upstream").map(|word| word.options.as_slice()).unwrap_or_default();
    let typed = Check::new(lua, &session, anchor, &owner, List::Values).options(table, options)?;
    let config = config(&session, name, anchor, &owner, &typed);
    let found_later = config.refresh.is_some() || matches!(config.dns, Dns::Srv { .. });
    if config.hosts.is_empty() && table.raw_len() == 0 && !found_later && !session.faulty_at(anchor) {
        let said = format!("{owner} has no hosts");
        session.fault(anchor.clone(), said, format!("write upstream \"{name}\" {{ \"10.0.0.1:80\" }}"), "");
    }
    session.upstreams.borrow_mut().push(config);
    lua.create_userdata(super::Service(name.to_owned())).map(Value::UserData)
}

fn config(session: &Session, name: &str, anchor: &Anchor, owner: &str, typed: &Table) -> Config {
    let place = (anchor.file.clone(), anchor.line);
    let mut hosts: Vec<HostConfig> = Vec::new();
    for (index, value) in read::list(typed).iter().enumerate() {
        let at = Anchor { path: vec![Segment::Index(index + 1)], spot: Spot::Value, ..anchor.clone() };
        let Some(host) = host(session, value, at.clone()) else { continue };
        if hosts.iter().any(|known| known.address == host.address) {
            session.fault(
                at,
                format!("the same address stands twice in {owner}"),
                "a larger share is `weight = 2`",
                "",
            );
        }
        hosts.push(host);
    }
    let found = discovery::of(session, name, typed, anchor);
    if found.finds_hosts() && !hosts.is_empty() {
        let said = format!("{owner} has hosts in its list and elsewhere");
        session.fault(anchor.clone(), said, "leave out the list, or `hosts` and `dns`", "");
    }
    hosts.extend(found.hosts);
    let (balance, hash_by) = watch::balance(session, typed, anchor, name);
    let usual = Config::new(name, hosts);
    Config {
        dns: found.dns,
        refresh: found.refresh,
        balance,
        hash_by,
        health: watch::health(session, typed, anchor),
        eject: watch::eject(typed),
        panic_at: read::get(typed, "panic_at").unwrap_or(usual.panic_at),
        slow_start: read::duration(typed, "slow_start").unwrap_or_default(),
        timeout: timeouts(typed),
        retry: retry(session, typed, anchor).unwrap_or_default(),
        limit: limit(typed),
        pool: pool(typed),
        tls: tls(session, typed, anchor),
        protocol: protocol(read::text(typed, "protocol").as_deref()),
        proxy_protocol: watch::proxy_protocol(session, typed, anchor),
        place,
        ..usual
    }
}

fn host(session: &Session, value: &Value, at: Anchor) -> Option<HostConfig> {
    let (text, weight, backup) = match value {
        Value::String(text) => (text.to_string_lossy(), 1, false),
        Value::Table(table) => {
            let Some(text) = table.raw_get::<Option<String>>(1).ok().flatten() else {
                session.fault(at, "this host has no address", "write { \"10.0.0.1:80\", weight = 2 }", "");
                return None;
            };
            (text, read::small(table, "weight").unwrap_or(1), read::get(table, "backup").unwrap_or(false))
        }
        _ => return None,
    };
    match address::service(&text, false) {
        Ok((address, _)) => Some(HostConfig { address, weight, backup }),
        Err((message, label)) => {
            session.fault(at, message, label, "");
            None
        }
    }
}

/// An upstream for a URL in `to`, with every default.
pub(crate) fn of_url(address: crate::upstream::Address, place: crate::plan::Place) -> Config {
    Config { place, ..Config::new(address::origin(&address), vec![HostConfig { address, weight: 1, backup: false }]) }
}

fn protocol(word: Option<&str>) -> Protocol {
    match word {
        Some("h2") => Protocol::H2,
        Some("grpc") => Protocol::Grpc,
        Some("auto") => Protocol::Auto,
        _ => Protocol::Http1,
    }
}

fn timeouts(typed: &Table) -> Timeouts {
    let mut timeouts = Timeouts::default();
    if let Some(response) = read::duration(typed, "timeout") {
        timeouts.response = response;
    }
    if let Some(table) = read::table(typed, "timeout") {
        timeouts.connect = read::duration(&table, "connect").unwrap_or(timeouts.connect);
        timeouts.response = read::duration(&table, "response").unwrap_or(timeouts.response);
        timeouts.idle = read::duration(&table, "idle").unwrap_or(timeouts.idle);
    }
    timeouts
}

fn limit(typed: &Table) -> Option<Limit> {
    let table = read::table(typed, "limit")?;
    Some(Limit {
        inflight: read::small(&table, "inflight")?,
        queue: read::small(&table, "queue").unwrap_or(0),
        max_wait: read::duration(&table, "max_wait").unwrap_or(Duration::from_secs(1)),
    })
}

fn pool(typed: &Table) -> Pool {
    let usual = Pool::default();
    let Some(table) = read::table(typed, "pool") else { return usual };
    Pool {
        max: read::small(&table, "max").unwrap_or(usual.max),
        idle: read::duration(&table, "idle").unwrap_or(usual.idle),
        max_age: read::duration(&table, "max_age").unwrap_or(usual.max_age),
    }
}

/// `retry` of a route or upstream; `None` when it is not written.
pub(super) fn retry(session: &Session, typed: &impl Fields, anchor: &Anchor) -> Option<Retry> {
    let usual = Retry::default();
    if read::get::<bool>(typed, "retry") == Some(false) {
        return Some(Retry { times: 0, ..usual });
    }
    let table = read::table(typed, "retry")?;
    let mut retry = Retry {
        times: read::small(&table, "times").unwrap_or(usual.times),
        budget: read::get(&table, "budget").unwrap_or(usual.budget),
        is_unsafe: read::get(&table, "unsafe").unwrap_or(false),
        ..usual
    };
    if let Some(on) = read::table(&table, "on") {
        let on = read::list(&on);
        let has = |word: &str| {
            on.iter().any(|value| value.as_string().is_some_and(|text| text.as_bytes() == word.as_bytes()))
        };
        retry.on_connect = has("connect");
        retry.on_reset = has("reset");
        retry.on_timeout = has("timeout");
        retry.on_status = on.iter().filter_map(|value| u16::try_from(value.as_integer()?).ok()).collect();
    }
    if let Some(text) = read::text(&table, "backoff") {
        match units::range(&text) {
            Ok(range) => retry.backoff = range,
            Err(error) => {
                let at = watch::at(anchor, &["retry", "backoff"], Spot::Value);
                session.fault(at, "`backoff` must be two durations such as \"25ms..250ms\"", error.0, "");
            }
        }
    }
    Some(retry)
}

fn tls(session: &Session, typed: &Table, anchor: &Anchor) -> TlsConfig {
    let mut config = TlsConfig::default();
    let Some(table) = read::table(typed, "tls") else { return config };
    let pem = |name: &str| {
        let file = read::text(&table, name)?;
        let at = || watch::at(anchor, &["tls", name], Spot::Value);
        match session.files.read_anywhere(&file) {
            Ok(bytes) if bytes.windows(11).any(|window| window == b"-----BEGIN ") => {
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Ok(_) => {
                session.fault(at(), format!("{file} is no PEM file"), "it must have a line -----BEGIN …-----", "");
                None
            }
            Err(reason) => {
                session.fault(at(), reason, "paths are relative to the config folder", "");
                None
            }
        }
    };
    config.ca = pem("ca");
    config.cert = pem("cert");
    config.key = pem("key");
    config.sni = read::text(&table, "sni");
    config.verify = read::get(&table, "verify").unwrap_or(true);
    if !config.verify {
        session.warn(
            "unverified",
            watch::at(anchor, &["tls", "verify"], Spot::Value),
            "without `verify` anybody on the way can be this service",
            "`ca = \"ca.pem\"` trusts your own certificates",
        );
    }
    if config.cert.is_some() != config.key.is_some() && !session.faulty() {
        let at = watch::at(anchor, &["tls"], Spot::Key);
        session.fault(at, "a client certificate needs both `cert` and `key`", "one of them is missing", "");
    }
    config
}
