//! TLS towards `https://` hosts: whom to trust, who we are, which name to ask for.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::upstream::TlsConfig;

/// The protocols a host may choose from (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Http1,
    Http2,
    /// HTTP/2 rather than HTTP/1.1.
    Both,
}

impl Offer {
    fn protocols(self) -> Vec<Vec<u8>> {
        let all: &[&[u8]] = match self {
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
            Self::Both => &[b"h2", b"http/1.1"],
        };
        all.iter().map(|name| name.to_vec()).collect()
    }
}

/// The client's side of TLS, ready for handshakes; cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls {
    /// By what is offered.
    connectors: [TlsConnector; 3],
    /// The name to ask for instead of the host's.
    sni: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads certificates and keys; says which of them cannot be used.
    pub(crate) fn new(config: &TlsConfig) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier(config, &provider)?);
        let client = match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates("tls.cert", cert)?, private_key(key)?)
                .map_err(|error| format!("tls.cert and tls.key: {error}"))?,
            (None, None) => builder.with_no_client_auth(),
            _ => return Err("tls.cert and tls.key go together".into()),
        };
        let connectors = [Offer::Http1, Offer::Http2, Offer::Both].map(|offer| {
            let mut client = client.clone();
            client.alpn_protocols = offer.protocols();
            TlsConnector::from(Arc::new(client))
        });
        let sni = config.sni.as_deref().map(name).transpose()?;
        Ok(Self { connectors, sni })
    }

    /// The handshake, on a fresh connection to `host`.
    pub(crate) async fn handshake(
        &self,
        host: &str,
        offer: Offer,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, io::Error> {
        let name = match &self.sni {
            Some(name) => name.clone(),
            None => name(host).map_err(io::Error::other)?,
        };
        self.connectors[offer as usize].connect(name, stream).await
    }
}

fn name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no name a certificate could have"))
}

fn verifier(config: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    if !config.verify {
        return Ok(Arc::new(Anyone(Arc::clone(provider))));
    }
    let Some(ca) = &config.ca else { return system(provider) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls.ca", ca)? {
        roots.add(certificate).map_err(|error| format!("tls.ca: {error}"))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    Ok(verifier.map_err(|error| format!("tls.ca: {error}"))?)
}

/// The system's roots, read once: they are many, and every upstream of every reload wants them.
fn system(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    static SYSTEM: Mutex<Option<Arc<Verifier>>> = Mutex::new(None);
    let mut system = SYSTEM.lock();
    if let Some(verifier) = &*system {
        return Ok(Arc::clone(verifier) as Arc<dyn ServerCertVerifier>);
    }
    let verifier =
        Verifier::new(Arc::clone(provider)).map_err(|error| format!("the system's certificates: {error}"))?;
    let verifier = Arc::new(verifier);
    *system = Some(Arc::clone(&verifier));
    Ok(verifier)
}

fn certificates(what: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match list {
        Ok(list) if list.is_empty() => Err(format!("{what} holds no certificate")),
        Ok(list) => Ok(list),
        Err(error) => Err(format!("{what}: {error}")),
    }
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("tls.key: {error}"))
}

/// `verify = false`: any certificate will do, but the handshake must be signed with it.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
