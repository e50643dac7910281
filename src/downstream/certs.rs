//! Certificates of a listener, ready for handshakes: which one answers to which name, and on what terms.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;

use rustls::ConfigBuilder;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::SupportedProtocolVersion;
use rustls::WantsVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::ClientHello;
use rustls::server::NoServerSessionStorage;
use rustls::server::ProducesTickets;
use rustls::server::ResolvesServerCert;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS12;
use rustls::version::TLS13;

use crate::downstream::issued::Issued;
use crate::downstream::issued::PROTOCOL;
use crate::downstream::listener::Acme;
use crate::downstream::listener::ClientCert;
use crate::downstream::listener::MinVersion;
use crate::downstream::listener::Pem;
use crate::downstream::listener::Source;
use crate::downstream::listener::TlsConfig;
use crate::downstream::listener::TlsEntry;
use crate::net::Certificate;

/// Every certificate of one listener.
#[derive(Debug)]
pub struct Certs {
    entries: Vec<Entry>,
    exact: HashMap<String, usize>,
    /// By what follows `*.`
    below: HashMap<String, usize>,
    /// Whoever asks for a name that is nobody's, or for none.
    usual: Option<usize>,
    /// Offers no certificate at all.
    nobody: Arc<ServerConfig>,
    /// Requests in clear text are sent here.
    redirect: bool,
    /// Those that an authority issues.
    issued: Vec<Arc<Issued>>,
}

/// One certificate with its terms.
#[derive(Debug)]
pub struct Entry {
    pub(crate) config: Arc<ServerConfig>,
    shown: Shown,
    pub(crate) terms: Terms,
}

/// What an entry shows.
#[derive(Debug)]
enum Shown {
    Always(Arc<Certificate>),
    /// Whatever was issued last.
    Issued(Arc<Issued>),
}

/// A certificate with its chain and the key that belongs to it.
pub struct Pair {
    pub(crate) certified: Arc<CertifiedKey>,
    /// The certificate itself.
    pub leaf: Certificate,
}

/// What a client must agree to; names under equal terms may share a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    min: MinVersion,
    client: Option<(Pem, ClientCert)>,
}

/// Why certificates cannot be used: which entry, which of its options, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tls.{option}: {message}")]
pub struct CertFault {
    /// From 0.
    pub entry: usize,
    /// `cert`, `key`, `client_ca` or `host`.
    pub option: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub advice: &'static str,
}

impl Certs {
    /// Reads every pair; the first that cannot be used is the error. `protocols`: what ALPN offers; `issued`: what an
    /// authority issued.
    pub fn new(
        config: &TlsConfig,
        protocols: &[&[u8]],
        issued: &dyn Fn(&Acme) -> Arc<Issued>,
    ) -> Result<Self, CertFault> {
        let mut certs = Self {
            entries: Vec::new(),
            exact: HashMap::new(),
            below: HashMap::new(),
            usual: None,
            nobody: nobody(),
            redirect: config.redirect_http,
            issued: Vec::new(),
        };
        for (index, entry) in config.entries.iter().enumerate() {
            let made = Entry::new(entry, protocols, issued).map_err(|(option, message, advice)| CertFault {
                entry: index,
                option,
                message,
                advice,
            })?;
            if let Shown::Issued(issued) = &made.shown {
                certs.issued.push(Arc::clone(issued));
            }
            certs.entries.push(made);
            certs.name(index, &entry.hosts)?;
        }
        // What a certificate merely contains gives way to what is written, wherever that stands.
        for (index, entry) in config.entries.iter().enumerate() {
            if entry.hosts.is_empty() {
                certs.imply(index);
            }
        }
        Ok(certs)
    }

    fn name(&mut self, index: usize, hosts: &[String]) -> Result<(), CertFault> {
        for host in hosts {
            let taken = match host.strip_prefix("*.") {
                Some(parent) => self.below.insert(parent.to_owned(), index),
                None => self.exact.insert(host.clone(), index),
            };
            if taken.is_some() {
                let message = format!("`{host}` is named twice");
                return Err(CertFault { entry: index, option: "host", message, advice: "one certificate a name" });
            }
        }
        Ok(())
    }

