//! Words that declare: what stands at the top level of a gateway.lua, with every option of this version.

use super::Kind;
use super::Opt;
use super::Text;
use super::Type;
use super::Word;
use super::later;
use super::level;
use super::opt;
use super::rules::RULES;
use super::secure::tls;
use super::service;
use super::word;
use crate::transform::template::Escape;

pub(super) fn words() -> Vec<Word> {
    let mut words = vec![gateway(), group(), route(), openapi(), service::upstream()];
    words.extend(steps().into_iter().chain(loading()));
    words
}

pub(super) fn declare(name: &'static str, form: &'static str, doc: &'static str, example: &'static str) -> Word {
    word(Kind::Declaration, name, form, doc, example)
}

const ACCESS_TO: &str = "\"stdout\", \"stderr\", \"file:access.log\", \"syslog://host:514\" (RFC 5424 over UDP) or \"https://…\" (POSTs of JSON lines); lines that cannot be handed over are dropped and counted";

fn gateway() -> Word {
    let mut options = vec![
        opt(
            "listen",
            Type::Either(vec![Type::text(), Type::list(listener())]),
            "\":8080\"",
            "an address or a list of them: \":80\", \"127.0.0.1:8080\", \"unix:/run/mg.sock\"",
        ),
        opt(
            "admin",
            Type::Either(vec![Type::text(), Type::Exactly(false), Type::Table(admin())]),
            "\"127.0.0.1:9901\"",
            "the admin listener; false: off; off loopback it needs { \":9901\", token = secret \"X\" }",
        ),
        opt(
            "trust_proxies",
            Type::Either(vec![Type::list(Type::text()), Type::Int(0, 100)]),
            "",
            "whose X-Forwarded-* and Forwarded are believed: networks, or a number of hops",
        ),
        opt(
            "proxy_status",
            Type::Either(vec![Type::Bool, Type::one_of(&["full"])]),
            "false",
            "answers that the gateway makes of failures, and failures that services answer with (5xx), say in `Proxy-Status` (RFC 9209) what kind it was; \"full\": at which host, too, which tells clients about your network",
        ),
        opt("limits", Type::Table(limits()), "", "what a client may send and a script may use"),
        level::timeout("\"30s\""),
        opt("header_timeout", Type::Duration, "\"10s\"", "from the first byte of a request to the end of its head"),
        opt("body_timeout", Type::Duration, "\"30s\"", "longest wait between two reads of a body"),
        opt("idle", Type::Duration, "\"75s\"", "how long an idle client connection is kept"),
        opt("drain", Type::Table(drain()), "", "graceful stop"),
        opt("guard", Type::Table(guard()), "", "a reload whose script fails takes itself back; off unless written"),
        opt("log", Type::Table(log()), "", "process log and access log"),
        opt(
            "fetch_allow",
            Type::list(Type::text()),
            "",
            "host globs and networks that fetch may call although they are link-local, or keep the credentials of a cloud's instances; it may call any other address, so a URL that comes from a request is yours to check",
        ),
        opt("to_hosts", Type::list(Type::text()), "", "host globs that a template in the host of `to` may produce"),
        opt(
            "on_request",
            Type::Function("req"),
            "",
            "before a route is chosen; may rewrite path, host and method, or answer",
        ),
    ];
    options.extend(level::hooks());
    options.extend([tls(false), later("trace")]);
    declare(
        "gateway",
        "gateway { steps…, options }",
        "Settings of the whole gateway, at most once; its list part holds steps that run for every request, those that end in 404 or 405 too.",
        "gateway {\n  listen = \":8080\",\n  limits = { body = \"10MB\" },\n  on_error = function(req, err) log.warn(\"failed\", { code = err.code }) end,\n}\nroute \"GET /\" { to = \"echo:\" }",
    )
    .takes(options)
}

