//! `mtls`: who may use a route, by the certificate shown.

use moongate::primitive::codec;
use moongate::primitive::digest::Hash;
use moongate::primitive::jwt::Signer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use super::with;
use crate::support::gateway::Gateway;
use crate::support::idp::now;
use crate::support::tls::Authority;
use crate::support::tls::Pair;
use crate::support::tls::Visitor;
use crate::support::upstream;
use crate::support::upstream::Upstream;

const ROUTES: &str = r#"
route "GET /any" { mtls {}, function(req) return { json = req.user } end }
route "GET /orders" { mtls { subjects = { "orders", "CN=billing,*" } }, function(req) return { text = req.user.sub } end }
route "GET /spiffe" { mtls { san = { "spiffe://acme/*" } }, function() return 204 end }
route "GET /own" {
  mtls { user = function(cert) return cert.common_name == "orders" and { sub = cert.serial, role = "service" } or nil end, forward = true },
  authorize_by_role,
  to = "service",
}
route "GET /dry" { mtls { subjects = { "nobody" }, enforce = false }, function(req) return { text = tostring(req.user.sub) } end }
route "GET /either" { any_of { mtls {}, function(req) if req.headers["x-key"] ~= "k" then reject(401) end end }, function() return 204 end }
route "GET /sent" { mtls { forward = true }, to = "service" }
route "GET /named" { transform_request { set = { ["x-subject"] = "{tls.cert.subject}", ["x-user"] = "{user.sub}" } }, to = "service" }
"#;

fn setup() -> (Authority, Upstream, Gateway) {
    let authority = Authority::new("CA");
    let service = upstream::says("ok");
    let options = r#"tls = { cert = "a.pem", key = "a.key", client_ca = "ca.pem", client_cert = "optional" }"#;
    let routes = ROUTES.replace(
        "  authorize_by_role,\n",
        "  function(req) if req.user.role ~= \"service\" then reject(403) end end,\n",
    );
    let gateway = with(options, &[&authority.server(&["a.dev"])])
        .file("ca.pem", &authority.pem)
        .with("route \"GET /who\"", format!("{routes}\nroute \"GET /who\""))
        .service("service", &service)
        .start();
    (authority, service, gateway)
}

fn showing(authority: &Authority, gateway: &Gateway, pair: &Pair) -> crate::support::client::Client {
    Visitor::showing(authority, pair).connect(gateway, "a.dev")
}

#[test]
fn whoever_shows_a_certificate_is_its_subject() {
    let (authority, _service, gateway) = setup();
    let mut client = showing(&authority, &gateway, &authority.client("orders", &["spiffe://acme/orders"]));
    let answer = client.get("/any").with(200);
    assert_eq!(answer.at("/sub"), "orders");
    assert_eq!(answer.at("/subject"), "CN=orders,O=Acme");
    assert_eq!(answer.at("/san/0"), "spiffe://acme/orders");
    assert_eq!(client.get("/orders").with(200).text(), "orders");
    client.get("/spiffe").with(204);
    let mut billing = showing(&authority, &gateway, &authority.client("billing", &[]));
    assert_eq!(billing.get("/orders").with(200).text(), "billing");
    billing.get("/spiffe").refused(401, "mtls.denied");
}

#[test]
fn nobody_else_passes() {
    let (authority, _service, gateway) = setup();
    let mut none = Visitor::of(&authority).connect(&gateway, "a.dev");
    for path in ["/any", "/orders", "/spiffe", "/own"] {
        none.get(path).refused(401, "mtls.missing");
    }
    let mut other = showing(&authority, &gateway, &authority.client("orders2", &["http://acme/orders"]));
    for path in ["/orders", "/spiffe", "/own"] {
        let answer = other.get(path);
        answer.refused(401, "mtls.denied");
        assert!(!answer.text().contains("orders2"), "what was wrong is for the log: {}", answer.text());
    }
}

#[test]
fn a_fingerprint_names_one_certificate() {
    let authority = Authority::new("CA");
    let (one, two) = (authority.client("x", &[]), authority.client("x", &[]));
    let options = r#"tls = { cert = "a.pem", key = "a.key", client_ca = "ca.pem" }"#;
    let gateway = with(options, &[&authority.server(&["a.dev"])]).file("ca.pem", &authority.pem).start();
    let print = showing(&authority, &gateway, &one).get("/who").at("/cert/fingerprint");
    let script = format!(
        "gateway {{ {options} }} route \"GET /\" {{ mtls {{ fingerprints = {{ {print} }} }}, function() return 204 end }}"
    );
    gateway.edit(&script).unwrap();
    showing(&authority, &gateway, &one).get("/").with(204);
    showing(&authority, &gateway, &two).get("/").refused(401, "mtls.denied");
}

