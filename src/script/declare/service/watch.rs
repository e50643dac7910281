//! `balance`, `hash_by`, `health`, `eject`: how hosts are chosen and watched.

use mlua::Table;
use mlua::Value;

use crate::net::proxy_header::Version;
use crate::script::declare::Session;
use crate::script::declare::read;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::upstream::Balance;
use crate::upstream::Eject;
use crate::upstream::HashBy;
use crate::upstream::Health;
use crate::upstream::health::Check;

/// Where `path` of a declaration has its value, or its key.
pub(super) fn at(anchor: &Anchor, path: &[&str], spot: Spot) -> Anchor {
    let path = path.iter().map(|key| Segment::Key((*key).into())).collect();
    Anchor { path, spot, ..anchor.clone() }
}

/// `balance` and `hash_by`: the second alone means `hash`.
pub(super) fn balance(session: &Session, typed: &Table, anchor: &Anchor, name: &str) -> (Balance, HashBy) {
    let balance = match read::text(typed, "balance").as_deref() {
        Some("round_robin") => Some(Balance::RoundRobin),
        Some("random") => Some(Balance::Random),
        Some("first") => Some(Balance::First),
        Some("ewma") => Some(Balance::Ewma),
        Some("hash") => Some(Balance::Hash),
        Some(_) => Some(Balance::LeastRequest),
        None => None,
    };
    let by = match typed.raw_get("hash_by") {
        Ok(Value::Function(function)) => {
            session.hashers.borrow_mut().insert(name.to_owned(), function);
            Some(HashBy::Function)
        }
        Ok(Value::String(text)) => Some(HashBy::Template(text.to_string_lossy())),
        _ => None,
    };
    if by.is_some() && balance.is_some_and(|balance| balance != Balance::Hash) {
        let said = "`hash_by` is for `balance = \"hash\"`";
        session.fault(at(anchor, &["hash_by"], Spot::Key), said, "leave out one of the two", "");
    }
    let usual = if by.is_some() { Balance::Hash } else { Balance::default() };
    (balance.unwrap_or(usual), by.unwrap_or_default())
}

/// `health = { … }`
pub(super) fn health(session: &Session, typed: &Table, anchor: &Anchor) -> Option<Health> {
    let table = read::table(typed, "health")?;
    let usual = Health::default();
    let stands = |option: &&str| !matches!(table.raw_get(*option), Ok(Value::Nil) | Err(_));
    let asked: Vec<_> = ["path", "tcp", "grpc"].into_iter().filter(stands).collect();
    if let [first, second, ..] = asked[..] {
        let said = format!("a check asks one thing, and this has `{first}` and `{second}`");
        session.fault(at(anchor, &["health", second], Spot::Key), said, "leave out one of them", "");
    }
    for (kind, option, why) in [
        ("tcp", "status", "a connection has none"),
        ("tcp", "host", "a connection has none"),
        ("grpc", "status", "it has a state of its own"),
    ] {
        if asked.contains(&kind) && stands(&option) {
            let said = format!("`{option}` is for checks that ask a `path`");
            session.fault(at(anchor, &["health", option], Spot::Key), said, why, "");
        }
    }
    let check = match asked[..] {
        ["tcp", ..] => Check::Tcp,
        ["grpc", ..] => grpc(session, &table, anchor),
        _ => http(session, &table, anchor),
    };
    let health = Health {
        check,
        every: read::duration(&table, "every").unwrap_or(usual.every),
        timeout: read::duration(&table, "timeout").unwrap_or(usual.timeout),
        rise: read::small(&table, "rise").unwrap_or(usual.rise),
        fall: read::small(&table, "fall").unwrap_or(usual.fall),
    };
    if health.every < SHORTEST {
        session.fault(
            at(anchor, &["health", "every"], Spot::Value),
            "hosts are checked at most ten times a second",
            "write \"100ms\" or more",
            "",
        );
    }
    let written = |option: &str| read::duration(&table, option).is_some();
    if health.timeout > health.every {
        if written("timeout") {
            let said = "`timeout` of a check is longer than `every`: the next would begin before it has ended";
            let at = at(anchor, &["health", "timeout"], Spot::Value);
            session.fault(at, said, "make it shorter, or `every` longer", "");
        }
        return Some(Health { timeout: health.every, ..health });
    }
    Some(health)
}

