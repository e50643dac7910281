//! Certificates of a listener, ready for handshakes: which one answers to which name, and on what terms.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::SupportedProtocolVersion;
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

use crate::downstream::listener::ClientCert;
use crate::downstream::listener::MinVersion;
use crate::downstream::listener::Pem;
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
}

/// One certificate with its terms.
#[derive(Debug)]
pub struct Entry {
    pub(crate) config: Arc<ServerConfig>,
    /// The certificate itself, without its chain.
    pub leaf: Certificate,
    pub(crate) terms: Terms,
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
    /// Reads every pair; the first that cannot be used is the error. `protocols`: what ALPN offers.
    pub fn new(config: &TlsConfig, protocols: &[&[u8]]) -> Result<Self, CertFault> {
        let mut certs = Self {
            entries: Vec::new(),
            exact: HashMap::new(),
            below: HashMap::new(),
            usual: None,
            nobody: nobody(),
            redirect: config.redirect_http,
        };
        for (index, entry) in config.entries.iter().enumerate() {
            let made = Entry::new(entry, protocols).map_err(|(option, message, advice)| CertFault {
                entry: index,
                option,
                message,
                advice,
            })?;
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
        for host in self.entries[index].leaf.hosts() {
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

    /// Whether requests in clear text are sent here.
    pub fn redirects(&self) -> bool {
        self.redirect
    }
}

type Wrong = (&'static str, String, &'static str);

impl Entry {
    fn new(entry: &TlsEntry, protocols: &[&[u8]]) -> Result<Self, Wrong> {
        let (chain, key) = (chain("cert", &entry.cert)?, private_key(&entry.key)?);
        let leaf = Certificate::parse(&chain[0]).map_err(|error| ("cert", error.to_string(), ""))?;
        let certified = CertifiedKey::from_der(chain, key, provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let advice = "one of the two files is old, or they were swapped";
                ("key", "the key does not belong to the certificate".to_owned(), advice)
            }
            other => ("key", other.to_string(), ""),
        })?;
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
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match &entry.client_ca {
            // A resumed session shows no certificate: whoever is asked for one is asked each time.
            Some(_) => config.send_tls13_tickets = 0,
            None => config.ticketer = tickets()?,
        }
        let client = entry.client_ca.clone().map(|ca| (ca, entry.client_cert));
        Ok(Self { config: Arc::new(config), leaf, terms: Terms { min: entry.min, client } })
    }
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
    let made = NOBODY.get_or_init(|| {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("the provider speaks the usual versions");
        Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(Nobody)))
    });
    Arc::clone(made)
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
