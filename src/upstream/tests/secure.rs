//! TLS towards a service: whom it trusts, what it refuses, and that streams are not cut unnoticed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::http::BodyError;
use crate::upstream::Address;
use crate::upstream::HostConfig;
use crate::upstream::SendError;
use crate::upstream::Shared;
use crate::upstream::TlsConfig;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::OK;
use crate::upstream::tests::backend::config;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::text;

pub(in crate::upstream) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(in crate::upstream) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(in crate::upstream) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key for `name`.
    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap(), key)
    }
}

/// A service behind TLS with a certificate for `name` that answers every request with `answer` and, if told so, ends
/// without saying so.
async fn serve(authority: &Authority, name: &str, client: bool, answer: &'static str, cut: bool) -> SocketAddr {
    let acceptor = acceptor(authority, name, client, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::task::spawn_local(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                    if cut {
                        // the TCP connection ends, the TLS session does not
                        let (mut tcp, _) = stream.into_inner();
                        tcp.shutdown().await.unwrap();
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The service's side of TLS, with a certificate for `name`.
pub(in crate::upstream) fn acceptor(
    authority: &Authority,
    name: &str,
    client: bool,
    protocols: &[&[u8]],
) -> TlsAcceptor {
    let (certificate, key) = authority.issue(name);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = if client {
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

fn gate(address: SocketAddr, name: &str, tls: TlsConfig) -> Gate {
    let host = Address::Tcp { host: name.into(), port: address.port(), tls: true };
    let host = HostConfig { address: host, weight: 1, backup: false };
    let gate = Gate::with(vec![host], Clock::real(), |config| {
        config.tls = tls;
        // handshakes of debug builds on a busy machine
        config.timeout.connect = Duration::from_secs(30);
    });
    gate.upstream.shared().resolve(0, vec![address]);
    gate
}

#[test]
fn a_service_with_a_certificate_of_our_authority_is_trusted_and_reused() {
    run(async {
        let authority = Authority::new();
        let address = serve(&authority, "service.test", false, OK, false).await;
        let gate = gate(address, "service.test", TlsConfig { ca: Some(authority.pem()), ..TlsConfig::default() });
        for _ in 0..3 {
            assert_eq!(gate.text().await, (200, "ok".into()));
        }
        assert_eq!(gate.pools.count(), (1, 1));
        let answer = gate.send(post(vec![b'z'; 3000])).await.unwrap();
        assert_eq!(text(answer).await.0, 200);
    });
}

#[test]
fn a_stranger_or_another_name_is_refused_unless_told_otherwise() {
    run(async {
        let (ours, other) = (Authority::new(), Authority::new());
        let address = serve(&ours, "service.test", false, OK, false).await;
        let trusting = TlsConfig { ca: Some(ours.pem()), ..TlsConfig::default() };
        let cases = [
            (TlsConfig { ca: Some(other.pem()), ..TlsConfig::default() }, "service.test", false),
            (TlsConfig::default(), "service.test", false),
            (trusting.clone(), "another.test", false),
            (TlsConfig { sni: Some("another.test".into()), ..trusting.clone() }, "service.test", false),
            (TlsConfig { sni: Some("service.test".into()), ..trusting.clone() }, "another.test", true),
            (TlsConfig { verify: false, ..TlsConfig::default() }, "another.test", true),
            (trusting, "service.test", true),
        ];
        for (tls, name, trusted) in cases {
            let shown = format!("{name} with {:?}", tls.sni);
            match gate(address, name, tls).get().await {
                Ok(answer) => assert!(trusted && answer.response.status == 200, "{shown}"),
                Err(error) => assert!(!trusted && matches!(error, SendError::Tls { .. }), "{shown}: {error:?}"),
            }
        }
    });
}

#[test]
fn a_client_certificate_is_shown() {
    run(async {
        let authority = Authority::new();
        let address = serve(&authority, "service.test", true, OK, false).await;
        let (certificate, key) = authority.issue("gateway.test");
        let nameless = TlsConfig { ca: Some(authority.pem()), ..TlsConfig::default() };
        let tls = TlsConfig { cert: Some(certificate.pem()), key: Some(key.serialize_pem()), ..nameless.clone() };
        assert_eq!(gate(address, "service.test", tls).text().await.0, 200);
        assert!(gate(address, "service.test", nameless).get().await.is_err());
    });
}

#[test]
fn a_stream_that_ends_without_saying_so_was_cut() {
    run(async {
        let authority = Authority::new();
        let tls = TlsConfig { ca: Some(authority.pem()), ..TlsConfig::default() };
        let address = serve(&authority, "service.test", false, "HTTP/1.1 200 OK\r\n\r\nhalf", true).await;
        let mut answer = gate(address, "service.test", tls).send(get("/")).await.unwrap();
        assert_eq!(answer.response.body.collect(100).await, Err(BodyError::Cut));
    });
}

#[test]
fn unusable_certificates_and_keys_are_told_when_loading() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("gateway.test");
    let (_, other) = authority.issue("gateway.test");
    let (cert, key) = (Some(certificate.pem()), Some(key.serialize_pem()));
    let cases = [
        (TlsConfig { ca: Some("nothing".into()), ..TlsConfig::default() }, "tls.ca"),
        (TlsConfig { cert: cert.clone(), ..TlsConfig::default() }, "go together"),
        (TlsConfig { cert: cert.clone(), key: Some("x".into()), ..TlsConfig::default() }, "tls.key"),
        (TlsConfig { cert: cert.clone(), key: Some(other.serialize_pem()), ..TlsConfig::default() }, "tls.cert"),
        (TlsConfig { cert: Some(String::new()), key: key.clone(), ..TlsConfig::default() }, "tls.cert"),
        (TlsConfig { sni: Some("not a name".into()), ..TlsConfig::default() }, "not a name"),
        (TlsConfig { cert, key, ..TlsConfig::default() }, ""),
    ];
    for (tls, wanted) in cases {
        let address = Address::Tcp { host: "127.0.0.1".into(), port: 443, tls: true };
        let mut config = config(vec![HostConfig { address, weight: 1, backup: false }]);
        config.tls = tls;
        match Shared::new(config, None) {
            Ok(_) => assert_eq!(wanted, ""),
            Err(error) => assert!(!wanted.is_empty() && error.contains(wanted), "{error} should name {wanted}"),
        }
    }
}
