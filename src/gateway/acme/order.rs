//! One order: names, proofs, certificate (RFC 8555 §7.4), as an authority wants to see it done.

use std::time::Duration;

use rcgen::CertificateParams;
use rcgen::CustomExtension;
use rcgen::DistinguishedName;
use rcgen::KeyPair;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use super::session::Problem;
use super::session::Session;
use super::session::Trouble;
use crate::clock::Clock;
use crate::downstream::issued::Issued;
use crate::downstream::listener::Challenge;
use crate::downstream::listener::Pem;
use crate::primitive::codec::base64url_encode;
use crate::primitive::digest::Hash;

/// How an order stands (§7.1.3).
#[derive(Deserialize)]
struct Order {
    status: String,
    authorizations: Vec<String>,
    finalize: String,
    certificate: Option<String>,
    error: Option<Problem>,
}

/// How the proof of one name stands (§7.1.4).
#[derive(Deserialize)]
struct Authorization {
    status: String,
    identifier: Identifier,
    challenges: Vec<Offer>,
}

#[derive(Deserialize)]
struct Identifier {
    value: String,
}

/// One way to prove it.
#[derive(Deserialize)]
struct Offer {
    #[serde(rename = "type")]
    kind: String,
    url: String,
    #[serde(default)]
    token: String,
    error: Option<Problem>,
}

/// Gets a certificate for `domains`, proved as `how` says; private key and chain in one PEM text.
/// `replaced`: the certificate whose place it takes (RFC 9773 §5).
pub(super) async fn order(
    session: &Session,
    domains: &[String],
    how: Challenge,
    issued: &Issued,
    clock: &Clock,
    replaced: Option<String>,
) -> Result<String, Trouble> {
    let (url, order) = begin(session, domains, replaced).await?;
    for authorization in &order.authorizations {
        prove(session, authorization, how, issued).await?;
    }
    let order = settle(session, &url, clock, "ready").await?;
    let (key, request) = request(domains).map_err(|error| Trouble::Failed(error.to_string()))?;
    let _: Value = session.post(&order.finalize, &json!({ "csr": base64url_encode(request) })).await?;
    let order = settle(session, &url, clock, "valid").await?;
    let certificate = order.certificate.ok_or_else(|| Trouble::Failed("the certificate has no address".to_owned()))?;
    Ok(format!("{key}{}", session.text(&certificate).await?))
}

/// An authority that knows which certificate is replaced may let the order through where it would refuse others.
async fn begin(session: &Session, domains: &[String], replaced: Option<String>) -> Result<(String, Order), Trouble> {
    let names: Vec<_> = domains.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
    let wanted = json!({ "identifiers": names });
    if let Some(id) = replaced.filter(|_| session.renews()) {
        let mut replacing = wanted.clone();
        replacing["replaces"] = id.into();
        match session.order(&replacing).await {
            // It is not known there, or was replaced already: then as an order like any other.
            Err(Trouble::Refused(problem)) if !problem.is("rateLimited") => {}
            done => return done,
        }
    }
    session.order(&wanted).await
}

/// Makes the proof ready and says so.
async fn prove(session: &Session, url: &str, how: Challenge, issued: &Issued) -> Result<(), Trouble> {
    let authorization: Authorization = session.get(url).await?;
    let name = &authorization.identifier.value;
    if authorization.status == "valid" {
        return Ok(());
    }
    let kind = match how {
        Challenge::Http => "http-01",
        Challenge::TlsAlpn => "tls-alpn-01",
    };
    let offer = authorization.challenges.iter().find(|offer| offer.kind == kind);
    let offer = offer.ok_or_else(|| Trouble::Failed(format!("{name}: the authority offers no {kind}")))?;
    let proof = session.authorization(&offer.token);
    match how {
        Challenge::Http => issued.answer_with(&offer.token, &proof),
        Challenge::TlsAlpn => show(issued, name, &proof).map_err(Trouble::Failed)?,
    }
    let _: Value = session.post(&offer.url, &json!({})).await?;
    Ok(())
}

/// The certificate that is a proof (RFC 8737 §3).
fn show(issued: &Issued, name: &str, proof: &str) -> Result<(), String> {
    let made = || {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        let digest = Hash::Sha256.digest(proof.as_bytes());
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
    };
    let (cert, key) = made().map_err(|error: rcgen::Error| error.to_string())?;
    issued.show(name, &Pem::new(cert), &Pem::new(key))
}

/// A new key, and the request for its certificate.
fn request(domains: &[String]) -> Result<(String, Vec<u8>), rcgen::Error> {
    let mut params = CertificateParams::new(domains)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    let request = params.serialize_request(&key)?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}

/// Asks again and again until the order is as `wanted`.
async fn settle(session: &Session, url: &str, clock: &Clock, wanted: &str) -> Result<Order, Trouble> {
    let mut wait = FIRST;
    loop {
        let order: Order = session.get(url).await?;
        if order.status == wanted {
            return Ok(order);
        }
        if order.status == "invalid" || order.error.is_some() {
            return Err(Trouble::Failed(why(session, order).await));
        }
        clock.sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}

/// What the authority found wrong with the proofs and with the order.
async fn why(session: &Session, order: Order) -> String {
    let mut causes: Vec<_> = order.error.iter().map(Problem::to_string).collect();
    for url in &order.authorizations {
        let Ok(Authorization { identifier, challenges, .. }) = session.get(url).await else { continue };
        let found = challenges.iter().filter_map(|offer| offer.error.as_ref());
        causes.extend(found.map(|problem| format!("{}: {problem}", identifier.value)));
    }
    if causes.is_empty() { "the order is invalid".to_owned() } else { causes.join("; ") }
}

/// Between two looks at an order.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);