    fn imply(&mut self, index: usize) {
        self.usual.get_or_insert(index);
        let leaf = self.entries[index].leaf();
        for host in leaf.iter().flat_map(|leaf| leaf.hosts()) {
            match host.strip_prefix("*.") {
                Some(parent) => self.below.entry(parent.to_owned()).or_insert(index),
                None => self.exact.entry(host.to_owned()).or_insert(index),
            };
        }
    }

    /// Who answers to `name`, which is in lower case.
    pub fn of(&self, name: Option<&str>) -> Option<&Entry> {
        let exact = |name: &str| self.exact.get(name).copied();
        let below = |name: &str| self.below.get(name.split_once('.')?.1).copied();
        let index = name.and_then(|name| exact(name).or_else(|| below(name))).or(self.usual);
        index.and_then(|index| self.entries.get(index))
    }

    /// What a handshake goes on with.
    pub(crate) fn config(&self, name: Option<&str>) -> &Arc<ServerConfig> {
        self.of(name).map_or(&self.nobody, |entry| &entry.config)
    }

    /// The terms under which `name` is served.
    pub(crate) fn terms(&self, name: Option<&str>) -> Option<&Terms> {
        self.of(name).map(|entry| &entry.terms)
    }

    /// Every certificate.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Those that an authority issues.
    pub fn issued(&self) -> &[Arc<Issued>] {
        &self.issued
    }

    /// What a handshake goes on with whose client, who asks for `name`, offers these protocols because it wants a proof.
    pub(crate) fn proof<'a>(
        &self,
        name: Option<&str>,
        protocols: Option<impl Iterator<Item = &'a [u8]>>,
    ) -> Option<Arc<ServerConfig>> {
        let (name, mut protocols) = (name.filter(|_| !self.issued.is_empty())?, protocols?);
        if protocols.next() != Some(PROTOCOL) || protocols.next().is_some() {
            return None;
        }
        self.issued.iter().find_map(|issued| issued.handshake(name))
    }

    /// Whether requests in clear text are sent here.
    pub fn redirects(&self) -> bool {
        self.redirect
    }
}

/// Which option is at fault, what is wrong with it, and what to do about it.
pub(crate) type Wrong = (&'static str, String, &'static str);

impl Entry {
    fn new(entry: &TlsEntry, protocols: &[&[u8]], issued: &dyn Fn(&Acme) -> Arc<Issued>) -> Result<Self, Wrong> {
        let (resolver, shown): (Arc<dyn ResolvesServerCert>, _) = match &entry.source {
            Source::Pair { cert, key } => {
                let pair = Pair::new(cert, key)?;
                let resolver = SingleCertAndKey::from(pair.certified);
                (Arc::new(resolver), Shown::Always(Arc::new(pair.leaf)))
            }
            Source::Acme(acme) => {
                let issued = issued(acme);
                (Arc::clone(&issued) as _, Shown::Issued(issued))
            }
        };
        let versions: &[&SupportedProtocolVersion] = match entry.min {
            MinVersion::V12 => &[&TLS13, &TLS12],
            MinVersion::V13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider())).with_protocol_versions(versions);
        let builder = builder.map_err(|error| ("min", error.to_string(), ""))?;
        let builder = match &entry.client_ca {
            Some(ca) => builder.with_client_cert_verifier(verifier(ca, entry.client_cert)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match &entry.client_ca {
            // A resumed session shows no certificate: whoever is asked for one is asked each time.
            Some(_) => config.send_tls13_tickets = 0,
            None => config.ticketer = tickets()?,
        }
        let client = entry.client_ca.clone().map(|ca| (ca, entry.client_cert));
        Ok(Self { config: Arc::new(config), shown, terms: Terms { min: entry.min, client } })
    }

    /// The certificate itself, without its chain; `None` before the first is issued.
    pub fn leaf(&self) -> Option<Arc<Certificate>> {
        match &self.shown {
            Shown::Always(leaf) => Some(Arc::clone(leaf)),
            Shown::Issued(issued) => issued.leaf(),
        }
    }
}

impl Pair {
    /// Reads a certificate with its chain, and its key; the error names the one at fault, what is wrong, and what to do.
    pub(crate) fn new(cert: &Pem, key: &Pem) -> Result<Self, Wrong> {
        let (chain, key) = (chain("cert", cert)?, private_key(key)?);
        let leaf = Certificate::parse(&chain[0]).map_err(|error| ("cert", error.to_string(), ""))?;
        let certified = CertifiedKey::from_der(chain, key, provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let advice = "one of the two files is old, or they were swapped";
                ("key", "the key does not belong to the certificate".to_owned(), advice)
            }
            other => ("key", other.to_string(), ""),
        })?;
        Ok(Self { certified: Arc::new(certified), leaf })
    }
}

