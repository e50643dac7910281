//! `upstream` with every option of this version.

use super::Opt;
use super::Type;
use super::Word;
use super::declaring::declare;
use super::level;
use super::opt;
use crate::transform::template::Escape;

pub(super) fn upstream() -> Word {
    let host = vec![
        opt("1", Type::text(), "", "the address"),
        opt("weight", Type::Int(1, 1000), "1", "share of the load"),
        opt("backup", Type::Bool, "false", "used only when no other host may be asked"),
    ];
    let timeouts = vec![
        opt("connect", Type::Duration, "\"1s\"", "to a connection, handshakes included"),
        opt("response", Type::Duration, "\"30s\"", "from the request's last byte to the answer's head"),
        opt("idle", Type::Duration, "\"60s\"", "longest wait between two reads of the answer"),
    ];
    let limit = vec![
        Opt {
            required: true,
            ..opt(
                "inflight",
                Type::positive(),
                "",
                "most at a time, to the answer's last byte; an upgraded connection to its end",
            )
        },
        opt("queue", Type::Int(0, 1_000_000), "0", "how many may wait beyond those"),
        opt("max_wait", Type::Duration, "\"1s\"", "how long one waits"),
    ];
    let pool = vec![
        opt("max", Type::positive(), "256", "most connections per host"),
        opt("idle", Type::Duration, "\"4s\"", "idle connections are closed after this"),
        opt("max_age", Type::Duration, "\"10m\"", "a connection is not reused after this age"),
    ];
    let tls = vec![
        opt("ca", Type::text(), "", "PEM file to trust instead of the system's roots"),
        opt("cert", Type::text(), "", "PEM file with the client certificate"),
        opt("key", Type::text(), "", "PEM file with its key"),
        opt("sni", Type::text(), "", "name to ask for and verify, instead of the host's"),
        opt("verify", Type::Bool, "true", "whether the certificate is verified"),
    ];
    let options = vec![
        opt(
            "1",
            Type::Either(vec![Type::text(), Type::Table(host)]),
            "",
            "hosts: \"10.0.0.1:80\", \"http://…\", \"https://…\", \"unix:/…\", \"echo:\" or { address, weight = 2, backup = true }",
        ),
        opt(
            "dns",
            Type::text(),
            "the system's resolver",
            "who is asked for names: \"dns://10.0.0.2:53\" a server of choice; \"srv://api.internal\" takes the hosts from SRV records (`srv+tls://` speaks TLS to them, \"srv://10.0.0.2:53/api.internal\" asks a server of choice); lifetimes are kept, between 1 s and 5 min",
        ),
        opt(
            "hosts",
            Type::Either(vec![Type::Function(""), Type::text()]),
            "",
            "instead of a list: a function that returns one and may wait, or a JSON file with one (watched like gateway.lua); hosts are texts or { address, weight, backup }",
        ),
        opt("refresh", Type::Duration, "\"10s\"", "how often the function in `hosts` is asked"),
        opt(
            "balance",
            Type::one_of(&["least_request", "round_robin", "random", "ewma", "hash", "first"]),
            "\"least_request\"",
            "how a host is chosen: the less busy of two drawn by weight, in turn, by lot, the one of two whose answers were quicker of late, by `hash_by`, the first in the list",
        ),
        opt(
            "hash_by",
            Type::Either(vec![Type::Template(Escape::Plain), Type::Function("req")]),
            "\"{ip}\"",
            "with balance = \"hash\": requests with the same value go to the same host, on every gateway and after every restart; a host that comes or goes moves only its own part, one that is half as busy again as the others passes on what is too much. Nothing: the client's address. A function may not wait",
        ),
        opt(
            "health",
            Type::Table(health()),
            "",
            "hosts are asked how they are, once for the whole gateway; those that are down are not asked anything else",
        ),
        opt(
            "eject",
            Type::Either(vec![Type::Bool, Type::Table(eject())]),
            "",
            "hosts that fail requests are left alone for a while, then tried by one; a circuit breaker where there is one host. A failure is no answer in time, none that can be understood, or 500, 502, 503, 504; what the gateway or the client cut short is none",
        ),
        opt(
            "panic_at",
            Type::Number(0.0, 1.0),
            "0.5",
            "with a smaller share of hosts that are well backups join in, and without one all hosts are asked; 0: never. A single host is never asked while it is out",
        ),
        opt(
            "slow_start",
            Type::Duration,
            "\"0s\"",
            "how long a host that joins or comes back takes to get its full share, in ten steps; not for `hash` and `first`",
        ),
        opt(
            "timeout",
            Type::Either(vec![Type::Duration, Type::Table(timeouts)]),
            "",
            "per attempt; one duration is `response`",
        ),
        level::retry(),
        opt(
            "limit",
            Type::Table(limit),
            "",
            "requests under way at a time, over all workers; more are answered 503 with Retry-After",
        ),
        opt("pool", Type::Table(pool), "", "connections kept and allowed, per host"),
        opt("tls", Type::Table(tls), "", "TLS towards https:// hosts"),
        opt(
            "protocol",
            Type::one_of(&["http1", "h2", "grpc", "auto"]),
            "\"http1\"",
            "what is spoken to the hosts: \"h2\" by ALPN over TLS and by prior knowledge in clear text; \"grpc\" is h2 with `te: trailers`; \"auto\" is what a https:// host chooses, HTTP/1.1 otherwise",
        ),
        opt(
            "proxy_protocol",
            Type::Int(1, 2),
            "",
            "hosts are told, by a PROXY header of this version, whose request comes on a connection: the client's address, and its port where it came to us itself. Such a connection carries one request; checks and fetch speak for the gateway. With protocol = \"http1\" only",
        ),
    ];
    declare(
        "upstream",
        "upstream \"name\" { hosts…, options }",
        "A service: a named set of hosts with pools, balance, health and retries. Routes and fetch call it by name. Its value knows its hosts, in functions.",
        "local users = upstream \"users\" { \"127.0.0.1:9000\", { \"127.0.0.1:9001\", weight = 2 }, eject = true, timeout = \"3s\" }\nroute \"GET /users/{id}\" { to = users }\nroute \"GET /hosts\" { function(req) return { json = users:hosts() } end }",
    )
    .takes(options)
    .with(&[
        (":hosts()", "a list of { host, state, reason?, weight, backup, in_flight }; state is \"up\", \"down\", \"ejected\", \"half_open\" or \"drained\""),
        (":state()", "{ name, balance, panic, hosts }: whether all are asked because too few are well, and the hosts"),
        (":drain(host, on?)", "takes a host out, by its address as listed: it finishes what it has and gets nothing new, across reloads too; false takes it in again. How many hosts that were, an error when none"),
    ])
}

