//! `ip_filter`: who may come in, by address.

use crate::support::gateway;

/// A gateway that believes what its clients say about where they come from.
fn gateway(routes: &str) -> gateway::Setup {
    gateway::script(&format!("gateway {{ trust_proxies = {{ \"127.0.0.1\" }} }}\n{routes}"))
}

fn from(gateway: &gateway::Gateway, target: &str, address: &str) -> u16 {
    gateway.call("GET", target, &[("x-forwarded-for", address)], "").status
}

#[test]
fn deny_is_asked_first_then_allow() {
    let gateway = gateway(
        r#"
        route "GET /both" { ip_filter { allow = { "10.0.0.0/8", "2001:db8::/32" }, deny = { "10.0.0.5", "10.1.0.0-10.1.0.9" } }, mock {} }
        route "GET /deny" { ip_filter { deny = "192.0.2.0/24" }, mock {} }
        route "GET /hidden" { ip_filter { allow = "10.0.0.1", status = 404, detail = "nothing here" }, mock {} }
        route "GET /dry" { ip_filter { allow = "10.0.0.1", enforce = false }, mock {} }
        "#,
    )
    .start();
    for (target, address, status) in [
        ("/both", "10.2.3.4", 200),
        ("/both", "10.0.0.5", 403),
        ("/both", "::ffff:10.0.0.5", 403),
        ("/both", "10.1.0.9", 403),
        ("/both", "10.1.0.10", 200),
        ("/both", "2001:db8::7", 200),
        ("/both", "11.0.0.1", 403),
        ("/deny", "192.0.2.9", 403),
        ("/deny", "10.0.0.1", 200),
        ("/hidden", "10.0.0.2", 404),
        ("/dry", "10.0.0.2", 200),
    ] {
        assert_eq!(from(&gateway, target, address), status, "{target} from {address}");
    }
    let refused = gateway.get("/both");
    refused.refused(403, "ip_filter.denied");
    assert!(!refused.text().contains("127.0.0.1"), "{}", refused.text());
}

#[test]
fn what_a_stranger_says_about_its_address_is_not_believed() {
    let gateway = gateway::script(r#"route "GET /" { ip_filter { allow = "10.0.0.1" }, mock {} }"#).start();
    let lies = [("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.1"), ("x-real-ip", "10.0.0.1")];
    gateway.call("GET", "/", &lies, "").refused(403, "ip_filter.denied");
}

#[test]
fn files_of_addresses_are_read_and_watched() {
    let gateway = gateway(
        r#"route "GET /" { ip_filter { allow = { "lists/office.txt", "10.9.9.9" }, deny = "bad.txt" }, mock {} }"#,
    )
    .file("lists/office.txt", "# the office\n10.0.0.0/24\n10.0.1.1-10.0.1.9 # guests\n")
    .file("bad.txt", "10.0.0.66\n")
    .watch()
    .workers(2)
    .start();
    for (address, status) in
        [("10.0.0.7", 200), ("10.0.1.5", 200), ("10.9.9.9", 200), ("10.0.0.66", 403), ("10.0.2.1", 403)]
    {
        assert_eq!(from(&gateway, "/", address), status, "{address}");
    }
    gateway.dir().replace("bad.txt", "10.0.0.7\n");
    crate::support::wait::until("the list is read again", || from(&gateway, "/", "10.0.0.7") == 403);
    assert_eq!(from(&gateway, "/", "10.0.0.66"), 200);
    gateway.dir().replace("bad.txt", "10.0.0.66\nnot an address\n");
    let told = gateway.reload().unwrap_err();
    assert!(told.contains("bad.txt:2"), "{told}");
    assert_eq!(from(&gateway, "/", "10.0.0.7"), 403, "a list with a mistake took over");
}

#[test]
fn a_hundred_thousand_entries_load_and_answer() {
    let list: String = (0..100_000).map(|n| format!("10.{}.{}.{}\n", n >> 16, n >> 8 & 255, n & 254)).collect();
    let gateway =
        gateway(r#"route "GET /" { ip_filter { deny = "many.txt" }, mock {} }"#).file("many.txt", &list).start();
    assert_eq!((from(&gateway, "/", "10.1.0.2"), from(&gateway, "/", "10.1.0.3")), (403, 200));
}
