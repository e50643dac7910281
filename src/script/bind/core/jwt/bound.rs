//! Tokens bound to a key (DPoP, RFC 9449) or to the client's certificate (RFC 8705): worth nothing to whoever found one.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value as Json;

use crate::http::headers::Known;
use crate::primitive::codec;
use crate::primitive::digest;
use crate::primitive::jwt::Proof;
use crate::primitive::jwt::ProofFault;
use crate::primitive::jwt::Seen;
use crate::primitive::jwt::nonce;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;

/// What a token's binding must be. A token that is bound is only ever taken with its proof.
#[derive(Clone, Debug, Default)]
pub(super) struct Bound {
    /// Only tokens with a key are taken.
    pub(super) dpop: bool,
    /// Proofs must carry a nonce of ours.
    pub(super) nonce: bool,
    /// Only tokens with a certificate are taken.
    pub(super) certificate: bool,
}

impl Bound {
    /// The scheme to come back with.
    pub(super) fn scheme(&self, exchange: &Exchange) -> &'static str {
        if self.dpop || is_dpop(exchange) { "DPoP" } else { "Bearer" }
    }

    /// Whether whoever brings the token may: the failure, and its error code.
    pub(super) fn check(
        &self,
        exchange: &Rc<Exchange>,
        token: &str,
        claims: &Arc<Json>,
        now: Duration,
    ) -> Result<(), (Failure, &'static str)> {
        let confirmation = claims.get("cnf");
        let text = |name: &str| confirmation.and_then(|cnf| cnf.get(name)).and_then(Json::as_str);
        let invalid = |why: &str| (Failure::new(Code::JwtInvalid, why), "invalid_token");
        match text("jkt") {
            Some(thumbprint) => self.proven(exchange, token, thumbprint, now)?,
            None if self.dpop => return Err(invalid("the token is not bound to a key")),
            None if is_dpop(exchange) => return Err(invalid("the token is not bound to a key")),
            None => {}
        }
        match text("x5t#S256") {
            Some(wanted) => match certificate(exchange) {
                Some(found) if digest::equal(found.as_bytes(), wanted.as_bytes()) => Ok(()),
                _ => Err(invalid("the token is bound to another certificate")),
            },
            None if self.certificate => Err(invalid("the token is not bound to a certificate")),
            None => Ok(()),
        }
    }

    fn proven(
        &self,
        exchange: &Rc<Exchange>,
        token: &str,
        thumbprint: &str,
        now: Duration,
    ) -> Result<(), (Failure, &'static str)> {
        let fail = |why: &str, error| (Failure::new(Code::JwtInvalid, why), error);
        if !is_dpop(exchange) {
            return Err(fail(
                "the token is bound to a key; bring it with the DPoP scheme and a proof",
                "invalid_token",
            ));
        }
        let request = exchange.request.borrow();
        let mut proofs = request.headers.all("dpop");
        let (Some(proof), None) = (proofs.next(), proofs.next()) else {
            return Err(fail("one DPoP proof is required", "invalid_dpop_proof"));
        };
        let path = request.raw_path().split('?').next().unwrap_or_default();
        let address = format!("{}://{}{path}", request.scheme.as_str(), request.host);
        let nonces = if self.nonce { nonce(secret(), now).to_vec() } else { Vec::new() };
        let proof = Proof {
            proof: std::str::from_utf8(proof).unwrap_or_default(),
            token,
            thumbprint,
            method: request.method.as_str(),
            address: &address,
            nonces: &nonces,
        };
        match proof.check(now, &mut SEEN.lock()) {
            Ok(()) => Ok(()),
            Err(ProofFault::Nonce) => {
                let (failure, error) = fail("the DPoP proof needs the nonce of this answer", "use_dpop_nonce");
                Err((failure.header("DPoP-Nonce", nonces.first().map_or("", String::as_str)), error))
            }
            Err(ProofFault::Invalid(why)) => {
                let (failure, error) = fail("the DPoP proof is not accepted", "invalid_dpop_proof");
                Err((failure.because(why), error))
            }
        }
    }
}

/// Whether the token came with the scheme that promises a proof.
fn is_dpop(exchange: &Exchange) -> bool {
    let request = exchange.request.borrow();
    let field = request.headers.known(Known::Authorization).next();
    field.is_some_and(|field| field.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"dpop ")))
}

/// SHA-256 of the client's certificate as base64url; `None` without one.
fn certificate(exchange: &Exchange) -> Option<String> {
    exchange.client_certificate().map(|shown| codec::base64url_encode(shown.sha256))
}

/// Proofs that were used, for the whole process: a proof counts once, whichever worker it meets.
static SEEN: LazyLock<Mutex<Seen>> = LazyLock::new(Mutex::default);

/// What nonces are made with: known to this process alone.
fn secret() -> &'static [u8] {
    static SECRET: LazyLock<Vec<u8>> = LazyLock::new(|| digest::random(32).unwrap_or_default());
    &SECRET
}
