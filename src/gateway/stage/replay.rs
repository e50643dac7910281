//! A recording of real requests, played through a script: with the services' recorded answers, at the recorded times.

mod compare;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::Stage;
use crate::primitive::codec::base64_decode;
use crate::script::suite;
use crate::script::suite::Asked;
use crate::script::suite::Call;
use crate::script::suite::Fault;
use crate::script::suite::Reply;
use compare::differences;

/// What became of one recorded request.
pub struct Played {
    /// Its name in the recording.
    pub id: String,
    /// What was asked.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Why it could not be played; nothing else is known then.
    pub skipped: Option<String>,
    /// What is another than it was, one line each.
    pub differs: Vec<String>,
}

impl Stage {
    /// Plays `requests`, as `/record` tells them, the oldest first.
    pub fn replay(&self, requests: &[Value]) -> Result<Vec<Played>, String> {
        let mut requests: Vec<_> = requests.iter().collect();
        requests.sort_by(|a, b| time(a).total_cmp(&time(b)));
        requests.into_iter().map(|request| self.play(request)).collect()
    }

    fn play(&self, story: &Value) -> Result<Played, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut played = Played {
            id: text(&story["id"]),
            method: text(&story["request"]["method"]),
            target: text(&story["request"]["target"]),
            skipped: None,
            differs: Vec::new(),
        };
        let asked = match asked(story) {
            Ok(asked) => asked,
            Err(why) => return Ok(Played { skipped: Some(why), ..played }),
        };
        self.until(time(story))?;
        if let Some(seed) = story["seed"].as_u64() {
            self.workers.iter().for_each(|worker| worker.set_seed(seed));
        }
        let service = Rc::new(Service::of(story));
        let standing = Rc::clone(&service);
        self.mocks.fall_back(Rc::new(move |call| Ok(standing.answer(&call))));
        for upstream in &service.unreachable {
            self.mocks.down(upstream.clone(), None, true);
        }
        let answered = suite::Stage::ask(self, asked);
        for upstream in &service.unreachable {
            self.mocks.down(upstream.clone(), None, false);
        }
        match answered {
            Ok(answered) => played.differs = differences(story, &answered, &service.calls.borrow()),
            Err(why) => played.skipped = Some(why),
        }
        Ok(played)
    }

    /// Turns the clock to `time`, in seconds since 1970; it never goes back.
    fn until(&self, time: f64) -> Result<(), String> {
        let due = Duration::try_from_secs_f64(time).unwrap_or_default();
        suite::Stage::advance(self, due.saturating_sub(self.driver.unix()))
    }
}

/// When a recorded request came, in seconds since 1970.
pub fn time(story: &Value) -> f64 {
    story["time"].as_f64().unwrap_or_default()
}

/// The request that was recorded; credentials are not in it, so it comes as whom it was then.
fn asked(story: &Value) -> Result<Asked, String> {
    let request = &story["request"];
    let text = |name: &str| request[name].as_str().map(str::to_owned);
    let method = text("method").ok_or("the recording has no method here")?;
    let url = text("target").filter(|target| target.starts_with('/') || target == "*");
    let url = url.ok_or("the recording has no target here")?;
    if request["cut"] == true {
        return Err("its body was too large to be recorded".to_owned());
    }
    if story["answer"]["status"] == 101 {
        return Err("it became a WebSocket".to_owned());
    }
    let mut headers: Vec<_> = fields(&request["headers"]).filter(|(_, value)| !value.contains(HIDDEN)).collect();
    headers.retain(|(name, _)| name != "host");
    headers.extend(text("host").filter(|host| !host.is_empty()).map(|host| ("host".to_owned(), host)));
    Ok(Asked {
        method,
        url,
        headers,
        body: body(request),
        ip: text("client").and_then(|client| client.parse().ok()),
        user: story.get("user").filter(|user| user.is_object()).cloned(),
        key: None,
    })
}

/// The recorded services.
struct Service {
    recorded: Vec<Value>,
    used: RefCell<BTreeSet<usize>>,
    /// Upstreams that could not be connected to.
    unreachable: Vec<String>,
    /// What was asked for, in this order.
    calls: RefCell<Vec<Call>>,
}

impl Service {
    fn of(story: &Value) -> Self {
        let recorded = story["calls"].as_array().cloned().unwrap_or_default();
        let refused = |call: &&Value| call["error"].is_string() && story["answer"]["code"] == "upstream.connect";
        let unreachable = recorded.iter().filter(refused).filter_map(|call| call["upstream"].as_str());
        Self {
            unreachable: unreachable.map(str::to_owned).collect(),
            recorded,
            used: RefCell::default(),
            calls: RefCell::default(),
        }
    }

    fn answer(&self, call: &Call) -> Reply {
        let found = self.find(call);
        self.calls.borrow_mut().push(call.clone());
        let Some(recorded) = found.and_then(|at| self.recorded.get(at)) else {
            // Nobody knows what the service would have said.
            return Reply::status(404);
        };
        let answer = &recorded["answer"];
        let Some(status) = answer["status"].as_u64().and_then(|status| u16::try_from(status).ok()) else {
            let late = recorded["error"].as_str().is_some_and(|error| error.contains("in time"));
            return Reply { fault: Some(if late { Fault::Hang } else { Fault::Reset }), ..Reply::status(502) };
        };
        let own = ["content-length", "transfer-encoding", "connection"];
        let headers = fields(&answer["headers"]).filter(|(name, _)| !own.contains(&name.as_str()));
        let took = recorded["seconds"].as_f64().unwrap_or_default();
        Reply {
            headers: headers.collect(),
            pieces: Some(body(answer)).into_iter().filter(|body| !body.is_empty()).collect(),
            delay: Duration::try_from_secs_f64(took).unwrap_or_default(),
            fault: (answer["cut"] == true).then_some(Fault::Cut),
            ..Reply::status(status)
        }
    }

    /// The recorded call that is most like this one and was not played yet: to the same path, else to the same service in
    /// another way. A call that is repeated gets the last answer again.
    fn find(&self, call: &Call) -> Option<usize> {
        let mut used = self.used.borrow_mut();
        let like = |at: &usize| {
            let recorded = &self.recorded[*at];
            recorded["upstream"] == call.upstream.as_str()
                && recorded["method"] == call.method.as_str()
                && recorded["path"] == call.path.as_str()
        };
        let all: Vec<usize> = (0..self.recorded.len()).filter(like).collect();
        let fresh = all.iter().copied().find(|at| !used.contains(at));
        let found = fresh.or_else(|| all.last().copied());
        used.extend(found);
        found
    }
}

/// Header fields as a recording has them.
fn fields(list: &Value) -> impl Iterator<Item = (String, String)> {
    let pairs = list.as_array().map_or(&[][..], Vec::as_slice).iter();
    pairs.filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())))
}

/// A body as a recording has it.
fn body(part: &Value) -> Bytes {
    if let Some(text) = part["text"].as_str() {
        return Bytes::copy_from_slice(text.as_bytes());
    }
    part["base64"].as_str().and_then(|text| base64_decode(text).ok()).unwrap_or_default().into()
}

/// What hidden values begin with.
const HIDDEN: &str = "<redacted";

#[cfg(test)]
mod tests;
