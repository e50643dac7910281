//! Hosts that are found: names at a DNS server of choice, services, functions and files (C-05, U-19 to U-21).

use crate::support::dns;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::wait;

/// Services on one port of several loopback addresses, so that a name alone can tell them apart.
fn neighbours() -> (upstream::Upstream, upstream::Upstream) {
    let one = upstream::says("one");
    let port = one.address().port();
    let two = upstream::serve_at(([127, 0, 0, 2], port).into(), |conn| {
        while conn.request().is_some() && conn.send(upstream::ok("two")) {}
    });
    (one, two)
}

fn says(gateway: &Gateway) -> String {
    gateway.get("/").with(200).text().to_owned()
}

#[test]
fn traffic_follows_a_name_within_its_lifetime_and_stays_when_dns_dies() {
    let (one, two) = neighbours();
    let dns = dns::serve();
    dns.addresses("api.test", 1, &["127.0.0.1"]);
    let gateway = gateway::script(
        r#"
        upstream "api" { "api.test:$PORT", dns = "dns://$DNS" }
        route "/" { to = "api" }
        "#,
    )
    .with("$PORT", one.address().port())
    .with("$DNS", dns.address())
    .start();
    assert_eq!(says(&gateway), "one");
    dns.addresses("api.test", 1, &["127.0.0.2"]);
    wait::until("traffic follows the name", || says(&gateway) == "two");
    // a dead server, and one that knows the name no more: the last addresses stay
    dns.dies(true);
    let asked = dns.asked();
    wait::until("the dead server was asked in vain", || dns.asked() > asked + 2);
    assert_eq!(says(&gateway), "two");
    dns.addresses("api.test", 1, &[]);
    dns.dies(false);
    let asked = dns.asked();
    wait::until("the name was denied", || dns.asked() > asked + 2);
    assert_eq!(says(&gateway), "two");
    dns.addresses("api.test", 1, &["127.0.0.1"]);
    wait::until("it recovers by itself", || says(&gateway) == "one");
    assert!(one.calls() > 0 && two.calls() > 0);
}

#[test]
fn a_service_names_its_hosts_their_ports_and_who_stands_in() {
    let (one, two) = (upstream::says("one"), upstream::says("two"));
    let dns = dns::serve();
    let service = |port_one: u16, port_two: u16| {
        let hosts = [(1, 0, port_one, "a.test"), (2, 5, port_two, "b.test")];
        dns.services("api.internal", 1, &hosts);
    };
    dns.addresses("a.test", 1, &["127.0.0.1"]);
    dns.addresses("b.test", 1, &["127.0.0.1"]);
    service(one.address().port(), two.address().port());
    let gateway = gateway::script(
        r#"
        upstream "api" { dns = "srv://$DNS/api.internal" }
        route "/" { to = "api" }
        "#,
    )
    .with("$DNS", dns.address())
    .start();
    for _ in 0..4 {
        assert_eq!(says(&gateway), "one", "the second is a backup");
    }
    // the first moves to a port where nobody listens: the backup takes over
    service(upstream::nobody().port(), two.address().port());
    wait::until("the backup is asked", || says(&gateway) == "two");
}

#[test]
fn a_host_of_a_service_whose_address_cannot_be_told_for_now_keeps_the_one_it_had() {
    let (one, two) = (upstream::says("one"), upstream::says("two"));
    let dns = dns::serve();
    for name in ["a.test", "b.test"] {
        dns.addresses(name, 1, &["127.0.0.1"]);
    }
    let listed = [(1, 0, one.address().port(), "a.test"), (1, 0, two.address().port(), "b.test")];
    dns.services("api.internal", 1, &listed);
    let gateway = gateway::script(
        r#"
        upstream "api" { dns = "srv://$DNS/api.internal", balance = "round_robin" }
        route "/" { to = "api" }
        "#,
    )
    .with("$DNS", dns.address())
    .start();
    let both = || (0..4).map(|_| says(&gateway)).collect::<std::collections::BTreeSet<_>>().len() == 2;
    assert!(both());
    dns.fails("b.test", true);
    let asked = dns.asked();
    wait::until("it was asked in vain, and again", || dns.asked() > asked + 12);
    assert!(both(), "the second host is still there");
    // One whose name is gone is gone.
    dns.fails("b.test", false);
    dns.addresses("b.test", 1, &[]);
    wait::until("it left", || (0..4).all(|_| says(&gateway) == "one"));
}

#[test]
fn a_function_tells_the_hosts_and_is_asked_again() {
    let (one, two) = (upstream::says("one"), upstream::says("two"));
    let registry = upstream::answers({
        let (one, two) = (one.address(), two.address());
        let count = std::sync::atomic::AtomicUsize::new(0);
        move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => upstream::ok(format!("[\"{one}\"]")),
            1 => upstream::answer(500, &[], "broken"),
            2 => upstream::ok("[\"no address\"]"),
            _ => upstream::ok(format!("[{{\"address\": \"{two}\", \"weight\": 3}}]")),
        }
    });
    let gateway = gateway::script(
        r#"
        upstream "registry" { "$REGISTRY" }
        upstream "api" {
          hosts = function() return fetch("registry/hosts"):json() end,
          refresh = "200ms",
        }
        route "/" { to = "api" }
        "#,
    )
    .with("$REGISTRY", registry.address())
    .start();
    wait::until("the hosts are known", || gateway.get("/").status == 200);
    wait::until("two failures change nothing, then the hosts change", || says(&gateway) == "two");
    assert!(one.calls() > 0, "the first host was never asked");
    assert!(registry.calls() >= 4);
}

#[test]
fn a_file_names_the_hosts_and_is_watched() {
    let (one, two) = (upstream::says("one"), upstream::says("two"));
    let gateway = gateway::script(
        r#"
        upstream "api" { hosts = "hosts.json" }
        route "/" { to = "api" }
        "#,
    )
    .file("hosts.json", &format!("[\"{}\"]", one.address()))
    .watch()
    .start();
    assert_eq!(says(&gateway), "one");
    gateway.dir().write("hosts.json", "[ half a li");
    gateway.dir().write("hosts.json", format!("[{{\"address\": \"{}\"}}]", two.address()));
    wait::until("traffic follows the file", || says(&gateway) == "two");
    gateway.dir().write("hosts.json", "[]");
    assert_eq!(says(&gateway), "two", "a file without hosts changes nothing");
}
