//! Ranges against a plain list of them.

use super::*;

fn set(entries: &[&str]) -> IpSet {
    entries.iter().map(|entry| Range::parse(entry).unwrap()).collect()
}

fn has(set: &IpSet, address: &str) -> bool {
    set.has(address.parse().unwrap())
}

#[test]
fn addresses_networks_and_ranges() {
    let set = set(&["10.0.0.0/8", "192.0.2.7", "192.0.2.20 - 192.0.2.22", "2001:db8::/32", "fe80::1-fe80::9"]);
    for inside in [
        "10.0.0.0",
        "10.255.255.255",
        "192.0.2.7",
        "192.0.2.20",
        "192.0.2.22",
        "2001:db8::1",
        "fe80::9",
        "::ffff:10.1.1.1",
    ] {
        assert!(has(&set, inside), "{inside}");
    }
    for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.23", "2001:db9::", "fe80::a", "::", "::10.0.0.1"]
    {
        assert!(!has(&set, outside), "{outside}");
    }
}

#[test]
fn ipv4_in_ipv6_form_is_ipv4_on_both_sides() {
    for entry in ["::ffff:10.0.0.0/104", "::ffff:10.0.0.0-::ffff:10.255.255.255", "::ffff:10.0.0.0-10.255.255.255"] {
        let set = set(&[entry]);
        assert!(has(&set, "10.9.9.9") && has(&set, "::ffff:10.9.9.9") && !has(&set, "11.0.0.0"), "{entry}");
    }
    // All of one family is not all of the other.
    assert!(!has(&set(&["::/0"]), "10.0.0.1") && !has(&set(&["0.0.0.0/0"]), "::1"));
    assert!(
        has(&set(&["0.0.0.0/0"]), "255.255.255.255") && has(&set(&["::/0"]), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
    );
}

#[test]
fn what_overlaps_or_touches_is_one_range() {
    let joined = set(&["10.0.0.5-10.0.0.9", "10.0.0.0-10.0.0.4", "10.0.0.7", "10.0.0.0/31", "10.0.0.11"]);
    assert_eq!(joined.v4, [(0x0a00_0000, 0x0a00_0009), (0x0a00_000b, 0x0a00_000b)]);
    assert_eq!(set(&["0.0.0.0/0", "255.255.255.255", "1.2.3.4"]).len(), 1);
    assert_eq!(set(&["10.0.0.0-10.0.0.99", "10.0.0.1-10.0.0.2", "10.0.0.50-10.0.0.60"]).len(), 1);
}

#[test]
fn what_is_no_entry_is_named() {
    let fault = |text: &str| Range::parse(text).unwrap_err().to_string();
    for text in
        ["", "10.0.0", "10.0.0.0/33", "10.0.0.1-", "-", "a-b", "10.0.0.1-10.0.0.2-10.0.0.3", "host", "fe80::1%eth0"]
    {
        assert!(fault(text).contains("is no address"), "{text}");
    }
    assert!(fault("10.0.0.9-10.0.0.1").contains("ends before it begins"));
    assert!(fault("10.0.0.1-::2").contains("family"));
    assert!(Range::looks_like("10.0.0.0/33") && Range::looks_like("fe80::") && !Range::looks_like("office.txt"));
}

#[test]
fn a_file_has_an_entry_a_line() {
    let text = "\u{feff}# bad ones\r\n10.0.0.1\r\n\r\n 10.0.0.5 # not him\n2001:db8::/32";
    let parsed = IpSet::parse(text.as_bytes()).unwrap();
    assert_eq!(parsed, set(&["10.0.0.1", "10.0.0.5", "2001:db8::/32"]));
    let (line, fault) = IpSet::parse(b"10.0.0.1\n10.0.0.300\n").unwrap_err();
    assert_eq!((line, fault), (2, EntryError::Unreadable("10.0.0.300".into())));
    assert!(IpSet::parse(b"\xff\xfe\n").is_err() && IpSet::parse(b"").unwrap().is_empty());
}

#[test]
fn deny_comes_first_and_who_has_no_address_is_nobody_allowed() {
    let filter = |allow: Option<&[&str]>, deny: &[&str]| {
        let allow = allow.map(|list| vec![Arc::new(set(list))]);
        IpFilter::new(Config { allow, deny: vec![Arc::new(set(deny))] })
    };
    let both = filter(Some(&["10.0.0.0/8"]), &["10.0.0.5"]);
    let at = |text: &str| Some(text.parse().unwrap());
    assert_eq!(both.check(at("10.0.0.4")), Ok(()));
    assert_eq!(both.check(at("::ffff:10.0.0.5")), Err(Denied::Listed));
    assert_eq!(both.check(at("11.0.0.1")), Err(Denied::Unlisted));
    assert_eq!(both.check(None), Err(Denied::Unknown));
    let deny = filter(None, &["10.0.0.5"]);
    assert_eq!(
        (deny.check(None), deny.check(at("10.0.0.6")), deny.check(at("10.0.0.5"))),
        (Ok(()), Ok(()), Err(Denied::Listed))
    );
}

/// Many entries answer as a plain list of them does.
#[test]
fn a_hundred_thousand_entries() {
    let mut state = 1_u64;
    let mut chance = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 32).unwrap()
    };
    let ranges: Vec<Range> = (0..100_000)
        .map(|_| {
            let first = chance();
            Range::V4(first, first.saturating_add(chance() % 512))
        })
        .collect();
    let set: IpSet = ranges.iter().copied().collect();
    assert!(set.len() > 50_000 && set.v4.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
    for _ in 0..200 {
        let address = chance();
        let plain =
            ranges.iter().any(|range| matches!(range, Range::V4(first, last) if (*first..=*last).contains(&address)));
        assert_eq!(set.has(Ipv4Addr::from_bits(address).into()), plain);
    }
}
