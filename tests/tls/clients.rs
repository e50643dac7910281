//! Clients' certificates: who may come in, what a script learns of them.

use super::with;
use crate::support::gateway::Gateway;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;

fn asking(how: &str, authority: &Authority) -> Gateway {
    let options = format!(r#"tls = {{ cert = "a.pem", key = "a.key", client_ca = "ca.pem"{how} }}"#);
    with(&options, &[&authority.server(&["a.dev"])]).file("ca.pem", &authority.pem).start()
}

/// A handshake whose client is refused may look done to the client until it reads.
fn refused(visitor: &Visitor, gateway: &Gateway) -> bool {
    match visitor.try_connect(gateway.address(), "a.dev") {
        Err(_) => true,
        Ok(mut client) => !client.try_send("GET /who HTTP/1.1\r\nhost: a.dev\r\n\r\n") || client.rest().is_empty(),
    }
}

#[test]
fn what_a_certificate_says_reaches_the_script() {
    let authority = Authority::new("Acme CA");
    let gateway = asking("", &authority);
    let pair = authority.client("orders", &["orders.internal", "spiffe://acme/orders"]);
    let mut client = Visitor::showing(&authority, &pair).connect(&gateway, "a.dev");
    let answer = client.get("/who").with(200);
    assert_eq!(answer.at("/cert/subject"), "CN=orders,O=Acme");
    assert_eq!(answer.at("/cert/common_name"), "orders");
    assert!(answer.at("/cert/issuer").to_string().contains("CN=Acme CA"));
    assert_eq!(answer.at("/cert/san"), serde_json::json!(["orders.internal", "spiffe://acme/orders"]));
    assert_eq!(answer.at("/cert/fingerprint").as_str().unwrap().len(), 64);
    assert!(answer.at("/cert/not_after").as_i64().unwrap() > 1_700_000_000);
    assert!(!answer.at("/cert/serial").as_str().unwrap().is_empty());
}

#[test]
fn nobody_comes_in_without_where_one_is_required() {
    let authority = Authority::new("CA");
    let gateway = asking("", &authority);
    let stranger = Authority::new("CA");
    assert!(refused(&Visitor::of(&authority), &gateway), "none");
    assert!(refused(&Visitor::showing(&authority, &stranger.client("orders", &[])), &gateway), "of a stranger");
    assert!(refused(&Visitor::showing(&authority, &authority.expired("orders")), &gateway), "expired");
    assert!(!refused(&Visitor::showing(&authority, &authority.client("orders", &[])), &gateway), "a good one");
    assert!(gateway.metric("moongate_tls_handshakes_total{result=\"failed\"}") >= 3.0);
}

#[test]
fn an_optional_certificate_may_be_missing_but_not_wrong() {
    let authority = Authority::new("CA");
    let gateway = asking(r#", client_cert = "optional""#, &authority);
    let answer = Visitor::of(&authority).connect(&gateway, "a.dev").get("/who").with(200);
    assert!(answer.at("/cert").is_null());
    let good = Visitor::showing(&authority, &authority.client("orders", &[]));
    assert_eq!(good.connect(&gateway, "a.dev").get("/who").at("/cert/common_name"), "orders");
    let stranger = Authority::new("CA");
    assert!(refused(&Visitor::showing(&authority, &stranger.client("orders", &[])), &gateway), "of a stranger");
    assert!(refused(&Visitor::showing(&authority, &authority.expired("orders")), &gateway), "expired");
}

#[test]
fn whoever_is_asked_is_asked_each_time() {
    let authority = Authority::new("CA");
    let gateway = asking("", &authority);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let visitor = Visitor::with(&authority, Some(&authority.client("orders", &[])), versions);
        for _ in 0..3 {
            let mut client = visitor.connect(&gateway, "a.dev");
            assert_eq!(client.get("/who").with(200).at("/cert/common_name"), "orders");
            assert_eq!(client.session().handshake_kind(), Some(rustls::HandshakeKind::Full));
        }
    }
}

#[test]
fn a_ticket_of_a_listener_that_asks_nobody_opens_no_other() {
    let authority = Authority::new("CA");
    let pair = authority.server(&["a.dev"]);
    let gateway = with(super::TLS, &[&pair]).file("ca.pem", &authority.pem).start();
    let visitor = Visitor::of(&authority);
    let mut before = visitor.connect(&gateway, "a.dev");
    before.get("/who").with(200);
    let asks = r#"gateway { tls = { cert = "a.pem", key = "a.key", client_ca = "ca.pem" } }"#;
    gateway.edit(&format!("{asks} {}", super::WHO)).unwrap();
    assert!(refused(&visitor, &gateway), "by its ticket");
    // The connection was made under other terms.
    before.get("/who").refused(421, "request.misdirected");
}
