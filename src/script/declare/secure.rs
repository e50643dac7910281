//! `tls = { … }` of the gateway and of listeners: files become certificates here, so that a wrong pair is a load error.

use std::sync::Arc;

use mlua::Table;
use mlua::Value;

use super::Session;
use super::acme;
use super::read;
use super::read::Fields;
use crate::downstream::certs::Certs;
use crate::downstream::listener::ClientCert;
use crate::downstream::listener::MinVersion;
use crate::downstream::listener::Pem;
use crate::downstream::listener::Source;
use crate::downstream::listener::TlsConfig;
use crate::downstream::listener::TlsEntry;
use crate::route::host::Host;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::secret::Secret;

/// What a listener says about TLS.
pub(super) enum Said {
    /// Nothing: the gateway's `tls` is its own.
    Nothing,
    /// `tls = false`
    Off,
    /// Its own.
    Own(TlsConfig),
}

/// `tls` of `options`, which stands at `at`.
pub(super) fn read(session: &Session, options: &impl Fields, at: &Anchor) -> Said {
    let mut at = Anchor { spot: Spot::Value, ..at.clone() };
    at.path.push(Segment::Key("tls".into()));
    let table = match options.field("tls") {
        Some(Value::Table(table)) => table,
        Some(Value::Boolean(_)) => return Said::Off,
        _ => return Said::Nothing,
    };
    let mut config = TlsConfig::default();
    if table.raw_len() == 0 {
        config.redirect_http = read::get(&table, "redirect_http").unwrap_or(false);
        config.entries.extend(entry(session, &table, &at));
    }
    let listed = table.raw_len() > 0;
    for (index, value) in read::list(&table).iter().enumerate() {
        let Value::Table(table) = value else { continue };
        let mut at = at.clone();
        at.path.push(Segment::Index(index + 1));
        config.redirect_http |= read::get(table, "redirect_http").unwrap_or(false);
        config.entries.extend(entry(session, table, &at));
    }
    let certs = Certs::new(&config, &[], &|_| Arc::default());
    if let (Err(fault), false) = (certs, config.entries.is_empty() || session.faulty()) {
        if listed {
            at.path.push(Segment::Index(fault.entry + 1));
        }
        session.fault(below(&at, fault.option), format!("`tls.{}`: {}", fault.option, fault.message), fault.advice, "");
    }
    Said::Own(config)
}

fn entry(session: &Session, table: &Table, at: &Anchor) -> Option<TlsEntry> {
    let source = source(session, table, at);
    let client_ca = pem(session, table, at, "client_ca");
    let asked = read::text(table, "client_cert");
    if let (Some(_), Ok(Value::Nil)) = (&asked, table.raw_get("client_ca")) {
        let label = "write client_ca = \"ca.pem\" too";
        session.fault(below(at, "client_cert"), "nobody says who signs clients' certificates", label, "");
    }
    let mut hosts = hosts(session, table, at);
    let source = source?;
    if let Source::Acme(acme) = &source {
        hosts.clone_from(&acme.domains);
    }
    let entry = TlsEntry {
        hosts,
        source,
        min: match read::text(table, "min").as_deref() {
            Some("1.3") => MinVersion::V13,
            _ => MinVersion::V12,
        },
        client_ca,
        client_cert: match asked.as_deref() {
            Some("optional") => ClientCert::Optional,
            _ => ClientCert::Required,
        },
    };
    Some(entry)
}

/// A pair of files, or an authority.
fn source(session: &Session, table: &Table, at: &Anchor) -> Option<Source> {
    let written = |name: &str| !matches!(table.raw_get(name), Ok(Value::Nil) | Err(_));
    if written("acme") {
        for name in ["cert", "key", "host"].into_iter().filter(|name| written(name)) {
            let label = "the names are those of `acme.domains`, certificate and key come from the authority";
            session.fault(below(at, name), format!("`{name}` beside `acme`"), label, "");
        }
        return acme::read(session, table, at).map(Source::Acme);
    }
    let (cert, key) = (pem(session, table, at, "cert"), pem(session, table, at, "key"));
    if let Some(missing) = ["cert", "key"].into_iter().find(|name| !written(name)) {
        let label = "write cert = \"a.pem\", key = \"a.key\", or acme = { email = …, domains = … }";
        session.fault(at.clone(), format!("`tls` needs `{missing}`"), label, "");
    }
    Some(Source::Pair { cert: cert?, key: key? })
}

/// A file's name, or the PEM text itself: from `secret`, from `file`.
pub(super) fn pem(session: &Session, table: &Table, at: &Anchor, name: &str) -> Option<Pem> {
    let value: Value = table.raw_get(name).ok()?;
    if let Some(secret) = Secret::of(&value) {
        return Some(Pem::new(String::from_utf8_lossy(secret.reveal())));
    }
    let text = value.as_string()?.to_string_lossy();
    if text.contains("-----BEGIN ") {
        return Some(Pem::new(text));
    }
    match session.files.read_anywhere(&text) {
        Ok(bytes) => Some(Pem::new(String::from_utf8_lossy(&bytes))),
        Err(reason) => {
            session.fault(below(at, name), reason, "paths are relative to the config folder", "");
            None
        }
    }
}

fn hosts(session: &Session, table: &Table, at: &Anchor) -> Vec<String> {
    let one = read::text(table, "host");
    let names = one.map_or_else(|| read::texts(table, "host"), |name| vec![name]);
    let mut hosts = Vec::new();
    for name in names {
        let port = name.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        match Host::parse(&name) {
            _ if port => session.fault(below(at, "host"), format!("`{name}`: a certificate has no port"), "", ""),
            Ok(Host::Exact(host)) => hosts.push(host),
            Ok(Host::Below(parent)) => hosts.push(format!("*.{parent}")),
            Ok(Host::Any) => {
                let label = "a certificate for every other name is one without `host`";
                session.fault(below(at, "host"), "`*` is no name of a certificate", label, "");
            }
            Err(reason) => session.fault(below(at, "host"), reason, "", ""),
        }
    }
    hosts
}

pub(super) fn below(at: &Anchor, name: &str) -> Anchor {
    let mut at = at.clone();
    at.path.push(Segment::Key(name.to_owned()));
    at
}
