use super::Trust;
use super::scheme;
use super::write_forwarded;
use crate::http::Headers;
use crate::http::Request;
use crate::http::Scheme;

fn client(trust: &Trust, peer: &str, fields: &[(&str, &str)]) -> String {
    let peer = peer.parse().ok();
    trust.client(peer, &Headers::of(fields)).map(|address| address.to_string()).unwrap_or_default()
}

fn networks() -> Trust {
    Trust::Networks(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
}

#[test]
fn nobody_is_believed_unless_told() {
    let spoofed = [("X-Forwarded-For", "1.1.1.1"), ("Forwarded", "for=2.2.2.2")];
    assert_eq!(client(&Trust::Nobody, "203.0.113.9", &spoofed), "203.0.113.9");
    assert_eq!(client(&networks(), "203.0.113.9", &spoofed), "203.0.113.9");
}

#[test]
fn the_client_is_the_right_most_address_that_is_no_trusted_proxy() {
    let chain = [("X-Forwarded-For", "6.6.6.6, 203.0.113.7"), ("X-Forwarded-For", "10.1.1.1")];
    assert_eq!(client(&networks(), "10.0.0.2", &chain), "203.0.113.7");
    assert_eq!(client(&networks(), "::ffff:10.0.0.2", &chain), "203.0.113.7");
    assert_eq!(client(&networks(), "10.0.0.2", &[]), "10.0.0.2");
    assert_eq!(client(&networks(), "10.0.0.2", &[("X-Forwarded-For", "10.0.0.3")]), "10.0.0.3");
}

#[test]
fn what_cannot_be_read_ends_the_chain() {
    assert_eq!(client(&networks(), "10.0.0.2", &[("X-Forwarded-For", "1.1.1.1, unknown, 10.0.0.3")]), "10.0.0.3");
    assert_eq!(client(&networks(), "10.0.0.2", &[("X-Forwarded-For", "")]), "10.0.0.2");
}

#[test]
fn hops_count_from_the_right() {
    let chain = [("X-Forwarded-For", "6.6.6.6, 203.0.113.7, 192.0.2.1")];
    assert_eq!(client(&Trust::Hops(1), "198.51.100.1", &chain), "192.0.2.1");
    assert_eq!(client(&Trust::Hops(2), "198.51.100.1", &chain), "203.0.113.7");
    assert_eq!(client(&Trust::Hops(9), "198.51.100.1", &chain), "6.6.6.6");
    assert_eq!(client(&Trust::Hops(1), "198.51.100.1", &[]), "198.51.100.1");
}

#[test]
fn forwarded_is_read_where_the_other_family_is_absent() {
    let line = [("Forwarded", "for=\"[2001:db8::1]:4711\";proto=https, for=10.0.0.9")];
    assert_eq!(client(&networks(), "fd00::1", &line), "2001:db8::1");
    assert_eq!(scheme(&Headers::of(&[("Forwarded", "for=1.1.1.1;Proto=HTTPS")])), Some(Scheme::Https));
    assert_eq!(scheme(&Headers::of(&[("X-Forwarded-Proto", "http, https")])), Some(Scheme::Https));
    assert_eq!(scheme(&Headers::of(&[("X-Forwarded-Proto", "gopher")])), None);
}

#[test]
fn the_chain_grows_by_the_peer() {
    let mut request = Request { host: "shop.test:8080".into(), ..Request::default() };
    request.headers.add("X-Forwarded-For", "203.0.113.7");
    let mut out = Vec::new();
    write_forwarded(&mut out, &request, "10.0.0.2".parse().ok());
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "X-Forwarded-For: 203.0.113.7, 10.0.0.2\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.test:8080\r\n\
         X-Forwarded-Port: 8080\r\n"
    );
}

#[test]
fn what_a_client_gets_quoted_adds_no_hop() {
    let line = [("Forwarded", "for=203.0.113.7;host=\"x, for=6.6.6.6;proto=https\"")];
    assert_eq!(client(&networks(), "10.0.0.2", &line), "203.0.113.7");
    assert_eq!(scheme(&Headers::of(&line)), None);
    let line = [("Forwarded", "for=203.0.113.7;host=\"x\\\", for=6.6.6.6\"")];
    assert_eq!(client(&networks(), "10.0.0.2", &line), "203.0.113.7");
}

#[test]
fn a_chain_told_in_the_other_family_goes_on_in_this_one() {
    let mut request = Request { host: "shop.test".into(), ..Request::default() };
    request.headers.add("Forwarded", "for=\"[2001:db8::1]:4711\", for=unknown, for=10.0.0.9");
    let mut out = Vec::new();
    write_forwarded(&mut out, &request, "10.0.0.2".parse().ok());
    assert!(out.starts_with(b"X-Forwarded-For: 2001:db8::1, 10.0.0.9, 10.0.0.2\r\n"));
}
