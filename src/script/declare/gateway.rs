//! `gateway { … }`: settings of the whole gateway.

use std::net::IpAddr;
use std::time::Duration;

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::Session;
use super::address;
use super::block;
use super::here;
use super::read;
use super::read::Fields;
use super::secure;
use super::secure::Said;
use super::session::Block;
use crate::downstream::Limits;
use crate::downstream::Listen;
use crate::downstream::Listener;
use crate::downstream::listener::TlsConfig;
use crate::http::path::Ambiguous;
use crate::plan::Access;
use crate::plan::Admin;
use crate::plan::Drain;
use crate::plan::Gateway;
use crate::plan::Guard;
use crate::plan::Log;
use crate::plan::ProxyStatus;
use crate::plan::Timeout;
use crate::plan::Trust;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::options::describe;
use crate::script::secret::Secret;
use crate::script::words;
use crate::telemetry::access::Target;

pub(super) fn install(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    globals.raw_set("gateway", lua.create_function(declare)?)
}

fn declare(lua: &Lua, table: Value) -> mlua::Result<()> {
    let session = Session::of(lua, "gateway")?;
    let anchor = here(lua, "gateway", None);
    let Value::Table(table) = table else {
        session.fault(
            anchor,
            format!("`gateway` needs a table, and got {}", describe(&table)),
            "write gateway { listen = \":8080\" }",
            "",
        );
        return Ok(());
    };
    let first = session.gateway.borrow().as_ref().map(Block::place);
    if let Some((file, line)) = first {
        session.fault(
            anchor.clone(),
            "`gateway` is declared twice",
            format!("the first stands at {file}:{line}; join them"),
            "",
        );
    }
    let options = words::find("gateway").map(|word| word.options.as_slice()).unwrap_or_default();
    let (block, children) = block::read(lua, &session, anchor.clone(), "gateway".to_owned(), &table, options)?;
    if let Some(child) = children.first() {
        let owner = session.nodes.borrow()[*child].block.owner.clone();
        let at = Anchor { path: vec![Segment::Index(block.steps.len() + 1)], spot: Spot::Value, ..anchor };
        session.fault(
            at,
            format!("{owner} stands inside `gateway`"),
            "routes and groups stand beside `gateway`; its list holds steps",
            "",
        );
    }
    *session.gateway.borrow_mut() = Some(block);
    Ok(())
}

/// The plan's part, from the table or from the defaults.
pub(super) fn plan(session: &Session, block: Option<&Block>) -> Gateway {
    let mut gateway = Gateway::default();
    let Some(block) = block else { return gateway };
    let options = &block.options;
    gateway.place = block.place();
    if let Said::Own(tls) = secure::read(session, &block.options, &block.anchor) {
        gateway.tls = Some(tls);
    }
    let tls = gateway.tls.as_ref();
    let usual = || gateway.listen.iter().map(|listener| Listener::usual(listener.at.clone(), tls)).collect();
    gateway.listen = listen(session, block, tls).unwrap_or_else(usual);
    admin(session, block, &mut gateway.admin);
    gateway.trust = trust(session, block);
    gateway.proxy_status = match read::get(options, "proxy_status") {
        Some(Value::Boolean(true)) => ProxyStatus::Plain,
        Some(Value::String(_)) => ProxyStatus::Full,
        _ => ProxyStatus::Off,
    };
    limits(options, &mut gateway);
    if gateway.memory < LEAST_MEMORY {
        let said = "`limits.memory` is less than a machine needs";
        session.fault(block.value(&["limits", "memory"]), said, "write \"4MB\" or more", "");
    }
    if let Some(timeout) = timeout(options) {
        gateway.timeout = timeout;
    }
    if let Some(table) = read::table(options, "drain") {
        let max = read::duration(&table, "max").unwrap_or(gateway.drain.max);
        gateway.drain = Drain { delay: read::duration(&table, "delay"), max };
    }
    if let Some(table) = read::table(options, "guard") {
        let share = read::text(&table, "script_errors").and_then(|text| text.trim_end_matches('%').parse::<f64>().ok());
        let within = read::duration(&table, "within").unwrap_or(GUARDED);
        gateway.guard = share.map(|percent| Guard { script_errors: percent.min(100.0) / 100.0, within });
    }
    log(session, block, &mut gateway.log);
    gateway.fetch_allow = super::matching::globs(session, block, "fetch_allow");
    gateway.to_hosts = super::matching::globs(session, block, "to_hosts");
    gateway
}

