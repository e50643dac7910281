//! `mirror`: copies that never slow or fail the request they were made of.

use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

const COUNT: &str = "moongate_mirrored_requests_total";

fn counted(gateway: &gateway::Gateway, outcome: &str) -> f64 {
    gateway.metric(&format!("{COUNT}{{outcome=\"{outcome}\"}}"))
}

#[test]
fn a_copy_is_sent_and_its_answer_dropped() {
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let shadow = upstream::answers(|_| upstream::answer(500, &[], "shadow"));
    let gateway = gateway::script(
        r#"
        route "/{rest*}" { mirror { to = "shadow" }, to = "service" }
        "#,
    )
    .service("service", &service)
    .service("shadow", &shadow)
    .start();
    let headers = [("x-shop", "bikes"), ("host", "shop.dev")];
    assert_eq!(gateway.call("POST", "/a/b?c=d", &headers, "hello").with(200).text(), "hello");
    let chunked =
        "PUT /chunks HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
    assert_eq!(gateway.raw(chunked).with(200).text(), "abcdef");
    gateway.get("/plain").with(200);
    wait::until("all copies arrived", || shadow.calls() == 3 && counted(&gateway, "sent") == 3.0);
    let seen = shadow.seen();
    let of =
        |target: &str| seen.iter().find(|seen| seen.target == target).unwrap_or_else(|| panic!("{target} of {seen:?}"));
    let posted = of("/a/b?c=d");
    assert_eq!((posted.method.as_str(), &posted.body[..]), ("POST", &b"hello"[..]));
    assert_eq!((posted.header("x-shop"), posted.header("host")), (Some("bikes"), Some("shop.dev")));
    assert_eq!(posted.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(&of("/chunks").body[..], b"abcdef");
    assert_eq!(of("/plain").method, "GET");
}

#[test]
fn what_does_not_fit_is_not_copied() {
    let service = upstream::answers(|seen| upstream::ok(seen.body.len().to_string()));
    let shadow = upstream::says("x");
    let gateway = gateway::script(
        r#"
        route "POST /small" { mirror { to = "shadow", max_body = "1KB" }, to = "service" }
        route "POST /none" { mirror { to = "shadow", share = 0 }, to = "service" }
        route "POST /half" { mirror { to = "shadow", share = 0.5 }, to = "service" }
        route "POST /dry" { mirror { to = "shadow", when = function(req) return false end }, to = "service" }
        "#,
    )
    .service("service", &service)
    .service("shadow", &shadow)
    .start();
    assert_eq!(gateway.call("POST", "/small", &[], vec![b'x'; 5000]).text(), "5000");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let large =
        format!("POST /small HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(50));
    assert_eq!(gateway.raw(large).text(), "51200", "a body too large to copy passes all the same");
    assert_eq!(counted(&gateway, "too_large"), 2.0);
    gateway.call("POST", "/none", &[], "x").with(200);
    gateway.call("POST", "/dry", &[], "x").with(200);
    assert_eq!(shadow.calls(), 0);
    let mut client = gateway.client();
    for _ in 0..100 {
        client.call("POST", "/half", &[], "x").with(200);
    }
    wait::until("half were sent", || {
        counted(&gateway, "sent") > 0.0 && shadow.calls() as f64 == counted(&gateway, "sent")
    });
    assert!((20..80).contains(&shadow.calls()), "{}", shadow.calls());
}

#[test]
fn a_shadow_that_hangs_or_is_gone_hurts_nobody() {
    let service = upstream::says("fine");
    let hangs = upstream::serve(|conn| {
        conn.request();
        conn.hold();
    });
    let gateway = gateway::script(
        r#"
        route "GET /hangs" { mirror { to = "hangs", limit = 3 }, to = "service" }
        route "GET /gone" { mirror { to = "http://GONE" }, to = "service" }
        "#,
    )
    .with("GONE", upstream::nobody())
    .service("service", &service)
    .service("hangs", &hangs)
    .start();
    let mut client = gateway.client();
    for _ in 0..10 {
        assert_eq!(client.get("/hangs").with(200).text(), "fine");
        assert_eq!(client.get("/gone").with(200).text(), "fine");
    }
    wait::until("the failed are counted", || counted(&gateway, "failed") == 10.0);
    assert_eq!(counted(&gateway, "full"), 7.0, "three are under way, the others were not made");
}
