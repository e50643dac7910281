//! Words that any function may call; each entry documents what its binding does.

use super::Kind;
use super::Word;
use super::word;

const NAMES: &[(&str, &str, &str)] = &[
    (
        "fetch",
        "fetch(target, { method, headers, query, json, form, body, timeout, retry })",
        "Calls a service (\"users/7\") or a URL and returns its response; no answer ends the request with 502 or 504.",
    ),
    ("try_fetch", "try_fetch(target, { … })", "fetch that returns nil, err when there is no answer."),
    (
        "parallel",
        "parallel { a = function() … end, b = function() … end }",
        "Runs functions at the same time and returns their results by name; the first failure cancels the rest.",
    ),
    (
        "race",
        "race { function() … end, … }",
        "Runs functions at the same time; the first result wins, the rest are cancelled.",
    ),
    ("spawn", "spawn(function() … end)", "Runs a function after the answer, bounded, drained on exit."),
    ("sleep", "sleep \"50ms\"", "Waits without blocking anyone else."),
    ("emit", "emit(name, data?)", "Tells every on(name, …) of the gateway; the data must be plain."),
    ("log", "log.info(message, fields?)", "Writes to the process log: log.debug, log.info, log.warn, log.error."),
    ("json", "json.encode(v) · json.decode(text)", "Reads and writes JSON; integers beyond 2^53 pass through exactly."),
    ("base64", "base64.encode(text) · base64.decode(text)", "Base64, and base64.url for the URL alphabet."),
    ("hex", "hex.encode(text) · hex.decode(text)", "Hexadecimal text."),
    ("hash", "hash.sha256(text) · hash.sha1 · hash.md5", "Digests, as hexadecimal text."),
    ("hmac", "hmac.sha256(key, text)", "Keyed digests, as hexadecimal text."),
    ("crypto", "crypto.equal(a, b) · crypto.random(n)", "Constant-time comparison; random bytes."),
    ("uuid", "uuid() · uuid.v7()", "A random or a time-ordered UUID."),
    ("url", "url.parse(text) · url.encode · url.join", "Takes URLs apart and puts them together."),
    ("form", "form.encode(t) · form.decode(text)", "application/x-www-form-urlencoded."),
    ("cookie", "cookie.parse(text) · cookie.format(name, value, options)", "Cookies."),
    ("time", "time.now() · time.ms() · time.format · time.parse", "Seconds and milliseconds since 1970; dates."),
    ("regex", "regex \"^[a-z]+$\"", "A regular expression in linear time: :match, :find, :replace, :split."),
    ("glob", "glob \"*.example.com\"", "A glob: :match(text)."),
    ("cidr", "cidr \"10.0.0.0/8\"", "A network: :has(ip)."),
    (
        "metrics",
        "metrics.counter \"name\" { \"label\" }",
        "Metrics of your own on the admin listener: counter, gauge, histogram.",
    ),
    ("store", "store \"name\" { ttl, max }", "Values shared by all workers and kept across reloads."),
    ("limiter", "limiter \"name\" { \"5/min\" }", "A rate limit that functions check by key."),
];

pub(super) fn words() -> Vec<Word> {
    NAMES.iter().map(|(name, form, doc)| word(Kind::Primitive, name, form, doc, "")).collect()
}