fn listen(session: &Session, block: &Block, tls: Option<&TlsConfig>) -> Option<Vec<Listener>> {
    let value: Value = read::get(&block.options, "listen")?;
    let values = match &value {
        Value::Table(list) => read::list(list),
        one => vec![one.clone()],
    };
    let listed = value.is_table();
    let mut listeners: Vec<Listener> = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let mut at = block.value(&["listen"]);
        if listed {
            at.path.push(Segment::Index(index + 1));
        }
        let text = match value {
            Value::Table(table) => table.raw_get::<Option<String>>(1).ok().flatten(),
            other => other.as_string().map(|text| text.to_string_lossy()),
        };
        let Some(text) = text else {
            session.fault(at, "this listener has no address", "write { \":8443\", … }", "");
            continue;
        };
        match address::listener(&text) {
            Ok(address) if listeners.iter().any(|listener| listener.at == address) => {
                session.fault(at, format!("`{text}` is listened on twice"), "one of them is enough", "");
            }
            Ok(address) => listeners.push(listener(session, address, value, tls, at)),
            Err((message, label)) => session.fault(at, message, label, ""),
        }
    }
    if values.is_empty() {
        session.fault(block.value(&["listen"]), "`listen` is an empty list", "write \":8080\"", "");
    }
    Some(listeners).filter(|listeners| !listeners.is_empty())
}

fn listener(session: &Session, at: Listen, value: &Value, tls: Option<&TlsConfig>, anchor: Anchor) -> Listener {
    let Value::Table(table) = value else { return Listener::usual(at, tls) };
    let proxy = proxies(session, table, &at, &anchor);
    let listener = match secure::read(session, table, &anchor) {
        Said::Nothing => Listener::usual(at, tls),
        Said::Off => Listener::usual(at, None),
        Said::Own(_) if matches!(at, Listen::Unix(_)) => {
            session.fault(anchor, "a Unix socket does not speak TLS", "leave out `tls`", "");
            Listener::usual(at, None)
        }
        Said::Own(own) => Listener { tls: Some(own), http2: true, ..Listener::usual(at, None) },
    };
    let http2 = read::get(table, "http2").unwrap_or(listener.http2);
    Listener { proxy, http2, ..listener }
}

/// `proxy_protocol` of a listener.
fn proxies(session: &Session, table: &Table, at: &Listen, anchor: &Anchor) -> Option<Vec<ipnet::IpNet>> {
    let table = read::table(table, "proxy_protocol")?;
    let mut anchor = anchor.clone();
    anchor.path.push(Segment::Key("proxy_protocol".to_owned()));
    let mut within = anchor.clone();
    within.path.push(Segment::Key("from".to_owned()));
    let list = read::table(&table, "from").filter(|list| list.raw_len() > 0);
    if list.is_none() && matches!(at, Listen::Tcp(_)) {
        let label = "write { from = { \"10.0.0.0/8\" } }";
        session.fault(anchor, "nobody says whose PROXY headers are believed", label, "");
    }
    Some(list.map(|list| networks(session, &list, &within)).unwrap_or_default())
}

/// The unnamed first value, when it is text.
fn first_text(table: &Table) -> Option<String> {
    let value: Value = table.raw_get(1).ok()?;
    value.as_string().map(|text| text.to_string_lossy())
}

fn admin(session: &Session, block: &Block, admin: &mut Option<Admin>) {
    let value = read::get(&block.options, "admin").unwrap_or(Value::Nil);
    let at = || block.value(&["admin"]);
    let (text, token) = match &value {
        Value::Nil => return,
        Value::Boolean(_) => {
            *admin = None;
            return;
        }
        Value::Table(table) => (
            first_text(table).or_else(|| read::text(table, "addr")).unwrap_or_else(|| "127.0.0.1:9901".to_owned()),
            table.raw_get("token").unwrap_or(Value::Nil),
        ),
        other => (other.as_string().map(|text| text.to_string_lossy()).unwrap_or_default(), Value::Nil),
    };
    let token = match (Secret::of(&token), &token) {
        (Some(secret), _) => Some(secret.name().to_owned()),
        (None, Value::Nil) => None,
        (None, _) => {
            session.fault(
                block.value(&["admin", "token"]),
                "the admin token stands in the file as text",
                "write `secret \"ADMIN_TOKEN\"`",
                "",
            );
            return;
        }
    };
    match address::listener(&text) {
        Ok(address) => {
            let loopback = match &address {
                Listen::Tcp(address) => address.ip().is_loopback(),
                Listen::Unix(_) => true,
            };
            if !loopback && token.is_none() {
                let help = "whoever reaches it can read the state of the gateway and reload it";
                session.fault(
                    at(),
                    format!("the admin listener `{text}` is open to the network without a token"),
                    "write { \"…\", token = secret \"ADMIN_TOKEN\" }",
                    help,
                );
            }
            *admin = Some(Admin { address, token, explicit: true });
        }
        Err((message, label)) => session.fault(at(), message, label, ""),
    }
}