fn listener() -> Type {
    let proxy = vec![opt("from", Type::list(Type::text()), "", "the networks of those proxies")];
    let table = vec![
        opt("1", Type::text(), "", "the address"),
        tls(true),
        opt(
            "http2",
            Type::Bool,
            "true with TLS",
            "HTTP/2: over TLS by ALPN; in clear text only where this says true, to clients that begin with it (prior knowledge)",
        ),
        opt(
            "proxy_protocol",
            Type::Table(proxy),
            "",
            "every connection begins with a PROXY header (version 1 or 2) from one of these; others are closed",
        ),
    ];
    Type::Either(vec![Type::text(), Type::Table(table)])
}

fn admin() -> Vec<Opt> {
    vec![
        opt("1", Type::text(), "\"127.0.0.1:9901\"", "where it listens"),
        opt("addr", Type::text(), "", "the same, by name"),
        opt("token", Type::text(), "", "a secret: requests must carry it as a bearer token"),
    ]
}

fn limits() -> Vec<Opt> {
    vec![
        opt("body", Type::Size, "\"100MB\"", "largest request body"),
        opt("headers", Type::Size, "\"64KB\"", "largest request head"),
        opt("header_count", Type::Int(1, 10_000), "100", "most header fields"),
        opt("uri", Type::Size, "\"16KB\"", "longest request target"),
        opt("buffer", Type::Size, "\"1MB\"", "what a step may buffer of a body"),
        opt("step", Type::Duration, "\"100ms\"", "longest run of a function without waiting, in CPU time"),
        opt("memory", Type::Size, "\"256MB\"", "memory of one worker's machine"),
        opt("connections", Type::Int(1, 10_000_000), "20000", "most client connections; the newest are refused"),
        opt(
            "per_address",
            Type::Int(1, 10_000_000),
            "any number",
            "most client connections of one address (IPv6: of one /64); proxies of trust_proxies are not counted",
        ),
        opt(
            "path",
            Type::one_of(&["reject", "keep", "decode"]),
            "\"reject\"",
            "what happens to %2F, %5C and other characters that could be read in two ways",
        ),
    ]
}

fn drain() -> Vec<Opt> {
    vec![
        opt("delay", Type::Duration, "\"5s\", from a terminal 0", "not ready, but still accepting"),
        opt("max", Type::Duration, "\"20s\"", "then requests in flight get this long"),
    ]
}

fn guard() -> Vec<Opt> {
    let percent = Text { pattern: Some("^[0-9]+([.][0-9]+)?%$".to_owned()), ..Text::default() };
    vec![
        Opt {
            required: true,
            ..opt(
                "script_errors",
                Type::Text(percent),
                "",
                "\"1%\": more requests than that, and five at least, ending in an error of the script bring the version before back; this one stays out until a file changes",
            )
        },
        opt("within", Type::Duration, "\"60s\"", "for how long after a reload"),
    ]
}

fn log() -> Vec<Opt> {
    let field = Type::Either(vec![Type::Template(Escape::Plain), Type::Function("req, res")]);
    let access = vec![
        opt("fields", Type::map(field), "", "further fields: templates or functions"),
        opt("to", Type::text(), "\"stdout\"", ACCESS_TO),
        opt("when", Type::Function("req, res"), "", "which answers are logged"),
    ];
    vec![
        opt("level", Type::one_of(&["debug", "info", "warn", "error"]), "\"info\"", "the least level written"),
        opt("format", Type::one_of(&["text", "json"]), "\"text\"", "how a line looks"),
        opt("access", Type::Either(vec![Type::Bool, Type::Table(access)]), "true", "the access log: every answer"),
    ]
}

fn group() -> Word {
    let mut options = level::placing();
    options.extend(level::hooks());
    declare(
        "group",
        "group \"[host][/prefix]\" { steps…, routes and groups…, options }",
        "Routes under a common host or prefix; its steps run for the routes written inside it, after those of outer levels.",
        "group \"/v1\" {\n  function(req) req.headers[\"x-api\"] = \"1\" end,\n  route \"GET /users/{id}\" { to = \"echo:\" },\n}",
    )
    .takes(options)
}

