//! `tls` of the gateway and of listeners, and where its certificates come from.

use super::Opt;
use super::Type;
use super::opt;

/// `tls` of the gateway or of a listener.
pub(super) fn tls(of_listener: bool) -> Opt {
    let entry = vec![
        opt("cert", Type::text(), "", "the certificate and its chain: a PEM file, or PEM text; watched"),
        opt("key", Type::text(), "", "its private key: a PEM file, or PEM text such as a secret; watched"),
        opt("acme", Type::Table(acme()), "", "instead of cert and key: from an authority, on proof of the names"),
        opt(
            "host",
            Type::Either(vec![Type::text(), Type::list(Type::text())]),
            "the names in the certificate, and every name nobody else has",
            "names it answers to by SNI: \"a.dev\", \"*.b.dev\"",
        ),
        opt("min", Type::one_of(&["1.2", "1.3"]), "\"1.2\"", "the oldest version of TLS"),
        opt("redirect_http", Type::Bool, "false", "requests in clear text are sent to https:// with 308"),
        opt("client_ca", Type::text(), "", "who signs clients' certificates: a PEM file; absent: none is asked for"),
        opt(
            "client_cert",
            Type::one_of(&["required", "optional"]),
            "\"required\"",
            "whether a client may come in without a certificate; a wrong one is refused in either case",
        ),
    ];
    let mut types = vec![Type::Table(entry.clone()), Type::list(Type::Table(entry))];
    let mut doc = "TLS on every listener but those on port 80, Unix sockets and those that say otherwise; a list: one certificate each, chosen by SNI";
    if of_listener {
        types.insert(0, Type::Exactly(false));
        doc = "its own TLS; false: clear text";
    }
    opt("tls", Type::Either(types), "", doc)
}

/// A certificate by ACME (RFC 8555).
fn acme() -> Vec<Opt> {
    let required = |option: Opt| Opt { required: true, ..option };
    vec![
        required(opt(
            "email",
            Type::text(),
            "",
            "whom the authority may write to; writing it accepts the authority's terms",
        )),
        required(opt(
            "domains",
            Type::list(Type::text()),
            "",
            "the names, all in one certificate; each must lead to this gateway",
        )),
        opt(
            "directory",
            Type::text(),
            "\"https://acme-v02.api.letsencrypt.org/directory\"",
            "the authority; for trying out, Let's Encrypt has https://acme-staging-v02.api.letsencrypt.org/directory",
        ),
        opt("ca", Type::text(), "the system's", "who signs the authority's own certificate: a PEM file"),
        opt(
            "storage",
            Type::text(),
            "\"acme\" below --state DIR",
            "the folder, from the config folder, that keeps account key and certificates, for the owner alone; gateways may share one",
        ),
        opt(
            "challenge",
            Type::one_of(&["http-01", "tls-alpn-01"]),
            "\"http-01\" where a listener speaks clear text",
            "how the names are proved: an answer in clear text at port 80, which comes before every step, or a handshake at port 443",
        ),
    ]
}
