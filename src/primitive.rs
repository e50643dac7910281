//! Pure jobs, one each: no Lua, no socket, no sibling (but for `turn` and what values look like: `rate`, `time`, `form`, `multipart`).

/// Content negotiation: which of several media types a client would rather have.
pub mod accept;
/// Credentials of API keys: where they stand, whose they are.
pub mod api_key;
/// Roles, scopes and claims.
pub mod authorize;
/// Choices by chance, for a share of requests.
pub mod chance;
/// Networks of addresses.
pub mod cidr;
/// Base64 and hexadecimal.
pub mod codec;
/// Places for so many at once.
pub mod concurrency;
/// Cookies, both ways.
pub mod cookie;
/// Cross-origin requests.
pub mod cors;
/// Hashes, HMAC, constant-time comparison, randomness.
pub mod digest;
/// Folders served to strangers: paths, conditions, ranges.
pub mod files;
/// Bodies of `application/x-www-form-urlencoded`.
pub mod form;
/// Globs.
pub mod glob;
/// Sets of addresses, and who may come in.
pub mod ip;
/// Bounds of JSON texts.
pub mod json_limit;
/// JSON Web Tokens.
pub mod jwt;
/// Rate limits.
pub mod limiter;
/// Client certificates that a route accepts.
pub mod mtls;
/// Bodies of `multipart/form-data`.
pub mod multipart;
/// OpenAPI documents as contracts.
pub mod openapi;
/// Names and passwords.
pub mod password;
/// Query strings as ordered lists that are encoded again only where they were changed.
pub mod query;
/// Rates as scripts write them.
pub mod rate;
/// Regular expressions in linear time.
pub mod regex;
/// JSON text token by token.
pub mod scan;
/// Signed requests.
pub mod signature;
/// Stable splits of users over variants.
pub mod split;
/// Turns that come evenly.
pub mod throttle;
/// Dates as text.
pub mod time;
mod turn;
/// Durations and sizes as scripts write them.
pub mod units;
/// URLs in parts.
pub mod url;
/// Rules for parameters and JSON bodies.
pub mod validate;
/// What an external authorizer said.
pub mod verdict;
