//! An account with an authority: made once, kept, and every request signed by it (RFC 8555 §6, §7.1 to §7.3).

use std::cell::RefCell;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

use super::client::Answer;
use super::client::Client;
use super::jws::Key;
use crate::http::Method;
use crate::primitive::codec;

/// An account, ready to ask.
pub(super) struct Session {
    client: Client,
    key: Key,
    /// The account's address.
    account: String,
    directory: Directory,
    nonce: RefCell<Option<String>>,
}

/// What an authority has to offer, and where.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
    renewal_info: Option<String>,
}

/// An account as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    account: String,
    /// PKCS #8, in base64.
    key: String,
}

/// Why a request came to nothing.
pub(super) enum Trouble {
    /// The authority says no (RFC 7807).
    Refused(Problem),
    /// It cannot be reached, or understood.
    Failed(String),
}

/// What an authority says is wrong.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
    subproblems: Vec<Self>,
}

impl Session {
    /// With the account that was kept.
    pub(super) async fn known(client: Client, directory: &str, kept: &[u8]) -> Result<Self, Trouble> {
        let unreadable = || Trouble::Failed("the account that was kept cannot be read".to_owned());
        let kept: Kept = serde_json::from_slice(kept).map_err(|_| unreadable())?;
        let key = codec::base64_decode(&kept.key).ok().and_then(|key| Key::read(&key)).ok_or_else(unreadable)?;
        let directory = read_directory(&client, directory).await?;
        Ok(Self { client, key, account: kept.account, directory, nonce: RefCell::default() })
    }

    /// With a new account; the terms of the authority are agreed to.
    pub(super) async fn new(client: Client, directory: &str, email: &str) -> Result<Self, Trouble> {
        let directory = read_directory(&client, directory).await?;
        let key = Key::generate().map_err(|_| Trouble::Failed("no key can be made".to_owned()))?;
        let mut session = Self { client, key, account: String::new(), directory, nonce: RefCell::default() };
        let wanted = json!({ "contact": [format!("mailto:{email}")], "termsOfServiceAgreed": true });
        let url = session.directory.new_account.clone();
        let answer = session.send(None, &url, Some(&wanted)).await?;
        let account = answer.text("location").map(str::to_owned);
        session.account = account.ok_or_else(|| Trouble::Failed("the account has no address".to_owned()))?;
        Ok(session)
    }

    /// To be kept: whoever reads it is this account.
    pub(super) fn to_be_kept(&self) -> Vec<u8> {
        let kept = Kept { account: self.account.clone(), key: codec::base64_encode(self.key.pkcs8()) };
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// What proves that this account has seen `token`.
    pub(super) fn authorization(&self, token: &str) -> String {
        self.key.authorization(token)
    }

    /// Makes an order; its address, and how it stands.
    pub(super) async fn order<T: DeserializeOwned>(&self, wanted: &Value) -> Result<(String, T), Trouble> {
        let answer = self.send(Some(&self.account), &self.directory.new_order, Some(wanted)).await?;
        let url = answer.text("location").map(str::to_owned);
        let url = url.ok_or_else(|| Trouble::Failed("the order has no address".to_owned()))?;
        Ok((url, answer.json()?))
    }

    /// Sends `payload` to `url`; what becomes of it.
    pub(super) async fn post<T: DeserializeOwned>(&self, url: &str, payload: &Value) -> Result<T, Trouble> {
        self.send(Some(&self.account), url, Some(payload)).await?.json()
    }

    /// How things stand at `url` (§6.3).
    pub(super) async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, Trouble> {
        self.send(Some(&self.account), url, None).await?.json()
    }

    /// The text at `url`.
    pub(super) async fn text(&self, url: &str) -> Result<String, Trouble> {
        let answer = self.send(Some(&self.account), url, None).await?;
        String::from_utf8(answer.body.into()).map_err(|_| Trouble::Failed("the certificate is no text".to_owned()))
    }

    /// When the authority wants the certificate of this id renewed (RFC 9773 §4.1); `None`: it does not say.
    pub(super) async fn renewal<T: DeserializeOwned>(&self, id: &str) -> Result<Option<T>, Trouble> {
        let Some(base) = &self.directory.renewal_info else { return Ok(None) };
        let url = format!("{}/{id}", base.trim_end_matches('/'));
        let answer = self.client.ask(Method::Get, &url, None).await.map_err(Trouble::Failed)?;
        checked(answer)?.json().map(Some)
    }

    /// Whether the authority knows of renewals at all.
    pub(super) fn renews(&self) -> bool {
        self.directory.renewal_info.is_some()
    }

    async fn send(&self, account: Option<&str>, url: &str, payload: Option<&Value>) -> Result<Answer, Trouble> {
        let mut attempts = 0;
        loop {
            let nonce = self.nonce().await?;
            let signed = self.key.sign(account, url, &nonce, payload);
            let signed = signed.map_err(|_| Trouble::Failed("the request cannot be signed".to_owned()))?;
            let answer = self.client.ask(Method::Post, url, Some(signed)).await.map_err(Trouble::Failed)?;
            *self.nonce.borrow_mut() = answer.text("replay-nonce").map(str::to_owned);
            match checked(answer) {
                // One that was good a moment ago may be no more (§6.5).
                Err(Trouble::Refused(problem)) if problem.is("badNonce") && attempts < 3 => attempts += 1,
                done => return done,
            }
        }
    }

    async fn nonce(&self) -> Result<String, Trouble> {
        if let Some(nonce) = self.nonce.borrow_mut().take() {
            return Ok(nonce);
        }
        let answer = self.client.ask(Method::Head, &self.directory.new_nonce, None).await.map_err(Trouble::Failed)?;
        let nonce = answer.text("replay-nonce").map(str::to_owned);
        nonce.ok_or_else(|| Trouble::Failed("the authority gives no nonce".to_owned()))
    }
}

async fn read_directory(client: &Client, url: &str) -> Result<Directory, Trouble> {
    checked(client.ask(Method::Get, url, None).await.map_err(Trouble::Failed)?)?.json()
}

fn checked(answer: Answer) -> Result<Answer, Trouble> {
    match answer.status {
        200..=299 => Ok(answer),
        status => Err(match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(problem) if !problem.kind.is_empty() => Trouble::Refused(problem),
            _ => Trouble::Failed(format!("the authority answers {status}")),
        }),
    }
}

impl Answer {
    fn json<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        serde_json::from_slice(&self.body).map_err(|error| Trouble::Failed(format!("the authority's answer: {error}")))
    }
}

impl Problem {
    /// Whether it is this one of ACME's (§6.7).
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind.strip_prefix("urn:ietf:params:acme:error:") == Some(kind)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.kind.trim_start_matches("urn:ietf:params:acme:error:"))?;
        self.subproblems.iter().try_for_each(|problem| write!(f, "; {problem}"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(problem) => problem.fmt(f),
            Self::Failed(said) => f.write_str(said),
        }
    }
}
