//! SNI: which certificate, which routes, and requests for a host that the handshake was not for.

use super::with;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;

const THREE: &str = r#"tls = {
  { cert = "a.pem", key = "a.key" },
  { cert = "b.pem", key = "b.key", host = "*.b.dev" },
  { cert = "c.pem", key = "c.key", host = { "c.dev", "special.b.dev" }, min = "1.3" },
}"#;

#[test]
fn each_name_gets_its_certificate() {
    let authority = Authority::new("CA");
    let (a, b) = (authority.server(&["a.dev", "else.dev"]), authority.server(&["*.b.dev"]));
    let c = authority.server(&["c.dev", "special.b.dev"]);
    let gateway = with(THREE, &[&a, &b, &c]).start();
    let visitor = Visitor::of(&authority);
    for name in ["a.dev", "else.dev", "x.b.dev", "y.b.dev", "c.dev", "special.b.dev"] {
        let answer = visitor.connect(&gateway, name).get("/who").with(200);
        assert_eq!(answer.at("/sni"), name);
    }
    // One label only, as certificates mean it; the first certificate without names serves the rest, and fits not.
    let error = visitor.try_connect(gateway.address(), "deep.x.b.dev").err().unwrap();
    assert!(error.contains("not valid for name"), "{error}");
}

#[test]
fn a_name_that_is_nobodys_ends_the_handshake_where_every_certificate_has_its_own() {
    let authority = Authority::new("CA");
    let gateway = with(
        r#"tls = { { cert = "a.pem", key = "a.key", host = "a.dev" } }"#,
        &[&authority.server(&["a.dev", "b.dev"])],
    )
    .start();
    let visitor = Visitor::of(&authority);
    visitor.connect(&gateway, "a.dev").get("/who").with(200);
    for visitor in [visitor.clone(), visitor.nameless()] {
        let error = visitor.try_connect(gateway.address(), "b.dev").err().unwrap();
        assert!(error.contains("AccessDenied") || error.contains("alert"), "{error}");
    }
}

#[test]
fn a_client_without_a_name_gets_the_usual_certificate() {
    let authority = Authority::new("CA");
    let gateway = with(super::TLS, &[&authority.server(&["a.dev"])]).start();
    let answer = Visitor::of(&authority).nameless().connect(&gateway, "a.dev").get("/who").with(200);
    assert!(answer.at("/sni").is_null());
}

#[test]
fn routes_may_depend_on_the_name() {
    let authority = Authority::new("CA");
    let gateway = with(THREE, &[&authority.server(&["a.dev"]), &authority.server(&["*.b.dev"]), &authority.server(&["c.dev"])])
        .with("route \"GET /who\"", "route \"GET /which\" { match = { sni = \"*.b.dev\" }, function() return { text = \"b\" } end } route \"GET /which\" { transform_request { set = { [\"x-tls\"] = \"{tls.sni} {tls.version}\" } }, function(req) return { text = req.headers[\"x-tls\"] } end } route \"GET /who\"")
        .start();
    let visitor = Visitor::of(&authority);
    assert_eq!(visitor.connect(&gateway, "x.b.dev").get("/which").text(), "b");
    assert_eq!(visitor.connect(&gateway, "a.dev").get("/which").text(), "a.dev 1.3");
}

#[test]
fn a_host_under_other_terms_needs_a_connection_of_its_own() {
    let authority = Authority::new("CA");
    let server = authority.server(&["a.dev", "b.dev", "vip.dev"]);
    let options = r#"tls = {
      { cert = "a.pem", key = "a.key" },
      { cert = "a.pem", key = "a.key", host = "vip.dev", client_ca = "ca.pem" },
    }"#;
    let gateway = with(options, &[&server]).file("ca.pem", &authority.pem).start();
    let mut client = Visitor::of(&authority).connect(&gateway, "a.dev");
    client.call("GET", "/who", &[("host", "b.dev")], "").with(200);
    client.call("GET", "/who", &[("host", "a.dev:8443")], "").with(200);
    let answer = client.call("GET", "/who", &[("host", "vip.dev")], "");
    answer.refused(421, "request.misdirected");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.closed());
    for host in ["VIP.dev", "vip.dev:443", "vip.dev."] {
        let mut client = Visitor::of(&authority).nameless().connect(&gateway, "a.dev");
        client.call("GET", "/who", &[("host", host)], "").refused(421, "request.misdirected");
    }
    let member = authority.client("me", &[]);
    Visitor::showing(&authority, &member).connect(&gateway, "vip.dev").get("/who").with(200);
}
