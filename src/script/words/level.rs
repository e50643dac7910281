//! Options that gateway, group and route share.

use super::Opt;
use super::Type;
use super::opt;
use crate::transform::template::Escape;

/// `errors`, `on_response`, `on_error`, `on_log`.
pub(super) fn hooks() -> Vec<Opt> {
    vec![
        opt(
            "errors",
            Type::map(Type::Either(vec![Type::Table(answer()), Type::Function("req, err")])),
            "",
            "answers by failure code (`[\"upstream.*\"] = { status = 503, json = {…} }`); the most specific name wins, then the inner level",
        ),
        opt(
            "on_response",
            Type::Function("req, res"),
            "",
            "for every answer, errors too; may change res or return another",
        ),
        opt("on_error", Type::Function("req, err"), "", "turns a failure into an answer; nil asks the next level out"),
        opt("on_log", Type::Function("req, res"), "", "after the last byte; may wait, cannot change anything"),
    ]
}

/// What a step may return as an answer.
pub(super) fn answer() -> Vec<Opt> {
    let template = || Type::Template(Escape::Plain);
    vec![
        opt("status", Type::Status, "the failure's", "the status to answer with"),
        opt(
            "headers",
            Type::map(Type::Either(vec![Type::Template(Escape::Header), Type::list(Type::Template(Escape::Header))])),
            "",
            "fields of the answer",
        ),
        opt(
            "cookies",
            Type::map(Type::Templates(Escape::Header)),
            "",
            "cookies to set: text, or { value, path, max_age, … }",
        ),
        opt("json", Type::Templates(Escape::Plain), "", "a body sent as JSON; the texts in it are templates"),
        opt("text", template(), "", "a body sent as plain text"),
        opt("html", template(), "", "a body sent as HTML"),
        opt("xml", template(), "", "a body sent as XML"),
        opt("body", template(), "", "a body as it stands"),
    ]
}

/// `timeout`: a duration or `{ head, total }`.
pub(super) fn timeout(default: &'static str) -> Opt {
    let table = vec![
        opt("head", Type::Duration, "30s", "from the request's head to the answer's head"),
        opt("total", Type::Duration, "", "from the request's head to the last byte of the answer; absent: no hard end"),
    ];
    opt(
        "timeout",
        Type::Either(vec![Type::Duration, Type::Table(table)]),
        default,
        "from the request's head to the answer's head; { head = \"30s\", total = \"5m\" } adds a hard end",
    )
}

/// What groups and routes share.
pub(super) fn placing() -> Vec<Opt> {
    let condition = || Type::Either(vec![Type::text(), Type::Regex, Type::Exactly(true)]);
    let names = || Type::map(condition());
    let conditions = vec![
        opt("header", names(), "", "by field"),
        opt("query", names(), "", "by query parameter"),
        opt("cookie", names(), "", "by cookie"),
        opt("sni", condition(), "", "by TLS server name"),
        opt("json", names(), "", "by a value of a JSON body (`[\"$.kind\"] = \"order\"`); buffers it"),
    ];
    vec![
        opt(
            "to",
            Type::Either(vec![
                Type::Template(Escape::Url),
                Type::map(Type::Number(0.0, f64::INFINITY)),
                Type::Function("req"),
            ]),
            "",
            "where it goes: an upstream's name, a URL, { a = 95, b = 5 } by weight, or a function that returns one; absent: the steps must answer",
        ),
        opt("to_hosts", Type::list(Type::text()), "", "host globs that a template in the host of `to` may produce"),
        opt("split_by", Type::Template(Escape::Plain), "{ip}", "the key that `to = { a = 95, b = 5 }` splits by"),
        timeout(""),
        opt(
            "match",
            Type::Table(conditions),
            "",
            "further conditions; values are text, a glob, regex \"…\" or true (present)",
        ),
        opt("when", Type::Function("req"), "", "decides whether this is the route; may not wait"),
        opt("skip", Type::list(Type::Step), "", "steps of outer levels that do not run here, by value"),
    ]
}

/// `retry` of routes and upstreams.
pub(super) fn retry() -> Opt {
    let when = Type::Either(vec![Type::one_of(&["connect", "reset", "timeout"]), Type::Status]);
    let table = vec![
        opt("times", Type::Int(0, 10), "1", "further attempts after the first"),
        opt(
            "on",
            Type::list(when),
            "{ \"connect\", \"reset\", 502, 503 }",
            "what is tried again: no connection (any method); and where repeating does no harm (idempotent methods, or with an `Idempotency-Key`) one that died without an answer, no answer within `timeout.response` (another host is asked then, never the same), these statuses. A host's `Retry-After` is heeded",
        ),
        opt("backoff", Type::text(), "\"25ms..250ms\"", "first and largest wait between attempts"),
        opt("budget", Type::Number(0.0, 1.0), "0.2", "retries as a share of requests"),
        opt(
            "unsafe",
            Type::Bool,
            "false",
            "repeat POST and PATCH too when a reused connection died before any byte of the answer",
        ),
    ];
    opt("retry", Type::Either(vec![Type::Exactly(false), Type::Table(table)]), "", "when to try again; false: never")
}

/// What only a route has.
pub(super) fn route() -> Vec<Opt> {
    let websocket = vec![
        opt("idle", Type::Duration, "", "close (1001) after this long without a byte"),
        opt("max", Type::Duration, "", "longest life of an upgraded connection; then close (1001)"),
        opt("connections", Type::positive(), "", "most at a time, all workers together; more are answered 503"),
        opt(
            "origins",
            Type::list(Type::text()),
            "any",
            "pages that may connect, as globs (`\"https://*.example.com\"`); a client that names none is no browser, and passes",
        ),
        opt("protocols", Type::list(Type::text()), "", "without `to`: subprotocols, the most wanted first"),
        opt("open", Type::Function("ws"), "", "once, before any message: `ws:send(\"hello\")`"),
        opt(
            "message",
            Type::Function("ws, data, from"),
            "",
            "each whole message of the client, and with a third parameter (`\"client\"` or `\"service\"`) of the service too; text is a string, bytes are a buffer. What it returns goes on instead (without `to`: back to the client), `false` drops it, nothing lets it pass",
        ),
        opt(
            "close",
            Type::Function("ws, code, reason"),
            "",
            "once, when it is over; 1006 when the other side just left",
        ),
    ];
    vec![
        opt(
            "rewrite",
            Type::Template(Escape::Url),
            "",
            "the path sent on (`\"/v2/users/{id}\"`); the query of the request follows one that is written here",
        ),
        opt("strip_prefix", Type::text(), "", "taken off the front of the path sent on"),
        opt(
            "host",
            Type::Template(Escape::Header),
            "\"keep\", towards an https:// address given by name \"upstream\"",
            "the Host sent on: \"keep\", \"upstream\" or text",
        ),
        retry(),
        opt(
            "hedge",
            Type::Duration,
            "",
            "a second attempt at another host when no answer came within this time; the first good answer stands. Idempotent methods with a body at hand, paid from `retry.budget`",
        ),
        opt("websocket", Type::Either(vec![Type::Bool, Type::Table(websocket)]), "true", "false refuses upgrades"),
        opt("slash", Type::one_of(&["strict", "redirect", "ignore"]), "\"strict\"", "what a trailing slash means"),
        opt("name", Type::text(), "the pattern", "its name in logs, metrics and listings"),
        opt("doc", Type::text(), "", "one line for listings"),
    ]
}
