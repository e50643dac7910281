//! Crowds: too many connections, too few files, clients that send a byte now and then or take nothing. Others are served.

use std::io::Write as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::TcpStream;
use std::time::Duration;

use moongate::clock::Clock;
use rustix::process::Pid;
use rustix::process::Resource;
use rustix::process::Rlimit;

use crate::support::binary;
use crate::support::binary::Binary;
use crate::support::client::Client;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;
use crate::support::upstream;
use crate::support::wait;

const NOBODY: &str = r#"route "/" { function() return 204 end }"#;
const REFUSED: &str = "moongate_connections_refused_total";

fn limited(limits: &str) -> Gateway {
    gateway::script(&format!("gateway {{ limits = {{ {limits} }} }} {NOBODY}")).start()
}

fn here(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

#[test]
fn beyond_the_limit_the_newest_is_closed_and_the_others_are_served() {
    let gateway = limited("connections = 8");
    let mut held: Vec<_> = (0..8).map(|_| gateway.client()).collect();
    for client in &mut held {
        client.get("/").with(204);
    }
    for _ in 0..50 {
        let mut newest = gateway.client();
        newest.try_send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        assert!(newest.closed());
    }
    for client in &mut held {
        client.get("/").with(204);
    }
    assert_eq!(gateway.metric(&format!("{REFUSED}{{limit=\"connections\"}}")), 50.0);
    drop(held);
    wait::until("there is room again", || {
        let mut client = gateway.client();
        client.try_send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            && client.rest().starts_with(b"HTTP/1.1 204")
    });
}

#[test]
fn one_address_has_its_share_and_no_more() {
    let gateway = limited("per_address = 4");
    let mut held: Vec<_> = (0..4).map(|_| Client::from(here(2), gateway.address())).collect();
    for client in &mut held {
        client.get("/").with(204);
    }
    let mut newest = Client::from(here(2), gateway.address());
    newest.try_send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(newest.closed());
    for address in 3..30 {
        Client::from(here(address), gateway.address()).get("/").with(204);
    }
    held.iter_mut().for_each(|client| _ = client.get("/").with(204));
    assert_eq!(gateway.metric(&format!("{REFUSED}{{limit=\"per_address\"}}")), 1.0);
    held.pop();
    wait::until("a place is free", || {
        let mut client = Client::from(here(2), gateway.address());
        client.try_send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            && client.rest().starts_with(b"HTTP/1.1 204")
    });
}

#[test]
fn a_share_comes_and_goes_with_a_reload() {
    let gateway = limited("connections = 100");
    let mut held: Vec<_> = (0..4).map(|_| gateway.client()).collect();
    held.iter_mut().for_each(|client| _ = client.get("/").with(204));
    gateway.edit(&format!("gateway {{ limits = {{ per_address = 1 }} }} {NOBODY}")).unwrap();
    let mut first = gateway.client();
    first.get("/").with(204);
    assert!(gateway.client().closed(), "the second since the reload");
    held.iter_mut().for_each(|client| _ = client.get("/").with(204));
    gateway.edit(NOBODY).unwrap();
    gateway.get("/").with(204);
}

#[test]
fn proxies_that_are_trusted_speak_for_many_and_announced_clients_for_themselves() {
    let trusted = r#"gateway { trust_proxies = { "127.0.0.1" }, limits = { per_address = 1 } } "#;
    let gateway = gateway::script(&format!("{trusted}{NOBODY}")).start();
    let mut many: Vec<_> = (0..5).map(|_| gateway.client()).collect();
    many.iter_mut().for_each(|client| _ = client.get("/").with(204));

    let announcing = r#"gateway { listen = { { "127.0.0.1:0", proxy_protocol = { from = { "127.0.0.1" } } } }, limits = { per_address = 1 } } "#;
    let gateway = gateway::script(&format!("{announcing}{NOBODY}")).listeners_of_the_script().start();
    let announce = |address: &str| {
        let mut client = gateway.client();
        client.send(format!("PROXY TCP4 {address} 203.0.113.9 56324 443\r\n"));
        client
    };
    let mut first = announce("192.0.2.1");
    first.get("/").with(204);
    announce("192.0.2.2").get("/").with(204);
    assert!(announce("192.0.2.1").closed());
    first.get("/").with(204);
}

/// How many files the process has open.
fn files(gateway: &Binary) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap().count()
}

