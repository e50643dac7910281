//! An authority that issues certificates by ACME (RFC 8555): it checks every signature and nonce, and proves every name
//! by really connecting to the gateway. It can be busy, gone, forgetful and suspicious.

mod jws;
mod proof;

pub(crate) use proof::anyone;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate::clock::Clock;
use rcgen::CertificateParams;
use rcgen::PublicKeyData;
use serde_json::Value;
use serde_json::json;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::X509CertificationRequest;

use crate::support::tls::Authority;
use crate::support::upstream;
use crate::support::upstream::Seen;
use crate::support::upstream::Upstream;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// No proof is good enough.
    Doubts,
    /// 429 with this `Retry-After` to every order.
    Busy(u64),
    /// Connections close without an answer.
    Gone,
    /// Refuses the first nonce of each request.
    Forgets,
}

/// An authority that serves until it is dropped.
pub(crate) struct Acme {
    server: Upstream,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    authority: Authority,
    clock: Clock,
    /// How long its certificates last, in seconds.
    life: u64,
    /// When it wants certificates renewed: Unix seconds.
    window: Option<(u64, u64)>,
    address: String,
    /// Where names lead: clear text, and TLS.
    gateway: [Option<SocketAddr>; 2],
    nonces: BTreeSet<String>,
    issued_nonces: usize,
    forgiven: bool,
    accounts: Vec<Value>,
    orders: Vec<Order>,
    issued: usize,
    replaced: usize,
}

struct Order {
    names: Vec<String>,
    /// Per name: whether it is proved; `Err` once that failed.
    proved: Vec<Option<Result<(), String>>>,
    replaces: Value,
    certificate: Option<String>,
}

/// An authority whose certificates last `days` on this clock.
pub(crate) fn start(clock: &Clock, days: u64) -> Acme {
    let state = State {
        mood: Mood::Well,
        authority: Authority::new("Acme Test CA"),
        clock: clock.clone(),
        life: days * 24 * 3600,
        window: None,
        address: String::new(),
        gateway: [None, None],
        nonces: BTreeSet::new(),
        issued_nonces: 0,
        forgiven: false,
        accounts: Vec::new(),
        orders: Vec::new(),
        issued: 0,
        replaced: 0,
    };
    let state = Arc::new(Mutex::new(state));
    let shared = Arc::clone(&state);
    let server = upstream::serve(move |conn| {
        while let Some(seen) = conn.request() {
            if shared.lock().unwrap().mood == Mood::Gone {
                return conn.reset();
            }
            let answer = State::answer(&shared, &seen);
            if !conn.send(answer) {
                return;
            }
        }
    });
    state.lock().unwrap().address = server.url();
    Acme { server, state }
}

impl Acme {
    pub(crate) fn directory(&self) -> String {
        format!("{}/dir", self.state.lock().unwrap().address)
    }

    /// Where it really listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// It is known by this address from now on.
    pub(crate) fn is_known_as(&self, address: String) {
        self.state.lock().unwrap().address = address;
    }

