//! A certificate that an authority issues (ACME), seen by every worker: the one in force, and the proofs asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;

use crate::downstream::certs::Pair;
use crate::downstream::certs::for_proof;
use crate::downstream::listener::Pem;
use crate::net::Certificate;

/// The certificate of one `acme = { … }`; empty until the first is issued.
#[derive(Default)]
pub struct Issued {
    current: ArcSwapOption<(Arc<CertifiedKey>, Arc<Certificate>)>,
    /// Proofs in clear text by token (RFC 8555 §8.3).
    answers: Mutex<BTreeMap<String, String>>,
    /// Proofs by handshake, by name (RFC 8737).
    handshakes: Mutex<BTreeMap<String, Arc<ServerConfig>>>,
}

impl Issued {
    /// Every handshake from now on is done with this pair.
    pub fn install(&self, pair: Pair) {
        self.current.store(Some(Arc::new((pair.certified, Arc::new(pair.leaf)))));
    }

    /// The certificate in force, without its chain.
    pub fn leaf(&self) -> Option<Arc<Certificate>> {
        self.current.load().as_ref().map(|current| Arc::clone(&current.1))
    }

    /// `token` is answered with `text` in clear text, until [`Issued::forget`].
    pub fn answer_with(&self, token: &str, text: &str) {
        self.answers.lock().insert(token.to_owned(), text.to_owned());
    }

    /// Whoever asks for `name` and speaks `acme-tls/1` is shown this certificate, until [`Issued::forget`]; the error
    /// says why it cannot be shown.
    pub fn show(&self, name: &str, cert: &Pem, key: &Pem) -> Result<(), String> {
        let config = for_proof(cert, key).map_err(|(_, message, _)| message)?;
        self.handshakes.lock().insert(name.to_owned(), config);
        Ok(())
    }

    /// No proof is asked for any more.
    pub fn forget(&self) {
        self.answers.lock().clear();
        self.handshakes.lock().clear();
    }

    /// What a request for `path` is answered with, where it asks for a proof.
    pub fn answer(&self, path: &str) -> Option<String> {
        // Every request in clear text asks: hardly one gets to the lock, which all workers share.
        let token = path.strip_prefix(PATH)?;
        self.answers.lock().get(token).cloned()
    }

    /// What a client that wants a proof for `name` is shown.
    pub(crate) fn handshake(&self, name: &str) -> Option<Arc<ServerConfig>> {
        self.handshakes.lock().get(name).cloned()
    }
}

impl ResolvesServerCert for Issued {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load().as_ref().map(|current| Arc::clone(&current.0))
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Issued").field(&self.leaf().map(|leaf| leaf.title().to_owned())).finish()
    }
}

/// What a client that wants a proof by handshake offers, and nothing else.
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

const PATH: &str = "/.well-known/acme-challenge/";