fn route() -> Word {
    let mut options = level::placing();
    options.extend(level::route());
    options.extend(level::hooks());
    declare(
        "route",
        "route \"[METHOD|METHOD …] [host]/path\" { steps…, options }",
        "What happens to requests that match. Patterns: {id} one segment, {id:int} {id:uuid} typed, {rest*} the tail; the most specific route wins.",
        "route \"GET /users/{id:int}\" {\n  function(req) if req.params.id == 0 then reject(404) end end,\n  to = \"echo:\",\n}",
    )
    .takes(options)
    .with(&[
        ("websocket: ws:send(data, to?) → boolean", "says text (a string) or bytes (a buffer) to the client, or to \"service\"; waits while much is on its way; false once the socket is closed"),
        ("websocket: ws:close(code?, reason?)", "closes after what was said before; 1000 unless told"),
        ("websocket: ws.ctx  ws.req  ws.closed", "a table of your own; the request of the handshake; whether it is closed or about to be"),
        ("websocket: how functions run", "one message of a side after the other; each call has the route's `timeout`; an error closes with 1011, `reject` with 1008; a message has `limits.buffer` bytes at most; a socket keeps the version of the script it was opened with"),
    ])
}

fn openapi() -> Word {
    let mut options = vec![
        opt(
            "security",
            Type::Either(vec![Type::map(Type::Step), Type::Exactly(false)]),
            "",
            "a step for each security scheme of the document; each requirement must hold as a whole, one of them is enough (any_of), scopes are asked of the identity (authorize); false: the document's security is not looked at",
        ),
        opt("validate", Type::Bool, "true", "whether requests must keep to the document"),
        opt("response", Type::one_of(&["reject", "log"]), "", "what an answer that breaks the document leads to"),
        opt("mock", Type::Bool, "false", "true: the document's examples are the answers"),
        opt(
            "operations",
            Type::map(Type::Any),
            "",
            "steps and options of single operations, as those of a route, by operationId",
        ),
    ];
    options.extend(level::placing());
    options.extend(level::hooks());
    declare(
        "openapi",
        "openapi \"api.yaml\" { to, security, validate, response, mock, steps…, operations }",
        "One route for each operation of an OpenAPI document (3.0, 3.1; YAML or JSON, watched like the files it refers to), named by its operationId; paths as written there, below those of the groups around. In each: security, validation, the steps of the list, then those of the operation.",
        "",
    )
    .takes(options)
}

fn steps() -> Vec<Word> {
    let policy = vec![
        opt("doc", Type::text(), "", "one line for the reference"),
        opt("options", Type::map(Type::Any), "{}", "names and is.* rules; [1] is the unnamed argument"),
        Opt {
            required: true,
            ..opt("step", Type::Function("options"), "", "returns the step: function(req) or function(req, next)")
        },
        opt("waits", Type::Bool, "true", "false: its steps never wait and run as plain calls"),
        opt("named", Type::Bool, "false", "true: a name comes first, and then always a table: word \"name\" { … }"),
        opt("rest", Type::Any, "", "an is.* rule: what options of any other name are"),
    ];
    vec![
        declare(
            "steps",
            "steps { step, step, …, when = function(req) }",
            "A named fragment of a pipeline: a step that runs its steps in order.",
            "local checks = steps {\n  function(req) if not req.headers[\"x-key\"] then reject(401) end end,\n}\nroute \"GET /\" { checks, to = \"echo:\" }",
        )
        .takes(vec![opt("when", Type::Function("req"), "", "whether they run at all")]),
        declare(
            "policy",
            "policy \"name\" { doc, options = { name = is.string { … } }, step = function(options) }",
            "Makes a word of your own: `name { … }` checks its options and returns a step, like every word of the standard library.",
            "policy \"tenant\" {\n  doc     = \"Reads the tenant from a header.\",\n  options = { header = is.string { default = \"x-tenant\" } },\n  step    = function(o)\n    return function(req) req.ctx.tenant = req.headers[o.header] or reject(400, \"which tenant?\") end\n  end,\n}\nroute \"GET /\" { tenant {}, to = \"echo:\" }",
        )
        .takes(policy),
        declare(
            "is",
            "is.string { min, max, pattern, default, optional, doc } …",
            "Rules for the options of a policy, and for what `validate` checks.",
            "policy \"greet\" {\n  options = { [1] = is.string { default = \"hello\" } },\n  step = function(o) return function(req) return { text = o[1] } end end,\n}\nroute \"GET /\" { greet \"hi\" }",
        )
        .with(RULES),
        word(
            Kind::Primitive,
            "reject",
            "reject(status, detail?, { code, headers, … })",
            "Ends the request with problem+json, from any depth; pcall does not catch it.",
            "route \"GET /\" { function(req) if not req.headers[\"x-key\"] then reject(401, \"a key, please\") end return 204 end }",
        ),
    ]
}

