//! What we ask of an authorization server as a client of its own: forms, sent with our name and secret.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use mlua::Table;
use serde_json::Value as Json;

use crate::http::Headers;
use crate::http::Method;
use crate::primitive::codec;
use crate::primitive::url;
use crate::proxy;
use crate::proxy::Call;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::script::bind::core::jwt::options::safe;
use crate::script::bind::text::Text;

/// An endpoint and who we are there.
#[derive(Clone)]
pub(super) struct Client {
    /// `https://…`, or an upstream and a path.
    pub(super) url: String,
    /// Our name.
    pub(super) id: String,
    /// Name and secret as a field says them.
    credentials: String,
}

impl Client {
    /// Reads `url`, `client_id` and `client_secret`.
    pub(super) fn read(table: &Table) -> mlua::Result<Self> {
        let (id, secret): (Text, Text) = (table.raw_get("client_id")?, table.raw_get("client_secret")?);
        let url = safe("url", table.raw_get("url")?)?;
        // RFC 6749 §2.3.1: both are form-encoded before they are joined.
        let pair = format!("{}:{}", form_encoded(&id.bytes()), form_encoded(&secret.bytes()));
        Ok(Self { url, id: id.utf8("client_id")?, credentials: format!("Basic {}", codec::base64_encode(pair)) })
    }

    /// Posts a form; the answer's JSON, or why there is none.
    pub(super) async fn post(
        &self,
        worker: &Rc<Worker>,
        site: &Rc<Site>,
        fields: &[(&str, &str)],
        time: Duration,
    ) -> Result<Json, String> {
        let mut headers = Headers::default();
        headers.set("accept", "application/json");
        headers.set("content-type", "application/x-www-form-urlencoded");
        headers.set("authorization", &self.credentials);
        let pairs: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", form_encoded(value.as_bytes()))).collect();
        let body = Bytes::from(pairs.join("&"));
        let call = Call {
            target: self.url.clone(),
            method: Method::Post,
            headers,
            body,
            timeout: Some(time),
            ..Call::default()
        };
        let work = async {
            let mut response = proxy::call(worker, site, call).await.map_err(|failure| failure.facts().cause)?;
            let body = response.body.collect(SIZE).await.map_err(|fault| format!("{}: {fault}", self.url))?;
            if response.status != 200 {
                return Err(format!("{} answered {}", self.url, response.status));
            }
            serde_json::from_slice(&body).map_err(|fault| format!("{} answered no JSON: {fault}", self.url))
        };
        let timed = worker.clock.timeout(time, work).await;
        timed.unwrap_or_else(|| Err(format!("{}: no answer within {time:?}", self.url)))
    }
}

fn form_encoded(bytes: &[u8]) -> String {
    url::encode(bytes)
}

/// Answers are small.
const SIZE: usize = 64 << 10;