#[test]
fn a_function_may_say_who_it_is_and_the_certificate_goes_on() {
    let (authority, service, gateway) = setup();
    let mut client = showing(&authority, &gateway, &authority.client("orders", &[]));
    let forged = [("client-cert", ":AAAA:"), ("Client-Cert-Chain", ":AAAA:")];
    for path in ["/own", "/sent"] {
        client.call("GET", path, &forged, "").with(200);
        let seen = service.last();
        let value = seen.header("client-cert").unwrap();
        assert!(value.starts_with(":MII") && value.ends_with(':') && value.len() > 300, "{value}");
        assert_eq!(seen.header("client-cert-chain"), None);
    }
    // What the client shows behind its own certificate goes along (RFC 9440 §2.3).
    let pair = authority.client("orders", &[]);
    let long = Pair { cert: format!("{}{}", pair.cert, authority.pem), key: pair.key };
    let mut longer = showing(&authority, &gateway, &long);
    longer.call("GET", "/sent", &forged, "").with(200);
    let seen = service.last();
    let chain = seen.header("client-cert-chain").unwrap().to_owned();
    assert!(chain.starts_with(":MII") && chain.ends_with(':') && !chain.contains(','), "{chain}");
    assert_ne!(seen.header("client-cert"), Some(chain.as_str()));
    client.call("GET", "/named", &forged, "").with(200);
    let seen = service.last();
    assert_eq!(seen.header("x-subject"), Some("CN=orders,O=Acme"));
    assert_eq!(seen.header("client-cert"), None);
    assert_eq!(seen.all("x-user").join(""), "");
}

#[test]
fn a_dry_run_lets_pass_and_an_alternative_is_tried() {
    let (authority, _service, gateway) = setup();
    let mut client = showing(&authority, &gateway, &authority.client("orders", &[]));
    assert_eq!(client.get("/dry").with(200).text(), "nil");
    client.get("/either").with(204);
    let mut none = Visitor::of(&authority).connect(&gateway, "a.dev");
    assert_eq!(none.get("/dry").with(200).text(), "nil");
    none.get("/either").with(401);
    none.call("GET", "/either", &[("x-key", "k")], "").with(204);
}

#[test]
fn not_even_a_trusted_proxy_speaks_for_a_certificate() {
    let service = upstream::says("ok");
    let gateway = crate::support::gateway::script(
        r#"gateway { trust_proxies = { "127.0.0.0/8" } } route "/{rest*}" { to = "service" }"#,
    )
    .service("service", &service)
    .start();
    gateway.call(
        "GET",
        "/",
        &[("client-cert", ":AAAA:"), ("client-cert-chain", ":AAAA:"), ("x-forwarded-for", "1.2.3.4")],
        "",
    );
    let seen = service.last();
    assert_eq!((seen.header("client-cert"), seen.header("client-cert-chain")), (None, None));
    assert_eq!(seen.header("x-forwarded-for"), Some("1.2.3.4, 127.0.0.1"));
}

#[test]
fn a_token_bound_to_a_certificate_is_worth_nothing_without_it() {
    let authority = Authority::new("CA");
    let (ann, eve) = (authority.client("ann", &[]), authority.client("eve", &[]));
    // RFC 8705 §3.1: the SHA-256 of the certificate, base64url.
    let thumbprint = |pair: &Pair| {
        let certificate = CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap();
        codec::base64url_encode(Hash::Sha256.digest(&certificate))
    };
    let signer = Signer::secret(&[7; 32], None).unwrap();
    let token = |claims: serde_json::Value| format!("Bearer {}", signer.sign(&claims, serde_json::Map::new()).unwrap());
    let end = now() + 3600;
    let bound = token(json!({ "sub": "ann", "exp": end, "cnf": { "x5t#S256": thumbprint(&ann) } }));
    let free = token(json!({ "sub": "ann", "exp": end }));
    let script = r#"
        local key = string.rep("\7", 32)
        route "GET /bound" { jwt { secret = key, certificate_bound = true }, function(req) return { text = req.user.sub } end }
        route "GET /any" { jwt { secret = key }, function(req) return { text = req.user.sub } end }
        route "GET /who""#;
    let options = r#"tls = { cert = "a.pem", key = "a.key", client_ca = "ca.pem", client_cert = "optional" }"#;
    let gateway = with(options, &[&authority.server(&["a.dev"])])
        .file("ca.pem", &authority.pem)
        .with("route \"GET /who\"", script)
        .start();
    let mut holder = showing(&authority, &gateway, &ann);
    let mut thief = showing(&authority, &gateway, &eve);
    let mut nobody = Visitor::of(&authority).connect(&gateway, "a.dev");
    for path in ["/bound", "/any"] {
        assert_eq!(holder.call("GET", path, &[("authorization", &bound)], "").with(200).text(), "ann");
        for other in [&mut thief, &mut nobody] {
            let refused = other.call("GET", path, &[("authorization", &bound)], "");
            refused.refused(401, "jwt.invalid");
            assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
        }
        assert_eq!(
            holder.call("GET", path, &[("authorization", &bound)], "").with(200).text(),
            "ann",
            "and it still is"
        );
    }
    holder.call("GET", "/bound", &[("authorization", &free)], "").refused(401, "jwt.invalid");
    nobody.call("GET", "/any", &[("authorization", &free)], "").with(200);
}