fn trust(session: &Session, block: &Block) -> Trust {
    if let Some(hops) = read::get::<u32>(&block.options, "trust_proxies") {
        return if hops == 0 { Trust::Nobody } else { Trust::Hops(hops) };
    }
    let Some(list) = read::table(&block.options, "trust_proxies") else { return Trust::Nobody };
    let networks = networks(session, &list, &block.value(&["trust_proxies"]));
    if networks.is_empty() { Trust::Nobody } else { Trust::Networks(networks) }
}

/// Addresses and networks of a list, which stands at `anchor`.
fn networks(session: &Session, list: &Table, anchor: &Anchor) -> Vec<ipnet::IpNet> {
    let mut networks = Vec::new();
    for (index, value) in read::list(list).iter().enumerate() {
        let Some(text) = value.as_string().map(|text| text.to_string_lossy()) else { continue };
        let network = text.parse::<ipnet::IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(ipnet::IpNet::from));
        match network {
            Some(network) => networks.push(network),
            None => {
                let mut at = anchor.clone();
                at.path.push(Segment::Index(index + 1));
                session.fault(
                    at,
                    format!("`{text}` is no network"),
                    "write an address or a network such as \"10.0.0.0/8\"",
                    "",
                );
            }
        }
    }
    networks
}

fn limits(options: &impl Fields, gateway: &mut Gateway) {
    let usual = Limits::default();
    let limits = &mut gateway.limits;
    if let Some(table) = read::table(options, "limits") {
        limits.body = read::size(&table, "body").unwrap_or(usual.body);
        limits.headers = read::count(&table, "headers").unwrap_or(usual.headers);
        limits.header_count = read::count(&table, "header_count").unwrap_or(usual.header_count);
        limits.uri = read::count(&table, "uri").unwrap_or(usual.uri);
        limits.buffer = read::count(&table, "buffer").unwrap_or(usual.buffer);
        limits.connections = read::count(&table, "connections").unwrap_or(usual.connections);
        limits.per_address = read::count(&table, "per_address");
        limits.path = match read::text(&table, "path").as_deref() {
            Some("keep") => Ambiguous::Keep,
            Some("decode") => Ambiguous::Decode,
            _ => Ambiguous::Reject,
        };
        gateway.step = read::duration(&table, "step").filter(|step| !step.is_zero()).unwrap_or(gateway.step);
        gateway.memory = read::count(&table, "memory").unwrap_or(gateway.memory);
    }
    let set = |name: &str, limit: &mut Duration| *limit = read::duration(options, name).unwrap_or(*limit);
    set("header_timeout", &mut limits.header_timeout);
    set("body_timeout", &mut limits.body_timeout);
    set("idle", &mut limits.idle);
}

/// How long a reload is watched unless told otherwise.
const GUARDED: Duration = Duration::from_secs(60);

/// A machine needs half a megabyte before it has run anything.
const LEAST_MEMORY: usize = 4 << 20;

/// `timeout` of any level.
pub(super) fn timeout(options: &impl Fields) -> Option<Timeout> {
    if let Some(head) = read::duration(options, "timeout") {
        return Some(Timeout { head, total: None });
    }
    let table = read::table(options, "timeout")?;
    let usual = Timeout::default();
    Some(Timeout { head: read::duration(&table, "head").unwrap_or(usual.head), total: read::duration(&table, "total") })
}

fn log(session: &Session, block: &Block, log: &mut Log) {
    let Some(table) = read::table(&block.options, "log") else { return };
    if let Some(level) = read::text(&table, "level") {
        log.level = level;
    }
    if let Some(format) = read::text(&table, "format") {
        log.format = format;
    }
    if read::get::<bool>(&table, "access") == Some(false) {
        log.access = None;
    }
    let Some(access) = read::table(&table, "access") else { return };
    let to = read::text(&access, "to").unwrap_or_default();
    if let Err(said) = Target::parse(&to) {
        let label = "write \"stdout\", \"stderr\", \"file:access.log\", \"syslog://host:514\" or \"https://…\"";
        session.fault(block.value(&["log", "access", "to"]), said, label, "");
    }
    let fields = read::table(&access, "fields").map(|fields| read::sorted(&fields)).unwrap_or_default();
    log.access = Some(Access {
        fields: fields
            .into_iter()
            .map(|(name, value)| (name, value.as_string().map(|text| text.to_string_lossy())))
            .collect(),
        to,
        when: read::function(&access, "when").is_some(),
    });
}
