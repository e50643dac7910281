//! Certificate files change while connections live.

use super::with;
use crate::support::gateway::Gateway;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;
use crate::support::wait;

/// The certificate that a client sees which has no session to resume.
fn shown(authority: &Authority, gateway: &Gateway) -> Vec<u8> {
    let mut client = Visitor::of(authority).connect(gateway, "a.dev");
    client.get("/who").with(200);
    client.session().peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_new_pair_is_taken_without_dropping_a_connection() {
    let authority = Authority::new("CA");
    let gateway = with(super::TLS, &[&authority.server(&["a.dev"])]).watch().start();
    let visitor = Visitor::of(&authority);
    let mut old = visitor.connect(&gateway, "a.dev");
    old.get("/who").with(200);
    let before = shown(&authority, &gateway);
    let next = authority.server(&["a.dev"]);
    gateway.dir().replace("a.pem", &next.cert);
    // Half of the pair: the old one stays, and it is said.
    wait::until("the mismatch is noticed", || gateway.metric("moongate_config_last_reload_success") == 0.0);
    assert_eq!(shown(&authority, &gateway), before);
    gateway.dir().replace("a.key", &next.key);
    wait::until("the new certificate is shown", || shown(&authority, &gateway) != before);
    old.get("/who").with(200);
    assert!(gateway.metric("moongate_config_last_reload_success") == 1.0);
}

#[test]
fn a_half_written_file_changes_nothing() {
    let authority = Authority::new("CA");
    let pair = authority.server(&["a.dev"]);
    let gateway = with(super::TLS, &[&pair]).start();
    let before = shown(&authority, &gateway);
    for text in ["", "-----BEGIN CERTIFICATE-----\nMIIB", &pair.cert[..pair.cert.len() / 2], "garbage"] {
        gateway.dir().replace("a.pem", text);
        let error = gateway.reload().unwrap_err();
        assert!(error.contains("tls.cert"), "{error}");
        assert_eq!(shown(&authority, &gateway), before);
    }
    gateway.dir().replace("a.pem", &pair.cert);
    gateway.reload().unwrap();
}

#[test]
fn traffic_does_not_notice_a_swap() {
    let authority = Authority::new("CA");
    let gateway = with(super::TLS, &[&authority.server(&["a.dev"])]).workers(2).start();
    let visitor = Visitor::of(&authority);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|n| {
                let (visitor, gateway, stop) = (visitor.clone(), &gateway, &stop);
                scope.spawn(move || {
                    let mut served = 0;
                    let mut client = visitor.connect(gateway, "a.dev");
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        if n % 2 == 0 {
                            client = visitor.connect(gateway, "a.dev");
                        }
                        client.get("/who").with(200);
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for _ in 0..10 {
            let next = authority.server(&["a.dev"]);
            gateway.dir().replace("a.key", &next.key);
            gateway.dir().replace("a.pem", &next.cert);
            gateway.reload().unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 10);
        }
    });
}
