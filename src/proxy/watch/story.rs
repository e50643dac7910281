//! What was seen of a request, as JSON: when what happened, what it changed, what was asked of whom.

use std::rc::Rc;

use serde_json::Value;
use serde_json::json;

use crate::clock::Moment;
use crate::primitive::codec::base64_encode;
use crate::proxy::Exchange;
use crate::proxy::watch::Watch;
use crate::proxy::watch::call::Attempt;
use crate::proxy::watch::call::Call;
use crate::proxy::watch::call::Head;
use crate::proxy::watch::call::Passed;
use crate::proxy::watch::call::fields;
use crate::proxy::watch::redact::Redactor;
use crate::proxy::watch::trail::Trod;

impl Watch {
    /// The whole story, under the name `id`. Times are seconds: `at` since the request's head was there, `seconds` how long.
    pub(super) fn story(&self, id: &str, exchange: &Rc<Exchange>, now: Moment) -> Value {
        let redactor = self.redactor();
        let steps: Vec<_> = self.trail.take(exchange).iter().map(|trod| self.step(trod)).collect();
        let calls = self.calls.borrow();
        let mut story = json!({
            "id": id,
            "request_id": &**exchange.id(),
            "trace_id": exchange.trace().id(),
            "time": self.at.as_secs_f64(),
            "worker": self.worker,
            "generation": self.shared.generation,
            "request": self.request(&redactor, exchange),
            "route": self.route(exchange),
            "steps": steps,
            "calls": calls.iter().map(|call| self.told(call, &redactor)).collect::<Vec<_>>(),
            "answer": self.answer(&redactor, exchange),
            "seconds": now.since(self.began).as_secs_f64(),
        });
        if self.order.records {
            story["seed"] = self.seed.into();
            story["user"] = self.user(&redactor, exchange);
        }
        story
    }

    fn at(&self, moment: Moment) -> f64 {
        moment.since(self.began).as_secs_f64()
    }

    fn request(&self, redactor: &Redactor<'_>, exchange: &Exchange) -> Value {
        let came = &self.came;
        let mut request = json!({
            "method": came.method,
            "host": came.host,
            "target": redactor.target(&came.target),
            "scheme": came.scheme,
            "version": came.version,
            "client": came.client,
            "headers": shown(&came.fields, redactor),
            "bytes": exchange.record.borrow().bytes_in,
        });
        self.add_body(&mut request, &self.body, &came.fields, redactor);
        request
    }

    fn route(&self, exchange: &Exchange) -> Value {
        let route = exchange.route.get().and_then(|route| self.shared.plan.routes.get(route));
        route.map_or(
            Value::Null,
            |route| json!({ "name": route.name, "pattern": route.pattern, "place": place(&route.place) }),
        )
    }

    fn step(&self, trod: &Trod) -> Value {
        let mut told = step(trod);
        told["at"] = self.at(trod.began).into();
        told
    }

    fn told(&self, call: &Call, redactor: &Redactor<'_>) -> Value {
        let attempt = |attempt: &Attempt| {
            let mut told = json!({
                "host": attempt.host,
                "at": self.at(attempt.began),
                "seconds": attempt.took.as_secs_f64(),
            });
            match &attempt.outcome {
                Ok(status) => told["status"] = (*status).into(),
                Err(error) => told["error"] = error.as_str().into(),
            }
            told
        };
        let attempts = call.attempts.borrow();
        let mut request = json!({ "bytes": call.sent.bytes.get() });
        self.add_body(&mut request, &call.sent, &call.fields, redactor);
        let host =
            call.host.clone().or_else(|| attempts.last().map(|attempt| attempt.host.clone())).unwrap_or_default();
        let headers: Vec<_> = std::iter::once(("host".to_owned(), host)).chain(call.fields.iter().cloned()).collect();
        let (path, query) =
            call.target.split_once('?').map_or((&*call.target, None), |(path, query)| (path, Some(query)));
        let mut told = json!({
            "upstream": call.upstream,
            "host": attempts.last().map(|attempt| &attempt.host),
            "method": call.method,
            "path": redactor.text(path),
            "query": query.map(|query| redactor.query(query)),
            "headers": shown(&headers, redactor),
            "at": self.at(call.began),
            "seconds": call.took.get().as_secs_f64(),
            "attempts": attempts.iter().map(attempt).collect::<Vec<_>>(),
            "sent": request,
        });
        match &*call.outcome.borrow() {
            Some(Ok(Head { status, fields: headers })) => {
                let mut answer = json!({ "status": status, "headers": shown(headers, redactor), "bytes": call.received.bytes.get() });
                self.add_body(&mut answer, &call.received, headers, redactor);
                told["answer"] = answer;
            }
            Some(Err(error)) => told["error"] = redactor.text(error).into(),
            None => told["error"] = "given up before an answer came".into(),
        }
        told
    }

