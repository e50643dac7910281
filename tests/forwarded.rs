//! Who the client is: forwarding fields are believed from trusted peers alone (S-20, S-22, S-23).

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;

fn setup(trust: &str) -> (Upstream, Gateway) {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        gateway { $TRUST }
        route "GET /who" { function(req) return { text = req.ip .. " " .. req.scheme .. " " .. req.host } end }
        route "/{rest*}" { to = "service" }
        "#,
    )
    .with("$TRUST", trust)
    .service("service", &service)
    .start();
    (service, gateway)
}

const FORGED: &[(&str, &str)] = &[
    ("x-forwarded-for", "6.6.6.6"),
    ("X-Forwarded-For", "7.7.7.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.dev"),
    ("x-forwarded-port", "666"),
    ("forwarded", "for=6.6.6.6;proto=https;host=evil.dev"),
    ("x-real-ip", "6.6.6.6"),
    ("client-cert", ":AAAA:"),
    ("client-cert-chain", ":AAAA:"),
];

#[test]
fn a_stranger_cannot_say_who_he_is() {
    let (service, gateway) = setup("");
    gateway.call("GET", "/", FORGED, "").with(200);
    let seen = service.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("test.local"));
    assert_eq!(seen.header("forwarded"), None, "a stale second family");
    for name in ["x-real-ip", "client-cert", "client-cert-chain"] {
        assert!(seen.header(name).is_none_or(|value| value == "127.0.0.1"), "{name}");
    }
    assert_eq!(gateway.call("GET", "/who", FORGED, "").text(), "127.0.0.1 http test.local");
}

#[test]
fn a_trusted_peer_is_believed_up_to_the_right_most_stranger() {
    let (service, gateway) = setup(r#"trust_proxies = { "127.0.0.0/8", "10.0.0.0/8" }"#);
    for (sent, ip) in [
        ("1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4"),
        ("10.0.0.5, 10.0.0.6", "10.0.0.5"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("1.2.3.4:555", "1.2.3.4"),
    ] {
        let answer = gateway.call("GET", "/who", &[("x-forwarded-for", sent), ("x-forwarded-proto", "https")], "");
        assert_eq!(answer.text().split(' ').next(), Some(ip), "{sent}");
        assert_eq!(answer.text().split(' ').nth(1), Some("https"));
    }
    gateway.call("GET", "/", &[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")], "").with(200);
    let seen = service.last();
    assert_eq!(seen.all("x-forwarded-for").join(", "), "1.2.3.4, 127.0.0.1");
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}

#[test]
fn garbage_in_forwarding_fields_names_nobody() {
    let (_service, gateway) = setup(r#"trust_proxies = { "127.0.0.0/8" }"#);
    for sent in ["unknown", "1.2.3.4.5", "<script>", "1.2.3.4, garbage", ",,,", "_hidden", "::ffff:999.1.1.1"] {
        let answer = gateway.call("GET", "/who", &[("x-forwarded-for", sent)], "").with(200);
        assert_eq!(answer.text().split(' ').next(), Some("127.0.0.1"), "{sent}");
    }
    for proto in ["javascript", "https, http", ""] {
        let answer = gateway.call("GET", "/who", &[("x-forwarded-proto", proto)], "").with(200);
        assert!(matches!(answer.text().split(' ').nth(1), Some("http" | "https")), "{proto}: {}", answer.text());
    }
}

#[test]
fn the_standard_field_works_as_well() {
    let (_service, gateway) = setup(r#"trust_proxies = { "127.0.0.0/8" }"#);
    let answer = gateway.call("GET", "/who", &[("forwarded", r#"for="[2001:db8::1]:4711";proto=https"#)], "");
    assert!(answer.text().starts_with("2001:db8::1 https"), "{}", answer.text());
}

#[test]
fn a_number_of_hops_counts_from_the_right() {
    let (_service, gateway) = setup("trust_proxies = 2");
    let who = |sent: &str| {
        gateway.call("GET", "/who", &[("x-forwarded-for", sent)], "").text().split(' ').next().unwrap().to_owned()
    };
    assert_eq!(who("6.6.6.6, 1.2.3.4, 5.6.7.8"), "1.2.3.4");
    assert_eq!(who("1.2.3.4"), "1.2.3.4");
}

#[test]
fn identity_fields_set_by_a_step_replace_what_the_client_sent() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"route "GET /" { function(req) req.headers["X-User"] = "u1" end, transform_request { set = { ["x-role"] = "{ctx.role}" } }, to = "service" }"#,
    )
    .service("service", &service)
    .start();
    gateway.call("GET", "/", &[("x-user", "admin"), ("X-USER", "root"), ("x-role", "admin")], "").with(200);
    assert_eq!(service.last().all("x-user"), ["u1"]);
    assert_eq!(service.last().all("x-role").join(""), "");
}
