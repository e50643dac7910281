//! Words for things that all workers share.

use super::primitive;
use crate::script::words::Word;

pub(super) fn words() -> Vec<Word> {
    vec![
        primitive(
            "metrics",
            "metrics.counter \"name\" { \"label\" }",
            "Metrics of your own on the admin listener; their labels must come from small sets.",
            "local orders = metrics.counter \"orders_total\" { \"kind\" }\nroute \"POST /\" { function(req) orders:inc(1, { kind = \"web\" }) return 204 end }",
        )
        .with(&[
            ("metrics.counter \"name\" { labels… }", ":inc(n?, { label = value })"),
            ("metrics.gauge \"name\" { labels… }", ":set(n, labels?), :inc(n?, labels?), :dec(n?, labels?)"),
            ("metrics.histogram \"name\" { labels… }", ":observe(n, labels?)"),
        ]),
        primitive(
            "store",
            "store \"name\" { ttl, max, file, redis }",
            "Values shared by all workers and kept across reloads; when it is full the least recently used go. With file = \"name\" (in the state folder, else beside the script) they outlive the process; it is written once a second: a process that is killed loses a second of it. With redis = \"redis://[:password@]host:6379[/db]\" (rediss:// for TLS; Redis 6 or newer) they are there, shared by several gateways, as text and JSON under moongate:NAME:KEY: each function then waits, 25 ms at most, and raises when there is no answer.",
            "local seen = store \"seen\" { ttl = \"1h\", max = \"10MB\" }\nroute \"GET /\" { function(req) return { json = seen:incr(req.ip) } end }",
        )
        .with(&[
            (":get(key)", "the value, or nil"),
            (":set(key, value, ttl?)", "plain data; nil deletes"),
            (":incr(key, n?, ttl?)", "adds and returns the sum"),
            (":update(key, function(old) … end, ttl?)", "replaces by what the function returns; it may run again and may not wait"),
            (":delete(key)", "whether there was one"),
            (":keys(prefix?)", "keys that begin so"),
            (":publish(channel, value)", "tells every subscriber"),
            (":subscribe(channel, function(value) … end)", "at the top of the file"),
        ]),
        primitive(
            "limiter",
            "limiter \"name\" { \"5/min\", burst, window, store, sync, on_store_error }",
            "A rate limit that functions check by key, shared by all workers; with `store` by several gateways, as in `rate_limit`.",
            "local logins = limiter \"logins\" { \"5/min\" }\nroute \"POST /login\" { function(req)\n  local ok, state = logins:check(req.ip)\n  if not ok then reject(429, \"too many\", { headers = { [\"retry-after\"] = tostring(state.retry_after) } }) end\n  return 204\nend }",
        )
        .with(&[
            (":check(key, cost?)", "takes from the limit: ok, { limit, left, reset, retry_after }"),
            (":peek(key)", "the same without taking"),
            (":debit(key, cost)", "takes even more than is left"),
            (":reset(key)", "forgets the key"),
        ]),
    ]
}