    /// Names lead there: to a listener in clear text, and to one of TLS.
    pub(crate) fn names_lead_to(&self, clear: Option<SocketAddr>, tls: Option<SocketAddr>) {
        self.state.lock().unwrap().gateway = [clear, tls];
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// Wants certificates renewed within these Unix seconds.
    pub(crate) fn suggests(&self, window: (u64, u64)) {
        self.state.lock().unwrap().window = Some(window);
    }

    /// Who trusts it trusts this certificate.
    pub(crate) fn root(&self) -> Authority {
        self.state.lock().unwrap().authority.clone()
    }

    pub(crate) fn issued(&self) -> usize {
        self.state.lock().unwrap().issued
    }

    /// How many orders named the certificate they replace.
    pub(crate) fn replaced(&self) -> usize {
        self.state.lock().unwrap().replaced
    }

    pub(crate) fn orders(&self) -> usize {
        self.state.lock().unwrap().orders.len()
    }

    pub(crate) fn accounts(&self) -> usize {
        self.state.lock().unwrap().accounts.len()
    }

    pub(crate) fn calls(&self) -> usize {
        self.server.calls()
    }
}

type Refused = (u16, &'static str, String);

impl State {
    fn answer(state: &Mutex<Self>, seen: &Seen) -> Vec<u8> {
        let result = match (seen.method.as_str(), seen.target.as_str()) {
            ("GET", "/dir") => Ok((200, state.lock().unwrap().directory(), None)),
            ("HEAD" | "GET", "/nonce") => Ok((200, Value::Null, None)),
            ("GET", target) if target.starts_with("/ari/") => Ok((200, state.lock().unwrap().renewal(), None)),
            ("POST", target) => Self::posted(state, target, &seen.body),
            _ => Err((404, "malformed", "no such resource".to_owned())),
        };
        let mut state = state.lock().unwrap();
        state.issued_nonces += 1;
        let nonce = format!("nonce-{}", state.issued_nonces);
        state.nonces.insert(nonce.clone());
        let busy = match state.mood {
            Mood::Busy(seconds) => seconds.to_string(),
            _ => "21600".to_owned(),
        };
        let mut headers = vec![("replay-nonce", nonce.as_str()), ("retry-after", &busy)];
        let (status, body, location) = match result {
            Ok((status, Value::String(pem), _)) => (status, pem, None),
            Ok((status, body, location)) => (status, body.to_string(), location),
            Err((status, kind, detail)) => {
                let kind = format!("urn:ietf:params:acme:error:{kind}");
                (status, json!({ "type": kind, "detail": detail, "status": status }).to_string(), None)
            }
        };
        if let Some(location) = &location {
            headers.push(("location", location));
        }
        let body = if seen.method == "HEAD" { "" } else { &body };
        upstream::answer(status, &headers, body)
    }

    fn directory(&self) -> Value {
        let at = |path: &str| format!("{}/{path}", self.address);
        let mut directory =
            json!({ "newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order"), "meta": {} });
        if self.window.is_some() {
            directory["renewalInfo"] = at("ari").into();
        }
        directory
    }

    fn renewal(&self) -> Value {
        let (start, end) = self.window.expect("an authority that suggests");
        let text = |second: u64| jiff::Timestamp::from_second(second as i64).unwrap().to_string();
        json!({ "suggestedWindow": { "start": text(start), "end": text(end) } })
    }

    fn posted(state: &Mutex<Self>, target: &str, body: &[u8]) -> Result<(u16, Value, Option<String>), Refused> {
        let said = state.lock().unwrap().verified(target, body)?;
        let parts: Vec<_> = target.trim_start_matches('/').split('/').collect();
        let number = |at: usize| parts.get(at).and_then(|part| part.parse::<usize>().ok()).unwrap_or(usize::MAX);
        if let ["challenge", _, _, kind] = parts[..] {
            return Self::challenged(state, said.account, number(1), number(2), kind);
        }
        let mut state = state.lock().unwrap();
        let address = state.address.clone();
        match parts[..] {
            ["account"] => {
                let body = json!({ "status": "valid", "contact": said.payload["contact"] });
                assert_eq!(said.payload["termsOfServiceAgreed"], true);
                Ok((201, body, Some(format!("{address}/account/{}", said.account))))
            }
            ["order"] => {
                let number = state.ordered(&said.payload)?;
                Ok((201, state.order(number), Some(format!("{address}/order/{number}"))))
            }
            ["order", _] => Ok((200, state.order(number(1)), None)),
            ["authorization", _, _] => Ok((200, state.authorization(number(1), number(2)), None)),
            ["finalize", _] => {
                state.finalize(number(1), &said.payload)?;
                Ok((200, state.order(number(1)), None))
            }
            ["certificate", _] => {
                let pem = state.orders[number(1)].certificate.clone().expect("an issued certificate");
                Ok((200, Value::String(pem), None))
            }
            _ => Err((404, "malformed", target.to_owned())),
        }
    }

    fn ordered(&mut self, payload: &Value) -> Result<usize, Refused> {
        if let Mood::Busy(_) = self.mood {
            return Err((429, "rateLimited", "too many certificates".to_owned()));
        }
        let names = payload["identifiers"].as_array().expect("identifiers").iter();
        let names: Vec<_> = names.map(|name| name["value"].as_str().unwrap().to_owned()).collect();
        self.replaced += usize::from(payload["replaces"].is_string());
        let proved = vec![None; names.len()];
        self.orders.push(Order { names, proved, replaces: payload["replaces"].clone(), certificate: None });
        Ok(self.orders.len() - 1)
    }

    fn order(&self, number: usize) -> Value {
        let (order, address) = (&self.orders[number], &self.address);
        let status = match order {
            order if order.certificate.is_some() => "valid",
            order if order.proved.iter().any(|proved| matches!(proved, Some(Err(_)))) => "invalid",
            order if order.proved.iter().all(|proved| matches!(proved, Some(Ok(())))) => "ready",
            _ => "pending",
        };
        let authorizations: Vec<_> =
            (0..order.names.len()).map(|name| format!("{address}/authorization/{number}/{name}")).collect();
        let names: Vec<_> = order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let mut body = json!({
            "status": status, "identifiers": names, "authorizations": authorizations,
            "finalize": format!("{address}/finalize/{number}"),
        });
        if order.replaces.is_string() {
            body["replaces"] = order.replaces.clone();
        }
        if status == "valid" {
            body["certificate"] = format!("{address}/certificate/{number}").into();
        }
        body
    }

    fn authorization(&self, number: usize, name: usize) -> Value {
        let order = &self.orders[number];
        let status = match &order.proved[name] {
            None => "pending",
            Some(Ok(())) => "valid",
            Some(Err(_)) => "invalid",
        };
        let challenges: Vec<_> =
            ["http-01", "tls-alpn-01", "dns-01"].iter().map(|kind| self.challenge(number, name, kind)).collect();
        json!({ "status": status, "identifier": { "type": "dns", "value": order.names[name] }, "challenges": challenges })
    }

    fn challenge(&self, number: usize, name: usize, kind: &str) -> Value {
        let mut body = json!({
            "type": kind, "status": "pending", "token": token(number, name),
            "url": format!("{}/challenge/{number}/{name}/{kind}", self.address),
        });
        match &self.orders[number].proved[name] {
            Some(Err(why)) => {
                body["status"] = "invalid".into();
                body["error"] = json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": why });
            }
            Some(Ok(())) => body["status"] = "valid".into(),
            None => {}
        }
        body
    }

    /// The proof is looked at where the name leads to; the lock is not held meanwhile.
    fn challenged(
        state: &Mutex<Self>,
        account: usize,
        number: usize,
        name: usize,
        kind: &str,
    ) -> Result<(u16, Value, Option<String>), Refused> {
        let (host, expected, doubts) = {
            let state = state.lock().unwrap();
            let key = &state.accounts[account];
            let thumb = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, key["x"], key["y"]);
            let thumb = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, thumb.as_bytes()));
            let expected = format!("{}.{thumb}", token(number, name));
            (state.orders[number].names[name].clone(), expected, state.mood == Mood::Doubts)
        };
        let place = || state.lock().unwrap().gateway[usize::from(kind == "tls-alpn-01")];
        let at = crate::support::wait::find("the names lead somewhere", place);
        let proved = match kind {
            _ if doubts => Err("the proof is not convincing".to_owned()),
            "http-01" => proof::in_clear_text(at, &host, &token(number, name), &expected),
            _ => proof::by_handshake(at, &host, &expected),
        };
        let mut state = state.lock().unwrap();
        state.orders[number].proved[name] = Some(proved);
        Ok((200, state.challenge(number, name, kind), None))
    }

    fn finalize(&mut self, number: usize, payload: &Value) -> Result<(), Refused> {
        let der = URL_SAFE_NO_PAD.decode(payload["csr"].as_str().unwrap()).unwrap();
        let (_, csr) = X509CertificationRequest::from_der(&der).unwrap();
        let info = &csr.certification_request_info;
        let key = Key(info.subject_pki.subject_public_key.data.to_vec());
        let order = &mut self.orders[number];
        if !order.proved.iter().all(|proved| matches!(proved, Some(Ok(())))) {
            return Err((403, "orderNotReady", String::new()));
        }
        let mut params = CertificateParams::new(order.names.clone()).unwrap();
        let now = self.clock.unix();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + now - std::time::Duration::from_secs(3600);
        params.not_after = epoch + now + std::time::Duration::from_secs(self.life);
        params.use_authority_key_identifier_extension = true;
        order.certificate = Some(self.authority.certify(params, &key));
        self.issued += 1;
        Ok(())
    }
}

fn token(order: usize, name: usize) -> String {
    format!("token-{order}-{name}")
}

/// The key of a request.
struct Key(Vec<u8>);

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}
