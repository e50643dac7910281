//! `POST /purge?tag=a&tag=b&key=k&prefix=/x&hard=true&space=main`: forgetting, from outside.

use serde_json::json;

use super::pages::no;
use crate::cache::purge::Order;
use crate::http::Request;
use crate::http::Response;
use crate::primitive::query::Query;
use crate::script::forget;
use crate::script::live::Live;

/// What a request to `/purge` comes to.
pub(super) fn purge(live: &Live, request: &Request) -> Response {
    let query = Query::parse(request.query.as_deref().unwrap_or_default());
    let all = |name: &str| query.all(name).map(str::to_owned).collect();
    let order = Order {
        tags: all("tag"),
        keys: all("key"),
        prefix: query.get("prefix").map(str::to_owned),
        hard: query.get("hard") == Some("true"),
    };
    if let Some((name, _)) = query.iter().find(|(name, _)| !KNOWN.contains(name)) {
        return *no(400, "admin.purge", &format!("there is no `{name}` here: {} are known", KNOWN.join(", ")));
    }
    if order.is_empty() {
        return *no(400, "admin.purge", "say what to forget: tag=…, key=…, prefix=/…, or tag=* for everything");
    }
    let spaces = live.spaces();
    let chosen: Vec<_> = match query.get("space") {
        None => spaces.into_iter().collect(),
        Some(name) => spaces.into_iter().filter(|(known, _)| known == name).collect(),
    };
    if let (Some(name), true) = (query.get("space"), chosen.is_empty()) {
        return *no(404, "admin.purge", &format!("there is no cache space `{name}`, or nothing was stored in it yet"));
    }
    let mut made = 0;
    for (name, space) in &chosen {
        made += forget(live, name, space, &order);
    }
    let names: Vec<_> = chosen.iter().map(|(name, _)| name).collect();
    Response::with(
        200,
        "application/json",
        format!("{}\n", json!({ "purges": made, "spaces": names, "hard": order.hard })),
    )
}

const KNOWN: [&str; 5] = ["tag", "key", "prefix", "hard", "space"];