/// Lets the process open `more` files than it has now.
fn allow_files(gateway: &Binary, more: u64) {
    let open = files(gateway) as u64;
    let pid = Pid::from_raw(i32::try_from(gateway.id()).unwrap());
    let limit = Rlimit { current: Some(open + more), maximum: Some(open + more) };
    rustix::process::prlimit(pid, Resource::Nofile, limit).unwrap();
}

#[test]
fn without_files_those_who_are_in_are_served_and_others_come_in_afterwards() {
    let gateway = binary::script(NOBODY).start();
    let mut inside = gateway.client();
    inside.get("/").with(204);
    allow_files(&gateway, 10);
    let mut crowd: Vec<_> = (0..30).map(|_| gateway.client()).collect();
    gateway.logs("cannot accept connections");
    inside.get("/").with(204);
    let mut waiting = crowd.pop().unwrap();
    waiting.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop(crowd);
    waiting.answer().with(204);
    gateway.client().get("/").with(204);
    let lines = gateway.output().matches("cannot accept connections").count();
    assert!(lines < 50, "{lines} lines: it does not back off");
}

/// So many clients, each of which has sent `bytes`.
fn crowd(gateway: &Binary, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let one = || {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    (0..count).map(|_| one()).collect()
}

/// Each sends one byte more, a few times; then their time is over.
fn drips(gateway: &Binary, crowd: &mut [TcpStream], mut beside: impl FnMut()) {
    for byte in "x-slow".bytes() {
        for stream in crowd.iter_mut() {
            let _ = stream.write_all(&[byte]);
        }
        beside();
    }
    wait::until("all are cut", || {
        beside();
        files(gateway) < 100
    });
}

/// The whole of it, with ten thousand: `scripts/slow`.
#[test]
fn a_crowd_that_drips_costs_little_is_cut_in_time_and_bothers_nobody() {
    let script = format!(
        r#"gateway {{ header_timeout = "2s", body_timeout = "2s" }} route "POST /" {{ function(req) return {{ text = req:text() }} end }} {NOBODY}"#
    );
    for start in ["GET / HTTP/1.1\r\nhost: x\r\n", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"] {
        let gateway = binary::script(&script).start();
        let mut good = gateway.client();
        good.get("/").with(204);
        drop(crowd(&gateway, 50, start.as_bytes()));
        let before = gateway.memory();
        let mut slow = crowd(&gateway, 500, start.as_bytes());
        good.get("/").with(204);
        let each = gateway.memory().saturating_sub(before) / slow.len();
        assert!(each < 24 << 10, "{each} bytes a client that drips after {start:?}");
        drips(&gateway, &mut slow, || _ = good.get("/").with(204));
    }
}

#[test]
fn a_crowd_that_drips_within_tls_costs_little_and_is_cut_in_time() {
    let authority = Authority::new("CA");
    let pair = authority.server(&["a.dev"]);
    let script = format!(r#"gateway {{ header_timeout = "2s", tls = {{ cert = "a.pem", key = "a.key" }} }} {NOBODY}"#);
    let gateway = binary::script(&script).file("a.pem", &pair.cert).file("a.key", &pair.key).start();
    let visitor = Visitor::of(&authority);
    let connect = || visitor.try_connect(gateway.address(), "a.dev").unwrap();
    let mut good = connect();
    good.get("/").with(204);
    // what a process takes once, whoever comes, is no client's
    let mut first: Vec<_> = (0..50).map(|_| connect()).collect();
    first.iter_mut().for_each(|client| _ = client.try_send("GET / HT"));
    good.get("/").with(204);
    drop(first);
    let before = gateway.memory();
    let mut slow: Vec<_> = (0..200).map(|_| connect()).collect();
    for byte in "GET / HT".chars() {
        slow.iter_mut().for_each(|client| _ = client.try_send(byte.to_string()));
        good.get("/").with(204);
    }
    let each = gateway.memory().saturating_sub(before) / slow.len();
    assert!(each < 25 << 10, "{each} bytes a client that drips");
    wait::until("all are cut", || {
        good.get("/").with(204);
        files(&gateway) < 100
    });
    for client in &mut slow {
        let said = client.rest();
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn who_takes_nothing_of_the_answer_is_cut_and_the_service_let_go() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 1 << 16];
        while conn.send(&piece) {}
    });
    let gateway = gateway::script(r#"gateway { body_timeout = "3s" } route "/{rest*}" { to = "service" }"#)
        .service("service", &service)
        .clock(&clock)
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    client.head();
    wait::until("it is cut", || {
        clock.advance(Duration::from_millis(100));
        gateway.metric("http_server_active_requests") == 0.0
    });
    assert!(client.rest().len() < 100_000_000);
}
