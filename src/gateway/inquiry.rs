//! One request of the operator's own through the running gateway (`moongate explain --live`): by memory instead of a
//! socket, else as every other, and watched on its way.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::gateway::stage::client::Client;
use crate::gateway::stage::explain::Looked;
use crate::gateway::stage::explain::ranking;
use crate::http::headers::is_name;
use crate::http::headers::is_value;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::proxy::watch::HEADER;
use crate::proxy::watch::order::Terms;
use crate::script::suite::Answered;
use crate::script::suite::Asked;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    ip: Option<IpAddr>,
}

/// Reads the question that `POST /explain` brings.
pub(super) fn read(text: &[u8]) -> Result<Asked, String> {
    let question: Question = serde_json::from_slice(text).map_err(|fault| fault.to_string())?;
    let Question { method, url, headers, body, ip } = question;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_name(method.as_bytes()) || !plain(&url) || !(url.starts_with('/') || url.contains("://")) {
        return Err("a method and a path that begins with / (or a URL) are needed".to_owned());
    }
    if let Some((name, _)) =
        headers.iter().find(|(name, value)| !is_name(name.as_bytes()) || !is_value(value.as_bytes()))
    {
        return Err(format!("header `{name}` has characters that no field may have"));
    }
    Ok(Asked { method, url, headers, body: body.into(), ip, ..Asked::default() })
}

/// Sends `asked` through the generation that runs, and replies with what became of it.
pub(super) async fn answer(worker: Rc<Worker>, asked: Asked, reply: oneshot::Sender<Result<Value, String>>) {
    let work = inquire(&worker, asked);
    let story = worker.clock.timeout(PATIENCE, work).await;
    // Whoever asked may be gone.
    let _ = reply.send(story.unwrap_or_else(|| Err("the gateway did not answer in time".to_owned())));
}

async fn inquire(worker: &Rc<Worker>, mut asked: Asked) -> Result<Value, String> {
    let site = worker.site().ok_or("nothing runs yet")?;
    let shelf = &site.shared.watches;
    let armed = shelf.arm(Terms::of_signed(), false, worker.clock.now());
    let (order, signed) = armed.ok_or("too much is watched already; DELETE /trace puts an end to all of it")?;
    asked.headers.push((HEADER.to_owned(), signed));
    let client = Client::new(worker);
    let sent = match client.seat(&asked) {
        Ok(seat) => client.send(&seat, &asked).await,
        Err(fault) => Err(fault),
    };
    let mut story = None;
    for _ in 0..TURNS {
        story = shelf.stories(order, worker.clock.now()).0.pop();
        if story.is_some() || sent.is_err() {
            break;
        }
        // The last byte is here, and what is noted after it is not yet.
        tokio::task::yield_now().await;
    }
    if story.is_none() {
        shelf.disarm(Some(order));
    }
    let (answered, story) = (sent?, story.ok_or("the gateway answered, and nothing was noted")?);
    Ok(told(&site, &client, &asked, &answered, story))
}

/// The story with the routes that were looked at, and the answer as a client sees it.
fn told(site: &Site, client: &Client, asked: &Asked, answered: &Answered, mut story: Value) -> Value {
    let taken = story["route"]["name"].as_str();
    let routes = client.seat(asked).map(|seat| ranking(&site.shared, &seat, asked, taken)).unwrap_or_default();
    let routes: Vec<_> = routes.iter().map(Looked::to_json).collect();
    story["routes"] = routes.into();
    story["answer"]["body"] = String::from_utf8_lossy(&answered.body).into();
    story
}

/// How long somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often others may have a turn before the story must be there.
const TURNS: usize = 10_000;