fn health() -> Vec<Opt> {
    let status = || vec![Type::Status, Type::one_of(&["2xx", "3xx", "4xx", "5xx"])];
    let mut statuses = status();
    statuses.push(Type::list(Type::Either(status())));
    vec![
        opt("path", Type::text(), "\"/healthz\"", "what is asked with GET, on a connection of its own"),
        opt("host", Type::text(), "the host's own name", "the Host field (over HTTP/2 the authority) of the check"),
        opt("status", Type::Either(statuses), "200", "the good answers: 204, \"2xx\", { 200, 429 }"),
        opt("tcp", Type::Exactly(true), "", "instead of asking, a connection is enough (TLS included)"),
        opt(
            "grpc",
            Type::Either(vec![Type::Exactly(true), Type::text()]),
            "",
            "instead, the health protocol of gRPC (grpc.health.v1) is asked about this service, over HTTP/2; true: about the host as a whole",
        ),
        opt("every", Type::Duration, "\"5s\"", "between two checks of a host, a tenth more or less"),
        opt("timeout", Type::Duration, "\"1s\"", "for all of a check"),
        opt("rise", Type::Int(1, 100), "2", "good checks in a row until a host that was down is up"),
        opt(
            "fall",
            Type::Int(1, 100),
            "3",
            "bad checks in a row until a host that was up is down; the very first check of a host decides alone",
        ),
    ]
}

fn eject() -> Vec<Opt> {
    vec![
        opt("errors", Type::Int(1, 1_000_000), "5", "failures in a row, with no success between them"),
        opt("ratio", Type::Number(0.01, 1.0), "", "instead or as well: this share of the requests of `within` failed"),
        opt("sample", Type::Int(1, 1_000_000), "20", "fewest requests that `ratio` is judged by"),
        opt("within", Type::Duration, "\"10s\"", "how far back failures count"),
        opt("cooldown", Type::Duration, "\"30s\"", "how long it is left alone, until one request tries it again"),
        opt(
            "most",
            Type::Number(0.0, 1.0),
            "0.5",
            "most hosts that are ejected at a time, as a share of all; one may always be",
        ),
    ]
}
