//! How an authority convinces itself that a name leads to whoever asked.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::DigitallySignedStruct;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::X509Certificate;

use crate::support::client::Client;

/// RFC 8555 §8.3
pub(super) fn in_clear_text(at: SocketAddr, host: &str, token: &str, expected: &str) -> Result<(), String> {
    let answer = Client::connect(at).host(host).get(&format!("/.well-known/acme-challenge/{token}"));
    match answer.status == 200 && answer.body == expected.as_bytes() {
        true => Ok(()),
        false => Err(format!("{host} answered {answer:?}")),
    }
}

/// RFC 8737 §3
pub(super) fn by_handshake(at: SocketAddr, host: &str, expected: &str) -> Result<(), String> {
    let mut config = trusting();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = Client::connect(at).secure(ClientConnection::new(Arc::new(config), name).unwrap())?;
    assert_eq!(client.session().alpn_protocol(), Some(&b"acme-tls/1"[..]));
    let shown = client.session().peer_certificates().unwrap()[0].to_vec();
    client.try_send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(client.rest().is_empty(), "a proof leads to nothing else");
    let (_, certificate) = X509Certificate::from_der(&shown).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap().value.general_names.len();
    let digest = digest::digest(&digest::SHA256, expected.as_bytes());
    let wanted = [&[4, 32][..], digest.as_ref()].concat();
    let proof = certificate.extensions().iter().find(|it| it.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
    match proof {
        Some(proof) if proof.critical && proof.value == wanted && names == 1 => Ok(()),
        other => Err(format!("{host} showed {other:?}")),
    }
}

/// The certificate is the proof; nobody has signed it.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A connection asking for `host`, whatever certificate it is shown.
pub(crate) fn anyone(at: SocketAddr, host: &str) -> Client {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(trusting()), name).unwrap();
    Client::connect(at).secure(client).unwrap_or_else(|error| panic!("handshake for {host}: {error}")).host(host)
}

fn trusting() -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
    builder.with_custom_certificate_verifier(Arc::new(Anyone)).with_no_client_auth()
}