/// The shortest interval between two checks of a host.
const SHORTEST: std::time::Duration = std::time::Duration::from_millis(100);

fn http(session: &Session, table: &Table, anchor: &Anchor) -> Check {
    let path = read::text(table, "path").unwrap_or_else(|| "/healthz".to_owned());
    if !path.starts_with('/') || path.bytes().any(|byte| !byte.is_ascii_graphic()) {
        let said = format!("`{}` is no path", path.escape_debug());
        session.fault(at(anchor, &["health", "path"], Spot::Value), said, "write \"/healthz\"", "");
    }
    let host = host(session, table, anchor);
    let values = match table.raw_get::<Value>("status") {
        Ok(Value::Table(list)) => read::list(&list),
        Ok(Value::Nil) | Err(_) => Vec::new(),
        Ok(one) => vec![one],
    };
    let mut status: Vec<_> = values.iter().filter_map(range).collect();
    if status.is_empty() {
        status.push((200, 200));
    }
    Check::Http { path, host, status }
}

/// `grpc = true` or the name of a service.
fn grpc(session: &Session, table: &Table, anchor: &Anchor) -> Check {
    let service = read::text(table, "grpc").unwrap_or_default();
    if service.len() > 255 || service.bytes().any(|byte| !byte.is_ascii_graphic()) {
        let said = format!("`{}` is no name of a service", service.escape_debug());
        session.fault(at(anchor, &["health", "grpc"], Spot::Value), said, "write \"shop.Orders\", or true", "");
    }
    Check::Grpc { service, host: host(session, table, anchor) }
}

fn host(session: &Session, table: &Table, anchor: &Anchor) -> Option<String> {
    let host = read::text(table, "host");
    if host.as_ref().is_some_and(|host| host.is_empty() || host.bytes().any(|byte| !byte.is_ascii_graphic())) {
        session.fault(
            at(anchor, &["health", "host"], Spot::Value),
            "this is no host name",
            "write \"api.internal\"",
            "",
        );
    }
    host
}

/// `204` or `"2xx"`
fn range(value: &Value) -> Option<(u16, u16)> {
    if let Some(text) = value.as_string() {
        let class = u16::from(text.as_bytes().first()?.checked_sub(b'0')?) * 100;
        return Some((class, class + 99));
    }
    let status = value.as_integer().or_else(|| value.as_number().map(|number| number as i64))?;
    u16::try_from(status).ok().map(|status| (status, status))
}

/// `proxy_protocol = 1` or `2`
pub(super) fn proxy_protocol(session: &Session, typed: &Table, anchor: &Anchor) -> Option<Version> {
    let version = match read::get::<u8>(typed, "proxy_protocol")? {
        1 => Version::One,
        _ => Version::Two,
    };
    if read::text(typed, "protocol").is_some_and(|protocol| protocol != "http1") {
        let said = "`proxy_protocol` is for `protocol = \"http1\"`";
        let why = "requests of several clients share a connection of HTTP/2";
        session.fault(at(anchor, &["proxy_protocol"], Spot::Key), said, why, "");
    }
    Some(version)
}

/// `eject = true` or `{ … }`
pub(super) fn eject(typed: &Table) -> Option<Eject> {
    let usual = Eject::default();
    // as a condition a table would be true as well
    if let Ok(Value::Boolean(true)) = typed.raw_get("eject") {
        return Some(usual);
    }
    let table = read::table(typed, "eject")?;
    let (errors, ratio) = (read::small(&table, "errors"), read::get(&table, "ratio"));
    Some(Eject {
        errors: if ratio.is_some() { errors } else { errors.or(usual.errors) },
        ratio,
        sample: read::small(&table, "sample").unwrap_or(usual.sample),
        within: read::duration(&table, "within").unwrap_or(usual.within),
        cooldown: read::duration(&table, "cooldown").unwrap_or(usual.cooldown),
        most: read::get(&table, "most").unwrap_or(usual.most),
    })
}
