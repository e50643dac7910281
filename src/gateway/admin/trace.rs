//! `/trace` and `/record`: which requests to watch, and what was seen of them.

use serde_json::Value;
use serde_json::json;

use super::pages::Sheet;
use super::pages::no;
use crate::clock::Moment;
use crate::gateway::listing::story;
use crate::http::Method;
use crate::http::Request;
use crate::http::Response;
use crate::primitive::query::first;
use crate::proxy::watch::HEADER;
use crate::proxy::watch::MOST_KEPT;
use crate::proxy::watch::Shelf;
use crate::proxy::watch::order::Terms;
use crate::telemetry::log;

/// What a request to `/trace…` or, where it `records`, to `/record…` comes to.
pub(super) fn trace(shelf: &Shelf, request: &Request, records: bool, now: Moment) -> Response {
    let name = request.path.split('/').nth(2).unwrap_or_default();
    match request.method {
        Method::Post if name.is_empty() => arm(shelf, request, records, now),
        Method::Delete => {
            let only = if name.is_empty() { Ok(None) } else { name.parse().map(Some) };
            match only {
                Ok(only) => Sheet::json(200, &json!({ "ended": shelf.disarm(only) })).into_response(),
                Err(_) => {
                    *no(404, "admin.trace", &format!("`{name}` is no order: its number is in the answer to POST"))
                }
            }
        }
        Method::Get | Method::Head => show(shelf, request, name, records, now),
        _ => *no(405, "admin.method", "this page has another method"),
    }
}

fn arm(shelf: &Shelf, request: &Request, records: bool, now: Moment) -> Response {
    let most = if records { MOST_KEPT } else { MOST_TRACES };
    let usual = if records { USUAL } else { 1 };
    let terms = match Terms::parse(request.query.as_deref().unwrap_or_default(), usual, most) {
        Ok(terms) => terms,
        Err(fault) => return *no(400, "admin.trace", &fault),
    };
    let (count, lasts) = (terms.count, terms.lasts.as_secs_f64());
    let Some((order, signed)) = shelf.arm(terms, records, now) else {
        return *no(429, "admin.trace", "too much is asked for already; DELETE /trace puts an end to all of it");
    };
    let what = if records { "requests are recorded" } else { "requests are traced" };
    log::info(what, &[("order", &order), ("count", &count), ("seconds", &lasts)]);
    let answer = json!({ "order": order, "count": count, "for": lasts, "header": format!("{HEADER}: {signed}") });
    Sheet::json(200, &answer).into_response()
}

fn show(shelf: &Shelf, request: &Request, name: &str, records: bool, now: Moment) -> Response {
    let text = match first(request.query.as_deref().unwrap_or_default(), "as").as_deref() {
        None | Some("json") => false,
        Some("text") => true,
        Some(_) => return *no(400, "admin.trace", "`as` is json or text"),
    };
    let missing = || *no(404, "admin.trace", &format!("there is no `{name}` here, or it is forgotten"));
    if name.is_empty() {
        return Sheet::json(200, &list(shelf, now)).into_response();
    }
    let stories = match name.parse::<u64>() {
        Ok(order) => {
            let (stories, open) = shelf.stories(order, now);
            if !text {
                let all = if records { "requests" } else { "traces" };
                return Sheet::json(200, &json!({ "order": order, "open": open, all: stories })).into_response();
            }
            stories
        }
        Err(_) => match shelf.story(name, now) {
            None => return missing(),
            Some(story) if !text => return Sheet::json(200, &story).into_response(),
            Some(story) => vec![story],
        },
    };
    let pages: Vec<_> = stories.iter().map(story::waterfall).collect();
    Sheet::text(pages.join("\n")).into_response()
}

fn list(shelf: &Shelf, now: Moment) -> Value {
    let (orders, stories) = shelf.list(now);
    let orders = orders.iter().map(|open| {
        json!({ "order": open.order, "left": open.left, "seconds": open.time.as_secs_f64(), "records": open.records })
    });
    let brief = stories.iter().map(|story| {
        json!({
            "id": story["id"],
            "request_id": story["request_id"],
            "time": story["time"],
            "method": story["request"]["method"],
            "target": story["request"]["target"],
            "route": story["route"]["name"],
            "status": story["answer"]["status"],
            "seconds": story["seconds"],
        })
    });
    json!({ "orders": orders.collect::<Vec<_>>(), "traces": brief.collect::<Vec<_>>() })
}

/// Requests that one order may trace.
const MOST_TRACES: usize = 100;
/// Requests that are recorded unless somebody says how many.
const USUAL: usize = 100;
