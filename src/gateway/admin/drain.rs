//! `POST /drain?upstream=users&host=10.0.0.1:80`: a host finishes what it has and gets nothing new; `&undo=true`: again.

use std::sync::Arc;

use serde_json::json;

use super::pages::no;
use crate::clock::Moment;
use crate::http::Request;
use crate::http::Response;
use crate::primitive::query::Query;
use crate::telemetry::log;
use crate::upstream::Shared;

/// What a request to `/drain` comes to.
pub(super) fn drain(upstreams: &[Arc<Shared>], request: &Request, now: Moment) -> Response {
    let query = Query::parse(request.query.as_deref().unwrap_or_default());
    if let Some((name, _)) = query.iter().find(|(name, _)| !matches!(*name, "upstream" | "host" | "undo")) {
        return *no(400, "admin.drain", &format!("there is no `{name}` here: upstream, host and undo are known"));
    }
    let (Some(upstream), Some(host)) = (query.get("upstream"), query.get("host")) else {
        return *no(400, "admin.drain", "say which: upstream=…&host=…");
    };
    let undo = match query.get("undo") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return *no(400, "admin.drain", "`undo` is true or false"),
    };
    let Some(shared) = upstreams.iter().find(|shared| shared.config().name == upstream) else {
        return *no(404, "admin.drain", &format!("there is no upstream `{upstream}`"));
    };
    let count = shared.drain(host, !undo, now);
    let state = shared.state(now);
    if count == 0 {
        let known: Vec<_> = state.hosts.iter().map(|host| &*host.host).collect();
        let detail = format!("upstream `{upstream}` has no host `{host}`; it has {}", known.join(", "));
        return *no(404, "admin.drain", &detail);
    }
    let what = if undo { "a host is taken in again" } else { "a host is drained" };
    log::info(what, &[("upstream", &upstream), ("host", &host)]);
    let answer = json!({ "upstream": upstream, "changed": count, "hosts": state.hosts });
    Response::with(200, "application/json", format!("{answer}\n"))
}
