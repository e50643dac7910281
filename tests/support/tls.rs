//! Certificates made for a test, and clients that show them.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::PublicKeyData;
use rcgen::SanType;
use rcgen::date_time_ymd;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::client::Client;
use crate::support::gateway::Gateway;

/// Signs certificates.
#[derive(Clone)]
pub(crate) struct Authority {
    issuer: Arc<Issuer<'static, KeyPair>>,
    /// Its own certificate.
    pub(crate) pem: String,
}

/// A certificate and its key as PEM text.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// A client's side of TLS; sessions are kept between its connections.
#[derive(Clone)]
pub(crate) struct Visitor(ClientConfig);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Arc::new(Issuer::new(params, key)), pem }
    }

    /// A certificate for these hosts.
    pub(crate) fn server(&self, hosts: &[&str]) -> Pair {
        self.sign(CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap())
    }

    /// A client's certificate: common name, and alternative names as URIs where they look so.
    pub(crate) fn client(&self, name: &str, names: &[&str]) -> Pair {
        self.sign(visitor(name, names))
    }

    /// One whose time is over.
    pub(crate) fn expired(&self, name: &str) -> Pair {
        let mut params = visitor(name, &[]);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    /// The certificate of a key that is somebody else's.
    pub(crate) fn certify(&self, params: CertificateParams, key: &impl PublicKeyData) -> String {
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair { cert: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }
}

impl Pair {
    /// The server's side of TLS for a service, which speaks `protocols`.
    pub(crate) fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let (chain, key) = self.parsed();
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn parsed(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (
            CertificateDer::pem_slice_iter(self.cert.as_bytes()).map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap(),
        )
    }
}

fn visitor(name: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Acme");
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = names
        .iter()
        .map(|&name| match name.contains("://") {
            true => SanType::URI(name.try_into().unwrap()),
            false => SanType::DnsName(name.try_into().unwrap()),
        })
        .collect();
    params
}

impl Visitor {
    /// Trusts this authority, shows nothing.
    pub(crate) fn of(authority: &Authority) -> Self {
        Self::with(authority, None, rustls::ALL_VERSIONS)
    }

    /// Trusts this authority, and shows this certificate where one is asked for.
    pub(crate) fn showing(authority: &Authority, pair: &Pair) -> Self {
        Self::with(authority, Some(pair), rustls::ALL_VERSIONS)
    }

    pub(crate) fn with(
        authority: &Authority,
        pair: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        Self(match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let (chain, key) = pair.parsed();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        })
    }

    /// Offers these protocols.
    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        self.0.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// Sends no server name.
    pub(crate) fn nameless(mut self) -> Self {
        self.0.enable_sni = false;
        self
    }

    /// A connection asking for `name`, which is its Host too; or why the handshake failed.
    pub(crate) fn try_connect(&self, address: SocketAddr, name: &str) -> Result<Client, String> {
        self.over(Client::connect(address), name)
    }

    /// The same over a connection that is there already.
    pub(crate) fn over(&self, client: Client, name: &str) -> Result<Client, String> {
        let server = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(self.0.clone()), server).unwrap();
        Ok(client.secure(connection)?.host(name))
    }

    /// For a client that speaks HTTP/2 only.
    pub(crate) async fn shake(self, stream: TcpStream, name: &str) -> TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(self.offering(&["h2"]).0));
        connector.connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await.unwrap()
    }

    /// The same; a failed handshake fails the test.
    #[track_caller]
    pub(crate) fn connect(&self, gateway: &Gateway, name: &str) -> Client {
        self.try_connect(gateway.address(), name).unwrap_or_else(|error| panic!("handshake for {name}: {error}"))
    }
}