    fn answer(&self, redactor: &Redactor<'_>, exchange: &Exchange) -> Value {
        let record = exchange.record.borrow();
        let head = self.head.get();
        let failure = exchange.failure.borrow();
        let cause =
            failure.as_ref().map(|failure| if failure.cause.is_empty() { &failure.detail } else { &failure.cause });
        let headers = record.headers.as_deref().map(fields).unwrap_or_default();
        let mut answer = json!({
            "status": record.status,
            "code": record.reason.as_deref(),
            "cause": cause.map(|cause| redactor.text(cause)),
            "from": record.origin.as_str(),
            "cache": head.and_then(|(_, cache)| cache),
            "headers": shown(&headers, redactor),
            "bytes": record.bytes_out,
            "at": head.map(|(at, _)| self.at(at)),
        });
        self.add_body(&mut answer, &self.sent, &headers, redactor);
        answer
    }

    /// Who the caller is, for whoever plays the request again without its credentials.
    fn user(&self, redactor: &Redactor<'_>, exchange: &Rc<Exchange>) -> Value {
        let claims = exchange.user.claims().map(|claims| Value::clone(&claims));
        let claims = claims.or_else(|| {
            let text = exchange.site.hooks.lookup(exchange, &["user".to_owned()])?;
            serde_json::from_str(&text).ok().filter(Value::is_object)
        });
        claims.map_or(Value::Null, |mut claims| {
            redactor.json(&mut claims);
            claims
        })
    }

    /// The body that was kept, where bodies are; `cut` where it is not all there.
    fn add_body(&self, into: &mut Value, body: &Passed, headers: &[(String, String)], redactor: &Redactor<'_>) {
        if !self.order.records || body.bytes.get() == 0 {
            return;
        }
        if !body.is_whole() {
            into["cut"] = true.into();
            return;
        }
        let copy = body.copy.borrow();
        let media = headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value);
        match redactor.body(media, &copy) {
            Some(text) => into["text"] = text.into(),
            None => into["base64"] = base64_encode(&*copy).into(),
        }
    }
}

/// A step as JSON.
pub fn step(trod: &Trod) -> Value {
    json!({
        "word": trod.word,
        "level": trod.level,
        "place": place(&trod.place),
        "outcome": trod.outcome.as_str(),
        "changes": trod.changes,
        "seconds": trod.took.as_secs_f64(),
    })
}

fn place((file, line): &(String, u32)) -> Value {
    json!({ "file": file, "line": line })
}

fn shown(fields: &[(String, String)], redactor: &Redactor<'_>) -> Vec<[String; 2]> {
    fields.iter().take(MOST_FIELDS).map(|(name, value)| [name.clone(), short(&redactor.named(name, value))]).collect()
}

/// Values are cut where a reader has seen enough.
fn short(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} bytes)", &value[..end], value.len()),
        None => value.to_owned(),
    }
}

/// Fields of a message that are shown.
const MOST_FIELDS: usize = 200;
/// Characters of a field's value that are shown.
const LONGEST: usize = 1000;