fn loading() -> Vec<Word> {
    vec![
        declare(
            "assert_routes",
            "assert_routes { \"/admin/**\", has = \"jwt\" }",
            "Refuses to load a file in which a route under one of these paths can be passed without one of these policies: whoever adds a route cannot forget the lock. A step with a `when` or `enforce = false` does not count; `any_of` counts when each of its ways does. Nor may a step that serves (mock, redirect, static, cache, compose) stand before it; into functions nobody looks.",
            "local members = api_key { keys = { k = \"ann\" } }\nassert_routes { \"/admin/**\", has = { \"api_key\", \"mtls\" } }\nroute \"GET /admin/stock\" { members, mock {} }",
        )
        .takes(vec![
            opt("1", Type::text(), "", "a path of routes as it is written; * and ** stand for any text"),
            Opt {
                required: true,
                ..opt("has", Type::Either(vec![Type::text(), Type::list(Type::text())]), "", "the policy by its word, or a list of which one is enough")
            },
        ]),
        declare(
            "include",
            "include \"routes/*.lua\"",
            "Loads files (a glob, sorted by name) and gives their routes and groups to the list it stands in.",
            "",
        ),
        declare(
            "require",
            "require \"policies.auth\"",
            "Loads a file once and returns what it returns; looked for beside the requiring file, then in the config folder. require \"moongate\" returns every word as a table.",
            "local mg = require \"moongate\"\nmg.route \"GET /\" { to = \"echo:\" }",
        ),
        declare("env", "env.NAME", "An environment variable as it was when the file was loaded; nil when unset.", "local port = env.PORT or \"8080\"\ngateway { listen = \":\" .. port }\nroute \"GET /\" { to = \"echo:\" }"),
        declare("secret", "secret \"NAME\"", "A secret from the environment or the secrets folder; works wherever text does, and never shows in logs, JSON or dumps.", ""),
        declare("file", "file \"name\"", "The text of a file in the config folder, read while loading and watched.", ""),
        declare(
            "every",
            "every(\"30s\", function() … end)",
            "Runs a function again and again, once per gateway; the handle's :get() is the last value it returned, seen by all workers.",
            "local flags = every(\"30s\", function() return { beta = true } end)\nroute \"GET /\" { function(req) return { json = flags:get() or {} } end }",
        )
        .with(&[(":get()", "the last plain value the function returned, or nil")]),
        declare("after", "after(\"5s\", function() … end)", "Runs a function once, that long after loading, once per gateway.", "after(\"1s\", function() log.info(\"a second old\") end)\nroute \"GET /\" { to = \"echo:\" }"),
        declare(
            "on",
            "on(\"start\" | \"stop\" | \"reload\" | \"host_down\" | \"host_up\" | code | name, function(event, req) … end)",
            "Runs a function when something happens: a start, a reload, a failure code, or what emit names.",
            "on(\"upstream.connect\", function(err) log.warn(\"no connection\", { detail = err.detail }) end)\nroute \"GET /\" { to = \"echo:\" }",
        ),
    ]
}
