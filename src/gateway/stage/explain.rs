//! One request, explained: which routes were looked at and why the others lost, and what every step did with it.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::Value;
use serde_json::json;

use super::Stage;
use super::client::Seat;
use crate::http::Headers;
use crate::http::Method;
use crate::http::path::canonical;
use crate::plan::Place;
use crate::proxy::site::Shared;
use crate::route::Json;
use crate::route::Outcome;
use crate::route::View;
use crate::script::suite;
use crate::script::suite::Answered;
use crate::script::suite::Asked;
use crate::script::suite::Call;
use crate::script::suite::Reply;

/// What is known of one request.
pub struct Explained {
    /// Routes that host and path reach, in the order they are asked.
    pub routes: Vec<Looked>,
    /// What came back, and how.
    pub answered: Answered,
    /// What services were asked.
    pub calls: Vec<Call>,
}

/// A route that was looked at.
pub struct Looked {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// It took the request.
    pub takes: bool,
    /// Why it did not, or that nothing was left for it.
    pub why: &'static str,
}

impl Looked {
    /// As JSON.
    pub fn to_json(&self) -> Value {
        let place = json!({ "file": self.place.0, "line": self.place.1 });
        json!({ "name": self.name, "place": place, "takes": self.takes, "why": self.why })
    }
}

impl Stage {
    /// Sends `asked` through the gateway; every service answers 200 with a note of what it was asked.
    pub fn explain(&self, asked: Asked) -> Result<Explained, String> {
        let calls: Rc<RefCell<Vec<Call>>> = Rc::default();
        let noted = Rc::clone(&calls);
        self.mocks.fall_back(Rc::new(move |call| {
            noted.borrow_mut().push(call.clone());
            Ok(note(&call))
        }));
        let answered = suite::Stage::ask(self, asked.clone())?;
        let taken = answered.route.as_ref().map(|(name, ..)| name.as_str());
        let routes = ranking(&self.shared, &self.client.seat(&asked)?, &asked, taken);
        Ok(Explained { routes, answered, calls: calls.take() })
    }
}

/// The routes that host and path of `asked` reach; `taken` is the one that took it.
pub(in crate::gateway) fn ranking(shared: &Shared, seat: &Seat, asked: &Asked, taken: Option<&str>) -> Vec<Looked> {
    let (raw, query) = match seat.target().split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (seat.target(), None),
    };
    let Ok(path) = canonical(raw, shared.plan.gateway.limits.path) else { return Vec::new() };
    let mut headers = Headers::default();
    asked.headers.iter().for_each(|(name, value)| headers.add(name, value));
    let body: Option<Value> = serde_json::from_slice(&asked.body).ok();
    let view = View {
        method: &Method::of(&asked.method),
        host: seat.host(),
        path: &path,
        query,
        headers: &headers,
        sni: None,
        json: body.as_ref().map_or(Json::None, Json::Value),
    };
    let mut over = false;
    let looked = shared.routes.ranking(&view).into_iter().map(|candidate| {
        let route = &shared.plan.routes[candidate.route];
        let takes = !over && taken == Some(route.name.as_str());
        let why = if takes { "takes the request" } else { why(candidate.outcome, over) };
        over |= takes;
        Looked { name: route.name.clone(), place: route.place.clone(), takes, why }
    });
    looked.collect()
}

fn why(outcome: Outcome, over: bool) -> &'static str {
    match outcome {
        Outcome::Method => "is for another method",
        Outcome::Condition => "has a condition in `match` that does not hold",
        Outcome::NeedsBody => "has a condition on a body that is no JSON",
        Outcome::Redirects if !over => "redirects to its own form of the path",
        Outcome::AsksWhen if !over => "has a `when` that does not hold",
        Outcome::Takes | Outcome::AsksWhen | Outcome::Redirects => "would take it, and is less specific",
    }
}

fn note(call: &Call) -> Reply {
    let text = json!({ "mock": call.upstream, "method": call.method, "path": call.path, "query": call.query });
    Reply {
        headers: vec![("content-type".into(), "application/json".into())],
        pieces: vec![Bytes::from(text.to_string())],
        ..Reply::status(200)
    }
}