/// For handshakes that prove a name and lead to nothing else. No verifier of ours would understand this certificate
/// (RFC 8737 §3), so nobody looks whether the key is its own.
pub(crate) fn for_proof(cert: &Pem, key: &Pem) -> Result<Arc<ServerConfig>, Wrong> {
    let (chain, key) = (chain("cert", cert)?, private_key(key)?);
    let key = provider().key_provider.load_private_key(key).map_err(|error| ("key", error.to_string(), ""))?;
    let resolver = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let mut config = usual_versions().with_no_client_auth().with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

/// Cryptography of this process.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
}

/// One key for the tickets of all workers and generations, changed every six hours.
fn tickets() -> Result<Arc<dyn ProducesTickets>, Wrong> {
    static TICKETS: OnceLock<Option<Arc<dyn ProducesTickets>>> = OnceLock::new();
    let made = TICKETS.get_or_init(|| aws_lc_rs::Ticketer::new().ok()).clone();
    made.ok_or_else(|| ("cert", "the system has no randomness".to_owned(), ""))
}

fn nobody() -> Arc<ServerConfig> {
    static NOBODY: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    let made =
        NOBODY.get_or_init(|| Arc::new(usual_versions().with_no_client_auth().with_cert_resolver(Arc::new(Nobody))));
    Arc::clone(made)
}

fn usual_versions() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
    builder.with_safe_default_protocol_versions().expect("the provider speaks the usual versions")
}

/// Has no certificate for anyone: the handshake ends with an alert.
#[derive(Debug)]
struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

fn verifier(ca: &Pem, ask: ClientCert) -> Result<Arc<dyn ClientCertVerifier>, Wrong> {
    let mut roots = RootCertStore::empty();
    for certificate in chain("client_ca", ca)? {
        roots.add(certificate).map_err(|error| ("client_ca", error.to_string(), ""))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider()));
    let builder = match ask {
        ClientCert::Optional => builder.allow_unauthenticated(),
        ClientCert::Required => builder,
    };
    builder.build().map_err(|error| ("client_ca", error.to_string(), ""))
}

/// At least one certificate.
fn chain(option: &'static str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match list {
        Ok(list) if list.is_empty() => {
            Err((option, "there is no certificate in it".to_owned(), "it must have a line -----BEGIN CERTIFICATE-----"))
        }
        Ok(list) => Ok(list),
        Err(_) => Err((option, "it is no whole PEM file".to_owned(), "was it being written at that moment?")),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, Wrong> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        let locked = pem.as_bytes().windows(9).any(|window| window == b"ENCRYPTED");
        let advice = if locked {
            "it is encrypted; write the key without a password: openssl pkey -in a.key -out b.key"
        } else {
            "it must have a line -----BEGIN PRIVATE KEY-----"
        };
        ("key", "there is no private key in it".to_owned(), advice)
    })
}

#[cfg(test)]
mod tests;
