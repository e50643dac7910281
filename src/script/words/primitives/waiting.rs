//! Words that wait, and those that run beside.

use super::primitive;
use crate::script::words::Word;

pub(super) fn words() -> Vec<Word> {
    vec![
        primitive(
            "fetch",
            "fetch(target, { method, headers, query, json, form, body, timeout, retry })",
            "Calls a service (\"users/7\") or a URL and returns its response, whatever its status; no answer ends the request with 502 or 504.",
            "upstream \"users\" { \"echo:\" }\nroute \"GET /name/{id}\" { function(req)\n  local user = fetch(`users/{req.params.id}`)\n  return { json = user:json() }\nend }",
        ),
        primitive("try_fetch", "try_fetch(target, { … })", "fetch that returns nil, err when there is no answer.", ""),
        primitive(
            "parallel",
            "parallel { a = function() … end, b = function() … end }",
            "Runs functions at the same time and returns their results by name; the first failure cancels the rest and raises.",
            "route \"GET /\" { function(req)\n  local parts = parallel { a = function() return 1 end, b = function() return 2 end }\n  return { json = parts }\nend }",
        )
        .with(&[("parallel.settle{ … }", "waits for all: { a = { ok = true, value = … }, b = { ok = false, error = … } }")]),
        primitive("race", "race { function() … end, … }", "Runs functions at the same time; the first result wins, the rest are cancelled.", ""),
        primitive(
            "spawn",
            "spawn(function() … end)",
            "Runs a function after the answer, bounded, drained on exit.",
            "route \"POST /\" { function(req) spawn(function() log.info(\"later\") end) return 202 end }",
        ),
        primitive("sleep", "sleep \"50ms\"", "Waits without blocking anyone else.", "route \"GET /\" { function(req) sleep \"50ms\" return 204 end }"),
        primitive("emit", "emit(name, data?)", "Tells every on(name, …) of the gateway; the data must be plain.", ""),
    ]
}
