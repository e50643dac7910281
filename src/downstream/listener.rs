//! Listeners as a script declares them: where, and what is spoken there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

use crate::downstream::Listen;

/// One listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Where.
    pub at: Listen,
    /// Its certificates; `None`: clear text.
    pub tls: Option<TlsConfig>,
    /// Connections begin with a PROXY header, from these networks; `None`: they do not. Empty on a Unix socket.
    pub proxy: Option<Vec<IpNet>>,
    /// Whether HTTP/2 is spoken: over TLS by ALPN, in clear text to clients that begin with it.
    pub http2: bool,
}

/// `tls = { … }` of the gateway or of a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TlsConfig {
    /// One certificate each, in the order written.
    pub entries: Vec<TlsEntry>,
    /// Whether listeners in clear text send every request here.
    pub redirect_http: bool,
}

/// A certificate, the names it answers to, and who may come in by them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TlsEntry {
    /// Names (`a.dev`, `*.b.dev`) in lower case; empty: those in the certificate, and every name nobody else has.
    pub hosts: Vec<String>,
    /// Where the certificate comes from.
    pub source: Source,
    /// The oldest version spoken.
    pub min: MinVersion,
    /// Who signs clients' certificates; `None`: none is asked for.
    pub client_ca: Option<Pem>,
    /// Whether a client must show one.
    pub client_cert: ClientCert,
}

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// Files, or text.
    Pair {
        /// The certificate and its chain.
        cert: Pem,
        /// Its private key.
        key: Pem,
    },
    /// An authority, on proof of the names.
    Acme(Acme),
}

/// `acme = { … }` (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acme {
    /// Whom the authority may write to.
    pub email: String,
    /// Names in lower case; at least one, no wildcard.
    pub domains: Vec<String>,
    /// The authority's directory: `https://`, or `http://` on this machine.
    pub directory: String,
    /// Who signs the authority's own certificate; `None`: whom the system trusts.
    pub ca: Option<Pem>,
    /// Where account and certificates are kept; `None`: below the state directory.
    pub storage: Option<PathBuf>,
    /// How the names are proved; `None`: in clear text where a listener speaks it.
    pub challenge: Option<Challenge>,
}

/// How an authority is shown that a name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Challenge {
    /// An answer in clear text (RFC 8555 §8.3).
    Http,
    /// A handshake (RFC 8737).
    TlsAlpn,
}

/// The oldest version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MinVersion {
    /// TLS 1.2
    #[default]
    V12,
    /// TLS 1.3
    V13,
}

/// What is asked of a client where `client_ca` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientCert {
    /// One that shows none may come in; one that shows a wrong one may not.
    Optional,
    /// Nobody comes in without.
    #[default]
    Required,
}

/// PEM text, which may be a private key: shown, logged and compared by its hash alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem(Arc<str>);

impl Listener {
    /// A listener that says nothing of its own, under the gateway's `tls`: port 80 and Unix sockets stay clear text.
    pub fn usual(at: Listen, tls: Option<&TlsConfig>) -> Self {
        let clear = match &at {
            Listen::Tcp(address) => address.port() == 80,
            Listen::Unix(_) => true,
        };
        let tls = tls.filter(|_| !clear).cloned();
        Self { at, http2: tls.is_some(), tls, proxy: None }
    }
}

impl Pem {
    /// The contents of a file.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.as_bytes());
        f.write_str("pem:")?;
        hash.as_ref()[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Pem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for Pem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_key_never_shows() {
        let pem = Pem::new("-----BEGIN PRIVATE KEY-----\nabc");
        let shown = format!("{pem:?} {}", serde_json::to_string(&pem).unwrap());
        assert!(shown.starts_with("pem:") && !shown.contains("abc") && !shown.contains("PRIVATE"), "{shown}");
        assert_ne!(format!("{pem:?}"), format!("{:?}", Pem::new("other")));
    }

    #[test]
    fn port_80_and_unix_sockets_stay_in_clear_text() {
        let tls = TlsConfig::default();
        let tcp = |port| Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], port)));
        assert!(Listener::usual(tcp(443), Some(&tls)).tls.is_some());
        assert!(Listener::usual(tcp(80), Some(&tls)).tls.is_none());
        assert!(Listener::usual(Listen::Unix("/x".into()), Some(&tls)).tls.is_none());
        assert!(Listener::usual(tcp(443), None).tls.is_none());
    }
}
