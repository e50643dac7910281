//! `acme = { … }` of a certificate: whom to ask, for which names. Nothing is asked for that is not written.

use std::net::IpAddr;

use mlua::Table;

use super::Session;
use super::read;
use super::secure::below;
use super::secure::pem;
use crate::downstream::listener::Acme;
use crate::downstream::listener::Challenge;
use crate::route::host::Host;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;

/// `acme` of `entry`, which stands at `at`; what is missing was said already.
pub(super) fn read(session: &Session, entry: &Table, at: &Anchor) -> Option<Acme> {
    let table = read::table(entry, "acme")?;
    let at = below(at, "acme");
    let (email, domains) = (read::text(&table, "email")?, domains(session, &table, &at)?);
    if !is_address(&email) {
        session.fault(below(&at, "email"), format!("`{email}` is no mail address"), "write \"ops@example.com\"", "");
    }
    Some(Acme {
        email,
        domains,
        directory: directory(session, &table, &at),
        ca: pem(session, &table, &at, "ca"),
        storage: read::text(&table, "storage").map(|folder| session.files.root().join(folder)),
        challenge: match read::text(&table, "challenge").as_deref() {
            Some("http-01") => Some(Challenge::Http),
            Some("tls-alpn-01") => Some(Challenge::TlsAlpn),
            _ => None,
        },
    })
}

fn is_address(email: &str) -> bool {
    let parts = email.split_once('@').filter(|(user, host)| !user.is_empty() && host.contains('.'));
    parts.is_some() && email.is_ascii() && !email.contains(|c: char| c.is_ascii_whitespace() || c.is_ascii_control())
}

fn domains(session: &Session, table: &Table, at: &Anchor) -> Option<Vec<String>> {
    let at = below(at, "domains");
    let written = read::texts(table, "domains");
    if written.is_empty() {
        session.fault(at, "`acme.domains` is an empty list", "write { \"example.com\" }", "");
        return None;
    }
    let mut domains = Vec::new();
    for (index, name) in written.into_iter().enumerate() {
        let mut at = at.clone();
        at.path.push(Segment::Index(index + 1));
        match Host::parse(&name) {
            Ok(Host::Exact(host)) if host.parse::<IpAddr>().is_ok() || host.starts_with('[') => {
                session.fault(at, format!("`{name}` is an address"), "authorities certify names", "");
            }
            Ok(Host::Exact(host)) if domains.contains(&host) => {
                session.fault(at, format!("`{name}` is named twice"), "once is enough", "");
            }
            Ok(Host::Exact(host)) => domains.push(host),
            Ok(Host::Below(_) | Host::Any) => {
                let label = "a wildcard is proved in the DNS, which the gateway cannot do; name each host";
                session.fault(at, format!("`{name}` is a wildcard"), label, "");
            }
            Err(reason) => session.fault(at, reason, "", ""),
        }
    }
    Some(domains).filter(|domains| !domains.is_empty())
}

fn directory(session: &Session, table: &Table, at: &Anchor) -> String {
    let Some(text) = read::text(table, "directory") else { return LETS_ENCRYPT.to_owned() };
    let url = url::Url::parse(&text).ok();
    let fine = url.is_some_and(|url| match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        // What a test or a sidecar on this machine offers.
        ("http", Some(url::Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(url::Host::Ipv6(address))) => address.is_loopback(),
        ("http", Some(url::Host::Domain(name))) => name == "localhost",
        _ => false,
    });
    if !fine {
        let label = "write the https:// address of the authority's directory";
        session.fault(below(at, "directory"), format!("`{text}` is no directory"), label, "");
    }
    text
}

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
