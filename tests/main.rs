//! Sentences over real sockets: everything that must hold of a gateway, one file a topic.
//!
//! What the first issue asks, and where it is said (S-, U- and C- are the numbered behaviours):
//!
//! | asked | files |
//! |---|---|
//! | **the command line**: init runs at once and never overwrites, check, routes, docs, exit codes, `--json` | `cli` |
//! | `echo:` as a service, examples and README run as printed | `echo` `examples` |
//! | **the script**: sandbox, read-only globals, text chunks, `print` to the log | `tasks` `logs` |
//! | function steps in both shapes, `steps { }`, calling a step, `when`, `skip`, `policy` | `steps` `wrappers` |
//! | `reject` from any depth, past `pcall` and coroutines | `reject` |
//! | failure codes, `errors`, `on_error`, their events | `failures` |
//! | templates and their escaping | `templates` |
//! | `transform_request`, `transform_response`, `body_limit`, decoded answers; `mock`, `redirect` | `transforms` `shapes` |
//! | the whole of `req` and `res`, `on_request`, `on_response`, `on_log` | `requests` `responses` |
//! | `fetch`, `parallel`, `settle`, `race` · `spawn`, `sleep`, `every`, `after`, `on`, `emit` | `fetching` `tasks` |
//! | who is calling and what they may do (S-23, S-52, S-56) | `api_key` `basic_auth` `hmac_auth` `forward_auth` `any_of` `authorize` |
//! | where they may come from | `ip_filter` |
//! | `cors`: preflights before every step, fields on every answer (S-60 to S-63, U-47, U-48) | `cors` |
//! | `compress`: codings, flushes, what is left alone (U-59, U-60) · `static`: ranges, conditions, no way out · `mirror` | `compress` `static_files` `mirror` |
//! | `security_headers`, `maintenance`, `fault`, `split` | `decorations` |
//! | `include`, `require`, `env`, `secret`, `file` | `files` |
//! | `json` … `metrics`, words of later versions | `words` |
//! | `validate`, `schema`, `json_limit`, `yaml` | `validate` |
//! | `openapi`, documents as validators | `openapi` |
//! | `store` and `limiter` in memory | `stores` |
//! | stores and limits in Redis, shared by gateways; Redis away, hung, slow, mad (U-34 to U-36, C-07) | `redis` |
//! | budgets: CPU time, memory, recursion, tasks; neighbours go on (C-11) | `budgets` |
//! | integers beyond 2^53 | `numbers` |
//! | mistakes with place, frame and suggestion, ten at once | `cli`, and the goldens |
//! | **the request**: keep-alive, pipelining, chunks, `Expect`, trailers | `framing` `streaming` `duties` |
//! | what could be read in two ways is refused, both sides (S-03, S-04); bent requests | `framing` `mutants` |
//! | what fuzzing found once | `fuzzed` |
//! | pools: LIFO, bounds, ages, `Keep-Alive`, liveness | `pools` |
//! | HTTP/2 and gRPC services, streaming both ways (U-28, U-62) | `h2_upstream` |
//! | failures on the way to a service by name, in log, metric, document and `Proxy-Status` (S-32) | `reasons` |
//! | PROXY headers towards services (S-21) | `telling` |
//! | retries: what is sent again and what never, POSTs (C-06) | `retries` |
//! | hosts that are found: DNS, services, functions, files (C-05, U-19 to U-21) | `discovery` |
//! | overload: `limit` of an upstream | `bulkhead` |
//! | services that fail in every known way: what the client gets, how often they are called · hosts killed and rolled under load | `faults` `rolling` |
//! | streaming with back-pressure, bounded memory; services without end | `streaming` `memory` `hostile` |
//! | client gone cancels, a half-close does not | `gone` |
//! | proxy duties S-01, S-02, S-06, S-07, S-09, S-12 | `duties` `transforms` |
//! | one canonical path (S-10) | `paths` |
//! | who the client is (S-20, S-22, S-23) | `forwarded` |
//! | limits 413, 414, 431; silent, slow, idle, stalled (S-04); crowds of them, too many connections, too few files | `limits` `floods` |
//! | trace context and request ids (S-70, S-73) | `trace` |
//! | routing: precedence, 404, 405 with `Allow`, HEAD | `routing` |
//! | what is sent on: rewrites, Host, `to`, splits, balance | `sending` |
//! | Unix sockets, names, listeners that come and go | `sockets` |
//! | TLS on listeners: names, versions, clients' certificates, hostile handshakes (S-90) | `tls` |
//! | certificates by ACME: proofs, renewal, failures (S-91) | `acme` |
//! | HTTP/2 on listeners: bodies, limits, drain, floods, downgrade, WebSockets, gRPC (S-05, S-80, S-81) | `http2` |
//! | the PROXY protocol (S-21) | `proxy_protocol` |
//! | upgrades and WebSocket functions (RFC 6455), hostile frames | `upgrades` `websockets` |
//! | **live**: reload on save in every way files change, once each (C-04) | `reload` |
//! | a broken file interrupts nothing (C-03), not even across a restart | `reload` `last_good` |
//! | reloads under load, memory flat, streams live on (C-01, C-02) | `reload` |
//! | graceful stop (U-77) | `stop` |
//! | the admin listener | `admin` |
//! | back to what ran before, by hand or by a guard | `rollback` |
//! | what each command says: tests, explanations, diffs | `commands`, and its goldens |
//! | the access log and the log | `logs` |
//! | the laws of the house, the vocabulary of these tests | `house` `vocabulary` |
//!
//! Speed is printed by `scripts/bench`, a thousand reloads by `scripts/reloads`.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected shall stop there")]

mod hostile;
mod house;
mod http2;
mod support;
mod vocabulary;

mod acme;
mod admin;
mod any_of;
mod api_key;
mod authorize;
mod balancing;
mod basic_auth;
mod bound;
mod budgets;
mod bulkhead;
mod caching;
mod cli;
mod clients;
mod collapsing;
mod commands;
mod composing;
mod compress;
mod cors;
mod decorations;
mod discovery;
mod duties;
mod echo;
mod ejection;
mod examples;
mod failures;
mod faults;
mod fetching;
mod files;
mod floods;
mod forward_auth;
mod forwarded;
mod framing;
mod fuzzed;
mod gone;
mod h2_upstream;
mod health;
mod hints;
mod hmac_auth;
mod introspect;
mod ip_filter;
mod jwks;
mod jwt;
mod last_good;
mod limits;
mod lines;
mod logs;
mod memory;
mod mirror;
mod mutants;
mod numbers;
mod openapi;
mod paths;
mod poisoning;
mod pools;
mod proxy_protocol;
mod purging;
mod quota;
mod rate_limit;
mod reasons;
mod recording;
mod redis;
mod reject;
mod reload;
mod remember;
mod requests;
mod requirements;
mod responses;
mod retries;
mod rollback;
mod rolling;
mod routing;
mod sending;
mod shapes;
mod sharing;
mod sign_upstream;
mod sockets;
mod static_files;
mod steps;
mod stop;
mod stores;
mod storing;
mod streaming;
mod tasks;
mod telling;
mod templates;
mod tls;
mod trace;
mod tracing;
mod transforms;
mod upgrades;
mod validate;
mod watching;
mod websockets;
mod words;
mod wrappers;
